/* rate.c - rates in tables. See rate.h. */
#include "rules/rate.h"

#include "rules/shape.h"

static bool is_in_range(enum unit unit, const struct value *v)
{
    const struct rate_part *count = &v->rate.count, *period = &v->rate.period;
    if (unit == RULE_UNIT_OPEN_CONNECTIONS)
        return v->number >= NUMBER_ONE && v->number / NUMBER_ONE <= RATE_MAX_COUNT;
    if (period->number < RATE_MIN_PERIOD_MS || period->number > RATE_MAX_PERIOD_MS)
        return false;
    if (unit == RULE_UNIT_BYTES)
        return count->number >= RATE_MIN_BYTES && count->number <= RATE_MAX_BYTES;
    return count->number >= 1 && count->number <= RATE_MAX_COUNT;
}

/* In a table nothing stands for something else, and only bytes have sizes. */
static bool is_plain(enum unit unit, const struct value *v)
{
    if (unit == RULE_UNIT_OPEN_CONNECTIONS)
        return v->number % NUMBER_ONE == 0;
    return !v->rate.count.param.len && !v->rate.period.param.len &&
           (unit == RULE_UNIT_BYTES || v->rate.count.shape == SHAPE_NUMBER);
}

bool rate_read(enum unit unit, struct str text, struct value *v, struct err *err)
{
    bool is_open = unit == RULE_UNIT_OPEN_CONNECTIONS;
    struct err ignored;
    *v = (struct value){.shape = SHAPE_NONE};
    if (shape_read(is_open ? SHAPE_NUMBER : SHAPE_RATE, text, NULL, v, &ignored) != SHAPE_FITS || !is_plain(unit, v))
        return err_set(err, "\"" PRI_STR "\" is not %s of %s", STR_ARG(text), is_open ? "a number" : "a rate",
                       unit_rows[unit].word);
    return is_in_range(unit, v) || err_set(err, "\"" PRI_STR "\" is more or less than a limit of %s may be",
                                           STR_ARG(text), unit_rows[unit].word);
}

bool rate_fits(unsigned units, struct str text, struct err *err)
{
    struct value v;
    for (unsigned unit = 0; unit < RULE_UNIT_COUNT; unit++)
        if (units >> unit & 1 && !str_equal(text, STR("none")) && !rate_read((enum unit)unit, text, &v, err))
            return false;
    return true;
}
