/* replies.c - the texts of replies.def, filled in. See replies.h. */
#include "smtp/replies.h"

#include <stdlib.h>
#include <string.h>

#include "base/panic.h"

static const struct smtp_reply_row ROWS[] = {
#define REPLY(name, code, enhanced, text) {#name, code, enhanced, text},
#include "smtp/replies.def"
#undef REPLY
};

const struct smtp_reply_row *smtp_reply_row(enum smtp_reply reply)
{
    PANIC_IF((unsigned)reply >= SMTP_REPLY_COUNT, "no such reply: %d", (int)reply);
    return &ROWS[reply];
}

bool smtp_reply_text_call(struct buf *to, const struct smtp_reply_call *call)
{
    const struct str args[] = {call->first, call->second, call->third};
    size_t before = buf_len(to), next = 0;
    struct str rest = str_of_z(smtp_reply_row(call->reply)->text);
    while (rest.len) {
        size_t percent = str_find(rest, '%');
        bool ok = buf_append_str(to, str_sub(rest, 0, percent));
        if (ok && percent < rest.len) { /* always %s: the rows are tested for it */
            PANIC_IF(next == COUNT_OF(args), "%s has too many %%s", smtp_reply_row(call->reply)->name);
            ok = buf_append_str(to, args[next++]);
        }
        if (!ok) {
            buf_truncate(to, before);
            return false;
        }
        rest = str_from(rest, percent + 2);
    }
    return true;
}

bool smtp_reply_write_call(struct buf *to, const struct smtp_reply_call *call)
{
    const struct smtp_reply_row *row = smtp_reply_row(call->reply);
    struct str enhanced = str_of_z(row->enhanced), text = str_of_z(row->text);
    if (str_find(text, '%') == text.len)
        return smtp_reply_append(to, row->code, enhanced, text, false);
    struct buf filled;
    buf_init(&filled, text.len + call->first.len + call->second.len + call->third.len);
    bool ok =
        smtp_reply_text_call(&filled, call) && smtp_reply_append(to, row->code, enhanced, buf_str(&filled), false);
    buf_fini(&filled);
    return ok;
}
