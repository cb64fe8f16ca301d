/*
 * allow.c - `allow` and `allowances`: other rates for somebody, for a while (limits/allowance.h), and who has some.
 * They hold from the next mail on, on this node at once and on the others of a cluster within seconds, and end by
 * themselves.
 */
#include <stdlib.h>

#include "admin/account.h"
#include "base/clock.h"
#include "base/grow.h"
#include "base/log.h"
#include "policy/charges.h"
#include "rules/rate.h"
#include "rules/shape.h"
#include "stats/event.h"

enum { SCRATCH_MAX_BYTES = 4096 };

#define SECOND_US  INT64_C(1000000)
#define DEFAULT_S  INT64_C(86400)
#define LONGEST_S  (INT64_C(366) * 86400)
#define TAKEN_BACK STR("default")

/* Of all that a bare key may mean the limit counts one. */
static bool set_whom(const struct account *c, struct str limit, struct allowance *to, struct err *err)
{
    if (c->row_count == 0)
        return err_set(err, "limit \"" PRI_STR "\" does not count " PRI_STR, STR_ARG(limit), STR_ARG(c->whoms[0].text));
    struct str entity = c->rows[0].entity;
    if (entity.len > ALLOWANCE_ENTITY_MAX_BYTES || limit.len > ALLOWANCE_LIMIT_MAX_BYTES)
        return err_set(err, "its name is too long: give it a rate in a table, with `overrides`");
    str_copy_into(to->entity, sizeof to->entity, entity);
    str_copy_into(to->limit, sizeof to->limit, limit);
    return true;
}

static bool add_rate(const struct policy_limit *l, struct str text, struct allowance *to, struct err *err)
{
    struct value v;
    if (!rate_read(l->unit, text, &v, err))
        return false;
    if (to->rate_count == ALLOWANCE_RATES_MAX)
        return err_set(err, "more than %d rates", ALLOWANCE_RATES_MAX);
    to->rates[to->rate_count++] = policy_rate_of(l->limit.unit, &v);
    return true;
}

/* "5000/1h", "5000/1h, 20000/1d", "none". */
static bool set_rates(const struct policy_limit *l, struct str text, struct allowance *to, struct err *err)
{
    if (str_equal(text, STR("none")))
        return true; /* no rate at all */
    do {
        struct str rest, one = str_trim(str_split(text, ',', &rest));
        if (!add_rate(l, one, to, err))
            return err_set_hint(err, "such as 5000/1h, or 5000/1h,20000/1d; none: without limit; default: the "
                                     "limit's own again");
        text = rest;
    } while (text.ptr);
    return true;
}

static bool set_time(struct str lasts, int64_t now_us, struct allowance *to, struct err *err)
{
    struct value v = {.shape = SHAPE_NONE};
    struct err ignored;
    int64_t seconds = DEFAULT_S;
    if (lasts.len) {
        if (shape_read(SHAPE_DURATION, lasts, NULL, &v, &ignored) != SHAPE_FITS || v.ms < 1000 ||
            v.ms / 1000 > LONGEST_S)
            return err_set(err, "\"" PRI_STR "\" is no duration from 1s to 366d, such as 2h or 7d", STR_ARG(lasts));
        seconds = v.ms / 1000;
    }
    to->since_us = to->changed_us = now_us;
    to->until_us = now_us + seconds * SECOND_US;
    return true;
}

/* As they travel to other nodes, which take no others (limits/allowance_sync.c). */
static bool set_words(const struct control_ask *ask, struct allowance *to, struct err *err)
{
    struct str who = control_text(ask, "who"), why = control_text(ask, "why");
    if (str_has_control(why))
        return err_set(err, "why it is allowed is one line of text, without tabs and other control characters");
    if (str_has_control(who) || str_find(who, '|') < who.len)
        return err_set(err, "who allows it is a name, without control characters and |");
    str_copy_into(to->by, sizeof to->by, who.len ? who : STR("root"));
    str_copy_into(to->why, sizeof to->why, why);
    return true;
}

/* ---- the answer ---- */

/* l: NULL, if there is no such limit any more. */
static json_t *rates_json(const struct policy_limit *l, const struct allowance *allowance)
{
    json_t *array = json_array();
    for (size_t i = 0; i < allowance->rate_count && array; i++) {
        const struct rate *rate = &allowance->rates[i];
        json_int_t scale = l && l->limit.unit == UNIT_BYTES ? 1024 : 1;
        if (json_array_append_new(array, json_pack("{s:I, s:I}", "limit", (json_int_t)rate->count * scale, "period",
                                                   (json_int_t)rate->period_s)) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

/* Allowances go by a clock that nobody sets (base/clock.h); people have another. */
static int64_t wall_us(int64_t us, int64_t now_us)
{
    return us - now_us + clock_wall_us();
}

static void write_event(const struct account *c, const struct allowance *what, struct str rate, bool is_over)
{
    struct event_log *log = c->admin->events;
    event_begin(log, "allow", clock_wall_us());
    event_z(log, "by", what->by);
    event_str(log, "key", c->rows[0].key);
    event_z(log, "limit", what->limit);
    event_str(log, "rate", rate);
    if (!is_over)
        event_time(log, "until", wall_us(what->until_us, what->since_us));
    event_z(log, "why", what->why[0] ? what->why : NULL);
    event_end(log);
}

static void allow(struct account *c, const struct allowance *to, struct str rate)
{
    int64_t lasts_us = to->until_us - to->since_us;
    log_info(PRI_STR " has rates of its own at limit %s for %lld s, by command of %s%s%s", STR_ARG(c->rows[0].key),
             to->limit, (long long)(lasts_us / SECOND_US), to->by, to->why[0] ? ": " : "", to->why);
    write_event(c, to, rate, false);
    c->answer =
        json_pack("{s:o, s:s, s:o, s:o, s:I, s:b}", "key", control_json_of(c->rows[0].key), "limit", to->limit, "rates",
                  rates_json(c->rows[0].limit, to), "until", control_json_of_time(wall_us(to->until_us, to->since_us)),
                  "lasts", (json_int_t)(lasts_us / SECOND_US), "waits_for_redis", admin_waits_for_redis(c->admin));
}

static void take_back(struct account *c, const struct allowance *what)
{
    log_info(PRI_STR " has no rates of its own at limit %s any more, by command of %s", STR_ARG(c->rows[0].key),
             what->limit, what->by);
    write_event(c, what, TAKEN_BACK, true);
    c->answer = json_pack("{s:o, s:s, s:b, s:b}", "key", control_json_of(c->rows[0].key), "limit", what->limit,
                          "taken_back", 1, "waits_for_redis", admin_waits_for_redis(c->admin));
}

/* What was counted so far is the last thing to be said. */
static void answer(struct account *c)
{
    json_t *json = json_incref(c->answer);
    if (json && json_object_set_new(json, "counted", account_counted_json(c)) != 0) {
        json_decref(json);
        json = NULL;
    }
    account_answer(c, json);
}

void admin_allow(void *arg, struct control_ask *ask)
{
    struct admin *a = arg;
    struct allowance to = {.rate_count = 0};
    struct err err = {0};
    struct str name, rate;
    if (!control_need_text(ask, "limit", &name) || !control_need_text(ask, "rate", &rate))
        return;
    struct account *c = account_new(a, ask, name);
    if (!c)
        return;
    const struct policy_limit *l = policy_find_limit(a->config->policy, name);
    bool is_taken_back = str_equal(rate, TAKEN_BACK);
    bool may_come_again = false;
    bool ok = set_words(ask, &to, &err) && set_whom(c, l->limit.name, &to, &err) &&
              (is_taken_back || set_rates(l, rate, &to, &err)) &&
              set_time(control_text(ask, "for"), clock_steady_us(), &to, &err);
    if (ok && !is_taken_back)
        may_come_again = !(ok = allowance_set(a->allowances, &to, true, &err));
    else if (ok)
        ok = allowance_end(a->allowances, c->rows[0].entity, l->limit.name, to.since_us) ||
             err_set(&err, PRI_STR " has no rates of its own at limit " PRI_STR " that somebody allowed",
                     STR_ARG(c->rows[0].key), STR_ARG(l->limit.name));
    if (!ok) {
        account_refuse(c, &err, may_come_again);
        return;
    }
    if (is_taken_back)
        take_back(c, &to);
    else
        allow(c, &to, rate);
    if (account_read(c, answer) == DONE)
        answer(c);
}

/* ---- all of them ---- */

struct allowance_list {
    struct allowance *items;
    size_t count, room;
};

static int compare_ends(const void *a, const void *b)
{
    const struct allowance *x = a, *y = b;
    return x->until_us < y->until_us ? -1 : x->until_us > y->until_us;
}

static json_t *allowance_json(const struct admin *a, const struct allowance *of, int64_t now_us)
{
    const struct policy_limit *l = policy_find_limit(a->config->policy, str_of_z(of->limit));
    struct arena scratch;
    arena_init(&scratch, SCRATCH_MAX_BYTES);
    json_t *json = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o}", "key",
                             control_json_of(policy_key_text(str_of_z(of->entity), &scratch)), "limit",
                             control_json_of(str_of_z(of->limit)), "unit",
                             l ? control_json_of(limit_unit_name(l->limit.unit)) : json_null(), "rates",
                             rates_json(l, of), "since", control_json_of_time(wall_us(of->since_us, now_us)), "until",
                             control_json_of_time(wall_us(of->until_us, now_us)), "left",
                             (json_int_t)((of->until_us - now_us + SECOND_US - 1) / SECOND_US), "by",
                             control_json_of(str_of_z(of->by)), "why", control_json_of(str_of_z(of->why)));
    arena_fini(&scratch);
    return json;
}

void admin_allowances(void *arg, struct control_ask *ask)
{
    const struct admin *a = arg;
    struct allowance_list list = {0};
    struct allowance found;
    int64_t now_us = clock_steady_us();
    bool ok = true;
    for (size_t at = 0; ok && allowance_next(a->allowances, &at, now_us, &found);) {
        ok = GROW(&list.items, list.count + 1, &list.room, 16);
        if (ok)
            list.items[list.count++] = found;
    }
    if (list.count)
        qsort(list.items, list.count, sizeof *list.items, compare_ends);
    json_t *array = ok ? json_array() : NULL;
    for (size_t i = 0; i < list.count && array; i++)
        if (json_array_append_new(array, allowance_json(a, &list.items[i], now_us)) != 0) {
            json_decref(array);
            array = NULL;
        }
    free(list.items);
    control_answer(ask, array ? json_pack("{s:o}", "allowances", array) : NULL);
}
