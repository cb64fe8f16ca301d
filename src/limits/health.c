/* health.c - see health.h. */
#include "limits/health.h"

#include <stdio.h>

#define SKEW_US 1000000

const char *health_trouble_name(enum health_trouble trouble)
{
    static const char *const NAMES[HEALTH_TROUBLES] = {"eviction", "memory",  "clock", "replicas",
                                                       "replica",  "version", "acl"};
    return NAMES[trouble];
}

/* "name:value\r\n" */
static struct str info_get(struct str info, struct str name)
{
    while (info.len) {
        struct str line = str_split(info, '\n', &info);
        if (str_starts(line, name) && line.len > name.len && line.ptr[name.len] == ':') {
            line = str_from(line, name.len + 1);
            line.len -= line.len && line.ptr[line.len - 1] == '\r';
            return line;
        }
    }
    return STR_NONE;
}

static uint64_t info_number(struct str info, struct str name)
{
    uint64_t n;
    return str_to_u64(info_get(info, name), UINT64_MAX, &n) ? n : 0;
}

static void judge_memory(struct health *h, struct str info)
{
    struct str policy = info_get(info, STR("maxmemory_policy"));
    h->memory_bytes = info_number(info, STR("used_memory"));
    h->memory_max_bytes = info_number(info, STR("maxmemory"));
    if (policy.len && !str_equal(policy, STR("noeviction")))
        snprintf(h->texts[HEALTH_EVICTION], sizeof h->texts[0],
                 "it may throw keys away when memory is short (maxmemory-policy " PRI_STR "), and limits with them: "
                 "`CONFIG SET maxmemory-policy noeviction`, and in redis.conf",
                 STR_ARG(policy));
    if (h->memory_max_bytes && h->memory_bytes > h->memory_max_bytes / 10 * 9)
        snprintf(h->texts[HEALTH_MEMORY], sizeof h->texts[0],
                 "it uses %llu of %llu MiB (maxmemory); when it is full nothing can be counted there: raise maxmemory",
                 (unsigned long long)(h->memory_bytes >> 20), (unsigned long long)(h->memory_max_bytes >> 20));
}

static void judge_clock(struct health *h, int64_t skew_us)
{
    if (skew_us < SKEW_US && skew_us > -SKEW_US)
        return;
    uint64_t ms = (uint64_t)(skew_us < 0 ? -skew_us : skew_us) / 1000;
    snprintf(h->texts[HEALTH_CLOCK], sizeof h->texts[0],
             "this node's clock is %llu.%llu s %s Redis': counts use Redis' clock, but the times of events do not; set "
             "up time synchronisation on both",
             (unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000 / 100),
             skew_us > 0 ? "behind" : "ahead of");
}

static void judge_replication(struct health *h, struct str info, enum redis_shape shape)
{
    struct str role = info_get(info, STR("role"));
    if (shape == REDIS_SENTINEL && str_equal(role, STR("master")) && info_number(info, STR("connected_slaves")) == 0)
        snprintf(h->texts[HEALTH_REPLICAS], sizeof h->texts[0],
                 "no replica follows this master: if it fails, Sentinel has nothing to fail over to");
    if (str_equal(role, STR("slave")) && str_equal(info_get(info, STR("master_link_status")), STR("down")))
        snprintf(h->texts[HEALTH_REPLICA], sizeof h->texts[0],
                 "it is a replica that has lost its master: what is counted now it does not know");
}

/* "slave0:ip=127.0.0.1,port=6380,state=online,offset=14,lag=1" */
bool health_is_followed(struct str info)
{
    while (info.len) {
        struct str line = str_split(info, '\n', &info);
        if (str_starts(line, STR("slave")) && line.len > 5 && line.ptr[5] >= '0' && line.ptr[5] <= '9' &&
            str_contains_nocase(line, STR(",state=online")))
            return true;
    }
    return false;
}

/* "7.0.15"; from 6.2 on. Valkey says which Redis it is like. */
static void judge_version(struct health *h, struct str info)
{
    struct str version = info_get(info, STR("redis_version")), rest;
    uint64_t major, minor;
    str_copy_into(h->version, sizeof h->version, version);
    if (!str_to_u64(str_split(version, '.', &rest), 1000, &major) ||
        !str_to_u64(str_split(rest, '.', &rest), 1000, &minor))
        return;
    if (major < 6 || (major == 6 && minor < 2))
        snprintf(h->texts[HEALTH_VERSION], sizeof h->texts[0],
                 "it is Redis %s, and mailweir needs 6.2 or newer (or Valkey): no limit is counted there", h->version);
}

void health_judge(struct health *h, struct str info, enum redis_shape shape, bool has_skew, int64_t skew_us)
{
    for (size_t i = 0; i < HEALTH_TROUBLES; i++)
        if (i != HEALTH_ACL)
            h->texts[i][0] = '\0';
    h->is_known = true;
    judge_memory(h, info);
    judge_replication(h, info, shape);
    judge_version(h, info);
    if (has_skew)
        judge_clock(h, skew_us);
}
