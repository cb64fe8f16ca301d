/* settle.c - what becomes of a mail's reservation: settled by its real size, then kept or given back. */
#include "policy/admit.h"

bool policy_settle(struct policy_engine *engine, struct policy_case *question, uint64_t size_bytes,
                   struct policy_answer *answer)
{
    struct asking a = asking_begin(engine, PHASE_DATA, question, answer);
    struct reservation *r = question->mail->reservation;
    if (!r)
        return true;
    asking_must_be_done(
        limiter_settle_start(engine->limiter, r, size_bytes, question->now_us, STORE_DEADLINE_MS, NULL, NULL));
    asking_passed(&a, r);
    if (r->verdict == VERDICT_RESERVED && answer->verdict == POLICY_GO_ON) {
        if (engine->policy->units & 1u << UNIT_BYTES)
            asking_note_counts(&a, r); /* the real size is counted now */
        return true;
    }
    policy_give_back(engine, question->mail);
    asking_count_refusal(&a);
    return false;
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
