/* conn_memory.h - the far end of a conn without a socket (conn_init_memory): tests and fuzzers play the peer. */
#ifndef NET_CONN_MEMORY_H
#define NET_CONN_MEMORY_H

#include "net/conn.h"

/* The peer sends: input arrives, on_input is called. At most the conn's input bound; returns how many bytes were taken.
 */
size_t conn_memory_deliver(struct conn *c, struct str s);
/* The peer closes. */
void conn_memory_close(struct conn *c);
/* What the conn has sent so far and was not taken yet. */
struct str conn_memory_sent(struct conn *c);
void conn_memory_take(struct conn *c, size_t n);
/* Makes the deadline pass, if one is set. */
void conn_memory_deadline(struct conn *c);

#endif
