/* log_socket.c - see log_socket.h. The form of syslog is the one that syslog(3) writes (RFC 3164 4.1, without a host
 * name). */
#include "process/log_socket.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { FACILITY_MAIL = 2 };

void log_socket_init(struct log_socket *s, enum log_socket_kind kind, const char *path)
{
    *s = (struct log_socket){.kind = kind, .path = path, .fd = -1};
}

void log_socket_close(struct log_socket *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static bool open_socket(struct log_socket *s)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    str_copy_into(at.sun_path, sizeof at.sun_path, str_of_z(s->path));
    s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd >= 0 && connect(s->fd, (struct sockaddr *)&at, sizeof at) == 0)
        return true;
    int e = errno;
    log_socket_close(s);
    errno = e;
    return false;
}

bool log_socket_open(struct log_socket *s, struct err *err)
{
    if (s->fd >= 0 || open_socket(s))
        return true;
    return err_set(err, "%s: %s", s->path, strerror(errno));
}

/* What stands before a line. */
static struct str write_head(const struct log_socket *s, enum log_severity severity, int64_t wall_us, char *to,
                             size_t size)
{
    static const char MONTHS[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int len;
    struct tm tm;
    time_t t = (time_t)(wall_us / 1000000);
    if (s->kind == LOG_SOCKET_JOURNAL) {
        len = snprintf(to, size, "PRIORITY=%d\nSYSLOG_FACILITY=%d\nSYSLOG_IDENTIFIER=mailweir\nMESSAGE=", severity,
                       FACILITY_MAIL);
    } else {
        localtime_r(&t, &tm);
        len = snprintf(to, size, "<%d>%s %2d %02d:%02d:%02d mailweir[%d]: ", FACILITY_MAIL << 3 | severity,
                       MONTHS[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)getpid());
    }
    return str_of(to, (size_t)len);
}

static bool send_line(const struct log_socket *s, struct str head, struct str line)
{
    struct iovec parts[] = {{(void *)head.ptr, head.len}, {(void *)line.ptr, line.len}, {(void *)"\n", 1}};
    struct msghdr h = {.msg_iov = parts, .msg_iovlen = s->kind == LOG_SOCKET_JOURNAL ? 3 : 2};
    return sendmsg(s->fd, &h, MSG_NOSIGNAL) >= 0;
}

bool log_socket_send(struct log_socket *s, enum log_severity severity, int64_t wall_us, struct str line,
                     struct err *err)
{
    char space[128];
    struct str head = write_head(s, severity, wall_us, space, sizeof space);
    for (int tries = 0; tries < 2; tries++) {
        if (s->fd < 0 && !open_socket(s))
            break;
        if (send_line(s, head, line))
            return true;
        if (errno == EAGAIN || errno == EMSGSIZE)
            break;
        int e = errno;
        log_socket_close(s); /* the log was restarted: its socket is a new one */
        errno = e;
    }
    int e = errno;
    err_set(err, "%s: %s", s->path, strerror(e));
    errno = e;
    return false;
}
