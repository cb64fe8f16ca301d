/*
 * header_edit.c - see header_edit.h.
 *
 * Nothing is changed in place. What is there "by now", when an edit's turn comes, follows from the edits before it; so
 * one walk over the edits writes what is added, and one over the fields what is left of them.
 */
#include "smtp/header_edit.h"

#include "smtp/header.h"
#include "smtp/received.h"

/* What ADD_MISSING may have to write. */
enum missing { MISSING_DATE, MISSING_MESSAGE_ID, MISSING_SENDER, MISSING_COUNT };

static const struct str MISSING_NAMES[MISSING_COUNT] = {
    {"Date", sizeof "Date" - 1}, {"Message-ID", sizeof "Message-ID" - 1}, {"Sender", sizeof "Sender" - 1}};

struct editor {
    struct buf *to;
    struct str fields;
    const struct smtp_header_edit *edits;
    size_t count;
    const struct smtp_header_missing *missing;
    bool was_missing[MISSING_COUNT]; /* and was written */
    size_t written_at[MISSING_COUNT];
};

/* Does an edit from `from` up to `end` remove the name? */
static bool is_removed(const struct editor *e, struct str name, size_t from, size_t end)
{
    for (size_t i = from; i < end; i++)
        if (e->edits[i].kind == SMTP_HEADER_REMOVE && str_equal_nocase(e->edits[i].name, name))
            return true;
    return false;
}

/* How many fields of the name there are when edit number `now` comes; *value: of one of them. */
static size_t count_by(const struct editor *e, struct str name, size_t now, struct str *value)
{
    size_t n = 0;
    for (size_t i = 0; i < now; i++) {
        const struct smtp_header_edit *edit = &e->edits[i];
        if (edit->kind != SMTP_HEADER_ADD || !str_equal_nocase(edit->name, name) || is_removed(e, name, i + 1, now))
            continue;
        *value = edit->text;
        n++;
    }
    for (int m = 0; m < MISSING_COUNT; m++)
        n += e->was_missing[m] && str_equal(MISSING_NAMES[m], name) && !is_removed(e, name, e->written_at[m] + 1, now);
    if (!is_removed(e, name, 0, now) && smtp_header_first(e->fields, name, value))
        n += smtp_header_count(e->fields, name);
    return n;
}

/* Is the sender not given in From? RFC 6409 8.1: then a Sender field may be added. */
static bool needs_sender(const struct editor *e, size_t now)
{
    struct str value = STR_NONE;
    struct buf from;
    unsigned count = 0;
    if (e->missing->sender.len == 0)
        return false;
    if (count_by(e, STR("From"), now, &value) != 1)
        return true;
    buf_init(&from, SMTP_ADDRESS_MAX);
    bool is_given = smtp_header_single_address(value, &from, &count) && count == 1 &&
                    str_equal_nocase(buf_str(&from), e->missing->sender);
    buf_fini(&from);
    return !is_given;
}

/* A dot at the head of a line is stuffed (RFC 5321 4.5.2). */
static bool write_name(const struct editor *e, struct str name)
{
    return (!str_starts(name, STR(".")) || buf_append_char(e->to, '.')) && buf_append_str(e->to, name) &&
           buf_append_str(e->to, STR(": "));
}

static bool write_field(const struct editor *e, struct str name, struct str text)
{
    return write_name(e, name) && buf_append_str(e->to, text) && buf_append_str(e->to, STR("\r\n"));
}

static bool write_missing_field(const struct editor *e, enum missing m)
{
    const struct smtp_header_missing *missing = e->missing;
    switch (m) {
    case MISSING_DATE:
        return write_name(e, MISSING_NAMES[m]) && smtp_date_write(e->to, missing->time_s, missing->utc_offset_s) &&
               buf_append_str(e->to, STR("\r\n"));
    case MISSING_MESSAGE_ID:
        return write_field(e, MISSING_NAMES[m], missing->message_id);
    default:
        return write_field(e, MISSING_NAMES[m], missing->sender);
    }
}

static bool add_missing(struct editor *e, size_t now)
{
    struct str value;
    for (enum missing m = 0; m < MISSING_COUNT; m++) {
        if (count_by(e, MISSING_NAMES[m], now, &value) > 0 || (m == MISSING_SENDER && !needs_sender(e, now)))
            continue;
        e->was_missing[m] = true;
        e->written_at[m] = now;
        if (!is_removed(e, MISSING_NAMES[m], now + 1, e->count) && !write_missing_field(e, m))
            return false;
    }
    return true;
}

static bool write_added(struct editor *e)
{
    for (size_t i = 0; i < e->count; i++) {
        const struct smtp_header_edit *edit = &e->edits[i];
        bool ok = true;
        if (edit->kind == SMTP_HEADER_ADD_MISSING)
            ok = add_missing(e, i);
        else if (edit->kind == SMTP_HEADER_ADD && !is_removed(e, edit->name, i + 1, e->count))
            ok = write_field(e, edit->name, edit->text);
        if (!ok)
            return false;
    }
    return true;
}

/* Where the field's line begins: its name may have a stuffed dot before it. */
static size_t field_start(struct str fields, const struct smtp_header_field *field)
{
    size_t start = (size_t)(field->name.ptr - fields.ptr);
    return start - (start > 0 && fields.ptr[start - 1] == '.');
}

/* What stands before the first field: an mbox "From " line, which is one only at the very top. */
static size_t top_bytes(struct str fields)
{
    struct smtp_header_field field;
    size_t at = 0;
    return smtp_header_next(fields, &at, &field) ? field_start(fields, &field) : fields.len;
}

static bool write_top(const struct editor *e, struct str top)
{
    bool is_ended = top.len == 0 || top.ptr[top.len - 1] == '\n';
    return buf_append_str(e->to, top) && (is_ended || buf_append_str(e->to, STR("\r\n")));
}

static bool write_left(const struct editor *e, size_t from)
{
    struct smtp_header_field field;
    for (size_t at = from; smtp_header_next(e->fields, &at, &field);) {
        size_t start = field_start(e->fields, &field);
        if (!is_removed(e, field.name, 0, e->count) && !buf_append_str(e->to, str_sub(e->fields, start, at - start)))
            return false;
    }
    return true;
}

bool smtp_header_edit(struct buf *to, struct str fields, const struct smtp_header_edit *edits, size_t count,
                      const struct smtp_header_missing *missing)
{
    struct editor e = {.to = to, .fields = fields, .edits = edits, .count = count, .missing = missing};
    size_t top = top_bytes(fields);
    return write_top(&e, str_sub(fields, 0, top)) && write_added(&e) && write_left(&e, top);
}
