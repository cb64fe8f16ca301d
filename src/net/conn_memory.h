/*
 * conn_memory.h - the far end of a conn without a socket (conn_init_memory): tests and fuzzers play the peer.
 *
 * The functions below stand for the loop: callbacks come from inside them. loop_run_tasks plays the end of the turn
 * (conn_resume_input, conn_close_when_sent). What the peer has not taken is unsent output to the owner: the bound, the
 * low mark and on_drained are as on a slow network. TLS is pretended: conn_start_tls_* (the context may be NULL) waits
 * for conn_memory_finish_tls, and the bytes stay readable.
 */
#ifndef NET_CONN_MEMORY_H
#define NET_CONN_MEMORY_H

#include "net/conn.h"

/* The peer sends: input arrives, on_input is called unless paused. At most the conn's input bound; returns how many
 * bytes were taken: 0 when the conn is closed, closing, over, or amid a handshake. The conn may be gone afterwards, if
 * its owner closed it. */
size_t conn_memory_deliver(struct conn *c, struct str s);
/* The peer closes. */
void conn_memory_close(struct conn *c);
/* The pretended handshake succeeds: on_ready; or fails: on_end. */
void conn_memory_finish_tls(struct conn *c, bool succeeds);
/* What the conn has sent so far and was not taken yet. Nothing after conn_close; conn_close_when_sent lets it stand. */
struct str conn_memory_sent(const struct conn *c);
/* The peer takes n of these bytes: on_drained may be called, conn_close_when_sent come to its end. */
void conn_memory_take(struct conn *c, size_t n);
/* Makes the deadline pass, if one is set. */
void conn_memory_deadline(struct conn *c);

#endif
