/*
 * keeper_proof.c - another server took a master's place: what the lag of the replication may have cost is told again.
 * But for counters: that much of them is lost (LIMITS.md, "When Redis is away").
 *
 * Behind Sentinel it is believed only when a replica follows it, or after some seconds. Sentinel may promote a second
 * one right after the first, and the first then gives up all that it was told: what this node admitted during the
 * outage, had it been pushed there, would be lost without anybody noticing, for the epoch is the same in both. So it is
 * kept, and mail goes on by the node's share, until what is told is told to two. A replica that cannot come (it was the
 * last one) is not waited for longer than limits can bear to be shares.
 */
#include "base/log.h"
#include "limits/keeper_inside.h"

enum {
    PROOF_PATIENCE_MS = 3000,
    PROOF_AGAIN_MS = 100,
};

static void on_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct keeper_domain *d = c->arg;
    (void)n;
    d->is_followed = reply->type == REDIS_REPLY_STRING && health_is_followed(str_of(reply->str, reply->len));
}

static void believe(struct keeper_domain *d)
{
    struct str name = redis_shard_name(d->k->options.redis, d->shard);
    d->is_to_be_proved = false;
    if (d->server[0] && !str_equal(name, str_of_z(d->server)))
        keeper_tell_again(d->k);
    str_copy_into(d->server, sizeof d->server, name);
}

static void on_done(struct redis_call *c, enum redis_result result)
{
    struct keeper_domain *d = c->arg;
    struct redis *r = d->k->options.redis;
    bool is_fine = keeper_call_ended(&d->proof, result) && d->is_followed;
    d->next_proof_ms = loop_now_ms(d->k->options.loop) + PROOF_AGAIN_MS;
    /* Meanwhile it may be yet another one. */
    if (!is_fine || !d->is_to_be_proved || !keeper_is_up(d) || d->ups != redis_shard_ups(r, d->shard))
        return;
    believe(d);
    keeper_trouble(d); /* the others are waited for from now on */
}

void keeper_proof_init(struct keeper_domain *d)
{
    redis_call_init(&d->proof.call, on_reply, on_done, d);
}

void keeper_proof_begin(struct keeper_domain *d)
{
    struct keeper *k = d->k;
    struct str name = redis_shard_name(k->options.redis, d->shard);
    if (k->options.shape != REDIS_SENTINEL || !d->server[0] || str_equal(name, str_of_z(d->server))) {
        believe(d);
        return;
    }
    d->is_to_be_proved = true;
    d->proof_until_ms = loop_now_ms(k->options.loop) + PROOF_PATIENCE_MS;
    d->next_proof_ms = 0;
}

bool keeper_proof_turn(struct keeper_domain *d)
{
    struct keeper *k = d->k;
    char text[DOMAINS_KEY_MAX_BYTES];
    int64_t now = loop_now_ms(k->options.loop);
    if (!d->is_to_be_proved)
        return true;
    if (now >= d->proof_until_ms || k->is_leaving) {
        log_info("store redis: " PRI_STR
                 " took another's place, and no replica follows it: it is believed all the same",
                 STR_ARG(redis_shard_name(k->options.redis, d->shard)));
        believe(d);
        keeper_trouble(d);
        return true;
    }
    if (d->proof.is_under_way || now < d->next_proof_ms)
        return false;
    struct str info[] = {STR("INFO"), STR("replication")}, key = keeper_key(k, STR("nodes"), d->number, text);
    d->is_followed = false;
    if (!redis_call_add(&d->proof.call, info, COUNT_OF(info)) || !keeper_send(k, &d->proof, key))
        keeper_call_clear(&d->proof.call);
    return false;
}
