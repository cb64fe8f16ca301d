/* attempt.c - one login attempt. See attempt.h. */
#include "limits/attempt.h"

#include "base/panic.h"

#define TRIED   STR("tried")
#define TRIED_S (30 * 86400)

bool attempt_init(struct attempt *a, struct arena *arena, struct charge *charges, size_t count)
{
    *a = (struct attempt){.charges = charges, .charge_count = count};
    for (size_t i = 0; i < count; i++) {
        PANIC_IF(limit_unit_kind(charges[i].limit->unit) != LIMIT_AUTH, "a login attempt is charged on another unit");
        a->counts_guesses |= charges[i].limit->unit == UNIT_GUESSES;
    }
    return reservation_init(&a->reservation, arena, charges, count);
}

/* ---- Before the password is checked ---- */

static void on_reserved(struct reservation *r, void *arg)
{
    struct attempt *a = arg;
    (void)r;
    a->cb(a, a->arg);
}

/* It was tried before: no guess. The limits of guesses do not concern it. */
static void drop_guesses(struct attempt *a)
{
    size_t kept = 0;
    for (size_t i = 0; i < a->charge_count; i++)
        if (a->charges[i].limit->unit != UNIT_GUESSES)
            a->charges[kept++] = a->charges[i];
    a->charge_count = kept;
}

static enum started reserve(struct attempt *a)
{
    if (a->known.was_known)
        drop_guesses(a);
    return limiter_reserve_start(a->limiter, &a->reservation, a->charges, a->charge_count, a->now_us, a->deadline_ms,
                                 on_reserved, a);
}

static void on_asked(struct known *k, void *arg)
{
    struct attempt *a = arg;
    (void)k;
    if (reserve(a) == DONE)
        a->cb(a, a->arg);
}

enum started attempt_start(struct limiter *l, struct attempt *a, struct str user, struct str password, int64_t now_us,
                           unsigned deadline_ms, attempt_cb *cb, void *arg)
{
    a->limiter = l;
    a->now_us = now_us;
    a->deadline_ms = deadline_ms;
    a->cb = cb;
    a->arg = arg;
    if (!a->counts_guesses)
        return reserve(a);
    struct hash_key key = store_values_key(l->store);
    a->password = hash128(&key, password);
    a->tried = (struct known_value){
        .entity = user,
        .what = TRIED,
        .value = str_of((const char *)&a->password, sizeof a->password),
        .keep_s = TRIED_S,
    };
    if (known_ask_start(l->store, &a->known, &a->tried, now_us, deadline_ms, on_asked, a) == STARTED)
        return STARTED;
    return reserve(a);
}

/* ---- After ---- */

/* Another attempt with the same password may have failed meanwhile: then this one was no guess either. */
static void keep(struct attempt *a)
{
    if (a->counts_guesses && a->known.was_known)
        limiter_give_back_unit(a->limiter, &a->reservation, UNIT_GUESSES);
    limiter_keep(a->limiter, &a->reservation, a->now_us);
}

static void on_noted(struct known *k, void *arg)
{
    struct attempt *a = arg;
    (void)k;
    keep(a);
    a->cb(a, a->arg);
}

enum started attempt_failed_start(struct attempt *a, int64_t now_us, unsigned deadline_ms, attempt_cb *cb, void *arg)
{
    PANIC_IF(a->reservation.verdict != VERDICT_RESERVED, "a password was checked that the limits refused to look at");
    a->now_us = now_us;
    a->cb = cb;
    a->arg = arg;
    if (a->counts_guesses &&
        known_note_start(a->limiter->store, &a->known, &a->tried, now_us, deadline_ms, on_noted, a) == STARTED)
        return STARTED;
    keep(a);
    return DONE;
}

void attempt_give_back(struct attempt *a)
{
    if (a->limiter)
        limiter_give_back(a->limiter, &a->reservation);
}

void attempt_cancel(struct attempt *a)
{
    bool is_failing = a->known.is_waiting && a->known.take.mode == TAKE_ALWAYS;
    known_cancel(&a->known);
    if (is_failing) {
        a->known.was_known = false;
        keep(a);
    } else if (a->limiter) {
        limiter_cancel(a->limiter, &a->reservation);
    }
}
