/* distinct.c - values as a take names them. See distinct.h. */
#include "limits/distinct.h"

#include <stdlib.h>
#include <string.h>

static struct take_member member_of(struct hash128 counter, struct str value, const struct hash_key *key)
{
    char bytes[sizeof counter + 496];
    struct hash128 digest;
    if (sizeof counter + value.len > sizeof bytes) {
        digest = hash128(key, value);
        value = str_of((const char *)&digest, sizeof digest);
    }
    memcpy(bytes, &counter, sizeof counter);
    if (value.len)
        memcpy(bytes + sizeof counter, value.ptr, value.len);
    struct hash128 id = hash128(key, str_of(bytes, sizeof counter + value.len));
    return (struct take_member){.lo = id.lo | (id.lo == 0), .hi = (uint32_t)id.hi};
}

int distinct_compare(const void *a, const void *b)
{
    const struct take_member *x = a, *y = b;
    if (x->lo != y->lo)
        return x->lo < y->lo ? -1 : 1;
    return x->hi < y->hi ? -1 : x->hi > y->hi;
}

void distinct_set_members(struct take *take, struct take_member *to, const struct str *values, size_t count,
                          const struct hash_key *key)
{
    struct counter counter = take->counter;
    counter_set_id(&counter, key);
    for (size_t i = 0; i < count; i++)
        to[i] = member_of(counter.id, values[i], key);
    if (count > 1)
        qsort(to, count, sizeof *to, distinct_compare);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || distinct_compare(&to[kept - 1], &to[i]) != 0)
            to[kept++] = to[i];
    take->members = to;
    take->member_count = kept;
    take->cost[COLUMN_ONE] = (uint32_t)kept;
}
