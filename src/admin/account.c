/* account.c - see account.h. */
#include "admin/account.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "policy/charges.h"
#include "rules/suggest.h"

enum { COUNTS_MAX_BYTES = 4 << 20, ASK_STORE_MS = 1000, JOINT_MAX_BYTES = 1024 };

/* ---- which rows there are ---- */

/* The rates that hold for him. False: no memory. */
static bool find_rates(struct account *c, const struct whom *whom, const struct policy_limit *l, struct str entity,
                       struct account_row *row, const struct rate **rates, size_t *count)
{
    const struct admin *a = c->admin;
    const struct policy_engine engine = {.policy = a->config->policy, .allowances = a->allowances};
    struct rate ignored[ALLOWANCE_RATES_MAX];
    size_t ignored_count;
    int64_t now_us = clock_steady_us();
    if (!override_find(&engine, l, entity, &whom->facts, PHASE_DATA, now_us, &c->arena, rates, count))
        return false;
    bool is_allowed =
        a->allowances && allowance_find(a->allowances, entity, l->limit.name, now_us, ignored, &ignored_count);
    row->source = !*rates ? RATE_OF_LIMIT : is_allowed ? RATE_OF_OPERATOR : RATE_OF_TABLE;
    if (row->source == RATE_OF_LIMIT) {
        *rates = l->limit.rates;
        *count = l->limit.rate_count;
    }
    return true;
}

static void set_take(struct account *c, struct account_row *row)
{
    const struct limit *limit = &row->limit->limit;
    const struct threshold *refusing = limit_refusing_threshold(limit);
    row->allowed = refusing ? limit_threshold_count(refusing, &row->rate) : row->rate.count;
    row->take.mode = TAKE_NOTHING;
    row->column = limiter_counter(&row->take.counter, limit, row->entity, &row->rate);
    counter_set_id(&row->take.counter, &c->admin->store->key);
    if (limit_unit_shape(limit->unit) == SHAPE_DISTINCT)
        row->take.members = &row->no_member;
}

/* The limit's rows for him; only counts them where rows are not there yet. False: no memory. */
static bool add_limit(struct account *c, const struct whom *whom, const struct policy_limit *l)
{
    struct account_row row = {.limit = l};
    const struct rate *rates;
    size_t count;
    struct str entity = whom_entity(whom, l, &c->arena);
    row.entity = entity;
    row.key = policy_key_text(entity, &c->arena);
    if (!row.key.ptr || !find_rates(c, whom, l, entity, &row, &rates, &count))
        return false;
    row.is_unlimited = count == 0;
    for (size_t i = 0; i < MAX_OF(count, (size_t)1); i++) {
        struct account_row *to = c->rows ? &c->rows[c->row_count] : NULL;
        c->row_count++;
        if (!to)
            continue;
        *to = row;
        if (row.is_unlimited)
            continue;
        to->rate = rates[i];
        set_take(c, to);
    }
    return true;
}

static bool add_all(struct account *c, struct str only)
{
    const struct policy *policy = c->admin->config->policy;
    c->row_count = 0;
    for (size_t i = 0; i < policy->limit_count; i++) {
        const struct policy_limit *l = &policy->limits[i];
        if (only.len && !str_equal(only, l->limit.name))
            continue;
        for (size_t k = 0; k < c->whom_count; k++)
            if (whom_is_counted_by(&c->whoms[k], l) && !add_limit(c, &c->whoms[k], l))
                return false;
    }
    return true;
}

/* ---- limits that count him together with something else ---- */

static bool counts_with_others(const struct whom *whom, const struct policy_limit *l)
{
    for (size_t i = 0; i < l->key_count && l->key_count > whom->key_count; i++)
        for (size_t k = 0; k < whom->key_count; k++)
            if (l->keys[i] == whom->keys[k])
                return true;
    return false;
}

static bool list_holds(struct str list, struct str word)
{
    while (list.len)
        if (str_equal(str_trim(str_split(list, ',', &list)), word))
            return true;
    return false;
}

static bool note_joint(struct account *c, struct buf *list, const struct policy_limit *l)
{
    struct buf keys;
    buf_init(&keys, JOINT_MAX_BYTES);
    bool ok = true;
    for (size_t i = 0; i < l->key_count && ok; i++)
        ok = buf_printf(&keys, "%s%s", i ? "+" : "", key_rows[l->keys[i]].word);
    if (ok && !list_holds(buf_str(list), buf_str(&keys)))
        ok = buf_printf(list, "%s" PRI_STR, buf_len(list) ? ", " : "", STR_ARG(buf_str(&keys)));
    c->joint = arena_copy(&c->arena, buf_str(list));
    buf_fini(&keys);
    return ok;
}

static void find_joint(struct account *c)
{
    const struct policy *policy = c->admin->config->policy;
    struct buf list;
    bool ok = true;
    buf_init(&list, JOINT_MAX_BYTES);
    for (size_t i = 0; i < policy->limit_count; i++)
        for (size_t k = 0; k < c->whom_count && ok; k++)
            if (counts_with_others(&c->whoms[k], &policy->limits[i]))
                ok = note_joint(c, &list, &policy->limits[i]);
    buf_fini(&list);
}

/* ---- life ---- */

const struct policy_limit *admin_find_limit(const struct admin *a, struct str name, struct err *err)
{
    const struct policy *policy = a->config->policy;
    const struct policy_limit *l = policy_find_limit(policy, name);
    struct suggestion nearest;
    if (l)
        return l;
    suggest_init(&nearest, name);
    for (size_t i = 0; i < policy->limit_count; i++)
        suggest_offer(&nearest, policy->limits[i].limit.name);
    struct str best = suggest_best(&nearest);
    err_set(err, "there is no limit \"" PRI_STR "\"", STR_ARG(str_sub(name, 0, 64)));
    if (best.len)
        err_set_hint(err, "did you mean \"" PRI_STR "\"?", STR_ARG(best));
    return NULL;
}

/* False: there is no such limit. */
static bool check_name(const struct admin *a, struct str only, struct err *err)
{
    return !only.len || admin_find_limit(a, only, err);
}

static bool fill(struct account *c, struct str key, struct str only, struct err *err)
{
    const struct whom_prefixes prefixes = {c->admin->config->ipv4_prefix, c->admin->config->ipv6_prefix};
    if (!check_name(c->admin, only, err))
        return false;
    struct str text = arena_copy(&c->arena, key);
    if (!text.ptr)
        return err_no_memory(err);
    whom_read(c->whoms, &c->whom_count, text, &prefixes, &c->arena, err);
    if (c->whom_count == 0)
        return false;
    find_joint(c);
    if (!add_all(c, only))
        return err_no_memory(err);
    c->rows = arena_alloc(&c->arena, MAX_OF(c->row_count, (size_t)1) * sizeof *c->rows);
    return (c->rows && add_all(c, only)) || err_no_memory(err);
}

static void cancel(struct control_ask *ask)
{
    struct account *c = ask->state;
    if (c->is_started && c->admin->store->ops->take_cancel)
        c->admin->store->ops->take_cancel(c->admin->store, &c->op);
    json_decref(c->answer);
    arena_fini(&c->arena);
    free(c);
}

struct account *account_new(struct admin *a, struct control_ask *ask, struct str only)
{
    struct err err = {0};
    struct str key;
    if (!control_need_text(ask, "key", &key))
        return NULL;
    struct account *c = calloc(1, sizeof *c);
    if (!c) {
        err_no_memory(&err);
        control_refuse(ask, &err, true);
        return NULL;
    }
    c->admin = a;
    c->ask = ask;
    arena_init(&c->arena, COUNTS_MAX_BYTES);
    ask->state = c;
    ask->on_cancel = cancel;
    if (fill(c, key, only, &err))
        return c;
    account_refuse(c, &err, false);
    return NULL;
}

void account_answer(struct account *c, json_t *json)
{
    struct control_ask *ask = c->ask;
    cancel(ask);
    control_answer(ask, json);
}

void account_refuse(struct account *c, const struct err *err, bool again)
{
    struct control_ask *ask = c->ask;
    cancel(ask);
    control_refuse(ask, err, again);
}

/* ---- the store, one row after the other ---- */

static bool is_shared(const struct account_row *row)
{
    return row->share_of > 1;
}

/* Of slots a node's share is not a number: it is what the last reading left, divided (mirror.h). */
static bool is_of_slots(const struct account_row *row)
{
    return !row->take.members && row->take.counter.kind != COUNTER_LEASES;
}

/* The second question of a row: how long until less is used than now, or less than would refuse? Of slots, by a share:
 * is one more refused, if each node takes one? */
static bool has_second(const struct account_row *row)
{
    if (is_shared(row))
        return is_of_slots(row) && row->allowed >= row->share_of;
    return row->used && row->allowed;
}

static void ask_second(struct account_row *row)
{
    uint64_t below = is_shared(row) ? row->allowed - row->share_of : MIN_OF(row->used, row->allowed) - 1;
    row->take.allowed[row->column] = below;
    row->is_second = true;
}

static void note_second(struct account_row *row, bool has_answer)
{
    row->frees_us = has_answer ? row->take.wait_us : WAIT_UNKNOWN;
    if (!is_shared(row) || !has_answer)
        return;
    row->is_full = row->take.is_over[row->column];
    if (!row->is_full)
        row->frees_us = WAIT_UNKNOWN;
}

static void note_first(struct account_row *row, const struct store_op *op)
{
    row->is_known = op->result != STORE_FAILED;
    row->used = row->is_known ? row->take.used[row->column] : 0;
    row->store = op->decided_by;
    row->share_of = op->share_of;
    row->frees_us = WAIT_UNKNOWN;
    if (!row->is_known || strcmp(row->store, store_failure_name(STORE_OPEN)) == 0)
        return;
    if (!is_shared(row))
        row->is_full = row->used >= row->allowed;
    else if (is_of_slots(row))
        row->is_full = row->allowed < row->share_of; /* else the second question says so */
    else
        row->is_full = row->used >= MAX_OF(row->allowed / row->share_of, (uint64_t)1);
}

/* The store has answered about the row at hand; moves on where it has no further question. */
static void note(struct account *c)
{
    struct account_row *row = &c->rows[c->at];
    bool has_answer = c->op.result != STORE_FAILED;
    if (c->forgets) {
        c->has_failed |= !has_answer;
    } else if (row->is_second) {
        note_second(row, has_answer);
    } else {
        note_first(row, &c->op);
        if (has_answer && has_second(row)) {
            ask_second(row);
            return;
        }
    }
    c->at++;
}

static bool is_passed_over(const struct account *c, const struct account_row *row)
{
    return row->is_unlimited || (c->forgets && !account_can_be_forgotten(row));
}

static enum started go_on(struct account *c);

static void on_answer(struct store_op *op)
{
    struct account *c = CONTAINER_OF(op, struct account, op);
    c->is_started = false;
    note(c);
    if (go_on(c) == DONE)
        c->on_done(c);
}

static enum started ask(struct account *c, struct account_row *row)
{
    struct store *store = c->admin->store;
    if (!row->is_second)
        for (size_t i = 0; i < COLUMNS; i++)
            row->take.allowed[i] = ALLOWED_ANY;
    if (c->forgets) {
        row->take.mode = TAKE_ALWAYS;
        row->take.cost[row->column] = 1;
    }
    c->takes[0] = &row->take;
    c->op = (struct store_op){.takes = c->takes,
                              .count = 1,
                              .now_us = clock_steady_us(),
                              .deadline_ms = ASK_STORE_MS,
                              .on_done = on_answer,
                              .decided_by = store->ops->name};
    return c->forgets ? store->ops->forget_start(store, &c->op) : store->ops->take_start(store, &c->op);
}

static enum started go_on(struct account *c)
{
    while (c->at < c->row_count) {
        struct account_row *row = &c->rows[c->at];
        if (is_passed_over(c, row)) {
            c->at++;
            continue;
        }
        if (ask(c, row) == STARTED) {
            c->is_started = true;
            return STARTED;
        }
        note(c);
    }
    return DONE;
}

static enum started start(struct account *c, bool forgets, void (*on_done)(struct account *))
{
    c->forgets = forgets;
    c->on_done = on_done;
    c->at = 0;
    return go_on(c);
}

enum started account_read(struct account *c, void (*on_done)(struct account *))
{
    return start(c, false, on_done);
}

enum started account_forget(struct account *c, void (*on_done)(struct account *))
{
    return start(c, true, on_done);
}

json_t *account_counted_json(const struct account *c)
{
    bool is_known = false, is_counted = false;
    for (size_t i = 0; i < c->row_count; i++) {
        is_known |= c->rows[i].is_known;
        is_counted |= c->rows[i].used > 0;
    }
    return is_known ? json_boolean(is_counted) : json_null();
}

bool account_can_be_forgotten(const struct account_row *row)
{
    return !row->is_unlimited && limit_unit_shape(row->limit->limit.unit) != SHAPE_LEASES;
}
