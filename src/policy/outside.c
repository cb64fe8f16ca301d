/*
 * outside.c - what conditions see of the outside: what is known already, and trips for what is not.
 *
 *   eval_ask ─▶ hooks: known? ─ yes ─▶ TRUE, FALSE, or FAILED
 *                        └──── no ──▶ wanted, WAIT ──▶ outside_look: a trip for each ──▶ asking_resume
 *
 * Of the outside are also the limits, where their store answers later: count.c and networks.c ask it.
 */
#include <string.h>

#include "base/list.h"
#include "policy/charges.h"
#include "policy/trips.h"

enum { REMOTE_KEY_MAX_BYTES = 1024 };

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

/* ---- lookups ---- */

struct lookup_trip {
    struct policy_trip trip;
    struct policy_lookup lookup;
};

static struct lookup_trip *lookup_of(struct policy_trip *t)
{
    return CONTAINER_OF(t, struct lookup_trip, trip);
}

static void on_answer(void *arg)
{
    trip_is_over(arg);
}

static enum started lookup_start(struct policy_trip *t, struct asking *a)
{
    struct policy_lookup *l = &lookup_of(t)->lookup;
    l->on_answer = on_answer;
    l->arg = t;
    return a->engine->lookups->start(a->engine->lookups, l, a->deadline_ms);
}

/* What was found out about a client holds for its connection. */
static void lookup_on_over(struct policy_trip *t)
{
    struct policy_case *question = t->outside->question;
    struct policy_client *client = question->connection->client;
    const struct policy_lookup *l = &lookup_of(t)->lookup;
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

static void lookup_end(struct policy_trip *t)
{
    struct policy_lookups *lookups = t->outside->engine->lookups;
    if (t->state != TRIP_WANTED)
        lookups->cancel(lookups, &lookup_of(t)->lookup);
}

static const struct trip_kind LOOKUP = {
    .size = sizeof(struct lookup_trip), .start = lookup_start, .on_over = lookup_on_over, .end = lookup_end};

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
    if (attribute == ATTRIBUTE_CLIENT_KNOWN)
        return network_is_known(o, out);
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

/* A trip for what nobody has looked for yet. NULL: no memory. */
static struct lookup_trip *want_remote(struct policy_outside *o, unsigned number, struct str key)
{
    if (!o->has_remotes)
        map_init(&o->remotes, false, false);
    o->has_remotes = true;
    struct lookup_trip *t = trip_new(o, &LOOKUP);
    if (!t)
        return NULL;
    t->lookup = (struct policy_lookup){.kind = POLICY_LOOKUP_REMOTE, .remote = number};
    if (map_set(&o->remotes, key, t))
        return t;
    t->trip.state = TRIP_OVER; /* it goes nowhere, and is freed with all */
    return NULL;
}

static enum eval_result hook_remote(struct eval_outside *hooks, unsigned number, const struct fact *x,
                                    struct str *value)
{
    struct policy_outside *o = of(hooks);
    const struct policy_remote *remote = &o->engine->policy->remotes[number];
    char key[1 + REMOTE_KEY_MAX_BYTES];
    if (!o->engine->lookups || x->kind != FACT_TEXT || x->text.len == 0 || x->text.len > REMOTE_KEY_MAX_BYTES)
        return EVAL_FALSE;
    key[0] = (char)number;
    memcpy(key + 1, x->text.ptr, x->text.len);
    struct str whole = str_of(key, 1 + x->text.len);
    struct lookup_trip *t = o->has_remotes ? map_get(&o->remotes, whole) : NULL;
    if (!t) {
        t = want_remote(o, number, whole);
        if (t)
            t->lookup.key = x->text; /* lasts as long as the question (facts.h) */
        return t ? EVAL_WAIT : fail(o, remote->name, remote->failure);
    }
    if (t->trip.state != TRIP_OVER)
        return EVAL_WAIT;
    if (t->lookup.found == POLICY_NO_ANSWER)
        return fail(o, remote->name, remote->failure);
    if (value)
        *value = t->lookup.value;
    return t->lookup.found == POLICY_THERE ? EVAL_TRUE : EVAL_FALSE;
}

static enum eval_result hook_count(struct eval_outside *hooks, unsigned limit, bool is_left, const struct facts *facts,
                                   struct fact *out)
{
    return count_for(of(hooks), limit, is_left, facts, out);
}

/* ---- what was wanted of the client ---- */

/* Without memory for the trip there is no answer: no name, nothing of the lists. */
static void look_for_client(struct asking *a)
{
    struct policy_outside *o = &a->question->outside;
    struct policy_client *client = a->question->connection->client;
    struct lookup_trip *t;
    if (o->wants_name) {
        o->wants_name = false;
        if ((t = trip_new(o, &LOOKUP)))
            t->lookup = (struct policy_lookup){.kind = POLICY_LOOKUP_NAME, .client = client_of(a->question)};
        client->has_name = !t;
    }
    if (o->wants_dnsbls) {
        if ((t = trip_new(o, &LOOKUP))) {
            t->lookup = (struct policy_lookup){
                .kind = POLICY_LOOKUP_DNSBLS, .client = client_of(a->question), .dnsbls = o->wants_dnsbls};
        } else {
            client->asked |= o->wants_dnsbls;
            client->no_answer |= o->wants_dnsbls;
        }
        o->wants_dnsbls = 0;
    }
}

bool outside_look(struct asking *a)
{
    look_for_client(a);
    trips_set_out(a);
    return a->question->outside.under_way == 0;
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

/* What limits of events need is found out at connect: when something happens there is then nothing to wait for. But how
 * full other limits are is asked when it is (outside_is_ready_for_events). */
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

bool outside_is_ready_for_events(struct asking *a, const struct charging *what)
{
    const struct policy *policy = a->engine->policy;
    bool is_ready = true;
    for (size_t i = 0; i < policy->limit_count && policy->events_may_wait; i++)
        if (charging_asks(what, &policy->limits[i]) && outside_ask_limit(a, &policy->limits[i]) == EVAL_WAIT)
            is_ready = false;
    return is_ready;
}

/* ---- all ---- */

/* Member by member: the rest, which is large, is set before it is read. */
void outside_begin(struct asking *a)
{
    struct policy_outside *o = &a->question->outside;
    o->hooks = (struct eval_outside){hook_attribute, hook_listed, hook_remote, hook_count};
    o->engine = a->engine;
    o->question = a->question;
    o->phase = a->phase;
    o->is_counting = o->wants_name = o->has_remotes = o->has_counts = o->failed_defers = false;
    o->network = NETWORK_UNASKED;
    o->wants_dnsbls = 0;
    o->trips = NULL;
    o->under_way = 0;
    o->failed = NULL;
    o->waiting = NULL;
    a->context.outside = &o->hooks;
}

void outside_end(struct policy_case *question)
{
    struct policy_outside *o = &question->outside;
    trips_end(o);
    if (o->has_remotes)
        map_fini(&o->remotes);
    o->has_remotes = false;
    counts_forget(o);
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
