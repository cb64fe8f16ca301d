/*
 * auth_message.h - what workers and the auth process say to each other: one datagram each on a SOCK_SEQPACKET pair.
 *
 *   worker → auth   HELLO    "who is there?": at a worker's start
 *                   REQUEST  id, deadline, user, password
 *                   CANCEL   id: the client is gone; if it still waits in the queue, forget it
 *   auth → worker   HELLO    incarnation and users version: at the auth process's start,
 *                            after a HELLO, and when the users changed
 *                   ANSWER   id, result, users version, canonical name
 *
 * Both ends are forked from one binary, so numbers are in the machine's order; still everything is checked, because
 * each side is the other's boundary. Ids begin at random in every worker process: an answer to its predecessor matches
 * nothing.
 *
 * The supervisor holds both ends of every pair, so a pair outlives a crash on either side. A new auth process has
 * another incarnation: what the worker asked its predecessor is lost, and the HELLO tells it so at once instead of by
 * the deadline.
 */
#ifndef AUTH_AUTH_MESSAGE_H
#define AUTH_AUTH_MESSAGE_H

#include "auth/auth.h"

enum { AUTH_MESSAGE_MAX_BYTES = 1024 };

enum auth_message_kind { AUTH_MESSAGE_HELLO = 1, AUTH_MESSAGE_REQUEST, AUTH_MESSAGE_CANCEL, AUTH_MESSAGE_ANSWER };

struct auth_message {
    enum auth_message_kind kind;
    uint64_t id;             /* REQUEST, CANCEL, ANSWER */
    int64_t deadline_ms;     /* REQUEST: on the monotonic clock, which both sides share */
    struct str user;         /* REQUEST: as given; ANSWER: canonical, only with AUTH_OK */
    struct str password;     /* REQUEST */
    enum auth_result result; /* ANSWER */
    uint64_t incarnation;    /* HELLO: drawn at random by every auth process, never 0; 0 from a worker */
    uint64_t users_version;  /* HELLO, ANSWER: from 1, grows when the users change; 0 from a worker */
};

/* A channel: [0] for the worker, [1] for the auth process; both closed at exec(2). What is sent and not yet read is
 * bounded by its buffer, some 500 usual messages: more than a worker has logins running (AUTH_CLIENT_CHECKS_MAX), so a
 * full channel means that the other side does not run, and no answer is lost to one that does. False: no descriptors.
 */
MUST_USE bool auth_channel_open(int ends[2], struct err *err);

/* Into `to` of AUTH_MESSAGE_MAX_BYTES; returns the length. 0: user or password are too long for a message. */
size_t auth_message_write(const struct auth_message *m, void *to);
/* Strict: every length, kind and result must be one that auth_message_write could have written. Strings borrow from
 * datagram. False: something else. */
MUST_USE bool auth_message_read(struct str datagram, struct auth_message *m);

/* One datagram out, at once or not at all. A REQUEST's copy is wiped. IO_AGAIN: the other side does not keep up;
 * IO_FAILED: it is closed. */
MUST_USE enum io_result auth_message_send(int fd, const struct auth_message *m);
/* One datagram in, into `space` of AUTH_MESSAGE_MAX_BYTES, from which m borrows and which is the caller's to wipe. What
 * is no message is skipped. IO_AGAIN: none there; IO_EOF, IO_FAILED: no more will come. */
MUST_USE enum io_result auth_message_receive(int fd, void *space, struct auth_message *m);

#endif
