/*
 * redis_slots_inside.h - what the files of counters of slots in Redis share: redis_slots.c (asking and judging),
 * redis_slots_begin.c (what this node knows), redis_slots_words.c (commands), redis_slots_changes.c (what nobody waits
 * for).
 */
#ifndef LIMITS_REDIS_SLOTS_INSIDE_H
#define LIMITS_REDIS_SLOTS_INSIDE_H

#include "limits/store_redis_inside.h"
#include "limits/window.h"

/* A window's key: COLUMNS times 16 slots, then its header, the window's length and number. */
enum { SLOTS_HEADER_AT = COLUMNS * WINDOW_SLOTS };

static inline uint64_t window_of(uint64_t slot)
{
    return slot / WINDOW_SLOTS;
}
static inline uint64_t cell_of(size_t column, uint64_t slot)
{
    return column * WINDOW_SLOTS + slot % WINDOW_SLOTS;
}

/* ---- a part ---- */

/* In a part's room. */
struct slots {
    uint64_t slot;
    uint32_t held[COLUMNS];   /* of what the take holds: that still counts */
    uint32_t growth[COLUMNS]; /* what is reserved */
    uint32_t added[COLUMNS];  /* what that came to: less, where a slot is full to the brim */
    bool counts_held, grows;
    bool knows_closed, knows_slots, has_header, asks_old;
    bool ends_soon, reads_next; /* others may be in the next slot already; in the next window */
    bool has_bitfield;          /* command 0; then (has_window) the window, then perhaps the one before, and the next */
    bool has_window;
    bool is_read; /* by this node, lately: the next three are of use */
    bool is_denied;
    uint64_t seen[COLUMNS], since[COLUMNS]; /* sums, as begin found them */
    uint32_t changes, unseen;               /* outage_changes, outage_unseen when the op began */
    uint32_t header[2]; /* what lay where ours was written: somebody else's value, if it is neither ours nor nothing */
    uint32_t rings[COLUMNS][WINDOW_CELLS];
    struct take_held before; /* of a decision alone: what was held */
    struct mirror_charge alone;
};

_Static_assert(sizeof(struct slots) <= PART_ROOM_BYTES, "a part's room");

static inline struct slots *slots_of(struct part *p)
{
    return (struct slots *)p->room;
}

/* A denial is believed for so long. */
#define SLOTS_DENIAL_US INT64_C(5000000)

/* Fills the part's slots from what this node knows. */
void redis_slots_begin(struct part *p);
bool redis_slots_is_recent(int64_t at_us, int64_t now_us, int64_t for_us);

/* ---- commands ---- */

enum { COMMAND_WORDS_MAX = 48 };

struct command {
    struct str words[COMMAND_WORDS_MAX];
    size_t count;
    char texts[COMMAND_WORDS_MAX][STR_OF_U64_MAX + 2]; /* of words that are numbers */
    char key[REDIS_KEY_MAX_BYTES];
};

/* VERB and the window's key. */
void command_begin(struct command *c, struct str verb, struct str stem, uint64_t window);
/* BITFIELD KEY OVERFLOW SAT */
void command_begin_bitfield(struct command *c, struct str stem, uint64_t window);
void command_say(struct command *c, struct str word);
void command_say_number(struct command *c, int64_t n);
/* VERB u32 #CELL */
void command_say_field(struct command *c, struct str verb, uint64_t cell);
/* SET u32 #48 PERIOD SET u32 #49 WINDOW */
void command_say_header(struct command *c, uint32_t period_s, uint32_t number);
/* When the window counts no longer, in milliseconds. */
void command_say_expiry(struct command *c, uint64_t window, uint32_t period_s);

/* ---- changes that nobody waits for ---- */

/* By how much two slots of a counter change. */
struct changes {
    struct counter counter; /* without its texts: the errand's key is its name */
    uint64_t slots[2];
    int64_t deltas[2][COLUMNS];
    int64_t now_us;
};

struct changes changes_of(const struct counter *counter, int64_t now_us);
void changes_add(struct changes *ch, size_t i, uint64_t slot, const uint32_t cost[COLUMNS]);
void changes_take_back(struct changes *ch, size_t i, uint64_t slot, const uint32_t cost[COLUMNS]);
/* What is held is held no longer, wherever it lies; what Redis has of it is left in the changes, as number i. */
void changes_let_go(struct changes *ch, size_t i, struct store_redis *s, const struct counter *counter,
                    const struct take_held *held);
/* Tells Redis, where there is anything to tell; what it could not be told the mirror is told is due. */
void changes_send(struct store_redis *s, struct str stem, const struct changes *ch);

void redis_slots_give_back(struct store_redis *s, struct take *take);
void redis_slots_keep(struct store_redis *s, struct take *take, int64_t given_us);

#endif
