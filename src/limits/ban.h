/*
 * ban.h - who is banned: clients, networks and users, in memory that all workers share.
 *
 *   rule or threshold `ban client 15m doubling to 24h "…"`  ─▶ ban_add
 *   accept (client, network), AUTH (user)                   ─▶ ban_find     no ban in force anywhere: one comparison
 *   `mailweir bans`, `mailweir unban`                       ─▶ ban_next, ban_lift
 *   a restart                                               ─▶ ban_put
 *   other nodes                                            ◀─▶ ban_change_next, ban_record_put (ban_sync.h)
 *
 * Whom it concerns is an entity as limits have it (LIMITS.md, "Keys"): i:192.0.2.7, n:192.0.2.0/24, u:alice.
 *
 * A ban that is over is remembered for a week. Another one within that week is the next strike: where bans double, it
 * lasts twice as long as the last, up to a maximum. While one is in force further ones are no strikes, for many
 * connections of one client end in the same moment, but the later end holds, and with it its reason, if it has one. A
 * ban that was lifted is remembered too,
 * as lifted: other nodes may hold it still.
 *
 * The table is bounded: an entity may lie in one of 16 places, and where all are taken, the ban that ends first (or
 * ended longest ago) goes. Its locks and the order of its writes let any worker be killed at any instant: a ban that
 * was told of is there, whole.
 */
#ifndef LIMITS_BAN_H
#define LIMITS_BAN_H

#include "base/err.h"
#include "base/str.h"

#define BAN_TABLE_DEFAULT    16384
#define BAN_TABLE_MIN        256
#define BAN_TABLE_MAX        1000000
#define BAN_ENTITY_MAX_BYTES 255             /* of a longer entity so much counts */
#define BAN_STRIKES_S        INT64_C(604800) /* a week */

struct ban_table;

struct ban {
    int64_t since_us, until_us; /* wall clock */
    uint32_t strikes;           /* 1: the first within a week */
    /* Without control characters; by and reason cut where they are too long. */
    char entity[BAN_ENTITY_MAX_BYTES + 1];
    char by[64]; /* the rule, the limit, or who gave the command */
    char reason[128];
};

/* What a `ban` action says. */
struct ban_terms {
    uint32_t duration_s;
    uint32_t max_s; /* of `doubling to`; 0: does not double */
    struct str by, reason;
};

/* For `count` bans; about half a kilobyte each. */
size_t ban_table_size(size_t count);
/* An empty table in ban_table_size(count) bytes of zeros (a fresh mapping), aligned to 64. */
MUST_USE struct ban_table *ban_table_init(void *memory, size_t count, struct err *err);
/* A table for that many that an earlier run of the service left, in memory that a file keeps: its bans hold on, and
 * nobody has been told of any. */
MUST_USE struct ban_table *ban_table_reopen(void *memory, size_t count, struct err *err);
/* Of such a table, before anybody uses it: forgets what was changed last before then, and its bans are in force no
 * longer. */
void ban_table_forget(struct ban_table *t, int64_t before_us);
/* Nobody may use it any more. */
void ban_table_fini(struct ban_table *t);

/* Bans the entity from now on. ban: what is in force then; NULL: not wanted. False: the table is locked by a worker
 * that stands still; nothing changed. */
MUST_USE bool ban_add(struct ban_table *t, struct str entity, const struct ban_terms *terms, int64_t now_us,
                      struct ban *ban);
/* Is the entity banned? ban: by what; NULL: not wanted. A table that is locked for longer than a few milliseconds bans
 * nobody. */
MUST_USE bool ban_find(struct ban_table *t, struct str entity, int64_t now_us, struct ban *ban);
/* Ends a ban and forgets its strikes. False: there was none in force. */
bool ban_lift(struct ban_table *t, struct str entity, int64_t now_us);
/* Takes over a ban that was written down: what ends later holds. False: as ban_add. */
MUST_USE bool ban_put(struct ban_table *t, const struct ban *ban);

/* Walks over the bans in force, in no order: start with *at = 0; false at the end. Bans made meanwhile may be missed.
 */
bool ban_next(struct ban_table *t, size_t *at, int64_t now_us, struct ban *ban);

/* ---- for who tells other nodes ---- */

/* All that is known of an entity. */
struct ban_record {
    struct ban ban;     /* over, with 0 strikes, where the last thing that happened was its lifting */
    int64_t changed_us; /* when it was made or prolonged */
    int64_t lifted_us;  /* bans made until then count no longer; 0: none was lifted */
};

/* Two nodes' knowledge as one: of bans that were not lifted since, the one that ends later, with the higher strikes;
 * where neither is there any more, the last lifting. In any order, however often: the same (but for texts of bans that
 * end together). */
void ban_record_merge(struct ban_record *mine, const struct ban_record *other);
/* Would who knows `than` learn from `record`? Differences below a second are the clocks'. */
bool ban_record_says_more(const struct ban_record *record, const struct ban_record *than);

enum { BAN_TABLE_SHARDS = 16 };

/* How far somebody has followed the table; zeroed: he knows nothing yet. */
struct ban_cursor {
    uint64_t seen[BAN_TABLE_SHARDS];
    uint64_t until; /* the walk at hand: what changed later is the next walk's */
    size_t at;
};
/* Was anything changed on this node since the last walk? A few comparisons. */
bool ban_has_changes(const struct ban_table *t, const struct ban_cursor *c);
/* The next record that was changed on this node; with a fresh cursor also those that were put. False: the end of this
 * walk; the cursor stands ready for the next one. */
bool ban_change_next(struct ban_table *t, struct ban_cursor *c, struct ban_record *record);
/* False: nothing is known of the entity, or the table is locked. */
MUST_USE bool ban_record_find(struct ban_table *t, struct str entity, struct ban_record *record);
/* Merges what another node knows; no change of this node's. Texts and the entity as ban_add makes them. False: as
 * ban_add. */
MUST_USE bool ban_record_put(struct ban_table *t, const struct ban_record *record, int64_t now_us);

struct ban_table_stats {
    uint64_t places;
    uint64_t made;    /* since the start, next strikes too */
    uint64_t evicted; /* while in force, for lack of room. Should be 0 */
    uint64_t timeouts;
};
/* Locks one shard after the other. */
void ban_table_stats_get(struct ban_table *t, struct ban_table_stats *stats);

#endif
