/*
 * log_socket.h - lines to the system's log by its socket, without ever waiting for it, which syslog(3) does: to syslog,
 * or to the journal in its own protocol (PROTOCOLS.md 9).
 */
#ifndef PROCESS_LOG_SOCKET_H
#define PROCESS_LOG_SOCKET_H

#include "base/buf.h"
#include "base/err.h"

enum log_socket_kind { LOG_SOCKET_SYSLOG, LOG_SOCKET_JOURNAL };
enum log_severity { LOG_SEVERITY_WARNING = 4, LOG_SEVERITY_INFO = 6 };

struct log_socket {
    enum log_socket_kind kind;
    const char *path;
    int fd; /* -1: not open */
};

/* Opens nothing yet. path: one of those above, or a test's; borrowed. */
void log_socket_init(struct log_socket *s, enum log_socket_kind kind, const char *path);
void log_socket_close(struct log_socket *s);
/* Is somebody there? Harmless when open. False with a reason. */
MUST_USE bool log_socket_open(struct log_socket *s, struct err *err);
/* Sends one line, without a newline, of facility mail. Opens the socket where it is not, or where the log was
 * restarted. False with a reason, and errno: nobody there, or it does not keep up (EAGAIN), or the line is longer than
 * it takes. */
bool log_socket_send(struct log_socket *s, enum log_severity severity, int64_t wall_us, struct str line,
                     struct err *err);

#endif
