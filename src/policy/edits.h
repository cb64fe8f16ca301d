/*
 * edits.h - what add-header, remove-header and add-missing made of a mail's header: for live mails (session/) and for
 * made-up ones (trial.h).
 *
 *   rules ─▶ struct policy_edit… in the mail (ask.h) ─▶ policy_edit_fields ─▶ smtp/header_edit.h
 */
#ifndef POLICY_EDITS_H
#define POLICY_EDITS_H

#include "policy/ask.h"
#include "smtp/header_edit.h"

/* Who sent the mail, for the Sender field of add-missing (RFC 6409 8.1): the login where it is an address, else the
 * envelope sender; STR_NONE: the null sender, which is nobody. Borrowed. */
struct str policy_edit_sender(struct str user, struct str sender);
/* Appends the fields (smtp_header_edit), edited. False: the buffer is full, or no memory in the arena. */
MUST_USE bool policy_edit_fields(struct buf *to, struct str fields, const struct policy_edit *edits,
                                 const struct smtp_header_missing *missing, struct arena *arena);

#endif
