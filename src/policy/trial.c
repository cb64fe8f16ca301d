/*
 * trial.c - a made-up session's way through the phases. See trial.h.
 *
 * Each question is answered as a live one is: by policy_ask_start, with the mail's arena, tags and reservation where a
 * session keeps them. Only who asks is another.
 */
#include "policy/trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "limits/store_memory.h"

enum {
    MAIL_MAX_BYTES = 16 << 20, /* an envelope of a thousand recipients, each with limits */
    CONNECTION_MAX_BYTES = 256 << 10,
    OWNER = 1,
    LOOKS_UP_EVERY = 64, /* mails or connections between two questions whether it is enough */
};

/* The end of the year 9999: whatever a test waits, its clock stays a number of microseconds. */
#define TIME_ENDS_US INT64_C(253402300799000000)

/* ---- life ---- */

static bool open_store(struct trial *t)
{
    struct err err;
    t->memory_bytes = store_memory_size(TRIAL_STORE_ENTRIES);
    void *p = mmap(NULL, t->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return false;
    t->memory = p;
    struct store_options options = {.memory = p, .owner = OWNER};
    return store_memory_init(p, TRIAL_STORE_ENTRIES, &err) &&
           store_open(&t->store, &store_memory_ops, &options, &err) && limiter_init(&t->limiter, &t->store);
}

struct trial *trial_new(const struct trial_world *world)
{
    struct trial *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->world = world;
    t->now_us = TRIAL_BEGINS_US;
    arena_init(&t->arena, MAIL_MAX_BYTES);
    arena_init(&t->connection_arena, CONNECTION_MAX_BYTES);
    t->settings = (struct trial_settings){.client = {.family = ADDR_IPV4, .bytes = {192, 0, 2, 1}},
                                          .port = 50000,
                                          .helo = STR("client.example"),
                                          .is_tls = true,
                                          .listener = world->listeners[0].name,
                                          .size_bytes = 1024};
    if (!open_store(t)) {
        trial_free(&t);
        return NULL;
    }
    t->engine = (struct policy_engine){.policy = world->policy, .limiter = &t->limiter};
    return t;
}

static void hang_up(struct trial *t)
{
    if (t->is_connected)
        policy_connection_end(&t->engine, &t->connection);
    t->is_connected = false;
}

void trial_free(struct trial **trial)
{
    struct trial *t = *trial;
    if (!t)
        return;
    hang_up(t);
    trial_hang_up(t);
    free(t->held);
    free(t->default_sender_text);
    if (t->limiter.store)
        limiter_fini(&t->limiter);
    if (t->store.ops)
        store_close(&t->store);
    if (t->memory) {
        store_memory_fini(t->memory);
        munmap(t->memory, t->memory_bytes);
    }
    arena_fini(&t->arena);
    arena_fini(&t->connection_arena);
    free(t);
    *trial = NULL;
}

void trial_watch(struct trial *t, const struct policy_trace *trace)
{
    t->engine.trace = trace;
}

/* ---- one question ---- */

/* The first refusal is the verdict (GRAMMAR.md 5). */
static void note_refusal(struct trial *t, enum phase at, const struct policy_answer *answer)
{
    struct trial_result *r = &t->outcome.last;
    if (r->verdict != POLICY_GO_ON)
        return;
    r->verdict = answer->verdict;
    r->at = at;
    r->code = answer->code;
    memcpy(r->enhanced, answer->enhanced, sizeof r->enhanced);
    r->text_len = str_copy_into(r->text, sizeof r->text, answer->text).len;
    r->by = answer->by;
    r->by_limit = answer->by_limit;
}

static struct policy_case question_at(struct trial *t, enum phase phase)
{
    struct policy_case q = {.arena = &t->arena,
                            .connection_arena = &t->connection_arena,
                            .connection = &t->connection,
                            .now_us = t->now_us,
                            .is_never_early = true};
    trial_facts(t, &q.facts);
    if (phase >= PHASE_MAIL) {
        q.mail = &t->mail_state;
        q.recipient_count = t->asked_count;
        q.size_bytes = t->settings.size_bytes;
    }
    return q;
}

/* True: it goes on. Whoever is sent away has no connection afterwards. */
static bool ask(struct trial *t, enum phase phase)
{
    struct policy_case q = question_at(t, phase);
    struct policy_answer answer;
    /* deadline and callback are for stores on a network; this one answers at once */
    enum started started = policy_ask_start(&t->engine, phase, &q, &answer, 0, NULL, NULL);
    (void)started;
    if (answer.verdict == POLICY_GO_ON)
        return true;
    note_refusal(t, phase, &answer);
    if (phase == PHASE_CONNECT || answer.verdict == POLICY_DISCONNECT || answer.verdict == POLICY_DROP)
        hang_up(t);
    return false;
}

/* ---- the session ---- */

static bool enter(struct trial *t)
{
    arena_fini(&t->connection_arena);
    t->connection = (struct policy_connection){0};
    t->is_connected = true;
    t->said_hello = t->is_logged_in = t->gave_login = false;
    t->messages = t->commands = 0;
    t->opened_us = t->now_us;
    return ask(t, PHASE_CONNECT);
}

static bool say_hello(struct trial *t)
{
    t->commands++;
    t->said_hello = true; /* its name is a fact while it is asked about */
    if (!ask(t, PHASE_HELO))
        t->said_hello = false;
    return t->said_hello;
}

static bool log_in(struct trial *t)
{
    t->commands++;
    t->gave_login = true;
    if (!ask(t, PHASE_AUTH))
        return false;
    t->is_logged_in = true;
    if (!ask(t, PHASE_LOGIN))
        t->is_logged_in = false;
    return t->is_logged_in;
}

static bool begin_mail(struct trial *t)
{
    t->mail_state = (struct policy_mail){0};
    t->mail = &t->mail_state;
    t->asked_count = t->accepted_count = 0;
    t->sender = t->settings.has_sender ? t->settings.sender : t->default_sender;
    t->commands++;
    return ask(t, PHASE_MAIL);
}

/* False: nobody is left to write to. */
static bool offer_recipients(struct trial *t, const struct str *rcpts, size_t count)
{
    for (size_t i = 0; i < count && t->is_connected; i++) {
        struct str at_hand = rcpts[i];
        t->asked = &at_hand;
        t->asked_count = 1;
        t->has_one_at_hand = true;
        t->commands++;
        bool goes_on = ask(t, PHASE_RCPT);
        t->has_one_at_hand = false;
        t->asked_count = 0;
        if (goes_on)
            t->accepted[t->accepted_count++] = at_hand;
    }
    return t->is_connected && t->accepted_count;
}

static void give_message(struct trial *t)
{
    t->asked = t->accepted;
    t->asked_count = t->accepted_count;
    t->commands++;
    if (!ask(t, PHASE_DATA))
        return;
    struct policy_case q = question_at(t, PHASE_DATA);
    struct policy_answer answer;
    if (!policy_settle(&t->engine, &q, t->settings.size_bytes, &answer)) {
        note_refusal(t, PHASE_DATA, &answer);
        return;
    }
    policy_keep(&t->engine, &t->mail_state, t->now_us);
    t->messages++;
}

static void send_one(struct trial *t, const struct str *rcpts, size_t count)
{
    if ((t->is_connected || enter(t)) && (t->said_hello || say_hello(t)) &&
        (t->is_logged_in || t->settings.user.len == 0 || log_in(t)) && begin_mail(t) &&
        offer_recipients(t, rcpts, count))
        give_message(t);
    policy_give_back(&t->engine, &t->mail_state); /* of what was not kept */
}

/* ---- runs ---- */

/* A new mail or connection, with nothing of the one before. */
static void begin_one(struct trial *t)
{
    arena_fini(&t->arena);
    t->mail = NULL;
    t->mail_state = (struct policy_mail){0};
    t->outcome.last = (struct trial_result){.verdict = POLICY_GO_ON};
}

static void end_one(struct trial *t)
{
    t->outcome.count++;
    if (t->outcome.last.verdict == POLICY_GO_ON)
        t->outcome.accepted++;
    else if (t->outcome.count - t->outcome.accepted == 1)
        t->outcome.first_refused = t->outcome.last;
}

static bool is_enough(struct trial *t, size_t i)
{
    if (i % LOOKS_UP_EVERY == 0 && t->is_over && t->is_over(t->is_over_arg))
        t->was_stopped = true;
    return t->was_stopped;
}

/* What is left of `us` before time ends. */
static int64_t bounded(const struct trial *t, int64_t us)
{
    return MIN_OF(us, TIME_ENDS_US - t->now_us);
}

/* i·over/count, of products that may pass 64 bits: 366 days by a million. */
static int64_t moment(int64_t over_us, size_t i, size_t count)
{
    int64_t n = (int64_t)count;
    return over_us / n * (int64_t)i + over_us % n * (int64_t)i / n;
}

static bool set_default_sender(struct trial *t)
{
    struct str user = t->settings.user;
    free(t->default_sender_text);
    t->default_sender_text = NULL;
    if (user.len == 0) {
        t->default_sender = STR("sender@example.com");
        return true;
    }
    size_t size = user.len + sizeof "@example.org";
    t->default_sender_text = malloc(size);
    if (!t->default_sender_text)
        return false;
    int n = snprintf(t->default_sender_text, size, PRI_STR "%s", STR_ARG(user),
                     str_find(user, '@') < user.len ? "" : "@example.org");
    t->default_sender = str_of(t->default_sender_text, (size_t)n);
    return true;
}

bool trial_send(struct trial *t, size_t count, int64_t over_us, const struct trial_recipients *recipients)
{
    static const struct str USUAL[] = {{"r1@example.net", sizeof "r1@example.net" - 1}};
    int64_t began_us = t->now_us;
    over_us = bounded(t, over_us);
    trial_hang_up(t);
    t->outcome = (struct trial_outcome){0};
    if (!set_default_sender(t))
        return false;
    for (size_t i = 0; i < count && !is_enough(t, i); i++) {
        const struct str *rcpts = t->settings.rcpt_count ? t->settings.rcpts : USUAL;
        size_t rcpt_count = t->settings.rcpt_count ? t->settings.rcpt_count : 1;
        t->now_us = began_us + moment(over_us, i, count);
        begin_one(t);
        if (recipients && !recipients->make(recipients->arg, i, &rcpts, &rcpt_count))
            return false;
        t->accepted = arena_alloc(&t->arena, rcpt_count * sizeof *t->accepted);
        if (!t->accepted)
            return false;
        send_one(t, rcpts, rcpt_count);
        end_one(t);
    }
    hang_up(t);
    t->now_us = began_us + over_us;
    return true;
}

/* What holds its place among the open ones is all that is left of a connection here. */
static bool hold(struct trial *t)
{
    if (!t->is_connected || !t->connection.leases)
        return true;
    if (t->held_count == t->held_cap) {
        size_t cap = t->held_cap ? t->held_cap * 2 : 64;
        struct policy_leases **held = realloc(t->held, cap * sizeof *held);
        if (!held)
            return false;
        t->held = held;
        t->held_cap = cap;
    }
    t->held[t->held_count++] = t->connection.leases;
    t->connection.leases = NULL;
    return true;
}

bool trial_connect(struct trial *t, size_t count, int64_t over_us)
{
    int64_t began_us = t->now_us;
    over_us = bounded(t, over_us);
    bool ok = true;
    trial_hang_up(t);
    t->outcome = (struct trial_outcome){0};
    for (size_t i = 0; i < count && ok && !is_enough(t, i); i++) {
        t->now_us = began_us + moment(over_us, i, count);
        begin_one(t);
        enter(t);
        end_one(t);
        if (over_us == 0)
            ok = hold(t);
        hang_up(t);
    }
    t->now_us = began_us + over_us;
    return ok;
}

void trial_hang_up(struct trial *t)
{
    for (size_t i = 0; i < t->held_count; i++) {
        struct policy_connection connection = {.leases = t->held[i]};
        policy_connection_end(&t->engine, &connection);
    }
    t->held_count = 0;
}

void trial_wait(struct trial *t, int64_t us)
{
    trial_hang_up(t);
    t->now_us += bounded(t, us);
}

/* ---- looking ---- */

bool trial_count(struct trial *t, struct str limit, uint64_t *count)
{
    struct facts facts;
    struct arena scratch;
    bool was_logged_in = t->is_logged_in;
    t->is_logged_in = t->settings.user.len; /* the key as set */
    trial_facts(t, &facts);
    arena_init(&scratch, MAIL_MAX_BYTES);
    bool ok = policy_count_get(&t->engine, limit, &facts, t->now_us, &scratch, count);
    arena_fini(&scratch);
    t->is_logged_in = was_logged_in;
    return ok;
}

static const struct rule_tag *find_tag(const struct rule_tag *tag, struct str name)
{
    while (tag && !str_equal(tag->name, name))
        tag = tag->next;
    return tag;
}

const struct rule_tag *trial_tag(const struct trial *t, struct str name)
{
    const struct rule_tag *of_mail = t->mail ? find_tag(t->mail->tags, name) : NULL;
    return of_mail ? of_mail : find_tag(t->connection.tags, name);
}
