/*
 * node_id.h - who this node is among all that share a Redis: 64 random bits, which outlive a restart in the file `node`
 * of the `state` directory. A host's name would not do: containers share it, and clones do.
 */
#ifndef LIMITS_NODE_ID_H
#define LIMITS_NODE_ID_H

#include "base/err.h"
#include "base/str.h"

enum { NODE_ID_BYTES = 16 };

/* Into id: 16 hex digits and a NUL. state_dir NULL, or not there: another one at each start. False: the file cannot be
 * read, written, or holds something else; id is one for this run then, and err says what to do. */
MUST_USE bool node_id_load(const char *state_dir, char id[NODE_ID_BYTES + 1], struct err *err);

#endif
