/* generator.c - random programs. See generator.h. */
#include "generator.h"

#include <stdlib.h>
#include <string.h>

#include "rules/args.h"
#include "rules/tree.h"

struct generator {
    uint64_t state;
    struct buf *to;
    bool fits;
    unsigned parens; /* newlines do not count */
    const char *code;
};

/* ---- chance ---- */

/* splitmix64 */
static unsigned below(struct generator *g, unsigned count)
{
    uint64_t z = g->state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (unsigned)((z ^ (z >> 31)) % count);
}

static bool one_in(struct generator *g, unsigned count)
{
    return below(g, count) == 0;
}

#define PICK(g, array) (array)[below(g, COUNT_OF(array))]

/* ---- words and what stands between them ---- */

static void put(struct generator *g, struct str text)
{
    g->fits = g->fits && buf_append_str(g->to, text);
}

static void put_z(struct generator *g, const char *text)
{
    put(g, str_of_z(text));
}

static void newline(struct generator *g)
{
    static const char *const lines[] = {"\n",       "\n",          "\r\n",          "\n\n\n",
                                        " # why\n", "#x\n  #y\n",  "\n\t# own  \n", "\n\n# apart\n\n",
                                        " \n",      "# ü { \" '\n"};
    put_z(g, PICK(g, lines));
}

static void space(struct generator *g)
{
    static const char *const spaces[] = {" ", " ", " ", "  ", "\t", "    "};
    put_z(g, PICK(g, spaces));
    if (g->parens && one_in(g, 12))
        newline(g);
}

/* Where a newline does not count. */
static void gap(struct generator *g)
{
    if (one_in(g, 4))
        newline(g);
    space(g);
}

static void word(struct generator *g, struct str text)
{
    space(g);
    put(g, text);
}

static void word_z(struct generator *g, const char *text)
{
    word(g, str_of_z(text));
}

static void comma(struct generator *g)
{
    if (one_in(g, 3))
        space(g);
    put_z(g, ",");
    gap(g);
}

static void name(struct generator *g)
{
    static const char *const names[] = {"n1", "local-domains", "a_b", "x", "quite-a-long-name-for-something-small"};
    word_z(g, PICK(g, names));
}

/* ---- values ---- */

static const char *const TEXTS[] = {
    "\"\"",        "\"text\"",
    "'\\d+ [a]'",  "\"${sender} \\\"x\\\" # ; { }\"",
    "\"ünïcode\"", "\"a text so long that a line which holds two of them must be broken somewhere\""};
static const char *const ANY[] = {
    "5",  "64K",     "1h30m",       "80%",  "08:30",    "08:00-18:00", "192.0.2.0/24", "[::1]:25", "2001:db8::/32",
    "on", "a@b.org", "example.org", "wörd", "\"text\"", "'raw'",       "$p",           "200/1h"};

static void shape_value(struct generator *g, enum shape shape)
{
    static const char *const samples[SHAPE_COUNT] = {[SHAPE_NUMBER] = "7",
                                                     [SHAPE_SIZE] = "10M",
                                                     [SHAPE_DURATION] = "1h30m",
                                                     [SHAPE_RATE] = "200/1h",
                                                     [SHAPE_PERCENT] = "80%",
                                                     [SHAPE_DATE] = "2026-11-24T08:00",
                                                     [SHAPE_TIME] = "08:30",
                                                     [SHAPE_RANGE] = "22:00-06:00",
                                                     [SHAPE_NETWORK] = "10.0.0.0/8",
                                                     [SHAPE_IP] = "192.0.2.1",
                                                     [SHAPE_ADDRESS] = "a@b.example",
                                                     [SHAPE_DOMAIN] = "example.org",
                                                     [SHAPE_ENDPOINT] = "[::]:25",
                                                     [SHAPE_NAME] = "n1",
                                                     [SHAPE_TRUTH] = "on",
                                                     [SHAPE_WORD] = "mw1:",
                                                     [SHAPE_FILE] = "\"a/b.txt\"",
                                                     [SHAPE_HOST] = "mail.example.org",
                                                     [SHAPE_LOGIN] = "alice",
                                                     [SHAPE_SENDER] = "<>",
                                                     [SHAPE_TAGVALUE] = "5",
                                                     [SHAPE_PHASE] = "rcpt",
                                                     [SHAPE_PARAM] = "$p"};
    if (shape == SHAPE_TEXT)
        word_z(g, PICK(g, TEXTS));
    else
        word_z(g, shape == SHAPE_CODE ? g->code : samples[shape]);
}

static void condition(struct generator *g, unsigned depth);

static void element_value(struct generator *g, const struct element *e)
{
    if (e->kind == ELEMENT_CHOICE) {
        struct str rest = e->text, choice;
        do
            choice = str_split(rest, '|', &rest);
        while (rest.len && !one_in(g, 3));
        for (unsigned i = 1; i < SHAPE_COUNT; i++)
            if (str_equal(choice, str_of_z(shape_rows[i].word))) {
                shape_value(g, (enum shape)i);
                return;
            }
        word(g, choice);
    } else if (e->shape == SHAPE_COND) {
        gap(g);
        condition(g, 2);
    } else if (e->min.len) {
        word(g, one_in(g, 2) ? e->min : e->max);
    } else {
        shape_value(g, e->shape);
    }
}

/* Arguments by their pattern, optional ones at random. */
static void arguments(struct generator *g, const char *pattern)
{
    unsigned depth = 0, skipped = 0;
    for (struct element e = pattern_next(&pattern); e.kind != ELEMENT_END; e = pattern_next(&pattern)) {
        if (e.kind == ELEMENT_OPEN) {
            depth++;
            if (!skipped && one_in(g, 2))
                skipped = depth;
        } else if (e.kind == ELEMENT_CLOSE) {
            if (skipped == depth)
                skipped = 0;
            depth--;
        } else if (!skipped && e.kind == ELEMENT_WORD) {
            word(g, e.text);
            if (e.takes_plural && one_in(g, 2))
                put_z(g, "s");
        } else if (!skipped) {
            element_value(g, &e);
            for (unsigned more = e.may_repeat ? below(g, 4) : 0; more; more--) {
                if (e.by_comma)
                    comma(g);
                element_value(g, &e);
            }
        }
    }
}

/* `{ }` of values, or of pairs. */
static void list(struct generator *g, bool pairs, bool may_be_empty)
{
    unsigned parens = g->parens;
    g->parens = 0;
    word_z(g, "{");
    if (one_in(g, 3))
        newline(g);
    unsigned count = may_be_empty ? below(g, 6) : 1 + below(g, 5);
    for (unsigned i = 0; i < count; i++) {
        word_z(g, PICK(g, ANY));
        if (pairs && one_in(g, 3))
            list(g, false, false);
        else if (pairs)
            word_z(g, PICK(g, ANY));
        bool is_last = i + 1 == count;
        if (one_in(g, 3))
            newline(g);
        else if (!is_last || one_in(g, 4))
            comma(g);
    }
    word_z(g, "}");
    g->parens = parens;
}

/* ---- conditions ---- */

static void operand(struct generator *g, unsigned depth)
{
    static const char *const plain[] = {"sender",       "rcpt.domain", "tag.x", "5", "\"text\"",
                                        "192.0.2.0/24", "$p",          "[::1]", "1h"};
    switch (below(g, depth ? 6 : 3)) {
    case 3:
        word_z(g, one_in(g, 2) ? "used" : "left");
        if (one_in(g, 3))
            space(g);
        g->parens++;
        put_z(g, "(");
        name(g);
        g->parens--;
        put_z(g, one_in(g, 2) ? " )" : ")");
        break;
    case 4:
        word_z(g, one_in(g, 2) ? "header[" : "milter[");
        put_z(g, "\"X-Y\"]");
        break;
    case 5:
        word_z(g, "owners[");
        g->parens++;
        operand(g, depth - 1);
        g->parens--;
        put_z(g, one_in(g, 2) ? " ]" : "]");
        break;
    default:
        word_z(g, PICK(g, plain));
    }
}

static void simple(struct generator *g)
{
    static const char *const compare[] = {"=", "!=", "<", "<=", ">", ">="};
    static const char *const family[] = {"matches", "like", "contains"};
    operand(g, 2);
    switch (below(g, 7)) {
    case 0:
        break;
    case 1:
        word_z(g, "is");
        gap(g);
        word_z(g, "none");
        break;
    case 2:
        word_z(g, PICK(g, family));
        gap(g);
        word_z(g, PICK(g, TEXTS));
        break;
    case 3:
        word_z(g, "under");
        gap(g);
        word_z(g, "example.org");
        break;
    case 4:
        word_z(g, one_in(g, 2) ? "in" : "not in");
        gap(g);
        if (one_in(g, 2))
            list(g, false, false);
        else
            name(g);
        break;
    default:
        if (one_in(g, 2))
            space(g);
        put_z(g, PICK(g, compare));
        gap(g);
        operand(g, 2);
    }
}

static void condition(struct generator *g, unsigned depth)
{
    for (unsigned count = 1 + below(g, 3); count; count--) {
        if (one_in(g, 4)) {
            word_z(g, "not");
            gap(g);
        }
        if (depth && one_in(g, 3)) {
            word_z(g, "(");
            g->parens++;
            condition(g, depth - 1);
            g->parens--;
            word_z(g, ")");
        } else {
            simple(g);
        }
        if (count == 1)
            break;
        gap(g);
        put_z(g, one_in(g, 2) ? "and" : "or");
        gap(g);
    }
}

static void condition_part(struct generator *g, const char *keyword)
{
    put_z(g, keyword);
    gap(g);
    condition(g, 3);
}

/* ---- statements ---- */

/* Between those that may share a line. */
static void part_end(struct generator *g)
{
    if (one_in(g, 3))
        newline(g);
    else
        put_z(g, one_in(g, 3) ? ";" : " ");
    space(g);
}

static void statement_end(struct generator *g)
{
    if (one_in(g, 5))
        put_z(g, one_in(g, 2) ? ";" : " ; ");
    else
        newline(g);
}

static void options(struct generator *g, enum option_block block)
{
    if (block == OPTIONS_NONE || one_in(g, 2))
        return;
    word_z(g, "{");
    space(g);
    if (one_in(g, 3))
        newline(g);
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        if (option_rows[i].block != block || one_in(g, 3))
            continue;
        put_z(g, option_rows[i].word);
        arguments(g, option_rows[i].arguments);
        part_end(g);
    }
    put_z(g, "}");
}

static const char *code_of(unsigned action)
{
    switch (action) {
    case ACTION_REJECT:
        return "550 5.7.1";
    case ACTION_DISCONNECT:
        return "421";
    default:
        return "450 4.7.1";
    }
}

static void actions(struct generator *g, bool in_threshold)
{
    bool ends = false;
    for (unsigned count = 1 + below(g, 3), made = 0; made < count;) {
        unsigned i = below(g, ACTION_COUNT);
        const struct action_row *row = &action_rows[i];
        if ((ends && row->ends) || (in_threshold && !row->threshold))
            continue;
        if (made++)
            comma(g);
        ends = ends || row->ends;
        g->code = code_of(i);
        word_z(g, row->word);
        arguments(g, row->arguments);
    }
}

static void limit(struct generator *g)
{
    unsigned unit = below(g, RULE_UNIT_COUNT), key = below(g, KEY_COUNT);
    name(g);
    word_z(g, "per");
    word_z(g, key_rows[key].word);
    if (one_in(g, 3)) {
        comma(g);
        word_z(g, key_rows[(key + 1) % KEY_COUNT].word);
    }
    word_z(g, "count");
    word_z(g, unit_rows[unit].word);
    word_z(g, "{");
    if (one_in(g, 3))
        newline(g);
    bool is_open = unit == RULE_UNIT_OPEN_CONNECTIONS;
    word_z(g, is_open ? "20" : "200/1h");
    for (unsigned i = is_open ? 0 : below(g, 3); i; i--) {
        static const char *const rates[] = {"$n/1h", "1000/$p", "500M/1d", "$a/$b"};
        if (one_in(g, 2))
            comma(g);
        else
            newline(g);
        word_z(g, PICK(g, rates));
    }
    for (unsigned i = below(g, 4), percent = 50; i; i--, percent += 25) {
        part_end(g);
        put_z(g, "at");
        g->fits = g->fits && buf_printf(g->to, " %u%%", percent);
        actions(g, true);
    }
    static const char *const parts[] = {"overrides m", "observe", "if", "unless"};
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (one_in(g, 2))
            continue;
        part_end(g);
        if (i < 2)
            put_z(g, parts[i]);
        else
            condition_part(g, parts[i]);
    }
    if (one_in(g, 3))
        newline(g);
    word_z(g, "}");
}

static void rules(struct generator *g)
{
    word_z(g, phase_rows[below(g, PHASE_COUNT)].word);
    word_z(g, "{");
    if (one_in(g, 2))
        newline(g);
    for (unsigned count = below(g, 4); count; count--) {
        word_z(g, "rule");
        name(g);
        if (one_in(g, 5))
            word_z(g, "observe");
        actions(g, false);
        if (one_in(g, 2)) {
            gap(g);
            condition_part(g, "if");
        }
        if (one_in(g, 3)) {
            gap(g);
            condition_part(g, "unless");
        }
        if (count > 1 || one_in(g, 2))
            statement_end(g);
    }
    word_z(g, "}");
}

static void expectation(struct generator *g)
{
    const struct expectation_row *row = &expectation_rows[below(g, EXPECTATION_COUNT)];
    if (row->would && one_in(g, 3))
        word_z(g, "would");
    word_z(g, row->word);
    g->code = "550";
    arguments(g, row->arguments);
}

static void test(struct generator *g)
{
    word_z(g, PICK(g, TEXTS));
    word_z(g, "{");
    if (one_in(g, 2))
        newline(g);
    for (unsigned count = below(g, 8); count; count--) {
        const struct step_row *row = &step_rows[below(g, STEP_COUNT)];
        put_z(g, row->words);
        if (row->effect == STEP_EXPECTS)
            expectation(g);
        else
            arguments(g, row->arguments);
        part_end(g);
    }
    word_z(g, "}");
}

static void table(struct generator *g)
{
    const struct table_type_row *row = &table_type_rows[below(g, TABLE_TYPE_COUNT)];
    name(g);
    word_z(g, row->word);
    switch (below(g, 4)) {
    case 0:
        word_z(g, "\"table.txt\"");
        break;
    case 1:
        word_z(g, "redis \"key\"");
        options(g, OPTIONS_TABLE);
        break;
    case 2:
        word_z(g, "socketmap unix:/run/x \"map\"");
        options(g, OPTIONS_TABLE);
        break;
    default:
        list(g, row->pairs, true);
    }
}

static void alert(struct generator *g)
{
    static const char *const kinds[] = {"webhook \"https://example.org/\"", "mail a@b.example  c@d.example", "syslog",
                                        "exec \"x\""};
    name(g);
    word_z(g, PICK(g, kinds));
    options(g, OPTIONS_ALERT);
}

static void names(struct generator *g)
{
    for (unsigned count = 1 + below(g, 3); count; count--)
        name(g);
}

static void statement(struct generator *g)
{
    unsigned kind;
    bool is_long = one_in(g, 2); /* those with a grammar of their own are few rows among many */
    do
        kind = below(g, STATEMENT_COUNT);
    while (is_long != (statement_rows[kind].times == TIMES_SYNTAX));
    const struct statement_row *row = &statement_rows[kind];
    put_z(g, row->words);
    switch (kind) {
    case STATEMENT_INCLUDE:
        word_z(g, "\"nowhere/*.rules\"");
        if (one_in(g, 2))
            word_z(g, "observe");
        break;
    case STATEMENT_PARAMETER:
    case STATEMENT_SET:
        name(g);
        word_z(g, PICK(g, ANY));
        if (kind == STATEMENT_PARAMETER && one_in(g, 2))
            word_z(g, PICK(g, TEXTS));
        break;
    case STATEMENT_DISABLE:
    case STATEMENT_OBSERVE:
        names(g);
        break;
    case STATEMENT_TABLE:
        table(g);
        break;
    case STATEMENT_DNSBL:
        name(g);
        word_z(g, "\"zen.example\"");
        options(g, row->options);
        break;
    case STATEMENT_LIMIT:
        limit(g);
        break;
    case STATEMENT_ON:
        rules(g);
        break;
    case STATEMENT_ALERT:
        alert(g);
        break;
    case STATEMENT_TEST:
        test(g);
        break;
    default:
        arguments(g, row->arguments);
        options(g, row->options);
    }
}

bool generate_program(uint64_t seed, struct buf *to)
{
    struct generator g = {.state = seed, .to = to, .fits = true};
    for (unsigned count = 1 + below(&g, 12); count; count--) {
        statement(&g);
        statement_end(&g);
        static const struct str lines[] = {STR("\n"), STR("# c\n"), STR("")};
        put(&g, PICK(&g, lines));
    }
    return g.fits;
}
