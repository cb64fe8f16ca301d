// uses: smtp
/*
 * fuzz_reply.c - replies of a mad MTA. Promises held: read in any pieces the same replies come out, within their
 * bounds; and what is made of them for the client is printable, in lines of 512 bytes, and read again as the same code.
 * The first byte chooses the pieces.
 */
#include <string.h>

#include "base/panic.h"
#include "smtp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All that was read, written down, to be compared. */
static void note_answer(struct buf *notes, enum smtp_reply_result result, const struct smtp_answer *answer)
{
    bool ok = buf_printf(notes, "%d ", (int)result);
    if (result == SMTP_REPLY_COMPLETE)
        ok = ok && buf_printf(notes, "%u %s %u ", answer->code, answer->enhanced, answer->line_count) &&
             buf_append_str(notes, answer->text);
    PANIC_IF(!ok, "no room for notes");
}

static void check_answer(const struct smtp_answer *answer)
{
    PANIC_IF(answer->code < 200 || answer->code > 599 || answer->line_count < 1 ||
                 answer->line_count > SMTP_REPLY_READ_LINES_MAX || answer->text.len > SMTP_REPLY_READ_BYTES_MAX,
             "out of bounds");
    struct buf wire;
    struct smtp_reply_reader reader;
    struct smtp_answer again;
    size_t consumed;
    buf_init(&wire, 1 << 20);
    PANIC_IF(!smtp_reply_append(&wire, answer->code, str_of_z(answer->enhanced), answer->text, answer->code & 1),
             "no room for a reply");
    struct str rest = buf_str(&wire);
    while (rest.len) {
        struct str line = str_sub(rest, 0, str_find(rest, '\n'));
        PANIC_IF(line.len + 1 > SMTP_REPLY_LINE_MAX || line.len < 5 || line.ptr[line.len - 1] != '\r', "a bad line");
        PANIC_IF(str_has_control(str_sub(line, 0, line.len - 1)) || !str_is_utf8(line), "a line not fit to be shown");
        rest = str_from(rest, line.len + 1);
    }
    smtp_reply_reader_init(&reader);
    PANIC_IF(smtp_reply_read(&reader, buf_str(&wire), &consumed, &again) != SMTP_REPLY_COMPLETE ||
                 consumed != buf_len(&wire) || again.code != answer->code,
             "what we write is not read");
    smtp_reply_reader_fini(&reader);
    buf_fini(&wire);
}

static void read_in_pieces(struct str in, size_t piece, struct buf *notes)
{
    struct smtp_reply_reader reader;
    struct smtp_answer answer;
    size_t from = 0, len = MIN_OF(piece, in.len), consumed;
    smtp_reply_reader_init(&reader);
    for (;;) {
        enum smtp_reply_result result = smtp_reply_read(&reader, str_sub(in, from, len - from), &consumed, &answer);
        PANIC_IF(consumed > len - from, "consumed what is not there");
        from += consumed;
        if (result == SMTP_REPLY_MORE) {
            if (len == in.len)
                break;
            len = MIN_OF(len + piece, in.len);
            continue;
        }
        note_answer(notes, result, &answer);
        if (result == SMTP_REPLY_BROKEN)
            break;
        if (piece >= in.len)
            check_answer(&answer);
    }
    smtp_reply_reader_fini(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, pieces;
    if (size == 0)
        return 0;
    struct str in = str_of((const char *)data + 1, size - 1);
    buf_init(&whole, 1 << 24);
    buf_init(&pieces, 1 << 24);
    read_in_pieces(in, SIZE_MAX / 2, &whole);
    read_in_pieces(in, (size_t)data[0] + 1, &pieces);
    PANIC_IF(!str_equal(buf_str(&whole), buf_str(&pieces)), "the cuts matter");
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
