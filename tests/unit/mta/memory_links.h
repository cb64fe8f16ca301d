/* memory_links.h - connections to the MTA without a socket, for fuzzers. */
#ifndef TESTS_MEMORY_LINKS_H
#define TESTS_MEMORY_LINKS_H

#include "mta/link.h"
#include "mta/pool_inside.h"
#include "net/conn_memory.h"

/* Links do not connect: they are given a connection without a socket before their task can run. */
static inline void memory_links_connect(struct mta_pool *pool, struct loop *l)
{
    LIST_EACH(node, &pool->links)
    {
        struct mta_link *link = CONTAINER_OF(node, struct mta_link, node);
        if (link->phase != MTA_LINK_RESOLVING)
            continue;
        task_cancel(&link->connect_task);
        conn_init_memory(&link->conn, l, &mta_link_ops, &mta_link_limits);
        link->has_conn = true;
        link->phase = MTA_LINK_CONNECTING;
        link->dialogue.tls = MTA_TLS_OFF;
        mta_link_connected(link);
    }
}

#endif
