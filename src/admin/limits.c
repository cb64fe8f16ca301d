/*
 * limits.c - `limits` and `reset`: every counter of somebody, and how it is forgotten.
 *
 * The answers are there at once with the embedded store, later with one behind a network; both ways end in the same
 * function.
 */
#include "admin/account.h"
#include "base/clock.h"
#include "base/log.h"
#include "stats/event.h"

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
    ok = ok && json_object_set_new(json, "full", json_boolean(row->is_full)) == 0;
    ok = ok && json_object_set_new(json, "frees_in", frees_json(row)) == 0;
    ok = ok && json_object_set_new(json, "store", row->store ? json_string(row->store) : json_null()) == 0;
    if (row->share_of)
        ok = ok && json_object_set_new(json, "share_of", json_integer(row->share_of)) == 0;
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

/* ---- limits ---- */

static json_t *ban_of(struct account *c)
{
    struct ban ban;
    struct str key;
    for (size_t i = 0; i < c->whom_count; i++)
        if (admin_find_ban(c->admin, &c->whoms[i], &c->arena, &ban, &key))
            return json_pack("{s:o, s:o, s:o, s:o}", "key", control_json_of(key), "by",
                             control_json_of(str_of_z(ban.by)), "reason", control_json_of(str_of_z(ban.reason)),
                             "until", control_json_of_time(ban.until_us - clock_steady_us() + clock_wall_us()));
    return json_null();
}

static void answer_limits(struct account *c)
{
    account_answer(c,
                   json_pack("{s:o, s:o, s:o, s:o, s:o}", "keys", whoms_json(c), "limits", rows_json(c, false), "joint",
                             control_json_of(c->joint), "ban", ban_of(c), "counted", account_counted_json(c)));
}

void admin_limits(void *arg, struct control_ask *ask)
{
    struct account *c = account_new(arg, ask, STR_NONE);
    if (c && account_read(c, answer_limits) == DONE)
        answer_limits(c);
}

/* ---- reset ---- */

static struct str who(const struct account *c)
{
    struct str name = control_text(c->ask, "who");
    return name.len ? name : STR("root");
}

/* One for each key of which something was to be forgotten. */
static void write_events(const struct account *c)
{
    struct event_log *log = c->admin->events;
    struct str only = control_text(c->ask, "limit");
    for (size_t i = 0; i < c->row_count; i++) {
        bool is_first = account_can_be_forgotten(&c->rows[i]);
        for (size_t k = 0; k < i && is_first; k++)
            is_first = !account_can_be_forgotten(&c->rows[k]) || !str_equal(c->rows[k].key, c->rows[i].key);
        if (!is_first)
            continue;
        event_begin(log, "reset", clock_wall_us());
        event_str(log, "by", who(c));
        event_str(log, "key", c->rows[i].key);
        event_str(log, "limit", only);
        event_z(log, "result", c->has_failed ? "partly" : "ok");
        event_end(log);
    }
}

/* What this node knew is forgotten in any case; mails are decided by that until Redis is back. */
static void refuse_reset(struct account *c)
{
    struct err err = {0};
    if (c->admin->redis) {
        err_set(&err, "not all of it is forgotten: Redis is away, or did not answer in time");
        err_set_hint(&err, "this node has forgotten it, and decides by that while Redis is away; the other nodes have "
                           "not, and the counts in Redis hold again when it is back: give the command again then");
    } else {
        err_set(&err, "not all of it is forgotten: the store of limits did not answer; give the command again");
    }
    account_refuse(c, &err, true);
}

static void answer_reset(struct account *c)
{
    write_events(c);
    if (c->has_failed)
        refuse_reset(c);
    else
        account_answer(c, json_pack("{s:o, s:o, s:o}", "keys", whoms_json(c), "forgotten", rows_json(c, true),
                                    "counted", account_counted_json(c)));
}

/* What is about to be forgotten is known, if the store is there. */
static void forget(struct account *c)
{
    struct str only = control_text(c->ask, "limit");
    log_info("counts of " PRI_STR " are forgotten%s" PRI_STR ", by command of " PRI_STR, STR_ARG(c->whoms[0].text),
             only.len ? ", those of limit " : "", STR_ARG(only), STR_ARG(who(c)));
    if (account_forget(c, answer_reset) == DONE)
        answer_reset(c);
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
    struct str only = control_text(ask, "limit");
    struct account *c = account_new(arg, ask, only);
    struct err err = {0};
    if (!c)
        return;
    if (!has_something_to_forget(c, only, &err))
        account_refuse(c, &err, false);
    else if (account_read(c, forget) == DONE)
        forget(c);
}
