/*
 * keeper_health.c - every minute, and whenever a shard has come up: is Redis set up as it should be (health.h), may our
 * user do there what is needed (acl.h)? What changes is said once; and what `status` asks.
 *
 *   turn ─▶ INFO and questions in one call ─▶ replies ─▶ [PFADD, in a second one] ─▶ conclude: log, `store` events
 */
#include <stdio.h>

#include "base/log.h"
#include "limits/keeper_inside.h"

/* ---- what was found ---- */

static void tell(const struct keeper_domain *d, size_t trouble)
{
    struct keeper *k = d->k;
    struct str shard = redis_shard_name(k->options.redis, d->shard);
    const char *text = d->health.texts[trouble], *name = health_trouble_name((enum health_trouble)trouble);
    if (text[0])
        log_warning("store redis: " PRI_STR ": %s", STR_ARG(shard), text);
    else
        log_info("store redis: " PRI_STR ": %s: fine again", STR_ARG(shard), name);
    keeper_event(k, d->shard, text[0] ? "warning" : "fine", name, text[0] ? text : NULL);
}

static void take_info(struct keeper_domain *d, const redisReply *reply)
{
    struct keeper *k = d->k;
    bool was_amiss[HEALTH_TROUBLES];
    int64_t skew_us = 0;
    bool has_skew = redis_skew_us(k->options.redis, d->shard, &skew_us);
    for (size_t i = 0; i < HEALTH_TROUBLES; i++)
        was_amiss[i] = d->health.texts[i][0] != '\0';
    health_judge(&d->health, str_of(reply->str, reply->len), k->options.shape, has_skew, skew_us);
    for (size_t i = 0; i < HEALTH_TROUBLES; i++)
        if (was_amiss[i] != (d->health.texts[i][0] != '\0'))
            tell(d, i);
}

static void take_acl(struct keeper_domain *d)
{
    char before[HEALTH_TEXT_BYTES];
    memcpy(before, d->health.texts[HEALTH_ACL], sizeof before);
    acl_describe(&d->acl, redis_user(d->k->options.redis), d->k->options.prefix, d->health.texts[HEALTH_ACL]);
    if (strcmp(before, d->health.texts[HEALTH_ACL]) != 0)
        tell(d, HEALTH_ACL);
}

/* ---- asking ---- */

static void ask(struct keeper_domain *d, enum acl_stage stage)
{
    struct keeper *k = d->k;
    char name[32], text[DOMAINS_KEY_MAX_BYTES];
    int len = snprintf(name, sizeof name, "probe:" PRI_STR, STR_ARG(k->options.node)); /* no other node has it */
    struct str key = keeper_key(k, str_of(name, (size_t)len), d->number, text);
    d->acl_stage = stage;
    d->info.call.may_be_denied = true;
    if (acl_ask(&d->acl, stage, k->options.shape, key, &d->info.call) && keeper_send(k, &d->info, key))
        return;
    keeper_call_clear(&d->info.call);
    d->next_health_ms = loop_now_ms(k->options.loop) + KEEPER_RETRY_MS;
}

static void on_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct keeper_domain *d = c->arg;
    if (d->acl_stage == ACL_STAGE_FIRST && n == ACL_INFO && reply->type == REDIS_REPLY_STRING)
        take_info(d, reply);
    acl_take(&d->acl, n, reply);
}

static void on_done(struct redis_call *c, enum redis_result result)
{
    struct keeper_domain *d = c->arg;
    if (!keeper_call_ended(&d->info, result))
        d->next_health_ms = loop_now_ms(d->k->options.loop) + KEEPER_RETRY_MS;
    else if (d->acl_stage == ACL_STAGE_FIRST && acl_has_second(&d->acl))
        ask(d, ACL_STAGE_SECOND);
    else
        take_acl(d);
}

void keeper_health_init(struct keeper_domain *d)
{
    redis_call_init(&d->info.call, on_reply, on_done, d);
}

void keeper_health_turn(struct keeper_domain *d)
{
    int64_t now = loop_now_ms(d->k->options.loop);
    if (d->info.is_under_way || now < d->next_health_ms)
        return;
    d->next_health_ms = now + KEEPER_HEALTH_MS;
    acl_begin(&d->acl);
    ask(d, ACL_STAGE_FIRST);
}

/* ---- for `status` ---- */

void keeper_state(const struct keeper *k, struct keeper_state *state)
{
    *state = (struct keeper_state){.pushed = k->pushed,
                                   .losses = k->losses,
                                   .settled = k->settled,
                                   .due = keeper_due(k),
                                   .shard_count = redis_shard_count(k->options.redis)};
    if (state->shard_count == 0)
        state->why_none = redis_why_down(k->options.redis, 0);
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
