/*
 * whom.h - whom an administrator means by a key that he writes: "user:alice@example.org", "client:192.0.2.7",
 * "user+client:alice@example.org+192.0.2.7", "global"; or a bare value, which is guessed.
 *
 * It is the key as events and replies show it. What it means is found as for live mail: the key's values become facts
 * (rules/facts.h), and from these the entity is made (entity.c), so that both never differ in spelling.
 *
 *   bare               taken for
 *   192.0.2.7          client
 *   192.0.2.0/24       network; an IPv6 /64: client
 *   a@example.org      user, sender, rcpt
 *   example.org        user, user.domain, sender.domain, rcpt.domain
 *   alice              user, listener
 */
#ifndef POLICY_WHOM_H
#define POLICY_WHOM_H

#include "policy/compiled.h"

enum { WHOM_GUESSES_MAX = 4, WHOM_TEXT_MAX_BYTES = 1024 };

struct whom {
    enum key keys[POLICY_KEYS_MAX];
    size_t key_count;
    struct fact values[KEY_COUNT]; /* of the keys; of others nothing is known */
    struct facts facts;            /* as a getter of these; the struct must stay where it is */
    struct str entity;             /* "u:alice@example.org" */
    struct str text;               /* "user:alice@example.org" */
};

/* How long the prefix of a client's network is (`network prefix`). */
struct whom_prefixes {
    unsigned ipv4, ipv6;
};

/* The meanings of the text, one unless it was bare; what they hold lies in the arena, or in the text itself. *count 0:
 * err says what is wrong with it. */
void whom_read(struct whom to[WHOM_GUESSES_MAX], size_t *count, struct str text, const struct whom_prefixes *prefixes,
               struct arena *arena, struct err *err);
/* The network in which a client lies, for whom a ban of it is a ban of his own. False: he is no client, or no memory.
 */
bool whom_network_of(struct whom *to, const struct whom *whom, const struct whom_prefixes *prefixes,
                     struct arena *arena);
/* Does the limit keep a count for just these keys, in this order or another? */
bool whom_is_counted_by(const struct whom *whom, const struct policy_limit *limit);
/* Who it is to that limit: keys in its order. ptr NULL: no memory. */
struct str whom_entity(const struct whom *whom, const struct policy_limit *limit, struct arena *arena);

#endif
