/*
 * redis_node.h - a node of a cluster for tests: its shared memory, and stores in Redis that its processes open.
 *
 * The test is the keeper: what it says of outages is true.
 */
#ifndef TESTS_LIMITS_REDIS_NODE_H
#define TESTS_LIMITS_REDIS_NODE_H

#include "limits/mirror.h"
#include "limits/outage.h"
#include "limits/store.h"
#include "redis/redis.h"

enum { REDIS_NODE_ENTRIES = 8192 };

struct redis_node {
    struct redis_options options;
    enum store_failure failure;
    unsigned timeout_ms; /* 0: patient, as suits slow machines */
    bool time_is_real;
    struct loop *loop; /* NULL: each store that is opened has a loop of its own */
    char name[16];
    void *memory;
    struct mirror *mirror;
    struct outage *outage;
};

/* For the servers that options name (borrowed). Fails the test itself. */
struct redis_node *redis_node_new(const struct redis_options *options, const char *name);
void redis_node_free(struct redis_node *n);
/* All that was decided alone is known to Redis (or is said to be), in all domains. */
void redis_node_settle(struct redis_node *n, uint32_t nodes, uint32_t missing);

/* Opens a store, with a loop and a client of its own, and waits until all shards are up. No cmocka: children open
 * stores too; what goes wrong ends the process. */
void redis_node_open(struct redis_node *n, struct store *store, uint32_t owner);
/* Says all that is still to be said, then closes it all. */
void redis_node_close(struct store *store);

struct loop *redis_node_loop(const struct store *store);
struct redis *redis_node_client(const struct store *store);
/* Turns of the store's loop until *done (NULL: until nothing is under way any more); at most half a minute. */
bool redis_node_run(struct store *store, const bool *done);
/* … for so long. */
void redis_node_run_for(struct store *store, int64_t ms);

#endif
