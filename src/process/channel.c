/* channel.c - see channel.h. */
#include "process/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_BYTES = offsetof(struct channel_message, text) };

/* Room for one descriptor beside a message. */
union ancillary {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

bool channel_pair(int fds[2], struct err *err)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0)
        return true;
    return err_set(err, "cannot make a pair of sockets: %s", strerror(errno));
}

static int take_passed_fd(struct msghdr *h)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(h);
    int fd = -1;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

/* One message; IO_AGAIN: none waits. What is no message of ours is skipped. */
static enum io_result receive(int fd, struct channel_message *m, int *passed_fd)
{
    for (;;) {
        union ancillary space;
        struct iovec iov = {m, sizeof *m - 1};
        struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof space};
        ssize_t n = recvmsg(fd, &h, MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? IO_AGAIN : IO_FAILED;
        if (n == 0)
            return IO_EOF;
        *passed_fd = take_passed_fd(&h);
        ((char *)m)[n] = '\0';
        if (n >= HEAD_BYTES)
            return IO_OK;
        if (*passed_fd >= 0)
            close(*passed_fd);
    }
}

void channel_read(struct channel *c)
{
    struct channel_message m;
    int passed_fd = -1;
    while (c->fd >= 0) {
        enum io_result r = receive(c->fd, &m, &passed_fd);
        if (r == IO_OK) {
            c->on_message(c->arg, &m, passed_fd);
            continue;
        }
        if (r != IO_AGAIN) {
            watch_set(&c->watch, false, false); /* an end stays readable for ever */
            c->on_gone(c->arg);
        }
        return;
    }
}

static void on_ready(void *arg, bool readable, bool writable)
{
    (void)writable;
    if (readable)
        channel_read(arg);
}

void channel_open(struct channel *c, struct loop *l, int fd,
                  void (*on_message)(void *, const struct channel_message *, int), void (*on_gone)(void *), void *arg)
{
    *c = (struct channel){.fd = fd, .on_message = on_message, .on_gone = on_gone, .arg = arg};
    watch_init(&c->watch, l, fd, on_ready, c);
    watch_set(&c->watch, true, false);
}

void channel_close(struct channel *c)
{
    if (c->fd < 0)
        return;
    watch_set(&c->watch, false, false);
    close(c->fd);
    c->fd = -1;
}

enum io_result channel_send(int fd, const struct channel_message *m, int passed_fd)
{
    union ancillary space = {0};
    struct iovec iov = {(void *)m, HEAD_BYTES + strlen(m->text)};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
    if (passed_fd >= 0) {
        h.msg_control = &space;
        h.msg_controllen = sizeof space;
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof passed_fd);
        memcpy(CMSG_DATA(c), &passed_fd, sizeof passed_fd);
    }
    for (;;) {
        ssize_t n = sendmsg(fd, &h, MSG_NOSIGNAL);
        if (n >= 0)
            return IO_OK;
        if (errno != EINTR)
            return errno == EAGAIN || errno == ENOBUFS ? IO_AGAIN : IO_FAILED;
    }
}

enum io_result channel_tell(int fd, enum channel_kind kind, uint64_t id, uint64_t value, const char *text)
{
    struct channel_message m = {.kind = kind, .id = id, .value = value};
    if (text)
        strncat(m.text, text, sizeof m.text - 1);
    return channel_send(fd, &m, -1);
}
