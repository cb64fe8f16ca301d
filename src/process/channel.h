/*
 * channel.h - short messages between the supervisor and each of its children, over a SOCK_SEQPACKET pair.
 *
 *   child → supervisor   READY              it works
 *                        FAILED text        it cannot, and why; it ends
 *                        PIPE_DONE id       event writer: that producer is gone and all its lines are written
 *                        SINK_OK, SINK_BAD text
 *                        RELOAD id          admin: load the configuration anew, and tell me what came of it
 *                        STOP text          admin: begin to stop, as by SIGTERM
 *   supervisor → child   RETIRE mask        a successor is at work: accept no more, let clients finish, end
 *                        DRAIN mask         the service stops: accept no more, finish what is running, end
 *                        QUIT               end now
 *                        SOCKET i + fd      worker: accept from this one too, it belongs to listener i of the plan
 *                        TABLE i + fd       worker: table i of the plan has new content, this image
 *                        CERTIFICATE i + fd worker: certificate i of the plan is this one from now on
 *                        PIPE id + fd       event writer: another producer
 *                        REOPEN             event writer: open the file anew
 *                        SINK_TRY path …    event writer: can you write there?
 *                        SINK_TAKE, SINK_DROP   … then do so from now on, or forget it
 *                        IN_FORCE           admin: your configuration is the one in force
 *                        OUTCOME id 0|1 text + fd   admin: what came of the reload; in the file, all that was said
 *
 * The end of the channel is a message too: to a child, that the supervisor is dead; it then ends soon (child.h).
 * Sending never blocks.
 */
#ifndef PROCESS_CHANNEL_H
#define PROCESS_CHANNEL_H

#include "net/loop.h"

enum channel_kind {
    CHANNEL_READY = 1,
    CHANNEL_FAILED,
    CHANNEL_PIPE_DONE,
    CHANNEL_SINK_OK,
    CHANNEL_SINK_BAD,
    CHANNEL_RETIRE,
    CHANNEL_DRAIN,
    CHANNEL_QUIT,
    CHANNEL_SOCKET,
    CHANNEL_PIPE,
    CHANNEL_REOPEN,
    CHANNEL_SINK_TRY,
    CHANNEL_SINK_TAKE,
    CHANNEL_SINK_DROP,
    CHANNEL_TABLE,
    CHANNEL_CERTIFICATE,
    CHANNEL_RELOAD,
    CHANNEL_STOP,
    CHANNEL_IN_FORCE,
    CHANNEL_OUTCOME
};

enum { CHANNEL_TEXT_MAX = 4096 };

struct channel_message {
    uint32_t kind;
    uint32_t number; /* SINK_TRY: keep */
    uint64_t id;     /* PIPE, PIPE_DONE: the pipe's; SINK_…: the try's, 0 for the one of a writer's start; RELOAD,
                        OUTCOME: the question's, the admin process's own */
    uint64_t value; /* RETIRE, DRAIN: mask; SOCKET: listener; TABLE, CERTIFICATE: its number; SINK_TRY: rotate_bytes, or
                       without a path which log */
    char text[CHANNEL_TEXT_MAX]; /* NUL-terminated; empty: none */
};

struct channel {
    struct watch watch;
    int fd; /* -1: closed */
    /* passed_fd: -1, or a descriptor that is now the callee's. It may close the channel. */
    void (*on_message)(void *arg, const struct channel_message *m, int passed_fd);
    void (*on_gone)(void *arg); /* the other end is closed; once */
    void *arg;
};

/* A pair, close-on-exec and non-blocking. */
MUST_USE bool channel_pair(int fds[2], struct err *err);

/* Takes fd and begins to watch it. */
void channel_open(struct channel *c, struct loop *l, int fd,
                  void (*on_message)(void *, const struct channel_message *, int), void (*on_gone)(void *), void *arg);
/* Harmless when closed. */
void channel_close(struct channel *c);
/* Reads what waits now, without a turn of the loop. */
void channel_read(struct channel *c);

/* At once or not at all. passed_fd -1: none; it stays the caller's. IO_AGAIN: the other side does not keep up;
 * IO_FAILED: it is gone. */
enum io_result channel_send(int fd, const struct channel_message *m, int passed_fd);
/* A message of these parts; text NULL: none; one that does not fit is cut. */
enum io_result channel_tell(int fd, enum channel_kind kind, uint64_t id, uint64_t value, const char *text);

#endif
