/*
 * outage.h - is Redis to be believed, and how many nodes are there? What the keeper found out, for all processes of
 * this node, in shared memory: a few atomic words, read with every take and written once a second.
 *
 *   worker: cannot reach a shard, or decided alone ──▶ outage_went_alone ─┐
 *   keeper: told Redis all that was decided alone, saw the others do so ──┴▶ outage_set: settled again
 *
 * A domain is what may fail, and lose its data, by itself: the one server, or a shard of a Cluster. It is known by the
 * smallest number k below OUTAGE_DOMAINS whose slot, of the tag {k}, it serves: all nodes call it alike, without having
 * agreed on anything but the Cluster's map. Alone and with Sentinel there is domain 0.
 *
 * Why "it answers again" is not enough. After an outage other nodes have admitted mail that Redis was not told of yet.
 * Who believed its counts at once would admit that much too many. So a node goes on alone, by its share, until its own
 * counts are pushed and every node that was alive before has said that its are, or three seconds are over.
 *
 * And a node that is cut off while the others are not? It admits by its share, and they cannot see it. But they see
 * that its heartbeat ended (OUTAGE_BEAT_US, held for OUTAGE_BEAT_HOLDS_US), and from then on leave it its share: of a
 * limit of 100 three of four nodes use 75. Between the cut and that moment the one that is cut off (it knows at once)
 * counts its last readings as if they did not age: what was full stays full (what was so a while before, and is
 * not any more, does not become so again: OUTAGE_READ_US). A node that left in order is not waited
 * for.
 *
 * Nodes do not settle in one moment either. Who does first finds in Redis all that the others had decided alone when
 * they last said so; what they decide between that and their own settling it cannot see. So a heartbeat says whether
 * its node is still alone (world.h), and until it is not the others leave it its share, as they do to one that is
 * missing.
 *
 * A node of which one process goes on alone (its own connection is not back yet, when the keeper's is) is a node
 * that is cut off: it is not settled, and makes no heartbeat, until all its processes reach Redis.
 *
 * The keeper (keeper.h) settles a domain within a second or two; until then it pushes what was decided alone, again and
 * again, and under load there is always a last mail that it has not pushed yet. So a worker adds its node's `since` to
 * what Redis says of a counter, also while the domain is settled.
 */
#ifndef LIMITS_OUTAGE_H
#define LIMITS_OUTAGE_H

#include <stdatomic.h>

#include "base/err.h"
#include "base/hash.h"
#include "limits/store.h"

enum {
    OUTAGE_DOMAINS = 64,
    OUTAGE_BEAT_US = 1000000,
    OUTAGE_BEAT_HOLDS_US = 3000000,
    OUTAGE_SETTLE_MAX_US = 3000000,
    OUTAGE_READ_US = 5000000,    /* whoever is pressed on is read again within it: so long a denial is remembered */
    OUTAGE_CUT_OFF_US = 1000000, /* a process that cannot reach a shard says so several times within it */
};
/* A node that was not heard of for so long is forgotten, and its share used by the others again. */
#define OUTAGE_FORGET_US INT64_C(3600000000)

struct outage_domain {
    _Alignas(64) _Atomic uint64_t alone_count; /* decisions made alone: grows */
    /* 1 + the alone_count that Redis was told of; 0: none yet. Redis may be believed while nothing was decided since:
     * so no worker's decision is lost between the keeper's look and its word. */
    _Atomic uint64_t settled_count;
    _Atomic int64_t alone_since_us; /* monotonic; 0: not alone */
    _Atomic uint32_t nodes;         /* known, this one among them; 0: none yet, which counts as 1 */
    _Atomic uint32_t missing;       /* of these: without heartbeat, so perhaps alone */
    _Atomic uint32_t alone;         /* of these: with one, which says that they are not settled */
    _Atomic int64_t cut_off_us; /* monotonic: when a process of this node said last that it cannot reach the shard */
    _Atomic int64_t reached_us; /* and when the keeper reached it */
    _Atomic uint64_t epoch;     /* of the tag of that number, as the keeper read it last; 0: never */
    _Atomic uint32_t changes;   /* of nodes, missing, alone, or settled_count */
};

/* Zeroed memory is a valid one: nothing is known, nothing settled. outage_begin makes it one of a node that has only
 * begun, and knows of no trouble: it believes Redis as soon as it reaches it. */
struct outage {
    struct outage_domain domains[OUTAGE_DOMAINS];
    /* What values (networks, passwords tried …) are hashed with, the same in all nodes; it comes from Redis. */
    _Atomic uint64_t values_k0, values_k1;
    _Atomic uint32_t has_values_key;
};

void outage_begin(struct outage *o);

/* ---- workers ---- */

/* May the domain's counts be believed? */
bool outage_is_settled(const struct outage *o, unsigned domain);
/* May all domains that the keeper has found be believed, and has it found any? */
bool outage_is_over(const struct outage *o);
/* Redis was not asked, or will not answer any more (an answer that is only late is still to come), and this process
 * decided alone (the mirror has it already, so that the keeper finds it); or its link to the shard is another one than
 * before: the domain is unsettled until the keeper says otherwise. */
void outage_went_alone(struct outage *o, unsigned domain, int64_t monotonic_us);
/* This process cannot reach the domain's shard; said again and again, as long as it is so. */
void outage_cut_off(struct outage *o, unsigned domain, int64_t monotonic_us);
/* Has the keeper just reached it? Then it is time to look again. */
bool outage_is_reached(const struct outage *o, unsigned domain, int64_t monotonic_us);
/* Since when this node decides alone; monotonic. 0: it does not, or has had nothing to decide yet. */
int64_t outage_alone_since_us(const struct outage *o, unsigned domain);
/* N for a decision alone. */
uint32_t outage_nodes(const struct outage *o, unsigned domain);
/* How old a reading may be that counts as it was then, while the others may not know yet that this node is alone. 0:
 * they do, or are none. */
int64_t outage_unnoticed_us(const struct outage *o, unsigned domain, int64_t monotonic_us);
/* How many nodes' charges Redis does not have, perhaps: they are missing or alone. */
uint32_t outage_unseen(const struct outage *o, unsigned domain);
/* What is left of `allowed` when `unseen` of so many nodes keep their shares. ALLOWED_ANY stays. */
uint64_t outage_left(uint64_t allowed, uint32_t nodes, uint32_t unseen);
/* The same of those that are unseen now. */
uint64_t outage_allowed(const struct outage *o, unsigned domain, uint64_t allowed);
/* Grows whenever counts may have been pushed into windows that were closed: what was read of such a window before is no
 * longer known. */
uint32_t outage_changes(const struct outage *o, unsigned domain);
/* The key for values; before Redis was ever asked: one of this node. */
struct hash_key outage_values_key(const struct outage *o, const struct hash_key *node_key);

/* ---- the keeper ---- */

/* Has a process of this node lately found that it cannot reach the shard? */
bool outage_is_cut_off(const struct outage *o, unsigned domain, int64_t monotonic_us);
void outage_reached(struct outage *o, unsigned domain, int64_t monotonic_us);
/* What was found out. */
void outage_set(struct outage *o, unsigned domain, uint32_t nodes, uint32_t missing, uint32_t alone);
/* Read before the counts are pushed … */
uint64_t outage_alone_count(const struct outage *o, unsigned domain);
/* … and given back when Redis has them: settled, unless somebody went alone meanwhile (false: push once more). */
MUST_USE bool outage_settle(struct outage *o, unsigned domain, uint64_t alone_count);
void outage_set_values_key(struct outage *o, struct hash_key key);

#endif
