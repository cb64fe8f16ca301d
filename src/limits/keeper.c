/* keeper.c - the keeper's turn, and when a domain is settled. See keeper.h, keeper_inside.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "limits/keeper_inside.h"
#include "stats/event.h"

struct str keeper_key(const struct keeper *k, struct str name, unsigned tag, char to[DOMAINS_KEY_MAX_BYTES])
{
    return domains_key(k->options.prefix, name, k->options.shape == REDIS_CLUSTER, tag, to);
}

int64_t keeper_now_us(const struct keeper *k, unsigned domain)
{
    char key[DOMAINS_KEY_MAX_BYTES];
    return redis_now_us(k->options.redis, keeper_key(k, STR("nodes"), domain, key));
}

struct keeper_domain *keeper_domain_of_tag(struct keeper *k, unsigned tag)
{
    uint16_t shard = k->domains.shard_of[tag];
    return shard == DOMAINS_NO_SHARD ? NULL : &k->all_domains[domains_of_shard(&k->domains, shard)];
}

bool keeper_is_up(const struct keeper_domain *d)
{
    return d->is_used && redis_shard_is_up(d->k->options.redis, d->shard);
}

bool keeper_read_hex(struct str text, size_t digits, uint64_t *words)
{
    static const char HEX[] = "0123456789abcdef";
    if (text.len != digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        const char *at = memchr(HEX, text.ptr[i], 16);
        if (!at)
            return false;
        words[i / 16] = words[i / 16] << 4 | (uint64_t)(at - HEX);
    }
    return true;
}

static int64_t now_ms(const struct keeper *k)
{
    return loop_now_ms(k->options.loop);
}

bool keeper_is_cut_off(const struct keeper_domain *d)
{
    return outage_is_cut_off(d->k->options.outage, d->number, now_ms(d->k) * 1000);
}

/* ---- calls ---- */

void keeper_call_clear(struct redis_call *c)
{
    redis_call_fini(c);
    redis_call_init(c, c->on_reply, c->on_done, c->arg);
}

bool keeper_send(struct keeper *k, struct keeper_call *c, struct str key)
{
    c->is_late = c->has_failed = false;
    c->sent_ms = now_ms(k);
    c->is_under_way = redis_send(k->options.redis, key, &c->call);
    if (!c->is_under_way)
        keeper_call_clear(&c->call);
    return c->is_under_way;
}

bool keeper_call_ended(struct keeper_call *c, enum redis_result result)
{
    c->is_under_way = false;
    keeper_call_clear(&c->call);
    return result == REDIS_DONE && !c->has_failed;
}

/* The circuit counts what is not answered; the call goes on. */
static void watch_call(struct keeper *k, struct keeper_call *c)
{
    if (!c->is_under_way || c->is_late || k->is_asleep || now_ms(k) - c->sent_ms < KEEPER_LATE_MS)
        return;
    c->is_late = true;
    redis_call_is_late(k->options.redis, &c->call);
}

/* ---- events ---- */

void keeper_event(struct keeper *k, size_t shard, const char *state, const char *problem, const char *text)
{
    struct event_log *e = k->options.events;
    if (!e)
        return;
    event_begin(e, "store", loop_wall_us(k->options.loop));
    event_z(e, "store", "redis");
    event_str(e, "server", redis_shard_name(k->options.redis, shard));
    event_z(e, "state", state);
    event_z(e, "problem", problem);
    event_z(e, "text", text);
    event_end(e);
}

/* ---- trouble, and its end ---- */

void keeper_tell_again(struct keeper *k)
{
    if (k->ban_sync)
        ban_sync_again(k->ban_sync);
    if (k->options.on_lost)
        k->options.on_lost(k->options.arg);
}

/* Its end as far as this node can know it: from now on counts what others say. */
static void trouble(struct keeper_domain *d)
{
    d->is_in_trouble = true;
    d->trouble_ms = now_ms(d->k);
    d->fine_ms = 0;
    d->pushed = 0;
    d->beat_us = 0;
    d->next_beat_ms = 0;
    world_trouble(&d->world, keeper_now_us(d->k, d->number));
    log_debug("store: domain %u is not settled", d->number);
}

/* Nobody of this node believes the domain until it is settled. */
static void unsettle(struct keeper_domain *d)
{
    if (outage_is_settled(d->k->options.outage, d->number))
        outage_went_alone(d->k->options.outage, d->number, now_ms(d->k) * 1000);
    d->is_in_trouble = true;
}

static void forget_epochs(struct keeper_domain *d)
{
    for (unsigned i = 0; i < OUTAGE_DOMAINS; i++)
        if (keeper_domain_of_tag(d->k, i) == d)
            d->k->tags[i].is_checked = false;
    d->is_checked = false;
    d->next_check_ms = 0;
    d->k->next_secret_ms = 0; /* it may be lost too */
}

void keeper_trouble(struct keeper_domain *d)
{
    unsettle(d);
    trouble(d);
    d->is_told = true;
}

void keeper_distrust(struct keeper_domain *d)
{
    keeper_trouble(d);
    forget_epochs(d);
}

/* Was the link lost, or is it another one? False: it is not up. */
static bool look_at_link(struct keeper_domain *d)
{
    const struct redis *r = d->k->options.redis;
    unsigned ups = redis_shard_ups(r, d->shard);
    bool is_up = redis_shard_is_up(r, d->shard);
    if (is_up && ups == d->ups)
        return true;
    bool was_up = d->ups != 0;
    if (was_up)
        unsettle(d);
    if (!is_up)
        return false;
    d->ups = ups;
    d->next_health_ms = 0; /* it may be another one, or set up anew */
    forget_epochs(d);
    keeper_proof_begin(d);
    if (was_up) {
        trouble(d);
        d->is_told = true;
    } else {
        d->trouble_ms = now_ms(d->k); /* it has only begun, and knows of no trouble */
    }
    return true;
}

static void settle(struct keeper_domain *d)
{
    struct keeper *k = d->k;
    char text[160];
    d->is_in_trouble = false;
    d->next_beat_ms = 0; /* the others have left this node its share until they know */
    world_settled(&d->world);
    k->settled++;
    if (!d->is_told)
        return;
    d->is_told = false;
    snprintf(text, sizeof text,
             "its counts are believed again: %" PRIu64 " counter%s put right, %u node%s, %u of them silent", d->pushed,
             d->pushed == 1 ? " was" : "s were", world_nodes(&d->world), world_nodes(&d->world) == 1 ? "" : "s",
             world_missing(&d->world));
    log_info("store redis: " PRI_STR ": %s", STR_ARG(redis_shard_name(k->options.redis, d->shard)), text);
    keeper_event(k, d->shard, "settled", NULL, text);
}

void keeper_try_settle(struct keeper_domain *d)
{
    struct keeper *k = d->k;
    uint64_t alone_count;
    if (!d->is_in_trouble || !d->is_checked || d->must_push_all || !keeper_is_up(d) || keeper_is_cut_off(d) ||
        d->beat_us == 0)
        return;
    bool is_patient = now_ms(k) - d->trouble_ms < OUTAGE_SETTLE_MAX_US / 1000;
    if (is_patient && (!world_is_back(&d->world) || !k->is_secret_read))
        return;
    if (!d->fine_ms)
        d->fine_ms = now_ms(k);
    if (!keeper_push_is_done(d, &alone_count))
        return;
    if (outage_settle(k->options.outage, d->number, alone_count))
        settle(d);
}

/* ---- the turn ---- */

static void domain_turn(struct keeper_domain *d)
{
    struct keeper *k = d->k;
    watch_call(k, &d->beat);
    watch_call(k, &d->info);
    watch_call(k, &d->proof);
    if (!look_at_link(d) || !keeper_proof_turn(d))
        return;
    if (!d->is_in_trouble && !outage_is_settled(k->options.outage, d->number))
        trouble(d);
    keeper_epoch_turn(d);
    keeper_beat_turn(d);
    keeper_health_turn(d);
    keeper_try_settle(d);
}

/* The Cluster's map changed: domains come and go. Those that come know nobody, but how many there were. */
static void map_domains(struct keeper *k)
{
    uint32_t alive = 0;
    for (unsigned i = 0; i < OUTAGE_DOMAINS; i++) {
        const struct outage_domain *o = &k->options.outage->domains[i];
        alive = MAX_OF(alive, atomic_load(&o->nodes) - MIN_OF(atomic_load(&o->missing), atomic_load(&o->nodes)));
    }
    for (unsigned i = 0; i < OUTAGE_DOMAINS; i++) {
        struct keeper_domain *d = &k->all_domains[i];
        uint16_t shard = k->domains.shard_of[i];
        bool is_used = shard != DOMAINS_NO_SHARD && keeper_domain_of_tag(k, i) == d;
        if (is_used && !d->is_used) {
            world_init(&d->world, k->node, alive);
            d->is_in_trouble = !outage_is_settled(k->options.outage, i);
            d->ups = 0;
            d->beat_us = d->written_us = 0;
        }
        d->is_used = is_used;
        d->shard = shard;
        d->is_checked = k->tags[i].is_checked = false; /* tags may have come from elsewhere */
        d->next_check_ms = 0;
    }
}

static void on_left(void *arg)
{
    struct keeper *k = arg;
    k->on_left(k->on_left_arg);
}

/* Everything that was due is told, or the time is over: away with the heartbeats, and then that is all. */
static bool leave(struct keeper *k)
{
    bool is_over = now_ms(k) >= k->leave_by_ms, has_all_left = true;
    for (unsigned i = 0; i < OUTAGE_DOMAINS && !is_over; i++) {
        struct keeper_domain *d = &k->all_domains[i];
        if (!keeper_is_up(d) || d->has_left)
            continue;
        has_all_left = false;
        if (keeper_due(k) == 0 && !d->beat.is_under_way)
            keeper_beat_leave(d);
    }
    if (!is_over && !has_all_left)
        return false;
    k->is_told_left = true;
    task_defer(k->options.loop, &k->left);
    return true;
}

static bool is_busy(const struct keeper *k)
{
    for (unsigned i = 0; i < OUTAGE_DOMAINS; i++) {
        const struct keeper_domain *d = &k->all_domains[i];
        if (keeper_is_up(d) && d->is_in_trouble && d->is_checked && d->fine_ms)
            return true;
    }
    return false;
}

void keeper_turn(struct keeper *k)
{
    k->is_asleep = k->turn_ms && now_ms(k) - k->turn_ms >= KEEPER_ASLEEP_MS;
    k->turn_ms = now_ms(k);
    if (domains_refresh(&k->domains))
        map_domains(k);
    for (unsigned i = 0; i < OUTAGE_DOMAINS; i++)
        watch_call(k, &k->tags[i].call);
    watch_call(k, &k->secret);
    for (unsigned i = 0; i < OUTAGE_DOMAINS; i++)
        if (k->all_domains[i].is_used)
            domain_turn(&k->all_domains[i]);
    keeper_secret_turn(k);
    keeper_push_turn(k);
    if (k->is_leaving && leave(k))
        return;
    timer_start(&k->turn, now_ms(k) + (is_busy(k) ? KEEPER_TURN_BUSY_MS : KEEPER_TURN_MS));
}

static void on_turn(void *arg)
{
    keeper_turn(arg);
}

/* ---- life ---- */

struct keeper *keeper_new(const struct keeper_options *options, struct err *err)
{
    struct keeper *k = calloc(1, sizeof *k);
    if (!k) {
        err_no_memory(err);
        return NULL;
    }
    k->options = *options;
    if (!keeper_read_hex(options->node, NODE_ID_BYTES, &k->node)) {
        err_set(err, "a node's id has 16 hexadecimal digits, not \"" PRI_STR "\"", STR_ARG(options->node));
        free(k);
        return NULL;
    }
    timer_init(&k->turn, options->loop, on_turn, k);
    task_init(&k->left, on_left, k);
    domains_init(&k->domains, options->redis);
    keeper_epoch_init(k);
    for (unsigned i = 0; i < OUTAGE_DOMAINS; i++) {
        k->all_domains[i].k = k;
        k->all_domains[i].number = i;
        keeper_proof_init(&k->all_domains[i]);
        keeper_beat_init(&k->all_domains[i]);
        keeper_health_init(&k->all_domains[i]);
    }
    struct ban_sync_options bans = {.loop = options->loop,
                                    .redis = options->redis,
                                    .bans = options->bans,
                                    .prefix = options->prefix,
                                    .node_name = str_of_z(options->events ? options->events->node : NULL)};
    if (!keeper_push_init(k) || (options->bans && !(k->ban_sync = ban_sync_new(&bans, err)))) {
        err_no_memory(err);
        keeper_free(&k);
        return NULL;
    }
    timer_start(&k->turn, now_ms(k));
    return k;
}

void keeper_leave(struct keeper *k, unsigned deadline_ms, void (*on_left_cb)(void *arg), void *arg)
{
    k->is_leaving = true;
    k->leave_by_ms = now_ms(k) + deadline_ms;
    k->on_left = on_left_cb;
    k->on_left_arg = arg;
    timer_start(&k->turn, now_ms(k));
}

void keeper_rest(struct keeper *k)
{
    k->rests = true;
    timer_cancel(&k->turn);
    if (k->ban_sync)
        ban_sync_rest(k->ban_sync);
}

void keeper_free(struct keeper **kp)
{
    struct keeper *k = *kp;
    if (!k)
        return;
    timer_cancel(&k->turn);
    task_cancel(&k->left);
    ban_sync_free(&k->ban_sync);
    keeper_push_fini(k);
    keeper_epoch_fini(k);
    for (unsigned i = 0; i < OUTAGE_DOMAINS; i++) {
        redis_call_fini(&k->all_domains[i].proof.call);
        redis_call_fini(&k->all_domains[i].beat.call);
        redis_call_fini(&k->all_domains[i].info.call);
    }
    free(k);
    *kp = NULL;
}
