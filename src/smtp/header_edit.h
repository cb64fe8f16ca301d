/*
 * header_edit.h - changes of a header block on its way to the MTA: add-header, remove-header, add-missing (RULES.md
 * "Rules").
 *
 *   fields as they came ─▶ edits, in the order of the rules ─▶ fields as they go on; Received: is put above them after
 *
 * Pure. Blocks are in wire form (header.h): a dot at the head of a line is a stuffed one, and what is added is written
 * so too. Nothing that no edit names is changed, not even the fold of a line.
 */
#ifndef SMTP_HEADER_EDIT_H
#define SMTP_HEADER_EDIT_H

#include "base/buf.h"

enum smtp_header_edit_kind {
    SMTP_HEADER_ADD,        /* a field, above those that came, below those added before it */
    SMTP_HEADER_REMOVE,     /* every field of that name that is there by now, letter case ignored */
    SMTP_HEADER_ADD_MISSING /* Date, Message-ID and Sender, as far as RFC 6409 8 lets a submission server add them */
};

struct smtp_header_edit {
    enum smtp_header_edit_kind kind;
    struct str name, text; /* text: of ADD, without control characters; at most 998 bytes with its name */
};

/* What ADD_MISSING writes. */
struct smtp_header_missing {
    int64_t time_s; /* since 1970 */
    int utc_offset_s;
    struct str message_id; /* whole, "<…@host>" */
    struct str sender; /* who sent it: the login if it is an address, else MAIL FROM; STR_NONE: nobody can be named */
};

/* Appends the fields, edited. fields: the first fields_end bytes of a block, every line ended by CRLF but perhaps the
 * last one. An mbox "From " line stays on top. False: the buffer is full. */
MUST_USE bool smtp_header_edit(struct buf *to, struct str fields, const struct smtp_header_edit *edits, size_t count,
                               const struct smtp_header_missing *missing);

#endif
