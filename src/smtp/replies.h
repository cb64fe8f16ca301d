/*
 * replies.h - every text that a client reads from us, by name: the rows of replies.def.
 *
 *     smtp_reply_write(&s->out, REPLY_SENDER_OK);
 *     smtp_reply_write(&s->out, REPLY_BAD_SENDER, str_of_z(smtp_path_fault(fault)));
 *
 * A row's text holds a %s for each thing that is filled in, three at most. What is filled in is a struct str, so the
 * compiler checks it, and it is made printable on its way out (reply.h).
 */
#ifndef SMTP_REPLIES_H
#define SMTP_REPLIES_H

#include "smtp/reply.h"

enum smtp_reply {
#define REPLY(name, code, enhanced, text) REPLY_##name,
#include "smtp/replies.def"
#undef REPLY
    SMTP_REPLY_COUNT
};

struct smtp_reply_row {
    const char *name; /* "SENDER_OK" */
    unsigned code;
    const char *enhanced; /* "" where RFC 2034 has none: greeting, EHLO, 334, 354 */
    const char *text;
};

const struct smtp_reply_row *smtp_reply_row(enum smtp_reply reply);

struct smtp_reply_call {
    enum smtp_reply reply;
    struct str first, second, third; /* for the first, second and third %s */
};

/* smtp_reply_write(struct buf *to, enum smtp_reply reply [, struct str first [, second [, third]]])
 * Appends the reply. False: the buffer is full, and is as it was. */
#define smtp_reply_write(to, ...) smtp_reply_write_call((to), &(struct smtp_reply_call){__VA_ARGS__})
MUST_USE bool smtp_reply_write_call(struct buf *to, const struct smtp_reply_call *call);

/* Appends only the row's text with its %s filled in: for the event line. False: the buffer is full. */
#define smtp_reply_text(to, ...) smtp_reply_text_call((to), &(struct smtp_reply_call){__VA_ARGS__})
MUST_USE bool smtp_reply_text_call(struct buf *to, const struct smtp_reply_call *call);

#endif
