/* thresholds.c - which limit refuses, and which thresholds act. See thresholds.h. */
#include "limits/thresholds.h"

#include "base/panic.h"

enum column thresholds_column(const struct reading *reading)
{
    return reading->limit->counts_for_itself ? COLUMN_ONE : limit_unit_column(reading->limit->unit);
}

/* Above it now, and not before. */
static bool is_newly_above(const struct reading *reading, uint64_t count)
{
    uint32_t growth = reading->take->growth[thresholds_column(reading)];
    return reading->used > count && reading->used - growth <= count;
}

/* A mail that alone exceeds what a threshold lets pass can never pass: a `defer` of it would last for ever. */
static bool is_permanent(const struct reading *reading, const struct threshold *t)
{
    return t->refusal == REFUSAL_DEFER && reading->cost > reading->allowed &&
           limit_unit_is_of_mail(reading->limit->unit);
}

static void name_refusal(struct reservation *r, const struct reading *reading)
{
    const struct threshold *t = limit_refusing_threshold(reading->limit);
    bool permanent = is_permanent(reading, t);
    if (r->refused_by && (r->permanent || !permanent))
        return; /* the first read, or the first that is permanent */
    r->refused_by = reading;
    r->refused_at = t;
    r->permanent = permanent;
}

/* The store refuses what a counter's strictest limit allows; of others that read the same counter, those that the count
 * is above as well. What an observed limit would refuse, no store was asked to. */
static bool refuses(const struct reading *reading, enum column column)
{
    const struct take *take = reading->take;
    bool is_above = reading->used > reading->allowed;
    if (reading->limit->observed)
        return is_above && reading->cost > 0;
    return take->is_over[column] && (is_above || reading->allowed == take->allowed[column]);
}

static void refuse_nothing(struct reservation *r)
{
    r->refused_by = NULL;
    r->refused_at = NULL;
    r->permanent = false;
}

bool thresholds_judge(struct reservation *r)
{
    refuse_nothing(r);
    int64_t wait_us = 0;
    for (size_t i = 0; i < r->reading_count; i++) {
        struct reading *reading = &r->readings[i];
        const struct take *take = reading->take;
        enum column column = thresholds_column(reading);
        reading->used = take->used[column];
        reading->refuses = refuses(reading, column);
        if (!reading->refuses || reading->limit->observed)
            continue;
        name_refusal(r, reading);
        if (take->wait_us != WAIT_UNKNOWN)
            wait_us = MAX_OF(wait_us, take->wait_us);
    }
    r->retry_after_ms = r->permanent ? 0 : (wait_us + 999) / 1000;
    return r->refused_by != NULL;
}

/* One threshold acts once for one entity, whichever of the limit's windows passed it. */
static void list(struct reservation *r, size_t reading_index, const struct threshold *t, bool newly)
{
    const struct reading *reading = &r->readings[reading_index];
    for (size_t i = r->passed_count; i-- > 0 && r->readings[r->passed[i].reading].charge == reading->charge;)
        if (r->passed[i].threshold == t) {
            r->passed[i].newly |= newly;
            return;
        }
    PANIC_IF(r->passed_count == r->passed_max, "more thresholds than the reservation was made for");
    r->passed[r->passed_count++] = (struct passed){
        .limit = reading->limit,
        .threshold = t,
        .reading = (uint32_t)reading_index,
        .newly = newly,
        .observed = reading->limit->observed,
    };
}

static void list_reading(struct reservation *r, size_t index, bool refusal_is_new)
{
    const struct reading *reading = &r->readings[index];
    const struct limit *limit = reading->limit;
    bool refused = r->verdict == VERDICT_REFUSED;
    bool is_refuser = refused && r->refused_by->charge == reading->charge;
    for (size_t i = 0; i < limit->threshold_count; i++) {
        const struct threshold *t = &limit->thresholds[i];
        uint64_t count = limit_threshold_count(t, &reading->rate);
        bool refuses = t->refusal != REFUSAL_NONE;
        if (reading->used <= count && !reading->refuses)
            break;
        if (reading->used <= count && !refuses)
            continue; /* the store decided alone, below the limit */
        if (refuses && !reading->refuses)
            break; /* above it for long, without this mail's help */
        if (refuses && !limit->observed && !is_refuser)
            break; /* another limit was named: this one did not speak */
        bool newly = is_newly_above(reading, count) || (refuses && is_refuser);
        if (refused)
            newly &= is_refuser && refusal_is_new; /* the others do not count this mail */
        if (newly || refused || !r->is_settling)
            list(r, index, t, newly);
        if (refuses)
            break;
    }
}

void thresholds_list(struct reservation *r, bool refusal_is_new)
{
    r->passed_count = 0;
    for (size_t i = 0; i < r->reading_count; i++)
        list_reading(r, i, refusal_is_new);
}

/* ---- Events ---- */

/* Does the threshold act on an event, or on MAIL while the count is above? */
static bool acts_on_event(const struct reading *reading, const struct threshold *t)
{
    uint64_t count = limit_threshold_count(t, &reading->rate);
    if (reading->used <= count)
        return false;
    if (t->refusal == REFUSAL_BAN)
        return is_newly_above(reading, count);
    return t->refusal != REFUSAL_NONE || reading->take->mode != TAKE_NOTHING;
}

/* The highest that refuses and acts: `at 200% disconnect` comes after `at 100% defer` when the count goes on rising. */
static const struct threshold *refusing_event(const struct reading *reading)
{
    for (size_t i = reading->limit->threshold_count; i-- > 0;) {
        const struct threshold *t = &reading->limit->thresholds[i];
        if (t->refusal != REFUSAL_NONE && acts_on_event(reading, t))
            return t;
    }
    return NULL;
}

bool thresholds_judge_event(struct reservation *r)
{
    refuse_nothing(r);
    int64_t wait_us = 0;
    for (size_t i = 0; i < r->reading_count; i++) {
        struct reading *reading = &r->readings[i];
        reading->used = reading->take->used[thresholds_column(reading)];
        const struct threshold *t = refusing_event(reading);
        reading->refuses = t != NULL;
        if (!t)
            continue;
        reading->allowed = limit_threshold_count(t, &reading->rate);
        if (reading->limit->observed)
            continue;
        if (!r->refused_by) {
            r->refused_by = reading;
            r->refused_at = t;
        }
        if (reading->take->wait_us != WAIT_UNKNOWN)
            wait_us = MAX_OF(wait_us, reading->take->wait_us);
    }
    r->retry_after_ms = (wait_us + 999) / 1000;
    return r->refused_by != NULL;
}

void thresholds_list_event(struct reservation *r)
{
    r->passed_count = 0;
    for (size_t i = 0; i < r->reading_count; i++) {
        const struct reading *reading = &r->readings[i];
        for (size_t k = 0; k < reading->limit->threshold_count; k++) {
            const struct threshold *t = &reading->limit->thresholds[k];
            if (acts_on_event(reading, t))
                list(r, i, t, is_newly_above(reading, limit_threshold_count(t, &reading->rate)));
        }
    }
}
