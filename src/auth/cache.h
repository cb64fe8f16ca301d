/*
 * cache.h - verified logins of one worker: makes the next login of the same client cheap (`auth … { cache 5m }`).
 *
 * An entry is an HMAC-SHA-256 of user, password and client network under a key that this process alone has, and the
 * user's name: never the password, nor anything that can be computed without the key. Only AUTH_OK is remembered. An
 * entry lives from its verification on, hits do not prolong it, and dies earlier when the users file changes (the auth
 * process says so within about a second) or a more recently used one needs its place. Bounded: `entries`, in sets of 8.
 */
#ifndef AUTH_CACHE_H
#define AUTH_CACHE_H

#include "auth/auth.h"
#include "net/addr.h"

struct auth_cache;

/* A login's place in the cache. */
struct auth_cache_key {
    unsigned char mac[32];
};

/* entries: 8 to 1 << 20, rounded up to a power of two. ttl_ms 0: nothing is ever found. NULL with err: no memory. */
struct auth_cache *auth_cache_new(size_t entries, int64_t ttl_ms, struct err *err);
void auth_cache_free(struct auth_cache **c);

/* False: no memory; there is no key then. The user's case does not count. */
MUST_USE bool auth_cache_key_make(struct auth_cache *c, struct str user, struct str password,
                                  const struct ip_net *network, struct auth_cache_key *key);
/* The canonical name of the login, borrowed until the cache is next changed. STR_NONE: not there, or too old. */
struct str auth_cache_get(struct auth_cache *c, const struct auth_cache_key *key, int64_t now_ms);
/* Without memory it is not remembered, nothing else. */
void auth_cache_put(struct auth_cache *c, const struct auth_cache_key *key, struct str canonical_user, int64_t now_ms);
void auth_cache_flush(struct auth_cache *c);
/* Live and dead entries that hold memory. */
size_t auth_cache_count(const struct auth_cache *c);

#endif
