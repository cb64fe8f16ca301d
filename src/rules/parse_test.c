/* parse_test.c - `test "…" { steps }` and what a test may expect. */
#include "rules/parse_internal.h"

/* A step's first word, and whether its row has a second: `mail from`. */
static struct str first_word(const char *words, struct str *second)
{
    return str_split(str_of_z(words), ' ', second);
}

static bool find_step(struct parser *p, enum step_kind *kind)
{
    struct str word = parse_text(p, parse_peek(p)), second;
    struct suggestion nearest;
    suggest_init(&nearest, word);
    for (unsigned i = 0; i < STEP_COUNT; i++) {
        struct str first = first_word(step_rows[i].words, &second);
        if (parse_peek(p)->kind == TOKEN_WORD && str_equal(word, first)) {
            *kind = (enum step_kind)i;
            return true;
        }
        suggest_offer(&nearest, first);
    }
    return parse_unknown(p, "test step", "a test step", &nearest);
}

static bool find_expectation(struct parser *p, struct step *step)
{
    const struct token *t = parse_peek(p);
    struct str word = parse_text(p, t);
    struct suggestion nearest;
    suggest_init(&nearest, word);
    if (t->kind == TOKEN_WORD && ascii_is_digit(word.ptr[0]) && !step->is_would) {
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
    if (!find_step(p, &read.kind))
        return false;
    const struct step_row *row = &step_rows[read.kind];
    parse_take(p);
    first = first_word(row->words, &second);
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
