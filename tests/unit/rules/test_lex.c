/* test_lex.c - text becomes tokens: each case is a text and its tokens as "KIND:text" joined by spaces, or an error. */
#include "parse_cases.h"
#include "rules/lex.h"

struct lex_case {
    const char *text;
    const char *tokens; /* W word, S string, R raw, P param, . sign, N newline, # comment, B bad; END is left out */
    const char *errors;
};

static const struct lex_case CASES[] = {
    {"", "", ""},
    {"\n\n", "", ""},
    {"a b", "W:a W:b N", ""},
    {"a\nb\n", "W:a N W:b N", ""},
    {"a\r\nb\r\n", "W:a N W:b N", ""},
    {"\xEF\xBB\xBF"
     "a",
     "W:a N", ""},
    {"a\t b", "W:a W:b N", ""},
    {"# c\na # d\n", "#:# c W:a #:# d N", ""},
    {"a#b", "W:a #:#b N", ""},
    {"\"a#b\"", "S:\"a#b\" N", ""},
    {"a,b;c", "W:a .:, W:b .:; W:c N", ""},
    {"a=b!=c<=d>=e<f>g<>h", "W:a .:= W:b .:!= W:c .:<= W:d .:>= W:e .:< W:f .:> W:g .:<> W:h N", ""},
    {"{(})", ".:{ .:( .:} .:) N", ""},
    {"[::]:587", "W:[::]:587 N", ""},
    {"[2001:db8::1]", "W:[2001:db8::1] N", ""},
    {"[192.0.2.1]:25 x", "W:[192.0.2.1]:25 W:x N", ""},
    {"x [::1]", "W:x W:[::1] N", ""},
    {"x[::1]", "W:x I:[ W:::1 .:] N", ""},
    {"[a]", "W:[a] N", ""},
    {"[x]", ".:[ W:x .:] N", ""},
    {"[]", ".:[ .:] N", ""},
    {"x[y] [z]", "W:x I:[ W:y .:] .:[ W:z .:] N", ""},
    {"\"x\"[y", "S:\"x\" .:[ W:y N", ""},
    {"a.b@c-d/e:f%g+h~i_j", "W:a.b@c-d/e:f%g+h~i_j N", ""},
    {"m\xC3\xBCller.example", "W:m\xC3\xBCller.example N", ""},
    {"$a", "P:$a N", ""},
    {"$a-b_c.d", "P:$a-b_c W:.d N", ""},
    {"$a/1h", "W:$a/1h N", ""},
    {"$a/$b", "W:$a/$b N", ""},
    {"10/$b x", "W:10/$b W:x N", ""},
    {"10$b", "W:10 P:$b N", ""},
    {"$a%", "P:$a W:% N", ""},
    {"'a\\d\"b'", "R:'a\\d\"b' N", ""},
    {"\"\\\" \\\\ \\n \\t\"", "S:\"\\\" \\\\ \\n \\t\" N", ""},
    {"\"a\tb\"", "S:\"a\tb\" N", ""},
    {"\"a'b\" 'c\"d'", "S:\"a'b\" R:'c\"d' N", ""},
    {"\"\"''", "S:\"\" R:'' N", ""},
    /* wrong */
    {"a ! b", "W:a B:! W:b N", "1:3+1 unexpected character \"!\" | write not, or !="},
    {"a && b", "W:a B:& B:& W:b N", "1:3+1 unexpected character \"&\" | write and"},
    {"a * b", "W:a B:* W:b N",
     "1:3+1 unexpected character \"*\" | a pattern needs quotes; in a table @example.org and .example.org mean all of "
     "them"},
    {"$", "B:$ N", "1:1+1 unexpected character \"$\""},
    {"$1", "B:$ W:1 N", "1:1+1 unexpected character \"$\""},
    {"a\x01z", "W:a B:\x01 W:z N", "1:2+1 unexpected character \"\\x01\""},
    {"a\x7Fz", "W:a B:\x7F W:z N", "1:2+1 unexpected character \"\\x7F\""},
    {"a\rb", "W:a B:\r W:b N", "1:2+1 unexpected character \"\\x0D\""},
    {"a\xFFz", "W:a B:\xFF W:z N", "1:2+1 unexpected character \"\\xFF\""},
    {"\xC3", "B:\xC3 N", "1:1+1 unexpected character \"\\xC3\""},
    {"\xC0\xAF", "B:\xC0 B:\xAF N", "1:1+1 unexpected character \"\\xC0\"\n1:2+1 unexpected character \"\\xAF\""},
    {"\xED\xA0\x80", "B:\xED B:\xA0 B:\x80 N",
     "1:1+1 unexpected character \"\\xED\"\n1:2+1 unexpected character \"\\xA0\"\n1:3+1 unexpected character "
     "\"\\x80\""},
    {"# \x01\x02", "#:# \x01\x02", "1:3+1 unexpected character \"\\x01\""},
    {"\"a\x01\"", "B:\"a\x01\" N", "1:3+1 unexpected character \"\\x01\""},
    {"\"a", "B:\"a N", "1:1+1 this text is never closed"},
    {"\"a\\", "B:\"a\\ N", "1:1+1 this text is never closed"},
    {"\"a\\\nb", "B:\"a\\ N W:b N", "1:1+1 this text is never closed"},
    {"'a\nb'", "B:'a N W:b B:' N", "1:1+1 this text is never closed\n2:2+1 this text is never closed"},
    {"\"a\r\nb", "B:\"a N W:b N", "1:1+1 this text is never closed"},
    {"\"\\d\\e\"", "S:\"\\d\\e\" N", "1:2+2 unknown escape \\d in a text; patterns stand in '…'"},
    {"\"\xC3\xBC\\\xC3\xBC\"", "S:\"\xC3\xBC\\\xC3\xBC\" N",
     "1:3+2 unknown escape \\\xC3\xBC in a text; patterns stand in '…'"},
    {"{", ".:{ N", "1:1+1 this { is never closed"},
    {"{ { }", ".:{ .:{ .:} N", "1:1+1 this { is never closed"},
    {"{\n\"}", ".:{ N B:\"} N", "2:1+1 this text is never closed"},
};

static char kind_letter(const struct token *t)
{
    static const char letters[] = "ENWSRP.#B";
    return t->kind == TOKEN_SIGN && t->sign == SIGN_OPEN_INDEX ? 'I' : letters[t->kind];
}

static void tokens_text(const struct source_set *sources, const struct tokens *tokens, char *to, size_t size)
{
    size_t len = 0;
    to[0] = '\0';
    for (size_t i = 0; i < tokens->count; i++) {
        const struct token *t = &tokens->items[i];
        const char *space = len ? " " : "";
        if (t->kind == TOKEN_NEWLINE)
            len += (size_t)snprintf(to + len, size - len, "%sN", space);
        else if (t->kind != TOKEN_END)
            len += (size_t)snprintf(to + len, size - len, "%s%c:" PRI_STR, space, kind_letter(t),
                                    STR_ARG(token_text(sources, tokens, t)));
    }
}

static void test_tokens(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct parsed p = {.is_fine = true};
        struct tokens tokens;
        char said[2048], errors[2048];
        struct err err;
        uint32_t file;
        source_set_init(&p.sources, NULL, 0);
        diag_init(&p.d, &p.sources);
        assert_true(source_add_text(&p.sources, STR("t"), str_of_z(CASES[i].text), &file, &err));
        assert_true(lex(&p.sources, file, &p.d, &tokens));
        tokens_text(&p.sources, &tokens, said, sizeof said);
        diag_sort(&p.d);
        parsed_errors(&p, errors, sizeof errors);
        if (strcmp(said, CASES[i].tokens) != 0 || strcmp(errors, CASES[i].errors) != 0)
            fail_msg("%s\nexpected: %s\n%s\nread: %s\n%s", CASES[i].text, CASES[i].tokens, CASES[i].errors, said,
                     errors);
        tokens_fini(&tokens);
        diag_fini(&p.d);
        source_set_fini(&p.sources);
    }
}

/* Columns count characters; a newline stands just behind the last token, not behind the comment. */
static void test_places(void **state)
{
    struct source_set sources;
    struct diagnostics d;
    struct tokens tokens;
    struct err err;
    uint32_t file;
    (void)state;
    source_set_init(&sources, NULL, 0);
    diag_init(&d, &sources);
    assert_true(source_add_text(&sources, STR("t"), STR("\xC3\xBC\tb  # c\n\n  \"\xC3\xBC\"x"), &file, &err));
    assert_true(lex(&sources, file, &d, &tokens));
    static const struct {
        unsigned line, col, len;
    } places[] = {{1, 1, 1}, {1, 3, 1}, {1, 6, 3}, {1, 4, 0}, {3, 3, 3}, {3, 6, 1}, {3, 7, 0}, {3, 7, 0}};
    assert_int_equal(tokens.count, COUNT_OF(places));
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        assert_int_equal(tokens.items[i].line, places[i].line);
        assert_int_equal(tokens.items[i].col, places[i].col);
        assert_int_equal(tokens.items[i].len, places[i].len);
    }
    assert_int_equal(tokens.items[7].kind, TOKEN_END);
    tokens_fini(&tokens);
    diag_fini(&d);
    source_set_fini(&sources);
}

/* NUL is a control character like others, and ends nothing. */
static void test_nul(void **state)
{
    struct parsed p = {.is_fine = true};
    char errors[256];
    (void)state;
    source_set_init(&p.sources, NULL, 0);
    diag_init(&p.d, &p.sources);
    tree_init(&p.tree, &p.sources);
    assert_false(rules_parse_text(&p.sources, "t", STR("workers 1\0\nworkers 0 \"\\\0\""), &p.d, &p.tree));
    diag_sort(&p.d);
    parsed_errors(&p, errors, sizeof errors);
    assert_string_equal(errors, "1:10+1 unexpected character \"\\x00\"\n"
                                "2:9+1 workers must be from 1 to 256, not 0\n"
                                "2:13+1 unexpected character \"\\x00\"");
    parsed_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tokens), cmocka_unit_test(test_places),
                                       cmocka_unit_test(test_nul)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
