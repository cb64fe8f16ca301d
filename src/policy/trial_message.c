/* trial_message.c - the header of a made-up mail: as it came, and as it goes on to the MTA. */
#include "policy/edits.h"
#include "policy/trial_inside.h"

enum { BLOCK_MAX_BYTES = 8 << 20 }; /* what a test says, or a message in a file has */

static bool has_from(const struct trial_settings *set)
{
    for (size_t i = 0; i < set->header_count; i++)
        if (str_equal_nocase(set->headers[i].name, STR("From")))
            return true;
    return false;
}

/* In wire form: what cannot stand in a line is a blank, and a dot at its head is stuffed. */
static bool write_field(struct buf *to, const struct trial_header *h)
{
    bool ok = (!str_starts(h->name, STR(".")) || buf_append_char(to, '.')) && buf_append_str(to, h->name) &&
              buf_append_str(to, STR(": "));
    for (size_t i = 0; i < h->value.len && ok; i++) {
        char c = h->value.ptr[i];
        ok = buf_append_char(to, c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
    }
    return ok && buf_append_str(to, STR("\r\n"));
}

static bool write_fields(const struct trial *t, struct buf *to)
{
    const struct trial_settings *set = &t->settings;
    if (set->block.len)
        return buf_append_str(to, set->block);
    if (!has_from(set) && !buf_printf(to, "From: <" PRI_STR ">\r\n", STR_ARG(t->sender)))
        return false;
    for (size_t i = 0; i < set->header_count; i++)
        if (!write_field(to, &set->headers[i]))
            return false;
    return true;
}

struct header_facts *trial_header_facts(struct trial *t)
{
    struct smtp_header header;
    struct buf fields;
    if (t->header)
        return t->header;
    buf_init(&fields, BLOCK_MAX_BYTES);
    struct header_facts *h = arena_alloc(&t->arena, sizeof *h);
    bool ok = h && write_fields(t, &fields);
    struct str block = ok ? arena_copy(&t->arena, buf_str(&fields)) : STR_NONE;
    buf_fini(&fields);
    if (!block.ptr)
        return NULL;
    smtp_header_init(&header, BLOCK_MAX_BYTES);
    (void)!smtp_header_scan(&header, block, true); /* it ends, since that is all */
    header_facts_init(h, &header, block, &t->arena);
    t->header = h;
    return h;
}

/* ---- as it goes on ---- */

static bool edit(struct trial *t, struct buf *to)
{
    struct header_facts *h = trial_header_facts(t);
    struct str user = t->is_logged_in ? t->settings.user : STR_NONE;
    struct smtp_header_missing missing = {.time_s = t->now_us / 1000000,
                                          .utc_offset_s = (int)t->utc_offset_s,
                                          .message_id = arena_printf(&t->arena, "<%zu.%lld@" PRI_STR ">", t->messages,
                                                                     (long long)t->now_us, STR_ARG(t->world->node)),
                                          .sender = policy_edit_sender(user, t->sender)};
    return h && missing.message_id.ptr && policy_edit_fields(to, h->fields, t->mail->edits, &missing, &t->arena);
}

static bool find(struct str fields, struct str name, struct str value, bool *has, struct str *found,
                 struct arena *arena)
{
    struct smtp_header_field field;
    for (size_t at = 0; !*has && smtp_header_next(fields, &at, &field);) {
        if (!str_equal_nocase(field.name, name))
            continue;
        struct buf text;
        buf_init(&text, field.value.len + 1);
        bool ok = smtp_header_unfold(&text, field.value);
        *has = !value.ptr || str_equal(buf_str(&text), value);
        if (ok && !found->ptr) {
            *found = arena_copy(arena, buf_len(&text) ? buf_str(&text) : STR(""));
            ok = found->ptr != NULL;
        }
        buf_fini(&text);
        if (!ok)
            return false;
    }
    return true;
}

bool trial_header(struct trial *t, struct str name, struct str value, bool *has, struct str *found)
{
    struct buf fields;
    *has = false;
    *found = STR_NONE;
    if (!t->was_taken)
        return true;
    buf_init(&fields, (size_t)2 * BLOCK_MAX_BYTES);
    bool ok = edit(t, &fields) && find(buf_str(&fields), name, value, has, found, &t->arena);
    buf_fini(&fields);
    return ok;
}
