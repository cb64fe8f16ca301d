/* syslog_socket.c - see syslog_socket.h. The form is the one that syslog(3) writes (RFC 3164 4.1, without a host name).
 */
#include "process/syslog_socket.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { FACILITY_MAIL = 2 };

void syslog_socket_init(struct syslog_socket *s, const char *path)
{
    *s = (struct syslog_socket){.path = path, .fd = -1};
}

void syslog_socket_close(struct syslog_socket *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static bool open_socket(struct syslog_socket *s)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    str_copy_into(at.sun_path, sizeof at.sun_path, str_of_z(s->path));
    s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd >= 0 && connect(s->fd, (struct sockaddr *)&at, sizeof at) == 0)
        return true;
    int e = errno;
    syslog_socket_close(s);
    errno = e;
    return false;
}

static bool send_line(const struct syslog_socket *s, struct str head, struct str line)
{
    struct iovec parts[] = {{(void *)head.ptr, head.len}, {(void *)line.ptr, line.len}};
    struct msghdr h = {.msg_iov = parts, .msg_iovlen = COUNT_OF(parts)};
    return sendmsg(s->fd, &h, MSG_NOSIGNAL) >= 0;
}

bool syslog_socket_send(struct syslog_socket *s, enum syslog_severity severity, int64_t wall_us, struct str line,
                        struct err *err)
{
    static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char head[64];
    struct tm tm;
    time_t t = (time_t)(wall_us / 1000000);
    localtime_r(&t, &tm);
    int len = snprintf(head, sizeof head, "<%d>%.3s %2d %02d:%02d:%02d mailweir[%d]: ", FACILITY_MAIL << 3 | severity,
                       MONTHS + 3 * tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)getpid());
    for (int tries = 0; tries < 2; tries++) {
        if (s->fd < 0 && !open_socket(s))
            break;
        if (send_line(s, str_of(head, (size_t)len), line))
            return true;
        if (errno == EAGAIN || errno == EMSGSIZE)
            break;
        int e = errno;
        syslog_socket_close(s); /* the log was restarted: its socket is a new one */
        errno = e;
    }
    return err_set(err, "%s: %s", s->path, strerror(errno));
}
