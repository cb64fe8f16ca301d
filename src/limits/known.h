/*
 * known.h - what was seen before of an entity: the networks a user logged in from, the wrong passwords tried for a
 * name.
 *
 *   client.known (RULES.md)  known_ask (KNOWN_NETWORKS)         a successful login ─▶ known_note (KNOWN_NETWORKS)
 *   guesses                  attempt.h asks and notes for itself
 *
 * A value is known for keep_s from when it was noted last. Nothing is counted and nothing refused; a memory that is
 * full forgets what would have ended first.
 */
#ifndef LIMITS_KNOWN_H
#define LIMITS_KNOWN_H

#include "limits/store.h"

/* The networks from which a user logged in: in the last 30 days (RULES.md, `client.known`). */
#define KNOWN_NETWORKS   STR("networks")
#define KNOWN_NETWORKS_S (30 * 86400)

/* One question, or one note. */
struct known {
    bool was_known; /* the answer: also of a note, as it was before. False where the store is away */

    /* Inner life. */
    struct store *store;
    struct take take, *takes[1];
    struct take_member member;
    struct store_op op;
    bool is_waiting;
    void (*cb)(struct known *k, void *arg);
    void *arg;
};

typedef void known_cb(struct known *k, void *arg);

/* What is asked or noted; all borrowed until the answer. */
struct known_value {
    struct str entity; /* u:alice */
    struct str what;   /* KNOWN_NETWORKS */
    struct str value;  /* in its one form */
    uint32_t keep_s;   /* the same in every call for the same `what` */
};

/* Was the value noted within keep_s? DONE: k->was_known says it; STARTED: cb comes exactly once within deadline_ms. */
enum started known_ask_start(struct store *store, struct known *k, const struct known_value *value, int64_t now_us,
                             unsigned deadline_ms, known_cb *cb, void *arg);
/* It is known from now on. */
enum started known_note_start(struct store *store, struct known *k, const struct known_value *value, int64_t now_us,
                              unsigned deadline_ms, known_cb *cb, void *arg);
/* Of a start that answered STARTED: cb never comes. */
void known_cancel(struct known *k);

#endif
