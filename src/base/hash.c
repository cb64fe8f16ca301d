/* hash.c - SipHash-2-4. See hash.h. */
#include "base/hash.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/panic.h"

#define ROTATE(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = ROTATE(s->v1, 13) ^ s->v0;
    s->v0 = ROTATE(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = ROTATE(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = ROTATE(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = ROTATE(s->v1, 17) ^ s->v2;
    s->v2 = ROTATE(s->v2, 32);
}

static inline uint64_t load_le(const char *p, size_t n)
{
    uint64_t word = 0;
    for (size_t i = 0; i < n; i++)
        word |= (uint64_t)(unsigned char)p[i] << (8 * i);
    return word;
}

static struct sip sip_absorb(const struct hash_key *key, struct str s, uint64_t tweak)
{
    struct sip v = {key->k0 ^ 0x736f6d6570736575ULL, key->k1 ^ 0x646f72616e646f6dULL ^ tweak,
                    key->k0 ^ 0x6c7967656e657261ULL, key->k1 ^ 0x7465646279746573ULL};
    size_t i = 0;
    for (; i + 8 <= s.len; i += 8) {
        uint64_t word;
        memcpy(&word, s.ptr + i, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        v.v3 ^= word;
        sip_round(&v);
        sip_round(&v);
        v.v0 ^= word;
    }
    uint64_t last = (uint64_t)s.len << 56;
    if (i < s.len)
        last |= load_le(s.ptr + i, s.len - i);
    v.v3 ^= last;
    sip_round(&v);
    sip_round(&v);
    v.v0 ^= last;
    return v;
}

static uint64_t sip_finish(struct sip *v, uint64_t tweak)
{
    v->v2 ^= tweak;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v->v0 ^ v->v1 ^ v->v2 ^ v->v3;
}

uint64_t hash64(const struct hash_key *key, struct str s)
{
    struct sip v = sip_absorb(key, s, 0);
    return sip_finish(&v, 0xff);
}

struct hash128 hash128(const struct hash_key *key, struct str s)
{
    struct sip v = sip_absorb(key, s, 0xee);
    struct hash128 h;
    h.lo = sip_finish(&v, 0xee);
    v.v1 ^= 0xdd;
    h.hi = sip_finish(&v, 0);
    return h;
}

void random_bytes(void *to, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = getrandom((char *)to + done, len - done, 0);
        PANIC_IF(n < 0 && errno != EINTR, "the kernel gives no random bytes: %s", strerror(errno));
        if (n > 0)
            done += (size_t)n;
    }
}

struct hash_key hash_key_random(void)
{
    struct hash_key key;
    random_bytes(&key, sizeof key);
    return key;
}

const struct hash_key *hash_process_key(void)
{
    static struct hash_key key;
    static bool made;
    if (!made) {
        key = hash_key_random();
        made = true;
    }
    return &key;
}
