// uses: smtp
/*
 * fuzz_dot.c - the end of data. Promises held: fed in any pieces, the verdict, the bytes passed on, the sizes and the
 * place of the end are those of a plain machine that looks at one byte after another; and what was passed on has no
 * bare CR, bare LF, NUL or end of data in it. The first two bytes choose the pieces.
 */
#include <string.h>

#include "base/panic.h"
#include "smtp/dot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct verdict {
    enum smtp_dot_result result;
    struct buf passed;
    size_t consumed;
    uint64_t size_bytes, line_count;
    size_t longest;
    bool has_8bit;
};

static void pass(struct verdict *v, char c)
{
    PANIC_IF(!buf_append_char(&v->passed, c), "no room");
}

/* At a dot that heads a line, which begins `rest`: is it the end (its length), or is it to wait for more (SIZE_MAX)? */
static size_t end_length(struct str rest)
{
    if (str_starts(rest, STR(".\r\n")))
        return 3;
    return str_equal(rest, STR(".")) || str_equal(rest, STR(".\r")) ? SIZE_MAX : 0;
}

/* The reference: RFC 5321 4.5.2 with everything known at once. Passes on nothing whose meaning the bytes do not yet
 * show. */
static struct verdict reference(struct str in)
{
    struct verdict v = {.result = SMTP_DOT_MORE, .consumed = in.len};
    size_t line_from = 0, line = 0, end;
    buf_init(&v.passed, 1 << 24);
    for (size_t i = 0; i < in.len; i++) {
        char c = in.ptr[i];
        if (c == '\r' && i + 1 == in.len)
            break;
        if (c == '\0' || c == '\n' || (c == '\r' && in.ptr[i + 1] != '\n')) {
            v.result = c == '\0' ? SMTP_DOT_NUL : c == '\n' ? SMTP_DOT_BARE_LF : SMTP_DOT_BARE_CR;
            break;
        }
        if (i == line_from && c == '.') {
            end = end_length(str_from(in, i));
            if (end == 3) {
                v.result = SMTP_DOT_END;
                v.consumed = i + end;
            }
            if (end)
                break;
            pass(&v, c);
            continue;
        }
        pass(&v, c);
        line++;
        v.size_bytes++;
        v.has_8bit |= (unsigned char)c > 127;
        if (c == '\r') {
            pass(&v, in.ptr[++i]);
            v.size_bytes++;
            v.line_count++;
            v.longest = MAX_OF(v.longest, line + 1);
            line = 0;
            line_from = i + 1;
        }
        v.longest = MAX_OF(v.longest, line);
    }
    return v;
}

static struct verdict fed(struct str in, size_t piece, size_t other)
{
    struct verdict v = {.result = SMTP_DOT_MORE};
    struct smtp_dot dot;
    buf_init(&v.passed, 1 << 24);
    smtp_dot_init(&dot, 1000);
    while (v.result == SMTP_DOT_MORE && v.consumed < in.len) {
        struct smtp_dot_out out;
        struct str chunk = str_sub(in, v.consumed, piece);
        v.result = smtp_dot_feed(&dot, chunk, &out);
        PANIC_IF(v.result == SMTP_DOT_MORE && out.consumed != chunk.len, "bytes left without an end");
        PANIC_IF(!buf_append_str(&v.passed, out.held) || !buf_append_str(&v.passed, out.passed), "no room");
        v.consumed += out.consumed;
        size_t swap = piece;
        piece = other;
        other = swap;
    }
    v.size_bytes = dot.size_bytes;
    v.line_count = dot.line_count;
    v.longest = dot.longest_line_bytes;
    v.has_8bit = dot.has_8bit;
    return v;
}

static void compare(const struct verdict *want, struct verdict *got)
{
    PANIC_IF(got->result != want->result, "verdict %d, not %d", (int)got->result, (int)want->result);
    if (got->result == SMTP_DOT_MORE || got->result == SMTP_DOT_END) {
        PANIC_IF(!str_equal(buf_str(&got->passed), buf_str(&want->passed)), "other bytes passed on");
        PANIC_IF(got->consumed != want->consumed, "the end is elsewhere");
        PANIC_IF(got->size_bytes != want->size_bytes, "size %lu, not %lu", got->size_bytes, want->size_bytes);
        PANIC_IF(got->line_count != want->line_count || got->longest != want->longest, "lines are counted otherwise");
        PANIC_IF(got->has_8bit != want->has_8bit, "8-bit bytes are seen otherwise");
    } else {
        PANIC_IF(buf_len(&got->passed) > buf_len(&want->passed) ||
                     !str_starts(buf_str(&want->passed), buf_str(&got->passed)),
                 "bytes behind a fault were passed on");
    }
    buf_fini(&got->passed);
}

/* Unstuffed and stuffed again it is the same, but for dots that nobody had stuffed. */
static void check_stuffing(struct str wire, uint64_t size_bytes)
{
    struct buf plain, again, plain_again;
    bool at_start = true;
    buf_init(&plain, 1 << 24);
    buf_init(&again, 1 << 24);
    buf_init(&plain_again, 1 << 24);
    PANIC_IF(!smtp_dot_unstuff(&plain, wire, &at_start), "no room");
    PANIC_IF(buf_len(&plain) != size_bytes, "the size is not the text's");
    at_start = true;
    PANIC_IF(!smtp_dot_stuff(&again, buf_str(&plain), &at_start), "no room");
    at_start = true;
    PANIC_IF(!smtp_dot_unstuff(&plain_again, buf_str(&again), &at_start), "no room");
    PANIC_IF(!str_equal(buf_str(&plain), buf_str(&plain_again)), "the text changed");
    buf_fini(&plain);
    buf_fini(&again);
    buf_fini(&plain_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct str in = str_of((const char *)data + 2, size - 2);
    struct verdict want = reference(in);
    struct verdict whole = fed(in, SIZE_MAX, SIZE_MAX), bytes = fed(in, 1, 1);
    struct verdict pieces = fed(in, (size_t)data[0] % 64 + 1, (size_t)data[1] + 1);
    compare(&want, &whole);
    compare(&want, &bytes);
    compare(&want, &pieces);
    if (want.result == SMTP_DOT_MORE || want.result == SMTP_DOT_END)
        check_stuffing(buf_str(&want.passed), want.size_bytes);
    buf_fini(&want.passed);
    return 0;
}
