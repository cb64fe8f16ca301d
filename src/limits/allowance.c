/* allowance.c - see allowance.h. An open-addressed table under one lock: it is small, and hardly ever written. */
#include "limits/allowance.h"

#include <string.h>

#include "base/hash.h"
#include "base/memory_lock.h"

#define FIND_WAIT_US     5000
#define REMEMBERED_US    (86400 * INT64_C(1000000)) /* what is over, for the others to hear of it */
#define PLACES_MAX_TRIED 64

enum place_state { PLACE_EMPTY, PLACE_USED }; /* a place that was used once stays so: chains must not break */

struct place {
    uint64_t hash;
    uint32_t state;
    uint32_t is_untold;
    struct allowance allowance;
};

struct allowance_table {
    struct memory_lock lock;
    struct hash_key key;
    _Atomic int64_t last_until_us; /* none is in force from then on */
    _Atomic uint32_t untold;
    struct place places[ALLOWANCE_TABLE_PLACES];
};

size_t allowance_table_size(void)
{
    return sizeof(struct allowance_table);
}

struct allowance_table *allowance_table_init(void *memory, struct err *err)
{
    struct allowance_table *t = memory;
    t->key = hash_key_random();
    return allowance_table_reopen(memory, err);
}

static uint64_t hash_of(const struct allowance_table *t, struct str entity, struct str limit)
{
    return hash64(&t->key, entity) ^ hash64(&t->key, limit) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Is what lies there whole? A machine that crashed may have brought one half to its disk and not the other. */
static bool is_whole(const struct allowance_table *t, const struct place *p)
{
    const struct allowance *a = &p->allowance;
    bool ok = !a->entity[sizeof a->entity - 1] && !a->limit[sizeof a->limit - 1] && !a->by[sizeof a->by - 1] &&
              !a->why[sizeof a->why - 1] && a->rate_count <= ALLOWANCE_RATES_MAX;
    for (size_t i = 0; ok && i < a->rate_count; i++)
        ok = a->rates[i].count > 0;
    return ok && p->hash == hash_of(t, str_of_z(a->entity), str_of_z(a->limit));
}

/* Also what is kept of the whole table was not written in one moment with it. */
struct allowance_table *allowance_table_reopen(void *memory, struct err *err)
{
    struct allowance_table *t = memory;
    int rc = memory_lock_init(&t->lock);
    if (rc) {
        err_set(err, "cannot make the lock of the table of allowances: %s", strerror(rc));
        return NULL;
    }
    t->untold = 0;
    for (size_t i = 0; i < ALLOWANCE_TABLE_PLACES; i++) {
        struct place *p = &t->places[i];
        if (p->state == PLACE_EMPTY)
            continue;
        if (!is_whole(t, p))
            *p = (struct place){.state = PLACE_USED}; /* it is used again, and breaks no chain */
        t->untold += p->is_untold != 0;
        t->last_until_us = MAX_OF(t->last_until_us, p->allowance.until_us);
    }
    return t;
}

void allowance_table_forget_told(struct allowance_table *t)
{
    for (size_t i = 0; i < ALLOWANCE_TABLE_PLACES; i++)
        if (!t->places[i].is_untold)
            t->places[i].allowance = (struct allowance){0}; /* likewise */
}

void allowance_table_fini(struct allowance_table *t)
{
    memory_lock_fini(&t->lock);
}

static bool lock(struct allowance_table *t, int64_t wait_us)
{
    return memory_lock_take(&t->lock, &wait_us);
}

/* ---- places; all with the lock held ---- */

static bool is_of(const struct place *p, uint64_t hash, struct str entity, struct str limit)
{
    return p->state == PLACE_USED && p->hash == hash && str_equal(str_of_z(p->allowance.entity), entity) &&
           str_equal(str_of_z(p->allowance.limit), limit);
}

static bool is_forgotten(const struct place *p, int64_t now_us)
{
    const struct allowance *a = &p->allowance;
    return !p->is_untold && MAX_OF(a->until_us, a->changed_us) + REMEMBERED_US < now_us;
}

/* Its place. room: where it may be put if it has none; NULL: nowhere. */
static struct place *find(struct allowance_table *t, struct str entity, struct str limit, int64_t now_us,
                          struct place **room)
{
    uint64_t hash = hash_of(t, entity, limit);
    *room = NULL;
    for (size_t i = 0; i < PLACES_MAX_TRIED; i++) {
        struct place *p = &t->places[(hash + i) % ALLOWANCE_TABLE_PLACES];
        if (is_of(p, hash, entity, limit))
            return p;
        if (!*room && (p->state == PLACE_EMPTY || is_forgotten(p, now_us)))
            *room = p;
        if (p->state == PLACE_EMPTY)
            break;
    }
    return NULL;
}

/* A process may be killed between any two writes: a place counts when all of it is there. */
static void write(struct allowance_table *t, struct place *p, const struct allowance *a, bool is_untold)
{
    bool was_untold = p->state == PLACE_USED && p->is_untold;
    p->allowance.until_us = 0;
    MEMORY_ORDER();
    struct allowance copy = *a;
    copy.until_us = 0;
    p->allowance = copy;
    p->hash = hash_of(t, str_of_z(a->entity), str_of_z(a->limit));
    p->is_untold = is_untold;
    p->state = PLACE_USED;
    MEMORY_ORDER();
    p->allowance.until_us = a->until_us;
    t->untold += (uint32_t)is_untold - (uint32_t)was_untold;
    t->last_until_us = MAX_OF(t->last_until_us, a->until_us);
}

/* ---- verbs ---- */

bool allowance_set(struct allowance_table *t, const struct allowance *a, bool is_ours, struct err *err)
{
    struct place *room;
    if (!lock(t, MEMORY_LOCK_WAIT_US))
        return err_set(err, "the table of allowances is locked by a process that stands still");
    struct place *p = find(t, str_of_z(a->entity), str_of_z(a->limit), a->changed_us, &room);
    bool has_place = p || room;
    struct allowance now = *a;
    if (is_ours && p) /* it was there when it was changed, whatever the clock says */
        now.changed_us = MAX_OF(now.changed_us, p->allowance.changed_us + 1);
    if (has_place && (!p || p->allowance.changed_us <= now.changed_us))
        write(t, p ? p : room, &now, is_ours);
    memory_lock_drop(&t->lock);
    return has_place || err_set(err, "there is no room for another allowance: end some, or wait until they do");
}

bool allowance_end(struct allowance_table *t, struct str entity, struct str limit, int64_t now_us)
{
    struct place *room;
    if (!lock(t, MEMORY_LOCK_WAIT_US))
        return false;
    struct place *p = find(t, entity, limit, now_us, &room);
    bool was_in_force = p && p->allowance.until_us > now_us;
    if (was_in_force) {
        struct allowance ended = p->allowance;
        ended.until_us = 0;
        ended.changed_us = MAX_OF(now_us, ended.changed_us + 1);
        write(t, p, &ended, true);
    }
    memory_lock_drop(&t->lock);
    return was_in_force;
}

bool allowance_find(struct allowance_table *t, struct str entity, struct str limit, int64_t now_us, struct rate *rates,
                    size_t *rate_count)
{
    struct place *room;
    if (t->last_until_us <= now_us || !lock(t, FIND_WAIT_US))
        return false;
    struct place *p = find(t, entity, limit, now_us, &room);
    bool is_in_force = p && p->allowance.until_us > now_us;
    if (is_in_force) {
        *rate_count = MIN_OF(p->allowance.rate_count, (uint32_t)ALLOWANCE_RATES_MAX);
        memcpy(rates, p->allowance.rates, *rate_count * sizeof *rates);
    }
    memory_lock_drop(&t->lock);
    return is_in_force;
}

/* ---- walks ---- */

static bool next(struct allowance_table *t, size_t *at, bool is_untold, int64_t now_us, struct allowance *a)
{
    bool is_found = false;
    if (!lock(t, MEMORY_LOCK_WAIT_US))
        return false;
    for (; *at < ALLOWANCE_TABLE_PLACES && !is_found; ++*at) {
        const struct place *p = &t->places[*at];
        is_found = p->state == PLACE_USED && (is_untold ? p->is_untold != 0 : p->allowance.until_us > now_us);
        if (is_found)
            *a = p->allowance;
    }
    memory_lock_drop(&t->lock);
    return is_found;
}

bool allowance_next(struct allowance_table *t, size_t *at, int64_t now_us, struct allowance *a)
{
    return next(t, at, false, now_us, a);
}

bool allowance_untold_next(struct allowance_table *t, size_t *at, struct allowance *a)
{
    return allowance_has_untold(t) && next(t, at, true, 0, a);
}

void allowance_is_told(struct allowance_table *t, const struct allowance *a)
{
    struct place *room;
    if (!lock(t, MEMORY_LOCK_WAIT_US))
        return;
    struct place *p = find(t, str_of_z(a->entity), str_of_z(a->limit), a->changed_us, &room);
    if (p && p->is_untold && p->allowance.changed_us == a->changed_us) {
        p->is_untold = false;
        t->untold--;
    }
    memory_lock_drop(&t->lock);
}

void allowance_tell_again(struct allowance_table *t)
{
    if (!lock(t, MEMORY_LOCK_WAIT_US))
        return;
    uint32_t untold = 0;
    for (size_t i = 0; i < ALLOWANCE_TABLE_PLACES; i++) {
        t->places[i].is_untold = t->places[i].state == PLACE_USED;
        untold += t->places[i].is_untold;
    }
    t->untold = untold;
    memory_lock_drop(&t->lock);
}

bool allowance_has_untold(const struct allowance_table *t)
{
    return t->untold > 0;
}
