/* parse_test.c - `test "…" { steps }` and what a test may expect. */
#include "rules/parse_internal.h"

static bool find_expectation(struct parser *p, struct step *step)
{
    const struct token *t = parse_peek(p);
    struct str word = parse_text(p, t);
    struct suggestion nearest;
    suggest_init(&nearest, word);
    if (!step->is_would && (t->kind == TOKEN_PARAM || (t->kind == TOKEN_WORD && ascii_is_digit(word.ptr[0])))) {
        step->expectation = EXPECTATION_ACCEPTED;
        return true;
    }
    for (unsigned i = 0; i < EXPECTATION_COUNT; i++) {
        const struct expectation_row *row = &expectation_rows[i];
        if (step->is_would && !row->would)
            continue;
        if (parse_is_word(p, row->word)) {
            step->expectation = (enum expectation_kind)i;
            parse_take(p);
            return true;
        }
        suggest_offer(&nearest, str_of_z(row->word));
    }
    return parse_unknown(p, "expectation", "an expectation", &nearest);
}

static bool parse_expectation(struct parser *p, struct step *step)
{
    step->would_at = parse_place(p, parse_peek(p));
    step->is_would = parse_accept_word(p, "would");
    step->expectation_at = parse_place(p, parse_peek(p));
    return find_expectation(p, step) &&
           parse_args(p, expectation_rows[step->expectation].arguments, STR("expect"), false, &step->values);
}

static bool parse_step(struct parser *p, void *arg)
{
    struct test *test = arg;
    struct step read = {.at = parse_place(p, parse_peek(p))};
    struct str second, first;
    unsigned step;
    if (!PARSE_FIND(p, step_rows, "test step", "a test step", &step))
        return false;
    read.kind = (enum step_kind)step;
    const struct step_row *row = &step_rows[read.kind];
    parse_take(p);
    first = str_split(str_of_z(row->words), ' ', &second); /* `mail from` */
    if (second.ptr && !parse_expect_word(p, second.ptr))
        return false;
    bool fine = row->effect == STEP_EXPECTS ? parse_expectation(p, &read)
                                            : parse_args(p, row->arguments, first, false, &read.values);
    if (!fine)
        return false;
    void *steps = test->steps;
    struct step *kept = parse_array_add(p, &steps, &test->step_count, sizeof *kept);
    test->steps = steps;
    if (kept)
        *kept = read;
    return kept != NULL;
}

bool parse_test(struct parser *p, struct statement *s)
{
    return parse_string(p, false, &s->test.name) && parse_block(p, parse_step, &s->test);
}
