/*
 * networks.c - `client.known`: the networks from which users logged in (limits/known.h).
 *
 *   auth   a condition asks, for the name that was given
 *   login  noted, once rules and limits let it in; what a condition asked before, or the note itself, tells how it was
 *          before, and that holds for the connection
 *
 * Where the limits' store answers later, asking and noting are trips.
 */
#include "limits/known.h"
#include "policy/trips.h"

enum { VALUE_MAX_BYTES = 4096 };

/* Whose network it is, as of that phase: the name that was given, or the login. False: not known, or no memory. */
static bool network_value(const struct policy_case *question, enum phase at, struct arena *arena, struct known_value *v)
{
    static const enum key USER = KEY_USER;
    char text[IP_TEXT_MAX + 4];
    struct fact network;
    question->facts.get(&question->facts, ATTRIBUTE_CLIENT_NETWORK, STR_NONE, &network);
    *v = (struct known_value){.what = KNOWN_NETWORKS, .keep_s = KNOWN_NETWORKS_S};
    v->entity = policy_entity(&USER, 1, &question->facts, at, arena);
    if (!v->entity.len || network.kind != FACT_NETWORK)
        return false;
    v->value = arena_copy(arena, ip_net_format(&network.network, text));
    return v->value.ptr != NULL;
}

typedef enum started known_start(struct store *store, struct known *k, const struct known_value *value, int64_t now_us,
                                 unsigned deadline_ms, known_cb *cb, void *arg);

/* How it was, for the name that was given: that holds for the connection. */
static void hear(struct policy_outside *o, bool was_known)
{
    o->network = MAX_OF(o->network, NETWORK_HEARD);
    o->question->connection->has_known = true;
    o->question->connection->is_known = was_known;
}

/* ---- trips ---- */

struct network_trip {
    struct policy_trip trip;
    struct known known;
    struct arena arena; /* of the value */
    struct known_value value;
    known_start *start;
    bool is_heard;
};

static struct network_trip *network_of(struct policy_trip *t)
{
    return CONTAINER_OF(t, struct network_trip, trip);
}

static void on_known(struct known *k, void *arg)
{
    (void)k;
    trip_is_over(arg);
}

static enum started network_start(struct policy_trip *t, struct asking *a)
{
    struct network_trip *n = network_of(t);
    return n->start(a->engine->limiter->store, &n->known, &n->value, a->question->now_us,
                    a->engine->limiter->store->deadline_ms, on_known, t);
}

static void network_on_over(struct policy_trip *t)
{
    if (network_of(t)->is_heard)
        hear(t->outside, network_of(t)->known.was_known);
}

static void network_end(struct policy_trip *t)
{
    known_cancel(&network_of(t)->known);
    arena_fini(&network_of(t)->arena);
}

static const struct trip_kind NETWORK = {
    .size = sizeof(struct network_trip), .start = network_start, .on_over = network_on_over, .end = network_end};

/* Takes the arena. False: no memory. */
static bool want(struct policy_outside *o, known_start *start, const struct known_value *value, struct arena *arena,
                 bool is_heard)
{
    struct network_trip *n = trip_new(o, &NETWORK);
    if (!n)
        return false;
    n->arena = *arena;
    n->value = *value;
    n->start = start;
    n->is_heard = is_heard;
    return true;
}

/* ---- asking and noting ---- */

static void do_now(struct policy_outside *o, known_start *start, const struct known_value *value, bool is_heard)
{
    struct store *store = o->engine->limiter->store;
    struct known known;
    enum started started = start(store, &known, value, o->question->now_us, store->deadline_ms, NULL, NULL);
    PANIC_IF(started != DONE, "the store \"%s\" does not answer at once", store->ops->name);
    if (is_heard)
        hear(o, known.was_known);
}

/* Asks or notes. What is not known of user or client cannot be. False: it is wanted, a trip. */
static bool is_done(struct policy_outside *o, enum phase at, known_start *start, bool is_heard)
{
    struct arena scratch;
    struct known_value value;
    arena_init(&scratch, VALUE_MAX_BYTES);
    bool is_there = network_value(o->question, at, &scratch, &value);
    if (is_there && o->engine->limiter->store->ops->is_remote) {
        if (want(o, start, &value, &scratch, is_heard))
            return false;
    } else if (is_there) {
        do_now(o, start, &value, is_heard);
    }
    arena_fini(&scratch);
    return true;
}

/* An attempt asks anew; what it heard holds, for a login is known once it is noted. */
enum eval_result network_is_known(struct policy_outside *o, struct fact *out)
{
    struct policy_connection *connection = o->question->connection;
    *out = (struct fact){.kind = FACT_NONE};
    if (o->network == NETWORK_UNASKED && (o->phase == PHASE_AUTH || !connection->has_known)) {
        connection->has_known = false;
        o->network = NETWORK_ASKED;
        if (is_done(o, PHASE_AUTH, known_ask_start, true))
            o->network = NETWORK_HEARD;
    }
    if (o->network == NETWORK_ASKED)
        return EVAL_WAIT;
    if (connection->has_known)
        *out = (struct fact){.kind = FACT_TRUTH, .truth = connection->is_known};
    return EVAL_TRUE;
}

static bool has_one_name(const struct policy_case *question)
{
    struct fact given, login;
    question->facts.get(&question->facts, ATTRIBUTE_AUTH_USER, STR_NONE, &given);
    question->facts.get(&question->facts, ATTRIBUTE_USER, STR_NONE, &login);
    return given.kind == FACT_TEXT && login.kind == FACT_TEXT && str_equal_nocase(given.text, login.text);
}

/* Under both names: at the next attempt only the one that is given is known, and it may lack its realm. */
bool network_note(struct asking *a)
{
    struct policy_outside *o = &a->question->outside;
    if (!policy_uses(a->engine->policy, ATTRIBUTE_CLIENT_KNOWN) || o->network == NETWORK_NOTED)
        return true;
    o->network = NETWORK_NOTED;
    bool is_over = is_done(o, PHASE_AUTH, known_note_start, !a->question->connection->has_known);
    if (!has_one_name(a->question))
        is_over = is_done(o, PHASE_LOGIN, known_note_start, false) && is_over;
    return is_over;
}
