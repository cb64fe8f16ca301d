/*
 * allowance.h - rates that an operator gave somebody for a while: `mailweir allow user:bulk user-recipients 5000/1h`.
 *
 *   control request ─▶ allowance_set ─▶ table in memory that ◀─ allowance_find ─ policy/
 *   other nodes' ─▶ allowance_sync.h ─▶ all processes share
 *
 * policy/ looks once a charge; where there is none at all that is one comparison. Other nodes' stand in Redis
 * (`mw1:o:{…}`).
 *
 * There are few: an operator made each by hand. One that is over, or was taken back, is remembered for a while, so that
 * other nodes hear of it.
 */
#ifndef LIMITS_ALLOWANCE_H
#define LIMITS_ALLOWANCE_H

#include "base/err.h"
#include "limits/limit.h"

enum {
    ALLOWANCE_TABLE_PLACES = 4096, /* half of them are used at most */
    ALLOWANCE_ENTITY_MAX_BYTES = 255,
    ALLOWANCE_LIMIT_MAX_BYTES = 63,
    ALLOWANCE_RATES_MAX = 8,
};

struct allowance_table;

struct allowance {
    char entity[ALLOWANCE_ENTITY_MAX_BYTES + 1]; /* LIMITS.md "Keys": u:alice */
    char limit[ALLOWANCE_LIMIT_MAX_BYTES + 1];   /* the limit's name */
    struct rate rates[ALLOWANCE_RATES_MAX];      /* instead of the limit's own */
    uint32_t rate_count;                         /* 0: no limit at all */
    int64_t since_us, until_us;                  /* clock_steady_us; taken back: until_us 0 */
    int64_t changed_us;                          /* who knows of two takes the later one */
    char by[64], why[128];                       /* without control characters */
};

/* Bytes of memory that all processes of the node share. */
size_t allowance_table_size(void);
/* An empty table in allowance_table_size() bytes of zeros, aligned to 64; or one that an earlier run left. NULL
 * with a reason: its locks cannot be made. */
MUST_USE struct allowance_table *allowance_table_init(void *memory, struct err *err);
MUST_USE struct allowance_table *allowance_table_reopen(void *memory, struct err *err);
/* Of one that an earlier run left, before anybody uses it: keeps only what others have not been told of. */
void allowance_table_forget_told(struct allowance_table *t);
/* Its locks; the memory stays the caller's. */
void allowance_table_fini(struct allowance_table *t);

/* From now on (changed_us) so it is. An older one for the same entity and limit is replaced, a younger one stays.
 * is_ours: made on this node, so that others must hear of it, and what is there is older, for whoever gave it had a
 * clock that was ahead. False with a reason: the table is full or locked. */
MUST_USE bool allowance_set(struct allowance_table *t, const struct allowance *a, bool is_ours, struct err *err);
/* Takes one back. False: there was none in force. */
bool allowance_end(struct allowance_table *t, struct str entity, struct str limit, int64_t now_us);
/* The rates that hold instead of the limit's own, copied to `rates` (of ALLOWANCE_RATES_MAX). False: none do; a table
 * that is locked for longer than a few milliseconds allows nothing. */
MUST_USE bool allowance_find(struct allowance_table *t, struct str entity, struct str limit, int64_t now_us,
                             struct rate *rates, size_t *rate_count);

/* Walks over those in force, in no order: start with *at = 0; false at the end. */
bool allowance_next(struct allowance_table *t, size_t *at, int64_t now_us, struct allowance *a);
/* The next of this node's own that others have not been told of, those taken back among them. Likewise. */
bool allowance_untold_next(struct allowance_table *t, size_t *at, struct allowance *a);
/* Others know of it, as it was then. */
void allowance_is_told(struct allowance_table *t, const struct allowance *a);
/* Nobody knows any more (a data set was lost): all are told of again. */
void allowance_tell_again(struct allowance_table *t);
/* Does the table hold anything untold? One comparison. */
bool allowance_has_untold(const struct allowance_table *t);

#endif
