/* charges.c - from limits to charges. See charges.h. */
#include "policy/charges.h"

#include <stdlib.h>
#include <string.h>

enum { VALUE_MAX_BYTES = 512 };

/* One recipient, and whose count a limit per recipient keeps for it. */
struct counted_rcpt {
    struct str entity; /* empty: a part of the key is not known */
    size_t rcpt;
};

/* What is made, and what one limit has found out for the next: neighbours often count for the same. */
struct making {
    const struct asking *a;
    const struct charging *what;
    struct arena *arena;
    struct charges *to;
    size_t rcpt_count;              /* facts.rcpt runs over so many */
    const struct policy_limit *one; /* whose entity is known … */
    struct str entity;
    const struct policy_limit *each; /* … or those of all recipients, sorted by entity */
    struct counted_rcpt *counted;
    struct str *rcpts; /* as values */
};

static bool has_same_keys(const struct policy_limit *a, const struct policy_limit *b)
{
    return a && a->key_count == b->key_count && memcmp(a->keys, b->keys, a->key_count * sizeof a->keys[0]) == 0;
}

static bool is_event(const struct policy_limit *l)
{
    return limit_unit_kind(l->limit.unit) == LIMIT_EVENT;
}

/* ---- whom it concerns ---- */

static bool holds(const struct making *m, const struct policy_limit *l, size_t rcpt)
{
    struct facts facts = m->a->question->facts;
    struct eval_context context = m->a->context;
    if (!l->asks_rcpt)
        return true; /* it was asked before, for all */
    facts.rcpt = rcpt;
    context.facts = &facts;
    return eval_is_true(l->condition, &context);
}

/* How many recipients it concerns, 1 where there are none to speak of; 0: it does not apply. */
static size_t count_concerned(const struct making *m, const struct policy_limit *l)
{
    if (!l->asks_rcpt)
        return eval_is_true(l->condition, &m->a->context) ? MAX_OF(m->rcpt_count, (size_t)1) : 0;
    if (is_event(l)) /* where there is no recipient to ask about, the count is what it is */
        return m->a->phase != PHASE_RCPT || holds(m, l, m->a->question->facts.rcpt);
    size_t n = 0;
    for (size_t i = 0; i < m->rcpt_count; i++)
        n += holds(m, l, i);
    return n;
}

/* ---- cost and values ---- */

static struct str spell(struct making *m, enum key key, const struct fact *x)
{
    struct buf text;
    buf_init(&text, VALUE_MAX_BYTES);
    struct str value = policy_spell(&text, key, x) ? arena_copy(m->arena, buf_str(&text)) : STR_NONE;
    buf_fini(&text);
    return value;
}

static bool spell_recipients(struct making *m)
{
    struct facts facts = m->a->question->facts;
    struct fact x;
    if (m->rcpts)
        return true;
    m->rcpts = arena_alloc(m->arena, (m->rcpt_count + 1) * sizeof *m->rcpts);
    for (facts.rcpt = 0; m->rcpts && facts.rcpt < m->rcpt_count; facts.rcpt++) {
        facts.get(&facts, ATTRIBUTE_RCPT, STR_NONE, &x);
        struct str value = spell(m, KEY_RCPT, &x);
        if (!value.ptr)
            return false;
        m->rcpts[facts.rcpt] = value;
    }
    return m->rcpts != NULL;
}

/* All that are concerned. */
static bool set_recipients(struct making *m, struct charge *c, const struct policy_limit *l)
{
    if (!spell_recipients(m))
        return false;
    if (!l->asks_rcpt) {
        c->values = m->rcpts;
        c->value_count = m->rcpt_count;
        return true;
    }
    struct str *values = arena_alloc(m->arena, (m->rcpt_count + 1) * sizeof *values);
    for (size_t i = 0; values && i < m->rcpt_count; i++)
        if (holds(m, l, i))
            values[c->value_count++] = m->rcpts[i];
    c->values = values;
    return values != NULL;
}

/* The one value of a login: its network, its country, its name. Not known: none is seen. */
static bool set_value(struct making *m, struct charge *c, enum key key, int attribute)
{
    struct fact x;
    struct str *value = arena_alloc(m->arena, sizeof *value);
    if (!value)
        return false;
    if (attribute == ATTRIBUTE_CLIENT_COUNTRY) /* which the session leaves to the outside; there is no wait for it */
        (void)m->a->context.outside->attribute(m->a->context.outside, ATTRIBUTE_CLIENT_COUNTRY, &x);
    else
        m->a->question->facts.get(&m->a->question->facts, attribute, STR_NONE, &x);
    c->values = value;
    c->value_count = x.kind != FACT_NONE;
    *value = spell(m, key, &x);
    return value->ptr != NULL;
}

static uint32_t saturate(uint64_t n)
{
    return (uint32_t)MIN_OF(n, (uint64_t)UINT32_MAX);
}

/* Of a mail: as far as it is known (early), or in full. */
static void set_cost_of_mail(const struct making *m, struct charge *c, const struct policy_limit *l, size_t recipients)
{
    const struct policy_case *q = m->a->question;
    struct fact so_far;
    if (m->a->phase == PHASE_RCPT && !l->asks_rcpt && !l->is_each_rcpt) {
        q->facts.get(&q->facts, ATTRIBUTE_MAIL_RECIPIENTS, STR_NONE, &so_far);
        recipients = so_far.kind == FACT_NUMBER ? (size_t)so_far.number : 1;
    }
    c->cost[COLUMN_MESSAGES] = 1;
    c->cost[COLUMN_RECIPIENTS] = saturate(recipients);
    c->cost[COLUMN_KIB] = limit_kib(q->size_bytes ? q->size_bytes : 1024);
}

/* False: no memory. */
static bool set_cost(struct making *m, struct charge *c, const struct policy_limit *l, size_t recipients)
{
    switch (l->limit.unit) {
    case UNIT_MESSAGES:
    case UNIT_RECIPIENTS:
    case UNIT_BYTES:
        set_cost_of_mail(m, c, l, recipients);
        return true;
    case UNIT_DISTINCT_RECIPIENTS:
        return set_recipients(m, c, l);
    case UNIT_DISTINCT_NETWORKS:
        return set_value(m, c, KEY_NETWORK, ATTRIBUTE_CLIENT_NETWORK);
    case UNIT_DISTINCT_COUNTRIES:
        return set_value(m, c, KEY_LISTENER, ATTRIBUTE_CLIENT_COUNTRY);
    case UNIT_FAILED_USERS:
        return set_value(m, c, KEY_USER, ATTRIBUTE_AUTH_USER);
    default:
        c->cost[COLUMN_ONE] = is_event(l) ? m->what->events : 1;
        return true;
    }
}

/* ---- one charge ---- */

/* The next one, for that entity; *c NULL: an override says that there is no limit. False: no memory. */
static bool add(struct making *m, const struct policy_limit *l, const struct facts *facts, struct str entity,
                struct charge **c)
{
    const struct rate *rates = NULL;
    size_t rate_count = 0;
    *c = NULL;
    if (!override_find(m->a->engine, l, entity, facts, m->a->phase, m->a->question->now_us, m->arena, &rates,
                       &rate_count))
        return false;
    if (rates && rate_count == 0)
        return true;
    *c = &m->to->items[m->to->count++];
    **c = (struct charge){.limit = &l->limit, .entity = entity, .rates = rates, .rate_count = rate_count};
    return true;
}

static bool add_one(struct making *m, const struct policy_limit *l)
{
    const struct facts *facts = &m->a->question->facts;
    struct charge *c;
    size_t recipients = count_concerned(m, l);
    if (recipients == 0)
        return true;
    if (!has_same_keys(m->one, l))
        m->entity = policy_entity(l->keys, l->key_count, facts, m->a->phase, m->arena);
    m->one = l;
    if (m->entity.len == 0)
        return m->entity.ptr != NULL; /* a part of it is not known: it does not apply */
    return add(m, l, facts, m->entity, &c) && (!c || set_cost(m, c, l, recipients));
}

/* ---- a charge for each recipient ---- */

static int compare_counted(const void *a, const void *b)
{
    const struct counted_rcpt *x = a, *y = b;
    int order = str_compare(x->entity, y->entity);
    return order ? order : x->rcpt < y->rcpt ? -1 : 1;
}

static bool name_recipients(struct making *m, const struct policy_limit *l)
{
    struct facts facts = m->a->question->facts;
    if (has_same_keys(m->each, l))
        return true;
    m->each = l;
    if (!m->counted && !(m->counted = arena_alloc(m->arena, m->rcpt_count * sizeof *m->counted)))
        return false;
    for (size_t i = 0; i < m->rcpt_count; i++) {
        facts.rcpt = i;
        m->counted[i] = (struct counted_rcpt){
            .entity = policy_entity(l->keys, l->key_count, &facts, m->a->phase, m->arena), .rcpt = i};
        if (!m->counted[i].entity.ptr)
            return false;
    }
    qsort(m->counted, m->rcpt_count, sizeof *m->counted, compare_counted);
    return true;
}

/* One entity's: `count` of m->counted from `first` on. */
static bool add_group(struct making *m, const struct policy_limit *l, size_t first, size_t count)
{
    struct facts facts = m->a->question->facts;
    struct charge *c;
    bool is_distinct = l->limit.unit == UNIT_DISTINCT_RECIPIENTS;
    struct str *values = is_distinct ? arena_alloc(m->arena, count * sizeof *values) : NULL;
    size_t concerned = 0;
    if (is_distinct && (!values || !spell_recipients(m)))
        return false;
    for (size_t i = first; i < first + count; i++) {
        facts.rcpt = m->counted[i].rcpt;
        if (!holds(m, l, facts.rcpt))
            continue;
        if (is_distinct)
            values[concerned] = m->rcpts[facts.rcpt];
        concerned++;
    }
    facts.rcpt = m->counted[first].rcpt;
    if (concerned == 0)
        return true;
    if (!add(m, l, &facts, m->counted[first].entity, &c))
        return false;
    if (c && is_distinct) {
        c->values = values;
        c->value_count = concerned;
    } else if (c) {
        set_cost_of_mail(m, c, l, concerned);
    }
    return true;
}

static bool add_each(struct making *m, const struct policy_limit *l)
{
    if (m->rcpt_count == 0 || (!l->asks_rcpt && !eval_is_true(l->condition, &m->a->context)))
        return true;
    if (!name_recipients(m, l))
        return false;
    for (size_t first = 0, end; first < m->rcpt_count; first = end) {
        struct str entity = m->counted[first].entity;
        for (end = first + 1; end < m->rcpt_count && str_equal(m->counted[end].entity, entity);)
            end++;
        if (entity.len && !add_group(m, l, first, end - first))
            return false;
    }
    return true;
}

/* ---- all ---- */

/* Of a mail there may be many recipients; an event speaks of one. */
static bool is_each(const struct policy_limit *l)
{
    return l->is_each_rcpt && !is_event(l);
}

/* Room for as many charges as there may be. */
static bool make_room(struct making *m)
{
    const struct policy *policy = m->a->engine->policy;
    size_t most = 1;
    for (size_t i = 0; i < policy->limit_count; i++)
        if (charging_asks(m->what, &policy->limits[i]))
            most += is_each(&policy->limits[i]) ? m->rcpt_count : 1;
    m->to->items = arena_alloc(m->arena, most * sizeof *m->to->items);
    return m->to->items != NULL;
}

bool charges_make(const struct asking *a, const struct charging *what, struct arena *arena, struct charges *to)
{
    const struct policy *policy = a->engine->policy;
    struct making m = {.a = a, .what = what, .arena = arena, .to = to};
    m.rcpt_count = a->phase == PHASE_DATA ? a->question->recipient_count : a->phase == PHASE_RCPT;
    *to = (struct charges){0};
    if (!make_room(&m))
        return false;
    for (size_t i = 0; i < policy->limit_count; i++) {
        const struct policy_limit *l = &policy->limits[i];
        if (charging_asks(what, l) && !(is_each(l) ? add_each(&m, l) : add_one(&m, l)))
            return false;
    }
    return true;
}
