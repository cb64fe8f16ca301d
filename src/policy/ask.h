/*
 * ask.h - the only door to rules, lookups and limits. Live mail, `test` blocks, explain and replay all come through it.
 *
 *   session ── policy_ask_start(phase) ──▶ bans ─▶ rules of the phase ─▶ limits of the phase ──▶ answer
 *                                                       └ what must be looked up is asked outside, once, and then
 *                                                         the rule or limit that needed it is asked again
 *
 * Limits lie in a store (limits/store.h) that answers at once, or, where it is another server's, a little later: then
 * the question waits for it as for all that lies outside, and goes on where it was.
 *
 * For data the limits are one reservation for the whole mail, all or nothing. It stays in the mail until policy_settle
 * (the real size is known, before the dot), and then policy_keep (the MTA took it, or nobody knows) or
 * policy_give_back. At mail and rcpt limits that are known to be full refuse early, with the same words (LIMITS.md,
 * RULES.md "Limits", GRAMMAR.md 4).
 */
#ifndef POLICY_ASK_H
#define POLICY_ASK_H

#include "base/arena.h"
#include "base/map.h"
#include "limits/lease.h"
#include "limits/limit.h"
#include "rules/eval.h"

struct policy; /* rules and limits, compiled (policy/policy.h); immutable */
struct policy_rule;
struct policy_case;
struct reservation;

/* Who watches (explain): told of all that is looked at, in order, while it is looked at. */
struct policy_trace {
    void (*on_phase)(void *arg, enum phase phase);
    /* FAILED: what it needed cannot be had, and it was passed over; it is not told of a rule that waits. */
    void (*on_rule)(void *arg, enum phase phase, const struct policy_rule *rule, enum eval_result result,
                    const struct eval_context *context);
    /* The limits of a phase were asked; r: what they came to, NULL: none applies. */
    void (*on_limits)(void *arg, enum phase phase, const struct policy_case *question, const struct reservation *r);
    void *arg;
};

struct policy_lookups;  /* lookups.h: who is asked outside */
struct ban_table;       /* limits/ban.h */
struct allowance_table; /* limits/allowance.h */

/* One a worker. */
struct policy_engine {
    const struct policy *policy;
    struct limiter *limiter; /* its store takes leases in the worker's name: process/ releases what a dead one held */
    struct ban_table *bans;  /* of all workers; NULL: nobody is banned, and a ban only ends the session */
    struct allowance_table *allowances; /* of operators; NULL: none */
    struct policy_lookups *lookups;     /* NULL: nothing can be found out */
    const struct policy_trace *trace;   /* NULL: nobody watches */
};

/* BAN: a new ban, or an older one that was met. The session ends: without a word at connect (no code), else after the
 * reply. */
enum policy_verdict { POLICY_GO_ON, POLICY_REJECT, POLICY_DEFER, POLICY_DISCONNECT, POLICY_DROP, POLICY_BAN };

/* What is to be written down, in order. In the case's arena. */
enum policy_effect_kind {
    POLICY_EFFECT_LOG,       /* a rule's `log` */
    POLICY_EFFECT_WOULD,     /* what an observed rule or limit would have done */
    POLICY_EFFECT_THRESHOLD, /* a threshold newly passed that logs */
    POLICY_EFFECT_ALERT,     /* an event for somebody; of `quarantine` for nobody in particular */
    POLICY_EFFECT_BAN,       /* a ban began, or lasts longer */
};
struct policy_effect {
    struct policy_effect *next;
    enum policy_effect_kind kind;
    struct str by;     /* rule or limit */
    struct str action; /* the action's word: "reject", "ban" … */
    struct str text;   /* the reply, the log's text, the reason */
    /* WOULD: of what refuses. */
    enum policy_verdict verdict;
    enum phase phase;
    int code;
    char enhanced[12];
    struct str alert; /* ALERT: the statement's name; STR_NONE: of quarantine */
    struct str key;   /* ALERT, BAN, THRESHOLD: whom it concerns, "user:alice@example.org"; may be empty */
    int64_t until_us; /* BAN: its end, wall clock */
    unsigned strikes; /* BAN: how many within a week, with this one */
};

struct policy_answer {
    enum policy_verdict verdict;
    int code;          /* 0: POLICY_GO_ON and POLICY_DROP */
    char enhanced[12]; /* "5.7.1" */
    struct str text;   /* what the client reads, without codes; in the case's arena */
    struct str by;     /* the rule or limit that decided; STR_NONE: none did */
    bool by_limit;
    int64_t retry_after_ms; /* of a limit that will let it through later; else 0 */
    uint32_t tarpit_ms;     /* the reply, whatever it is, waits for so long; at most POLICY_TARPIT_MAX_MS */
    struct policy_effect *effects;
};

enum { POLICY_TARPIT_MAX_MS = 60000 }; /* per command (RULES.md "Rules") */

struct policy_leases {
    size_t count;
    struct lease items[];
};

struct policy_client; /* lookups.h: what was found out about the client's address */

/* What lasts for the connection; lies in the session, zeroed at first. */
struct policy_connection {
    struct rule_tag *tags;            /* set from connect to login, the last set first; in the connection's arena */
    struct rule_tag *tags_of_connect; /* where, in that list, those of connect begin */
    struct policy_leases *leases;     /* open-connections held; heap; NULL: none */
    struct policy_client *client;     /* in the connection's arena; NULL: nobody asked yet */
    bool has_known, is_known;         /* `client.known`, as it was before the login */
    struct str pool;                  /* `relay to` at login: which servers behind; STR_NONE: the listener's */
    int64_t score, score_of_connect;  /* in millionths; …_of_connect: what stays when TLS begins */
};

/* A login attempt, from the rules of auth until its password was right or wrong. Lies in the session's login, zeroed at
 * first. */
struct policy_login {
    struct arena *arena; /* heap; of the attempt; NULL: no limit counts it */
    struct attempt *attempt;
};

/* One counter that a mail was charged on, for its event line. */
struct policy_count {
    struct policy_count *next;
    struct str name, key; /* "user-recipients", "user:alice@example.org" */
    uint64_t period_s, limit, used;
};

/* A change of the message's header on its way to the MTA, by add-header, remove-header or add-missing. */
enum policy_edit_kind { POLICY_EDIT_ADD, POLICY_EDIT_REMOVE, POLICY_EDIT_ADD_MISSING };
struct policy_edit {
    struct policy_edit *next;
    enum policy_edit_kind kind;
    struct str name, text; /* text: of ADD; without control characters, at most 998 bytes with its name */
};

/* What lasts for the mail; zeroed at MAIL. All of it lies in the mail's arena. */
struct policy_mail {
    struct rule_tag *tags;
    struct policy_edit *edits;       /* in the order of the rules */
    struct str pool;                 /* `relay to` at mail; STR_NONE: the connection's */
    int64_t score;                   /* added since MAIL, in millionths; the score is the connection's and this */
    struct reservation *reservation; /* NULL: nothing is charged */
    struct policy_count *counts;
    const char *decided_by;       /* who answered for the limits (limits/store.h); NULL: none was asked */
    uint32_t share_of;            /* the mail was refused by this node's share alone, one of so many; 0: it was not */
    int64_t waited_us;            /* for their store */
    uint64_t recipients_that_fit; /* as MAIL saw it: so many need no look before DATA */
};

struct policy_trip; /* trips.h: one thing that is being looked up */
struct asking;      /* asking.h */

/* What a question needs from outside (outside.c): the door's own, zeroed at first. It lies here because it must stay
 * where it is while it waits. */
struct policy_outside {
    struct eval_outside hooks; /* what conditions ask */
    struct policy_engine *engine;
    struct policy_case *question;
    enum phase phase;
    bool is_counting; /* the condition of a limit is asked, for used() or left() */
    bool wants_name;  /* wanted, and no trip for it yet */
    bool has_remotes; /* `remotes` is in use */
    bool has_counts;  /* `counts` is */
    enum { NETWORK_UNASKED, NETWORK_ASKED, NETWORK_HEARD, NETWORK_NOTED } network; /* `client.known` (networks.c) */
    struct map remotes; /* what remote tables said: table and key → its trip */
    struct map counts;  /* how full limits are, where their store answers later: limit and entity → its trip */
    uint64_t wants_dnsbls;
    struct policy_trip *trips;
    size_t under_way;          /* trips, and what the limits' store was asked */
    struct reservation limits; /* those that are being asked and hold nothing afterwards */
    const char *failed;        /* the dnsbl or table that has no answer, of what was asked last */
    bool failed_defers;        /* its `failure` */
    struct asking *waiting;    /* NULL: it does not wait */
};

/* One question. */
struct policy_case {
    struct facts facts;
    struct arena *arena;            /* for the answer's texts and effects, and from mail on for tags: then the mail's */
    struct arena *connection_arena; /* for the tags of the connection */
    struct policy_connection *connection;
    struct policy_mail *mail;   /* NULL before mail */
    struct policy_login *login; /* at auth */
    struct str password;        /* at auth: as it was given, borrowed until the answer */
    size_t recipient_count;     /* at data: of the accepted ones, facts.rcpt runs over them */
    uint64_t size_bytes;        /* at data: declared by SIZE=; 0: not declared, reserved as 1 KiB; to settle: real */
    int64_t now_us;             /* live: clock_steady_us, read for this question */
    bool is_never_early;        /* a trial: limits of data refuse at data (GRAMMAR.md 5) */
    /* At data; NULL: nobody wants to know. The rules went on and the limits were asked, but their store answers later:
     * what else there is to do may be begun meanwhile. Called from inside, with the arg of cb. */
    void (*on_reserving)(void *arg);
    struct policy_outside outside;
};

/* All that may wait, here and below: DONE: *answer is there. STARTED: cb comes once, by deadline_ms (a moment of the
 * loop; the limits' store has a shorter one of its own), unless policy_ask_cancel; then answer and case must last until
 * it has come. Lack of memory is an answer: a refusal for now. */
enum started policy_ask_start(struct policy_engine *engine, enum phase phase, struct policy_case *question,
                              struct policy_answer *answer, int64_t deadline_ms, void (*cb)(void *arg), void *arg);
/* Of any of them, if it waits. What limits were asked for is not charged; what had happened may be counted or not; a
 * password that was wrong stays charged. Before the case's login or mail is given back. */
void policy_ask_cancel(struct policy_engine *engine, struct policy_case *question);

/* ---- logins: after the rules of auth went on, exactly one of these three ---- */

/* The password was wrong: what the limits reserved stays charged. The answer tells what thresholds do about it:
 * effects, a tarpit; the verdict is POLICY_GO_ON, the reply is the caller's (535). */
enum started policy_login_failed_start(struct policy_engine *engine, struct policy_case *question,
                                       struct policy_answer *answer, int64_t deadline_ms, void (*cb)(void *arg),
                                       void *arg);
/* The password was right: nothing of it is charged, and once PHASE_LOGIN went on too, the network is known for this
 * user (`client.known`). */
void policy_login_succeeded(struct policy_engine *engine, struct policy_case *question);
/* Nobody could say, or the client went: nothing is charged. Harmless where nothing is held. */
void policy_login_give_back(struct policy_engine *engine, struct policy_login *login);

/* n events of a unit that the session sees happen (errors, unknown-recipients; facts.rcpt: the recipient) are counted.
 * The answer is what thresholds do about it: DISCONNECT, DROP and BAN end the session; REJECT and DEFER mean that
 * something was refused already, and that MAIL will be while the count is above. Refusals are counted by policy_ask
 * itself. */
enum started policy_count_event_start(struct policy_engine *engine, enum limit_unit unit, uint32_t n,
                                      struct policy_case *question, struct policy_answer *answer, int64_t deadline_ms,
                                      void (*cb)(void *arg), void *arg);
/* Does any limit count it? */
bool policy_counts_event(const struct policy_engine *engine, enum limit_unit unit);

/* ---- mails: after PHASE_DATA went on ---- */

/* The message's real size is known (it is the case's size_bytes now) and its dot not yet sent: bytes are charged by it.
 * A refusal: more than the limit has left; it is one of the whole mail (451 to the dot), and everything is given back.
 */
enum started policy_settle_start(struct policy_engine *engine, struct policy_case *question,
                                 struct policy_answer *answer, int64_t deadline_ms, void (*cb)(void *arg), void *arg);
/* The MTA took it, or its fate is unknown: the charge stays. */
void policy_keep(struct policy_engine *engine, struct policy_mail *mail, int64_t now_us);
/* It was refused or given up: nothing was sent. Harmless if nothing is charged. */
void policy_give_back(struct policy_engine *engine, struct policy_mail *mail);
/* TLS begins: what was said in the clear, and the tags that rules made of it, are forgotten (RFC 3207 4.2). */
void policy_forget_hello(struct policy_connection *connection);
/* The connection ends: its leases end. Its questions are answered or cancelled. */
void policy_connection_end(struct policy_engine *engine, struct policy_connection *connection);
/* For trials: what a limit has counted by now, in its first window, for the key that the facts give it: bytes in bytes,
 * 0 where it does not apply. The store answers at once. False: no memory. */
MUST_USE bool policy_count_get(struct policy_engine *engine, struct str limit, const struct facts *facts,
                               int64_t now_us, struct arena *arena, uint64_t *count);

#endif
