/* explain_message.c - the header of a message in a file, as a session would see it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/explain.h"
#include "smtp/header.h"

/* Lines end with CRLF and a dot at their head is stuffed, as on the wire (RFC 5321 4.5.2). */
struct reader {
    struct buf *block;
    uint64_t size_bytes; /* without stuffed dots */
    bool is_line_start, was_cr, is_whole;
    struct smtp_header header;
    enum smtp_header_result result;
};

static void put(struct reader *r, char c)
{
    bool is_stuffed = r->is_line_start && c == '.';
    if (c == '\n' && !r->was_cr) {
        r->is_whole = r->is_whole && buf_append_char(r->block, '\r');
        r->size_bytes++;
    }
    r->is_whole = r->is_whole && (!is_stuffed || buf_append_char(r->block, '.')) && buf_append_char(r->block, c);
    r->size_bytes++;
    r->is_line_start = c == '\n';
    r->was_cr = c == '\r';
}

/* Behind the header only its size matters. */
static void pass(struct reader *r, char c)
{
    r->size_bytes += c == '\n' && !r->was_cr ? 2 : 1;
    r->is_line_start = c == '\n';
    r->was_cr = c == '\r';
}

static void read_all(FILE *f, struct reader *r)
{
    for (int c = getc(f); c != EOF; c = getc(f)) {
        if (r->result != SMTP_HEADER_MORE) {
            pass(r, (char)c);
            continue;
        }
        put(r, (char)c);
        if (r->is_line_start)
            r->result = smtp_header_scan(&r->header, buf_str(r->block), false);
    }
    if (!r->is_line_start) /* the last line of a message has an end */
        r->result == SMTP_HEADER_MORE ? put(r, '\n') : pass(r, '\n');
    if (r->result == SMTP_HEADER_MORE)
        r->result = smtp_header_scan(&r->header, buf_str(r->block), true);
}

bool explain_read_message(const char *path, size_t max_header_bytes, struct buf *block, uint64_t *size_bytes,
                          struct err *err)
{
    struct reader r = {.block = block, .is_line_start = true, .is_whole = true, .result = SMTP_HEADER_MORE};
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(err, "cannot read \"%s\": %s", path, strerror(errno));
    smtp_header_init(&r.header, max_header_bytes);
    read_all(f, &r);
    bool has_failed = ferror(f);
    fclose(f);
    *size_bytes = r.size_bytes;
    if (has_failed)
        return err_set(err, "cannot read \"%s\": %s", path, strerror(EIO));
    if (r.result == SMTP_HEADER_TOO_LARGE || !r.is_whole)
        return err_set(err, "the header of \"%s\" is larger than the %zu bytes of max-header: the server answers 554",
                       path, max_header_bytes);
    return true;
}
