/* requests.c - a row per request of the control socket. See admin.h. */
#include "admin/admin.h"

const struct control_row admin_requests[] = {
    {"status", admin_status},         /* {} */
    {"reload", admin_reload},         /* {} */
    {"stop", admin_stop},             /* {} */
    {"bans", admin_bans},             /* {} */
    {"ban", admin_ban},               /* {"key", "duration", "why"?, "who"?} */
    {"unban", admin_unban},           /* {"key", "who"?} */
    {"limits", admin_limits},         /* {"key"} */
    {"reset", admin_reset},           /* {"key", "limit"?, "who"?} */
    {"allow", admin_allow},           /* {"key", "limit", "rate", "for"?, "why"?, "who"?} */
    {"allowances", admin_allowances}, /* {} */
    {"audit", admin_audit},           /* {"repair"?} */
};
const size_t admin_request_count = COUNT_OF(admin_requests);

void admin_init(struct admin *a)
{
    list_init(&a->reloads);
}

bool admin_waits_for_redis(const struct admin *a)
{
    size_t shards = a->redis ? redis_shard_count(a->redis) : 0;
    for (size_t i = 0; i < shards; i++)
        if (!redis_shard_is_up(a->redis, i))
            return true;
    return a->redis && shards == 0;
}

void admin_fini(struct admin *a)
{
    admin_audit_end(a);
}
