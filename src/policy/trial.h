/*
 * trial.h - a made-up session: rules and limits are asked phase by phase as a live session asks them (session/), over a
 * store of its own and a clock that is only moved.
 *
 *   test_block.c ─┐ settings   trial_connect · trial_fail · trial_send
 *   explain.c    ─┴──────────▶ connect ─ helo ─ auth ─ login ─ ( mail ─ rcpt… ─ data ─ header ─ message ─ settle ─
 *                                 │                                                            keep ─ result )…
 *                                 └──────────────── policy_ask_start ─────────▶ outcome
 *
 * The server's own checks, milters and the MTA take no part: a milter says what the settings say, and the MTA takes
 * everything (GRAMMAR.md 5). Names, countries and lists are what the settings say, too. Who was refused at helo, auth
 * or login tries again with its next mail; who was disconnected connects again.
 *
 * trial.c runs many of them, trial_session.c one from phase to phase, trial_message.c is the message, trial_facts.c
 * what rules may ask.
 */
#ifndef POLICY_TRIAL_H
#define POLICY_TRIAL_H

#include "limits/limiter.h"
#include "policy/ask.h"
#include "policy/header_facts.h"
#include "policy/lookups.h"

enum {
    TRIAL_TEXT_MAX_BYTES = 1024,  /* of a reply */
    TRIAL_STORE_ENTRIES = 131072, /* a thousand mails to a hundred each; what nobody counts in costs no memory */
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

struct trial_header {
    struct str name, value;
};
struct trial_milter {
    struct str name;
    enum policy_verdict verdict; /* GO_ON: it accepts; REJECT, DEFER */
};

/* How far a mail comes if nobody refuses it. */
enum trial_end { TRIAL_TO_THE_END, TRIAL_ENDS_AFTER_MAIL, TRIAL_ENDS_AFTER_RCPT };

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
    const struct trial_header *headers; /* without a From, one is put on top: From: <sender> */
    size_t header_count;
    struct str block;                   /* a header block as it is on the wire: then it is all of the header */
    const struct trial_milter *milters; /* that say something */
    size_t milter_count;

    /* What else is known of a mail that really came (replay.h). As trial_new leaves them, nothing is. */
    struct str node; /* empty: the world's */
    struct str tls_version, tls_cipher, mechanism;
    bool has_few_fields; /* `block` is only what is known of the header: of the rest nothing can be said */
    bool is_early;       /* limits that are known to be full refuse at mail and rcpt, as they do for a session */
    enum trial_end end;
    const int *rcpt_codes; /* what the MTA said to each recipient; 0: it took it. NULL: it took all */
    int result_code;       /* what the MTA said to the mail; 0: it took it */
    struct str result_text;
    bool is_lost; /* nobody knows whether the MTA took it: it stays charged */
};

enum trial_by { TRIAL_BY_RULE, TRIAL_BY_LIMIT, TRIAL_BY_MILTER, TRIAL_BY_MTA };

/* What one mail or connection came to: the first refusal it met, else POLICY_GO_ON. */
struct trial_result {
    enum policy_verdict verdict;
    enum phase at;
    int code;
    char enhanced[12];
    char text[TRIAL_TEXT_MAX_BYTES];
    size_t text_len;
    struct str by; /* empty: nobody's rule; lasts as long as the policy, or the settings */
    enum trial_by by_what;
};

/* Of all refusals that a mail meets the one that decided: the last. Its text lasts as long as the mail. */
struct trial_refusal {
    enum policy_verdict verdict; /* POLICY_GO_ON: there was none */
    enum phase at;
    int code;
    char enhanced[12];
    struct str text, by;
    enum trial_by by_what;
};

struct trial_outcome {
    size_t count, accepted; /* mails, connections, or attempts to log in */
    struct trial_result last;
    struct trial_result first_refused; /* if accepted < count */
    bool is_wrong_password;            /* the last: rules and limits let it be looked at, and it was wrong */
};

struct trial {
    const struct trial_world *world;
    struct trial_settings settings;
    struct policy_given given; /* what is found out about the client: to be set, too */
    int64_t now_us;
    int64_t utc_offset_s; /* of local time: 0 in a test */
    struct trial_outcome outcome;
    struct trial_refusal refusal;   /* the last one */
    const struct policy_mail *mail; /* the last; NULL: it never came to one */
    bool was_taken;                 /* the last mail went on to the MTA, to all recipients or some */
    bool (*is_over)(void *arg);     /* asked now and then while many are sent: to stop? NULL: never */
    void *is_over_arg;
    bool was_stopped;

    /* Inner life. */
    struct policy_engine engine;
    struct limiter limiter;
    struct store store;
    void *memory, *ban_memory;
    size_t memory_bytes;
    struct arena arena; /* of the mail at hand */
    struct arena connection_arena;
    struct arena effect_arena; /* of those of the connection */
    struct policy_connection connection;
    struct policy_mail mail_state;
    struct policy_login login;
    struct str password; /* of the attempt at hand */
    size_t passwords;    /* made up so far */
    bool is_connected, said_hello, is_logged_in;
    int64_t opened_us;
    struct str sender;         /* of the mail at hand, after defaults */
    const struct str *asked; /* the recipients that facts.rcpt runs over: the one at hand, or the accepted */
    size_t asked_count;
    bool has_one_at_hand;
    struct str *accepted;
    size_t accepted_count;
    struct header_facts *header; /* NULL: nobody asked yet */
    bool is_message, has_result; /* whole; and answered by the MTA */
    size_t messages, commands;   /* on this connection */
    bool gave_login;
    /* What there was to say: of the connection, then of the mail at hand. */
    struct policy_effect *effects, **connection_effects_end, **effects_end;
    uint32_t connection_tarpit_ms, mail_tarpit_ms;
    struct policy_leases **held; /* of connections that stay open */
    size_t held_count, held_cap;
};

/* Makes one with an empty store, at TRIAL_BEGINS_US. NULL: no memory. */
struct trial *trial_new(const struct trial_world *world);
/* The same with room for that many counts and bans. */
struct trial *trial_new_large(const struct trial_world *world, size_t store_entries, size_t bans);
/* Another one that counts where the first does, which must last longer. */
struct trial *trial_new_beside(struct trial *first);
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
/* `count` attempts to log in as the user of the settings, each on a connection of its own. passwords: 0: each is wrong,
 * and was never tried before in this trial; else so many wrong ones, in turn. */
MUST_USE bool trial_fail(struct trial *t, size_t count, size_t passwords, int64_t over_us);
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

/* All delays of the last mail and of its connection. */
uint32_t trial_tarpit_ms(const struct trial *t);
/* What was noted for the last mail and for its connection: t->effects. Does the last mail, as it went on to the MTA,
 * have such a field (value.ptr NULL: with whatever value)? What it has instead is appended to found: the first value;
 * STR_NONE without one. False: no memory. */
MUST_USE bool trial_header(struct trial *t, struct str name, struct str value, bool *has, struct str *found);

#endif
