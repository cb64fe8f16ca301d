/*
 * alert_process.h - the process that sends alerts (RULES.md "Statements", `alert`).
 *
 *   worker 1 ─┐                                        ┌─▶ outlet ops   ─▶ webhook   alert_outlet.h: queue, tries, rest
 *   worker 2 ─┼─ one SOCK_SEQPACKET pair ─▶ this one ──┼─▶ outlet boss  ─▶ mail      alert_ways.h: how
 *   worker 3 ─┘                                        └─▶ outlet pager ─▶ exec
 *
 * One per generation whose configuration has an `alert` statement, beside its workers and with the same configuration,
 * so a worker's index of an alert means the same here. Whether an alert is sent at all its sender has decided
 * (stats/alert_rates.h), in a table that outlives this process and its generation: neither a crash nor a reload makes
 * alerts fire again. A crash loses what waits here; what waits in the pair its successor gets.
 *
 * Told to end it gives what waits ENDING_MS and one more try.
 */
#ifndef PROCESS_ALERT_PROCESS_H
#define PROCESS_ALERT_PROCESS_H

#include "process/child.h"

/* The body of the process; the plan's config is a struct config. Returns its exit code. */
int alert_process_run(struct process_context *ctx);

#endif
