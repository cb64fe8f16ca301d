/*
 * keeper_beat.c - this node's heartbeat, and everybody's, in one round trip.
 *
 *   GET epoch
 *   ZSCORE nodes ME
 *   [ZADD nodes UNTIL ME   PEXPIREAT nodes …]
 *   ZREMRANGEBYSCORE nodes …
 *   ZRANGEBYSCORE nodes …
 *
 * The two in brackets only if all that this node decided alone is counted: that is what a heartbeat says (keeper.h).
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "limits/index_pages.h"
#include "limits/keeper_inside.h"

enum { FOREIGN_READINGS = 10 };

#define NODES_LAST_US (2 * OUTAGE_FORGET_US)
#define READ_MAX      STR("512") /* twice as many as are remembered: some are read again under another's name */

/* Replies by their number; those of arrays are the nodes. */
enum { READ_EPOCH, READ_OWN };

static int64_t now_ms(const struct keeper *k)
{
    return loop_now_ms(k->options.loop);
}

static bool node_of(const redisReply *reply, uint64_t *node)
{
    char *end;
    if (reply->type != REDIS_REPLY_STRING || reply->len != NODE_ID_BYTES)
        return false;
    *node = strtoull(reply->str, &end, 16);
    return *end == '\0';
}

static void read_nodes(struct keeper_domain *d, const redisReply *reply)
{
    struct keeper *k = d->k;
    uint64_t node;
    if (reply->type != REDIS_REPLY_ARRAY)
        return;
    world_begin_reading(&d->world, keeper_now_us(k, d->number));
    for (size_t i = 0; i + 1 < reply->elements; i += 2)
        if (node_of(reply->element[i], &node))
            world_read(&d->world, node, index_pages_score(reply->element[i + 1]));
    world_end_reading(&d->world);
    outage_set(k->options.outage, d->number, world_nodes(&d->world), world_missing(&d->world), world_alone(&d->world));
}

/* Somebody else writes this node's heartbeat: then the two are one for all others, and use one share twice. */
static void read_own(struct keeper_domain *d, const redisReply *reply)
{
    int64_t score = index_pages_score(reply);
    if (d->written_us == 0 || score == 0 || score == d->written_us) {
        d->foreign = 0;
        return;
    }
    if (++d->foreign != FOREIGN_READINGS)
        return;
    const char *text = "another node has the same id as this one, so limits may let too much pass while Redis is away: "
                       "remove the file \"node\" from the state directory of one of them, and restart it";
    log_warning("store redis: %s", text);
    keeper_event(d->k, d->shard, "warning", "node", text);
}

/* Redis stood still: whoever had mail meanwhile decided alone, and what he said before that says nothing now. So it is
 * as if the link had come up just now. */
static void look_for_stall(struct keeper_domain *d)
{
    int64_t took_ms = now_ms(d->k) - d->beat.sent_ms;
    if (d->beat.is_late || (d->is_in_trouble && !d->k->is_asleep && took_ms >= KEEPER_STALL_MS))
        keeper_trouble(d);
}

static void on_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct keeper_domain *d = c->arg;
    uint64_t epoch = 0;
    if (n == READ_EPOCH && d->is_checked && !d->is_taking_away)
        look_for_stall(d);
    if (reply->type == REDIS_REPLY_ERROR)
        d->beat.has_failed = true;
    else if (n == READ_EPOCH)
        d->is_same_data = reply->type == REDIS_REPLY_STRING &&
                          keeper_read_hex(str_of(reply->str, reply->len), 16, &epoch) &&
                          epoch == d->k->tags[d->number].epoch;
    else if (n == READ_OWN)
        read_own(d, reply);
    else if (d->is_same_data)
        read_nodes(d, reply);
}

static void on_done(struct redis_call *c, enum redis_result result)
{
    struct keeper_domain *d = c->arg;
    bool is_fine = keeper_call_ended(&d->beat, result);
    if (d->is_taking_away) {
        d->has_left = is_fine;
        return;
    }
    if (d->writing_us)
        d->written_us = is_fine ? d->writing_us : 0;
    if (!is_fine) {
        d->next_beat_ms = now_ms(d->k) + KEEPER_RETRY_MS;
        return;
    }
    outage_reached(d->k->options.outage, d->number, now_ms(d->k) * 1000);
    if (!d->is_checked || !keeper_is_up(d))
        return; /* meanwhile it was found out otherwise */
    if (!d->is_same_data) {
        keeper_distrust(d);
        keeper_beat_end(d);
        return;
    }
    if (d->making_us >= d->world.trouble_us && d->making_us)
        d->beat_us = d->making_us;
    keeper_try_settle(d);
}

void keeper_beat_init(struct keeper_domain *d)
{
    redis_call_init(&d->beat.call, on_reply, on_done, d);
}

static bool add(struct redis_call *c, struct str command, struct str key, struct str a, struct str b)
{
    struct str words[] = {command, key, a, b};
    return redis_call_add(c, words, b.ptr ? 4 : a.ptr ? 3 : 2);
}

static bool compose(struct keeper_domain *d, struct str nodes, int64_t now_us)
{
    struct keeper *k = d->k;
    struct redis_call *c = &d->beat.call;
    char epoch_key[DOMAINS_KEY_MAX_BYTES], until[STR_OF_U64_MAX], expiry[STR_OF_U64_MAX], old[STR_OF_U64_MAX];
    struct str epoch = keeper_key(k, STR("epoch"), d->number, epoch_key);
    struct str range[] = {STR("ZRANGEBYSCORE"), nodes,        STR("-inf"), STR("+inf"),
                          STR("WITHSCORES"),    STR("LIMIT"), STR("0"),    READ_MAX};
    bool fits =
        add(c, STR("GET"), epoch, STR_NONE, STR_NONE) && add(c, STR("ZSCORE"), nodes, k->options.node, STR_NONE);
    if (d->writing_us)
        fits = fits && add(c, STR("ZADD"), nodes, str_of_u64(until, (uint64_t)d->writing_us), k->options.node) &&
               add(c, STR("PEXPIREAT"), nodes, str_of_u64(expiry, (uint64_t)(now_us + NODES_LAST_US) / 1000), STR_NONE);
    return fits &&
           add(c, STR("ZREMRANGEBYSCORE"), nodes, STR("-inf"),
               str_of_u64(old, (uint64_t)MAX_OF(now_us - OUTAGE_FORGET_US, 0))) &&
           redis_call_add(c, range, COUNT_OF(range));
}

static void send_beat(struct keeper_domain *d, int64_t writing_us)
{
    struct keeper *k = d->k;
    char key[DOMAINS_KEY_MAX_BYTES];
    struct str nodes = keeper_key(k, STR("nodes"), d->number, key);
    d->writing_us = writing_us;
    d->is_same_data = false;
    if (!compose(d, nodes, redis_now_us(k->options.redis, nodes)) || !keeper_send(k, &d->beat, nodes)) {
        keeper_call_clear(&d->beat.call);
        d->next_beat_ms = now_ms(k) + KEEPER_RETRY_MS;
    }
}

void keeper_beat_turn(struct keeper_domain *d)
{
    struct keeper *k = d->k;
    int64_t now = now_ms(k);
    bool is_clear = !k->is_leaving && !d->must_push_all && !keeper_is_cut_off(d) && keeper_push_is_clear(d);
    bool is_wanted = is_clear && d->is_in_trouble && d->beat_us == 0;
    if (!d->is_checked || d->beat.is_under_way || (now < d->next_beat_ms && !is_wanted))
        return;
    d->next_beat_ms = now + (d->is_in_trouble || world_alone(&d->world) ? KEEPER_BEAT_BUSY_MS : KEEPER_BEAT_MS);
    d->making_us = is_clear ? keeper_now_us(k, d->number) : 0;
    send_beat(d, is_clear ? world_score(d->making_us + OUTAGE_BEAT_HOLDS_US, d->is_in_trouble) : 0);
}

void keeper_beat_end(struct keeper_domain *d)
{
    d->making_us = 0;
    send_beat(d, keeper_now_us(d->k, d->number));
}

void keeper_beat_leave(struct keeper_domain *d)
{
    struct keeper *k = d->k;
    char key[DOMAINS_KEY_MAX_BYTES];
    struct str nodes = keeper_key(k, STR("nodes"), d->number, key);
    d->is_taking_away = true;
    if (!add(&d->beat.call, STR("ZREM"), nodes, k->options.node, STR_NONE) || !keeper_send(k, &d->beat, nodes))
        keeper_call_clear(&d->beat.call);
}
