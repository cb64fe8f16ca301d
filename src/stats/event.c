/* event.c - one JSON object a line, handed on without blocking. See event.h. */
#include "stats/event.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/log.h"

enum { GATHER_MAX_BYTES = 32768 }; /* what waits for the end of a turn */

void event_log_init(struct event_log *log, int fd, const char *node, struct counters *counters)
{
    *log = (struct event_log){.node = node, .counters = counters, .fd = fd};
    buf_init(&log->line, EVENT_LINE_MAX_BYTES);
    buf_init(&log->backlog, EVENT_BACKLOG_BYTES);
}

void event_log_gather(struct event_log *log, void (*on_line)(void *arg), void *arg)
{
    log->on_line = on_line;
    log->arg = arg;
}

void event_log_fini(struct event_log *log)
{
    event_log_flush(log);
    buf_fini(&log->line);
    buf_fini(&log->backlog);
}

static void put(struct event_log *log, bool ok)
{
    log->broken |= !ok;
}

static void put_name(struct event_log *log, const char *name)
{
    size_t len = name ? strlen(name) : 0, at = 0;
    char *to = buf_reserve(&log->line, len + 4);
    put(log, to);
    if (!to)
        return;
    if (log->comma)
        to[at++] = ',';
    log->comma = true;
    if (name) {
        to[at++] = '"';
        memcpy(to + at, name, len);
        at += len;
        to[at++] = '"';
        to[at++] = ':';
    }
    buf_commit(&log->line, at);
}

/* 2026-11-24T08:15:30.123456Z, the second's part remembered: a busy worker writes thousands of lines in one second. */
static struct str format_time(int64_t wall_us)
{
    static _Thread_local char text[40];
    static _Thread_local int64_t second = -1;
    int64_t now = wall_us / 1000000;
    if (now != second) {
        struct tm tm;
        time_t t = (time_t)now;
        gmtime_r(&t, &tm);
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.000000Z", &tm);
        second = now;
    }
    int64_t us = wall_us % 1000000;
    for (int i = 25; i >= 20; i--, us /= 10)
        text[i] = (char)('0' + us % 10);
    return str_of(text, 27);
}

void event_begin(struct event_log *log, const char *event, int64_t wall_us)
{
    buf_clear(&log->line);
    log->broken = log->comma = false;
    put(log, buf_append_char(&log->line, '{'));
    event_str(log, "time", format_time(wall_us));
    event_z(log, "event", event);
    event_z(log, "node", log->node);
}

void event_str(struct event_log *log, const char *name, struct str value)
{
    if (!value.ptr)
        return;
    put_name(log, name);
    put(log, buf_append_char(&log->line, '"') && escape_json(&log->line, value) && buf_append_char(&log->line, '"'));
}

void event_z(struct event_log *log, const char *name, const char *value)
{
    event_str(log, name, str_of_z(value));
}

static void put_number(struct event_log *log, uint64_t value)
{
    char digits[STR_OF_U64_MAX];
    put(log, buf_append_str(&log->line, str_of_u64(digits, value)));
}

void event_uint(struct event_log *log, const char *name, uint64_t value)
{
    put_name(log, name);
    put_number(log, value);
}

void event_ms(struct event_log *log, const char *name, int64_t us)
{
    put_name(log, name);
    uint64_t tenths = us < 0 ? 0 : ((uint64_t)us + 50) / 100;
    put_number(log, tenths / 10);
    char tail[2] = {'.', (char)('0' + tenths % 10)};
    put(log, buf_append(&log->line, tail, 2));
}

void event_time(struct event_log *log, const char *name, int64_t wall_us)
{
    event_str(log, name, format_time(wall_us));
}

void event_number(struct event_log *log, const char *name, struct str digits)
{
    put_name(log, name);
    put(log, buf_append_str(&log->line, digits));
}

void event_bool(struct event_log *log, const char *name, bool value)
{
    put_name(log, name);
    put(log, value ? buf_append(&log->line, "true", 4) : buf_append(&log->line, "false", 5));
}

static void open_nested(struct event_log *log, const char *name, char sign)
{
    put_name(log, name);
    put(log, buf_append_char(&log->line, sign));
    log->comma = false;
}

static void close_nested(struct event_log *log, char sign)
{
    put(log, buf_append_char(&log->line, sign));
    log->comma = true;
}

void event_open_object(struct event_log *log, const char *name)
{
    open_nested(log, name, '{');
}

void event_close_object(struct event_log *log)
{
    close_nested(log, '}');
}

void event_open_array(struct event_log *log, const char *name)
{
    open_nested(log, name, '[');
}

void event_close_array(struct event_log *log)
{
    close_nested(log, ']');
}

static void drop_line(struct event_log *log)
{
    counter_add(log->counters, COUNTER_EVENTS_DROPPED, 1);
    if (log->said_dropped)
        return;
    log->said_dropped = true;
    log_warning("events cannot be written fast enough, or the disk is full: some are dropped "
                "(mailweir_events_dropped_total counts)");
}

/* Bytes written; the rest must wait. */
static size_t write_some(int fd, struct str s)
{
    size_t done = 0;
    while (done < s.len) {
        ssize_t n = write(fd, s.ptr + done, s.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return done;
}

bool event_log_flush(struct event_log *log)
{
    if (buf_len(&log->backlog) == 0)
        return true;
    buf_consume(&log->backlog, write_some(log->fd, buf_str(&log->backlog)));
    if (buf_len(&log->backlog))
        return false;
    buf_fini(&log->backlog);
    log->said_dropped = false;
    return true;
}

void event_end(struct event_log *log)
{
    put(log, buf_append(&log->line, "}\n", 2));
    if (log->fd < 0)
        return;
    if (log->broken) {
        drop_line(log);
        return;
    }
    if (log->on_line && !log->torn && buf_len(&log->backlog) + buf_len(&log->line) <= GATHER_MAX_BYTES &&
        buf_append_str(&log->backlog, buf_str(&log->line))) {
        log->on_line(log->arg);
        return;
    }
    /* half a line went out and there was no memory for the rest: it must not swallow this one. CAN, which no event
     * holds, tells the event writer that the line it ends is none. */
    if (log->torn && event_log_flush(log))
        log->torn = write_some(log->fd, STR("\x18\n")) < 2;
    struct str line = buf_str(&log->line);
    size_t done = event_log_flush(log) ? write_some(log->fd, line) : 0;
    if (done < line.len && !buf_append_str(&log->backlog, str_from(line, done))) {
        log->torn = done > 0;
        drop_line(log);
    }
}

struct str event_log_line(const struct event_log *log)
{
    struct str line = buf_str(&log->line);
    return log->broken || line.len == 0 ? STR_NONE : str_sub(line, 0, line.len - 1);
}
