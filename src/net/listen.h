/*
 * listen.h - listening sockets. The supervisor opens one SO_REUSEPORT socket per endpoint and worker slot and keeps it
 * over crashes and reloads; a worker accepts from the ones it is given.
 */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

#include "net/addr.h"
#include "net/loop.h"

/* A bound, listening, non-blocking, close-on-exec socket with TCP_NODELAY (inherited by what it accepts), SO_REUSEADDR
 * and SO_REUSEPORT; IPv6 ones are v6-only unless the address is [::], which takes IPv4 too. -1 with a reason. */
int listen_open(const struct endpoint *at, int backlog, struct err *err);

struct acceptor {
    struct watch watch;
    struct timer pause; /* out of descriptors: accepting rests for 100 ms */
    int fd;
    unsigned
        batch;     /* how many the next turn tries: grows with the rush, so that a quiet port costs no vain accept(2) */
    bool is_short; /* it was said that descriptors are short */
    bool *was_stopped; /* on_accept may stop it, and free it then */
    void (*on_accept)(void *arg, int fd, const struct ip *peer, uint16_t port);
    void *arg;
};

/* Starts accepting: per turn at most 64 connections, so that established ones are served too. Accepted descriptors are
 * non-blocking, close-on-exec, TCP_NODELAY; they belong to on_accept. EMFILE, ENFILE, ENOMEM: says so once and rests,
 * never spins. */
void acceptor_init(struct acceptor *a, struct loop *l, int fd,
                   void (*on_accept)(void *arg, int fd, const struct ip *peer, uint16_t port), void *arg);
/* Stops; the listening socket stays open, its backlog waits for who accepts next. */
void acceptor_stop(struct acceptor *a);

#endif
