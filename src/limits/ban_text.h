/*
 * ban_text.h - what is known of a ban, as it stands in Redis (LIMITS.md "Keys").
 *
 *   mw1:b:{i:192.0.2.7}  {"since":1767614400000000,"until":…,"strikes":2,"changed":…,
 *                         "by":"guessing","reason":"…","node":"mx1"}
 *                        or, of one that was lifted: {"lifted":1767614400000000,"node":"mx1"}
 *   mw1:k:{i:192.0.2.7}  "2 1767614400000000": strikes, and when the last of these bans ended
 *
 * Times are microseconds since 1970 on Redis' clock. ahead_us says by how much that is ahead of this node's.
 */
#ifndef LIMITS_BAN_TEXT_H
#define LIMITS_BAN_TEXT_H

#include "base/buf.h"
#include "limits/ban.h"

enum { BAN_TEXT_MAX_BYTES = 2048, BAN_STRIKES_MAX_BYTES = 48 };
/* No ban lasts longer. */
#define BAN_LASTS_MAX_US (INT64_C(366) * 86400 * 1000000)

/* node: who writes it, for people. False: no memory, or longer than BAN_TEXT_MAX_BYTES. */
MUST_USE bool ban_text_write(struct buf *to, const struct ban_record *record, int64_t ahead_us, struct str node);
/* False: it is something else. Times that cannot be (in the future; an end beyond BAN_LASTS_MAX_US) are brought to what
 * can. now_us: this node's clock. */
MUST_USE bool ban_text_read(struct str text, struct str entity, int64_t ahead_us, int64_t now_us,
                            struct ban_record *record);

/* The same of strikes (mw1:k:…). Read, the record is that of a ban which is over. */
struct str ban_strikes_write(const struct ban_record *record, int64_t ahead_us, char to[BAN_STRIKES_MAX_BYTES]);
MUST_USE bool ban_strikes_read(struct str text, struct str entity, int64_t ahead_us, int64_t now_us,
                               struct ban_record *record);

/* Can it be somebody who is banned? "i:192.0.2.7", "u:alice@example.org". */
bool ban_entity_is_valid(struct str entity);

#endif
