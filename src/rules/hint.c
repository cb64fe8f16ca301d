/* hint.c - hints.def, looked up. See hint.h. */
#include "rules/hint.h"

#include "rules/shape.h"

/* ---- rows ---- */

struct row {
    const char *what;
    const char *word; /* NULL: any */
    const char *hint;
};

static const struct row EXPECTED_ROWS[] = {
#define EXPECTED(what, found, hint) {what, found, hint},
#define UNKNOWN(what, word, hint)
#define BEHIND(word, hint)
#define CHARACTER(c, hint)
#include "rules/hints.def"
#undef EXPECTED
#undef UNKNOWN
};

static const struct row UNKNOWN_ROWS[] = {
#define EXPECTED(what, found, hint)
#define UNKNOWN(what, word, hint) {what, word, hint},
#include "rules/hints.def"
#undef UNKNOWN
#undef BEHIND
};

static const struct row BEHIND_ROWS[] = {
#define UNKNOWN(what, word, hint)
#define BEHIND(word, hint) {"", word, hint},
#include "rules/hints.def"
#undef BEHIND
#undef CHARACTER
};

static const struct {
    char c;
    const char *hint;
} CHARACTER_ROWS[] = {
#define BEHIND(word, hint)
#define CHARACTER(c, hint) {c, hint},
#include "rules/hints.def"
#undef EXPECTED
#undef UNKNOWN
#undef BEHIND
#undef CHARACTER
};

/* The row of its very word before the one of any; NULL: none. */
static const char *find(const struct row *rows, size_t count, const char *what, struct str word)
{
    const char *any = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!str_equal(str_of_z(rows[i].what), str_of_z(what)))
            continue;
        if (!rows[i].word)
            any = rows[i].hint;
        else if (str_equal_nocase(str_of_z(rows[i].word), word))
            return rows[i].hint;
    }
    return any;
}

/* ---- values ---- */

/* What only the help of its shape explains; how a word or a name is written everybody knows. */
static bool is_explained(enum shape shape)
{
    switch (shape) {
    case SHAPE_SIZE:
    case SHAPE_DURATION:
    case SHAPE_RATE:
    case SHAPE_PERCENT:
    case SHAPE_DATE:
    case SHAPE_TIME:
    case SHAPE_RANGE:
    case SHAPE_NETWORK:
    case SHAPE_IP:
    case SHAPE_ENDPOINT:
    case SHAPE_CODE:
    case SHAPE_TRUTH:
        return true;
    default:
        return false;
    }
}

void hint_shape(struct diagnostics *d, enum shape shape)
{
    if (shape == SHAPE_ADDRESS)
        diag_hint(d, "it has a domain: alice@example.org");
    else if (is_explained(shape))
        diag_hint(d, "it is written %s", shape_rows[shape].help);
}

/* 4:00, 22:00-4:00, 22-4: digits with a colon or a dash among them, and nothing else. */
static bool looks_like_time(struct str word)
{
    bool parts = false;
    for (size_t i = 0; i < word.len; i++) {
        bool is_part = word.ptr[i] == ':' || word.ptr[i] == '-';
        if (!is_part && !ascii_is_digit(word.ptr[i]))
            return false;
        parts = parts || is_part;
    }
    return parts && ascii_is_digit(word.ptr[0]);
}

/* ---- hints ---- */

void hint_expected(struct diagnostics *d, const char *what, struct str found, bool is_text)
{
    const char *hint = is_text ? NULL : find(EXPECTED_ROWS, COUNT_OF(EXPECTED_ROWS), what, found);
    bool is_place = str_equal(str_of_z(what), STR("a table or a list"));
    if (hint)
        diag_hint(d, "%s", hint);
    else if (is_place && is_text)
        diag_hint(d, "a network stands without quotes, a list of texts in { }");
    else if (is_place && looks_like_time(found))
        diag_hint(d, "times are written 22:00-04:00");
}

void hint_unknown(struct diagnostics *d, const char *what, struct str word)
{
    const char *hint = find(UNKNOWN_ROWS, COUNT_OF(UNKNOWN_ROWS), what, word);
    if (hint)
        diag_hint(d, "%s", hint);
}

bool hint_attribute(struct diagnostics *d, struct str word)
{
    const char *hint = find(UNKNOWN_ROWS, COUNT_OF(UNKNOWN_ROWS), "attribute", word);
    bool is_number =
        word.len && ascii_is_digit(word.ptr[0]) && str_find(word, '.') == word.len && str_find(word, '@') == word.len;
    if (hint)
        diag_hint(d, "%s", hint);
    else if (looks_like_time(word))
        diag_hint(d, "a time is written 04:00");
    else if (is_number)
        diag_hint(d, "sizes are written 64K 10M 1G, durations 30s 10m 1h");
    return hint || is_number;
}

void hint_character(struct diagnostics *d, char c)
{
    for (size_t i = 0; i < COUNT_OF(CHARACTER_ROWS); i++)
        if (CHARACTER_ROWS[i].c == c)
            diag_hint(d, "%s", CHARACTER_ROWS[i].hint);
}

void hint_behind_condition(struct diagnostics *d, struct str found)
{
    const char *hint = find(BEHIND_ROWS, COUNT_OF(BEHIND_ROWS), "", found);
    if (hint)
        diag_hint(d, "%s", hint);
}
