/*
 * event_writer.h - the process that puts event lines where they belong.
 *
 *   worker 1 ──pipe──┐
 *   worker 2 ──pipe──┼─▶ event writer ─▶ events.jsonl, rotated │ stderr
 *   auth     ──pipe──┤        only this process ever waits for a disk
 *   supervisor ─pipe─┘
 *
 * Each producer has its own pipe, so a line that a dying producer left half written spoils no other; at the end of such
 * a pipe, and for a line with a control character in it (which stats/event.c writes to mark a torn one), nothing is
 * passed on. When the disk blocks, the pipes fill, and the producers drop and count.
 *
 * It ends when told to, after writing what is in the pipes; and, if the supervisor is dead, when the last producer has
 * gone.
 */
#ifndef PROCESS_EVENT_WRITER_H
#define PROCESS_EVENT_WRITER_H

#include "process/child.h"

/* The body of the process; returns its exit code. */
int event_writer_run(struct process_context *ctx);

#endif
