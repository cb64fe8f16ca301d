/* cache.c - verified logins, set-associative. See cache.h. */
#include "auth/cache.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/panic.h"

enum { WAYS = 8, MAC_KEY_BYTES = 32 };

struct cache_entry {
    struct auth_cache_key key;
    int64_t until_ms; /* 0: empty */
    uint64_t last_use;
    char *user; /* NUL-terminated, canonical */
};

struct auth_cache {
    EVP_MAC_CTX *mac; /* keyed once; every use begins it anew with the same key */
    struct cache_entry *entries;
    size_t set_count; /* a power of two */
    int64_t ttl_ms;
    uint64_t uses; /* a clock for "least recently" */
    size_t count;
};

static EVP_MAC_CTX *mac_new(void)
{
    unsigned char key[MAC_KEY_BYTES];
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    EVP_MAC_free(hmac); /* the context holds its own reference */
    random_bytes(key, sizeof key);
    if (mac && !EVP_MAC_init(mac, key, sizeof key, params)) {
        EVP_MAC_CTX_free(mac);
        mac = NULL;
    }
    explicit_bzero(key, sizeof key);
    return mac;
}

struct auth_cache *auth_cache_new(size_t entries, int64_t ttl_ms, struct err *err)
{
    PANIC_IF(entries < WAYS || entries > 1 << 20, "a cache of %zu logins", entries);
    struct auth_cache *c = calloc(1, sizeof *c);
    if (!c) {
        err_no_memory(err);
        return NULL;
    }
    c->ttl_ms = ttl_ms;
    for (c->set_count = 1; c->set_count * WAYS < entries;)
        c->set_count *= 2;
    c->entries = calloc(c->set_count * WAYS, sizeof *c->entries);
    c->mac = mac_new();
    if (!c->entries || !c->mac) {
        err_no_memory(err);
        auth_cache_free(&c);
    }
    return c;
}

void auth_cache_free(struct auth_cache **cache)
{
    struct auth_cache *c = *cache;
    *cache = NULL;
    if (!c)
        return;
    if (c->entries)
        auth_cache_flush(c);
    free(c->entries);
    EVP_MAC_CTX_free(c->mac);
    free(c);
}

/* With its length, so that no two logins are one string of bytes. */
static bool mac_add(EVP_MAC_CTX *mac, const void *bytes, size_t len)
{
    uint32_t length = (uint32_t)len;
    return EVP_MAC_update(mac, (const unsigned char *)&length, sizeof length) && EVP_MAC_update(mac, bytes, len);
}

bool auth_cache_key_make(struct auth_cache *c, struct str user, struct str password, const struct ip_net *network,
                         struct auth_cache_key *key)
{
    char lower[AUTH_NAME_MAX_BYTES];
    size_t len;
    if (user.len > sizeof lower)
        return false;
    for (size_t i = 0; i < user.len; i++)
        lower[i] = ascii_lower(user.ptr[i]);
    unsigned char net[2 + sizeof network->ip.bytes] = {network->ip.family, network->prefix};
    memcpy(net + 2, network->ip.bytes, sizeof network->ip.bytes);
    return EVP_MAC_init(c->mac, NULL, 0, NULL) && mac_add(c->mac, lower, user.len) &&
           mac_add(c->mac, password.ptr, password.len) && mac_add(c->mac, net, sizeof net) &&
           EVP_MAC_final(c->mac, key->mac, &len, sizeof key->mac) && len == sizeof key->mac;
}

/* The mac is random to strangers: its first bytes choose the set well. */
static struct cache_entry *set_of(struct auth_cache *c, const struct auth_cache_key *key)
{
    uint32_t index;
    memcpy(&index, key->mac, sizeof index);
    return &c->entries[(index & (c->set_count - 1)) * WAYS];
}

static bool is_entry_of(const struct cache_entry *e, const struct auth_cache_key *key)
{
    return e->until_ms && CRYPTO_memcmp(e->key.mac, key->mac, sizeof key->mac) == 0;
}

static void entry_drop(struct auth_cache *c, struct cache_entry *e)
{
    if (!e->until_ms)
        return;
    free(e->user);
    explicit_bzero(e, sizeof *e);
    c->count--;
}

struct str auth_cache_get(struct auth_cache *c, const struct auth_cache_key *key, int64_t now_ms)
{
    struct cache_entry *set = set_of(c, key);
    for (struct cache_entry *e = set; e < set + WAYS; e++) {
        if (!is_entry_of(e, key))
            continue;
        if (e->until_ms <= now_ms) {
            entry_drop(c, e);
            break;
        }
        e->last_use = ++c->uses;
        return str_of_z(e->user);
    }
    return STR_NONE;
}

void auth_cache_put(struct auth_cache *c, const struct auth_cache_key *key, struct str canonical_user, int64_t now_ms)
{
    struct cache_entry *set = set_of(c, key), *place = set;
    if (c->ttl_ms <= 0)
        return;
    for (struct cache_entry *e = set; e < set + WAYS; e++) {
        if (is_entry_of(e, key)) {
            place = e;
            break;
        }
        if (e->until_ms <= now_ms)
            entry_drop(c, e); /* too old, or empty */
        if (e->last_use < place->last_use)
            place = e;
    }
    char *user = str_copy_z(canonical_user);
    if (!user)
        return;
    entry_drop(c, place);
    *place = (struct cache_entry){.key = *key, .until_ms = now_ms + c->ttl_ms, .last_use = ++c->uses, .user = user};
    c->count++;
}

void auth_cache_flush(struct auth_cache *c)
{
    for (size_t i = 0; i < c->set_count * WAYS; i++)
        entry_drop(c, &c->entries[i]);
}

size_t auth_cache_count(const struct auth_cache *c)
{
    return c->count;
}
