/*
 * hash.h - SipHash-2-4 (Aumasson and Bernstein), keyed: what strangers choose cannot be made to collide.
 *
 * The 64-bit form is for tables in memory, the 128-bit form names an entity by its hash alone (LIMITS.md, "The embedded
 * store"): with a secret key nobody can search for two entities that share a counter.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/str.h"

struct hash_key {
    uint64_t k0, k1;
};
struct hash128 {
    uint64_t lo, hi;
};

uint64_t hash64(const struct hash_key *key, struct str s);
struct hash128 hash128(const struct hash_key *key, struct str s);

/* A key from the kernel's random source; panics where there is none. */
struct hash_key hash_key_random(void);
/* One per process, made at its first use (forked children share their parent's if it had one). */
const struct hash_key *hash_process_key(void);

/* len random bytes from the kernel; panics where there are none. */
void random_bytes(void *to, size_t len);

#endif
