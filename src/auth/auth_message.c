/*
 * auth_message.c - datagrams between workers and the auth process. See auth_message.h.
 *
 *   "MWa1" u8 kind 0 0 0 | u64 id | then by kind:
 *     HELLO    u64 incarnation, u64 users version
 *     REQUEST  i64 deadline, u16 length and bytes of user, of password
 *     CANCEL   nothing
 *     ANSWER   u64 users version, u8 result, u16 length and bytes of user
 *
 * A parser for each kind is a list of takes; one that runs over the end, or leaves something, makes the whole no
 * message.
 */
#include "auth/auth_message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static const char MAGIC[4] = {'M', 'W', 'a', '1'};

/* ---- writing ---- */

struct writer {
    char *to;
    size_t len;
};

static void put(struct writer *w, const void *bytes, size_t len)
{
    if (len)
        memcpy(w->to + w->len, bytes, len);
    w->len += len;
}

static void put_u64(struct writer *w, uint64_t v)
{
    put(w, &v, sizeof v);
}

static void put_str(struct writer *w, struct str s)
{
    uint16_t len = (uint16_t)s.len;
    put(w, &len, sizeof len);
    put(w, s.ptr, s.len);
}

size_t auth_message_write(const struct auth_message *m, void *to)
{
    _Static_assert(64 + AUTH_NAME_MAX_BYTES + AUTH_PASSWORD_MAX_BYTES <= AUTH_MESSAGE_MAX_BYTES, "a request fits");
    struct writer w = {to, 0};
    unsigned char kind[4] = {(unsigned char)m->kind}, result = (unsigned char)m->result;
    if (m->user.len > AUTH_NAME_MAX_BYTES || m->password.len > AUTH_PASSWORD_MAX_BYTES)
        return 0;
    put(&w, MAGIC, sizeof MAGIC);
    put(&w, kind, sizeof kind);
    put_u64(&w, m->id);
    switch (m->kind) {
    case AUTH_MESSAGE_HELLO:
        put_u64(&w, m->incarnation);
        put_u64(&w, m->users_version);
        break;
    case AUTH_MESSAGE_REQUEST:
        put_u64(&w, (uint64_t)m->deadline_ms);
        put_str(&w, m->user);
        put_str(&w, m->password);
        break;
    case AUTH_MESSAGE_CANCEL:
        break;
    case AUTH_MESSAGE_ANSWER:
        put_u64(&w, m->users_version);
        put(&w, &result, 1);
        put_str(&w, m->user);
        break;
    }
    return w.len;
}

/* ---- reading ---- */

struct reader {
    struct str left;
    bool ok;
};

static void take(struct reader *r, void *to, size_t len)
{
    memset(to, 0, len);
    r->ok = r->ok && r->left.len >= len;
    if (!r->ok)
        return;
    memcpy(to, r->left.ptr, len);
    r->left = str_from(r->left, len);
}

static uint64_t take_u64(struct reader *r)
{
    uint64_t v;
    take(r, &v, sizeof v);
    return v;
}

static struct str take_str(struct reader *r, size_t max)
{
    uint16_t len;
    take(r, &len, sizeof len);
    r->ok = r->ok && len <= max && len <= r->left.len;
    if (!r->ok)
        return STR_NONE;
    struct str s = str_of(r->left.ptr, len);
    r->left = str_from(r->left, len);
    return s;
}

bool auth_message_read(struct str datagram, struct auth_message *m)
{
    static const unsigned char ZEROS[3];
    struct reader r = {datagram, true};
    char magic[sizeof MAGIC];
    unsigned char kind[4], result = 0;
    *m = (struct auth_message){0};
    take(&r, magic, sizeof magic);
    take(&r, kind, sizeof kind);
    m->id = take_u64(&r);
    if (!r.ok || memcmp(magic, MAGIC, sizeof MAGIC) != 0 || memcmp(kind + 1, ZEROS, sizeof ZEROS) != 0)
        return false;
    switch (kind[0]) {
    case AUTH_MESSAGE_HELLO:
        m->incarnation = take_u64(&r);
        m->users_version = take_u64(&r);
        break;
    case AUTH_MESSAGE_REQUEST:
        m->deadline_ms = (int64_t)take_u64(&r);
        m->user = take_str(&r, AUTH_NAME_MAX_BYTES);
        m->password = take_str(&r, AUTH_PASSWORD_MAX_BYTES);
        break;
    case AUTH_MESSAGE_CANCEL:
        break;
    case AUTH_MESSAGE_ANSWER:
        m->users_version = take_u64(&r);
        take(&r, &result, 1);
        m->user = take_str(&r, AUTH_NAME_MAX_BYTES);
        /* the name of an accepted login is the only one that is told, and must be fit to be passed on */
        r.ok =
            r.ok && result < AUTH_RESULT_COUNT && (result == AUTH_OK) == (m->user.len > 0) && !str_has_control(m->user);
        break;
    default:
        return false;
    }
    m->kind = (enum auth_message_kind)kind[0];
    m->result = (enum auth_result)result;
    return r.ok && r.left.len == 0;
}

/* ---- sockets ---- */

/* The largest buffer that needs no privilege; the kernel doubles it. It charges 768 bytes for a usual message, 2304 for
 * the longest. */
enum { CHANNEL_BUFFER_BYTES = 212992 };

bool auth_channel_open(int ends[2], struct err *err)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return err_set(err, "a channel to the auth process cannot be opened: %s", strerror(errno));
    for (int i = 0; i < 2; i++) {
        int bytes = CHANNEL_BUFFER_BYTES;
        /* where the administrator allows less, it is less: logins are refused earlier, nothing else */
        int ignored = setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
        (void)ignored;
    }
    return true;
}

enum io_result auth_message_send(int fd, const struct auth_message *m)
{
    char space[AUTH_MESSAGE_MAX_BYTES];
    size_t len = auth_message_write(m, space);
    if (len == 0)
        return IO_FAILED;
    ssize_t n;
    do
        n = send(fd, space, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    int error = errno;
    if (m->kind == AUTH_MESSAGE_REQUEST)
        explicit_bzero(space, len);
    if (n == (ssize_t)len)
        return IO_OK;
    return n < 0 && (error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS) ? IO_AGAIN : IO_FAILED;
}

enum io_result auth_message_receive(int fd, void *space, struct auth_message *m)
{
    for (;;) {
        /* MSG_TRUNC: the true length, so that a longer datagram is seen to be none of ours */
        ssize_t n = recv(fd, space, AUTH_MESSAGE_MAX_BYTES, MSG_DONTWAIT | MSG_TRUNC);
        if (n > 0 && n <= AUTH_MESSAGE_MAX_BYTES && auth_message_read(str_of(space, (size_t)n), m))
            return IO_OK;
        if (n == 0)
            return IO_EOF;
        if (n < 0 && errno != EINTR)
            return errno == EAGAIN || errno == EWOULDBLOCK ? IO_AGAIN : IO_FAILED;
    }
}
