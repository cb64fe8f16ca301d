/*
 * redis.h - one process's way to one Redis, whatever its shape: a server alone, a master that Sentinel names, a
 * Cluster.
 *
 *   store, tables, keeper ── call: a key, some commands ──▶ redis.c ─▶ the key's shard ─▶ link ─▶ conn ─▶ server
 *                         ◀── a reply each, in order, then on_done ──
 *
 * A call is a few commands on keys of one hash slot. All calls of a loop's turn leave in one write per shard, on the
 * one connection that this process has to it; replies are matched to commands by their order alone, so a call that is
 * late keeps its place and still hears its replies (PROTOCOLS.md 7). hiredis formats and parses, conn.h carries.
 *
 * Time: a call has no deadline here. Who cannot wait any longer says redis_call_is_late and goes on without it; the
 * call stays the link's until on_done, which comes exactly once, at the latest when the connection is given up
 * (REDIS_SILENCE_MS without a byte while replies are due).
 *
 * Circuit (LIMITS.md, "When Redis is away"), one a shard: three late calls in a row, or a connection that ends or
 * cannot be made, open it: redis_is_up says no, and redis_send refuses at once. A probe every 0.5 to 5 s, with jitter,
 * growing; two good ones in a row close it. It begins closed: the first calls wait for the connection. A link is good
 * when it is connected, has logged in, and found a master. LOADING, MASTERDOWN, READONLY and the like open it as a lost
 * connection does; NOAUTH, WRONGPASS, NOPERM as well, with an error in the log that says what to do.
 *
 * Redirects: MOVED and ASK are followed here, command by command, at most 5 times; on READONLY and after any disconnect
 * of a Sentinel master it is resolved anew. Names are resolved without blocking.
 */
#ifndef REDIS_REDIS_H
#define REDIS_REDIS_H

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "net/addr.h"
#include "net/loop.h"
#include "net/resolve.h"

struct redis;
struct redis_shard;
struct event_log;

enum redis_shape { REDIS_ALONE, REDIS_SENTINEL, REDIS_CLUSTER };

enum {
    REDIS_CALL_COMMANDS_MAX = 64,
    REDIS_OUTPUT_MAX_BYTES = 8 << 20, /* unsent, per shard: then redis_send refuses */
    REDIS_COMMANDS_DUE_MAX = 65536,   /* without a reply, per shard: likewise */
    REDIS_REPLY_MAX_BYTES = 1 << 20,  /* of one reply that is not complete: else the connection is closed */
    REDIS_REPLY_MAX_ELEMENTS = 16384, /* of one array: likewise */
    REDIS_SILENCE_MS = 10000,
};

/* As the configuration says it; all borrowed, for as long as the client lives. */
struct redis_options {
    enum redis_shape shape;
    const struct endpoint *endpoints; /* ALONE: the server; SENTINEL: sentinels; CLUSTER: some of its nodes */
    size_t endpoint_count;
    const char *master;                            /* SENTINEL: the name it is watched under */
    const char *user, *password;                   /* NULL: none; of Redis, not of sentinels */
    const char *sentinel_user, *sentinel_password; /* SENTINEL: likewise, of all sentinels */
    unsigned db;                                   /* CLUSTER: 0 */
    bool tls;                                      /* to Redis and to sentinels */
    const char *ca_file;                           /* NULL: the system's */
};

/* NULL with a reason. Connecting begins at once; nothing has to be there. resolver, events: borrowed; events (of
 * `store`, OPERATIONS.md: a change of state, once) may be NULL. deadline_ms: what a probe and each step of opening may
 * take at least, the `timeout` of the configuration. */
struct redis *redis_new(struct loop *l, const struct redis_options *options, unsigned deadline_ms,
                        struct resolver *resolver, struct event_log *events, struct err *err);
/* For a process that is one of several with a client of the same options: what an administrator has to mend before a
 * link can be opened (a login, another statement) is said by another one of them, once for all, and not here. */
void redis_hush(struct redis *r);
/* Calls under way end without on_done. Not from inside a callback. */
void redis_free(struct redis **r);

/* ---- calls ---- */

enum redis_result {
    REDIS_DONE,   /* every command has its reply, errors among them */
    REDIS_UNSENT, /* nothing of it was carried out: after an accepted redis_send, only if the connection was still being
                     made, or if a node that MOVED or ASK named could not be reached */
    REDIS_LOST    /* replies are missing that will never come: what was asked may have been carried out, or not */
};

/* In the caller's memory, from redis_call_init until on_done (or redis_free). */
struct redis_call {
    /* The reply to command n (from 0), in order; borrowed for the call. REDIS_REPLY_ERROR is one too. NULL: the caller
     * does not look at replies. */
    void (*on_reply)(struct redis_call *c, size_t n, const redisReply *reply);
    /* All replies came, or none will come any more. The call is the caller's again; it may be freed here. */
    void (*on_done)(struct redis_call *c, enum redis_result result);
    void *arg;

    /* NOPERM is a failure of this call, and says nothing of the server: its keys are not the store's, or it asks what
     * is allowed. Set after redis_call_init. */
    bool may_be_denied;

    /* Inner life. */
    struct list node;
    struct redis_shard *shard; /* it was sent to first */
    void *state;               /* what must be sent again, and where: the shape's (redis_inside.h); NULL: nothing */
    struct buf wire;           /* the commands, formatted */
    int64_t sent_ms;
    uint32_t command_count;
    uint32_t answered; /* by the server: so many replies have come */
    uint32_t replied;  /* to the caller: so many of them he has */
    uint16_t slot;
    bool is_under_way, is_late;
    bool is_inner;  /* the client's own */
    bool is_broken; /* a command did not fit */
};

/* Without a command, and not under way; allocates nothing. Callbacks and arg: as in the struct. */
void redis_call_init(struct redis_call *c, void (*on_reply)(struct redis_call *, size_t, const redisReply *),
                     void (*on_done)(struct redis_call *, enum redis_result), void *arg);
/* Appends a command. False: no memory, or too many; then redis_send refuses the call. */
bool redis_call_add(struct redis_call *c, const struct str *words, size_t count);
/* As after redis_call_init, but it keeps its memory, for whoever calls again and again. Not under way. */
void redis_call_reset(struct redis_call *c);
/* Lets go of its memory; not under way. Harmless when zeroed. */
void redis_call_fini(struct redis_call *c);

/* Sends the call to the shard that has the key (its hash tag counts; alone and with Sentinel there is one shard).
 * Callbacks come later, never from inside. False: the circuit is open, a bound is reached, or no memory: nothing was
 * sent, no callback comes. */
MUST_USE bool redis_send(struct redis *r, struct str key, struct redis_call *c);
/* The same, to shard number n: for what is no key's (SCAN, INFO, CONFIG). */
MUST_USE bool redis_send_to_shard(struct redis *r, size_t shard, struct redis_call *c);
/* The caller waits no longer: counted by the circuit. The call goes on. Once a call. */
void redis_call_is_late(struct redis *r, struct redis_call *c);

/* ---- what is known ---- */

/* Is the circuit of the key's shard closed? */
bool redis_is_up(const struct redis *r, struct str key);
bool redis_shard_is_up(const struct redis *r, size_t shard);
/* How many shards are known: 1, or the masters of a Cluster (0: not yet known). The numbers stay until the map changes:
 * map_version then grows. */
size_t redis_shard_count(const struct redis *r);
unsigned redis_map_version(const struct redis *r);
size_t redis_shard_of(const struct redis *r, struct str key); /* SIZE_MAX: uncovered, or not yet known */
/* Who we are to Redis: "default" where the configuration names nobody. */
struct str redis_user(const struct redis *r);
/* "127.0.0.1:6379", "/run/redis/redis.sock": borrowed until the next turn. */
struct str redis_shard_name(const struct redis *r, size_t shard);
/* How often the shard has come up (its circuit closed, or another server took its place): what it holds may be another
 * data set then. */
unsigned redis_shard_ups(const struct redis *r, size_t shard);
/* The same of all shards together: what failed while one was away may succeed now. */
static inline unsigned redis_ups(const struct redis *r)
{
    unsigned ups = 0;
    for (size_t shard = 0; shard < redis_shard_count(r); shard++)
        ups += redis_shard_ups(r, shard);
    return ups;
}
/* Somebody else has reached the shard: if its circuit is open, the next probe comes within half a second. */
void redis_shard_look_soon(struct redis *r, size_t shard);
/* The clock of the key's shard, in microseconds since 1970: TIME as it was read last (when the link came up and every
 * 10 s), carried on by the monotonic clock; where it was never read, the wall clock. */
int64_t redis_now_us(const struct redis *r, struct str key);
/* By how much the shard's clock is ahead of ours; false: never read. */
bool redis_skew_us(const struct redis *r, size_t shard, int64_t *skew_us);
/* Why the shard is not up, one sentence that an administrator understands; STR_NONE if it is. Borrowed until the next
 * turn. */
struct str redis_why_down(const struct redis *r, size_t shard);

/* PROTOCOLS.md 7: the slot of a key, by CRC16 of its tag. */
uint16_t redis_slot(struct str key);

/* What an error reply calls for. */
enum redis_error_kind {
    REDIS_ERROR_CONFIGURATION, /* NOAUTH WRONGPASS NOPERM NOPROTO */
    REDIS_ERROR_BUSY,          /* LOADING BUSY TRYAGAIN CLUSTERDOWN: later again */
    REDIS_ERROR_WRONG_NODE,    /* READONLY MASTERDOWN, and MOVED or ASK that was followed too often */
    REDIS_ERROR_COMMAND        /* OOM MISCONF WRONGTYPE ERR and all else: a failure of what was asked */
};
enum redis_error_kind redis_error_kind(const redisReply *error);

#endif
