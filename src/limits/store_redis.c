/*
 * store_redis.c - the store in Redis: leads an op from its takes to its answer, and past it. See store_redis_inside.h.
 *
 *   take_start ─▶ begin ─▶ known to be full? ─▶ FULL, at once
 *                   │
 *                   ├─ Redis is away, or not settled ─▶ alone, at once: the mirror, the embedded store
 *                   │
 *                   ├─ round 1: parts near their limit look   ── over ─▶ FULL
 *                   └─ round 2: all reserve  ── all fit ─▶ TAKEN
 *                                            └─ else ─▶ what was reserved is undone, unawaited ─▶ FULL
 *
 * All commands of a round leave in one write, with those of all other mails of this turn of the loop. One deadline for
 * both rounds: what has no answer by then is decided alone, and the reply that comes later is reconciled (LIMITS.md,
 * "When Redis is away"). So an ask outlives its op, until the last of its calls has ended.
 */
#include "limits/store_redis.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/panic.h"
#include "limits/redis_ask.h"
#include "limits/store_memory.h"

enum { WATCH_MS = 200 }; /* is a link another one than before? */

const struct part_kind *part_kind_of(const struct take *take)
{
    if (take->counter.kind == COUNTER_KNOWN)
        return &redis_known_kind;
    if (take->counter.kind == COUNTER_LEASES)
        return &redis_leases_kind;
    if (!take->members)
        return &redis_slots_kind;
    return take->counter.unit == UNIT_DISTINCT_RECIPIENTS ? &redis_many_kind : &redis_distinct_kind;
}

/* ---- Rounds ---- */

static bool compose(struct part *p, enum part_state round)
{
    redis_call_reset(&p->call);
    if (p->ask->is_forgetting)
        return p->kind->compose_forget && p->kind->compose_forget(p);
    return round == PART_LOOKING ? p->kind->compose_look(p) : p->kind->compose_reserve(p);
}

static bool looks(const struct part *p)
{
    return p->mode == TAKE_NOTHING || (p->kind->needs_look && p->kind->needs_look((struct part *)p));
}

/* Sends what the round concerns; what cannot be sent is to be decided alone. */
static void send_round(struct ask *a, enum part_state round)
{
    a->round = round;
    ASK_PARTS(p, a)
    {
        if (p->state == PART_SURE || p->state == PART_ALONE)
            continue;
        if (!a->is_forgetting && (round == PART_LOOKING ? !looks(p) : p->mode == TAKE_NOTHING))
            continue;
        p->state = p->composed = round;
        if (!compose(p, round) || !redis_send(a->store->options.redis, p->key, &p->call)) {
            p->state = PART_ALONE;
            continue;
        }
        p->is_under_way = true;
        a->waiting++;
    }
}

/* ---- Alone ---- */

enum alone { ALONE_FITS, ALONE_OVER, ALONE_FAILS };

static bool is_undecided(const struct part *p)
{
    return p->state == PART_ALONE && !p->is_decided;
}

/* A reply that is only late is no outage: it tells what Redis counts and has charged, and this node goes on asking;
 * what was not charged there is told later, as what was given back would be. That it will not come any more is seen
 * when the call ends (reconcile), and three in a row open the circuit. */
static void went_alone(struct part *p)
{
    if (p->mode != TAKE_NOTHING && !p->is_ours)
        outage_went_alone(p->store->options.outage, p->domain, clock_monotonic_us());
}

/* Those of slots, in the mirror, all at once: a batch's worth at a time where there are very many (what comes after
 * the first batch may then find the rest refused, and the first is undone). */
static enum alone decide_slots(struct ask *a)
{
    enum { BATCH = 64 };
    struct part *batch[BATCH];
    size_t count = 0;
    for (struct part *p = a->parts;; p++) {
        bool is_end = p == a->parts + a->count;
        if (count == BATCH || (is_end && count)) {
            enum mirror_result result = redis_slots_decide_alone(batch, count);
            if (result != MIRROR_TAKEN)
                return result == MIRROR_FULL ? ALONE_OVER : ALONE_FAILS;
            for (size_t i = 0; i < count; i++)
                batch[i]->is_decided = true;
            count = 0;
        }
        if (is_end)
            return ALONE_FITS;
        if (is_undecided(p) && !p->kind->decide_alone)
            batch[count++] = p;
    }
}

static bool decide_one(struct part *p)
{
    struct mirror_terms terms = store_redis_terms(p->store, p->domain);
    uint64_t allowed = p->take->allowed[COLUMN_ONE];
    if (terms.is_open)
        p->take->allowed[COLUMN_ONE] = ALLOWED_ANY;
    p->is_decided = p->kind->decide_alone(p, &terms);
    p->is_answered = true;
    p->take->allowed[COLUMN_ONE] = allowed;
    return p->is_decided;
}

/* Decides all parts that are to be decided alone, and were not yet. */
static enum alone decide_alone(struct ask *a)
{
    struct store_redis *s = a->store;
    bool has_any = false;
    ASK_PARTS(p, a)
    {
        has_any |= is_undecided(p);
    }
    if (!has_any)
        return ALONE_FITS;
    if (s->options.failure == STORE_CLOSED)
        return ALONE_FAILS;
    ASK_PARTS(p, a)
    {
        if (!is_undecided(p) || !p->kind->decide_alone)
            continue;
        if (!decide_one(p))
            return ALONE_OVER;
    }
    enum alone result = decide_slots(a);
    ASK_PARTS(p, a)
    {
        if (p->is_decided && result == ALONE_FITS && (!a->is_late || p->is_failed))
            went_alone(p);
    }
    return result;
}

/* ---- The answer ---- */

void redis_part_answer(struct part *p)
{
    if (!p->kind->peek(p->store, p->take, p->now_us))
        take_answer_unknown(p->take);
}

static void undo(struct part *p)
{
    if (p->is_decided && p->kind->undo_alone)
        p->kind->undo_alone(p);
    p->is_decided = false;
    if (!p->is_under_way && p->composed == PART_RESERVING)
        p->kind->undo(p);
}

static void commit(struct part *p)
{
    p->is_admitted_alone = p->state == PART_ALONE;
    if (p->state == PART_ALONE && p->kind->taken_alone)
        p->kind->taken_alone(p);
    else if (p->state != PART_ALONE)
        p->kind->taken(p);
}

static void let_go_of_op(struct ask *a)
{
    a->op->state = NULL;
    a->op = NULL;
    timer_rest(&a->deadline);
    ASK_PARTS(p, a)
    {
        p->take = NULL;
        p->counter.entity = p->counter.name = STR_NONE;
    }
    if (a->waiting == 0)
        ask_end(a);
}

/* Says how a part of the op was decided. */
static void say_alone(struct ask *a, const struct part *p)
{
    enum store_failure failure = a->store->options.failure;
    a->op->decided_by = store_failure_name(failure);
    if (failure == STORE_SHARE)
        a->op->share_of = MAX_OF(a->op->share_of, store_redis_terms(a->store, p->domain).nodes);
}

/* Ends the op. Always true: it has its answer. */
static bool answer(struct ask *a, enum store_result result)
{
    a->op->result = result;
    ASK_PARTS(p, a)
    {
        if (p->state == PART_ALONE)
            say_alone(a, p);
        if (result == STORE_TAKEN) {
            commit(p);
            continue;
        }
        undo(p);
        if (!p->is_answered)
            redis_part_answer(p);
    }
    let_go_of_op(a);
    return true;
}

static bool answer_alone(struct ask *a, enum alone result)
{
    return answer(a, result == ALONE_OVER ? STORE_FULL : STORE_FAILED);
}

/* ---- From step to step: true, the op has its answer ---- */

/* Judges the parts that were answered in this round. Do all go on? */
static bool judge(struct ask *a)
{
    bool fits = true;
    ASK_PARTS(p, a)
    {
        if (p->state != a->round || p->composed != a->round)
            continue;
        fits &= p->kind->judge(p);
        p->is_answered = true;
    }
    return fits;
}

static bool after_reserving(struct ask *a)
{
    bool fits = judge(a);
    if (!fits)
        return answer(a, STORE_FULL);
    enum alone alone = decide_alone(a);
    return alone == ALONE_FITS ? answer(a, STORE_TAKEN) : answer_alone(a, alone);
}

static bool after_looking(struct ask *a)
{
    if (!judge(a))
        return answer(a, STORE_FULL);
    ASK_PARTS(p, a)
    {
        if (a->is_late && p->state != PART_SURE && p->mode != TAKE_NOTHING)
            p->state = PART_ALONE; /* there is no time for another round */
    }
    enum alone alone = decide_alone(a);
    if (alone != ALONE_FITS)
        return answer_alone(a, alone);
    if (a->is_late)
        return answer(a, STORE_TAKEN);
    send_round(a, PART_RESERVING);
    return a->waiting ? false : after_reserving(a);
}

static bool after_forgetting(struct ask *a)
{
    bool is_forgotten = !a->is_late;
    ASK_PARTS(p, a)
    {
        is_forgotten &= p->state == PART_RESERVING;
    }
    a->op->result = is_forgotten ? STORE_TAKEN : STORE_FAILED;
    let_go_of_op(a);
    return true;
}

static bool after_round(struct ask *a)
{
    if (a->is_forgetting)
        return after_forgetting(a);
    return a->round == PART_LOOKING ? after_looking(a) : after_reserving(a);
}

static bool is_known_full(struct ask *a)
{
    bool is_full = false;
    ASK_PARTS(p, a)
    {
        if (p->state != PART_NEW || !p->kind->is_known_full || !p->kind->is_known_full(p))
            continue;
        p->is_answered = is_full = true;
    }
    return is_full;
}

static void choose_states(struct ask *a)
{
    ASK_PARTS(p, a)
    {
        if (p->kind->begin)
            p->kind->begin(p);
        if (!store_redis_is_believed(a->store, p->key, p->domain))
            p->state = PART_ALONE;
        else if (p->kind->needs_nothing && p->kind->needs_nothing(p)) {
            p->state = PART_SURE;
            p->is_answered = true;
        }
    }
}

static bool go(struct ask *a)
{
    choose_states(a);
    if (is_known_full(a))
        return answer(a, STORE_FULL);
    enum alone alone = decide_alone(a);
    if (alone != ALONE_FITS)
        return answer_alone(a, alone);
    send_round(a, PART_LOOKING);
    return a->waiting ? false : after_looking(a);
}

/* ---- Calls ---- */

static void on_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct part *p = c->arg;
    if (reply->type != REDIS_REPLY_ERROR) {
        bool is_answer = p->ask->is_forgetting || p->kind->on_reply(p, n, reply);
        if (!is_answer) {
            p->is_failed = p->is_ours = true;
            store_redis_complain(p->store, p->key, reply);
        }
        return;
    }
    /* Of what lies under the key, not of the server: that is out of memory, only reads, … */
    struct str text = str_of(reply->str, reply->len);
    bool is_ours = redis_error_kind(reply) == REDIS_ERROR_COMMAND &&
                   (str_starts(text, STR("WRONGTYPE")) || str_starts(text, STR("ERR")));
    p->is_ours = is_ours && (p->is_ours || !p->is_failed);
    p->is_failed = true;
    store_redis_complain(p->store, p->key, reply);
}

/* What came after its op was decided without it. */
static void reconcile(struct part *p, enum redis_result result)
{
    bool is_heard = result == REDIS_DONE && !p->is_failed;
    if (p->ask->is_forgetting)
        return;
    /* In an outage it does not know what the others have not told Redis yet. */
    if (is_heard && p->kind->heard_late && store_redis_is_believed(p->store, p->key, p->domain))
        p->kind->heard_late(p);
    if (!is_heard && p->is_admitted_alone)
        went_alone(p);
    if (p->composed != PART_RESERVING || result == REDIS_UNSENT)
        return;
    if (p->is_admitted_alone && is_heard) {
        if (p->kind->reconcile)
            p->kind->reconcile(p);
    } else if (!p->is_admitted_alone || result == REDIS_DONE) {
        p->kind->undo(p);
    }
    /* Else it is not known whether Redis has it: it stays as it was decided, which is at worst counted twice. */
}

static void on_call_done(struct redis_call *c, enum redis_result result)
{
    struct part *p = c->arg;
    struct ask *a = p->ask;
    p->is_under_way = false;
    a->waiting--;
    if (!a->op) {
        reconcile(p, result);
        if (a->waiting == 0)
            ask_end(a);
        return;
    }
    if (result != REDIS_DONE || p->is_failed) {
        p->is_failed = true;
        if (result == REDIS_UNSENT)
            p->is_reserved = false;
        else if (result == REDIS_DONE && p->composed == PART_RESERVING && !a->is_forgetting)
            p->kind->undo(p);
        p->state = PART_ALONE;
    }
    if (a->waiting)
        return;
    struct store_op *op = a->op;
    if (after_round(a))
        op->on_done(op);
}

static void on_deadline(void *arg)
{
    struct ask *a = arg;
    struct store_op *op = a->op;
    a->is_late = true;
    ASK_PARTS(p, a)
    {
        if (!p->is_under_way)
            continue;
        redis_call_is_late(a->store->options.redis, &p->call);
        p->state = PART_ALONE;
    }
    if (after_round(a))
        op->on_done(op);
}

/* ---- The store's row ---- */

static const struct ask_callbacks CALLBACKS = {
    .on_reply = on_reply,
    .on_call_done = on_call_done,
    .on_deadline = on_deadline,
};

static enum started start(struct store *store, struct store_op *op, bool is_forgetting)
{
    struct store_redis *s = store->state;
    op->result = STORE_FAILED;
    op->state = NULL;
    struct ask *a = ask_new(s, op, &CALLBACKS);
    if (!a)
        return DONE;
    a->is_forgetting = is_forgetting;
    if (is_forgetting)
        send_round(a, PART_RESERVING);
    if (is_forgetting ? a->waiting == 0 && after_forgetting(a) : go(a))
        return DONE;
    op->state = a;
    timer_start(&a->deadline, clock_monotonic_ms() + MIN_OF(op->deadline_ms, s->options.timeout_ms));
    return STARTED;
}

static enum started redis_take_start(struct store *store, struct store_op *op)
{
    return start(store, op, false);
}

static enum started redis_forget_start(struct store *store, struct store_op *op)
{
    return start(store, op, true);
}

static void redis_take_cancel(struct store *store, struct store_op *op)
{
    struct ask *a = op->state;
    (void)store;
    ASK_PARTS(p, a)
    {
        if (!a->is_forgetting)
            undo(p);
    }
    let_go_of_op(a);
}

static void redis_give_back(struct store *store, struct take **takes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (takes[i]->held.is_held)
            part_kind_of(takes[i])->give_back(store->state, takes[i]);
        memset(&takes[i]->held, 0, sizeof takes[i]->held);
    }
}

static void redis_keep(struct store *store, struct take **takes, size_t count, int64_t now_us)
{
    for (size_t i = 0; i < count; i++) {
        const struct part_kind *kind = part_kind_of(takes[i]);
        if (!takes[i]->held.is_held || !kind->keep)
            continue;
        kind->keep(store->state, takes[i], now_us);
        memset(&takes[i]->held, 0, sizeof takes[i]->held);
    }
}

/* `failure open`: whatever is known refuses nothing then. */
static bool is_open(struct store_redis *s, const struct take *take)
{
    char text[REDIS_STEM_MAX_BYTES];
    if (s->options.failure != STORE_OPEN)
        return false;
    struct str stem = redis_stem(&take->counter, s->options.prefix, text, sizeof text);
    return !store_redis_is_believed(s, stem, domains_of_key(&s->domains, stem));
}

static bool redis_peek(struct store *store, struct take *take, int64_t now_us)
{
    if (is_open(store->state, take))
        return false;
    return part_kind_of(take)->peek(store->state, take, now_us);
}

static void redis_drop_lease(struct store *store, struct hash128 id, uint32_t count, uint32_t generation)
{
    redis_leases_drop(store->state, id, count, generation);
}

static void redis_release_owner(struct store *store, uint32_t owner)
{
    redis_leases_release(store->state, owner);
}

static struct hash_key redis_values_key(const struct store *store)
{
    const struct store_redis *s = store->state;
    return outage_values_key(s->options.outage, &store->key);
}

static void on_watch(void *arg)
{
    struct store_redis *s = arg;
    store_redis_watch_shards(s);
    timer_start(&s->watch, loop_now_ms(s->options.loop) + WATCH_MS);
}

static bool open_parts(struct store_redis *s, const struct store_options *options, struct err *err)
{
    if (!options->loop || !options->redis || !options->mirror || !options->outage || !mirror_is_valid(options->mirror))
        return err_set(err, "the store in Redis needs a loop, a client, a mirror and what is known of outages");
    if (options->prefix.len > REDIS_PREFIX_MAX_BYTES || options->node.len >= sizeof s->node)
        return err_set(err, "the prefix of keys in Redis is longer than %d bytes, or the node's name than %zu",
                       REDIS_PREFIX_MAX_BYTES, sizeof s->node - 1);
    s->options.prefix = str_copy_into(s->prefix, sizeof s->prefix, options->prefix);
    s->options.node = str_copy_into(s->node, sizeof s->node, options->node);
    domains_init(&s->domains, options->redis);
    return store_open(&s->alone, &store_memory_ops, options, err) && redis_leases_open(s, err) &&
           redis_values_open(s, err);
}

static void redis_close(struct store *store)
{
    struct store_redis *s = store->state;
    if (!s)
        return;
    timer_cancel(&s->watch);
    asks_free(s);
    errands_free(s);
    redis_values_close(s);
    redis_leases_close(s);
    store_close(&s->alone);
    free(s);
    store->state = NULL;
}

static bool redis_open(struct store *store, const struct store_options *options, struct err *err)
{
    struct store_redis *s = calloc(1, sizeof *s);
    if (!s)
        return err_no_memory(err);
    s->store = store;
    s->options = *options;
    list_init(&s->asks);
    list_init(&s->spares);
    list_init(&s->errands);
    timer_init(&s->watch, options->loop, on_watch, s);
    store->state = s;
    if (!open_parts(s, options, err)) {
        redis_close(store);
        return false;
    }
    store->key = s->alone.key;
    timer_start(&s->watch, clock_monotonic_ms() + WATCH_MS);
    return true;
}

const struct store_ops store_redis_ops = {
    .name = "redis",
    .is_remote = true,
    .open = redis_open,
    .close = redis_close,
    .take_start = redis_take_start,
    .take_cancel = redis_take_cancel,
    .give_back = redis_give_back,
    .keep = redis_keep,
    .forget_start = redis_forget_start,
    .peek = redis_peek,
    .drop_lease = redis_drop_lease,
    .release_owner = redis_release_owner,
    .decides = store_redis_decides,
    .values_key = redis_values_key,
};
