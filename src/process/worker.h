/*
 * worker.h - the bodies of the processes that a configuration brings: the worker, and the auth process.
 *
 * A worker joins the modules to one loop and is nothing else: certificates (while it is still root), connections to the
 * MTA, limits in the shared table, the auth process, and sessions from its listening sockets.
 *
 *   read keys ─ drop privileges ─ join ─ MTA probed ─▶ accept, READY ─▶ RETIRE, DRAIN ─▶ last session closed ─▶ exit
 */
#ifndef PROCESS_WORKER_H
#define PROCESS_WORKER_H

#include "process/child.h"

struct ban_table;

/* Both: the plan's config is a struct config; they return the exit code. store_memory: the embedded store's table;
 * bans: that of bans. Both are shared by all workers, of all generations. */
int worker_run(struct process_context *ctx, void *store_memory, struct ban_table *bans);
int auth_process_run(struct process_context *ctx);

#endif
