/*
 * limit.h - what a limit is, once the configuration is read: plain data that nobody changes any more.
 *
 * A limit counts one unit for one key ("user", "client", "user, client"); the caller resolves the key to an entity, a
 * string such as `u:alice@example.org`, `i:192.0.2.7` or `u+i:alice@example.org+192.0.2.7` (LIMITS.md, "Keys"; made fit
 * by escape_key, so it holds no control character). Each rate is a window of its own. Thresholds say what happens when
 * a count passes a percentage of a rate; their actions belong to the caller, and only what the count depends on is
 * known here: does it refuse, and how.
 *
 *   limit user-recipients per user count recipients { 200/1h, 1000/1d   at 50% log   at 80% tarpit 5s   at 100% defer }
 *         name                            unit        rates             thresholds, in ascending order
 */
#ifndef LIMITS_LIMIT_H
#define LIMITS_LIMIT_H

#include "base/str.h"

/* The units of RULES.md "Limits"; limit.c has a row for each. */
enum limit_unit {
    UNIT_CONNECTIONS,
    UNIT_OPEN_CONNECTIONS,
    UNIT_MESSAGES,
    UNIT_RECIPIENTS,
    UNIT_BYTES,
    UNIT_DISTINCT_RECIPIENTS,
    UNIT_DISTINCT_NETWORKS,
    UNIT_DISTINCT_COUNTRIES,
    UNIT_AUTH_FAILURES,
    UNIT_GUESSES,
    UNIT_FAILED_USERS,
    UNIT_ERRORS,
    UNIT_REFUSALS,
    UNIT_UNKNOWN_RECIPIENTS,
    UNIT_CHARGES,
    LIMIT_UNITS
};

/* When a unit is counted (GRAMMAR.md 4): before something is let in, and given back if it is not; before a password is
 * checked, and given back where it was not what the unit counts; or when it happened, for good. */
enum limit_kind { LIMIT_ADMISSION, LIMIT_AUTH, LIMIT_EVENT };

/* How a unit is counted: in a column of the counter that the units of a mail share; in slots of its own; as places held
 * now; as different values seen. */
enum limit_shape { SHAPE_MAIL, SHAPE_SLOTS, SHAPE_LEASES, SHAPE_DISTINCT };

/* A counter has three columns. The units of a mail share one counter of their entity, a column each, so that all of
 * them are reserved at once and a limit that a reload adds finds its count already there; every other unit uses the
 * first column. */
enum column { COLUMN_ONE = 0, COLUMN_MESSAGES = 0, COLUMN_RECIPIENTS = 1, COLUMN_KIB = 2, COLUMNS = 3 };

struct rate {
    uint32_t count;    /* 1 to 2^31-1; bytes: whole KiB */
    uint32_t period_s; /* 1 s to 366 d; 0 for open-connections, which has no period */
};

enum refusal { REFUSAL_NONE, REFUSAL_DEFER, REFUSAL_REJECT, REFUSAL_DISCONNECT, REFUSAL_DROP, REFUSAL_BAN };

struct threshold {
    uint32_t percent;     /* acts when the count, including this one, is greater than that part of the rate */
    enum refusal refusal; /* how its actions refuse, if they do */
    uint32_t tarpit_ms;
    bool logs, alerts;
    const void *actions; /* the caller's */
};

struct limit {
    struct str name;
    enum limit_unit unit;
    bool counts_for_itself; /* has a condition, or counts charges: shares its counter with no other limit */
    bool observed;          /* counts, but never refuses */
    const struct rate *rates;
    size_t rate_count;
    const struct threshold *thresholds; /* ascending, no percentage twice */
    size_t threshold_count;
    const void *definition; /* the caller's: where it was read, what its condition is */
};

/* What stands at 100% unless the limit says otherwise: `at 100% defer`. */
extern const struct threshold limit_default_threshold;

/* As RULES.md writes it ("open-connections"). */
struct str limit_unit_name(enum limit_unit unit);
enum limit_kind limit_unit_kind(enum limit_unit unit);
enum limit_shape limit_unit_shape(enum limit_unit unit);
/* Where the unit stands in a counter that limits share. */
enum column limit_unit_column(enum limit_unit unit);
/* Is it counted for a mail as a whole (messages, recipients, bytes, distinct-recipients)? Then the downstream MTA's
 * verdict may give it back, and a mail may be too big for it for ever. */
bool limit_unit_is_of_mail(enum limit_unit unit);
/* What came on top when the count rose, in words: "mail", "connection", "attempt", "login", "error" … */
const char *limit_unit_noun(enum limit_unit unit);

/* The first threshold that refuses; NULL where none does. That one is the limit: of an admission or auth unit no later
 * threshold ever acts. A `ban` of an event unit refuses nobody for as long as the count is above it: there it is
 * passed over. */
const struct threshold *limit_refusing_threshold(const struct limit *limit);
/* The greatest count that a threshold lets pass: 200 at 100% of 200/1h. */
uint64_t limit_threshold_count(const struct threshold *t, const struct rate *rate);

/* KiB begun: 1 for 0 to 1024 bytes, 2 for 1025; at most UINT32_MAX. */
uint32_t limit_kib(uint64_t bytes);

/* "12m30s", "1h", "30d", "1d2h5m": all parts, exactly; 0 gives "0s". */
struct str limit_duration_text(char *to, size_t size, uint64_t seconds);
/* The two greatest parts of it, rounded up, so that after that time it surely has passed: 3661 s are "1h2m". */
struct str limit_wait_text(char *to, size_t size, uint64_t seconds);
/* A count as RULES.md writes it: "200"; bytes (given in KiB) "10M", "10241K". */
struct str limit_count_text(char *to, size_t size, enum limit_unit unit, uint64_t count);

#endif
