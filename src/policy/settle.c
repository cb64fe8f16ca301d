/* settle.c - what becomes of a mail's reservation: settled by its real size, then kept or given back. */
#include "policy/admit.h"

/* False: it waits. */
static bool settle(struct asking *a)
{
    struct policy_engine *engine = a->engine;
    struct policy_mail *mail = a->question->mail;
    struct reservation *r = mail->reservation;
    if (!a->asked) {
        a->asked = r;
        enum started started =
            limiter_settle_start(engine->limiter, r, a->question->size_bytes, a->question->now_us,
                                 engine->limiter->store->deadline_ms, asking_on_limits, &a->question->outside);
        if (!asking_await(a, started, asking_limits_cancel))
            return false;
    }
    asking_note_store(a, r);
    asking_passed(a, r);
    if (r->verdict != VERDICT_RESERVED || a->answer->verdict != POLICY_GO_ON)
        policy_give_back(engine, mail);
    else if (engine->policy->units & UNITS_OF(UNIT_BYTES))
        asking_note_counts(a, r); /* the real size is counted now */
    asking_limits_over(a);
    return true;
}

static bool go_on(struct asking *a)
{
    if (a->step != STEP_REFUSAL && !settle(a))
        return false;
    a->step = STEP_REFUSAL;
    return asking_count_refusal(a);
}

enum started policy_settle_start(struct policy_engine *engine, struct policy_case *question,
                                 struct policy_answer *answer, int64_t deadline_ms, void (*cb)(void *arg), void *arg)
{
    struct asking a = asking_begin(engine, PHASE_DATA, question, answer);
    if (!question->mail->reservation)
        return DONE;
    return asking_start(&a, go_on, deadline_ms, cb, arg);
}

void policy_keep(struct policy_engine *engine, struct policy_mail *mail, int64_t now_us)
{
    if (mail->reservation)
        limiter_keep(engine->limiter, mail->reservation, now_us);
    mail->reservation = NULL;
}

void policy_give_back(struct policy_engine *engine, struct policy_mail *mail)
{
    if (mail->reservation)
        limiter_give_back(engine->limiter, mail->reservation);
    mail->reservation = NULL;
    mail->counts = NULL;
}
