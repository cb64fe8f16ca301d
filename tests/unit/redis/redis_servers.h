/*
 * redis_servers.h - real Redis for tests: a server alone, a master with replicas and Sentinels, a Cluster.
 *
 *      struct redis_servers servers;
 *      redis_servers_start(&servers, REDIS_CLUSTER, NULL);      servers.endpoints: what the client is given
 *      …  redis_servers_kill(&servers, 0);  …
 *      redis_servers_stop(&servers);
 *
 * Debian's redis-server, on free ports of 127.0.0.1, in a directory of their own below /tmp, nothing saved to disk.
 * Each process is a child, known and ended by its pid; it dies with the test. Every wait is bounded; what goes wrong
 * fails the test (cmocka) with a sentence.
 */
#ifndef TEST_REDIS_SERVERS_H
#define TEST_REDIS_SERVERS_H

#include <hiredis/hiredis.h>
#include <sys/types.h>

#include "net/addr.h"
#include "redis/redis.h"

enum { REDIS_SERVERS_MAX = 6, REDIS_SERVERS_PATIENCE_MS = 20000 };

#define REDIS_SERVERS_MASTER "mw" /* the name that Sentinels know the master under */

struct redis_member {
    pid_t pid;               /* 0: not running */
    uint16_t port, bus_port; /* bus_port: of a node of a Cluster */
    bool is_sentinel;
    bool is_stopped; /* by redis_servers_hang */
};

/* ALONE: member 0. SENTINEL: 0 the first master, 1 and 2 its replicas, 3 to 5 the sentinels. CLUSTER: masters 0 to 2,
 * a third of the slots each. */
struct redis_servers {
    enum redis_shape shape;
    struct redis_member members[REDIS_SERVERS_MAX];
    size_t count;
    struct endpoint endpoints[REDIS_SERVERS_MAX]; /* for struct redis_options */
    size_t endpoint_count;
    const char *const *options; /* borrowed */
    const char *const *stays;   /* patterns of the test's own keys, which need no expiry; NULL at the end, or for none */
    char dir[64];
};

/* Is redis-server installed? Else a test skips itself. */
bool redis_servers_are_there(void);
/* Starts them all and waits until they work: replicas in step, Sentinels agreed, every slot covered. options: more
 * words for the command line of every data server ("--maxmemory", "2mb", NULL); NULL: none. */
void redis_servers_start(struct redis_servers *s, enum redis_shape shape, const char *const *options);
/* CLUSTER: one more node, a replica of that master, which will take its place; its number. */
size_t redis_servers_add_replica(struct redis_servers *s, size_t master);
/* Looks through what those that still run hold (redis_servers_audit), ends them and removes their directory. Harmless
 * when zeroed. */
void redis_servers_stop(struct redis_servers *s);

/* How many keys, of all databases of all masters that run, have no expiry, and the first of them in words. A server that
 * runs and cannot be asked is a finding, too. Resumes who is stopped. */
struct redis_finding {
    size_t count;
    char text[320];
};
void redis_servers_look(struct redis_servers *s, struct redis_finding *finding);
/* The same, and there must be none: at the end of each test of those that share their servers. */
void redis_servers_audit(struct redis_servers *s);

/* Ends a member at once (SIGKILL): what it held is gone. */
void redis_servers_kill(struct redis_servers *s, size_t member);
/* Starts it again, empty, on its old port, and waits until it answers. A Cluster's node knows its slots again. */
void redis_servers_restart(struct redis_servers *s, size_t member);
/* It stays connected but says nothing (SIGSTOP), until it is resumed. */
void redis_servers_hang(struct redis_servers *s, size_t member);
void redis_servers_resume(struct redis_servers *s, size_t member);

/* A command to a member, by a connection of its own, and its reply (freeReplyObject); format as redisCommand. */
redisReply *redis_servers_ask(const struct redis_servers *s, size_t member, const char *format, ...) PRINTF_LIKE(3, 4);
/* The same, and the reply must be no error. */
void redis_servers_tell(const struct redis_servers *s, size_t member, const char *format, ...) PRINTF_LIKE(3, 4);
/* The member that serves as a master and can be asked: by Sentinel's roles, or in a Cluster the owner of the slot.
 * Waits until there is one. */
size_t redis_servers_master(const struct redis_servers *s);
size_t redis_servers_owner(const struct redis_servers *s, uint16_t slot);

#endif
