/*
 * syslog_socket.h - lines to the system's log by its socket, without ever waiting for it, which syslog(3) does.
 */
#ifndef PROCESS_SYSLOG_SOCKET_H
#define PROCESS_SYSLOG_SOCKET_H

#include "base/buf.h"
#include "base/err.h"

#define SYSLOG_SOCKET_PATH "/dev/log"

enum syslog_severity { SYSLOG_WARNING = 4, SYSLOG_INFO = 6 };

struct syslog_socket {
    const char *path;
    int fd; /* -1: not open */
};

/* Opens nothing yet. path: SYSLOG_SOCKET_PATH, or a test's; borrowed. */
void syslog_socket_init(struct syslog_socket *s, const char *path);
void syslog_socket_close(struct syslog_socket *s);
/* Sends one line, without a newline, with facility mail. Opens the socket where it is not, or where the log was
 * restarted. False with a reason: nobody there, or it does not keep up, or the line is longer than it takes. */
bool syslog_socket_send(struct syslog_socket *s, enum syslog_severity severity, int64_t wall_us, struct str line,
                        struct err *err);

#endif
