/*
 * redis_keys.h - what counters are called in Redis (LIMITS.md "Keys"), for all who write or look for them.
 *
 *   mw1:q:{u:alice@example.org}:3600:497421            slots: the window's length and its number; messages, recipients,
 *                                                      KiB
 *   mw1:q:{n:192.0.2.0/24}:900:1989688:guesses         … of another unit
 *   mw1:q:{u:alice@example.org}:3600:497421:ext.bytes  … of a limit that counts for itself: its name, a dot, its unit
 *   mw1:c:{i:192.0.2.7}[:NAME]                         open connections [of a limit that counts for itself]
 *   mw1:x:{u:alice@…}:net:86400[:NAME]                 different values within so many seconds: net, country, users
 *   mw1:x:{u:alice@…}:known:networks                   a memory: what was seen, whose score is the last time
 *   mw1:h:{u:alice@…}:rcpt:86400:82900[:NAME]          HyperLogLog of recipients, one a quarter of the window
 *   mw1:b:{i:…} mw1:k:{i:…} mw1:bans                   bans
 *   mw1:o:{u:alice@…} mw1:allowances                   overrides by operators
 *   mw1:epoch[:{k}] mw1:nodes[:{k}] mw1:secret         the keeper's; {k} in a Cluster (outage.h)
 *
 * The entity stands between { and }: all keys of an entity lie in one slot of a Cluster. Entities hold neither brace
 * (escape_key). One that is too long for a name stands as "%-" and its hash, without a secret: alike on all nodes.
 */
#ifndef LIMITS_REDIS_KEYS_H
#define LIMITS_REDIS_KEYS_H

#include "base/buf.h"
#include "limits/store.h"

enum {
    REDIS_PREFIX_MAX_BYTES = 32,
    REDIS_ENTITY_MAX_BYTES = 128, /* a longer one is hashed */
    REDIS_NAME_MAX_BYTES = 48,    /* likewise a limit's name */
    REDIS_STEM_MAX_BYTES = 256,
    REDIS_KEY_MAX_BYTES = REDIS_STEM_MAX_BYTES + 1 + 20
};

/* A counter's name up to where a window's number belongs, and what follows it: "mw1:q:{u:alice}:3600" and ":guesses",
 * joined in `to` with a NUL between them so that one text says both (redis_key_of_window); without a NUL where nothing
 * follows. HyperLogLogs likewise, with the quarter's number. Other kinds: the whole name. At most
 * REDIS_STEM_MAX_BYTES long; ptr NULL: `to` is smaller than it has to be. */
struct str redis_stem(const struct counter *counter, struct str prefix, char *to, size_t size);
/* The key of window (or quarter) number w of a stem; `to` has REDIS_KEY_MAX_BYTES. */
struct str redis_key_of_window(struct str stem, uint64_t w, char *to, size_t size);
/* "mw1:b:{ENTITY}" and the like: prefix, one letter, the entity, and an ending (":net", may be empty). ptr NULL: `to`
 * is smaller than it has to be. */
struct str redis_key_of_entity(struct str prefix, char letter, struct str entity, struct str ending, char *to,
                               size_t size);

/* What a key is, read back: for the audit and `mailweir limits`. */
struct redis_key_parts {
    char letter;       /* q c h x b k o; 0: a name of its own, which is `kind` (bans, nodes, epoch, secret, allowances) */
    struct str entity; /* letter 0: the domain's number, or empty */
    struct str kind;   /* h x: rcpt, net, country, users, known */
    uint32_t period_s; /* q h x; 0: none */
    uint64_t window;   /* q: the window; h: the quarter */
    struct str ending; /* q: the unit, or limit and unit; c h x: the limit, or of what a memory is; may be empty */
};
/* False: not one of ours. Borrows from key. */
MUST_USE bool redis_key_parse(struct str key, struct str prefix, struct redis_key_parts *parts);

#endif
