/*
 * admin_process.h - the process that answers an administrator: the control socket (admin/control.h), and what is asked
 * there about the service as a whole.
 *
 *   supervisor ── the socket, which listens ──▶ admin process of the generation that is coming:  waits
 *      ├─ IN_FORCE ─▶ … accepts                     └ of the one before:  RETIRE: accepts no more, answers, ends
 *      ├─ OUTCOME  ─▶ the answer to `reload`
 *      ◀─ RELOAD, STOP
 *
 * One per generation, with the same configuration as its workers, so that what it says of limits is what they count by.
 * It has the rights of a worker and no more. Its death costs no mail: questions that it was asked get no answer, those
 * that come meanwhile wait in the socket's backlog for the next one. So where it hangs the supervisor kills it.
 */
#ifndef PROCESS_ADMIN_PROCESS_H
#define PROCESS_ADMIN_PROCESS_H

#include "process/child.h"

struct node_limits;

/* The body of the process; the plan's config is a struct config. Returns its exit code. */
int admin_process_run(struct process_context *ctx, const struct node_limits *limits);

#endif
