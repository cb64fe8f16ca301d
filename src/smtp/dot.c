/* dot.c - the bytes between 354 and the final dot. See dot.h. */
#include "smtp/dot.h"

#include <string.h>

#include "base/panic.h"

void smtp_dot_init(struct smtp_dot *dot, size_t max_line_bytes)
{
    *dot = (struct smtp_dot){.max_line_bytes = max_line_bytes};
}

/*
 * A chunk is read twice. First all of it at once, in a loop without branches that compilers make vectors of: how many
 * CRs, is there a NUL, is there an 8-bit byte. Then from LF to LF: is there a CR before it, a dot after it. A bare CR
 * shows as a CR too many. Only when something is wrong a third, slow pass looks for the first fault, so that the
 * verdict does not depend on how the bytes were cut.
 */
struct census {
    size_t cr_count;
    uint8_t nuls; /* not 0: there is one */
    uint8_t ored; /* all bytes */
};

/* n is at most 255, so that a vector of bytes can hold the counts, and best a constant. */
static inline void count_block(struct census *census, const unsigned char *p, size_t n)
{
    uint8_t crs = 0, nuls = 0, ored = 0;
    for (size_t i = 0; i < n; i++) {
        crs = (uint8_t)(crs + (p[i] == '\r'));
        nuls |= (uint8_t)(p[i] == '\0');
        ored |= p[i];
    }
    census->cr_count += crs;
    census->nuls |= nuls;
    census->ored |= ored;
}

static struct census take_census(struct str s)
{
    enum { BLOCK = 128 };
    const unsigned char *p = (const unsigned char *)s.ptr;
    struct census census = {0};
    size_t at = 0;
    for (; s.len - at >= BLOCK; at += BLOCK)
        count_block(&census, p + at, BLOCK);
    count_block(&census, p + at, s.len - at);
    return census;
}

/* The slow pass, a byte at a time: the first fault, or END, or MORE. */
static enum smtp_dot_result find_fault(enum smtp_dot_state state, struct str chunk)
{
    for (size_t i = 0; i < chunk.len; i++) {
        char c = chunk.ptr[i];
        bool after_cr = state == SMTP_DOT_AFTER_CR || state == SMTP_DOT_AFTER_DOT_CR;
        if (after_cr && c != '\n')
            return SMTP_DOT_BARE_CR;
        if (!after_cr && c == '\n')
            return SMTP_DOT_BARE_LF;
        if (c == '\0')
            return SMTP_DOT_NUL;
        if (state == SMTP_DOT_AFTER_DOT_CR)
            return SMTP_DOT_END;
        if (after_cr)
            state = SMTP_DOT_LINE_START;
        else if (c == '\r')
            state = state == SMTP_DOT_AFTER_DOT ? SMTP_DOT_AFTER_DOT_CR : SMTP_DOT_AFTER_CR;
        else
            state = state == SMTP_DOT_LINE_START && c == '.' ? SMTP_DOT_AFTER_DOT : SMTP_DOT_IN_LINE;
    }
    return SMTP_DOT_MORE;
}

/* Where the second pass stands in its chunk. */
struct walk {
    struct str chunk;
    size_t at;
    size_t pass_end;  /* chunk[0..pass_end) may go */
    size_t cr_count;  /* CRs that were accounted for */
    size_t dot_count; /* stuffed dots in chunk[0..pass_end) */
    bool is_end, is_faulty;
};

static void line_grow(struct smtp_dot *dot, size_t bytes)
{
    dot->line_bytes += bytes;
    dot->longest_line_bytes = MAX_OF(dot->longest_line_bytes, dot->line_bytes);
}

static void line_end(struct smtp_dot *dot)
{
    dot->line_count++;
    dot->line_bytes = 0;
    dot->state = SMTP_DOT_LINE_START;
}

/* Takes the chunk's first bytes, as long as what they mean hangs on a held one. *held: what may go before the chunk. */
static void walk_held(struct smtp_dot *dot, struct walk *w, struct str *held)
{
    if (dot->state == SMTP_DOT_AFTER_DOT) {
        if (w->chunk.ptr[0] != '\r') { /* it was a stuffed dot: it goes on, and counts nowhere */
            *held = STR(".");
            dot->state = SMTP_DOT_IN_LINE;
            return;
        }
        dot->state = SMTP_DOT_AFTER_DOT_CR;
        w->cr_count++;
        w->at = 1;
        if (w->chunk.len == 1)
            return;
    }
    if (dot->state == SMTP_DOT_AFTER_DOT_CR) {
        w->is_end = w->chunk.ptr[w->at] == '\n';
        w->is_faulty = !w->is_end;
        w->at++;
    } else if (dot->state == SMTP_DOT_AFTER_CR) {
        w->is_faulty = w->chunk.ptr[0] != '\n';
        *held = STR("\r");
        dot->size_bytes++;
        line_grow(dot, 2);
        line_end(dot);
        w->at = w->pass_end = 1;
    }
}

/* At the head of a line: is it the final dot, a stuffed one, or not yet to be known? */
static void walk_dot(struct smtp_dot *dot, struct walk *w)
{
    struct str rest = str_from(w->chunk, w->at);
    if (rest.len == 1) {
        dot->state = SMTP_DOT_AFTER_DOT;
    } else if (rest.ptr[1] != '\r') {
        w->at++;
        w->dot_count++;
        dot->state = SMTP_DOT_IN_LINE;
        return;
    } else if (rest.len == 2) {
        dot->state = SMTP_DOT_AFTER_DOT_CR;
        w->cr_count++;
    } else {
        w->is_end = rest.ptr[2] == '\n';
        w->is_faulty = !w->is_end;
        w->cr_count++;
        rest.len = 3;
    }
    w->at += rest.len;
}

/* The line at hand, up to its LF or to the end of the chunk. */
static void walk_line(struct smtp_dot *dot, struct walk *w)
{
    struct str rest = str_from(w->chunk, w->at);
    size_t lf = str_find(rest, '\n');
    if (lf < rest.len) {
        w->is_faulty = lf == 0 || rest.ptr[lf - 1] != '\r';
        w->cr_count++;
        line_grow(dot, lf + 1);
        line_end(dot);
        w->at += lf + 1;
        w->pass_end = w->at;
        return;
    }
    bool ends_in_cr = rest.ptr[rest.len - 1] == '\r';
    w->cr_count += ends_in_cr;
    line_grow(dot, rest.len - ends_in_cr);
    dot->state = ends_in_cr ? SMTP_DOT_AFTER_CR : SMTP_DOT_IN_LINE;
    w->at = w->chunk.len;
    w->pass_end = w->at - ends_in_cr;
}

enum smtp_dot_result smtp_dot_feed(struct smtp_dot *dot, struct str chunk, struct smtp_dot_out *out)
{
    struct walk w = {.chunk = chunk};
    enum smtp_dot_state before = dot->state;
    *out = (struct smtp_dot_out){0};
    if (chunk.len == 0)
        return SMTP_DOT_MORE;
    struct census census = take_census(chunk);

    walk_held(dot, &w, &out->held);
    while (w.at < chunk.len && !w.is_end && !w.is_faulty) {
        if (dot->state == SMTP_DOT_LINE_START && chunk.ptr[w.at] == '.')
            walk_dot(dot, &w);
        else
            walk_line(dot, &w);
    }
    if (w.at < chunk.len) /* what follows the end belongs to the next command */
        census = take_census(str_sub(chunk, 0, w.at));
    if (w.is_faulty || census.nuls || census.cr_count != w.cr_count) {
        enum smtp_dot_result fault = find_fault(before, chunk);
        PANIC_IF(fault == SMTP_DOT_MORE || fault == SMTP_DOT_END, "the dot decoder's two passes disagree");
        *out = (struct smtp_dot_out){0};
        return fault;
    }
    dot->has_8bit |= census.ored > 127;
    dot->size_bytes += w.pass_end - w.dot_count;
    out->passed = str_sub(chunk, 0, w.pass_end);
    out->consumed = w.at;
    return w.is_end ? SMTP_DOT_END : SMTP_DOT_MORE;
}

bool smtp_dot_unstuff(struct buf *to, struct str wire, bool *at_line_start)
{
    while (wire.len) {
        if (*at_line_start && wire.ptr[0] == '.')
            wire = str_from(wire, 1);
        struct str line = str_sub(wire, 0, str_find(wire, '\n') + 1);
        if (!buf_append_str(to, line))
            return false;
        *at_line_start = line.len && line.ptr[line.len - 1] == '\n';
        wire = str_from(wire, line.len);
    }
    return true;
}

bool smtp_dot_stuff(struct buf *to, struct str plain, bool *at_line_start)
{
    while (plain.len) {
        struct str line = str_sub(plain, 0, str_find(plain, '\n') + 1);
        if (*at_line_start && line.ptr[0] == '.' && !buf_append_char(to, '.'))
            return false;
        if (!buf_append_str(to, line))
            return false;
        *at_line_start = line.ptr[line.len - 1] == '\n';
        plain = str_from(plain, line.len);
    }
    return true;
}

bool smtp_dot_stuff_end(struct buf *to, bool at_line_start)
{
    return (at_line_start || buf_append_str(to, STR("\r\n"))) && buf_append_str(to, STR(".\r\n"));
}
