/* header.c - the header block: its end, its fields. The addresses in it: header_address.c. See header.h. */
#include "smtp/header.h"

void smtp_header_init(struct smtp_header *header, size_t max_bytes)
{
    *header = (struct smtp_header){.max_bytes = max_bytes};
}

enum line_kind { LINE_FIELD, LINE_CONTINUATION, LINE_FROM, LINE_EMPTY, LINE_BODY };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* A line, with or without its CRLF, without both its end and a stuffed dot. */
static struct str line_content(struct str line)
{
    line.len -= line.len && line.ptr[line.len - 1] == '\n';
    line.len -= line.len && line.ptr[line.len - 1] == '\r';
    return line.len && line.ptr[0] == '.' ? str_from(line, 1) : line;
}

/* The name of the field that the line begins; *colon: where its value begins, less one. Empty: it begins none. */
static struct str field_name(struct str content, size_t *colon)
{
    size_t n = 0;
    while (n < content.len && content.ptr[n] >= 33 && content.ptr[n] <= 126 && content.ptr[n] != ':')
        n++;
    *colon = n;
    while (*colon < content.len && is_blank(content.ptr[*colon]))
        *colon += 1;
    return *colon < content.len && content.ptr[*colon] == ':' ? str_sub(content, 0, n) : STR_NONE;
}

static bool is_from_line(struct str content)
{
    while (content.len && content.ptr[0] == '>')
        content = str_from(content, 1);
    return str_starts(content, STR("From "));
}

static enum line_kind line_kind(const struct smtp_header *header, struct str line, struct str *name)
{
    struct str content = line_content(line);
    size_t colon;
    if (content.len == 0)
        return LINE_EMPTY;
    if (is_blank(content.ptr[0]))
        return header->field_count ? LINE_CONTINUATION : LINE_BODY;
    *name = field_name(content, &colon);
    if (name->len)
        return LINE_FIELD;
    return header->scanned == 0 && is_from_line(content) ? LINE_FROM : LINE_BODY;
}

static enum smtp_header_result header_end(struct smtp_header *header, size_t empty_line_bytes)
{
    header->fields_end = header->scanned;
    header->body_start = header->scanned + empty_line_bytes;
    return header->fields_end > header->max_bytes ? SMTP_HEADER_TOO_LARGE : SMTP_HEADER_END;
}

enum smtp_header_result smtp_header_scan(struct smtp_header *header, struct str block, bool is_all)
{
    while (header->scanned < block.len) {
        size_t lf = header->searched + str_find(str_from(block, header->searched), '\n');
        header->searched = lf;
        if (lf == block.len && !is_all)
            break;
        struct str line = str_sub(block, header->scanned, lf + 1 - header->scanned), name = STR_NONE;
        enum line_kind kind = line_kind(header, line, &name);
        if (kind == LINE_EMPTY || kind == LINE_BODY)
            return header_end(header, kind == LINE_EMPTY ? line.len : 0);
        header->scanned += line.len;
        header->searched = header->scanned;
        header->line_count++;
        header->field_count += kind == LINE_FIELD;
        header->received_count += str_equal_nocase(name, STR("Received"));
        header->has_from_line |= kind == LINE_FROM;
    }
    if (is_all)
        return header_end(header, 0);
    return block.len > header->max_bytes ? SMTP_HEADER_TOO_LARGE : SMTP_HEADER_MORE;
}

/* The length of the line at `from`, with its LF. */
static size_t line_length(struct str block, size_t from)
{
    struct str rest = str_from(block, from);
    return MIN_OF(str_find(rest, '\n') + 1, rest.len);
}

bool smtp_header_next(struct str block, size_t *at, struct smtp_header_field *field)
{
    while (*at < block.len) {
        struct str line = str_sub(block, *at, line_length(block, *at));
        struct str content = line_content(line);
        size_t colon, end = *at + line.len;
        while (end < block.len && is_blank(block.ptr[end]))
            end += line_length(block, end);
        *at = end;
        field->name = field_name(content, &colon);
        if (field->name.len == 0) /* the "From " line */
            continue;
        const char *value = content.ptr + colon + 1;
        field->value = str_of(value, (size_t)(block.ptr + end - value));
        field->value.len -= field->value.len && field->value.ptr[field->value.len - 1] == '\n';
        field->value.len -= field->value.len && field->value.ptr[field->value.len - 1] == '\r';
        return true;
    }
    return false;
}

bool smtp_header_first(struct str block, struct str name, struct str *raw_value)
{
    struct smtp_header_field field;
    for (size_t at = 0; smtp_header_next(block, &at, &field);) {
        if (!str_equal_nocase(field.name, name))
            continue;
        *raw_value = field.value;
        return true;
    }
    return false;
}

unsigned smtp_header_count(struct str block, struct str name)
{
    struct smtp_header_field field;
    unsigned count = 0;
    for (size_t at = 0; smtp_header_next(block, &at, &field);)
        count += str_equal_nocase(field.name, name);
    return count;
}

static bool is_space(char c)
{
    return is_blank(c) || c == '\r' || c == '\n';
}

static struct str trim_space(struct str s)
{
    while (s.len && is_space(s.ptr[0]))
        s = str_from(s, 1);
    while (s.len && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool smtp_header_unfold(struct buf *to, struct str raw_value)
{
    struct str value = trim_space(raw_value);
    char *out = value.len ? buf_reserve(to, value.len) : NULL;
    size_t n = 0;
    if (!out)
        return value.len == 0;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '\r' && i + 1 < value.len && value.ptr[i + 1] == '\n')
            continue;
        if (c == '\n')
            continue;
        out[n++] = (c >= 0 && c < 32 && c != '\t') || c == 127 ? '?' : c;
    }
    buf_commit(to, n);
    return true;
}

struct str smtp_header_message_id(struct str block)
{
    struct str value, id;
    if (!smtp_header_first(block, STR("Message-ID"), &value))
        return STR_NONE;
    id = trim_space(value);
    for (size_t i = 0; i < id.len; i++)
        if (is_space(id.ptr[i]))
            id.len = i;
    return id.len <= 998 && !str_has_control(id) ? id : STR_NONE;
}
