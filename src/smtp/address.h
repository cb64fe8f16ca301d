/*
 * address.h - mail addresses as MAIL and RCPT carry them (RFC 5321 4.1.2, 4.1.3, 4.5.3.1; RFC 6531 3.3 for UTF-8).
 *
 * Strict where leniency would let two servers read two different addresses, lenient where real mail programs need it: a
 * space after the colon is accepted ("MAIL FROM: <a@b>"), source routes are accepted and dropped (RFC 5321 F.2),
 * underscores may stand in domains. Refused: an address without its angle brackets, anything with a control character,
 * a backslash or quote outside a quoted local part. Percent hacks and bang paths ("a%b@c", "c!a@b") are ordinary local
 * parts here; policy decides.
 *
 * UTF-8 is read wherever it may stand and flagged: only after the parameters is it known whether SMTPUTF8 was asked
 * for.
 */
#ifndef SMTP_ADDRESS_H
#define SMTP_ADDRESS_H

#include "base/buf.h"

/* RFC 5321 4.5.3.1.1 to .3, in bytes. A path has two brackets more than its address. */
enum { SMTP_LOCAL_MAX = 64, SMTP_DOMAIN_MAX = 255, SMTP_PATH_MAX = 256, SMTP_ADDRESS_MAX = SMTP_PATH_MAX - 2 };

struct smtp_path {
    struct str
        whole; /* local@domain without <> and source route, as it was sent; empty for <>. Borrowed, as all here */
    struct str local;  /* as it was sent: a quoted one with its quotes */
    struct str domain; /* a literal with its [ ]; empty for <> and <postmaster> */
    bool null;         /* <> */
    bool is_literal;   /* the domain is an address: [192.0.2.1], [IPv6:2001:db8::1] */
    bool needs_utf8;   /* a byte above 127 in it: without SMTPUTF8 553 5.6.7 */
};

enum smtp_path_kind {
    SMTP_REVERSE_PATH, /* FROM:<…>, may be <> */
    SMTP_FORWARD_PATH  /* TO:<…>, may be <postmaster> without a domain */
};

enum smtp_path_result {
    SMTP_PATH_OK,
    SMTP_PATH_NO_KEYWORD, /* does not begin with FROM: or TO: */
    SMTP_PATH_NO_BRACKET, /* no < after it, or no > at its end */
    SMTP_PATH_CONTROL,
    SMTP_PATH_LOCAL,
    SMTP_PATH_NO_DOMAIN,
    SMTP_PATH_DOMAIN,
    SMTP_PATH_LONG,
    SMTP_PATH_EMPTY, /* <> where a recipient is wanted */
    SMTP_PATH_REST   /* something other than a space after the > */
};

/* Reads "FROM:<path> …" or "TO:<path> …", the argument of MAIL or RCPT. *rest becomes what follows the path, the
 * parameters. */
enum smtp_path_result smtp_path_parse(struct str argument, enum smtp_path_kind kind, struct smtp_path *path,
                                      struct str *rest);
/* What is wrong, to be read by a person after "501 5.1.7 …: " ("the address must stand in < >"). */
const char *smtp_path_fault(enum smtp_path_result result);

/* Reads a bare local@domain, for the addresses of configuration, tables and headers. No <>, no route, the domain is
 * needed. */
MUST_USE bool smtp_address_parse(struct str address, struct smtp_path *path);
/* Cuts local@domain at its last @ without judging either; without @ all of it is the local part. */
void smtp_address_split(struct str address, struct str *local, struct str *domain);

/* Labels of letters, digits, "-", "_" and UTF-8, 1 to 63 bytes, no "-" at either end, joined by dots, no dot at the
 * end. */
bool smtp_domain_is_valid(struct str domain);
/* [192.0.2.1] or [IPv6:2001:db8::1] (RFC 5321 4.1.3). */
bool smtp_literal_is_valid(struct str literal);

/* The tag of a local part: "news" of bob+news. STR_NONE: it has none. The + must have something before it. */
struct str smtp_address_tag(struct str local);

/*
 * Appends what counts as one address: lower-cased ASCII, a local part that needs no quotes without them ("bob"@x is
 * bob@x), with strips_tag also without its +tag. Keys for limits and tables are made of it, so that nobody is counted
 * twice or apart by spelling. `address` may be without @: then it is all local part (a login). False: the buffer is
 * full.
 */
MUST_USE bool smtp_address_key(struct buf *to, struct str address, bool strips_tag);

#endif
