/*
 * attempt.h - one login attempt, as limits of auth units see it (GRAMMAR.md 4, "auth units").
 *
 *   attempt_start ─▶ tried before? ─▶ reserve one of everything ─▶ refused: 454, the password is not looked at
 *                                                              └▶ reserved: the password is checked
 *        wrong ─▶ attempt_failed      auth-failures and failed-users stay; a guess stays if it was a new password
 *        right, or nobody could say ─▶ attempt_give_back
 *
 * One is reserved per attempt before the password is checked: of `10/15m` ten wrong passwords are looked at, however
 * many attempts run side by side. A wrong password that was already tried for this name costs no guess, and so is not
 * refused for guesses: an old phone that repeats one stale password is one guess, also if it tries four times at once.
 * Tried passwords are remembered as keyed hashes, for 30 days from their last try, and only where a limit counts
 * guesses. Nothing here says whether the name exists.
 */
#ifndef LIMITS_ATTEMPT_H
#define LIMITS_ATTEMPT_H

#include "limits/known.h"
#include "limits/limiter.h"

struct attempt {
    /* The answer of attempt_start, as limiter_reserve_start gives it. */
    struct reservation reservation;

    /* Inner life. */
    struct limiter *limiter;
    struct charge *charges;
    size_t charge_count;
    struct known known;
    struct known_value tried; /* by whom, and which password, hashed */
    struct hash128 password;
    bool counts_guesses; /* else passwords are neither asked about nor remembered */
    int64_t now_us;
    unsigned deadline_ms;
    void (*cb)(struct attempt *a, void *arg);
    void *arg;
};

typedef void attempt_cb(struct attempt *a, void *arg);

/* For an attempt with these charges, of auth units; a failed-users charge has the name as its value. They stay the
 * caller's and must last as long as the attempt. Takes what it needs from the arena. False: no memory. */
MUST_USE bool attempt_init(struct attempt *a, struct arena *arena, struct charge *charges, size_t count);
/* user: the entity of the name that was given (u:alice), borrowed as the charges are; the password is not kept. The
 * answer is in a->reservation at once (DONE), or comes by cb exactly once, within twice deadline_ms (STARTED). Charges
 * may be put in another order. */
enum started attempt_start(struct limiter *l, struct attempt *a, struct str user, struct str password, int64_t now_us,
                           unsigned deadline_ms, attempt_cb *cb, void *arg);
/* The password was wrong. Nothing is held after the answer. */
enum started attempt_failed_start(struct attempt *a, int64_t now_us, unsigned deadline_ms, attempt_cb *cb, void *arg);
/* The password was right, or could not be checked. Harmless after a refusal, and after attempt_failed. */
void attempt_give_back(struct attempt *a);
/* Of a start that answered STARTED: cb never comes. attempt_start: nothing is charged; attempt_failed: all is. */
void attempt_cancel(struct attempt *a);

#endif
