/* print.c - errors and warnings, kept and printed. See print.h. */
#include "rules/print.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/grow.h"

/* A source line longer than this is shown in part, around the place. */
enum { LINE_SHOWN_CHARS = 160, LINE_BEFORE_CHARS = 80 };

void diag_init(struct diagnostics *d, const struct source_set *sources)
{
    *d = (struct diagnostics){.sources = sources, .last = DIAG_MAX_KEPT};
    arena_init(&d->arena, 8u << 20);
}

void diag_fini(struct diagnostics *d)
{
    arena_fini(&d->arena);
    free(d->items);
    *d = (struct diagnostics){.last = DIAG_MAX_KEPT};
}

static bool same_place(struct place a, struct place b)
{
    return place_compare(a, b) == 0;
}

/* Is it there already, from another pass, or from a file that is included twice? */
static bool diag_find(struct diagnostics *d, bool is_warning, struct place at, struct str text)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct diagnostic *item = &d->items[i];
        if (item->is_warning == is_warning && same_place(item->at, at) && str_equal(item->text, text)) {
            d->last = i;
            return true;
        }
    }
    return false;
}

static void diag_add(struct diagnostics *d, bool is_warning, struct place at, const char *fmt, va_list args)
{
    char text[2048];
    int len = vsnprintf(text, sizeof text, fmt, args);
    struct str said = str_of(text, len < 0 ? 0 : MIN_OF((size_t)len, sizeof text - 1));
    if (diag_find(d, is_warning, at, said))
        return;
    d->last = DIAG_MAX_KEPT;
    if (is_warning)
        d->warning_count++;
    else
        d->error_count++;
    if (d->count == DIAG_MAX_KEPT)
        return;
    if (!GROW(&d->items, d->count + 1, &d->cap, 16))
        return;
    struct str copy = arena_copy(&d->arena, said);
    if (!copy.ptr)
        return;
    d->last = d->count;
    d->items[d->count] = (struct diagnostic){
        .at = at, .is_warning = is_warning, .order = (uint32_t)d->count, .text = copy, .hint = STR("")};
    d->count++;
}

bool diag_error(struct diagnostics *d, struct place at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    diag_add(d, false, at, fmt, args);
    va_end(args);
    return false;
}

void diag_warning(struct diagnostics *d, struct place at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    diag_add(d, true, at, fmt, args);
    va_end(args);
}

void diag_hint(struct diagnostics *d, const char *fmt, ...)
{
    if (d->last >= d->count)
        return;
    char text[512];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    struct str hint = arena_copy(&d->arena, str_of(text, len < 0 ? 0 : MIN_OF((size_t)len, sizeof text - 1)));
    if (hint.ptr)
        d->items[d->last].hint = hint;
}

void diag_did_you_mean(struct diagnostics *d, struct str nearest)
{
    if (nearest.len)
        diag_hint(d, "did you mean \"" PRI_STR "\"?", STR_ARG(nearest));
}

static int diag_order(const void *a, const void *b)
{
    const struct diagnostic *x = a, *y = b;
    int by_place = place_compare(x->at, y->at);
    if (by_place != 0)
        return by_place;
    return x->order < y->order ? -1 : x->order > y->order;
}

void diag_sort(struct diagnostics *d)
{
    if (d->count)
        qsort(d->items, d->count, sizeof *d->items, diag_order);
    d->last = DIAG_MAX_KEPT;
    size_t errors = 0, warnings = 0;
    for (size_t i = 0; i < d->count; i++) {
        size_t *shown = d->items[i].is_warning ? &warnings : &errors;
        d->items[i].is_hidden = (*shown)++ >= DIAG_MAX_SHOWN;
    }
}

/* Whatever stands in a file or its name, nothing unprintable leaves here. The backslash stays itself: messages speak of
 * it. */
bool print_clean(struct buf *to, struct str s)
{
    bool valid, fits = true;
    for (size_t at = 0, len; at < s.len && fits; at += len) {
        len = source_char_len(s, at, &valid);
        if (valid && !str_has_control(str_sub(s, at, len))) {
            fits = buf_append(to, s.ptr + at, len);
            continue;
        }
        for (size_t i = 0; i < len && fits; i++)
            fits = buf_printf(to, "\\x%02X", (unsigned char)s.ptr[at + i]);
    }
    return fits;
}

bool place_print(const struct source_set *sources, struct place at, struct buf *to)
{
    return print_clean(to, source_file_get(sources, at.file)->name) && buf_printf(to, ":%u:%u", at.line, at.col);
}

/* One character of a source line, always one column wide; a TAB stays one, and stands in the marker's line too. */
static bool print_char(struct buf *to, struct str line, size_t at, size_t len, bool is_valid)
{
    if (line.ptr[at] == '\t')
        return buf_append_char(to, '\t');
    if (!is_valid || str_has_control(str_sub(line, at, len)))
        return buf_append_char(to, '?');
    return buf_append(to, line.ptr + at, len);
}

static bool print_marker(struct buf *to, struct str padding, struct place at, size_t room, struct str hint)
{
    bool fits = buf_printf(to, "      | ") && buf_append_str(to, padding);
    size_t len = MIN_OF(MAX_OF((size_t)at.len, (size_t)1), MAX_OF(room, (size_t)1));
    for (size_t i = 0; i < len && fits; i++)
        fits = buf_append_char(to, '^');
    if (hint.len)
        fits = fits && buf_append_char(to, ' ') && print_clean(to, hint);
    return fits && buf_append_char(to, '\n');
}

static bool print_line(const struct source_set *sources, struct place at, struct str hint, struct buf *to)
{
    struct str line = source_line(sources, at);
    size_t first = at.col > LINE_SHOWN_CHARS - 20 ? at.col - LINE_BEFORE_CHARS : 1;
    size_t room = 0, col = 1;
    struct buf padding;
    buf_init(&padding, 1024);
    bool fits = buf_printf(to, "%5u | %s", at.line, first > 1 ? "…" : "");
    if (first > 1)
        fits = fits && buf_append_char(&padding, ' ');
    for (size_t i = 0, len; i < line.len && fits; i += len, col++) {
        bool valid;
        len = source_char_len(line, i, &valid);
        if (col < first)
            continue;
        if (col == first + LINE_SHOWN_CHARS) {
            fits = buf_append_str(to, STR("…"));
            break;
        }
        fits = print_char(to, line, i, len, valid);
        if (col < at.col)
            fits = fits && buf_append_char(&padding, line.ptr[i] == '\t' ? '\t' : ' ');
        else
            room++;
    }
    /* just after the last token may be beyond the line's end by nothing but itself */
    fits = fits && buf_append_char(to, '\n') && print_marker(to, buf_str(&padding), at, room, hint);
    buf_fini(&padding);
    return fits;
}

bool diag_print_one(const struct diagnostics *d, const struct diagnostic *item, struct buf *to)
{
    const char *kind = item->is_warning ? "warning" : "error";
    if (!place_is_known(item->at)) {
        bool fits = buf_printf(to, "%s: ", kind) && print_clean(to, item->text);
        if (item->hint.len)
            fits = fits && buf_append_str(to, STR("; ")) && print_clean(to, item->hint);
        return fits && buf_append_char(to, '\n');
    }
    return place_print(d->sources, item->at, to) && buf_printf(to, ": %s: ", kind) && print_clean(to, item->text) &&
           buf_append_char(to, '\n') && print_line(d->sources, item->at, item->hint, to);
}

static bool print_rest(struct buf *to, size_t count, const char *what)
{
    if (count <= DIAG_MAX_SHOWN)
        return true;
    size_t more = count - DIAG_MAX_SHOWN;
    return buf_printf(to, "%zu more %s%s\n", more, what, more == 1 ? "" : "s");
}

bool diag_print(struct diagnostics *d, struct buf *to)
{
    diag_sort(d);
    for (size_t i = 0; i < d->count; i++)
        if (!d->items[i].is_hidden && !diag_print_one(d, &d->items[i], to))
            return false;
    return print_rest(to, d->error_count, "error") && print_rest(to, d->warning_count, "warning");
}
