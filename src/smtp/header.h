/*
 * header.h - the header block at the head of a message (RFC 5322 2.2, 3.6): found, counted, looked into.
 *
 * The session holds the block, at most max-header bytes, until its end was found: rules look at it, then Received: goes
 * before it and all goes on as it came. The block is in wire form, a dot at the head of a line being a stuffed one.
 *
 * What is a header line is decided as Postfix decides it, because the MTA behind must not find a field that the rules
 * were not shown: "Name:" with printable ASCII in the name and perhaps blanks before the colon, lines that begin with a
 * blank continue a field, a "From " or ">From " line at the very top is skipped, the first line that is none of these
 * begins the body though no empty line stands before it, and a message may well have no header at all.
 */
#ifndef SMTP_HEADER_H
#define SMTP_HEADER_H

#include "base/buf.h"
#include "smtp/address.h"

/* More Received: fields than this are a loop (RFC 5321 6.3): 554 5.4.6. */
enum { SMTP_RECEIVED_MAX = 60 };

enum smtp_header_result {
    SMTP_HEADER_MORE,
    SMTP_HEADER_END,
    SMTP_HEADER_TOO_LARGE /* beyond max_bytes without an end: 554 5.6.0 */
};

struct smtp_header {
    size_t max_bytes;
    size_t scanned;      /* whole lines looked at so far */
    size_t searched;     /* no LF from `scanned` to here */
    size_t fields_end;   /* at END: where the fields end, that is before the empty line */
    size_t body_start;   /* at END: after the empty line; equal to fields_end where the body begins without one */
    unsigned line_count; /* of the fields */
    unsigned field_count;
    unsigned received_count;
    bool has_from_line; /* an mbox "From " line at the top */
};

void smtp_header_init(struct smtp_header *header, size_t max_bytes);

/* block: all of the message that is there so far, from its first byte on, CRLF as line ends; what was scanned is not
 * scanned again. is_all: the message ends here (the final dot was read), so the last line need not be waited for. */
enum smtp_header_result smtp_header_scan(struct smtp_header *header, struct str block, bool is_all);
/* A loop? */
static inline bool smtp_header_loops(const struct smtp_header *header)
{
    return header->received_count > SMTP_RECEIVED_MAX;
}

/* One field, borrowed from the block. */
struct smtp_header_field {
    struct str name;
    struct str value; /* raw: all behind the colon up to the last CRLF, folds and all */
};
/* Walks the fields of a block (its first fields_end bytes): start with *at = 0; false at the end. */
bool smtp_header_next(struct str block, size_t *at, struct smtp_header_field *field);

/* header["Name"], header.count["Name"]: the first field of that name (letter case does not count), and how many there
 * are. */
bool smtp_header_first(struct str block, struct str name, struct str *raw_value);
unsigned smtp_header_count(struct str block, struct str name);
/* Appends a raw value unfolded (RFC 5322 2.2.3): without the CRLFs of its folds and without blanks around it; control
 * characters but TAB become "?". False: the buffer is full. */
MUST_USE bool smtp_header_unfold(struct buf *to, struct str raw_value);

/* The first Message-ID: as it stands there, with its <>; empty: none, or it has a control character or is longer than a
 * line. Borrowed. */
struct str smtp_header_message_id(struct str block);

/* header.from (GRAMMAR.md 3): there is exactly one From: field, with exactly one address in it. Appends the address
 * without comments and blanks. False: not so, or the address is no address, or the buffer is full (nothing is appended
 * then). */
MUST_USE bool smtp_header_from(struct str block, struct buf *address);
/* The same for one raw value (RFC 5322 3.4: display names, comments, quoted strings, groups, and of 4.4 routes and
 * blanks around dots). *count: how many addresses it holds, also where they are not just one. */
MUST_USE bool smtp_header_single_address(struct str raw_value, struct buf *address, unsigned *count);

#endif
