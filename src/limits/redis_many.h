/*
 * redis_many.h - names and moments of the HyperLogLogs that count recipients (redis_many.c), for all who write them.
 *
 * The window is cut into quarters, numbered from 1970 on, a key each. Those of now and of the four before it cover
 * every interval of its length that ends now.
 */
#ifndef LIMITS_REDIS_MANY_H
#define LIMITS_REDIS_MANY_H

#include "base/str.h"

enum { QUARTERS = 5, MAIL_HOLD_TEXT_BYTES = 40 };

/* The number of the quarter in which a moment lies, and the moment when a quarter begins: microseconds since 1970, on
 * the shard's clock. */
uint64_t redis_quarter(uint32_t period_s, int64_t now_us);
int64_t redis_quarter_start_us(uint32_t period_s, uint64_t quarter);
/* "mw1:x:{u:alice}:rcpt:86400" of a stem of HyperLogLogs: where mails that are on their way stand. `to` as for
 * redis_stem. */
struct str redis_many_holds_key(struct str stem, size_t prefix_bytes, char *to, size_t size);
/* A mail on its way that brings so many new values: "12.0123456789abcdef". And read back: how many. */
struct str mail_hold_text(uint64_t token, uint32_t count, char to[MAIL_HOLD_TEXT_BYTES]);
MUST_USE bool mail_hold_parse(struct str text, uint64_t *token, uint32_t *count);

#endif
