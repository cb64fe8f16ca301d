/* trial.c - a trial's life, and many mails, connections and attempts in one run. See trial.h. */
#include "policy/trial_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/grow.h"
#include "limits/ban.h"
#include "limits/store_memory.h"

enum {
    MAIL_MAX_BYTES = 16 << 20, /* an envelope of a thousand recipients, each with limits */
    CONNECTION_MAX_BYTES = 256 << 10,
    EFFECTS_MAX_BYTES = 1 << 20, /* of what a connection has to say */
    PASSWORD_MAX_BYTES = 32,
    OWNER = 1,
    LOOKS_UP_EVERY = 64, /* mails or connections between two questions whether it is enough */
};

/* The end of the year 9999: whatever a test waits, its clock stays a number of microseconds. */
#define TIME_ENDS_US INT64_C(253402300799000000)

/* ---- life ---- */

static bool open_store(struct trial *t, size_t entries)
{
    struct err err;
    t->memory_bytes = store_memory_size(entries);
    void *p = mmap(NULL, t->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return false;
    t->memory = p;
    struct store_options options = {.memory = p, .owner = OWNER};
    return store_memory_init(p, entries, &err) && store_open(&t->store, &store_memory_ops, &options, &err) &&
           limiter_init(&t->limiter, &t->store);
}

static bool open_bans(struct trial *t, size_t bans)
{
    struct err err;
    size_t bytes = ban_table_size(bans);
    t->ban_memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!t->ban_memory)
        return false;
    memset(t->ban_memory, 0, bytes);
    t->engine.bans = ban_table_init(t->ban_memory, bans, &err);
    return t->engine.bans != NULL;
}

static struct trial *make(const struct trial_world *world)
{
    struct trial *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->world = world;
    t->now_us = TRIAL_BEGINS_US;
    arena_init(&t->arena, MAIL_MAX_BYTES);
    arena_init(&t->connection_arena, CONNECTION_MAX_BYTES);
    arena_init(&t->effect_arena, EFFECTS_MAX_BYTES);
    t->effects_end = t->connection_effects_end = &t->effects;
    policy_given_init(&t->given, world->policy);
    t->settings = (struct trial_settings){.client = {.family = ADDR_IPV4, .bytes = {192, 0, 2, 1}},
                                          .port = 50000,
                                          .helo = STR("client.example"),
                                          .is_tls = true,
                                          .listener = world->listeners[0].name,
                                          .size_bytes = 1024,
                                          .tls_version = STR("TLSv1.3"),
                                          .tls_cipher = STR("TLS_AES_256_GCM_SHA384"),
                                          .mechanism = STR("PLAIN")};
    t->engine = (struct policy_engine){.policy = world->policy, .limiter = &t->limiter, .lookups = &t->given.lookups};
    return t;
}

struct trial *trial_new_large(const struct trial_world *world, size_t store_entries, size_t bans)
{
    struct trial *t = make(world);
    if (t && (!open_store(t, store_entries) || !open_bans(t, bans)))
        trial_free(&t);
    return t;
}

struct trial *trial_new(const struct trial_world *world)
{
    return trial_new_large(world, TRIAL_STORE_ENTRIES, BAN_TABLE_MIN);
}

struct trial *trial_new_beside(struct trial *first)
{
    struct trial *t = make(first->world);
    if (!t)
        return NULL;
    t->engine.limiter = &first->limiter;
    t->engine.bans = first->engine.bans;
    return t;
}

void trial_free(struct trial **trial)
{
    struct trial *t = *trial;
    if (!t)
        return;
    trial_close(t);
    trial_hang_up(t);
    free(t->held);
    if (t->limiter.store)
        limiter_fini(&t->limiter);
    if (t->store.ops)
        store_close(&t->store);
    if (t->memory) {
        store_memory_fini(t->memory);
        munmap(t->memory, t->memory_bytes);
    }
    if (t->ban_memory && t->engine.bans)
        ban_table_fini(t->engine.bans);
    free(t->ban_memory);
    arena_fini(&t->arena);
    arena_fini(&t->connection_arena);
    arena_fini(&t->effect_arena);
    free(t);
    *trial = NULL;
}

void trial_watch(struct trial *t, const struct policy_trace *trace)
{
    t->engine.trace = trace;
}

/* ---- runs ---- */

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

static const struct str *recipients_as_set(const struct trial *t, size_t *count)
{
    static const struct str USUAL[] = {{"r1@example.net", sizeof "r1@example.net" - 1}};
    *count = t->settings.rcpt_count ? t->settings.rcpt_count : 1;
    return t->settings.rcpt_count ? t->settings.rcpts : USUAL;
}

bool trial_send(struct trial *t, size_t count, int64_t over_us, const struct trial_recipients *recipients)
{
    int64_t began_us = t->now_us;
    over_us = bounded(t, over_us);
    trial_hang_up(t);
    t->outcome = (struct trial_outcome){0};
    for (size_t i = 0; i < count && !is_enough(t, i); i++) {
        size_t rcpt_count;
        const struct str *rcpts = recipients_as_set(t, &rcpt_count);
        t->now_us = began_us + moment(over_us, i, count);
        trial_begin_one(t);
        if (recipients && !recipients->make(recipients->arg, i, &rcpts, &rcpt_count))
            return false;
        t->accepted = arena_alloc(&t->arena, rcpt_count * sizeof *t->accepted);
        if (!t->accepted)
            return false;
        if (!trial_mail(t, rcpts, rcpt_count))
            return false;
        end_one(t);
    }
    trial_close(t);
    t->now_us = began_us + over_us;
    return true;
}

bool trial_fail(struct trial *t, size_t count, size_t passwords, int64_t over_us)
{
    int64_t began_us = t->now_us;
    over_us = bounded(t, over_us);
    trial_hang_up(t);
    t->outcome = (struct trial_outcome){0};
    for (size_t i = 0; i < count && !is_enough(t, i); i++) {
        char password[PASSWORD_MAX_BYTES];
        size_t number = t->passwords + (passwords ? i % passwords : i);
        int n = snprintf(password, sizeof password, "wrong-%zu", number);
        t->now_us = began_us + moment(over_us, i, count);
        trial_begin_one(t);
        trial_guess(t, str_of(password, (size_t)n));
        end_one(t);
        trial_close(t);
    }
    t->passwords += passwords ? MIN_OF(passwords, count) : count;
    t->now_us = began_us + over_us;
    return true;
}

/* What holds its place among the open ones is all that is left of a connection here. */
static bool hold(struct trial *t)
{
    if (!t->is_connected || !t->connection.leases)
        return true;
    if (!GROW(&t->held, t->held_count + 1, &t->held_cap, 64))
        return false;
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
        trial_begin_one(t);
        trial_enter(t);
        end_one(t);
        if (over_us == 0)
            ok = hold(t);
        trial_close(t);
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
    struct trial as_set = *t; /* the key as set, whatever was sent last */
    arena_init(&scratch, MAIL_MAX_BYTES);
    as_set.is_logged_in = t->settings.user.len;
    as_set.mail = &t->mail_state;
    as_set.sender = trial_sender_as_set(t, &scratch);
    as_set.asked = recipients_as_set(t, &as_set.asked_count);
    trial_facts(&as_set, &facts);
    bool ok = as_set.sender.ptr && policy_count_get(&t->engine, limit, &facts, t->now_us, &scratch, count);
    arena_fini(&scratch);
    return ok;
}

uint32_t trial_tarpit_ms(const struct trial *t)
{
    return t->connection_tarpit_ms + MIN_OF(t->mail_tarpit_ms, UINT32_MAX - t->connection_tarpit_ms);
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
