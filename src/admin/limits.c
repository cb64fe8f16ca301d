/*
 * limits.c - `limits` and `reset`: every counter of somebody, and how it is forgotten.
 *
 * The answers are there at once with the embedded store, later with one behind a network; both ways end in the same
 * function.
 */
#include "admin/account.h"
#include "base/clock.h"
#include "base/log.h"

#define SECOND_US INT64_C(1000000)

/* ---- a row ---- */

/* In bytes, where that is the unit: limits count KiB. */
static json_t *count_json(const struct account_row *row, uint64_t count)
{
    uint64_t scaled = row->limit->limit.unit == UNIT_BYTES ? count * 1024 : count;
    return json_integer((json_int_t)scaled);
}

static json_t *frees_json(const struct account_row *row)
{
    if (!row->is_known || !row->used || row->frees_us == WAIT_UNKNOWN)
        return json_null();
    return json_integer((json_int_t)((row->frees_us + SECOND_US - 1) / SECOND_US));
}

/* Until when an operator's rates hold, by whom they are, and why. False: no memory. */
static bool add_allowance(json_t *json, struct allowance_table *table, const struct account_row *row)
{
    int64_t now_us = clock_steady_us();
    struct allowance found;
    for (size_t at = 0; allowance_next(table, &at, now_us, &found);)
        if (str_equal(str_of_z(found.entity), row->entity) && str_equal(str_of_z(found.limit), row->limit->limit.name))
            return json_object_set_new(json, "until",
                                       control_json_of_time(found.until_us - now_us + clock_wall_us())) == 0 &&
                   json_object_set_new(json, "by", control_json_of(str_of_z(found.by))) == 0 &&
                   json_object_set_new(json, "why", control_json_of(str_of_z(found.why))) == 0;
    return true; /* it has just ended */
}

static json_t *row_json(const struct account *c, const struct account_row *row)
{
    static const char *const SOURCES[] = {"limit", "table", "operator"};
    const struct limit *limit = &row->limit->limit;
    struct str unit = limit_unit_name(limit->unit);
    json_t *json =
        json_pack("{s:o, s:o, s:o, s:I}", "name", control_json_of(limit->name), "key", control_json_of(row->key),
                  "unit", control_json_of(unit), "period", (json_int_t)row->rate.period_s);
    bool ok = json != NULL;
    ok = ok && json_object_set_new(json, "limit", row->is_unlimited ? json_null() : count_json(row, row->allowed)) == 0;
    ok = ok && json_object_set_new(json, "used", row->is_known ? count_json(row, row->used) : json_null()) == 0;
    ok = ok && json_object_set_new(json, "full", json_boolean(row->is_known && row->used >= row->allowed)) == 0;
    ok = ok && json_object_set_new(json, "frees_in", frees_json(row)) == 0;
    ok = ok && json_object_set_new(json, "observed", json_boolean(limit->observed)) == 0;
    ok = ok && json_object_set_new(json, "rate_of", json_string(SOURCES[row->source])) == 0;
    if (row->source == RATE_OF_OPERATOR)
        ok = ok && add_allowance(json, c->admin->allowances, row);
    if (ok)
        return json;
    json_decref(json);
    return NULL;
}

static json_t *rows_json(const struct account *c, bool only_forgotten)
{
    json_t *array = json_array();
    for (size_t i = 0; i < c->row_count && array; i++) {
        if (only_forgotten && !account_can_be_forgotten(&c->rows[i]))
            continue;
        if (json_array_append_new(array, row_json(c, &c->rows[i])) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

static json_t *whoms_json(const struct account *c)
{
    json_t *array = json_array();
    for (size_t i = 0; i < c->whom_count && array; i++)
        if (json_array_append_new(array, control_json_of(c->whoms[i].text)) != 0) {
            json_decref(array);
            array = NULL;
        }
    return array;
}

/* ---- both ---- */

static void cancel(struct control_ask *ask)
{
    struct account *c = ask->state;
    account_free(&c);
}

/* NULL: refused. */
static struct account *begin(struct admin *a, struct control_ask *ask, struct str only)
{
    struct err err = {0};
    struct str key;
    if (!control_need_text(ask, "key", &key))
        return NULL;
    struct account *c = account_new(a, key, only, &err);
    if (!c) {
        control_refuse(ask, &err, false);
        return NULL;
    }
    ask->state = c;
    ask->on_cancel = cancel;
    return c;
}

static void answer(struct account *c, struct control_ask *ask, json_t *json)
{
    ask->on_cancel = NULL;
    control_answer(ask, json);
    account_free(&c);
}

/* ---- limits ---- */

static json_t *ban_of(const struct account *c)
{
    struct ban ban;
    int64_t now_us = clock_steady_us();
    for (size_t i = 0; i < c->whom_count; i++)
        if (ban_find(c->admin->bans, c->whoms[i].entity, now_us, &ban))
            return json_pack("{s:o, s:o, s:o, s:o}", "key", control_json_of(c->whoms[i].text), "by",
                             control_json_of(str_of_z(ban.by)), "reason", control_json_of(str_of_z(ban.reason)),
                             "until", control_json_of_time(ban.until_us - now_us + clock_wall_us()));
    return json_null();
}

static void answer_limits(struct account *c)
{
    struct control_ask *ask = c->arg;
    answer(c, ask,
           json_pack("{s:o, s:o, s:o, s:o}", "keys", whoms_json(c), "limits", rows_json(c, false), "joint",
                     control_json_of(c->joint), "ban", ban_of(c)));
}

void admin_limits(void *arg, struct control_ask *ask)
{
    struct account *c = begin(arg, ask, STR_NONE);
    if (c && account_read(c, answer_limits, ask) == DONE)
        answer_limits(c);
}

/* ---- reset ---- */

static void answer_reset(struct account *c)
{
    struct control_ask *ask = c->arg;
    struct err err = {0};
    if (!c->has_failed) {
        answer(c, ask, json_pack("{s:o, s:o}", "keys", whoms_json(c), "forgotten", rows_json(c, true)));
        return;
    }
    ask->on_cancel = NULL;
    err_set(&err, "the store of limits is away: not all of it is forgotten");
    control_refuse(ask, &err, true);
    account_free(&c);
}

static bool has_something_to_forget(const struct account *c, struct str only, struct err *err)
{
    for (size_t i = 0; i < c->row_count; i++)
        if (account_can_be_forgotten(&c->rows[i]))
            return true;
    if (c->row_count && c->rows[0].is_unlimited)
        return err_set(err, PRI_STR " is without limit there: nothing is counted", STR_ARG(c->rows[0].key));
    if (c->row_count)
        return err_set(err, "open connections are counted while they are open: there is nothing to forget");
    if (only.len)
        return err_set(err, "limit \"" PRI_STR "\" does not count " PRI_STR, STR_ARG(only), STR_ARG(c->whoms[0].text));
    return err_set(err, "no limit counts " PRI_STR, STR_ARG(c->whoms[0].text));
}

void admin_reset(void *arg, struct control_ask *ask)
{
    struct str only = control_text(ask, "limit"), who = control_text(ask, "who");
    struct account *c = begin(arg, ask, only);
    struct err err = {0};
    if (!c)
        return;
    if (!has_something_to_forget(c, only, &err)) {
        ask->on_cancel = NULL;
        account_free(&c);
        control_refuse(ask, &err, false);
        return;
    }
    log_info("counts of " PRI_STR " are forgotten%s" PRI_STR ", by command of " PRI_STR, STR_ARG(c->whoms[0].text),
             only.len ? ", those of limit " : "", STR_ARG(only), STR_ARG(who.len ? who : STR("root")));
    if (account_forget(c, answer_reset, ask) == DONE)
        answer_reset(c);
}
