/*
 * verdict.h - the MTA's reply made into what the client may hear (PROTOCOLS.md 2, "Failures"). Pure.
 *
 * Verdicts pass as they are, but for two kinds: 421 would mean that we close, so it becomes 451; and 500 502 503 530
 * 535 538 are faults between us and the MTA, about which the client can do nothing, so they become 451 4.3.0 and an
 * alarm.
 */
#ifndef MTA_VERDICT_H
#define MTA_VERDICT_H

#include "mta/dialogue.h"

/* Fills *reply, whose text is answer's or a static one. True: the reply shows a fault of configuration, which the
 * administrator must hear of. */
bool mta_verdict(enum mta_state state, const struct smtp_answer *answer, struct mta_reply *reply);

/* Appends a text with nothing in it but printable ASCII and LF, and well-formed UTF-8 where that is allowed; TAB
 * becomes a space, all else is left out. False: the buffer is full. */
MUST_USE bool mta_clean_text(struct buf *to, struct str text, bool allows_utf8);

#endif
