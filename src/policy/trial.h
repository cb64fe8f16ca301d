/*
 * trial.h - a made-up session: rules and limits are asked phase by phase as a live session asks them (session/), over a
 * store of its own and a clock that is only moved.
 *
 *   test_block.c ─┐  settings      trial_connect / trial_send
 *   explain.c    ─┴────────────▶ connect ─ helo ─ auth ─ login ─ ( mail ─ rcpt… ─ data ─ settle ─ keep )… ─▶ outcome
 *                                     └──────────────── policy_ask_start ────────────────┘
 *
 * The server's own checks, milters and the MTA take no part: the MTA takes everything (GRAMMAR.md 5). Who was refused
 * at helo, auth or login tries again with its next mail; who was disconnected connects again.
 */
#ifndef POLICY_TRIAL_H
#define POLICY_TRIAL_H

#include "limits/limiter.h"
#include "policy/ask.h"

enum {
    TRIAL_TEXT_MAX_BYTES = 1024, /* of a reply */
    TRIAL_STORE_ENTRIES = 8192,
};

/* 2026-01-05, a Monday, 12:00 UTC (GRAMMAR.md 5). */
#define TRIAL_BEGINS_US INT64_C(1767614400000000)

struct trial_listener {
    struct str name;
    bool is_implicit_tls; /* nothing can be said before TLS: a refusal at connect just closes */
};

/* What the trial takes place in; borrowed, like all texts here, as long as the trial lasts. */
struct trial_world {
    const struct policy *policy;
    struct str node;
    const struct trial_listener *listeners; /* the first is where clients come to unless they say otherwise */
    size_t listener_count;
    unsigned ipv4_prefix, ipv6_prefix;
};

/* Who sends what. trial_new fills in the defaults of GRAMMAR.md 5. */
struct trial_settings {
    struct ip client;
    uint16_t port;
    struct str helo;
    bool is_tls;
    struct str user; /* empty: no login */
    struct str listener;
    bool has_sender;         /* else it is the user, or without one sender@example.com */
    struct str sender;       /* empty: the null sender */
    const struct str *rcpts; /* none: r1@example.net */
    size_t rcpt_count;
    uint64_t size_bytes;
};

/* What one mail or connection came to: the first refusal it met, else POLICY_GO_ON. */
struct trial_result {
    enum policy_verdict verdict;
    enum phase at;
    int code;
    char enhanced[12];
    char text[TRIAL_TEXT_MAX_BYTES];
    size_t text_len;
    struct str by; /* empty: nobody's rule; lasts as long as the policy */
    bool by_limit;
};

struct trial_outcome {
    size_t count, accepted; /* mails, or connections */
    struct trial_result last;
    struct trial_result first_refused; /* if accepted < count */
};

struct trial {
    const struct trial_world *world;
    struct trial_settings settings;
    int64_t now_us;
    int64_t utc_offset_s; /* of local time: 0 in a test */
    struct trial_outcome outcome;
    const struct policy_mail *mail; /* the last; NULL: it never came to one */
    bool (*is_over)(void *arg);     /* asked now and then while many are sent: to stop? NULL: never */
    void *is_over_arg;
    bool was_stopped;

    /* Inner life. */
    struct policy_engine engine;
    struct limiter limiter;
    struct store store;
    void *memory;
    size_t memory_bytes;
    struct arena arena; /* of the mail at hand */
    struct arena connection_arena;
    struct policy_connection connection;
    struct policy_mail mail_state;
    bool is_connected, said_hello, is_logged_in;
    int64_t opened_us;
    struct str sender;         /* of the mail at hand, after defaults */
    struct str default_sender; /* alice@example.org of alice */
    char *default_sender_text;
    struct str *asked; /* the recipients that facts.rcpt runs over: the one at hand, or the accepted */
    size_t asked_count;
    bool has_one_at_hand;
    struct str *accepted;
    size_t accepted_count;
    size_t messages, commands; /* on this connection */
    bool gave_login;
    struct policy_leases **held; /* of connections that stay open */
    size_t held_count, held_cap;
};

/* Makes one with an empty store, at TRIAL_BEGINS_US. NULL: no memory. */
struct trial *trial_new(const struct trial_world *world);
void trial_free(struct trial **trial);
/* Who watches while it is asked; NULL: nobody. */
void trial_watch(struct trial *t, const struct policy_trace *trace);

/* Who makes the recipients of mail number i; they last until it is asked again. NULL: those of the settings. False: no
 * memory. */
struct trial_recipients {
    bool (*make)(void *arg, size_t i, const struct str **rcpts, size_t *count);
    void *arg;
};

/* `count` mails on one connection, number i of them at i·over/count; then the clock stands at over. The outcome is in
 * t->outcome. False: no memory. */
MUST_USE bool trial_send(struct trial *t, size_t count, int64_t over_us, const struct trial_recipients *recipients);
/* `count` connections. Without `over` all are open at once, until trial_hang_up; with it each is closed before the
 * next. */
MUST_USE bool trial_connect(struct trial *t, size_t count, int64_t over_us);
/* Connections that trial_connect left open are closed. */
void trial_hang_up(struct trial *t);

/* Time passes; open connections are closed first. */
void trial_wait(struct trial *t, int64_t us);

/* What the limit has counted for the key as set. False: no memory. */
MUST_USE bool trial_count(struct trial *t, struct str limit, uint64_t *count);
/* The tag of the last mail, or of its connection. NULL: it bears none. */
const struct rule_tag *trial_tag(const struct trial *t, struct str name);

/* trial_facts.c: what the rules may ask about it. */
void trial_facts(const struct trial *t, struct facts *facts);

#endif
