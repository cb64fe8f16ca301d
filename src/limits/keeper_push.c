/*
 * keeper_push.c - what this node decided alone is told to Redis, in the slots in which it was admitted.
 *
 *   mirror ── an entry with since ─▶ BITFIELD key INCRBY … PEXPIREAT key …  (of two windows, where it lies in two)
 *          ◀── done: out of since, into seen ── answered
 *          ◀── failed: as it was ── refused for now, or the link was lost
 *
 * A pass is one walk over the mirror, with a bounded number of pushes under way. When the data set of a domain was lost
 * there is a pass of its own, over all that this node admitted (own). It must not tell anything twice: what was under
 * way when the link is lost is held, and the walk goes on from where it stood – unless the data is lost once more.
 *
 * Where it is not known whether a push of since was carried out it is done again: a count too high refuses a mail too
 * early, one too low lets too many pass.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "limits/keeper_inside.h"
#include "limits/redis_keys.h"

static int64_t now_ms(const struct keeper *k)
{
    return loop_now_ms(k->options.loop);
}

static uint64_t bit(unsigned domain)
{
    return UINT64_C(1) << domain;
}

/* May counts be added there now? While a push of all is due only that one's. */
static bool is_open(const struct keeper_domain *d, bool is_all)
{
    return keeper_is_up(d) && d->is_checked && (is_all || !d->must_push_all);
}

size_t keeper_due(const struct keeper *k)
{
    return mirror_due(k->options.mirror, keeper_now_us(k, 0));
}

/* ---- one push ---- */

/* The stem as redis_key_of_window takes it: with the NUL in it, and without those behind it. */
static struct str stem_of(const struct mirror_push *push)
{
    size_t head = strlen(push->stem);
    if (head + 1 >= sizeof push->stem)
        return str_of(push->stem, head);
    size_t ending = strlen(push->stem + head + 1);
    return str_of(push->stem, ending ? head + 1 + ending : head);
}

/* INCRBY u32 #index n, or SET */
static void put_field(struct str words[4], struct str operation, char texts[2][24], uint64_t index, int64_t n)
{
    words[0] = operation;
    words[1] = STR("u32");
    words[2] = str_of(texts[0], (size_t)snprintf(texts[0], 24, "#%llu", (unsigned long long)index));
    words[3] = str_of(texts[1], (size_t)snprintf(texts[1], 24, "%lld", (long long)n));
}

/* BITFIELD key OVERFLOW SAT INCRBY u32 #slot n … SET u32 #48 LENGTH SET u32 #49 NUMBER, PEXPIREAT key …: what lies in
 * window w, and behind its slots which window that is. */
static bool add_window(struct redis_call *c, const struct mirror_push *push, uint64_t w)
{
    enum { HEAD = 4, PER_SLOT = 4, HEADER_AT = COLUMNS * WINDOW_SLOTS, MOST = HEADER_AT + 2 };
    char key[REDIS_KEY_MAX_BYTES], texts[MOST][2][24], until[STR_OF_U64_MAX];
    struct str name = redis_key_of_window(stem_of(push), w, key, sizeof key);
    struct str words[HEAD + MOST * PER_SLOT] = {STR("BITFIELD"), name, STR("OVERFLOW"), STR("SAT")};
    size_t used = 0;
    for (size_t column = 0; column < push->columns; column++)
        for (uint64_t slot = w * WINDOW_SLOTS; slot < (w + 1) * WINDOW_SLOTS; slot++) {
            int64_t n = window_holds(push->newest, slot) ? push->rings[column][slot % WINDOW_CELLS] : 0;
            if (n == 0)
                continue;
            put_field(&words[HEAD + used * PER_SLOT], STR("INCRBY"), texts[used],
                      column * WINDOW_SLOTS + slot % WINDOW_SLOTS, n);
            used++;
        }
    if (!used)
        return true;
    put_field(&words[HEAD + used * PER_SLOT], STR("SET"), texts[used], HEADER_AT, push->period_s);
    used++;
    put_field(&words[HEAD + used * PER_SLOT], STR("SET"), texts[used], HEADER_AT + 1, (int64_t)(w & UINT32_MAX));
    used++;
    uint64_t ends_ms = (w + 2) * push->period_s * 1000 + 5000;
    struct str expire[] = {STR("PEXPIREAT"), name, str_of_u64(until, ends_ms)};
    return redis_call_add(c, words, HEAD + used * PER_SLOT) && redis_call_add(c, expire, COUNT_OF(expire));
}

static bool compose(struct keeper_push *p)
{
    uint64_t last = p->push.newest / WINDOW_SLOTS, first = MAX_OF(p->push.newest, WINDOW_SLOTS) - WINDOW_SLOTS;
    for (uint64_t w = first / WINDOW_SLOTS; w <= last; w++)
        if (!add_window(&p->call, &p->push, w))
            return false;
    return true;
}

static struct str key_of(const struct keeper_push *p, char key[REDIS_KEY_MAX_BYTES])
{
    return redis_key_of_window(stem_of(&p->push), p->push.newest / WINDOW_SLOTS, key, REDIS_KEY_MAX_BYTES);
}

static void send_push(struct keeper_push *p)
{
    struct keeper *k = p->k;
    char key[REDIS_KEY_MAX_BYTES];
    p->has_failed = p->is_refused = false;
    if (compose(p) && redis_send(k->options.redis, key_of(p, key), &p->call)) {
        p->state = PUSH_SENT;
        k->pass.sent++;
        return;
    }
    keeper_call_clear(&p->call);
    k->pass.failed |= bit(p->domain);
    p->state = p->is_all ? PUSH_HELD : PUSH_FREE;
    if (!p->is_all)
        mirror_push_failed(k->options.mirror, &p->push);
}

/* What stands in the way for ever must not keep a domain from being believed for ever. */
static bool is_final(const redisReply *error)
{
    struct str text = str_of(error->str, error->len);
    return redis_error_kind(error) == REDIS_ERROR_COMMAND &&
           (str_starts(text, STR("WRONGTYPE")) || str_starts(text, STR("ERR")));
}

static void on_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct keeper_push *p = c->arg;
    (void)n;
    if (reply->type != REDIS_REPLY_ERROR)
        return;
    if (is_final(reply))
        p->is_refused = true;
    else
        p->has_failed = true;
}

static void say_foreign(struct keeper_push *p)
{
    struct keeper *k = p->k;
    char key[REDIS_KEY_MAX_BYTES], text[REDIS_KEY_MAX_BYTES + 160];
    if (k->said_foreign)
        return;
    k->said_foreign = true;
    snprintf(text, sizeof text,
             "the key " PRI_STR " is no counter, so what this node counted there cannot be added: run `mailweir "
             "store audit --repair`",
             STR_ARG(key_of(p, key)));
    log_warning("store redis: %s", text);
    keeper_event(k, k->all_domains[p->domain].shard, "warning", "foreign", text);
}

static void go_on(struct keeper *k);

static void on_done(struct redis_call *c, enum redis_result result)
{
    struct keeper_push *p = c->arg;
    struct keeper *k = p->k;
    struct keeper_domain *d = &k->all_domains[p->domain];
    keeper_call_clear(&p->call);
    k->pass.sent--;
    if (p->is_refused)
        say_foreign(p);
    if (result == REDIS_DONE && !p->has_failed) {
        mirror_push_done(k->options.mirror, &p->push, keeper_now_us(k, p->domain));
        p->state = PUSH_FREE;
        k->pushed++;
        d->pushed++;
    } else {
        k->pass.failed |= bit(p->domain);
        p->state = p->is_all ? PUSH_HELD : PUSH_FREE;
        if (!p->is_all)
            mirror_push_failed(k->options.mirror, &p->push);
    }
    go_on(k);
}

/* ---- a pass ---- */

static struct keeper_push *find_push(struct keeper *k, enum push_state state, unsigned domain)
{
    for (size_t i = 0; i < KEEPER_PUSHES; i++)
        if (k->pushes[i].state == state && (state == PUSH_FREE || k->pushes[i].domain == domain))
            return &k->pushes[i];
    return NULL;
}

static void let_go(struct keeper *k, unsigned domain)
{
    struct keeper_push *p;
    while ((p = find_push(k, PUSH_HELD, domain))) {
        mirror_push_failed(k->options.mirror, &p->push);
        p->state = PUSH_FREE;
    }
}

void keeper_push_all_again(struct keeper_domain *d)
{
    d->all_at = 0;
    let_go(d->k, d->number);
    if (d->k->pass.is_running && d->k->pass.is_all && d->k->pass.domain == d->number)
        d->k->pass.is_at_end = d->k->pass.is_outdated = true;
}

/* What other domains hold must leave room. */
static void make_room(struct keeper *k, unsigned domain)
{
    for (size_t i = 0; i < KEEPER_PUSHES; i++)
        if (k->pushes[i].state == PUSH_HELD && k->pushes[i].domain != domain)
            keeper_push_all_again(&k->all_domains[k->pushes[i].domain]);
}

static void begin(struct keeper *k, bool is_all, unsigned domain)
{
    if (is_all)
        make_room(k, domain);
    k->pass = (struct keeper_pass){.is_running = true, .is_all = is_all, .domain = domain, .began_ms = now_ms(k)};
    for (unsigned i = 0; i < OUTAGE_DOMAINS; i++)
        k->pass.alone_count[i] = outage_alone_count(k->options.outage, i);
    k->pass.at = is_all ? k->all_domains[domain].all_at : 0;
}

static void end(struct keeper *k)
{
    struct keeper_pass *pass = &k->pass;
    struct keeper_domain *d = &k->all_domains[pass->domain];
    pass->is_running = false;
    if (pass->is_outdated)
        let_go(k, pass->domain);
    if (!pass->is_all) {
        k->last_pass = *pass;
        k->next_pass_ms = pass->failed ? pass->began_ms + KEEPER_RETRY_MS : 0;
        for (unsigned i = 0; i < OUTAGE_DOMAINS; i++)
            keeper_try_settle(&k->all_domains[i]);
    } else if (!pass->is_outdated && !(pass->failed & bit(d->number)) && is_open(d, true)) {
        d->must_push_all = false;
        d->all_at = 0;
        keeper_epoch_keep(d);
    }
}

/* What is next to be sent: what was held, else the next entry. False: nothing is left, or it has to wait. */
static bool next(struct keeper *k, struct keeper_push **out)
{
    struct keeper_pass *pass = &k->pass;
    char key[REDIS_KEY_MAX_BYTES];
    struct keeper_push *p;
    if (k->rests) /* the other keeper has begun to tell the same */
        return false;
    if (pass->is_all && (pass->failed & bit(pass->domain)))
        return false; /* it goes on from here when the link is back */
    if (pass->is_all && (p = find_push(k, PUSH_HELD, pass->domain))) {
        *out = p;
        return true;
    }
    if (pass->is_at_end || !(p = find_push(k, PUSH_FREE, 0)))
        return false;
    int64_t now_us = keeper_now_us(k, pass->domain);
    if (!mirror_push_next(k->options.mirror, &pass->at, pass->is_all, now_us, &p->push)) {
        pass->is_at_end = true;
        return false;
    }
    p->is_all = pass->is_all;
    p->domain = domains_of_key(&k->domains, key_of(p, key));
    *out = p;
    return true;
}

/* Is it this pass's? Else it is left as it was. */
static bool takes(struct keeper *k, const struct keeper_push *p)
{
    struct keeper_pass *pass = &k->pass;
    if (p->state == PUSH_HELD)
        return true;
    if (!pass->is_all)
        pass->found |= bit(p->domain);
    if (pass->is_all ? p->domain == pass->domain : is_open(&k->all_domains[p->domain], false))
        return true;
    if (!pass->is_all)
        pass->failed |= bit(p->domain);
    mirror_push_failed(k->options.mirror, &p->push);
    return false;
}

static void go_on(struct keeper *k)
{
    struct keeper_pass *pass = &k->pass;
    struct keeper_push *p;
    size_t most = pass->is_all ? KEEPER_PUSHES_OF_ALL : KEEPER_PUSHES;
    while (pass->is_running && pass->sent < most && next(k, &p))
        if (takes(k, p))
            send_push(p);
    if (pass->is_all)
        k->all_domains[pass->domain].all_at = pass->is_outdated ? 0 : pass->at;
    if (pass->is_running && pass->sent == 0)
        end(k);
}

static bool is_any_open(struct keeper *k)
{
    for (unsigned i = 0; i < OUTAGE_DOMAINS; i++)
        if (is_open(&k->all_domains[i], false))
            return true;
    return false;
}

void keeper_push_turn(struct keeper *k)
{
    if (k->pass.is_running)
        return;
    for (unsigned i = 0; i < OUTAGE_DOMAINS; i++)
        if (k->all_domains[i].must_push_all && is_open(&k->all_domains[i], true)) {
            begin(k, true, i);
            go_on(k);
            return;
        }
    if (now_ms(k) < k->next_pass_ms || keeper_due(k) == 0 || !is_any_open(k))
        return;
    begin(k, false, 0);
    go_on(k);
}

/* ---- what it means for a domain ---- */

/* Was the last pass complete for it, and about all that was decided until its trouble's end? */
static bool is_passed(const struct keeper_domain *d)
{
    const struct keeper_pass *pass = &d->k->last_pass;
    int64_t since_ms = MAX_OF(d->is_in_trouble ? d->trouble_ms : 0, now_ms(d->k) - KEEPER_BEAT_MS);
    return pass->began_ms >= since_ms && !(pass->failed & bit(d->number));
}

bool keeper_push_is_clear(const struct keeper_domain *d)
{
    return keeper_due(d->k) == 0 || is_passed(d);
}

bool keeper_push_is_done(const struct keeper_domain *d, uint64_t *alone_count)
{
    struct keeper *k = d->k;
    *alone_count = outage_alone_count(k->options.outage, d->number);
    if (keeper_due(k) == 0)
        return true;
    if (!is_passed(d))
        return false;
    if (k->last_pass.found & bit(d->number))
        return d->fine_ms && now_ms(k) - d->fine_ms >= KEEPER_EXACT_MS;
    *alone_count = k->last_pass.alone_count[d->number];
    return true;
}

/* ---- life ---- */

bool keeper_push_init(struct keeper *k)
{
    k->pushes = calloc(KEEPER_PUSHES, sizeof *k->pushes);
    for (size_t i = 0; k->pushes && i < KEEPER_PUSHES; i++) {
        k->pushes[i].k = k;
        redis_call_init(&k->pushes[i].call, on_reply, on_done, &k->pushes[i]);
    }
    return k->pushes != NULL;
}

void keeper_push_fini(struct keeper *k)
{
    for (size_t i = 0; k->pushes && i < KEEPER_PUSHES; i++)
        redis_call_fini(&k->pushes[i].call);
    free(k->pushes);
}
