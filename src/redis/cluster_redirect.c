/*
 * cluster_redirect.c - commands that a node of a Cluster sends elsewhere (PROTOCOLS.md 7, the table of errors).
 *
 *   call of three commands to A:   A answers 0: MOVED B      1: MOVED B      2: value
 *                                        │              │              │
 *   resends, in their order:      0 ─▶ B, value       1 ─▶ B, value    2 held
 *                                        └── delivered ──┴── delivered ──┘  0, 1, 2
 *
 * Each command goes on by itself, in a call of its own, and after ASK with ASKING right before it, which covers only
 * one command. Those of a call that go to one node leave in their order, on its one connection. The caller hears
 * replies in the order of his commands, so a reply that is there too early is held.
 *
 * A node that sends a command elsewhere has not carried it out. A call none of whose commands was carried out anywhere,
 * because no connection could be made, ends UNSENT; one that lacks a reply for another reason ends LOST.
 */
#include <stdlib.h>

#include "redis/cluster.h"

/* A call some of whose commands were sent elsewhere; c->state. */
struct cluster_redirected {
    struct list node; /* in cluster->redirected */
    struct cluster *cluster;
    struct redis_call *call;
    struct list resends;      /* struct cluster_resend, in the order of commands; none before them is undelivered */
    enum redis_result result; /* of the link that the call was sent to, once it has_ended */
    bool has_ended;
    bool has_gap;         /* a reply will never come: those after it are not delivered */
    bool was_carried_out; /* one of its commands, or perhaps */
};

/* One command of it, on its way or answered. */
struct cluster_resend {
    struct list node;
    struct cluster_redirected *redirected;
    size_t n;               /* the command's number in its call */
    struct redis_call call; /* [ASKING,] the command */
    struct redis_shard *to;
    struct slots_redirect again; /* kind: where it goes next, if anywhere */
    redisReply *reply;           /* held; NULL: not yet there, or missing */
    uint8_t hops;
    bool is_after_asking;
    bool is_under_way;
};

/* ---- the caller ---- */

static void resend_free(struct cluster_resend *re)
{
    list_remove(&re->node);
    redis_call_fini(&re->call);
    free(re->reply);
    free(re);
}

static void redirected_free(struct cluster_redirected *rd)
{
    LIST_EACH(node, &rd->resends)
    {
        resend_free(CONTAINER_OF(node, struct cluster_resend, node));
    }
    list_remove(&rd->node);
    free(rd);
}

/* Delivers what is next in order; ends the call when the link is done with it and nothing is on its way. */
static void deliver(struct cluster_redirected *rd)
{
    LIST_EACH(node, &rd->resends)
    {
        struct cluster_resend *re = CONTAINER_OF(node, struct cluster_resend, node);
        if (re->is_under_way) {
            if (rd->has_ended)
                rd->call->shard = re->to; /* whose fault it is if it comes too late */
            return;
        }
        rd->has_gap = rd->has_gap || !re->reply;
        if (!rd->has_gap)
            redis_call_deliver(rd->call, re->n, re->reply);
        resend_free(re);
    }
    if (!rd->has_ended)
        return;
    struct redis_call *c = rd->call;
    enum redis_result result = rd->has_gap ? REDIS_LOST : rd->result;
    if (result == REDIS_LOST && c->replied == 0 && !rd->was_carried_out)
        result = REDIS_UNSENT;
    redirected_free(rd);
    redis_call_finish(c, result);
}

/* ---- one command ---- */

static bool send_on(struct cluster_resend *re, struct redis_shard *to);

static void on_resent_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct cluster_resend *re = c->arg;
    struct cluster_redirected *rd = re->redirected;
    if (n == 0 && re->is_after_asking)
        return; /* to ASKING: if it was refused, the next reply says so */
    re->again = slots_redirect_parse(reply, &re->to->link.endpoint);
    if (re->again.kind != SLOTS_NO_REDIRECT && re->hops < CLUSTER_REDIRECTS_MAX)
        return;
    rd->was_carried_out = rd->was_carried_out || re->again.kind == SLOTS_NO_REDIRECT;
    re->again.kind = SLOTS_NO_REDIRECT;
    re->reply = redis_reply_copy(reply);
}

static void on_resent(struct redis_call *c, enum redis_result result)
{
    struct cluster_resend *re = c->arg;
    struct cluster_redirected *rd = re->redirected;
    re->is_under_way = false;
    rd->was_carried_out = rd->was_carried_out || result == REDIS_LOST;
    if (result == REDIS_DONE && !rd->call->is_late)
        redis_circuit_on_answer(&re->to->circuit);
    if (re->to->is_retired)
        task_defer(rd->cluster->redis->loop, &rd->cluster->redis->bury_task);
    if (re->again.kind != SLOTS_NO_REDIRECT) {
        struct redis_shard *to = cluster_follow(rd->cluster, &re->again);
        if (to)
            (void)send_on(re, to);
    }
    deliver(rd); /* or, where it went on, whose fault it is now */
}

/* False: nothing was sent. */
static bool send_on(struct cluster_resend *re, struct redis_shard *to)
{
    static const struct str ASKING[] = {{"ASKING", 6}};
    bool is_after_asking = re->again.kind == SLOTS_ASK;
    redis_call_fini(&re->call);
    redis_call_init_inner(&re->call, on_resent_reply, on_resent, re);
    re->to = to;
    re->is_after_asking = is_after_asking;
    re->again.kind = SLOTS_NO_REDIRECT;
    re->hops++;
    re->is_under_way = redis_shard_takes_calls(to) &&
                       (!is_after_asking || redis_call_add(&re->call, ASKING, COUNT_OF(ASKING))) &&
                       redis_call_add_wire(&re->call, redis_call_command(re->redirected->call, re->n), 1) &&
                       redis_shard_send(to, &re->call);
    return re->is_under_way;
}

/* ---- replies of the link that the call was sent to ---- */

static struct cluster_redirected *redirected_of(struct cluster *cl, struct redis_call *c)
{
    struct cluster_redirected *rd = c->state ? c->state : calloc(1, sizeof *rd);
    if (rd && !c->state) {
        rd->cluster = cl;
        rd->call = c;
        list_init(&rd->resends);
        list_add_last(&cl->redirected, &rd->node);
        c->state = rd;
    }
    return rd;
}

/* The last in the order of commands. NULL: no memory. */
static struct cluster_resend *resend_new(struct cluster_redirected *rd, size_t n)
{
    struct cluster_resend *re = calloc(1, sizeof *re);
    if (!re)
        return NULL;
    re->redirected = rd;
    re->n = n;
    redis_call_init_inner(&re->call, on_resent_reply, on_resent, re);
    list_add_last(&rd->resends, &re->node);
    return re;
}

bool cluster_takes_reply(struct redis_shard *shard, struct redis_call *c, size_t n, const redisReply *reply)
{
    struct cluster *cl = shard->redis->shape_state;
    struct slots_redirect redirect = slots_redirect_parse(reply, &shard->link.endpoint);
    struct redis_shard *to = redirect.kind == SLOTS_NO_REDIRECT ? NULL : cluster_follow(cl, &redirect);
    if (reply->type == REDIS_REPLY_ERROR && str_starts(redis_reply_text(reply), STR("CLUSTERDOWN")))
        cluster_want_map(cl); /* the slot may have found a master: the caller hears it all the same */
    struct cluster_redirected *rd = to ? redirected_of(cl, c) : c->state;
    if (!rd || (!to && list_is_empty(&rd->resends) && !rd->has_gap))
        return false;
    struct cluster_resend *re = resend_new(rd, n);
    if (!re) {
        rd->has_gap = true;
        rd->was_carried_out = rd->was_carried_out || redirect.kind == SLOTS_NO_REDIRECT;
        return true;
    }
    re->again = redirect;
    if (to && send_on(re, to))
        return true;
    /* It is held: a reply that is no redirect, or a redirect that could not be followed. */
    re->again.kind = SLOTS_NO_REDIRECT;
    if (redirect.kind == SLOTS_NO_REDIRECT) {
        re->reply = redis_reply_copy(reply);
        rd->was_carried_out = true;
    }
    deliver(rd);
    return true;
}

bool cluster_takes_end(struct redis_shard *shard, struct redis_call *c, enum redis_result result)
{
    struct cluster_redirected *rd = c->state;
    (void)shard;
    rd->has_ended = true;
    rd->result = result;
    rd->was_carried_out = rd->was_carried_out || result == REDIS_LOST;
    deliver(rd);
    return true;
}

void cluster_forget_redirected(struct cluster *cl)
{
    LIST_EACH(node, &cl->redirected)
    {
        struct cluster_redirected *rd = CONTAINER_OF(node, struct cluster_redirected, node);
        rd->call->is_under_way = false; /* its link may have been done with it */
        redirected_free(rd);
    }
}
