/*
 * charges.c - which limits concern this connection or mail, for whom, and what it costs them.
 */
#include <string.h>

#include "base/escape.h"
#include "policy/compiled.h"

enum { ENTITY_MAX_BYTES = 2048 };

static const struct {
    const char *scope; /* LIMITS.md "Keys" */
    int attribute;
} SCOPES[KEY_COUNT] = {
    [KEY_USER] = {"u", ATTRIBUTE_USER},         [KEY_USER_DOMAIN] = {"ud", ATTRIBUTE_USER_DOMAIN},
    [KEY_CLIENT] = {"i", ATTRIBUTE_CLIENT},     [KEY_NETWORK] = {"n", ATTRIBUTE_CLIENT_NETWORK},
    [KEY_SENDER] = {"f", ATTRIBUTE_SENDER},     [KEY_SENDER_DOMAIN] = {"fd", ATTRIBUTE_SENDER_DOMAIN},
    [KEY_RCPT] = {"r", ATTRIBUTE_RCPT},         [KEY_RCPT_DOMAIN] = {"rd", ATTRIBUTE_RCPT_DOMAIN},
    [KEY_LISTENER] = {"l", ATTRIBUTE_LISTENER}, [KEY_GLOBAL] = {"g", -1},
};

/* One part of a key. False: it is not known here, so the limit does not apply. */
static bool append_value(struct buf *to, enum key key, const struct facts *facts)
{
    char text[IP_TEXT_MAX + 4];
    struct fact x = {.kind = FACT_NONE};
    if (SCOPES[key].attribute < 0)
        return true;
    facts->get(facts, SCOPES[key].attribute, STR_NONE, &x);
    switch (x.kind) {
    case FACT_TEXT:
        return escape_key(to, x.text);
    case FACT_NETWORK:
        return escape_key(to, ip_net_format(&x.network, text));
    case FACT_IP: {
        /* an IPv6 client is its /64: it owns all of it */
        if (x.ip.family == ADDR_IPV4)
            return escape_key(to, ip_format(&x.ip, text));
        struct ip_net net = ip_net_of(&x.ip, 64);
        return escape_key(to, ip_net_format(&net, text));
    }
    default:
        return false;
    }
}

struct str policy_entity(const enum key *keys, size_t key_count, const struct facts *facts, struct arena *arena)
{
    struct buf text;
    struct str entity = STR("");
    buf_init(&text, ENTITY_MAX_BYTES);
    bool ok = true;
    for (size_t i = 0; i < key_count && ok; i++)
        ok = (i == 0 || buf_append_char(&text, '+')) && buf_append_str(&text, str_of_z(SCOPES[keys[i]].scope));
    for (size_t i = 0; i < key_count && ok; i++)
        ok = buf_append_char(&text, i ? '+' : ':') && append_value(&text, keys[i], facts);
    if (ok)
        entity = arena_copy(arena, buf_str(&text));
    buf_fini(&text);
    return entity;
}

static bool has_same_keys(const struct policy_limit *a, const struct policy_limit *b)
{
    return a->key_count == b->key_count && memcmp(a->keys, b->keys, a->key_count * sizeof a->keys[0]) == 0;
}

struct str policy_key_text(struct str entity, struct arena *arena)
{
    struct str value, scopes = str_split(entity, ':', &value);
    struct buf text;
    buf_init(&text, ENTITY_MAX_BYTES);
    bool ok = true;
    for (bool is_first = true; scopes.len && ok; is_first = false) {
        struct str rest, scope = str_split(scopes, '+', &rest);
        scopes = rest;
        ok = is_first || buf_append_char(&text, '+');
        for (int key = 0; key < KEY_COUNT && ok; key++)
            if (str_equal(scope, str_of_z(SCOPES[key].scope)))
                ok = buf_append_str(&text, str_of_z(key_rows[key].word));
    }
    ok = ok && (value.len == 0 || (buf_append_char(&text, ':') && buf_append_str(&text, value)));
    struct str copy = ok ? arena_copy(arena, buf_str(&text)) : STR_NONE;
    buf_fini(&text);
    return copy;
}

/* How many recipients of the case the limit's condition holds for; 0: it does not apply. */
static size_t concerned(const struct policy_limit *l, const struct policy_case *question,
                        const struct eval_context *context, enum phase at)
{
    size_t known = at == PHASE_DATA ? question->recipient_count : 1;
    if (!l->asks_rcpt)
        return eval_is_true(l->condition, context) ? known : 0;
    if (at != PHASE_DATA && at != PHASE_RCPT)
        return 0; /* at MAIL there is no recipient yet to ask about */
    struct facts facts = question->facts;
    struct eval_context each = *context;
    each.facts = &facts;
    size_t n = 0;
    for (facts.rcpt = 0; facts.rcpt < known; facts.rcpt++)
        n += eval_is_true(l->condition, &each);
    return n;
}

static uint32_t saturate(uint64_t n)
{
    return (uint32_t)MIN_OF(n, (uint64_t)UINT32_MAX);
}

/* What it costs: as far as it is known (early), or in full. */
static void set_cost(struct charge *c, const struct policy_limit *l, const struct policy_case *question,
                     size_t recipients, enum phase at)
{
    if (!limit_unit_is_of_mail(l->limit.unit)) {
        c->cost[COLUMN_ONE] = 1;
        return;
    }
    struct fact so_far;
    if (at == PHASE_RCPT && !l->asks_rcpt) {
        question->facts.get(&question->facts, ATTRIBUTE_MAIL_RECIPIENTS, STR_NONE, &so_far);
        recipients = so_far.kind == FACT_NUMBER ? (size_t)so_far.number : 1;
    }
    c->cost[COLUMN_MESSAGES] = 1;
    c->cost[COLUMN_RECIPIENTS] = saturate(recipients);
    c->cost[COLUMN_KIB] = limit_kib(question->size_bytes ? question->size_bytes : 1024);
}

bool policy_charges(const struct policy *policy, const struct policy_case *question, enum phase at, struct arena *arena,
                    struct charge **charges, size_t *count)
{
    struct eval_context context = {.facts = &question->facts,
                                   .connection_tags = question->connection->tags,
                                   .mail_tags = question->mail ? question->mail->tags : NULL};
    enum phase counts_at = at == PHASE_MAIL || at == PHASE_RCPT ? PHASE_DATA : at;
    const struct policy_limit *last = NULL;
    struct str entity = STR_NONE;
    *count = 0;
    *charges = arena_alloc(arena, (policy->limit_count + 1) * sizeof **charges);
    if (!*charges)
        return false;
    for (size_t i = 0; i < policy->limit_count; i++) {
        const struct policy_limit *l = &policy->limits[i];
        if (l->phase != counts_at)
            continue;
        size_t recipients = concerned(l, question, &context, at);
        if (recipients == 0)
            continue;
        if (!last || !has_same_keys(l, last)) /* neighbours often count for the same: who, once is enough */
            entity = policy_entity(l->keys, l->key_count, &question->facts, arena);
        last = l;
        if (!entity.ptr)
            return false;
        if (entity.len == 0)
            continue;
        struct charge *c = &(*charges)[(*count)++];
        *c = (struct charge){.limit = &l->limit, .entity = entity};
        set_cost(c, l, question, recipients, at);
    }
    return true;
}

bool policy_count_get(struct policy_engine *engine, struct str name, const struct facts *facts, int64_t now_us,
                      struct arena *arena, uint64_t *count)
{
    const struct policy *policy = engine->policy;
    const struct policy_limit *l = NULL;
    for (size_t i = 0; i < policy->limit_count && !l; i++)
        if (str_equal(policy->limits[i].limit.name, name))
            l = &policy->limits[i];
    *count = 0;
    if (!l)
        return true; /* disabled: it counts nothing */
    struct limit looked_at = l->limit;
    looked_at.observed = true; /* only asked, whatever it allows */
    looked_at.rate_count = 1;
    struct charge charge = {.limit = &looked_at, .entity = policy_entity(l->keys, l->key_count, facts, arena)};
    struct reservation r;
    if (!charge.entity.ptr || !reservation_init(&r, arena, &charge, 1))
        return false;
    if (charge.entity.len == 0)
        return true;
    limiter_peek(engine->limiter, &r, &charge, 1, now_us);
    *count = r.readings[0].used * (looked_at.unit == UNIT_BYTES ? 1024 : 1);
    return true;
}
