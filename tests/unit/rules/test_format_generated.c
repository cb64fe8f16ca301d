/* test_format_generated.c - a thousand random programs, and the rules files that come with mailweir: what they become
 * says the same, and becomes itself. */
#include "format_cases.h"
#include "generator.h"
#include "rules/lex.h"

enum { PROGRAMS = 1000 };

struct read {
    struct source_set sources;
    struct diagnostics d;
    struct tree tree;
    struct tokens tokens;
};

/* The words alone, and the tree that the parser makes of them: of includes, nothing can be read. */
static void read_open(struct read *r, struct str text)
{
    struct err err;
    uint32_t file;
    source_set_init(&r->sources, NULL, 0);
    diag_init(&r->d, &r->sources);
    tree_init(&r->tree, &r->sources);
    assert_true(source_add_text(&r->sources, STR("t"), text, &file, &err));
    assert_true(lex(&r->sources, file, &r->d, &r->tokens));
    struct marked_tokens marked;
    bool fine = rules_parse_marked(&r->sources, file, &r->d, &r->tree, &marked);
    marked_tokens_fini(&marked);
    if (fine)
        return;
    diag_sort(&r->d);
    fail_msg("line %u col %u: " PRI_STR "\n" PRI_STR, r->d.items[0].at.line, r->d.items[0].at.col,
             STR_ARG(r->d.items[0].text), STR_ARG(text));
}

static void read_close(struct read *r)
{
    tokens_fini(&r->tokens);
    tree_fini(&r->tree);
    diag_fini(&r->d);
    source_set_fini(&r->sources);
}

static bool is_space(const struct token *t)
{
    return t->kind == TOKEN_NEWLINE || (t->kind == TOKEN_SIGN && t->sign == SIGN_SEMICOLON);
}

/* The next word or comment at or behind *at. */
static struct str next_word(const struct read *r, size_t *at)
{
    while (is_space(&r->tokens.items[*at]))
        ++*at;
    struct str text = str_trim(token_text(&r->sources, &r->tokens, &r->tokens.items[*at]));
    *at += r->tokens.items[*at].kind != TOKEN_END;
    return text;
}

static void assert_same_words(const struct read *a, const struct read *b)
{
    size_t i = 0, k = 0;
    struct str word;
    do {
        word = next_word(a, &i);
        assert_true(str_equal(word, next_word(b, &k)));
    } while (word.len);
}

static void assert_same_conditions(const struct condition *a, const struct condition *b)
{
    assert_int_equal(a != NULL, b != NULL);
    if (!a)
        return;
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->op, b->op);
    assert_int_equal(a->is_negated, b->is_negated);
    assert_int_equal(a->operand.kind, b->operand.kind);
    assert_int_equal(a->in.values.count, b->in.values.count);
    assert_same_conditions(a->child, b->child);
    assert_same_conditions(a->next, b->next);
}

static void assert_same_rules(const struct statement *a, const struct statement *b)
{
    assert_int_equal(a->on.phase, b->on.phase);
    assert_int_equal(a->on.count, b->on.count);
    for (size_t i = 0; i < a->on.count; i++) {
        const struct rule *x = a->on.rules[i], *y = b->on.rules[i];
        assert_true(str_equal(x->name.text, y->name.text));
        assert_int_equal(x->actions.count, y->actions.count);
        for (size_t k = 0; k < x->actions.count; k++)
            assert_int_equal(x->actions.items[k].values.count, y->actions.items[k].values.count);
        assert_same_conditions(x->if_cond, y->if_cond);
        assert_same_conditions(x->unless_cond, y->unless_cond);
    }
}

static void assert_same_statement(const struct statement *a, const struct statement *b)
{
    assert_int_equal(a->kind, b->kind);
    switch (a->kind) {
    case STATEMENT_ON:
        assert_same_rules(a, b);
        break;
    case STATEMENT_LIMIT:
        assert_int_equal(a->limit.rate_count, b->limit.rate_count);
        assert_int_equal(a->limit.threshold_count, b->limit.threshold_count);
        assert_same_conditions(a->limit.if_cond, b->limit.if_cond);
        assert_same_conditions(a->limit.unless_cond, b->limit.unless_cond);
        break;
    case STATEMENT_TABLE:
        assert_int_equal(a->table.item_count, b->table.item_count);
        assert_int_equal(a->table.options.count, b->table.options.count);
        break;
    case STATEMENT_TEST:
        assert_int_equal(a->test.step_count, b->test.step_count);
        for (size_t i = 0; i < a->test.step_count; i++)
            assert_int_equal(a->test.steps[i].values.count, b->test.steps[i].values.count);
        break;
    default:
        if (statement_rows[a->kind].times == TIMES_SYNTAX)
            break;
        assert_int_equal(a->server.values.count, b->server.values.count);
        assert_int_equal(a->server.options.count, b->server.options.count);
    }
}

static void assert_same(struct str text, struct str formatted)
{
    struct read a, b;
    read_open(&a, text);
    read_open(&b, formatted);
    assert_same_words(&a, &b);
    assert_int_equal(a.tree.count, b.tree.count);
    for (size_t i = 0; i < a.tree.count; i++)
        assert_same_statement(a.tree.statements[i], b.tree.statements[i]);
    read_close(&a);
    read_close(&b);
}

/* No line ends with a space, no blank one stands at an end or behind another. */
static void assert_tidy(struct str text)
{
    bool was_blank = true;
    for (struct str rest = text; rest.len;) {
        struct str line = str_split(rest, '\n', &rest);
        assert_false(line.len && (line.ptr[line.len - 1] == ' ' || line.ptr[line.len - 1] == '\t'));
        assert_false(was_blank && !line.len);
        was_blank = !line.len;
    }
    assert_true(!text.len || (!was_blank && text.ptr[text.len - 1] == '\n'));
}

static void check_program(struct str text)
{
    struct buf once, twice;
    buf_init(&once, 1 << 20);
    buf_init(&twice, 1 << 20);
    if (format_text(text, &once) != FORMAT_DONE)
        fail_msg(PRI_STR "\n" PRI_STR, STR_ARG(buf_str(&once)), STR_ARG(text));
    assert_same(text, buf_str(&once));
    assert_tidy(buf_str(&once));
    if (format_text(buf_str(&once), &twice) != FORMAT_DONE || !str_equal(buf_str(&once), buf_str(&twice)))
        fail_msg("not laid out for good:\n" PRI_STR "\nbecame:\n" PRI_STR, STR_ARG(buf_str(&once)),
                 STR_ARG(buf_str(&twice)));
    buf_fini(&once);
    buf_fini(&twice);
}

static void test_generated(void **state)
{
    (void)state;
    size_t statements = 0;
    for (uint64_t seed = 1; seed <= PROGRAMS; seed++) {
        struct buf text;
        buf_init(&text, 1 << 20);
        assert_true(generate_program(seed, &text));
        check_program(buf_str(&text));
        statements += buf_len(&text) > 0;
        buf_fini(&text);
    }
    assert_int_equal(statements, PROGRAMS);
}

static void test_shipped(void **state)
{
    (void)state;
    struct source_set sources;
    struct err err;
    uint32_t file;
    source_set_init(&sources, NULL, 0);
    assert_true(source_read(&sources, STR(SOURCE_DIR "/lua-free-rules/submission.rules"), &file, &err));
    check_program(source_file_get(&sources, file)->text);
    source_set_fini(&sources);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_generated), cmocka_unit_test(test_shipped)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
