/* test_language.c - the tables in words: every row says what it is, every word is found, what it says is right. */
#include "parse_cases.h"
#include "rules/language.h"
#include "rules/language_internal.h"

enum { TEXT_MAX = 1 << 20 };

static void assert_lines(struct str text)
{
    assert_true(str_is_utf8(text));
    while (text.len) {
        struct str line = str_split(text, '\n', &text);
        size_t width = 0;
        for (size_t i = 0; i < line.len; i++)
            width += ((unsigned char)line.ptr[i] & 0xC0) != 0x80;
        if (width > LANGUAGE_WIDTH || str_has_control(line) || (line.len && line.ptr[line.len - 1] == ' '))
            fail_msg("wide, or with a space at its end: " PRI_STR, STR_ARG(line));
    }
}

static void test_every_row_has_a_help(void **state)
{
    (void)state;
    for (size_t k = 0; k < language_section_count; k++)
        for (size_t i = 0; i < language_sections[k].count; i++) {
            struct entry e = language_sections[k].get(i);
            struct str help = str_of_z(e.help);
            if (help.len < 3 || help.ptr[help.len - 1] == '.' || str_find(help, '\n') < help.len)
                fail_msg("%s %s: \"%s\"", language_sections[k].kind, e.words, e.help);
        }
}

static void test_overview_names_everything(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, TEXT_MAX);
    assert_true(language_print_overview(&text));
    assert_lines(buf_str(&text));
    for (size_t k = 0; k < language_section_count; k++)
        for (size_t i = 0; i < language_sections[k].count && language_sections[k].title; i++) {
            char line[128];
            snprintf(line, sizeof line, "\n  %s", language_sections[k].get(i).words);
            if (!str_contains_nocase(buf_str(&text), str_of_z(line)))
                fail_msg("not there: %s", line);
        }
    buf_fini(&text);
    struct buf small;
    buf_init(&small, 100);
    assert_false(language_print_overview(&small));
    buf_fini(&small);
}

/* By its words, and in any other case of letters. */
static void test_every_word_is_found(void **state)
{
    (void)state;
    for (size_t k = 0; k < language_section_count; k++)
        for (size_t i = 0; i < language_sections[k].count; i++) {
            struct entry e = language_sections[k].get(i);
            struct buf text;
            struct str nearest;
            char head[128];
            size_t count;
            buf_init(&text, TEXT_MAX);
            assert_true(language_print_word(str_of_z(e.words), &text, &count, &nearest));
            assert_true(count > 0);
            assert_lines(buf_str(&text));
            snprintf(head, sizeof head, "%s: %s", language_sections[k].kind, e.words);
            if (!str_contains_nocase(buf_str(&text), str_of_z(head)))
                fail_msg("not there: %s", head);
            buf_fini(&text);
        }
}

struct word_case {
    const char *word;
    const char *text; /* the whole of it */
};

static const struct word_case WORDS[] = {
    {"max-message", "statement: max-message SIZE\n"
                    "    largest mail\n"
                    "    SIZE        from 1K to 2G\n"
                    "    default     50M\n"
                    "    stands      once in all files\n"},
    {"rcpt.domain", "attribute: rcpt.domain\n"
                    "    what stands behind its @\n"
                    "    type        a domain\n"
                    "    known       at rcpt only\n"
                    "    example     if rcpt.domain under example.org\n"
                    "    see also    rcpt rcpt.local rcpt.tag\n"
                    "\n"
                    "limit key: rcpt.domain\n"
                    "    the domain of each recipient\n"
                    "    known       from rcpt on\n"},
    {"idle", "option: idle DURATION\n"
             "    how long an unused connection is kept\n"
             "    DURATION    from 1s to 1h\n"
             "    of          relay\n"
             "    default     60s\n"},
    {"<=", "operator: < <= > >=\n"
           "    of numbers, sizes, durations and times\n"
           "    example     mail.recipients > 50\n"},
    {"send", "test step: send NUMBER messages [to NUMBER recipients [each]] [over DURATION]\n"
             "    sends mails\n"
             "    NUMBER      from 1 to 1000000\n"
             "    NUMBER      from 1 to 1000, of recipients\n"
             "    DURATION    500ms 5s 10m 1h 2d 1w, also joined: 1h30m\n"},
    {"duration", "value: DURATION\n    500ms 5s 10m 1h 2d 1w, also joined: 1h30m\n"},
};

/* "not in force" comes and goes with versions: it is looked for where the tables say so. */
static void without_notes(struct str text, struct buf *to)
{
    while (text.len) {
        struct str line = str_split(text, '\n', &text);
        if (!str_starts(line, STR("    note  ")))
            assert_true(buf_append_str(to, line) && buf_append_char(to, '\n'));
    }
}

static void test_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(WORDS); i++) {
        struct buf text, shown;
        struct str nearest;
        size_t count;
        buf_init(&text, TEXT_MAX);
        buf_init(&shown, TEXT_MAX);
        assert_true(language_print_word(str_of_z(WORDS[i].word), &text, &count, &nearest));
        without_notes(buf_str(&text), &shown);
        if (!str_equal(buf_str(&shown), str_of_z(WORDS[i].text)))
            fail_msg("%s\nexpected:\n%s\nsaid:\n" PRI_STR, WORDS[i].word, WORDS[i].text, STR_ARG(buf_str(&shown)));
        buf_fini(&text);
        buf_fini(&shown);
    }
}

static void test_what_is_not_in_force(void **state)
{
    (void)state;
    for (size_t k = 0; k < language_section_count; k++)
        for (size_t i = 0; i < language_sections[k].count; i++) {
            struct entry e = language_sections[k].get(i);
            struct buf text;
            struct str nearest;
            size_t count;
            buf_init(&text, TEXT_MAX);
            assert_true(language_print_word(str_of_z(e.words), &text, &count, &nearest));
            bool said = str_contains_nocase(buf_str(&text), STR("not in force in this version"));
            if (e.later && !said)
                fail_msg("%s %s is not in force, and it is not said", language_sections[k].kind, e.words);
            if (!e.later && said && count == 1)
                fail_msg("%s %s is in force", language_sections[k].kind, e.words);
            buf_fini(&text);
        }
}

static void test_unknown(void **state)
{
    (void)state;
    static const struct {
        const char *word, *nearest;
    } cases[] = {{"rcpt.domian", "rcpt.domain"}, {"lisen", "listen"}, {"rejct", "reject"}, {"xylophone", ""}, {"", ""}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf text;
        struct str nearest;
        size_t count;
        buf_init(&text, TEXT_MAX);
        assert_true(language_print_word(str_of_z(cases[i].word), &text, &count, &nearest));
        assert_int_equal(count, 0);
        assert_int_equal(buf_len(&text), 0);
        assert_true(str_equal(nearest, str_of_z(cases[i].nearest)));
        buf_fini(&text);
    }
}

static void test_examples_are_conditions(void **state)
{
    (void)state;
    static const char *const examples[] = {
#define OPERATOR(words, example, help) example,
#include "rules/operators.def"
#undef OPERATOR
    };
    for (size_t i = 0; i < COUNT_OF(examples); i++) {
        char text[256];
        snprintf(text, sizeof text, "on rcpt { rule r drop if %s }", examples[i]);
        check_right(text);
    }
}

/* What holds without a statement or option is what could be written. */
static void test_defaults_can_be_written(void **state)
{
    (void)state;
    char text[256];
    for (unsigned i = 0; i < STATEMENT_COUNT; i++) {
        const struct statement_row *row = &statement_rows[i];
        if (!row->without || row->without[0] == '(')
            continue;
        snprintf(text, sizeof text, "%s %s", row->words, row->without);
        check_right(text);
    }
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        static const char *const heads[] = {
            [OPTIONS_LISTEN] = "listen smtp [::]:25",
            [OPTIONS_TLS] = "tls certificate \"a\" key \"b\"",
            [OPTIONS_AUTH] = "auth file \"a\"",
            [OPTIONS_RELAY] = "relay to [::]:25",
            [OPTIONS_STORE_MEMORY] = "store memory",
            [OPTIONS_STORE_REDIS] = "store redis \"a\"",
            [OPTIONS_MILTER] = "milter m [::]:25",
            [OPTIONS_EVENTS] = "events stderr",
            [OPTIONS_DASHBOARD] = "dashboard [::]:25",
            [OPTIONS_DNSBL] = "dnsbl d \"a\"",
            [OPTIONS_TABLE] = "table t strings redis \"a\"",
            [OPTIONS_ALERT] = "alert a syslog",
        };
        const struct option_row *row = &option_rows[i];
        if (!row->without || row->without[0] == '(')
            continue;
        snprintf(text, sizeof text, "%s { %s %s }", heads[row->block], row->word, row->without);
        check_right(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_has_a_help),    cmocka_unit_test(test_overview_names_everything),
        cmocka_unit_test(test_every_word_is_found),     cmocka_unit_test(test_words),
        cmocka_unit_test(test_what_is_not_in_force),    cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_examples_are_conditions), cmocka_unit_test(test_defaults_can_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
