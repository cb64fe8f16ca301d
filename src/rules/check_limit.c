/* check_limit.c - limits: keys, rates, thresholds (RULES.md "Limits", GRAMMAR.md 4 and 6). */
#include "rules/check_internal.h"
#include "rules/rate.h"

/* ---- its key ---- */

struct moment limit_moment(const struct checker *c, const struct limit_clause *l)
{
    if (l->unit == RULE_UNIT_CHARGES) {
        const struct definition *d = names_find(c, NAMES_RULES, l->name.text);
        return (struct moment){.phases = d ? d->charged_at : 0};
    }
    enum phase phase = unit_rows[l->unit].phase;
    return (struct moment){.phases = 1u << phase, .each_rcpt = phase == PHASE_DATA};
}

enum phase limit_key_phase(enum key key, enum phase first)
{
    /* while a login is tried, the user is the name that was given */
    return key == KEY_USER && first == PHASE_AUTH ? PHASE_AUTH : key_rows[key].phase;
}

static void check_keys(struct checker *c, const struct limit_clause *l)
{
    struct moment m = limit_moment(c, l);
    enum phase first = moment_first(m);
    for (size_t i = 0; i < l->key_count; i++) {
        enum key key = l->keys[i].key;
        const struct key_row *row = &key_rows[key];
        enum phase from = limit_key_phase(key, first);
        bool is_rcpt = key == KEY_RCPT || key == KEY_RCPT_DOMAIN;
        check_later(c, row->later, row->word, l->keys[i].at);
        if (from > first)
            (void)diag_error(c->d, l->keys[i].at,
                             "%s is not known at %s, where \"" PRI_STR "\" counts; it is known from %s on", row->word,
                             phase_rows[first].word, STR_ARG(l->name.text), phase_rows[from].word);
        else
            (void)check_known(c, str_of_z(row->word), l->keys[i].at, from, is_rcpt, m);
    }
}

/* ---- its rates ---- */

static bool is_rate_shape(const struct limit_clause *l, const struct value *v)
{
    if (l->unit == RULE_UNIT_OPEN_CONNECTIONS)
        return v->shape == SHAPE_NUMBER || v->shape == SHAPE_SIZE;
    return v->shape == SHAPE_RATE;
}

static void check_count(struct checker *c, const struct limit_clause *l, struct place at, struct place of_rate,
                        enum shape shape, int64_t count, struct str text)
{
    bool is_bytes = l->unit == RULE_UNIT_BYTES;
    int64_t min = is_bytes ? RATE_MIN_BYTES : 1, max = is_bytes ? RATE_MAX_BYTES : RATE_MAX_COUNT;
    if (shape == SHAPE_SIZE && !is_bytes)
        (void)diag_error(c->d, of_rate, "limit \"" PRI_STR "\" counts %s; " PRI_STR " is a size", STR_ARG(l->name.text),
                         unit_rows[l->unit].word, STR_ARG(text));
    else if (count < min || count > max)
        (void)diag_error(c->d, at, "limit \"" PRI_STR "\" must be from %s to %s, not " PRI_STR, STR_ARG(l->name.text),
                         is_bytes ? "1K" : "1", is_bytes ? "1024G" : "2147483647", STR_ARG(text));
}

static void check_open_count(struct checker *c, const struct limit_clause *l, const struct value *v)
{
    if (v->shape == SHAPE_NUMBER && v->number % NUMBER_ONE)
        (void)diag_error(c->d, v->at, "expected a whole number, found \"" PRI_STR "\"", STR_ARG(v->text));
    else
        check_count(c, l, v->at, v->at, v->shape, v->shape == SHAPE_SIZE ? v->bytes : v->number / NUMBER_ONE, v->text);
}

/* A rate, or of open-connections a number, whose letters are read already. */
static void check_rate(struct checker *c, const struct limit_clause *l, const struct value *v)
{
    if (l->unit == RULE_UNIT_OPEN_CONNECTIONS) {
        check_open_count(c, l, v);
        return;
    }
    const struct rate_part *count = &v->rate.count, *period = &v->rate.period;
    check_count(c, l, count->at, v->at, count->shape, count->number, rate_part_text(c, v, true));
    if (period->number < RATE_MIN_PERIOD_MS || period->number > RATE_MAX_PERIOD_MS)
        (void)diag_error(c->d, period->at, "period must be from 1s to 366d, not " PRI_STR,
                         STR_ARG(rate_part_text(c, v, false)));
}

static void check_rates(struct checker *c, struct limit_clause *l)
{
    for (size_t i = 0; i < l->rate_count; i++) {
        struct value *v = &l->rates[i];
        if (!check_value(c, v))
            continue;
        if (is_rate_shape(l, v))
            check_rate(c, l, v);
        else if (l->unit == RULE_UNIT_OPEN_CONNECTIONS)
            (void)diag_error(c->d, v->at, "%s takes a number", unit_rows[l->unit].word);
        else
            (void)diag_error(c->d, v->at, "limit \"" PRI_STR "\" needs a rate", STR_ARG(l->name.text));
    }
}

/* ---- overrides ---- */

/* Items of an inline map: rates, or `none`. */
static void check_overriding(struct checker *c, const struct limit_clause *l, const struct table *table)
{
    for (size_t i = 0; i < table->item_count; i++) {
        const struct values *values = &table->items[i].values;
        for (size_t k = 0; k < values->count; k++) {
            const struct value *v = &values->items[k];
            if (str_equal(v->text, STR("none")) && values->count == 1)
                continue;
            if (v->shape == SHAPE_PARAM ||
                (v->shape == SHAPE_RATE && v->rate.count.param.len + v->rate.period.param.len))
                continue; /* said, where the table is read */
            if (is_rate_shape(l, v))
                check_rate(c, l, v);
            else
                (void)diag_error(c->d, v->at, "\"" PRI_STR "\" is not %s", STR_ARG(v->text),
                                 l->unit == RULE_UNIT_OPEN_CONNECTIONS ? "a number" : "a rate");
        }
    }
}

static void check_overrides(struct checker *c, struct limit_clause *l)
{
    if (!l->overrides.text.len)
        return;
    check_part(c, PART_OVERRIDES, l->overrides_at);
    if (l->key_count != 1)
        (void)diag_error(c->d, l->overrides.at, "overrides needs a limit with one key");
    struct definition *d = names_use(c, NAMES_TABLES, DEFINES_TABLE | DEFINES_DNSBL, "table or dnsbl", l->overrides);
    if (!d || d->is_broken)
        return;
    if (d->kind == DEFINES_DNSBL) {
        (void)diag_error(c->d, l->overrides.at, "overrides takes a map; \"" PRI_STR "\" is a dnsbl",
                         STR_ARG(l->overrides.text));
    } else if (d->table->type != TABLE_MAP) {
        const struct table_type_row *row = &table_type_rows[d->table->type];
        (void)diag_error(c->d, l->overrides.at, "overrides takes a map; \"" PRI_STR "\" is %s%s",
                         STR_ARG(l->overrides.text), row->pairs ? "a " : "a table of ", row->word);
    } else if (d->table->source == TABLE_REDIS || d->table->source == TABLE_SOCKETMAP) {
        (void)diag_error(c->d, l->overrides.at,
                         "overrides takes a map that stands in a file or here; \"" PRI_STR "\" is asked elsewhere",
                         STR_ARG(l->overrides.text));
    } else {
        l->overrides_table = d->table;
        if (d->table->source == TABLE_INLINE)
            check_overriding(c, l, d->table);
    }
}

/* ---- thresholds ---- */

static bool is_default(const struct threshold_clause *t)
{
    return t->percent.shape == SHAPE_PERCENT && t->percent.percent == 100 && t->actions.count == 1 &&
           t->actions.items[0].kind == ACTION_DEFER && t->actions.items[0].values.count == 0;
}

/* Those that came by $name; of literals the parser has said it. */
static void check_percent_once(struct checker *c, const struct limit_clause *l, size_t index)
{
    const struct value *percent = &l->thresholds[index].percent;
    for (size_t i = 0; i < index; i++)
        if (l->thresholds[i].percent.percent == percent->percent) {
            (void)diag_error(c->d, percent->at, PRI_STR " stands twice", STR_ARG(percent->text));
            return;
        }
}

static void check_thresholds(struct checker *c, struct limit_clause *l)
{
    struct moment m = limit_moment(c, l);
    m.each_rcpt = false; /* the count is one for all recipients */
    m.in_threshold = true;
    for (size_t i = 0; i < l->threshold_count; i++) {
        struct threshold_clause *t = &l->thresholds[i];
        if (check_value(c, &t->percent))
            check_percent_once(c, l, i);
        if (!is_default(t))
            check_part(c, PART_THRESHOLD, t->at);
        check_actions(c, &t->actions, m);
    }
}

/* ---- limits ---- */

void check_limit(struct checker *c, struct limit_clause *l)
{
    const struct unit_row *row = &unit_rows[l->unit];
    struct moment m = limit_moment(c, l);
    check_later(c, row->later, row->word, l->unit_at);
    check_keys(c, l);
    check_rates(c, l);
    check_overrides(c, l);
    check_thresholds(c, l);
    check_condition(c, l->if_cond, m);
    check_condition(c, l->unless_cond, m);
    if (place_is_known(l->observe_at))
        check_part(c, PART_OBSERVE, l->observe_at);
}
