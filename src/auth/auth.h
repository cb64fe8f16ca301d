/*
 * auth.h - logins: the words that the worker's side and the auth process's side share.
 *
 *   worker                                          auth process
 *   session/login.c                                 auth_service.c (poll)
 *     │ auth_check_start                              ▲   │ backend: who is this, with which hash?
 *     ▼                                               │   ▼
 *   cache.c ── hit: DONE, no other process asked      │  verifier.c: bounded queue, a few threads that hash
 *     │ miss                                          │   │
 *   auth_client.c ══ SOCK_SEQPACKET, auth_message.h ══╧═══╯ answer
 *
 * Only the auth process reads the users file, so only it ever holds password hashes; a worker holds a password from the
 * AUTH line until auth_check_start returns. Hashing costs tens of milliseconds by design: that is why it happens on
 * threads of another process, behind a queue with a bound, and never in a worker's loop.
 *
 * What a client can learn: wrong password, unknown user and disabled account are one reply (PROTOCOLS.md 1, "AUTH")
 * after one amount of hashing. The results differ only for events and limits, which strangers do not see.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "base/err.h"
#include "base/str.h"

enum {
    AUTH_NAME_MAX_BYTES = 320,    /* 64 @ 255: the longest address */
    AUTH_PASSWORD_MAX_BYTES = 511 /* crypt(3) takes no longer one */
};

/* The words of the `auth` event's `result`. */
enum auth_result {
    AUTH_OK,          /* 235 */
    AUTH_WRONG,       /* 535: the password is not the user's */
    AUTH_UNKNOWN,     /* 535: no such user */
    AUTH_DISABLED,    /* 535: an account that is locked or past its end, whatever the password */
    AUTH_UNAVAILABLE, /* 454: queue full, deadline passed, auth process away, users file never read, out of memory */
    AUTH_RESULT_COUNT
};

/* "ok", "wrong", "unknown", "disabled", "unavailable". */
const char *auth_result_name(enum auth_result r);

/* May a login be called this? 1 to AUTH_NAME_MAX_BYTES bytes of UTF-8, no control character, no ':' (it ends a name in
 * the users file), no white space at either end. What is no name is no user's: its login is AUTH_UNKNOWN. False with a
 * reason. */
MUST_USE bool auth_name_check(struct str name, struct err *err);

/* The option `realm`: a bare name (no '@') means name@realm, in logins and in the users file alike. Into `to` of
 * AUTH_NAME_MAX_BYTES + 1 bytes, NUL-terminated. realm empty: as it is. STR_NONE: too long. */
struct str auth_name_complete(struct str name, struct str realm, char *to);

#endif
