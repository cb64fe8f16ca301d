/* alert.c - see alert.h. */
#include "stats/alert.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/log.h"

enum { QUEUE_BYTES = 1 << 20 }; /* asked for; the system gives what it allows */

struct head {
    uint32_t target, held_back;
    uint64_t id;
    uint32_t key_bytes, event_bytes;
};
_Static_assert(sizeof(struct head) + ALERT_KEY_MAX_BYTES + ALERT_EVENT_MAX_BYTES <= ALERT_MESSAGE_MAX_BYTES,
               "a message fits into its space");

bool alert_channel_open(int ends[2], struct err *err)
{
    int bytes = QUEUE_BYTES;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return err_set(err, "cannot make a pair of sockets for alerts: %s", strerror(errno));
    (void)setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes); /* less: a burst is dropped earlier */
    return true;
}

enum io_result alert_message_send(int fd, const struct alert_message *m)
{
    struct str key = str_sub(m->key, 0, ALERT_KEY_MAX_BYTES);
    if (m->event.len > ALERT_EVENT_MAX_BYTES)
        return IO_FAILED;
    struct head head = {m->target, m->held_back, m->id, (uint32_t)key.len, (uint32_t)m->event.len};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)key.ptr, key.len}, {(void *)m->event.ptr, m->event.len}};
    struct msghdr h = {.msg_iov = parts, .msg_iovlen = COUNT_OF(parts)};
    for (;;) {
        if (sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
            return IO_OK;
        if (errno != EINTR)
            return errno == EAGAIN || errno == ENOBUFS ? IO_AGAIN : IO_FAILED;
    }
}

/* What a worker wrote is checked all the same: each side is the other's boundary. */
static bool parse(const char *bytes, size_t len, struct alert_message *m)
{
    struct head head;
    if (len < sizeof head)
        return false;
    memcpy(&head, bytes, sizeof head);
    if (head.key_bytes > ALERT_KEY_MAX_BYTES || head.event_bytes > ALERT_EVENT_MAX_BYTES ||
        len != sizeof head + head.key_bytes + head.event_bytes)
        return false;
    *m = (struct alert_message){head.target, head.held_back, head.id, str_of(bytes + sizeof head, head.key_bytes),
                                str_of(bytes + sizeof head + head.key_bytes, head.event_bytes)};
    return true;
}

enum io_result alert_message_receive(int fd, void *space, struct alert_message *m)
{
    for (;;) {
        ssize_t n = recv(fd, space, ALERT_MESSAGE_MAX_BYTES, MSG_TRUNC | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? IO_AGAIN : IO_FAILED;
        if (n == 0)
            return IO_EOF; /* nobody sends an empty one */
        if (n <= ALERT_MESSAGE_MAX_BYTES && parse(space, (size_t)n, m))
            return IO_OK;
    }
}

static void note_dropped(struct alert_sender *s, struct str alert, const char *why)
{
    counter_add(s->counters, COUNTER_ALERTS_DROPPED, 1);
    if (s->said_dropped)
        return;
    s->said_dropped = true;
    log_warning("alert \"" PRI_STR "\" is not sent: %s (mailweir_alerts_dropped_total counts)", STR_ARG(alert), why);
}

void alert_send(struct alert_sender *s, struct str alert, struct str key, struct str event_line)
{
    size_t target = 0;
    while (s && target < s->target_count && !str_equal(s->targets[target].name, alert))
        target++;
    if (!s || target == s->target_count)
        return;
    struct alert_message m = {
        .target = (uint32_t)target, .id = alert_rates_id(s->rates, alert, key), .key = key, .event = event_line};
    if (!alert_rates_claim(s->rates, m.id, s->targets[target].every_ms, clock_monotonic_ms(), &m.held_back))
        return;
    enum io_result sent = alert_message_send(s->fd, &m);
    if (sent == IO_OK) {
        s->said_dropped = false;
        return;
    }
    alert_rates_give_back(s->rates, m.id, m.held_back);
    note_dropped(s, alert, sent == IO_AGAIN ? "too many wait already" : "its event is too long");
}
