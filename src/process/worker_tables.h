/*
 * worker_tables.h - a worker takes the new content of a table that is kept in a file (table_keeper.h).
 *
 * The image is mapped and exchanged for the old one at once, between two questions: a few microseconds, whatever its
 * size. Patterns alone must be compiled by every process for itself: a few in each turn of the loop, and the old ones
 * answer until the last is ready. The memory of what is replaced is given back in pieces, too.
 */
#ifndef PROCESS_WORKER_TABLES_H
#define PROCESS_WORKER_TABLES_H

#include "net/loop.h"
#include "policy/policy.h"

struct worker_tables;

/* policy: borrowed; its tables change. NULL: no memory. */
struct worker_tables *worker_tables_new(struct loop *l, struct policy *policy, struct err *err);
void worker_tables_free(struct worker_tables **w);

/* The image is the new content of file table `index` (policy_file_table). The descriptor stays the caller's. What is no
 * image changes nothing, and is logged. */
void worker_tables_take(struct worker_tables *w, uint64_t index, int image);

#endif
