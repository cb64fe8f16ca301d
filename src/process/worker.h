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

struct node_limits;

/* Both: the plan's config is a struct config; they return the exit code. node: what is shared by all processes, of all
 * generations. */
int worker_run(struct process_context *ctx, const struct node_limits *node);
int auth_process_run(struct process_context *ctx);

#endif
