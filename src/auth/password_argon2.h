/*
 * password_argon2.h - argon2 in its encoded form, for password_hash.c:
 *
 *   $argon2id$v=19$m=65536,t=3,p=1$SALT$HASH      m: KiB of memory, t: passes, p: lanes; base64 without padding
 *
 * Read by ourselves rather than by argon2_verify(), for three reasons: the costs must be known (and bounded) when the
 * file is read, not when a login hashes; lanes are computed one after the other in the calling thread, where the
 * library's own form starts a thread for each; and "no memory" must not look like "wrong password". Without `v=` it is
 * version 1.0, as written then.
 */
#ifndef AUTH_PASSWORD_ARGON2_H
#define AUTH_PASSWORD_ARGON2_H

#include "auth/password_hash.h"

enum { ARGON2_SALT_MAX = 64, ARGON2_SUM_MAX = 64 };

struct argon2_hash {
    bool is_argon2id; /* else argon2i */
    uint32_t version;
    uint32_t memory_kib, passes, lanes;
    unsigned char salt[ARGON2_SALT_MAX], sum[ARGON2_SUM_MAX];
    size_t salt_len, sum_len;
};

/* False with the reason: broken, unsalted, or too costly. */
MUST_USE bool argon2_hash_read(struct str text, struct argon2_hash *h, struct err *err);
/* Computes the sum of a password under h's salt and costs into `sum` of h->sum_len bytes. False: no memory. */
MUST_USE bool argon2_hash_compute(const struct argon2_hash *h, struct str password, unsigned char *sum);
/* Into `to` of PASSWORD_HASH_MAX_BYTES + 1 bytes. False: no memory. */
MUST_USE bool argon2_hash_write(const struct argon2_hash *h, char *to);

#endif
