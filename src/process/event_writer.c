/* event_writer.c - see event_writer.h. */
#include "process/event_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "process/event_file.h"
#include "stats/event.h"

enum {
    READS_MAX = 64, /* of a pipe at once: more than it holds */
    /* After a look into a pipe it is left alone for so long. Lines come one by one, and being woken for each would cost
     * more, its writer too, than all else that is done with it. */
    REST_MS = 20,
};

struct writer {
    struct process_context *ctx;
    struct loop loop;
    struct channel channel;
    struct list producers;
    struct event_file file, next; /* next: being tried for a reload */
    bool has_next;
    bool is_orphan; /* the supervisor is dead */
};

struct producer {
    struct list node;
    struct writer *w;
    struct watch watch;
    struct timer rest;
    int fd;
    uint64_t id;
    struct buf line; /* the beginning of a line whose end has not come */
};

/* What stats/event.c writes begins with the time and holds no control character, but for one that marks a torn line. So
 * neither half a line, of a producer that died or of a writer that did, nor anything else passes. */
static bool is_event(struct str line)
{
    if (!str_starts(line, STR("{\"time\":\"")) || line.ptr[line.len - 1] != '}')
        return false;
    for (size_t i = 0; i < line.len; i++)
        if ((unsigned char)line.ptr[i] < ' ')
            return false;
    return true;
}

/* Whole lines; those that are events go on, as many at once as stand together. */
static void pass_lines(struct writer *w, struct str lines)
{
    int64_t now_ms = loop_now_ms(&w->loop);
    size_t from = 0, at = 0;
    while (at < lines.len) {
        size_t len = str_find(str_from(lines, at), '\n');
        bool good = is_event(str_sub(lines, at, len));
        if (!good) {
            if (at > from)
                event_file_write(&w->file, str_sub(lines, from, at - from), now_ms);
            counter_add(w->ctx->counters, COUNTER_EVENTS_DROPPED, len > 0); /* an empty one closes a torn one */
            from = at + len + 1;
        }
        at += len + 1;
    }
    if (at > from)
        event_file_write(&w->file, str_sub(lines, from, at - from), now_ms);
}

/* Longer than a line may be: what it begins is no event, and so nor is its rest. */
static void keep_beginning(struct producer *p, struct str part)
{
    if (part.len == 0 || buf_append_str(&p->line, part))
        return;
    counter_add(p->w->ctx->counters, COUNTER_EVENTS_DROPPED, 1);
    buf_fini(&p->line);
}

static void take(struct producer *p, struct str chunk)
{
    if (buf_len(&p->line) > 0) {
        size_t end = str_find(chunk, '\n');
        keep_beginning(p, str_sub(chunk, 0, end + 1));
        if (end == chunk.len)
            return;
        pass_lines(p->w, buf_str(&p->line));
        buf_fini(&p->line);
        chunk = str_from(chunk, end + 1);
    }
    size_t last = str_find_last(chunk, '\n');
    size_t whole = last < chunk.len ? last + 1 : 0;
    pass_lines(p->w, str_sub(chunk, 0, whole));
    keep_beginning(p, str_from(chunk, whole));
}

static void end_producer(struct producer *p)
{
    struct writer *w = p->w;
    if (buf_len(&p->line) > 0)
        counter_add(w->ctx->counters, COUNTER_EVENTS_DROPPED, 1);
    watch_set(&p->watch, false, false);
    timer_cancel(&p->rest);
    close(p->fd);
    buf_fini(&p->line);
    list_remove(&p->node);
    channel_tell(w->channel.fd, CHANNEL_PIPE_DONE, p->id, 0, NULL);
    free(p);
    if (w->is_orphan && list_is_empty(&w->producers))
        loop_stop(&w->loop);
}

static enum io_result read_some(struct producer *p)
{
    ssize_t n = read(p->fd, p->w->loop.scratch, LOOP_SCRATCH_BYTES);
    if (n > 0) {
        take(p, str_of(p->w->loop.scratch, (size_t)n));
        return IO_OK;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return IO_AGAIN;
    end_producer(p);
    return IO_EOF;
}

/* What is there now. False: its producer is gone, and so is p. */
static bool read_all(struct producer *p)
{
    enum io_result result = IO_OK;
    for (int i = 0; i < READS_MAX && result == IO_OK; i++)
        result = read_some(p);
    return result != IO_EOF;
}

static void on_pipe(void *arg, bool readable, bool writable)
{
    struct producer *p = arg;
    (void)writable;
    if (!readable || !read_all(p))
        return;
    watch_set(&p->watch, false, false);
    timer_start(&p->rest, loop_now_ms(&p->w->loop) + REST_MS);
}

static void on_rested(void *arg)
{
    struct producer *p = arg;
    watch_set(&p->watch, true, false);
}

static void add_producer(struct writer *w, uint64_t id, int fd)
{
    struct producer *p = fd >= 0 ? calloc(1, sizeof *p) : NULL;
    if (!p) {
        log_error("no memory for another source of events: what it says is lost until the event writer is restarted");
        if (fd >= 0)
            close(fd);
        return;
    }
    *p = (struct producer){.w = w, .fd = fd, .id = id};
    buf_init(&p->line, EVENT_LINE_MAX_BYTES);
    list_add_last(&w->producers, &p->node);
    watch_init(&p->watch, &w->loop, fd, on_pipe, p);
    timer_init(&p->rest, &w->loop, on_rested, p);
    watch_set(&p->watch, true, false);
}

static void try_sink(struct writer *w, const struct channel_message *m)
{
    struct err err = {0};
    struct event_sink_options o = {m->text[0] ? m->text : NULL, m->value, m->number, EVENT_LOG_NONE};
    if (!o.file)
        o.log = (enum event_log_kind)m->value;
    if (w->has_next)
        event_file_close(&w->next);
    w->has_next = event_file_open(&w->next, &o, w->ctx->counters, &err);
    channel_tell(w->channel.fd, w->has_next ? CHANNEL_SINK_OK : CHANNEL_SINK_BAD, m->id, 0, err.text);
}

static void take_sink(struct writer *w)
{
    if (!w->has_next)
        return;
    event_file_close(&w->file);
    w->file = w->next;
    w->has_next = false;
}

static void drop_sink(struct writer *w)
{
    if (w->has_next)
        event_file_close(&w->next);
    w->has_next = false;
}

static void finish(struct writer *w)
{
    LIST_EACH(node, &w->producers)
    (void)read_all(CONTAINER_OF(node, struct producer, node));
    loop_stop(&w->loop);
}

static void on_message(void *arg, const struct channel_message *m, int passed_fd)
{
    struct writer *w = arg;
    switch (m->kind) {
    case CHANNEL_PIPE:
        add_producer(w, m->id, passed_fd);
        return;
    case CHANNEL_REOPEN:
        event_file_reopen(&w->file);
        break;
    case CHANNEL_SINK_TRY:
        try_sink(w, m);
        break;
    case CHANNEL_SINK_TAKE:
        take_sink(w);
        break;
    case CHANNEL_SINK_DROP:
        drop_sink(w);
        break;
    case CHANNEL_QUIT:
        finish(w);
        break;
    default:
        break;
    }
    if (passed_fd >= 0)
        close(passed_fd);
}

static void on_gone(void *arg)
{
    struct writer *w = arg;
    w->is_orphan = true;
    if (list_is_empty(&w->producers))
        loop_stop(&w->loop);
}

static void fini(struct writer *w)
{
    LIST_EACH(node, &w->producers)
    end_producer(CONTAINER_OF(node, struct producer, node));
    channel_close(&w->channel);
    drop_sink(w);
    event_file_close(&w->file);
    loop_fini(&w->loop);
}

int event_writer_run(struct process_context *ctx)
{
    static struct writer writer; /* two long paths are too much for a stack */
    struct writer *w = &writer;
    struct err err = {0};
    w->ctx = ctx;
    list_init(&w->producers);
    if (!process_drop_privileges(ctx, &err) || !loop_init(&w->loop, &err))
        return process_say_failed(ctx, &err);
    channel_open(&w->channel, &w->loop, ctx->control_fd, on_message, on_gone, w);
    /* at the first start the supervisor takes this for an error of the configuration; later it is the disk's trouble */
    if (!event_file_open(&w->file, ctx->sink, ctx->counters, &err))
        channel_tell(ctx->control_fd, CHANNEL_SINK_BAD, 0, 0, err.text);
    process_say_ready(ctx);
    loop_run(&w->loop);
    fini(w);
    return 0;
}
