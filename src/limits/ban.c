/*
 * ban.c - the table of bans. See ban.h.
 *
 *   header │ shards: lock, numbers │ sets of 8 places: 8 × id, 8 × number of the last change, 8 × ban
 *
 * Changes made on this node are numbered, shard by shard, so that who tells other nodes finds them by looking at
 * numbers alone. A number is written before its change: a process killed between both has told of nothing new.
 *
 * An entity's hash names its shard and two sets of it. An id is put there after its place was written and taken away
 * before the place is used for another; a ban that changes gets its new end first. Texts always end within their
 * arrays, so that one half written is still a text.
 */
#include "limits/ban.h"

#include <string.h>

#include "base/hash.h"
#include "base/memory_lock.h"
#include "limits/memory_sets.h"

#define SHARDS    BAN_TABLE_SHARDS
#define WAYS      8
#define SECOND_US INT64_C(1000000)

/* An accept waits no longer. */
#define FIND_WAIT_US 5000

/* A ban that begins further in the future was made while the clock was wrong. */
#define FUTURE_US (3600 * SECOND_US)

/* Clocks of nodes, and the time it takes to tell. */
#define SAME_US SECOND_US

/* The number of what was put, not changed here. */
#define NUMBER_PUT 1

struct place {
    uint64_t id_hi;
    struct ban_record record;
};

struct set {
    uint64_t id_lo[WAYS]; /* 0: empty */
    uint64_t number[WAYS];
    struct place places[WAYS];
};

struct shard {
    struct memory_lock lock;
    uint64_t changes; /* atomic: the last number given */
    uint64_t made, evicted;
} __attribute__((aligned(64)));

struct ban_table {
    uint64_t sets_per_shard;
    int64_t last_until_us; /* atomic: no ban is in force from then on */
    struct hash_key key;
    struct shard shards[SHARDS];
    struct set sets[];
};

/* Where an entity's ban is, or may lie. */
struct spot {
    struct hash128 id;
    struct shard *shard;
    struct set *sets[2];
};

/* Where it was found. */
struct hit {
    struct ban_record *record; /* NULL: nowhere */
    uint64_t *id_lo, *number;
};

static size_t sets_for(size_t count)
{
    return memory_sets_for(count, SHARDS, WAYS);
}

size_t ban_table_size(size_t count)
{
    return sizeof(struct ban_table) + SHARDS * sets_for(count) * sizeof(struct set);
}

static struct ban_table *open_table(struct ban_table *t, size_t count, struct err *err)
{
    if (count < BAN_TABLE_MIN || count > BAN_TABLE_MAX) {
        err_set(err, "bans must be from %d to %d, not %zu", BAN_TABLE_MIN, BAN_TABLE_MAX, count);
        return NULL;
    }
    int rc = 0;
    for (size_t i = 0; i < SHARDS && !rc; i++)
        rc = memory_lock_init(&t->shards[i].lock);
    for (size_t i = 0; i < SHARDS; i++)
        t->shards[i].changes = NUMBER_PUT;
    if (rc) {
        err_set(err, "cannot make the locks of the table of bans: %s", strerror(rc));
        return NULL;
    }
    t->sets_per_shard = sets_for(count);
    return t;
}

struct ban_table *ban_table_init(void *memory, size_t count, struct err *err)
{
    struct ban_table *t = memory;
    t->key = hash_key_random();
    return open_table(t, count, err);
}

static struct hash128 id_of(const struct ban_table *t, struct str entity)
{
    struct hash128 id = hash128(&t->key, entity);
    id.lo |= id.lo == 0;
    return id;
}

/* Is what lies there whole? A machine that crashed may have brought one half to its disk and not the other. */
static bool is_whole(const struct ban_table *t, const struct set *set, size_t place)
{
    const struct ban *ban = &set->places[place].record.ban;
    if (ban->entity[sizeof ban->entity - 1] || ban->by[sizeof ban->by - 1] || ban->reason[sizeof ban->reason - 1])
        return false;
    struct hash128 id = id_of(t, str_of_z(ban->entity));
    return id.lo == set->id_lo[place] && id.hi == set->places[place].id_hi;
}

/* The numbers of an earlier run say nothing to cursors of this one. */
struct ban_table *ban_table_reopen(void *memory, size_t count, struct err *err)
{
    struct ban_table *t = open_table(memory, count, err);
    for (size_t i = 0; t && i < SHARDS * t->sets_per_shard; i++)
        for (size_t k = 0; k < WAYS; k++) {
            struct set *set = &t->sets[i];
            set->number[k] = NUMBER_PUT;
            if (set->id_lo[k] && is_whole(t, set, k))
                t->last_until_us = MAX_OF(t->last_until_us, set->places[k].record.ban.until_us);
            else
                set->id_lo[k] = 0;
        }
    return t;
}

void ban_table_forget(struct ban_table *t, int64_t before_us)
{
    for (size_t i = 0; i < SHARDS * t->sets_per_shard; i++)
        for (size_t k = 0; k < WAYS; k++) {
            const struct ban_record *record = &t->sets[i].places[k].record;
            if (MAX_OF(record->changed_us, record->lifted_us) < before_us)
                t->sets[i].id_lo[k] = 0;
        }
}

void ban_table_fini(struct ban_table *t)
{
    for (size_t i = 0; i < SHARDS; i++)
        memory_lock_fini(&t->shards[i].lock);
}

static struct str clip(struct str entity)
{
    return str_of(entity.ptr, MIN_OF(entity.len, (size_t)BAN_ENTITY_MAX_BYTES));
}

static struct spot spot_of(struct ban_table *t, struct str entity)
{
    struct hash128 id = id_of(t, clip(entity));
    size_t shard = id.lo % SHARDS;
    struct set *base = &t->sets[shard * t->sets_per_shard];
    uint64_t two[2];
    memory_two_sets(t->sets_per_shard, (uint32_t)id.hi, (uint32_t)(id.hi >> 32), two);
    return (struct spot){id, &t->shards[shard], {&base[two[0]], &base[two[1]]}};
}

static bool lock_spot(const struct spot *spot, int64_t wait_us)
{
    return memory_lock_take(&spot->shard->lock, &wait_us);
}

/* What was made while the clock was far ahead lasts as long as it was meant to, from now on. */
static void bring_home(struct ban *ban, int64_t now_us)
{
    if (ban->since_us - now_us <= FUTURE_US)
        return;
    int64_t lasts_us = ban->until_us - ban->since_us;
    ban->until_us = now_us + lasts_us;
    MEMORY_ORDER();
    ban->since_us = now_us;
}

/* With its shard locked. */
static struct hit spot_find(const struct spot *spot)
{
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < WAYS; i++) {
            struct set *set = spot->sets[k];
            if (set->id_lo[i] == spot->id.lo && set->places[i].id_hi == spot->id.hi)
                return (struct hit){&set->places[i].record, &set->id_lo[i], &set->number[i]};
        }
    return (struct hit){0};
}

/* The next number of a change made here. */
static uint64_t next_number(const struct spot *spot)
{
    uint64_t n = spot->shard->changes + 1;
    __atomic_store_n(&spot->shard->changes, n, __ATOMIC_RELEASE);
    return n;
}

static void number_change(const struct spot *spot, const struct hit *hit)
{
    *hit->number = next_number(spot);
    MEMORY_ORDER();
}

/* When it would go: what is empty first, then what ends first. */
static int64_t goes_at(const struct set *set, size_t i)
{
    return set->id_lo[i] ? set->places[i].record.ban.until_us : INT64_MIN;
}

struct victim {
    struct set *set;
    size_t place;
    size_t free_count;
};

static struct victim victim_of(struct set *set, int64_t now_us)
{
    struct victim v = {set, 0, 0};
    for (size_t i = 0; i < WAYS; i++) {
        v.free_count += goes_at(set, i) <= now_us;
        if (goes_at(set, i) < goes_at(set, v.place))
            v.place = i;
    }
    return v;
}

/* Of the two sets the one with more room, so that they fill alike. */
static struct victim choose(const struct spot *spot, int64_t now_us)
{
    struct victim a = victim_of(spot->sets[0], now_us), b = victim_of(spot->sets[1], now_us);
    if (a.free_count || b.free_count)
        return b.free_count > a.free_count ? b : a;
    return goes_at(b.set, b.place) < goes_at(a.set, a.place) ? b : a;
}

/* Puts what is known of an entity that has no place. */
static void spot_put(const struct spot *spot, const struct ban_record *record, uint64_t number, int64_t now_us)
{
    struct victim v = choose(spot, now_us);
    spot->shard->evicted += v.free_count == 0;
    v.set->id_lo[v.place] = 0;
    MEMORY_ORDER();
    v.set->number[v.place] = number;
    v.set->places[v.place] = (struct place){.id_hi = spot->id.hi, .record = *record};
    MEMORY_ORDER();
    v.set->id_lo[v.place] = spot->id.lo;
}

static void text_set(char *to, size_t size, struct str text)
{
    size_t len = MIN_OF(text.len, size - 1);
    while (len < text.len && len > 0 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
        len--; /* not within a character */
    for (size_t i = 0; i < len; i++)
        to[i] = (unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f ? '?' : text.ptr[i];
    memset(to + len, 0, size - len);
}

/* Before the ban is there: a reader that sees neither is early, one that sees only this looks in vain. */
static void raise_last_until(struct ban_table *t, int64_t until_us)
{
    int64_t last_us = __atomic_load_n(&t->last_until_us, __ATOMIC_RELAXED);
    while (last_us < until_us && !__atomic_compare_exchange_n(&t->last_until_us, &last_us, until_us, false,
                                                              __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

/* How long the n-th strike lasts. */
static int64_t lasts_us(const struct ban_terms *terms, uint32_t strikes)
{
    uint64_t s = terms->duration_s;
    for (uint32_t i = 1; i < strikes && s < terms->max_s; i++)
        s = MIN_OF(s * 2, (uint64_t)terms->max_s);
    return (int64_t)s * SECOND_US;
}

/* However often somebody comes again, the number grows no smaller: 0 would say that the ban was lifted. */
static uint32_t next_strike(uint32_t strikes)
{
    return strikes + (strikes < UINT32_MAX);
}

/* The entity's ban gets another, now. One in force that is only prolonged, without a word why, keeps its reason. */
static void renew(struct ban_table *t, const struct spot *spot, const struct hit *hit, const struct ban_terms *terms,
                  int64_t now_us)
{
    struct ban *ban = &hit->record->ban;
    bool in_force = ban->until_us > now_us;
    bool is_repeat = now_us - ban->until_us < BAN_STRIKES_S * SECOND_US;
    uint32_t strikes = in_force ? ban->strikes : is_repeat ? next_strike(ban->strikes) : 1;
    int64_t until_us = now_us + lasts_us(terms, strikes);
    if (until_us <= ban->until_us)
        return; /* in force, and for longer */
    raise_last_until(t, until_us);
    number_change(spot, hit);
    ban->until_us = until_us;
    MEMORY_ORDER();
    ban->strikes = strikes;
    hit->record->changed_us = MAX_OF(now_us, hit->record->lifted_us + 1);
    if (!in_force)
        ban->since_us = now_us;
    text_set(ban->by, sizeof ban->by, terms->by);
    if (!in_force || terms->reason.len)
        text_set(ban->reason, sizeof ban->reason, terms->reason);
}

bool ban_add(struct ban_table *t, struct str entity, const struct ban_terms *terms, int64_t now_us, struct ban *ban)
{
    struct spot spot = spot_of(t, entity);
    struct ban_record fresh = {.ban = {.since_us = now_us, .strikes = 1}, .changed_us = now_us};
    if (!lock_spot(&spot, MEMORY_LOCK_WAIT_US))
        return false;
    struct hit hit = spot_find(&spot);
    if (hit.record) {
        bring_home(&hit.record->ban, now_us);
        renew(t, &spot, &hit, terms, now_us);
    } else {
        fresh.ban.until_us = now_us + lasts_us(terms, 1);
        text_set(fresh.ban.entity, sizeof fresh.ban.entity, clip(entity));
        text_set(fresh.ban.by, sizeof fresh.ban.by, terms->by);
        text_set(fresh.ban.reason, sizeof fresh.ban.reason, terms->reason);
        raise_last_until(t, fresh.ban.until_us);
        spot_put(&spot, &fresh, next_number(&spot), now_us);
    }
    spot.shard->made++;
    if (ban)
        *ban = hit.record ? hit.record->ban : fresh.ban;
    memory_lock_drop(&spot.shard->lock);
    return true;
}

bool ban_find(struct ban_table *t, struct str entity, int64_t now_us, struct ban *ban)
{
    if (__atomic_load_n(&t->last_until_us, __ATOMIC_ACQUIRE) <= now_us)
        return false;
    struct spot spot = spot_of(t, entity);
    if (!lock_spot(&spot, FIND_WAIT_US))
        return false;
    struct hit hit = spot_find(&spot);
    if (hit.record)
        bring_home(&hit.record->ban, now_us);
    bool in_force = hit.record && hit.record->ban.until_us > now_us;
    if (in_force && ban)
        *ban = hit.record->ban;
    memory_lock_drop(&spot.shard->lock);
    return in_force;
}

/* What a record says that was lifted: over, and the first strike is the next one. */
static void record_lift(struct ban_record *record, int64_t at_us)
{
    record->lifted_us =
        MAX_OF(at_us, record->changed_us); /* it was there when it was lifted, whatever the clock says */
    MEMORY_ORDER();
    record->ban.until_us = MIN_OF(record->ban.until_us, at_us);
    record->ban.strikes = 0;
}

bool ban_lift(struct ban_table *t, struct str entity, int64_t now_us)
{
    struct spot spot = spot_of(t, entity);
    if (!lock_spot(&spot, MEMORY_LOCK_WAIT_US))
        return false;
    struct hit hit = spot_find(&spot);
    bool was_in_force = hit.record && hit.record->ban.until_us > now_us;
    if (hit.record) {
        number_change(&spot, &hit);
        record_lift(hit.record, now_us);
    }
    memory_lock_drop(&spot.shard->lock);
    return was_in_force;
}

/* ---- what others know ---- */

static bool is_of_force(const struct ban_record *record)
{
    return record->ban.strikes > 0 && record->changed_us > record->lifted_us;
}

void ban_record_merge(struct ban_record *mine, const struct ban_record *other)
{
    int64_t lifted_us = MAX_OF(mine->lifted_us, other->lifted_us);
    struct ban_record a = *mine, b = *other;
    a.lifted_us = b.lifted_us = lifted_us;
    if (is_of_force(&b) && (!is_of_force(&a) || b.ban.until_us > a.ban.until_us)) {
        struct ban_record swap = a;
        a = b;
        b = swap;
    }
    if (is_of_force(&a) && is_of_force(&b)) {
        a.ban.strikes = MAX_OF(a.ban.strikes, b.ban.strikes);
        a.changed_us = MAX_OF(a.changed_us, b.changed_us);
    } else if (!is_of_force(&a)) {
        record_lift(&a, lifted_us);
    }
    *mine = a;
}

bool ban_record_says_more(const struct ban_record *record, const struct ban_record *than)
{
    struct ban_record both = *than;
    ban_record_merge(&both, record);
    return both.lifted_us > than->lifted_us + SAME_US || is_of_force(&both) != is_of_force(than) ||
           (is_of_force(&both) &&
            (both.ban.until_us > than->ban.until_us + SAME_US || both.ban.strikes > than->ban.strikes));
}

/* Merges into the table; number: of what gets a place, or the change of one that has it. */
static bool record_put(struct ban_table *t, const struct ban_record *record, bool is_change, int64_t now_us)
{
    struct spot spot = spot_of(t, str_of_z(record->ban.entity));
    if (!lock_spot(&spot, MEMORY_LOCK_WAIT_US))
        return false;
    struct hit hit = spot_find(&spot);
    if (!hit.record) {
        raise_last_until(t, record->ban.until_us);
        spot_put(&spot, record, is_change ? next_number(&spot) : NUMBER_PUT, now_us);
        memory_lock_drop(&spot.shard->lock);
        return true;
    }
    struct ban_record merged = *hit.record;
    ban_record_merge(&merged, record);
    raise_last_until(t, merged.ban.until_us);
    if (is_change)
        number_change(&spot, &hit);
    hit.record->ban.until_us = merged.ban.until_us;
    MEMORY_ORDER();
    *hit.record = merged;
    memory_lock_drop(&spot.shard->lock);
    return true;
}

bool ban_put(struct ban_table *t, const struct ban *ban)
{
    struct ban_record record = {.ban = *ban, .changed_us = ban->since_us};
    return record_put(t, &record, true, ban->since_us);
}

bool ban_record_put(struct ban_table *t, const struct ban_record *record, int64_t now_us)
{
    struct ban_record clean = *record;
    text_set(clean.ban.entity, sizeof clean.ban.entity, str_of_z(record->ban.entity));
    text_set(clean.ban.by, sizeof clean.ban.by, str_of_z(record->ban.by));
    text_set(clean.ban.reason, sizeof clean.ban.reason, str_of_z(record->ban.reason));
    return record_put(t, &clean, false, now_us);
}

bool ban_record_find(struct ban_table *t, struct str entity, struct ban_record *record)
{
    struct spot spot = spot_of(t, entity);
    if (!lock_spot(&spot, MEMORY_LOCK_WAIT_US))
        return false;
    struct hit hit = spot_find(&spot);
    if (hit.record)
        *record = *hit.record;
    memory_lock_drop(&spot.shard->lock);
    return hit.record != NULL;
}

bool ban_has_changes(const struct ban_table *t, const struct ban_cursor *c)
{
    for (size_t i = 0; i < SHARDS; i++)
        if (__atomic_load_n(&t->shards[i].changes, __ATOMIC_ACQUIRE) != c->seen[i])
            return true;
    return false;
}

/* The first record of a shard's places from *at on whose number the cursor has not seen. */
static bool next_change_of_shard(struct ban_table *t, size_t shard, size_t end, struct ban_cursor *c,
                                 struct ban_record *record)
{
    for (; c->at < end; c->at++) {
        const struct set *set = &t->sets[c->at / WAYS];
        uint64_t number = set->number[c->at % WAYS];
        if (!set->id_lo[c->at % WAYS] || number <= c->seen[shard] || number > c->until)
            continue;
        *record = set->places[c->at % WAYS].record;
        c->at++;
        return true;
    }
    return false;
}

bool ban_change_next(struct ban_table *t, struct ban_cursor *c, struct ban_record *record)
{
    size_t per_shard = t->sets_per_shard * WAYS;
    while (c->at < per_shard * SHARDS) {
        size_t shard = c->at / per_shard, end = (shard + 1) * per_shard;
        int64_t wait_us = MEMORY_LOCK_WAIT_US;
        if (c->at == shard * per_shard)
            c->until = __atomic_load_n(&t->shards[shard].changes, __ATOMIC_ACQUIRE);
        if (c->until == c->seen[shard]) {
            c->at = end;
            continue;
        }
        if (!memory_lock_take(&t->shards[shard].lock, &wait_us)) {
            c->at = end; /* seen stays: the next walk's */
            continue;
        }
        bool found = next_change_of_shard(t, shard, end, c, record);
        memory_lock_drop(&t->shards[shard].lock);
        if (found)
            return true;
        c->seen[shard] = c->until;
    }
    c->at = 0;
    return false;
}

/* The first ban in force from place *at on, all in one shard; *at moves behind what was looked at. */
static bool next_of_shard(struct ban_table *t, size_t shard_end, size_t *at, int64_t now_us, struct ban *ban)
{
    for (; *at < shard_end; ++*at) {
        const struct set *set = &t->sets[*at / WAYS];
        const struct place *place = &set->places[*at % WAYS];
        if (!set->id_lo[*at % WAYS] || place->record.ban.until_us <= now_us)
            continue;
        *ban = place->record.ban;
        ++*at;
        return true;
    }
    return false;
}

bool ban_next(struct ban_table *t, size_t *at, int64_t now_us, struct ban *ban)
{
    size_t per_shard = t->sets_per_shard * WAYS;
    while (*at < per_shard * SHARDS) {
        size_t shard = *at / per_shard, end = (shard + 1) * per_shard;
        int64_t wait_us = MEMORY_LOCK_WAIT_US;
        if (!memory_lock_take(&t->shards[shard].lock, &wait_us)) {
            *at = end;
            continue;
        }
        bool found = next_of_shard(t, end, at, now_us, ban);
        memory_lock_drop(&t->shards[shard].lock);
        if (found)
            return true;
    }
    return false;
}

void ban_table_stats_get(struct ban_table *t, struct ban_table_stats *stats)
{
    *stats = (struct ban_table_stats){.places = t->sets_per_shard * WAYS * SHARDS};
    for (size_t i = 0; i < SHARDS; i++) {
        int64_t wait_us = MEMORY_LOCK_WAIT_US;
        bool locked = memory_lock_take(&t->shards[i].lock, &wait_us);
        stats->made += t->shards[i].made;
        stats->evicted += t->shards[i].evicted;
        stats->timeouts += memory_lock_timeouts(&t->shards[i].lock);
        if (locked)
            memory_lock_drop(&t->shards[i].lock);
    }
}
