/*
 * redis_inside.h - what the files of redis/ share; for nobody else.
 *
 *   call.c      a call's memory: commands in, commands found again
 *   reply.c     bytes to replies                        link.c, link_open.c   one connection
 *   circuit.c   up or down, pure                        shard.c     a server that holds data: link, circuit, clock
 *   redis.c     the API of redis.h, dispatch            alone.c, sentinel.c, cluster.c   a shape each
 *   slots.c     the slot of a key (redis_slot), the map of a Cluster
 *
 * A shape knows where servers are. It makes shards, says which one has a key, finds (again) where a shard's server is,
 * and may take replies that are not for the caller (MOVED, ASK). All else is the same in every shape.
 *
 *   life of a shard:   probe due ─▶ shape->locate ─▶ redis_shard_connect ─▶ link up ─▶ shape->accepts ─▶ good probe
 *                                                 └▶ redis_shard_fails                              └▶ bad probe
 *   life of a call:    redis_send ─▶ shape->route ─▶ shard ─▶ link
 *                        ├▶ each reply ─▶ [shape->takes_reply] ─▶ redis_call_deliver
 *                        └▶ the end ────▶ [shape->takes_end] ───▶ redis_call_finish
 */
#ifndef REDIS_INSIDE_H
#define REDIS_INSIDE_H

#include "redis/circuit.h"
#include "redis/link.h"
#include "redis/redis.h"

struct redis_shard;

/* Functions that may be NULL say so. */
struct redis_shape_ops {
    /* Begins: makes what it needs in r->shape_state and its first shards (redis_shard_new), and lists them
     * (redis_set_shards). False with a reason: only for lack of memory. */
    bool (*start)(struct redis *r, struct err *err);
    /* Gives back r->shape_state (NULL if start did not come so far), and what it keeps in the `state` of calls that
     * were under way (they get no on_done). Shards and their links are gone already, and no inner call is under way on
     * them. NULL: nothing to give back. */
    void (*stop)(struct redis *r);
    /* The listed or unlisted shard that has the key; *slot is kept in the call. NULL (the result): not covered, or not
     * yet known. NULL (the function): shard 0 has all keys. */
    struct redis_shard *(*route)(struct redis *r, struct str key, uint16_t *slot);
    /* A shard that is not connected is to be: calls redis_shard_connect, or redis_shard_fails, now or later. Until one
     * of both was called it is not asked again. */
    void (*locate)(struct redis_shard *shard);
    /* The shard's server has opened: is it the right one? link->server says what it is. False with a whole sentence: it
     * is closed, and the shard fails, by *kind (REDIS_DOWN_CONFIGURATION, if it is not set). */
    bool (*accepts)(struct redis_shard *shard, enum redis_down *kind, struct err *err);
    /* Asked for each error reply, and for each reply to a call whose `state` is not NULL. True: the shape has it, keeps
     * a copy if need be, and calls redis_call_deliver for this command later, in order. False: it is delivered now.
     * NULL: never takes one. */
    bool (*takes_reply)(struct redis_shard *shard, struct redis_call *c, size_t n, const redisReply *reply);
    /* Asked when the link is done with a call whose `state` is not NULL. True: the shape calls redis_call_finish when
     * it is done too. NULL: never. */
    bool (*takes_end)(struct redis_shard *shard, struct redis_call *c, enum redis_result result);
    /* The shard came up, its circuit has closed; went down, its circuit has opened. NULL: not interested. */
    void (*on_up)(struct redis_shard *shard);
    void (*on_down)(struct redis_shard *shard);
};

extern const struct redis_shape_ops redis_shape_alone, redis_shape_sentinel, redis_shape_cluster;

struct redis_shard {
    struct redis *redis;
    struct list node; /* in redis->all */
    size_t index;     /* its number; SIZE_MAX: not listed */
    struct redis_link link;
    struct redis_circuit circuit;
    char name[ENDPOINT_TEXT_MAX]; /* of the endpoint it was connected to last, or is to be */
    char why[320];                /* it is down; empty: up */
    enum redis_down down;
    unsigned ups;
    bool was_up;         /* its link was READY once */
    bool is_locating;    /* the shape was asked and has not answered */
    bool must_reopen;    /* it has said what only another look at the server clears: READONLY, LOADING */
    bool is_retired;     /* gone from the map: freed when its calls have ended */
    int64_t alarm_at_ms; /* an error of configuration is not said again before */
    struct timer probe_timer, probe_deadline;
    struct redis_call probe;
    bool is_probing;
    struct task begin_task;
    void *state; /* the shape's */
};

struct redis {
    struct loop *loop;
    const struct redis_options *options;
    const struct redis_shape_ops *shape;
    void *shape_state;
    struct resolver *resolver;
    struct event_log *events; /* may be NULL */
    struct tls_context *tls;  /* NULL: plain */
    struct redis_link_options link_options;
    unsigned deadline_ms;
    struct list all;             /* shards, listed or not */
    struct redis_shard **shards; /* the listed ones: redis_shard_count */
    size_t shard_count;
    unsigned map_version;
    bool is_hushed;        /* redis_hush */
    char why[400];         /* no shard is known; empty: nothing is wrong with that yet */
    struct task bury_task; /* frees retired shards */
};

/* ---- shard.c ---- */

/* A shard that is not listed yet; at the end of the turn it is located. `at` names it until it is connected, and may be
 * NULL. NULL: no memory. */
struct redis_shard *redis_shard_new(struct redis *r, const struct endpoint *at);
/* No calls are sent to it any more; those under way end by themselves, then it is freed. Take it off the list first. */
void redis_shard_retire(struct redis_shard *shard);
/* At once, without callbacks: redis_free. */
void redis_shard_free(struct redis_shard *shard);

/* The answers to locate; may come unasked as well (+switch-master). connect: a connection that is there is closed, and
 * if the circuit was closed, this opens it. The endpoint is copied. Not from inside redis_send. */
void redis_shard_connect(struct redis_shard *shard, const struct endpoint *to);
/* why: a whole sentence: "no sentinel knows a master \"mw\"", copied. */
void redis_shard_fails(struct redis_shard *shard, enum redis_down kind, const char *why);
/* Can calls be sent: circuit closed, not retired? */
bool redis_shard_takes_calls(const struct redis_shard *shard);
/* Now, not when the probe is due: the shard is located (if it is not connected). */
void redis_shard_locate_now(struct redis_shard *shard);
/* A call on it is late. */
void redis_shard_on_late(struct redis_shard *shard);
/* Sends a call to a shard, whatever its circuit says: for inner calls and for what is redirected. False as
 * redis_link_send. */
MUST_USE bool redis_shard_send(struct redis_shard *shard, struct redis_call *c);
/* A `store` event (OPERATIONS.md): server is up or down. why: NULL, none. */
void redis_write_event(const struct redis *r, const char *server, const char *state, const char *why);
/* The bury_task: frees retired shards that nobody waits for. */
void redis_shards_bury(void *redis);

/* ---- redis.c ---- */

/* These are the shards from now on, in this order (the array is copied); map_version grows. False: no memory, the list
 * is as it was. Shards that are no longer listed stay until they are retired. */
MUST_USE bool redis_set_shards(struct redis *r, struct redis_shard *const *shards, size_t count);

/* ---- call.c ---- */

/* Gives the caller reply n, which must be c->replied, the next one; and counts it. */
void redis_call_deliver(struct redis_call *c, size_t n, const redisReply *reply);
/* Ends the call for its caller: on_done. The call is his again. */
void redis_call_finish(struct redis_call *c, enum redis_result result);

/* An inner call is the client's own: its replies and its end go straight to it, past the circuit and the shape. */
void redis_call_init_inner(struct redis_call *c, void (*on_reply)(struct redis_call *, size_t, const redisReply *),
                           void (*on_done)(struct redis_call *, enum redis_result), void *arg);
/* The bytes of command n, as they were formatted: valid RESP, borrowed until the call is finished. O(n). */
struct str redis_call_command(const struct redis_call *c, size_t n);
/* Appends `count` commands that are formatted already. False as redis_call_add. */
MUST_USE bool redis_call_add_wire(struct redis_call *c, struct str wire, size_t count);

#endif
