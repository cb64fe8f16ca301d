/* keeper_health.c - every minute: is Redis set up as it should be? What changes is said once; and what `status` asks.
 */
#include <stdio.h>

#include "base/log.h"
#include "limits/keeper_inside.h"

static void on_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct keeper_domain *d = c->arg;
    struct keeper *k = d->k;
    struct health before = d->health;
    int64_t skew_us = 0;
    (void)n;
    if (reply->type != REDIS_REPLY_STRING) {
        d->info.has_failed = true;
        return;
    }
    bool has_skew = redis_skew_us(k->options.redis, d->shard, &skew_us);
    health_judge(&d->health, str_of(reply->str, reply->len), k->options.shape, has_skew, skew_us);
    for (size_t i = 0; i < HEALTH_TROUBLES; i++) {
        const char *text = d->health.texts[i], *name = health_trouble_name((enum health_trouble)i);
        struct str shard = redis_shard_name(k->options.redis, d->shard);
        if ((text[0] == '\0') == (before.texts[i][0] == '\0'))
            continue;
        if (text[0])
            log_warning("store redis: " PRI_STR ": %s", STR_ARG(shard), text);
        else
            log_info("store redis: " PRI_STR ": %s: fine again", STR_ARG(shard), name);
        keeper_event(k, d->shard, text[0] ? "warning" : "fine", name, text[0] ? text : NULL);
    }
}

static void on_done(struct redis_call *c, enum redis_result result)
{
    struct keeper_domain *d = c->arg;
    if (!keeper_call_ended(&d->info, result))
        d->next_health_ms = loop_now_ms(d->k->options.loop) + KEEPER_RETRY_MS;
}

void keeper_health_init(struct keeper_domain *d)
{
    redis_call_init(&d->info.call, on_reply, on_done, d);
}

void keeper_health_turn(struct keeper_domain *d)
{
    int64_t now = loop_now_ms(d->k->options.loop);
    struct str words[] = {STR("INFO")};
    if (d->info.is_under_way || now < d->next_health_ms)
        return;
    d->next_health_ms = now + KEEPER_HEALTH_MS;
    d->info.is_late = d->info.has_failed = false;
    d->info.sent_ms = now;
    d->info.is_under_way =
        redis_call_add(&d->info.call, words, 1) && redis_send_to_shard(d->k->options.redis, d->shard, &d->info.call);
    if (d->info.is_under_way)
        return;
    keeper_call_clear(&d->info.call);
    d->next_health_ms = now + KEEPER_RETRY_MS;
}

/* ---- for `status` ---- */

void keeper_state(const struct keeper *k, struct keeper_state *state)
{
    *state = (struct keeper_state){.pushed = k->pushed,
                                   .losses = k->losses,
                                   .settled = k->settled,
                                   .due = keeper_due(k),
                                   .shard_count = redis_shard_count(k->options.redis)};
    for (size_t i = 0; i < OUTAGE_DOMAINS; i++) {
        const struct keeper_domain *d = &k->all_domains[i];
        if (!d->is_used)
            continue;
        state->nodes = MAX_OF(state->nodes, world_nodes(&d->world));
        state->missing = MAX_OF(state->missing, world_missing(&d->world));
        int64_t since_us = outage_alone_since_us(k->options.outage, d->number);
        if (since_us && (!state->alone_since_us || since_us < state->alone_since_us))
            state->alone_since_us = since_us;
    }
    if (k->ban_sync) {
        struct ban_sync_stats bans;
        ban_sync_stats_get(k->ban_sync, &bans);
        state->bans_sent = bans.sent;
        state->bans_received = bans.received;
    }
}

static const struct keeper_domain *domain_of_shard(const struct keeper *k, size_t shard)
{
    for (size_t i = 0; i < OUTAGE_DOMAINS; i++)
        if (k->all_domains[i].is_used && k->all_domains[i].shard == shard)
            return &k->all_domains[i];
    return NULL;
}

void keeper_shard_state(const struct keeper *k, size_t n, struct keeper_shard *shard)
{
    const struct redis *r = k->options.redis;
    const struct keeper_domain *d = domain_of_shard(k, n);
    *shard = (struct keeper_shard){
        .name = redis_shard_name(r, n), .is_up = redis_shard_is_up(r, n), .why_down = redis_why_down(r, n)};
    shard->has_skew = redis_skew_us(r, n, &shard->skew_us);
    if (!d)
        return;
    shard->is_settled = outage_is_settled(k->options.outage, d->number);
    shard->nodes = world_nodes(&d->world);
    shard->missing = world_missing(&d->world);
    shard->memory_bytes = d->health.memory_bytes;
    shard->memory_max_bytes = d->health.memory_max_bytes;
    memcpy(shard->version, d->health.version, sizeof shard->version);
}

bool keeper_finding_next(const struct keeper *k, size_t *at, struct str *shard, struct str *text)
{
    for (; *at < (size_t)OUTAGE_DOMAINS * HEALTH_TROUBLES; ++*at) {
        const struct keeper_domain *d = &k->all_domains[*at / HEALTH_TROUBLES];
        *text = str_of_z(d->health.texts[*at % HEALTH_TROUBLES]);
        if (!d->is_used || !text->len)
            continue;
        *shard = redis_shard_name(k->options.redis, d->shard);
        ++*at;
        return true;
    }
    return false;
}
