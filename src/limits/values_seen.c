/* values_seen.c - what Redis told of a counter of different values. See values_seen.h. */
#include "limits/values_seen.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/grow.h"
#include "limits/distinct.h"
#include "limits/memory_slots.h"

/* ---- texts ---- */

static void put_hex(char *to, uint64_t bits, size_t digits)
{
    static const char HEX[] = "0123456789abcdef";
    for (size_t i = 0; i < digits; i++)
        to[i] = HEX[bits >> (4 * (digits - 1 - i)) & 15];
}

static bool get_hex(const char *from, size_t digits, uint64_t *bits)
{
    *bits = 0;
    for (size_t i = 0; i < digits; i++) {
        char c = from[i];
        bool is_letter = c >= 'a' && c <= 'f';
        if (!is_letter && !ascii_is_digit(c))
            return false;
        *bits = *bits << 4 | (uint64_t)(is_letter ? c - 'a' + 10 : c - '0');
    }
    return true;
}

struct str value_text(const struct take_member *value, char *to)
{
    put_hex(to, value->lo, 16);
    put_hex(to + 16, value->hi, 8);
    return str_of(to, VALUE_TEXT_BYTES);
}

struct str hold_text(const struct take_member *value, uint64_t token, char *to)
{
    (void)value_text(value, to);
    put_hex(to + VALUE_TEXT_BYTES, token, 16);
    return str_of(to, HOLD_TEXT_BYTES);
}

bool hex_parse(struct str text, size_t digits, uint64_t *bits)
{
    return text.len == digits && get_hex(text.ptr, digits, bits);
}

bool value_parse(struct str text, struct take_member *value, uint64_t *token)
{
    uint64_t hi = 0;
    *token = 0;
    *value = (struct take_member){0};
    if (text.len != VALUE_TEXT_BYTES && text.len != HOLD_TEXT_BYTES)
        return false;
    bool is_one = get_hex(text.ptr, 16, &value->lo) && get_hex(text.ptr + 16, 8, &hi) &&
                  (text.len == VALUE_TEXT_BYTES || get_hex(text.ptr + VALUE_TEXT_BYTES, 16, token));
    value->hi = (uint32_t)hi;
    return is_one;
}

struct str score_text(int64_t us, char to[SCORE_TEXT_BYTES])
{
    int len = snprintf(to, SCORE_TEXT_BYTES, "%" PRId64, us);
    return str_of(to, (size_t)len);
}

/* Times are below 2^53, so that a score, which is a double, is exact. Redis writes whole numbers without exponent. */
bool score_parse(struct str text, int64_t *us)
{
    bool is_negative = text.len && text.ptr[0] == '-';
    uint64_t magnitude;
    if (!str_to_u64(str_from(text, is_negative), UINT64_C(1) << 53, &magnitude))
        return false;
    *us = is_negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

/* ---- times ---- */

int64_t seen_kept_from_us(uint32_t period_s, int64_t now_us)
{
    uint64_t slot = window_slot(now_us, period_s);
    return slot < WINDOW_SLOTS ? 0 : window_slot_start_us(slot - WINDOW_SLOTS, period_s);
}

int64_t seen_held_from_us(uint32_t period_s, int64_t now_us)
{
    return MAX_OF(seen_kept_from_us(period_s, now_us), now_us - HOLD_MAX_S * INT64_C(1000000));
}

/* ---- what was listed ---- */

bool seen_add(struct seen *s, const struct take_member *value, int64_t at_us, bool is_kept)
{
    if (!GROW(&s->values, s->count + 1, &s->max, 16))
        return false;
    s->values[s->count++] = (struct seen_value){*value, at_us, is_kept};
    return true;
}

void seen_fini(struct seen *s)
{
    free(s->values);
    *s = (struct seen){0};
}

static int compare_seen(const void *a, const void *b)
{
    const struct seen_value *x = a, *y = b;
    return distinct_compare(&x->value, &y->value);
}

/* Each value once, with the last of its times. */
static void unite(struct seen *s)
{
    size_t kept = 0;
    if (s->count > 1)
        qsort(s->values, s->count, sizeof *s->values, compare_seen);
    for (size_t i = 0; i < s->count; i++) {
        struct seen_value *last = kept ? &s->values[kept - 1] : NULL;
        if (last && distinct_compare(&last->value, &s->values[i].value) == 0) {
            last->at_us = MAX_OF(last->at_us, s->values[i].at_us);
            last->is_kept |= s->values[i].is_kept;
        } else {
            s->values[kept++] = s->values[i];
        }
    }
    s->count = kept;
}

static void ring_add(uint32_t ring[WINDOW_CELLS], uint64_t newest, uint64_t slot, uint64_t count)
{
    (void)window_add(ring, window_holds(newest, slot) ? slot : newest, (uint32_t)MIN_OF(count, UINT32_MAX));
}

/* Fills the ring with the values of others, and marks ours among what is listed. */
static void part_ours(struct seen *s, struct take_member *ours, size_t count, uint32_t period_s, uint64_t newest,
                      uint32_t ring[WINDOW_CELLS])
{
    uint64_t others_listed = 0, ours_kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct seen_value *v = &s->values[i];
        struct take_member *our = count ? bsearch(&v->value, ours, count, sizeof *ours, distinct_compare) : NULL;
        if (our) {
            /* Held by another: perhaps by one that will be refused, so it is no reason to let ours pass. Nor does it
             * count beside ours. */
            our->stamp |= v->is_kept ? OUR_KEPT : 0;
            continue;
        }
        others_listed += v->is_kept;
        ring_add(ring, newest, window_slot(v->at_us, period_s), 1);
    }
    for (size_t i = 0; i < count; i++)
        ours_kept += (ours[i].stamp & OUR_KEPT) != 0;
    s->others_kept = others_listed;
    if (!s->is_cut || s->kept_count <= ours_kept + others_listed)
        return;
    /* The youngest are not listed: they leave last. */
    ring_add(ring, newest, newest, s->kept_count - ours_kept - others_listed);
    s->others_kept = s->kept_count - ours_kept;
}

bool seen_judge(struct seen *s, struct take *take, struct take_member *ours, size_t count, int64_t now_us)
{
    uint32_t ring[WINDOW_CELLS] = {0};
    uint64_t slot = window_slot(now_us, take->counter.period_s), known = 0;
    unite(s);
    part_ours(s, ours, count, take->counter.period_s, slot, ring);
    for (size_t i = 0; i < count; i++)
        known += ours[i].stamp != 0;
    /* By the time it fits its own values may have left: all of them must find room beside the others. */
    if (take_answer_one(take, window_used(ring, slot, slot) + known, known))
        take->wait_us =
            memory_slots_wait(take, ring, slot, slot, take->cost[COLUMN_ONE], take->allowed[COLUMN_ONE], now_us);
    return take->wait_us == 0 || take->mode == TAKE_ALWAYS;
}
