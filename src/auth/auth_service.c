/* auth_service.c - the auth process's loop. See auth_service.h. */
#include "auth/auth_service.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/auth_message.h"
#include "auth/verifier.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/panic.h"

enum {
    BACKENDS_MAX = 16,
    CHANNELS_MAX = 1024,
    DEFAULT_JOBS = 256,
    DEFAULT_THREADS_MAX = 4,
    MESSAGES_A_TURN = 64,
    IDLE_MS = 60000
};

struct backend_slot {
    const struct auth_backend_kind *kind;
    struct auth_backend *backend;
};

struct channel {
    int fd;
    bool is_open;
    bool owes_hello; /* it has to be told of a new incarnation or version, and could not be yet */
};

struct service {
    const struct auth_service_options *options;
    struct backend_slot backends[BACKENDS_MAX];
    size_t backend_count;
    struct verifier *verifier;
    struct channel *channels;
    struct pollfd *polled; /* [0] stop_fd, [1] the verifier, then the channels */
    uint64_t incarnation, users_version;
};

/* ---- what is said to workers ---- */

static void channel_close(struct channel *ch)
{
    ch->is_open = false;
    ch->owes_hello = false;
}

static void say_hello(struct service *s, struct channel *ch)
{
    struct auth_message hello = {
        .kind = AUTH_MESSAGE_HELLO, .incarnation = s->incarnation, .users_version = s->users_version};
    switch (auth_message_send(ch->fd, &hello)) {
    case IO_OK:
        ch->owes_hello = false;
        break;
    case IO_AGAIN: /* poll says when */
        break;
    default:
        channel_close(ch);
    }
}

/* A worker that does not take its answers has clients that are past helping: theirs ends by its deadline. */
static void answer(struct service *s, unsigned owner, uint64_t id, enum auth_result result, uint64_t version,
                   struct str user)
{
    struct channel *ch = &s->channels[owner];
    struct auth_message m = {.kind = AUTH_MESSAGE_ANSWER,
                             .id = id,
                             .result = result,
                             .users_version = version,
                             .user = result == AUTH_OK ? user : STR_NONE};
    if (!ch->is_open)
        return;
    enum io_result r = auth_message_send(ch->fd, &m);
    if (r == IO_AGAIN)
        log_debug("worker slot %u does not read its answers: one is dropped", owner);
    else if (r != IO_OK)
        channel_close(ch);
}

/* ---- requests ---- */

/* Asks the backends in turn who this is. AWAY: nobody before one that cannot say knew the user. */
static enum auth_prepared prepare(struct service *s, struct str user, struct auth_task *task)
{
    int64_t today = clock_wall_us() / INT64_C(86400000000);
    for (size_t i = 0; i < s->backend_count; i++) {
        enum auth_prepared prepared = s->backends[i].kind->prepare(s->backends[i].backend, user, today, task);
        if (prepared != AUTH_PREPARED_UNKNOWN)
            return prepared;
    }
    return AUTH_PREPARED_UNKNOWN;
}

static void on_request(struct service *s, unsigned owner, const struct auth_message *m)
{
    struct verify_job *job = verifier_job_new(s->verifier);
    if (!job) {
        answer(s, owner, m->id, AUTH_UNAVAILABLE, s->users_version, STR_NONE);
        return;
    }
    if (prepare(s, m->user, &job->task) == AUTH_PREPARED_AWAY) {
        verifier_job_release(s->verifier, job);
        answer(s, owner, m->id, AUTH_UNAVAILABLE, s->users_version, STR_NONE);
        return;
    }
    job->id = m->id;
    job->owner = owner;
    job->deadline_ms = m->deadline_ms;
    job->users_version = s->users_version;
    job->task.password_len = str_copy_into(job->task.password, sizeof job->task.password, m->password).len;
    verifier_submit(s->verifier, job);
}

/* Some of what a worker sent; the rest in the next turn, so that one busy worker does not starve the others. */
static void read_channel(struct service *s, unsigned owner)
{
    struct channel *ch = &s->channels[owner];
    char space[AUTH_MESSAGE_MAX_BYTES];
    struct auth_message m;
    for (int i = 0; i < MESSAGES_A_TURN && ch->is_open; i++) {
        enum io_result r = auth_message_receive(ch->fd, space, &m);
        if (r == IO_AGAIN)
            break;
        if (r != IO_OK)
            channel_close(ch);
        else if (m.kind == AUTH_MESSAGE_REQUEST)
            on_request(s, owner, &m);
        else if (m.kind == AUTH_MESSAGE_CANCEL)
            verifier_cancel(s->verifier, owner, m.id);
        else if (m.kind == AUTH_MESSAGE_HELLO)
            ch->owes_hello = true;
    }
    explicit_bzero(space, sizeof space);
}

static void take_answers(struct service *s)
{
    for (struct verify_job *job; (job = verifier_take_done(s->verifier));) {
        answer(s, job->owner, job->id, job->result, job->users_version, str_of_z(job->task.user));
        verifier_job_release(s->verifier, job);
    }
}

/* ---- life ---- */

static void on_backend_state(void *arg, bool good, const char *text)
{
    const struct service *s = arg;
    log_line(good ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "users: %s", text);
    if (s->options->on_state)
        s->options->on_state(s->options->on_state_arg, good, text);
}

/* Looks after the users; returns when that is wanted next. */
static int64_t refresh(struct service *s)
{
    int64_t now_ms = clock_monotonic_ms(), next_ms = now_ms + IDLE_MS;
    bool changed = false;
    for (size_t i = 0; i < s->backend_count; i++)
        changed |= s->backends[i].kind->refresh(s->backends[i].backend, now_ms, &next_ms);
    if (changed) {
        s->users_version++;
        for (size_t i = 0; i < s->options->channel_count; i++)
            s->channels[i].owes_hello = s->channels[i].is_open;
    }
    return next_ms;
}

/* Fills s->polled. False: there is no channel left. */
static bool fill_polled(struct service *s)
{
    bool any = false;
    s->polled[0] = (struct pollfd){.fd = s->options->stop_fd, .events = POLLIN};
    s->polled[1] = (struct pollfd){.fd = verifier_fd(s->verifier), .events = POLLIN};
    for (size_t i = 0; i < s->options->channel_count; i++) {
        struct channel *ch = &s->channels[i];
        if (ch->is_open && ch->owes_hello)
            say_hello(s, ch);
        /* a negative descriptor is one that poll skips */
        s->polled[2 + i] = (struct pollfd){.fd = ch->is_open ? ch->fd : -1,
                                           .events = (short)(POLLIN | (ch->owes_hello ? POLLOUT : 0))};
        any |= ch->is_open;
    }
    return any;
}

static bool serve(struct service *s, struct err *err)
{
    for (;;) {
        int64_t next_ms = refresh(s);
        if (!fill_polled(s))
            return true;
        int64_t wait_ms = MAX_OF(next_ms - clock_monotonic_ms(), (int64_t)0);
        int n = poll(s->polled, (nfds_t)(2 + s->options->channel_count), (int)MIN_OF(wait_ms, (int64_t)IDLE_MS));
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return err_set(err, "poll: %s", strerror(errno));
        if (n <= 0)
            continue;
        if (s->polled[0].revents)
            return true;
        if (s->polled[1].revents)
            take_answers(s);
        for (unsigned i = 0; i < s->options->channel_count; i++)
            if (s->polled[2 + i].revents & (POLLIN | POLLHUP | POLLERR | POLLNVAL))
                read_channel(s, i);
    }
}

static bool open_backends(struct service *s, struct err *err)
{
    for (size_t i = 0; i < s->options->backend_count; i++) {
        const struct auth_backend_setting *setting = &s->options->backends[i];
        struct backend_slot *slot = &s->backends[i];
        slot->kind = auth_backend_kind_find(setting->kind);
        PANIC_IF(!slot->kind, "auth " PRI_STR, STR_ARG(setting->kind));
        slot->backend = slot->kind->open(setting, on_backend_state, s, clock_monotonic_ms(), err);
        if (!slot->backend)
            return false;
        s->backend_count++;
    }
    return true;
}

static bool open_channels(struct service *s, struct err *err)
{
    size_t count = s->options->channel_count;
    s->channels = calloc(count, sizeof *s->channels);
    s->polled = calloc(2 + count, sizeof *s->polled);
    if (!s->channels || !s->polled)
        return err_no_memory(err);
    for (size_t i = 0; i < count; i++)
        s->channels[i] = (struct channel){.fd = s->options->channels[i], .is_open = true, .owes_hello = true};
    return true;
}

static unsigned default_threads(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return (unsigned)MIN_OF(MAX_OF(cores, 1L), (long)DEFAULT_THREADS_MAX);
}

bool auth_service_run(const struct auth_service_options *o, struct err *err)
{
    PANIC_IF(o->backend_count < 1 || o->backend_count > BACKENDS_MAX || o->channel_count < 1 ||
                 o->channel_count > CHANNELS_MAX,
             "%zu backends, %zu channels", o->backend_count, o->channel_count);
    struct service s = {.options = o, .users_version = 1};
    do
        random_bytes(&s.incarnation, sizeof s.incarnation);
    while (s.incarnation == 0);
    struct verifier_options threads = {.threads = o->threads ? o->threads : default_threads(),
                                       .jobs_max = o->jobs_max ? o->jobs_max : (unsigned)DEFAULT_JOBS,
                                       .now_ms = clock_monotonic_ms};
    bool ok = open_channels(&s, err) && open_backends(&s, err) && (s.verifier = verifier_new(&threads, err)) &&
              serve(&s, err);
    verifier_free(&s.verifier);
    for (size_t i = 0; i < s.backend_count; i++)
        s.backends[i].kind->close(s.backends[i].backend);
    free(s.channels);
    free(s.polled);
    return ok;
}
