/*
 * control.h - the control socket: questions of an administrator, from this machine, about the running service.
 *
 *   mailweir status ──▶ {"request":"status"}⏎   ──▶ a row of requests.c ──▶ answered at once, or later
 *                   ◀── {"ok":true, …}⏎  or  {"ok":false, "error":"…"}⏎
 *
 * One JSON object a line in, one a line out, in order; as many as one likes on a connection. A line has at most
 * CONTROL_LINE_MAX_BYTES. An answer that is no has "error", perhaps "hint", and "again":true where the same question
 * may have a better answer later.
 *
 * Who may ask is decided by the kernel's word for who connected (SO_PEERCRED), once, at accept: the uids that are
 * named, nobody else. A stranger reads why, whatever he sends, and is closed.
 *
 * Bounds: a connection has CONTROL_IDLE_MS for a question to come whole and for an answer to be taken; a question
 * under way CONTROL_ASK_MS. Beyond CONTROL_CONNECTIONS_MAX the one that has been idle longest gives way, so nobody can
 * keep an administrator out by holding connections open.
 */
#ifndef ADMIN_CONTROL_H
#define ADMIN_CONTROL_H

#include <jansson.h>
#include <sys/types.h>

#include "net/conn.h"
#include "net/listen.h"

enum {
    CONTROL_LINE_MAX_BYTES = 16384,
    CONTROL_ANSWER_MAX_BYTES = 16 << 20,
    CONTROL_CONNECTIONS_MAX = 128,
    CONTROL_IDLE_MS = 30000,
    CONTROL_ASK_MS = 150000
};

struct control;

/* A question under way. */
struct control_ask {
    const json_t *question; /* the whole object; borrowed until the answer */
    uid_t uid;              /* who asks */
    /* Of who answers later: nobody waits any more, no answer may come. Set before the handler returns; NULL: it does
     * not mind, and answers nothing that it could cancel. */
    void (*on_cancel)(struct control_ask *ask);
    void *state; /* the handler's */
};

/* A row per request. The handler calls one of control_answer, control_refuse, exactly once: from inside, or later. */
struct control_row {
    const char *request;
    void (*handle)(void *arg, struct control_ask *ask);
};

struct control_options {
    const struct control_row *rows;
    size_t row_count;
    const uid_t *uids; /* who may ask */
    size_t uid_count;
    int64_t ask_ms;              /* 0: CONTROL_ASK_MS */
    void (*on_empty)(void *arg); /* no connection is left, of one that accepts no more */
    void *arg;                   /* of that, and of handlers */
};

/* The options are borrowed. NULL: no memory. */
struct control *control_new(struct loop *l, const struct control_options *options);
/* Closes all; questions under way are cancelled. */
void control_free(struct control **c);

/* Accepts from this listening socket, which stays the caller's. */
void control_listen(struct control *c, int fd);
/* Accepts no more. Who is connected may ask one more question; on_empty comes when all have gone, never from inside. */
void control_retire(struct control *c);
/* A connection that somebody accepted, and asked who it is; fd is taken. */
void control_add(struct control *c, int fd, uid_t uid);
/* How many connections are open. */
size_t control_count(const struct control *c);
/* One without a socket, as if root had connected: for tests and fuzzers (net/conn_memory.h). NULL: no memory. */
struct conn *control_add_memory(struct control *c);

/* ---- answers ---- */

/* Takes the object; "ok":true is added. NULL, or one that cannot be written: the answer is that memory is short. */
void control_answer(struct control_ask *ask, json_t *answer);
/* Takes an object that says no in more than "ok":false and "error". */
void control_answer_no(struct control_ask *ask, json_t *answer);
/* No, and why. again: it may be asked again later. */
void control_refuse(struct control_ask *ask, const struct err *err, bool again);

/* ---- what a question says ---- */

/* A member that is a text; STR_NONE: there is none, or it is something else. */
struct str control_text(const struct control_ask *ask, const char *member);
/* The same, which must be there. False: refused. */
MUST_USE bool control_need_text(struct control_ask *ask, const char *member, struct str *text);
bool control_flag(const struct control_ask *ask, const char *member);

/* Any bytes as a JSON text: what is no UTF-8, or a control character, is written as \xHH. NULL: no memory. */
json_t *control_json_of(struct str text);
/* The same of a text of several lines: line feeds stay. */
json_t *control_json_of_lines(struct str text);
/* "2026-11-24T08:15:30Z". */
json_t *control_json_of_time(int64_t wall_us);

#endif
