/* event_file.c - see event_file.h. */
#include "process/event_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/config.h"

enum { WAIT_MS = 1000 }; /* for stderr or a log that does not keep up */

/* Without O_NONBLOCK a FIFO that nobody reads would hold us here for ever; writing may then wait as it likes. */
static int open_path(const char *path, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd < 0) {
        int e = errno;
        err_set(err, "cannot open the event file \"%s\": %s", path, strerror(e));
        errno = e; /* the caller looks at it */
        return -1;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

static void use(struct event_file *f, int fd)
{
    struct stat st;
    f->fd = fd;
    f->is_regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    f->size = f->is_regular ? (uint64_t)st.st_size : 0;
    f->rotate_at = f->rotate_bytes;
    f->is_torn = false;
}

static const char *place(const struct event_file *f)
{
    return f->is_stderr ? "stderr" : f->is_log ? f->log.path : f->path;
}

/* Says it once. */
static void note_trouble(struct event_file *f, int error)
{
    if (f->is_failing)
        return;
    f->is_failing = true;
    log_error("cannot write events to %s: %s; they are dropped until it works again (mailweir_events_dropped_total "
              "counts)",
              place(f), strerror(error));
}

static void note_lost(struct event_file *f, struct str lines, int error)
{
    uint64_t n = 0;
    for (struct str rest = lines; rest.len; n++)
        str_split(rest, '\n', &rest);
    f->lost += n;
    counter_add(f->counters, COUNTER_EVENTS_DROPPED, n);
    note_trouble(f, error);
}

static bool open_log(struct event_file *f, enum event_log_kind kind, struct err *err)
{
    f->is_log = true;
    if (kind == EVENT_LOG_SYSLOG)
        log_socket_init(&f->log, LOG_SOCKET_SYSLOG, CONFIG_SYSLOG_SOCKET);
    else
        log_socket_init(&f->log, LOG_SOCKET_JOURNAL, CONFIG_JOURNAL_SOCKET);
    return log_socket_open(&f->log, err) ||
           err_prefix(err, "cannot write events to %s", kind == EVENT_LOG_SYSLOG ? "syslog" : "the journal");
}

bool event_file_open(struct event_file *f, const struct event_sink_options *o, struct counters *counters,
                     struct err *err)
{
    *f = (struct event_file){.counters = counters, .rotate_bytes = o->rotate_bytes, .keep = o->keep, .fd = -1};
    if (o->log != EVENT_LOG_NONE && !o->file)
        return open_log(f, o->log, err);
    if (!o->file) {
        f->is_stderr = true;
        f->fd = STDERR_FILENO;
        return true;
    }
    strncat(f->path, o->file, sizeof f->path - 1);
    int fd = open_path(f->path, err);
    if (fd >= 0)
        use(f, fd);
    else if (errno == ENOSPC || errno == EDQUOT)
        note_trouble(f, errno);
    else
        return false;
    return true;
}

void event_file_close(struct event_file *f)
{
    if (f->is_log)
        log_socket_close(&f->log);
    if (f->fd >= 0 && !f->is_stderr)
        close(f->fd);
    f->fd = -1;
}

void event_file_reopen(struct event_file *f)
{
    if (f->is_stderr || f->is_log)
        return;
    struct err err = {0};
    int fd = open_path(f->path, &err);
    if (fd < 0) {
        log_error("%s; events still go to the file as it was opened before", err.text);
        return;
    }
    event_file_close(f);
    use(f, fd);
}

static void note_written(struct event_file *f)
{
    if (!f->is_failing)
        return;
    log_info("events are written to %s again; %llu were lost", place(f), (unsigned long long)f->lost);
    f->is_failing = false;
    f->lost = 0;
}

/* FILE.6 becomes FILE.7, …, FILE becomes FILE.1. Readers that have the old file open lose nothing. */
static void rotate(struct event_file *f)
{
    char from[PROCESS_PATH_MAX + 16], to[PROCESS_PATH_MAX + 16];
    for (unsigned i = f->keep; i > 1; i--) {
        snprintf(from, sizeof from, "%s.%u", f->path, i - 1);
        snprintf(to, sizeof to, "%s.%u", f->path, i);
        if (rename(from, to) != 0 && errno != ENOENT)
            break;
    }
    snprintf(to, sizeof to, "%s.1", f->path);
    struct err err = {0};
    bool moved = (f->keep > 0 ? rename(f->path, to) : unlink(f->path)) == 0 || errno == ENOENT;
    if (!moved)
        err_set(&err, "cannot rename \"%s\": %s", f->path, strerror(errno));
    int fd = moved ? open_path(f->path, &err) : -1;
    if (fd < 0) {
        log_error("cannot rotate the events: %s; tried again after %llu bytes more", err.text,
                  (unsigned long long)f->rotate_bytes);
        f->rotate_at = f->size + f->rotate_bytes;
        return;
    }
    event_file_close(f);
    use(f, fd);
}

/* Half a line at the end of a regular file is cut off again; where that is not possible (a pipe), the next line begins
 * on a line of its own. */
static void mend_end(struct event_file *f, size_t half)
{
    if (half == 0)
        return;
    if (f->is_regular && ftruncate(f->fd, (off_t)(f->size - half)) == 0)
        f->size -= half;
    else
        f->is_torn = true;
}

/* Stderr may be a terminal or pipe that somebody made non-blocking. */
static bool may_wait(int fd)
{
    struct pollfd p = {fd, POLLOUT, 0};
    return errno == EINTR || (errno == EAGAIN && poll(&p, 1, WAIT_MS) > 0);
}

/* Bytes written; errno says why not all. */
static size_t write_all(struct event_file *f, struct str s)
{
    size_t done = 0;
    while (done < s.len) {
        ssize_t n = write(f->fd, s.ptr + done, s.len - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || !may_wait(f->fd))
            break;
    }
    f->size += done;
    return done;
}

/* A datagram a line. Only this process waits for a log that is slow. */
static void write_log(struct event_file *f, struct str lines)
{
    struct err err;
    int64_t wall_us = clock_wall_us();
    while (lines.len) {
        struct str whole = lines, line = str_split(lines, '\n', &lines);
        bool sent = log_socket_send(&f->log, LOG_SEVERITY_INFO, wall_us, line, &err);
        if (!sent && may_wait(f->log.fd))
            sent = log_socket_send(&f->log, LOG_SEVERITY_INFO, wall_us, line, &err);
        if (sent)
            note_written(f);
        else
            note_lost(f, str_sub(whole, 0, line.len + 1), errno);
    }
}

static bool is_open(struct event_file *f, int64_t now_ms)
{
    struct err err = {0};
    if (f->fd >= 0)
        return true;
    if (now_ms < f->retry_at_ms)
        return false;
    f->retry_at_ms = now_ms + EVENT_FILE_RETRY_MS;
    int fd = open_path(f->path, &err);
    if (fd < 0)
        return false;
    use(f, fd);
    return true;
}

void event_file_write(struct event_file *f, struct str lines, int64_t now_ms)
{
    if (f->is_log) {
        write_log(f, lines);
        return;
    }
    errno = ENOENT;
    if (!is_open(f, now_ms)) {
        note_lost(f, lines, errno);
        return;
    }
    if (f->is_regular && f->rotate_bytes && f->size > 0 && f->size + lines.len > f->rotate_at)
        rotate(f);
    if (f->is_torn && write_all(f, STR("\n")) == 1)
        f->is_torn = false;
    size_t done = f->is_torn ? 0 : write_all(f, lines);
    if (done == lines.len) {
        note_written(f);
        return;
    }
    int error = errno;
    size_t last = str_find_last(str_sub(lines, 0, done), '\n');
    size_t whole = last < done ? last + 1 : 0; /* up to the last line that is there to its end */
    mend_end(f, done - whole);
    note_lost(f, str_from(lines, whole), error);
}
