/* memory_distinct.c - counters of different values. See memory_distinct.h. */
#include "limits/memory_distinct.h"

#include <string.h>

#include "limits/memory_slots.h"

/* The slot in which it counts. */
static uint64_t slot_of(const struct member_record *r, uint32_t period_s)
{
    return window_slot(r->expires_us, period_s) - WINDOW_CELLS;
}

static int64_t expiry_of(uint64_t slot, uint32_t period_s)
{
    return window_slot_start_us(slot + WINDOW_CELLS, period_s);
}

/* Is the value among those that the entry counts at `slot`? */
static bool is_counted(const struct member_record *r, const struct table_entry *e, uint64_t slot)
{
    return r && e && r->generation == e->generation && window_holds(slot, slot_of(r, e->period_s));
}

static bool is_held(const struct take_member *member, const struct member_record *r)
{
    return r && member->stamp && r->stamp == member->stamp;
}

bool memory_distinct_look(struct table *t, struct members *m, struct take *take, struct table_entry *e, int64_t now_us)
{
    uint64_t slot = memory_slots_at(t, &take->counter, e, now_us), newest = e ? e->newest : slot;
    uint32_t others[WINDOW_CELLS] = {0};
    if (e)
        memcpy(others, e->rings[COLUMN_ONE], sizeof others);
    uint64_t used = window_used(others, newest, slot), known = 0;
    for (size_t i = 0; i < take->member_count; i++) {
        const struct member_record *r = members_find(m, &take->members[i]);
        if (!is_counted(r, e, slot))
            continue;
        window_take_back(others, slot_of(r, take->counter.period_s), 1);
        known++;
    }
    /* By the time it fits its own values may have left: all of them must find room beside the others. */
    if (take_answer_one(take, used, MIN_OF(known, used)))
        take->wait_us =
            memory_slots_wait(take, others, newest, slot, take->cost[COLUMN_ONE], take->allowed[COLUMN_ONE], now_us);
    return take->wait_us == 0 || take->mode == TAKE_ALWAYS;
}

/* Moves a counted value's one to a later slot. */
static void move_up(struct table_entry *e, struct member_record *r, uint64_t slot)
{
    uint64_t from = slot_of(r, e->period_s);
    if (from >= slot)
        return;
    (void)window_add(e->rings[COLUMN_ONE], slot, 1);
    MEMORY_ORDER();
    r->expires_us = expiry_of(slot, e->period_s);
    MEMORY_ORDER(); /* this order: killed in between, it was kept later than it was, not earlier */
    if (r->kept_age != MEMBER_NOT_KEPT)
        r->kept_age =
            r->kept_age + (slot - from) > WINDOW_SLOTS ? MEMBER_NOT_KEPT : (uint8_t)(r->kept_age + slot - from);
    MEMORY_ORDER();
    window_take_back(e->rings[COLUMN_ONE], from, 1);
}

/* The value counts at slot from now on; its record, made anew (with one holder) where it did not count. */
static struct member_record *count(struct members *m, struct table_entry *e, const struct take_member *member,
                                   uint64_t slot, int64_t now_us, bool *is_new)
{
    struct member_record *r = members_find(m, member);
    *is_new = !is_counted(r, e, slot);
    if (!*is_new) {
        move_up(e, r, slot);
        return r;
    }
    (void)window_add(e->rings[COLUMN_ONE], slot, 1);
    MEMORY_ORDER();
    return members_make(m, member,
                        &(struct member_record){
                            .expires_us = expiry_of(slot, e->period_s),
                            .generation = e->generation,
                            .holds = 1,
                            .kept_age = MEMBER_NOT_KEPT,
                        },
                        now_us);
}

void memory_distinct_charge(struct table *t, struct members *m, struct take *take, int64_t now_us)
{
    uint64_t slot;
    struct table_entry *e = memory_slots_open(t, &take->counter, take->place, now_us, &slot);
    for (size_t i = 0; i < take->member_count; i++) {
        struct take_member *member = &take->members[i];
        bool is_new;
        struct member_record *r = count(m, e, member, slot, now_us, &is_new);
        if (!is_new && !is_held(member, r))
            r->holds = (uint16_t)MIN_OF(r->holds + 1, UINT16_MAX);
        member->stamp = r->stamp;
    }
    take->held.cost[COLUMN_ONE] = take->cost[COLUMN_ONE];
    take->held.slot = slot;
    take->held.generation = e->generation;
    take->held.is_held = true;
}

void memory_distinct_keep(struct table *t, struct members *m, struct take *take, int64_t now_us)
{
    uint64_t slot;
    struct table_entry *e = memory_slots_open(t, &take->counter, NULL, now_us, &slot);
    for (size_t i = 0; i < take->member_count; i++) {
        struct take_member *member = &take->members[i];
        bool was_held = is_held(member, members_find(m, member)), is_new;
        struct member_record *r = count(m, e, member, slot, now_us, &is_new);
        r->kept_age = 0;
        MEMORY_ORDER();
        if (was_held || is_new)
            r->holds = (uint16_t)MAX_OF(r->holds - 1, 0);
        member->stamp = 0;
    }
}

/* Nobody holds it any more: back to where it was kept, or away. */
static void let_go(struct members *m, struct table_entry *e, const struct take_member *member, struct member_record *r)
{
    uint64_t from = slot_of(r, e->period_s), kept = from - r->kept_age;
    uint32_t *ring = e->rings[COLUMN_ONE];
    if (r->kept_age == 0)
        return;
    if (r->kept_age == MEMBER_NOT_KEPT || !window_holds(e->newest, kept)) {
        members_remove(m, member);
    } else {
        (void)window_add(ring, kept, 1);
        MEMORY_ORDER();
        r->kept_age = 0;
        MEMORY_ORDER();
        r->expires_us = expiry_of(kept, e->period_s);
    }
    MEMORY_ORDER();
    window_take_back(ring, from, 1);
}

void memory_distinct_give_back(struct table *t, struct members *m, struct take *take)
{
    struct table_entry *e = table_find(t, take->counter.id);
    for (size_t i = 0; i < take->member_count; i++) {
        struct take_member *member = &take->members[i];
        struct member_record *r = members_find(m, member);
        if (is_held(member, r) && e && is_counted(r, e, e->newest)) {
            r->holds = (uint16_t)MAX_OF(r->holds - 1, 0);
            MEMORY_ORDER();
            if (r->holds == 0)
                let_go(m, e, member, r);
        }
        member->stamp = 0;
    }
}

bool memory_known_look(struct members *m, struct take *take, int64_t now_us)
{
    uint32_t known = 0;
    for (size_t i = 0; i < take->member_count; i++) {
        const struct member_record *r = members_find(m, &take->members[i]);
        known += r && r->expires_us > now_us;
    }
    take_answer_known(take, known);
    return true;
}

void memory_known_charge(struct members *m, struct take *take, int64_t now_us)
{
    int64_t expires_us = now_us + (int64_t)take->counter.period_s * 1000000;
    for (size_t i = 0; i < take->member_count; i++) {
        struct member_record *r = members_find(m, &take->members[i]);
        if (r)
            r->expires_us = expires_us;
        else
            (void)members_make(m, &take->members[i], &(struct member_record){.expires_us = expires_us}, now_us);
    }
}
