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
    enum key whom;              /* of a ban: KEY_CLIENT, KEY_NETWORK, KEY_USER */
    bool has_reason;            /* of a ban: text is it, and not only what is replied */
    uint32_t ban_s, ban_max_s;  /* ban_max_s: of `doubling to`; 0: it does not */
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

struct policy_limit {
    struct limit limit;
    enum key keys[POLICY_KEYS_MAX];
    size_t key_count;
    enum phase phase; /* where it counts */
    const struct test_node *condition;
    bool asks_rcpt; /* its condition is asked for each recipient */
    bool may_wait;  /* its condition */
};

struct policy {
    struct eval_program program;
    struct policy_rule *rules[PHASE_COUNT];
    size_t rule_counts[PHASE_COUNT];
    struct policy_limit *limits; /* in the order of the configuration */
    size_t limit_count;
    /* What is asked outside: only what some condition names, in the order of its number. */
    struct policy_dnsbl *dnsbls;
    struct policy_remote *remotes;
    size_t dnsbl_count, remote_count;
    uint64_t phase_dnsbls[PHASE_COUNT]; /* which of them rules and limits of a phase may ask */
    bool is_settled_at_mail; /* which limits of data apply, and for whom, depends on nothing that comes after MAIL */
};

/* charges.c: what the limits of a phase cost in this case. Charges and entities lie in the arena; *charges has room for
 * every limit. at: the phase of the question; at mail and rcpt those of data are asked as far as they are known
 * (is_early). False: no memory. */
MUST_USE bool policy_charges(const struct policy *policy, const struct policy_case *question, enum phase at,
                             struct arena *arena, struct charge **charges, size_t *count);
/* Whom the keys mean: "u:alice@example.org", "u+i:alice@example.org+192.0.2.7", in the arena. len 0: a part of it is
 * not known; ptr NULL: no memory. */
struct str policy_entity(const enum key *keys, size_t key_count, const struct facts *facts, struct arena *arena);
/* "user:alice@example.org" of "u:alice@example.org", in the arena. */
struct str policy_key_text(struct str entity, struct arena *arena);

#endif
