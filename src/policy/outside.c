/*
 * outside.c - what conditions see of the outside: what is known already, and trips for what is not.
 *
 *   eval_ask ─▶ hooks: known? ─ yes ─▶ TRUE, FALSE, or FAILED
 *                        └──── no ──▶ wanted, WAIT ──▶ outside_look: a trip for each ──▶ asking_resume
 */
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "policy/asking.h"

enum {
    REMOTE_KEY_MAX_BYTES = 1024,
    TRIPS_AT_ONCE = 64, /* of remote tables; the others follow */
};

/* One thing that is looked up, or was. */
struct policy_trip {
    struct policy_trip *next;
    struct policy_outside *outside;
    enum { TRIP_WANTED, TRIP_UNDER_WAY, TRIP_OVER } state;
    struct policy_lookup lookup;
};

static struct policy_outside *of(struct eval_outside *hooks)
{
    return CONTAINER_OF(hooks, struct policy_outside, hooks);
}

static struct ip client_of(const struct policy_case *question)
{
    struct fact x;
    question->facts.get(&question->facts, ATTRIBUTE_CLIENT, STR_NONE, &x);
    return x.kind == FACT_IP ? x.ip : (struct ip){0};
}

/* NULL: no memory. */
static struct policy_client *client_known(struct policy_case *question)
{
    struct policy_client **client = &question->connection->client;
    if (!*client)
        *client = arena_alloc(question->connection_arena, sizeof **client);
    return *client;
}

/* ---- the hooks ---- */

static enum eval_result name_of(struct policy_outside *o, struct fact *out)
{
    struct policy_client *client = client_known(o->question);
    if (!client)
        return EVAL_TRUE;
    if (!client->has_name) {
        o->wants_name = true;
        return EVAL_WAIT;
    }
    if (client->name.ptr)
        *out = (struct fact){.kind = FACT_TEXT, .text = client->name};
    return EVAL_TRUE;
}

static enum eval_result hook_attribute(struct eval_outside *hooks, enum attribute attribute, struct fact *out)
{
    struct policy_outside *o = of(hooks);
    struct geoip_answer place;
    *out = (struct fact){.kind = FACT_NONE};
    if (attribute == ATTRIBUTE_CLIENT_KNOWN) {
        asking_known(o, out);
        return EVAL_TRUE;
    }
    if (!o->engine->lookups)
        return EVAL_TRUE;
    if (attribute == ATTRIBUTE_CLIENT_NAME)
        return name_of(o, out);
    if (!policy_client_place(o->engine, o->question, &place))
        return EVAL_TRUE;
    if (attribute == ATTRIBUTE_CLIENT_COUNTRY && place.country[0])
        *out = (struct fact){.kind = FACT_TEXT, .text = str_of_z(o->question->connection->client->place.country)};
    else if (attribute == ATTRIBUTE_CLIENT_ASN && place.asn)
        *out = (struct fact){.kind = FACT_NUMBER, .number = place.asn};
    return EVAL_TRUE;
}

static enum eval_result fail(struct policy_outside *o, const char *name, enum policy_failure failure)
{
    o->failed = name;
    o->failed_defers = failure == POLICY_FAILURE_DEFER;
    return EVAL_FAILED;
}

static enum eval_result hook_listed(struct eval_outside *hooks, unsigned number)
{
    struct policy_outside *o = of(hooks);
    const struct policy *policy = o->engine->policy;
    const struct policy_dnsbl *dnsbl = &policy->dnsbls[number];
    uint64_t bit = UINT64_C(1) << number;
    if (!o->engine->lookups)
        return EVAL_FALSE;
    struct policy_client *client = client_known(o->question);
    if (!client || client->no_answer & bit)
        return fail(o, dnsbl->zone.name, dnsbl->failure);
    if (client->asked & bit)
        return client->listed & bit ? EVAL_TRUE : EVAL_FALSE;
    o->wants_dnsbls |= (policy->phase_dnsbls[o->phase] | bit) & ~client->asked; /* all of the phase at once */
    return EVAL_WAIT;
}

static struct policy_trip *trip_new(struct policy_outside *o, enum policy_lookup_kind kind)
{
    struct policy_trip *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->outside = o;
    t->lookup.kind = kind;
    t->next = o->trips;
    o->trips = t;
    return t;
}

/* A trip for what nobody has looked for yet. NULL: no memory. */
static struct policy_trip *want_remote(struct policy_outside *o, unsigned number, struct str key)
{
    if (!o->has_remotes)
        map_init(&o->remotes, false, false);
    o->has_remotes = true;
    struct policy_trip *t = trip_new(o, POLICY_LOOKUP_REMOTE);
    if (!t || !map_set(&o->remotes, key, t))
        return NULL; /* the trip is freed with all */
    t->lookup.remote = number;
    return t;
}

static enum eval_result hook_remote(struct eval_outside *hooks, unsigned number, const struct fact *x,
                                    struct str *value)
{
    struct policy_outside *o = of(hooks);
    const struct policy_remote *remote = &o->engine->policy->remotes[number];
    char key[1 + REMOTE_KEY_MAX_BYTES];
    if (!o->engine->lookups || x->kind != FACT_TEXT || x->text.len == 0 || x->text.len > REMOTE_KEY_MAX_BYTES)
        return EVAL_FALSE;
    if (!o->may_wait)
        return EVAL_WAIT;
    key[0] = (char)number;
    memcpy(key + 1, x->text.ptr, x->text.len);
    struct str whole = str_of(key, 1 + x->text.len);
    struct policy_trip *t = o->has_remotes ? map_get(&o->remotes, whole) : NULL;
    if (!t) {
        t = want_remote(o, number, whole);
        if (t)
            t->lookup.key = x->text; /* lasts as long as the question (facts.h) */
        return t ? EVAL_WAIT : fail(o, remote->map.name, remote->failure);
    }
    if (t->state != TRIP_OVER)
        return EVAL_WAIT;
    if (t->lookup.found == POLICY_NO_ANSWER)
        return fail(o, remote->map.name, remote->failure);
    if (value)
        *value = t->lookup.value;
    return t->lookup.found == POLICY_THERE ? EVAL_TRUE : EVAL_FALSE;
}

static enum eval_result hook_count(struct eval_outside *hooks, unsigned limit, bool is_left, const struct facts *facts,
                                   struct fact *out)
{
    return count_for(of(hooks), limit, is_left, facts, out);
}

/* ---- trips ---- */

static void on_trip_over(struct policy_trip *t)
{
    struct policy_case *question = t->outside->question;
    struct policy_client *client = question->connection->client;
    const struct policy_lookup *l = &t->lookup;
    t->state = TRIP_OVER;
    if (l->kind == POLICY_LOOKUP_DNSBLS) {
        client->asked |= l->dnsbls;
        client->listed |= l->listed & l->dnsbls;
        client->no_answer |= l->no_answer & l->dnsbls;
    } else if (l->kind == POLICY_LOOKUP_NAME) {
        struct str name = str_of_z(l->name);
        client->has_name = true;
        client->name = name.len ? arena_copy(question->connection_arena, name) : STR_NONE;
    }
}

static void on_answer(void *arg)
{
    struct policy_trip *t = arg;
    struct policy_outside *o = t->outside;
    on_trip_over(t);
    if (--o->under_way == 0)
        asking_resume(o->waiting);
}

static void set_out(struct asking *a, struct policy_trip *t)
{
    struct policy_lookups *lookups = a->engine->lookups;
    t->lookup.on_answer = on_answer;
    t->lookup.arg = t;
    t->state = TRIP_UNDER_WAY;
    if (lookups->start(lookups, &t->lookup, a->deadline_ms) == DONE)
        on_trip_over(t);
    else
        t->outside->under_way++;
}

/* Without memory for the trip there is no answer: no name, nothing of the lists. */
static void look_for_client(struct asking *a)
{
    struct policy_outside *o = &a->question->outside;
    struct policy_client *client = a->question->connection->client;
    if (o->wants_name) {
        struct policy_trip *t = trip_new(o, POLICY_LOOKUP_NAME);
        o->wants_name = false;
        client->has_name = !t;
        if (t) {
            t->lookup.client = client_of(a->question);
            set_out(a, t);
        }
    }
    if (o->wants_dnsbls) {
        struct policy_trip *t = trip_new(o, POLICY_LOOKUP_DNSBLS);
        if (t) {
            t->lookup.client = client_of(a->question);
            t->lookup.dnsbls = o->wants_dnsbls;
            set_out(a, t);
        } else {
            client->asked |= o->wants_dnsbls;
            client->no_answer |= o->wants_dnsbls;
        }
        o->wants_dnsbls = 0;
    }
}

bool outside_look(struct asking *a)
{
    struct policy_outside *o = &a->question->outside;
    look_for_client(a);
    size_t left = TRIPS_AT_ONCE;
    for (struct policy_trip *t = o->trips; t && left; t = t->next)
        if (t->state == TRIP_WANTED) {
            left--;
            set_out(a, t);
        }
    return o->under_way == 0;
}

/* ---- limits ---- */

static bool are_texts_there(const struct policy_limit *l, const struct eval_context *context)
{
    for (size_t i = 0; i < l->limit.threshold_count; i++) {
        const struct policy_actions *actions = l->limit.thresholds[i].actions;
        for (size_t k = 0; actions && k < actions->count; k++)
            if (actions->items[k].text && text_ask(actions->items[k].text, context) == EVAL_WAIT)
                return false;
    }
    return true;
}

/* Its condition for each recipient, all of them, so that what they want is looked up at once. */
static enum eval_result ask_for_recipients(struct asking *a, const struct policy_limit *l)
{
    struct facts facts = a->question->facts;
    struct eval_context each = a->context;
    size_t count = a->phase == PHASE_DATA ? a->question->recipient_count : 1;
    enum eval_result all = EVAL_TRUE;
    if (a->phase != PHASE_DATA && a->phase != PHASE_RCPT)
        return EVAL_TRUE; /* there is nobody yet to ask about */
    each.facts = &facts;
    for (facts.rcpt = 0; facts.rcpt < count; facts.rcpt++) {
        enum eval_result r = eval_ask(l->condition, &each);
        all = r == EVAL_WAIT || all == EVAL_WAIT ? EVAL_WAIT : r == EVAL_FAILED ? EVAL_FAILED : all;
    }
    return all;
}

enum eval_result outside_ask_limit(struct asking *a, const struct policy_limit *l)
{
    if (!l->may_wait)
        return EVAL_TRUE;
    enum eval_result r = l->asks_rcpt ? ask_for_recipients(a, l) : eval_ask(l->condition, &a->context);
    return r == EVAL_TRUE && !are_texts_there(l, &a->context) ? EVAL_WAIT : r;
}

/* Limits of events are asked while something happens, which cannot wait: at connect the client's name and lists are
 * found out for them. */
bool outside_is_ready_for_limits(struct asking *a)
{
    const struct policy *policy = a->engine->policy;
    enum phase counts_at = a->phase == PHASE_MAIL || a->phase == PHASE_RCPT ? PHASE_DATA : a->phase;
    const struct policy_limit *failed = NULL;
    bool is_ready = true;
    for (size_t i = 0; i < policy->limit_count; i++) {
        const struct policy_limit *l = &policy->limits[i];
        bool is_asked_now = l->phase == counts_at,
             is_asked_later = l->phase == PHASE_COUNT && a->phase == PHASE_CONNECT;
        if (!is_asked_now && !is_asked_later)
            continue;
        enum eval_result r = outside_ask_limit(a, l);
        is_ready = is_ready && r != EVAL_WAIT;
        if (is_asked_now && r == EVAL_FAILED && a->question->outside.failed_defers && !l->limit.observed && !failed)
            failed = l;
    }
    if (is_ready && failed)
        outside_defer(a, failed->limit.name, true);
    return is_ready;
}

/* ---- all ---- */

void outside_begin(struct asking *a)
{
    a->question->outside = (struct policy_outside){.hooks = {hook_attribute, hook_listed, hook_remote, hook_count},
                                                   .engine = a->engine,
                                                   .question = a->question,
                                                   .phase = a->phase};
    a->context.outside = &a->question->outside.hooks;
}

void outside_end(struct policy_case *question)
{
    struct policy_outside *o = &question->outside;
    for (struct policy_trip *t = o->trips, *next; t; t = next) {
        next = t->next;
        if (t->state != TRIP_WANTED)
            o->engine->lookups->cancel(o->engine->lookups, &t->lookup);
        free(t);
    }
    if (o->has_remotes)
        map_fini(&o->remotes);
    o->trips = NULL;
    o->has_remotes = false;
    o->may_wait = false;
    o->under_way = 0;
    o->waiting = NULL;
}

/* ---- what was found out about a client ---- */

struct str policy_client_name(const struct policy_connection *connection)
{
    return connection->client ? connection->client->name : STR_NONE;
}

struct str policy_client_country(const struct policy_connection *connection)
{
    const struct policy_client *client = connection->client;
    return client && client->place.country[0] ? str_of_z(client->place.country) : STR_NONE;
}

bool policy_client_place(struct policy_engine *engine, struct policy_case *question, struct geoip_answer *place)
{
    struct policy_client *client = client_known(question);
    struct ip ip = client_of(question);
    *place = (struct geoip_answer){0};
    if (!client)
        return false;
    if (!client->has_place && engine->lookups) {
        engine->lookups->place(engine->lookups, &ip, &client->place);
        client->has_place = true;
    }
    *place = client->place;
    return true;
}

void outside_defer(struct asking *a, struct str by, bool is_limit)
{
    struct reply_code fitting = default_reply_code(ACTION_DEFER, a->phase);
    struct policy_answer *answer = a->answer;
    answer->verdict = POLICY_DEFER;
    answer->by = by;
    answer->by_limit = is_limit;
    answer->code = fitting.code;
    str_copy_into(answer->enhanced, sizeof answer->enhanced, str_of_z(fitting.enhanced));
    answer->text =
        arena_printf(a->question->arena, "A lookup failed (%s); try again later", a->question->outside.failed);
    if (!answer->text.ptr)
        asking_trouble(a);
}
