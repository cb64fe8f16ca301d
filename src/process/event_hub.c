/* event_hub.c - see event_hub.h. */
#include "process/event_hub.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process/supervisor.h"

/* More can only be if a writer hangs for hours while producers die again and again. */
enum { PIPES_MAX = 2 * COUNTER_SLOTS, PIPE_BYTES = 1 << 20 };

struct event_pipe {
    struct list node;
    uint64_t id;
    int read_fd;
    bool is_given;  /* the writer at hand has it */
    bool is_orphan; /* its producer is gone */
};

bool event_hub_init(struct event_hub *h, struct supervisor *sup, struct err *err)
{
    *h = (struct event_hub){.sup = sup};
    list_init(&h->pipes);
    return child_init(&h->writer, sup, NULL, ROLE_EVENT_WRITER, 0, err);
}

static void drop(struct event_hub *h, struct event_pipe *p)
{
    list_remove(&p->node);
    h->pipe_count--;
    close(p->read_fd);
    free(p);
}

void event_hub_fini(struct event_hub *h)
{
    if (!h->sup)
        return; /* never begun */
    LIST_EACH(node, &h->pipes)
    drop(h, CONTAINER_OF(node, struct event_pipe, node));
    child_fini(&h->writer);
}

void event_hub_set_sink(struct event_hub *h, const struct event_sink_options *sink)
{
    h->sink = *sink;
    h->sink_path[0] = '\0';
    if (!sink->file)
        return;
    strncat(h->sink_path, sink->file, sizeof h->sink_path - 1);
    h->sink.file = h->sink_path;
}

void event_hub_try_sink(struct event_hub *h, const struct event_sink_options *sink, uint64_t id)
{
    struct channel_message m = {.kind = CHANNEL_SINK_TRY, .number = sink->keep, .id = id, .value = sink->rotate_bytes};
    if (sink->file)
        strncat(m.text, sink->file, sizeof m.text - 1);
    else
        m.value = sink->log;
    if (h->writer.pid)
        channel_send(h->writer.channel.fd, &m, -1); /* a writer that is blocked does not answer in time either */
}

/* Its lines are lost: the bound matters more. */
static void drop_oldest_orphan(struct event_hub *h)
{
    LIST_EACH(node, &h->pipes)
    {
        struct event_pipe *p = CONTAINER_OF(node, struct event_pipe, node);
        if (!p->is_orphan)
            continue;
        drop(h, p);
        return;
    }
}

int event_hub_open_pipe(struct event_hub *h, uint64_t *id, struct err *err)
{
    int fds[2];
    if (h->pipe_count >= PIPES_MAX)
        drop_oldest_orphan(h);
    struct event_pipe *p = calloc(1, sizeof *p);
    if (!p) {
        err_no_memory(err);
        return -1;
    }
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) {
        err_set(err, "cannot make a pipe for events: %s", strerror(errno));
        free(p);
        return -1;
    }
    fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES); /* where the system gives less, a burst is dropped and counted earlier */
    p->id = *id = ++h->last_id;
    p->read_fd = fds[0];
    list_add_last(&h->pipes, &p->node);
    h->pipe_count++;
    event_hub_give(h);
    return fds[1];
}

static struct event_pipe *find(struct event_hub *h, uint64_t id)
{
    LIST_EACH(node, &h->pipes)
    {
        struct event_pipe *p = CONTAINER_OF(node, struct event_pipe, node);
        if (p->id == id)
            return p;
    }
    return NULL;
}

void event_hub_orphan_pipe(struct event_hub *h, uint64_t id)
{
    struct event_pipe *p = find(h, id);
    if (p)
        p->is_orphan = true;
}

void event_hub_pipe_done(struct event_hub *h, uint64_t id)
{
    struct event_pipe *p = find(h, id);
    if (p)
        drop(h, p);
}

void event_hub_writer_started(struct event_hub *h)
{
    LIST_EACH(node, &h->pipes)
    CONTAINER_OF(node, struct event_pipe, node)->is_given = false;
    event_hub_give(h);
}

void event_hub_give(struct event_hub *h)
{
    LIST_EACH(node, &h->pipes)
    {
        struct event_pipe *p = CONTAINER_OF(node, struct event_pipe, node);
        if (p->is_given || !h->writer.is_ready)
            continue;
        struct channel_message m = {.kind = CHANNEL_PIPE, .id = p->id};
        if (channel_send(h->writer.channel.fd, &m, p->read_fd) != IO_OK)
            return;
        p->is_given = true;
    }
}
