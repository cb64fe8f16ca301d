/* language_word.c - all about one word: every row that bears it, how it reads, what its values may be. */
#include "rules/language_internal.h"

#include <stdio.h>
#include <string.h>

#include "rules/suggest.h"

enum { HEAD_INDENT = 4, LINE_MAX = 1024 };

/* ---- how a row reads ---- */

static bool is_upper_word(struct str word)
{
    bool any = false;
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] < 'A' || word.ptr[i] > 'Z')
            return false;
        any = true;
    }
    return any;
}

static enum shape shape_of(struct str word)
{
    for (unsigned i = 1; i < SHAPE_COUNT; i++)
        if (str_equal(word, str_of_z(shape_rows[i].word)))
            return (enum shape)i;
    return SHAPE_NONE;
}

void write_pattern(struct writer *w, const char *pattern)
{
    bool opened = true;
    for (struct element e = pattern_next(&pattern); e.kind != ELEMENT_END; e = pattern_next(&pattern)) {
        if (e.kind == ELEMENT_CLOSE) {
            write_z(w, "]");
            continue;
        }
        if (!opened)
            write_z(w, " ");
        opened = e.kind == ELEMENT_OPEN;
        if (e.kind == ELEMENT_OPEN)
            write_z(w, "[");
        else
            write_str(w, e.text);
        if (e.takes_plural)
            write_z(w, "s");
        if (e.may_repeat)
            write_z(w, e.by_comma ? ", …" : " …");
    }
}

/* Free arguments: the shapes among their words. */
static struct str next_shape_word(struct str *rest)
{
    size_t from = 0, len = 0;
    while (from < rest->len && !(rest->ptr[from] >= 'A' && rest->ptr[from] <= 'Z'))
        from++;
    while (from + len < rest->len && rest->ptr[from + len] >= 'A' && rest->ptr[from + len] <= 'Z')
        len++;
    struct str word = str_sub(*rest, from, len);
    *rest = str_from(*rest, from + len);
    return word;
}

static void write_shape(struct writer *w, enum shape shape, const struct element *e)
{
    char text[LINE_MAX];
    struct str name = e ? e->name : STR_NONE;
    if (e && e->min.len)
        snprintf(text, sizeof text, "from " PRI_STR " to " PRI_STR "%s" PRI_STR, STR_ARG(e->min), STR_ARG(e->max),
                 name.len ? ", of " : "", STR_ARG(name));
    else
        snprintf(text, sizeof text, "%s", shape_rows[shape].help);
    write_fact(w, shape_rows[shape].word, text);
}

/* The shapes in a choice: "FILE|stderr". */
static void write_choice_shapes(struct writer *w, struct str choice)
{
    while (choice.len) {
        struct str one = str_split(choice, '|', &choice);
        if (is_upper_word(one) && shape_of(one) != SHAPE_NONE)
            write_shape(w, shape_of(one), NULL);
    }
}

/* What each of its values may be; the same is said once. */
static void write_shapes(struct writer *w, const struct entry *e)
{
    struct {
        bool is_said;
        struct str max;
    } said[SHAPE_COUNT] = {{false, STR_NONE}};
    const char *pattern = e->arguments;
    struct element x = {.kind = ELEMENT_END};
    if (e->is_pattern)
        x = pattern_next(&pattern);
    for (; x.kind != ELEMENT_END; x = pattern_next(&pattern)) {
        if (x.kind == ELEMENT_CHOICE)
            write_choice_shapes(w, x.text);
        if (x.kind != ELEMENT_SHAPE || (said[x.shape].is_said && str_equal(said[x.shape].max, x.max)))
            continue;
        write_shape(w, x.shape, &x);
        said[x.shape].is_said = true;
        said[x.shape].max = x.max;
    }
    for (struct str rest = str_of_z(e->is_pattern ? "" : e->arguments); rest.len;) {
        enum shape shape = shape_of(next_shape_word(&rest));
        if (shape != SHAPE_NONE && !said[shape].is_said)
            write_shape(w, shape, NULL);
        said[shape].is_said = true;
    }
}

static void write_later(struct writer *w, const char *later)
{
    char text[LINE_MAX];
    if (!later)
        return;
    snprintf(text, sizeof text, "not in force in this version%s%s", later[0] == '*' ? "" : ": ",
             later[0] == '*' ? "" : later);
    write_fact(w, "note", text);
}

static void write_entry(struct writer *w, const struct section *s, size_t i)
{
    struct entry e = s->get(i);
    write_z(w, s->kind);
    write_z(w, ": ");
    write_z(w, e.words);
    bool touches = e.arguments[0] == '\0' || (!e.is_pattern && strchr("[(", e.arguments[0])); /* header["N"] */
    if (!touches)
        write_z(w, " ");
    if (e.is_pattern)
        write_pattern(w, e.arguments);
    else
        write_wrapped(w, str_of_z(e.arguments), HEAD_INDENT);
    write_line_end(w);
    write_to_column(w, HEAD_INDENT);
    write_wrapped(w, str_of_z(e.help), HEAD_INDENT);
    write_line_end(w);
    write_shapes(w, &e);
    if (s->print_more)
        s->print_more(w, i);
    write_later(w, e.later);
}

/* ---- finding it ---- */

static bool is_one_of(struct str words, struct str word)
{
    while (words.len)
        if (str_equal(str_split(words, ' ', &words), word))
            return true;
    return false;
}

/* By all its words, or those it begins with; an operator by any. */
static bool is_named(const struct section *s, const struct entry *e, struct str word)
{
    struct str words = str_of_z(e->words);
    if (str_equal_nocase(words, word))
        return true;
    if (s->print_more == language_more_operator)
        return is_one_of(words, word);
    return words.len > word.len && str_starts(words, word) && e->words[word.len] == ' ';
}

static void offer(struct suggestion *nearest, const struct entry *e)
{
    struct str words = str_of_z(e->words);
    suggest_offer(nearest, words);
    while (words.len)
        suggest_offer(nearest, str_split(words, ' ', &words));
}

bool language_print_word(struct str word, struct buf *to, size_t *count, struct str *nearest)
{
    struct writer w = {.to = to, .fits = true};
    struct suggestion s;
    suggest_init(&s, word);
    *count = 0;
    for (size_t k = 0; k < language_section_count; k++)
        for (size_t i = 0; i < language_sections[k].count; i++) {
            struct entry e = language_sections[k].get(i);
            offer(&s, &e);
            if (!word.len || !is_named(&language_sections[k], &e, word))
                continue;
            if ((*count)++)
                write_line_end(&w);
            write_entry(&w, &language_sections[k], i);
        }
    *nearest = *count ? STR_NONE : suggest_best(&s);
    return w.fits;
}
