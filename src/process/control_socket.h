/*
 * control_socket.h - the supervisor's hold on the control socket (admin/control.h): bound once, kept over reloads and
 * over every death of an admin process, so a command that is given meanwhile waits in its backlog.
 *
 *   reload: prepare ─▶ same path: nothing to do ─▶ commit
 *                 └──▶ another: bound beside the old one ─▶ commit: the old one goes; or rollback: the new one does
 *
 * Its file is the service's user's and nobody else may open it (0600); who asks is looked at again by the kernel's word
 * (SO_PEERCRED). A file that a dead service left behind is replaced; one behind which somebody listens is not. The
 * folder is made if it is missing, and stays root's.
 */
#ifndef PROCESS_CONTROL_SOCKET_H
#define PROCESS_CONTROL_SOCKET_H

#include <sys/types.h>
#include <sys/un.h>

#include "process/plan.h"
#include "process/privileges.h"

struct control_place {
    int fd; /* -1: none */
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    dev_t device; /* of its file, as it was bound */
    ino_t inode;
};

struct control_socket {
    struct control_place now, next;
    bool has_next;     /* next takes the place of now, when it comes to that; it may be none */
    bool said_missing; /* that the default one cannot be had */
};

void control_socket_init(struct control_socket *c);
/* Closes it and removes its file. */
void control_socket_fini(struct control_socket *c);

/* What the plan names. False with a reason: it cannot be had; nothing has changed. If nobody named it, that is only
 * said, with what to do, and there is none. */
MUST_USE bool control_socket_prepare(struct control_socket *c, const struct process_plan *plan,
                                     const struct privileges *owner, struct err *err);
void control_socket_commit(struct control_socket *c);
void control_socket_rollback(struct control_socket *c);
/* Of the generation that is coming, or of the one in force. -1: none. */
int control_socket_fd(const struct control_socket *c, bool is_coming);

#endif
