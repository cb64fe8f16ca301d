/*
 * sasl_line.h - the lines of AUTH (RFC 4954 4) and the two mechanisms that every mail program knows: PLAIN (RFC 4616)
 * and LOGIN.
 *
 *   C: AUTH PLAIN AGFsaWNlAHB3                        one line: READY at once
 *   C: AUTH PLAIN      S: 334                         (with a space behind it) C: AGFsaWNlAHB3
 *   C: AUTH LOGIN      S: 334 VXNlcm5hbWU6            C: YWxpY2U=    S: 334 UGFzc3dvcmQ6    C: cHc=
 *
 * Pure: lines go in, a challenge or the credentials come out. What is right or wrong about a password is not known
 * here. Decoded bytes are secret: they lie in one buffer, which is wiped.
 */
#ifndef SMTP_SASL_LINE_H
#define SMTP_SASL_LINE_H

#include "base/buf.h"

enum { SMTP_LOGIN_MAX = 255, SMTP_PASSWORD_MAX = 4096 };

/* The argument of AUTH. */
struct smtp_auth {
    struct str mechanism; /* as it was sent; 1 to 20 of A-Z 0-9 - _ in either case */
    bool has_initial;
    struct str initial; /* base64 as it was sent, "=" already made empty; borrowed */
};
/* False: not "mechanism [initial-response]" (501 5.5.4). */
MUST_USE bool smtp_auth_parse(struct str argument, struct smtp_auth *auth);

enum smtp_sasl_mechanism { SMTP_SASL_PLAIN, SMTP_SASL_LOGIN, SMTP_SASL_UNKNOWN };
enum smtp_sasl_mechanism smtp_sasl_mechanism_find(struct str name);
/* "PLAIN"; for the EHLO line and the event. */
const char *smtp_sasl_mechanism_name(enum smtp_sasl_mechanism mechanism);

enum smtp_sasl_result {
    SMTP_SASL_CHALLENGE, /* send "334 " and the challenge, feed the next line */
    SMTP_SASL_READY,     /* login and password are there */
    SMTP_SASL_CANCELLED, /* the client sent "*": 501 5.7.0 */
    SMTP_SASL_BAD,       /* not base64, or not what the mechanism asks for: 501 5.5.2 */
    SMTP_SASL_REFUSED,   /* understood, but nobody can log in so (another authzid, a control character): 535 5.7.8 */
    SMTP_SASL_NO_MEMORY  /* 454 4.7.0 */
};

struct smtp_sasl {
    enum smtp_sasl_mechanism mechanism;
    struct str challenge; /* base64, a literal; may be empty */
    struct str login;     /* borrowed from `secret` until fini */
    struct str password;
    struct buf secret;
    unsigned step;
};

void smtp_sasl_init(struct smtp_sasl *sasl, enum smtp_sasl_mechanism mechanism);
/* Wipes. */
void smtp_sasl_fini(struct smtp_sasl *sasl);

enum smtp_sasl_result smtp_sasl_start(struct smtp_sasl *sasl, const struct smtp_auth *auth);
/* A line of the client, without CRLF. */
enum smtp_sasl_result smtp_sasl_feed(struct smtp_sasl *sasl, struct str line);

/* The message of PLAIN: authzid NUL login NUL password (RFC 4616 2). The strings are borrowed from it. READY, BAD or
 * REFUSED. */
enum smtp_sasl_result smtp_sasl_plain_parse(struct str message, struct str *login, struct str *password);
/* Is it fit to be a login: 1 to SMTP_LOGIN_MAX bytes of UTF-8, no control character, no blank at either end? */
bool smtp_login_is_valid(struct str login);

#endif
