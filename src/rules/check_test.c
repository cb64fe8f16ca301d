/* check_test.c - tests: what their steps name, and in which order they stand (GRAMMAR.md 5). */
#include "rules/check_internal.h"

static void use_name(struct checker *c, const struct value *v, enum name_set set, unsigned kinds, const char *what)
{
    if (v)
        (void)names_use(c, set, kinds, what, (struct name){v->text, v->at});
}

/* A verdict that no action could give would never be met. */
static void check_expected_code(struct checker *c, const struct step *step)
{
    const struct value *code = values_arg(&step->values, 0);
    if (!code || code->shape != SHAPE_CODE)
        return;
    if (step->expectation == EXPECTATION_REJECT)
        (void)!code_check(c->d, ACTION_REJECT, code);
    else if (step->expectation == EXPECTATION_DEFER)
        (void)!code_check(c->d, ACTION_DEFER, code);
    else if (step->expectation == EXPECTATION_DISCONNECT)
        (void)!code_check(c->d, ACTION_DISCONNECT, code);
}

static void check_expectation(struct checker *c, struct step *step)
{
    const struct value *first = values_arg(&step->values, 0);
    switch (step->expectation) {
    case EXPECTATION_COUNTED:
        use_name(c, first, NAMES_RULES, DEFINES_LIMIT, "limit");
        break;
    case EXPECTATION_TAG:
        (void)names_use_tag(c, (struct name){first->text, first->at});
        break;
    case EXPECTATION_REJECT:
    case EXPECTATION_DEFER:
    case EXPECTATION_DISCONNECT:
    case EXPECTATION_DROP:
    case EXPECTATION_BAN:
        check_expected_code(c, step);
        /* [CODE] [at PHASE] [by NAME] [TEXT] */
        use_name(c, values_arg(&step->values, 2), NAMES_RULES, DEFINES_RULE | DEFINES_LIMIT | DEFINES_MILTER,
                 "rule or limit");
        break;
    default:
        break;
    }
}

static void check_listed(struct checker *c, const struct value *v)
{
    struct name name = {v->text, v->at};
    struct definition *d = names_find(c, NAMES_TABLES, v->text); /* a test that speaks of it is no use for it */
    if (!d)
        (void)names_use(c, NAMES_TABLES, DEFINES_TABLE | DEFINES_DNSBL, "table or dnsbl", name);
    else if (d->kind == DEFINES_TABLE)
        (void)diag_error(c->d, v->at, "\"" PRI_STR "\" is a table, not a dnsbl", STR_ARG(v->text));
}

static void check_force(struct checker *c, const struct step *step)
{
    check_later(c, step_rows[step->kind].later, step_rows[step->kind].words, step->at);
    if (step->kind != STEP_EXPECT)
        return;
    const struct expectation_row *row = &expectation_rows[step->expectation];
    check_later(c, row->later, row->word, step->expectation_at);
    if (step->is_would)
        check_part(c, PART_WOULD, step->would_at);
}

static void check_step(struct checker *c, struct step *step)
{
    check_force(c, step);
    if (step->kind == STEP_EXPECT && expectation_rows[step->expectation].would)
        check_code_by_name(c, &step->values, 3);
    if (!check_values(c, &step->values))
        return;
    const struct value *first = values_arg(&step->values, 0);
    switch (step->kind) {
    case STEP_LISTENER:
        use_name(c, first, NAMES_LISTENERS, DEFINES_LISTENER, "listener");
        break;
    case STEP_DNSBL:
        check_listed(c, first);
        break;
    case STEP_MILTER:
        use_name(c, first, NAMES_RULES, DEFINES_MILTER, "milter");
        break;
    case STEP_EXPECT:
        check_expectation(c, step);
        break;
    default:
        break;
    }
}

/* The clock of a test never goes back. */
static void say_late_now(struct checker *c, struct place at)
{
    diag_error(c->d, at, "now must stand before the first step that does something");
    diag_hint(c->d, "from there on time passes by wait; or write a test of its own");
}

void check_test(struct checker *c, struct test *test)
{
    bool is_done = false, has_user = false;
    for (size_t i = 0; i < test->step_count; i++) {
        struct step *step = &test->steps[i];
        check_step(c, step);
        has_user = has_user || step->kind == STEP_USER;
        if (step->kind == STEP_NOW && is_done)
            say_late_now(c, step->at);
        if (step->kind == STEP_FAIL && !has_user)
            (void)diag_error(c->d, step->at, "fail needs a user");
        is_done = is_done || step_rows[step->kind].effect != STEP_SETS || step->kind == STEP_WAIT;
    }
}
