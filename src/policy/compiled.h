/* compiled.h - rules and limits as policy/ keeps them. compile.c writes, ask.c and charges.c read. */
#ifndef POLICY_COMPILED_H
#define POLICY_COMPILED_H

#include "limits/limiter.h"
#include "policy/ask.h"
#include "policy/lookups.h"
#include "policy/policy.h"

struct policy_action {
    enum action_kind kind;
    int code;                   /* of what refuses: a rule's is complete; a threshold's, where it says none: 0 */
    char enhanced[12];          /* likewise: empty */
    struct text_template *text; /* of what refuses, and of log; the reason of a ban; of tag its value, of add-header its
                                   text; NULL: without one */
    struct str name;            /* of a tag, a header, a pool, an alert; of the limit that is charged */
    const struct policy_limit *limit; /* of charge; NULL: it is disabled */
    enum key whom;                    /* of a ban: KEY_CLIENT, KEY_NETWORK, KEY_USER */
    bool has_reason;                  /* of a ban: text is it, and not only what is replied */
    uint32_t ban_s, ban_max_s;        /* ban_max_s: of `doubling to`; 0: it does not */
    uint32_t tarpit_ms;
    int64_t number; /* of score: millionths; of charge: whole */
};

/* What a refusal answers that names no code (GRAMMAR.md 4); code 0: without a word. */
struct reply_code {
    int code;
    const char *enhanced;
};
struct reply_code default_reply_code(enum action_kind kind, enum phase phase);

struct policy_rule {
    struct str name;
    bool is_observed;
    const struct test_node *condition; /* NULL: always */
    const struct policy_action *actions;
    size_t action_count;
};

enum { POLICY_KEYS_MAX = KEY_COUNT };

/* What a threshold does (limits/limit.h keeps it, and does not look at it). */
struct policy_actions {
    const struct policy_action *items;
    size_t count;
};

struct policy_limit {
    struct limit limit;
    enum unit unit; /* as the rules name it */
    enum key keys[POLICY_KEYS_MAX];
    size_t key_count;
    enum phase phase; /* where it is asked; of event units PHASE_COUNT: they count when something happens */
    const struct test_node *condition;
    bool asks_rcpt;                 /* its condition is asked for each recipient */
    bool may_wait;                  /* its condition, or a text of its thresholds */
    bool is_each_rcpt;              /* a part of its key is the recipient: it has a count for each */
    const struct lookup *overrides; /* a map; NULL: none */
};

struct policy {
    struct eval_program program;
    struct policy_rule *rules[PHASE_COUNT];
    size_t rule_counts[PHASE_COUNT];
    struct policy_limit *limits; /* in the order of the configuration */
    size_t limit_count;
    unsigned units; /* a bit for each that some limit counts */
    /* What is asked outside: only what some condition names, in the order of its number. */
    struct policy_dnsbl *dnsbls;
    struct policy_remote *remotes;
    size_t dnsbl_count, remote_count;
    uint64_t phase_dnsbls[PHASE_COUNT]; /* which of them rules and limits of a phase may ask */
    bool *phase_counts[PHASE_COUNT];    /* likewise: of each limit, may its count be asked for? */
    bool events_may_wait;               /* some limit of what happens: its condition, or a text of its thresholds */
    bool is_settled_at_mail; /* which limits of data apply, and for whom, depends on nothing that comes after MAIL */
};

/* NULL: none of that name, or it is disabled. */
const struct policy_limit *policy_find_limit(const struct policy *policy, struct str name);

/* ---- entity.c ---- */

/* What a key looks at, as it is known at that phase: a text, an address or a network, of `global` nothing. False: it is
 * not known. */
bool policy_key_fact(enum key key, const struct facts *facts, enum phase at, struct fact *x);
/* The attribute it looks at, from login on; -1: none. */
int policy_key_attribute(enum key key);
/* Appends it, spelt in its one form: also for the values that limits of distinct units count. False: no memory. */
MUST_USE bool policy_spell(struct buf *to, enum key key, const struct fact *x);
/* Whom the keys mean: "u:alice@example.org", "u+i:alice@example.org+192.0.2.7", in the arena. at: at auth the user is
 * the name that was given. len 0: a part of it is not known; ptr NULL: no memory. */
struct str policy_entity(const enum key *keys, size_t key_count, const struct facts *facts, enum phase at,
                         struct arena *arena);
/* "user:alice@example.org" of "u:alice@example.org", in the arena. */
struct str policy_key_text(struct str entity, struct arena *arena);

#endif
