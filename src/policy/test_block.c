/*
 * test_block.c - the steps of a test, and what it expects. See test_block.h; the session itself is trial.c.
 */
#include "policy/test_block.h"

#include <string.h>

#include "base/panic.h"

enum {
    RUN_MAX_BYTES = 16 << 20, /* the recipients that a test names, or makes up for one mail */
    SAID_MAX_BYTES = 4096,
};

struct run {
    const struct test *test;
    struct trial *trial;
    struct diagnostics *d;
    struct arena arena;
    bool has_outcome;
    /* of the send at hand */
    struct str domain; /* of recipients that are made up */
    size_t made_up;    /* so many are in use */
    size_t recipient_count;
    bool is_each;
    const struct str *same; /* unless is_each */
};

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
    case STEP_NOW:
        t->now_us = v->seconds * 1000000;
        return true;
    case STEP_WAIT:
        trial_wait(t, v->ms * 1000);
        return true;
    default:
        PANIC("the test step \"%s\" is not in force", step_rows[step->kind].words);
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

static bool act(struct run *run, const struct step *step)
{
    enum { COUNT, OVER };
    run->has_outcome = true;
    if (step->kind == STEP_SEND)
        return send_mails(run, step);
    PANIC_IF(step->kind != STEP_CONNECT, "the test step \"%s\" is not in force", step_rows[step->kind].words);
    return trial_connect(run->trial, whole(values_arg(&step->values, COUNT)), over_us(step, OVER));
}

/* ---- expecting ---- */

enum { WANTED_CODE, WANTED_PHASE, WANTED_BY, WANTED_TEXT }; /* arguments of `reject` and the like in expectations.def */
enum { WANTED_NAME, WANTED_VALUE };                         /* … of `count` and `tag` */

static const enum expectation_kind EXPECTATION_OF[] = {
    [POLICY_GO_ON] = EXPECTATION_ACCEPT, [POLICY_REJECT] = EXPECTATION_REJECT,
    [POLICY_DEFER] = EXPECTATION_DEFER,  [POLICY_DISCONNECT] = EXPECTATION_DISCONNECT,
    [POLICY_DROP] = EXPECTATION_DROP,    [POLICY_BAN] = EXPECTATION_BAN,
};

static bool contains(struct str s, struct str part)
{
    return part.len == 0 || (s.len && memmem(s.ptr, s.len, part.ptr, part.len));
}

/* Whoever is deferred at connect is answered 421 and sent away (GRAMMAR.md 4): that is a disconnect, too. */
static bool is_verdict(const struct trial_result *r, enum expectation_kind wanted)
{
    bool is_sent_away = r->verdict == POLICY_DEFER && r->at == PHASE_CONNECT && r->code == 421;
    return EXPECTATION_OF[r->verdict] == wanted || (is_sent_away && wanted == EXPECTATION_DISCONNECT);
}

static bool is_refused_so(const struct trial_result *r, const struct step *step)
{
    const struct value *code = values_arg(&step->values, WANTED_CODE), *phase = values_arg(&step->values, WANTED_PHASE);
    const struct value *by = values_arg(&step->values, WANTED_BY), *text = values_arg(&step->values, WANTED_TEXT);
    return is_verdict(r, step->expectation) && (!code || code->code.reply == r->code) &&
           (!code || !code->code.enhanced.len || str_equal(code->code.enhanced, str_of_z(r->enhanced))) &&
           (!phase || phase->phase == r->at) && (!by || str_equal(by->text, r->by)) &&
           (!text || contains(str_of(r->text, r->text_len), text->text));
}

static bool is_tagged_so(const struct trial *t, const struct step *step)
{
    const struct value *value = values_arg(&step->values, WANTED_VALUE);
    const struct rule_tag *tag = trial_tag(t, values_arg(&step->values, WANTED_NAME)->text);
    return tag && (!value || str_equal(value->text, tag->value));
}

static bool is_met(const struct run *run, const struct step *step, uint64_t count)
{
    const struct trial_outcome *outcome = &run->trial->outcome;
    switch (step->expectation) {
    case EXPECTATION_ACCEPT:
        return outcome->accepted == outcome->count;
    case EXPECTATION_ACCEPTED:
        return (int64_t)outcome->accepted * NUMBER_ONE == step->values.items[0].number;
    case EXPECTATION_COUNTED:
        return (int64_t)count * NUMBER_ONE == values_arg(&step->values, WANTED_VALUE)->number;
    case EXPECTATION_TAG:
        return is_tagged_so(run->trial, step);
    default:
        PANIC_IF(expectation_rows[step->expectation].later, "the expectation \"%s\" is not in force",
                 expectation_rows[step->expectation].word);
        return is_refused_so(&outcome->last, step);
    }
}

/* ---- what was expected, and what came ---- */

static bool say_wanted(struct buf *to, const struct step *step)
{
    const struct values *values = &step->values;
    const char *word = expectation_rows[step->expectation].word;
    const struct value *value = values_arg(values, WANTED_VALUE);
    switch (step->expectation) {
    case EXPECTATION_ACCEPT:
        return buf_append_str(to, str_of_z(word));
    case EXPECTATION_ACCEPTED:
        return buf_printf(to, PRI_STR " accepted", STR_ARG(values->items[0].text));
    case EXPECTATION_COUNTED:
    case EXPECTATION_TAG: {
        const char *quote = value && value->is_quoted ? "\"" : "";
        return buf_printf(to, "%s " PRI_STR, word, STR_ARG(values_arg(values, WANTED_NAME)->text)) &&
               (!value || buf_printf(to, " %s" PRI_STR "%s", quote, STR_ARG(value->text), quote));
    }
    default:
        break;
    }
    const struct value *code = values_arg(values, WANTED_CODE), *phase = values_arg(values, WANTED_PHASE);
    const struct value *by = values_arg(values, WANTED_BY), *text = values_arg(values, WANTED_TEXT);
    struct str enhanced = code ? code->code.enhanced : STR_NONE;
    return buf_append_str(to, str_of_z(word)) && (!code || buf_printf(to, " %d", code->code.reply)) &&
           (!enhanced.len || buf_printf(to, " " PRI_STR, STR_ARG(enhanced))) &&
           (!phase || buf_printf(to, " at %s", phase_rows[phase->phase].word)) &&
           (!by || buf_printf(to, " by " PRI_STR, STR_ARG(by->text))) &&
           (!text || buf_printf(to, " \"" PRI_STR "\"", STR_ARG(text->text)));
}

static bool say_result(struct buf *to, const struct trial_result *r)
{
    return buf_append_str(to, str_of_z(expectation_rows[EXPECTATION_OF[r->verdict]].word)) &&
           (!r->code || buf_printf(to, " %d", r->code)) &&
           (r->verdict == POLICY_GO_ON || buf_printf(to, " at %s", phase_rows[r->at].word)) &&
           (!r->by.len || buf_printf(to, " by " PRI_STR, STR_ARG(r->by)));
}

/* Which of the results an expectation speaks of: "all of it was accepted" fails at the first that was not. */
static const struct trial_result *result_meant(const struct trial_outcome *outcome, const struct step *step)
{
    return step->expectation == EXPECTATION_ACCEPT ? &outcome->first_refused : &outcome->last;
}

static bool say_got(struct buf *to, const struct run *run, const struct step *step, uint64_t count)
{
    const struct trial_outcome *outcome = &run->trial->outcome;
    if (step->expectation == EXPECTATION_COUNTED)
        return buf_printf(to, "%llu", (unsigned long long)count);
    if (step->expectation == EXPECTATION_ACCEPTED)
        return buf_printf(to, "%zu accepted", outcome->accepted);
    return say_result(to, result_meant(outcome, step));
}

static void say_more(struct run *run, const struct step *step)
{
    const struct trial_outcome *outcome = &run->trial->outcome;
    const struct trial_result *r = result_meant(outcome, step);
    if (step->expectation == EXPECTATION_COUNTED || step->expectation == EXPECTATION_ACCEPTED)
        return;
    if (step->expectation == EXPECTATION_TAG) {
        const struct rule_tag *tag = trial_tag(run->trial, values_arg(&step->values, WANTED_NAME)->text);
        if (tag && tag->value.ptr)
            diag_hint(run->d, "its value is \"" PRI_STR "\"", STR_ARG(tag->value));
        else
            diag_hint(run->d, tag ? "it has no value" : "it does not bear the tag");
    } else if (step->expectation == EXPECTATION_ACCEPT && outcome->count > 1) {
        diag_hint(run->d, "%zu of %zu were accepted; the first that was not: %d %s %.*s", outcome->accepted,
                  outcome->count, r->code, r->enhanced, (int)r->text_len, r->text);
    } else if (r->code) {
        diag_hint(run->d, "the reply: %d %s %.*s", r->code, r->enhanced, (int)r->text_len, r->text);
    }
}

static void fail(struct run *run, const struct step *step, uint64_t count)
{
    struct buf wanted, got;
    buf_init(&wanted, SAID_MAX_BYTES);
    buf_init(&got, SAID_MAX_BYTES);
    bool is_whole = say_wanted(&wanted, step) && say_got(&got, run, step, count); /* a longer one is cut */
    (void)is_whole;
    diag_error(run->d, step->at, "test \"" PRI_STR "\": expected " PRI_STR ", got " PRI_STR,
               STR_ARG(run->test->name.text), STR_ARG(buf_str(&wanted)), STR_ARG(buf_str(&got)));
    say_more(run, step);
    buf_fini(&wanted);
    buf_fini(&got);
}

/* `count` looks; any other speaks of what came last, or runs the mail as set. False: no memory. */
static bool expect(struct run *run, const struct step *step, bool *is_fine)
{
    uint64_t count = 0;
    bool ok = true;
    if (step->expectation == EXPECTATION_COUNTED) {
        ok = trial_count(run->trial, values_arg(&step->values, WANTED_NAME)->text, &count);
    } else if (!run->has_outcome) {
        run->has_outcome = true;
        ok = trial_send(run->trial, 1, 0, NULL);
    }
    *is_fine = !ok || run->trial->was_stopped || is_met(run, step, count);
    if (!*is_fine)
        fail(run, step, count);
    return ok;
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
            ok = expect(run, step, &is_fine);
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
    tests->count = 0;
    for (size_t i = 0; i < tree->count; i++)
        if (tree->statements[i]->kind == STATEMENT_TEST && !run_test(tests, &tree->statements[i]->test, d))
            return false;
    return true;
}
