/*
 * allow.c - `allow`: other rates for somebody, for a while (limits/allowance.h). They hold from the next mail on, on
 * this node at once and on the others of a cluster within seconds, and end by themselves.
 */
#include <string.h>

#include "admin/account.h"
#include "admin/admin.h"
#include "base/clock.h"
#include "base/log.h"
#include "policy/charges.h"
#include "policy/whom.h"
#include "rules/rate.h"
#include "rules/shape.h"

enum { SCRATCH_MAX_BYTES = 65536 };

#define SECOND_US  INT64_C(1000000)
#define DEFAULT_S  INT64_C(86400)
#define LONGEST_S  (INT64_C(366) * 86400)
#define TAKEN_BACK STR("default")

static bool set_whom(const struct admin *a, struct str key, const struct policy_limit *l, struct allowance *to,
                     struct str *text, struct arena *arena, struct err *err)
{
    struct whom whoms[WHOM_GUESSES_MAX];
    const struct whom_prefixes prefixes = {a->config->ipv4_prefix, a->config->ipv6_prefix};
    size_t count;
    whom_read(whoms, &count, key, &prefixes, arena, err);
    for (size_t i = 0; i < count; i++) {
        if (!whom_is_counted_by(&whoms[i], l))
            continue;
        struct str entity = whom_entity(&whoms[i], l, arena);
        *text = entity.ptr ? policy_key_text(entity, arena) : STR_NONE;
        if (!text->ptr)
            return err_no_memory(err);
        if (entity.len > ALLOWANCE_ENTITY_MAX_BYTES || l->limit.name.len > ALLOWANCE_LIMIT_MAX_BYTES)
            return err_set(err, "its name is too long: give it a rate in a table, with `overrides`");
        str_copy_into(to->entity, sizeof to->entity, entity);
        str_copy_into(to->limit, sizeof to->limit, l->limit.name);
        return true;
    }
    return count && err_set(err, "limit \"" PRI_STR "\" does not count " PRI_STR, STR_ARG(l->limit.name),
                            STR_ARG(whoms[0].text));
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

static void set_words(const struct control_ask *ask, struct allowance *to)
{
    struct str who = control_text(ask, "who"), why = control_text(ask, "why");
    str_copy_into(to->by, sizeof to->by, who.len ? who : STR("root"));
    str_copy_into(to->why, sizeof to->why, why);
}

/* ---- the answer ---- */

static json_t *rates_json(const struct policy_limit *l, const struct allowance *allowance)
{
    json_t *array = json_array();
    for (size_t i = 0; i < allowance->rate_count && array; i++) {
        const struct rate *rate = &allowance->rates[i];
        json_int_t scale = l->limit.unit == UNIT_BYTES ? 1024 : 1;
        if (json_array_append_new(array, json_pack("{s:I, s:I}", "limit", (json_int_t)rate->count * scale, "period",
                                                   (json_int_t)rate->period_s)) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

static void allow(struct admin *a, struct control_ask *ask, const struct policy_limit *l, struct allowance *to,
                  struct str text)
{
    struct err err = {0};
    if (!allowance_set(a->allowances, to, true, &err)) {
        control_refuse(ask, &err, true);
        return;
    }
    log_info(PRI_STR " has rates of its own at limit " PRI_STR " for %lld s, by command of %s%s%s", STR_ARG(text),
             STR_ARG(l->limit.name), (long long)((to->until_us - to->since_us) / SECOND_US), to->by,
             to->why[0] ? ": " : "", to->why);
    control_answer(ask, json_pack("{s:o, s:o, s:o, s:o, s:I}", "key", control_json_of(text), "limit",
                                  control_json_of(l->limit.name), "rates", rates_json(l, to), "until",
                                  control_json_of_time(to->until_us - to->since_us + clock_wall_us()), "lasts",
                                  (json_int_t)((to->until_us - to->since_us) / SECOND_US)));
}

static void take_back(struct admin *a, struct control_ask *ask, const struct policy_limit *l,
                      const struct allowance *what, struct str text)
{
    struct err err = {0};
    if (!allowance_end(a->allowances, str_of_z(what->entity), l->limit.name, what->since_us)) {
        err_set(&err, PRI_STR " has no rates of its own at limit " PRI_STR " that somebody allowed", STR_ARG(text),
                STR_ARG(l->limit.name));
        control_refuse(ask, &err, false);
        return;
    }
    log_info(PRI_STR " has no rates of its own at limit " PRI_STR " any more, by command of %s", STR_ARG(text),
             STR_ARG(l->limit.name), what->by);
    control_answer(ask, json_pack("{s:o, s:o, s:b}", "key", control_json_of(text), "limit",
                                  control_json_of(l->limit.name), "taken_back", 1));
}

void admin_allow(void *arg, struct control_ask *ask)
{
    struct admin *a = arg;
    struct allowance to = {.rate_count = 0};
    struct arena scratch;
    struct err err = {0};
    struct str key, name, rate, text = STR_NONE;
    if (!control_need_text(ask, "key", &key) || !control_need_text(ask, "limit", &name) ||
        !control_need_text(ask, "rate", &rate))
        return;
    const struct policy_limit *l = admin_find_limit(a, name, &err);
    bool is_taken_back = str_equal(rate, TAKEN_BACK);
    arena_init(&scratch, SCRATCH_MAX_BYTES);
    set_words(ask, &to);
    if (!l || !set_whom(a, key, l, &to, &text, &scratch, &err) || (!is_taken_back && !set_rates(l, rate, &to, &err)) ||
        !set_time(control_text(ask, "for"), clock_steady_us(), &to, &err))
        control_refuse(ask, &err, false);
    else if (is_taken_back)
        take_back(a, ask, l, &to, text);
    else
        allow(a, ask, l, &to, text);
    arena_fini(&scratch);
}
