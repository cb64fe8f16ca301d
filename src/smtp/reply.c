/* reply.c - replies written and read. See reply.h. */
#include "smtp/reply.h"

#include <string.h>

#include "base/panic.h"

/*
 * Writing. Every line is begun as if another followed it; at the end the last one's "-" becomes a space.
 */
struct writer {
    struct buf *to;
    bool ok;
    size_t separator_at; /* of the last line begun, from the head of `to` */
    unsigned line_count;
    char prefix[24]; /* "250-2.1.0 " */
    size_t prefix_len;
    char line[SMTP_REPLY_LINE_MAX]; /* text of the line at hand */
    size_t len;
    size_t room; /* of its text */
};

static void writer_flush(struct writer *w, size_t len)
{
    if (!w->ok || w->line_count == SMTP_REPLY_READ_LINES_MAX)
        return;
    w->separator_at = buf_len(w->to) + 3;
    w->line_count++;
    w->ok =
        buf_append(w->to, w->prefix, w->prefix_len) && buf_append(w->to, w->line, len) && buf_append(w->to, "\r\n", 2);
}

/* Ends the line at hand at its last space, or where it is full if there is none; the rest begins the next one. */
static void writer_wrap(struct writer *w)
{
    struct str line = str_of(w->line, w->len);
    size_t space = str_find_last(line, ' ');
    bool has_space = space > 0 && space < w->len;
    size_t rest = has_space ? space + 1 : w->len;
    writer_flush(w, has_space ? space : w->len);
    memmove(w->line, w->line + rest, w->len - rest);
    w->len -= rest;
}

/* One character, or as many as there is room for. */
static void writer_add(struct writer *w, struct str s)
{
    if (w->len + s.len > w->room)
        writer_wrap(w);
    memcpy(w->line + w->len, s.ptr, s.len);
    w->len += s.len;
}

static bool is_shown(char c)
{
    return c >= 32 && c <= 126;
}

/* How many of the first `room` characters of s are shown as they are; 1 if there is no room. */
static size_t shown_run(struct str s, size_t room)
{
    size_t n = 1;
    while (n < s.len && n < room && is_shown(s.ptr[n]))
        n++;
    return n;
}

static void write_prefix(struct writer *w, unsigned code, struct str enhanced)
{
    char digits[STR_OF_U64_MAX];
    memcpy(w->prefix, str_of_u64(digits, code).ptr, 3);
    w->prefix[3] = '-';
    w->prefix_len = 4;
    if (enhanced.len == 0)
        return;
    memcpy(w->prefix + 4, enhanced.ptr, enhanced.len);
    w->prefix_len += enhanced.len;
    w->prefix[w->prefix_len++] = ' ';
}

/* The length of the UTF-8 character at the head of s that may be shown, 0: there is none. */
static size_t utf8_shown(struct str s)
{
    unsigned char c = (unsigned char)s.ptr[0];
    struct str character = str_sub(s, 0, c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4);
    return str_is_utf8(character) && !str_has_control(character) ? character.len : 0;
}

bool smtp_reply_append(struct buf *to, unsigned code, struct str enhanced, struct str text, bool allows_utf8)
{
    PANIC_IF(code < 200 || code > 599 || enhanced.len > 11, "no reply code: %u " PRI_STR, code, STR_ARG(enhanced));
    PANIC_IF(enhanced.len && (unsigned)(enhanced.ptr[0] - '0') != code / 100, "%u with enhanced code " PRI_STR, code,
             STR_ARG(enhanced));
    struct writer w = {.to = to, .ok = true};
    size_t before = buf_len(to);
    write_prefix(&w, code, enhanced);
    w.room = SMTP_REPLY_LINE_MAX - 2 - w.prefix_len;
    for (size_t i = 0, n = 1; i < text.len; i += n, n = 1) {
        char c = text.ptr[i];
        if (c == '\n') {
            writer_flush(&w, w.len);
            w.len = 0;
        } else if (is_shown(c)) {
            n = shown_run(str_from(text, i), w.room - w.len);
            writer_add(&w, str_sub(text, i, n));
        } else if ((unsigned char)c > 127 && allows_utf8 && (n = utf8_shown(str_from(text, i))) > 0) {
            writer_add(&w, str_sub(text, i, n));
        } else {
            n = 1; /* dropped */
        }
    }
    if (w.len || w.line_count == 0)
        writer_flush(&w, w.len);
    if (!w.ok) {
        buf_truncate(to, before);
        return false;
    }
    to->data[to->start + w.separator_at] = ' ';
    return true;
}

/*
 * Reading.
 */
void smtp_reply_reader_init(struct smtp_reply_reader *reader)
{
    *reader = (struct smtp_reply_reader){0};
    buf_init(&reader->text, SMTP_REPLY_READ_BYTES_MAX + SMTP_REPLY_READ_LINES_MAX);
}

void smtp_reply_reader_fini(struct smtp_reply_reader *reader)
{
    buf_fini(&reader->text);
}

static enum smtp_reply_result broken(struct smtp_reply_reader *reader, const char *fault)
{
    reader->fault = fault;
    return SMTP_REPLY_BROKEN;
}

/* Can what is there of a line be the head of a reply's? Asked of unfinished lines too, so that garbage need not end. */
static bool head_is_possible(struct str head)
{
    for (size_t i = 0; i < head.len && i < 3; i++)
        if (!ascii_is_digit(head.ptr[i]))
            return false;
    if (head.len && (head.ptr[0] < '2' || head.ptr[0] > '5'))
        return false;
    return head.len < 4 || head.ptr[3] == ' ' || head.ptr[3] == '-' || head.ptr[3] == '\r' || head.ptr[3] == '\n';
}

/* The length of the enhanced code of that class at the head of s (RFC 3463 2), 0: there is none. */
static size_t enhanced_length(struct str s, char class)
{
    size_t at = 1, digits;
    if (s.len == 0 || s.ptr[0] != class || class == '3')
        return 0;
    for (int part = 0; part < 2; part++) {
        if (at == s.len || s.ptr[at++] != '.')
            return 0;
        for (digits = 0; at < s.len && ascii_is_digit(s.ptr[at]); at++)
            digits++;
        if (digits < 1 || digits > 3)
            return 0;
    }
    return at == s.len || s.ptr[at] == ' ' ? at : 0;
}

/* One whole line without its end: code, separator, enhanced code, text. False: it does not belong to this reply. */
static bool read_line(struct smtp_reply_reader *reader, struct str line, bool *is_last, struct str *text)
{
    if (line.len < 3 || !head_is_possible(line))
        return false;
    unsigned code =
        (unsigned)(line.ptr[0] - '0') * 100 + (unsigned)(line.ptr[1] - '0') * 10 + (unsigned)(line.ptr[2] - '0');
    if (reader->code && reader->code != code)
        return false;
    if (line.len > 3 && line.ptr[3] != ' ' && line.ptr[3] != '-')
        return false;
    *is_last = line.len == 3 || line.ptr[3] != '-';
    *text = str_from(line, 4);
    struct str enhanced = str_sub(*text, 0, enhanced_length(*text, line.ptr[0]));
    if (reader->line_count == 0)
        str_copy_into(reader->enhanced, sizeof reader->enhanced, enhanced);
    if (enhanced.len && str_equal(enhanced, str_of_z(reader->enhanced)))
        *text = str_from(*text, enhanced.len + 1);
    reader->code = code;
    reader->line_count++;
    return true;
}

static void answer_set(struct smtp_reply_reader *reader, struct smtp_answer *answer, struct str text)
{
    *answer = (struct smtp_answer){.code = reader->code, .text = text, .line_count = reader->line_count};
    memcpy(answer->enhanced, reader->enhanced, sizeof answer->enhanced);
    reader->code = 0;
    reader->line_count = 0;
    reader->byte_count = 0;
}

static bool keep_line(struct smtp_reply_reader *reader, struct str text)
{
    return (reader->line_count == 1 || buf_append_char(&reader->text, '\n')) && buf_append_str(&reader->text, text);
}

enum smtp_reply_result smtp_reply_read(struct smtp_reply_reader *reader, struct str in, size_t *consumed,
                                       struct smtp_answer *answer)
{
    *consumed = 0;
    if (reader->text_is_lent)
        buf_fini(&reader->text);
    reader->text_is_lent = false;
    for (;;) {
        struct str rest = str_from(in, *consumed), text = STR_NONE;
        struct str line = str_sub(rest, 0, str_find(str_sub(rest, 0, SMTP_REPLY_READ_LINE_MAX), '\n'));
        bool is_last = false;
        if (!head_is_possible(line))
            return broken(reader, "not a reply code from 200 to 599, or not the first line's");
        if (line.len == SMTP_REPLY_READ_LINE_MAX)
            return broken(reader, "a line of more than 2048 bytes");
        if (line.len == rest.len)
            return SMTP_REPLY_MORE;
        *consumed += line.len + 1;
        reader->byte_count += line.len + 1;
        line.len -= line.len && line.ptr[line.len - 1] == '\r';
        if (!read_line(reader, line, &is_last, &text))
            return broken(reader, "not a reply code from 200 to 599, or not the first line's");
        if (reader->line_count > SMTP_REPLY_READ_LINES_MAX)
            return broken(reader, "a reply of more than 128 lines");
        if (reader->byte_count > SMTP_REPLY_READ_BYTES_MAX)
            return broken(reader, "a reply of more than 64 KiB");
        if (is_last && reader->line_count == 1) {
            answer_set(reader, answer, text);
            return SMTP_REPLY_COMPLETE;
        }
        if (!keep_line(reader, text))
            return SMTP_REPLY_NO_MEMORY;
        if (is_last) {
            reader->text_is_lent = true;
            answer_set(reader, answer, buf_str(&reader->text));
            return SMTP_REPLY_COMPLETE;
        }
    }
}

const char *smtp_reply_reader_fault(const struct smtp_reply_reader *reader)
{
    return reader->fault ? reader->fault : "";
}
