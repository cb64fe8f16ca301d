/*
 * test_block.c - the steps of a test: what they set and do. See test_block.h; what is expected is test_expect.c's, the
 * session itself trial.c's.
 */
#include "policy/test_inside.h"

#include <string.h>

#include "base/panic.h"

enum { RUN_MAX_BYTES = 16 << 20 }; /* what a test says, and the recipients it makes up for one mail */

/* ---- settings ---- */

static bool set_recipients(struct run *run, const struct values *values)
{
    struct str *list = arena_alloc(&run->arena, values->count * sizeof *list);
    if (!list)
        return false;
    for (size_t i = 0; i < values->count; i++)
        list[i] = values->items[i].text;
    run->trial->settings.rcpts = list;
    run->trial->settings.rcpt_count = values->count;
    return true;
}

static void set_sender(struct trial_settings *set, struct str address)
{
    set->has_sender = true;
    set->sender = str_equal(address, STR("<>")) ? STR("") : address;
}

/* Room for one item more: full at a power of two, a list moves to one of twice its size. NULL: no memory. */
static void *with_room(struct run *run, const void *items, size_t count, size_t size)
{
    bool is_full = (count & (count - 1)) == 0;
    void *to = is_full ? arena_alloc(&run->arena, MAX_OF(count * 2, (size_t)1) * size) : NULL;
    if (to && count)
        memcpy(to, items, count * size);
    return is_full ? to : (void *)items;
}

static bool add_header(struct run *run, const struct step *step)
{
    struct trial_settings *set = &run->trial->settings;
    if (!(run->headers = with_room(run, run->headers, set->header_count, sizeof *run->headers)))
        return false;
    run->headers[set->header_count++] =
        (struct trial_header){values_arg(&step->values, 0)->text, values_arg(&step->values, 1)->text};
    set->headers = run->headers;
    return true;
}

static bool list(struct run *run, struct str dnsbl)
{
    struct policy_given *given = &run->trial->given;
    if (!(run->listed = with_room(run, run->listed, given->listed_count, sizeof *run->listed)))
        return false;
    run->listed[given->listed_count++] = dnsbl;
    given->listed = run->listed;
    return true;
}

static bool set_milter(struct run *run, const struct step *step)
{
    static const enum policy_verdict VERDICTS[] = {POLICY_GO_ON, POLICY_REJECT, POLICY_DEFER}; /* accept|reject|defer */
    struct trial_settings *set = &run->trial->settings;
    struct str name = values_arg(&step->values, 0)->text;
    size_t i = 0;
    while (i < set->milter_count && !str_equal(run->milters[i].name, name))
        i++;
    if (i == set->milter_count) {
        if (!(run->milters = with_room(run, run->milters, i, sizeof *run->milters)))
            return false;
        set->milter_count++;
    }
    run->milters[i] = (struct trial_milter){name, VERDICTS[values_arg(&step->values, 1)->choice]};
    set->milters = run->milters;
    return true;
}

/* False: no memory. */
static bool set(struct run *run, const struct step *step)
{
    struct trial *t = run->trial;
    const struct value *v = &step->values.items[0];
    run->has_outcome = false;
    switch (step->kind) {
    case STEP_CLIENT:
        t->settings.client = v->network.from;
        return true;
    case STEP_HELO:
        t->settings.helo = v->text;
        return true;
    case STEP_TLS:
        t->settings.is_tls = v->truth;
        return true;
    case STEP_USER:
        t->settings.user = v->text;
        return true;
    case STEP_LISTENER:
        t->settings.listener = v->text;
        return true;
    case STEP_MAIL_FROM:
        set_sender(&t->settings, v->text);
        return true;
    case STEP_RCPT_TO:
        return set_recipients(run, &step->values);
    case STEP_SIZE:
        t->settings.size_bytes = (uint64_t)v->bytes;
        return true;
    case STEP_HEADER:
        return add_header(run, step);
    case STEP_NAME:
        t->given.name = v->text;
        return true;
    case STEP_COUNTRY:
        t->given.country = v->text;
        return true;
    case STEP_DNSBL:
        return list(run, v->text);
    case STEP_MILTER:
        return set_milter(run, step);
    case STEP_NOW:
        t->now_us = v->seconds * 1000000;
        return true;
    case STEP_WAIT:
        trial_wait(t, v->ms * 1000);
        return true;
    default:
        PANIC("the test step \"%s\" sets nothing", step_rows[step->kind].words);
    }
}

/* ---- doing ---- */

/* r1@DOMAIN …, of the first number on. NULL: no memory. */
static const struct str *make_up(struct run *run, struct arena *arena, size_t first)
{
    struct str *list = arena_alloc(arena, run->recipient_count * sizeof *list);
    for (size_t i = 0; list && i < run->recipient_count; i++) {
        list[i] = arena_printf(arena, "r%zu@" PRI_STR, first + i, STR_ARG(run->domain));
        if (!list[i].ptr)
            return NULL;
    }
    return list;
}

static bool make_recipients(void *arg, size_t i, const struct str **rcpts, size_t *count)
{
    struct run *run = arg;
    (void)i;
    *rcpts = run->same;
    *count = run->recipient_count;
    if (run->is_each) {
        *rcpts = make_up(run, &run->trial->arena, run->made_up + 1);
        run->made_up += run->recipient_count;
    }
    return *rcpts != NULL;
}

static size_t whole(const struct value *v)
{
    return (size_t)(v->number / NUMBER_ONE);
}

static int64_t over_us(const struct step *step, unsigned arg)
{
    const struct value *over = values_arg(&step->values, arg);
    return over ? over->ms * 1000 : 0;
}

static bool send_mails(struct run *run, const struct step *step)
{
    enum { COUNT, RECIPIENTS, EACH, OVER };
    struct trial *t = run->trial;
    struct trial_recipients made_up = {make_recipients, run};
    const struct value *recipients = values_arg(&step->values, RECIPIENTS);
    size_t count = whole(values_arg(&step->values, COUNT));
    if (!recipients)
        return trial_send(t, count, over_us(step, OVER), NULL);
    struct str first = t->settings.rcpt_count ? t->settings.rcpts[0] : STR("@example.net");
    run->domain = str_from(first, str_find_last(first, '@') + 1);
    run->recipient_count = whole(recipients);
    run->is_each = values_arg(&step->values, EACH) != NULL;
    run->same = NULL;
    if (!run->is_each) {
        run->same = make_up(run, &run->arena, 1);
        run->made_up = MAX_OF(run->made_up, run->recipient_count);
        if (!run->same)
            return false;
    }
    return trial_send(t, count, over_us(step, OVER), &made_up);
}

static bool fail_logins(struct run *run, const struct step *step)
{
    enum { COUNT, PASSWORDS, OVER };
    const struct value *passwords = values_arg(&step->values, PASSWORDS);
    return trial_fail(run->trial, whole(values_arg(&step->values, COUNT)), passwords ? whole(passwords) : 0,
                      over_us(step, OVER));
}

static bool act(struct run *run, const struct step *step)
{
    enum { COUNT, OVER };
    run->has_outcome = true;
    switch (step->kind) {
    case STEP_SEND:
        return send_mails(run, step);
    case STEP_FAIL:
        return fail_logins(run, step);
    case STEP_CONNECT:
        return trial_connect(run->trial, whole(values_arg(&step->values, COUNT)), over_us(step, OVER));
    default:
        PANIC("the test step \"%s\" does nothing", step_rows[step->kind].words);
    }
}

/* ---- a test ---- */

/* False: no memory, said. */
static bool run_steps(struct run *run)
{
    bool ok = true, is_fine = true;
    for (size_t i = 0; i < run->test->step_count && ok && is_fine && !run->trial->was_stopped; i++) {
        const struct step *step = &run->test->steps[i];
        switch (step_rows[step->kind].effect) {
        case STEP_SETS:
            ok = set(run, step);
            break;
        case STEP_DOES:
            ok = act(run, step);
            break;
        case STEP_EXPECTS:
            ok = test_expect(run, step, &is_fine);
            break;
        }
    }
    return ok;
}

/* False: stopped. */
static bool run_test(struct test_blocks *tests, const struct test *test, struct diagnostics *d)
{
    struct run run = {.test = test, .trial = trial_new(tests->world), .d = d};
    bool was_stopped = false;
    arena_init(&run.arena, RUN_MAX_BYTES);
    if (run.trial) {
        run.trial->is_over = tests->is_over;
        run.trial->is_over_arg = tests->arg;
    }
    if (!run.trial || !run_steps(&run))
        diag_error(d, test->name.at, "no memory for this test");
    if (run.trial)
        was_stopped = run.trial->was_stopped;
    arena_fini(&run.arena);
    trial_free(&run.trial);
    tests->count += !was_stopped;
    return !was_stopped;
}

bool test_blocks_run(struct test_blocks *tests, const struct tree *tree, struct diagnostics *d)
{
    tests->count = tests->left_out_count = 0;
    for (size_t i = 0; i < tree->count; i++) {
        const struct test *test = &tree->statements[i]->test;
        if (tree->statements[i]->kind != STATEMENT_TEST)
            continue;
        if (test->is_left_out)
            tests->left_out_count++;
        else if (!run_test(tests, test, d))
            return false;
    }
    return true;
}
