/*
 * params.h - what stands after the address in MAIL and RCPT (RFC 5321 4.1.2 esmtp-param), read from clients and written
 * to the MTA.
 *
 *   MAIL  SIZE=n (RFC 1870)  BODY=7BIT|8BITMIME (6152)  SMTPUTF8 (6531)
 *         RET=FULL|HDRS ENVID=xtext (3461)  AUTH=xtext|<> (4954)
 *   RCPT  NOTIFY=NEVER|SUCCESS,FAILURE,DELAY  ORCPT=type;xtext (3461)
 *
 * Each may stand once. Only parameters of extensions that were offered are known: for any other the answer is
 * 555 5.5.4, so nothing is accepted that could not be passed on. The MTA gets what was understood, written anew, never
 * the client's bytes.
 */
#ifndef SMTP_PARAMS_H
#define SMTP_PARAMS_H

#include "base/buf.h"

/* The extensions that have parameters: bits of a set. */
enum smtp_extension {
    SMTP_EXT_SIZE = 1,
    SMTP_EXT_8BITMIME = 2,
    SMTP_EXT_SMTPUTF8 = 4,
    SMTP_EXT_DSN = 8,
    SMTP_EXT_AUTH = 16
};

enum smtp_body { SMTP_BODY_UNSAID, SMTP_BODY_7BIT, SMTP_BODY_8BITMIME };
enum smtp_ret { SMTP_RET_UNSAID, SMTP_RET_FULL, SMTP_RET_HDRS };
/* Bits; 0: not said. */
enum smtp_notify { SMTP_NOTIFY_NEVER = 1, SMTP_NOTIFY_SUCCESS = 2, SMTP_NOTIFY_FAILURE = 4, SMTP_NOTIFY_DELAY = 8 };

/* Lengths of values as they are written (RFC 3461 4.2, 4.4; RFC 4954 5). */
enum { SMTP_ENVID_MAX = 100, SMTP_ORCPT_MAX = 500, SMTP_AUTH_PARAM_MAX = 500 };

struct smtp_mail_params {
    bool has_size;
    uint64_t size_bytes; /* a size that does not fit becomes UINT64_MAX */
    enum smtp_body body;
    bool smtputf8;
    enum smtp_ret ret;
    struct str envid; /* xtext as it was sent, checked; STR_NONE: not said. Borrowed */
    bool has_auth;
    struct str auth; /* xtext or <>, checked. For the log only: what goes on is the login or <> */
};

struct smtp_rcpt_params {
    unsigned notify;  /* enum smtp_notify */
    struct str orcpt; /* type;xtext, checked; STR_NONE: not said. Borrowed */
};

enum smtp_params_result {
    SMTP_PARAMS_OK,
    SMTP_PARAMS_UNKNOWN, /* 555 5.5.4: not one that was offered */
    SMTP_PARAMS_BAD,     /* 501 5.5.4: a value it cannot have, or none */
    SMTP_PARAMS_TWICE    /* 501 5.5.4 */
};

/* text: what smtp_path_parse left. extensions: those offered. *name: the parameter at fault, borrowed, for the reply.
 */
enum smtp_params_result smtp_mail_params_parse(struct str text, unsigned extensions, struct smtp_mail_params *params,
                                               struct str *name);
enum smtp_params_result smtp_rcpt_params_parse(struct str text, unsigned extensions, struct smtp_rcpt_params *params,
                                               struct str *name);

/* The extensions an MTA must have to take a mail with these parameters as it is meant (8BITMIME, SMTPUTF8, DSN); SIZE
 * and AUTH are not among them: without them the mail is the same. A set of SMTP_EXT_…. */
unsigned smtp_mail_params_need(const struct smtp_mail_params *params);
unsigned smtp_rcpt_params_need(const struct smtp_rcpt_params *params);

/* Appends " SIZE=… BODY=…", each with its space before it, those of `extensions` (the MTA's) only. auth: NULL, no
 * AUTH=; empty, AUTH=<>; else the login, written as xtext. False: the buffer is full; it may hold a part. */
MUST_USE bool smtp_mail_params_write(struct buf *to, const struct smtp_mail_params *params, unsigned extensions,
                                     const struct str *auth);
MUST_USE bool smtp_rcpt_params_write(struct buf *to, const struct smtp_rcpt_params *params, unsigned extensions);

/* xtext (RFC 3461 4): bytes 33 to 126 but + and = as they are, all others +XX in upper-case hex. */
MUST_USE bool smtp_xtext_encode(struct buf *to, struct str s);
/* False: not xtext (to may hold a part of it), or the buffer is full. */
MUST_USE bool smtp_xtext_decode(struct buf *to, struct str s);

#endif
