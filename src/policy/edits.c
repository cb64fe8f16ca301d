/* edits.c - see edits.h. */
#include "policy/edits.h"

struct str policy_edit_sender(struct str user, struct str sender)
{
    if (str_find(user, '@') < user.len)
        return user;
    return sender.len ? sender : STR_NONE;
}

bool policy_edit_fields(struct buf *to, struct str fields, const struct policy_edit *edits,
                        const struct smtp_header_missing *missing, struct arena *arena)
{
    static const enum smtp_header_edit_kind KINDS[] = {[POLICY_EDIT_ADD] = SMTP_HEADER_ADD,
                                                       [POLICY_EDIT_REMOVE] = SMTP_HEADER_REMOVE,
                                                       [POLICY_EDIT_ADD_MISSING] = SMTP_HEADER_ADD_MISSING};
    size_t count = 0;
    for (const struct policy_edit *e = edits; e; e = e->next)
        count++;
    if (count == 0)
        return buf_append_str(to, fields);
    struct smtp_header_edit *list = arena_alloc(arena, count * sizeof *list);
    if (!list)
        return false;
    for (size_t i = 0; i < count; i++, edits = edits->next)
        list[i] = (struct smtp_header_edit){KINDS[edits->kind], edits->name, edits->text};
    return smtp_header_edit(to, fields, list, count, missing);
}
