/* table_keeper.c - see table_keeper.h. */
#include "process/table_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum { SETTLE_LOOKS = 10, SEND_AGAIN_MS = 1000, READER_NICE = 10 };

/* What a reader says when it ends; less than a pipe takes at once. */
struct verdict {
    bool is_good;
    char text[1000]; /* what is wrong */
};

struct kept_table {
    struct file_stamp taken; /* of the file that was last read, well or not */
    struct file_stamp last;  /* as last looked at */
    unsigned unsettled;      /* looks at which it was still changing */
    bool is_wanted;          /* to be read */
    bool is_stale;           /* and it was said */
    int image;               /* not everybody has it; -1: they have */
};

struct table_keeper {
    struct loop *loop;
    struct table_keeper_options options;
    struct timer look, settle, again, deadline;
    bool has_replaced; /* something waits for forget */
    bool is_hushed;
    size_t reading;         /* index of the table that is being read, while pidfd >= 0 */
    int pidfd, pipe, image; /* of the reader; -1: none */
    struct watch watch;     /* of the pipe */
    struct kept_table tables[];
};

/* ---- the reader ---- */

static void close_all_but(int *keep, size_t count)
{
    for (size_t i = 0; i < count; i++) /* three or four: sorted by hand */
        for (size_t j = i + 1; j < count; j++)
            if (keep[j] < keep[i]) {
                int swapped = keep[i];
                keep[i] = keep[j];
                keep[j] = swapped;
            }
    int first = STDERR_FILENO + 1;
    for (size_t i = 0; i < count; i++) {
        if (keep[i] > first)
            close_range((unsigned)first, (unsigned)keep[i] - 1, 0);
        first = MAX_OF(first, keep[i] + 1);
    }
    close_range((unsigned)first, ~0U, 0);
}

static void set_signals(pid_t parent)
{
    static const int FATAL[] = {SIGTERM, SIGALRM}, IGNORED[] = {SIGINT, SIGHUP, SIGUSR1, SIGPIPE};
    sigset_t none;
    for (size_t i = 0; i < COUNT_OF(FATAL); i++)
        signal(FATAL[i], SIG_DFL);
    for (size_t i = 0; i < COUNT_OF(IGNORED); i++)
        signal(IGNORED[i], SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(1);
}

/* The whole life of a reader. */
static NORETURN void read_table(struct table_keeper *k, size_t index, int file, int image, int to, pid_t parent)
{
    const struct table_keeper_options *o = &k->options;
    struct verdict verdict = {.is_good = false};
    struct err err = {0};
    int keep[] = {file, image, to};
    set_signals(parent);
    prctl(PR_SET_NAME, "mailweir:table", 0, 0, 0);
    close_all_but(keep, COUNT_OF(keep));
    setpriority(PRIO_PROCESS, 0, READER_NICE); /* mail comes first */
    if (privileges_drop(o->privileges, &err)) {
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* forgotten with the privileges */
        verdict.is_good = o->build(o->arg, index, file, image, &err);
    }
    snprintf(verdict.text, sizeof verdict.text, "%s", err.text);
    ssize_t n = write(to, &verdict, sizeof verdict);
    _exit(n == (ssize_t)sizeof verdict ? 0 : 1);
}

/* ---- what came of it ---- */

/* It was not the file's fault: as if it had changed since. */
static void try_again(struct kept_table *t)
{
    t->taken = (struct file_stamp){.reason = EAGAIN};
}

static void say(struct table_keeper *k, size_t index, const char *state, const char *text)
{
    const struct process_table *t = &k->options.tables[index];
    struct event_log *e = k->options.events;
    if (k->is_hushed)
        return;
    event_begin(e, "table", loop_wall_us(k->loop));
    event_z(e, "table", t->name);
    event_z(e, "file", t->path);
    event_z(e, "state", state);
    event_z(e, "text", text);
    event_end(e);
}

static void note_bad(struct table_keeper *k, size_t index, const char *why)
{
    struct kept_table *t = &k->tables[index];
    if (t->is_stale)
        return;
    t->is_stale = true;
    if (!k->is_hushed)
        log_error("table \"%s\" keeps its last good content: %s", k->options.tables[index].name, why);
    say(k, index, "stale", why);
}

static void send_image(struct table_keeper *k, size_t index)
{
    struct kept_table *t = &k->tables[index];
    if (k->options.send(k->options.arg, index, t->image)) {
        close(t->image);
        t->image = -1;
    } else {
        timer_start(&k->again, loop_now_ms(k->loop) + SEND_AGAIN_MS);
    }
}

/* Takes the image. */
static void note_good(struct table_keeper *k, size_t index, int image)
{
    struct kept_table *t = &k->tables[index];
    const struct process_table *about = &k->options.tables[index];
    struct err err = {0};
    if (fcntl(image, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
        err_set(&err, "cannot seal it: %s", strerror(errno));
    if (err.text[0] || !k->options.take(k->options.arg, index, image, &err)) {
        close(image);
        try_again(t);
        note_bad(k, index, err.text);
        return;
    }
    if (t->image >= 0)
        close(t->image); /* a newer one is there before everybody had the last */
    t->image = image;
    k->has_replaced = true;
    send_image(k, index);
    if (!k->is_hushed)
        log_info("table \"%s\" is read anew from %s", about->name, about->path);
    if (t->is_stale)
        say(k, index, "current", "its file is good again");
    t->is_stale = false;
}

static void on_again_due(void *arg)
{
    struct table_keeper *k = arg;
    for (size_t i = 0; i < k->options.count; i++)
        if (k->tables[i].image >= 0)
            send_image(k, i);
}

static void read_next(struct table_keeper *k);

/* Forgets the reader; its image is the caller's now, if it wants it. */
static int end_reader(struct table_keeper *k)
{
    int image = k->image;
    watch_set(&k->watch, false, false);
    timer_cancel(&k->deadline);
    close(k->pipe);
    close(k->pidfd);
    k->pipe = k->pidfd = k->image = -1;
    return image;
}

static void on_verdict(void *arg, bool readable, bool writable)
{
    struct table_keeper *k = arg;
    struct verdict verdict;
    (void)readable, (void)writable;
    ssize_t n = read(k->pipe, &verdict, sizeof verdict);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    size_t index = k->reading;
    int image = end_reader(k);
    if (n == (ssize_t)sizeof verdict && verdict.is_good) {
        note_good(k, index, image);
    } else {
        close(image);
        if (n != (ssize_t)sizeof verdict)
            try_again(&k->tables[index]);
        note_bad(k, index, n == (ssize_t)sizeof verdict ? verdict.text : "the process that read it died");
    }
    read_next(k);
}

static void on_deadline(void *arg)
{
    struct table_keeper *k = arg;
    char text[128];
    snprintf(text, sizeof text, "reading it took more than %lld s", (long long)(k->options.times->read_ms / 1000));
    pidfd_send_signal(k->pidfd, SIGKILL, NULL, 0);
    try_again(&k->tables[k->reading]);
    note_bad(k, k->reading, text);
    close(end_reader(k));
    read_next(k);
}

/* ---- starting one ---- */

/* Forks. False: err; nothing is open but what was. */
static bool fork_reader(struct table_keeper *k, size_t index, int file, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return err_set(err, "%s", strerror(errno));
    k->image = memfd_create("mailweir-table", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    pid_t parent = getpid(), pid = -1;
    fflush(NULL); /* or both would write what waits */
    if (k->image >= 0)
        pid = fork();
    if (pid == 0)
        read_table(k, index, file, k->image, ends[1], parent);
    int reason = errno;
    close(ends[1]);
    k->pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
    if (k->pidfd >= 0) {
        k->pipe = ends[0];
        return true;
    }
    if (pid > 0) {
        reason = errno;
        kill(pid, SIGKILL);
    }
    close(ends[0]);
    if (k->image >= 0)
        close(k->image);
    k->image = -1;
    return err_set(err, "it cannot be read now: %s", strerror(reason));
}

static void start_reader(struct table_keeper *k, size_t index)
{
    struct kept_table *t = &k->tables[index];
    const char *path = k->options.tables[index].path;
    struct err err = {0};
    struct stat st;
    char text[PROCESS_PATH_MAX + 128];
    t->is_wanted = false;
    t->taken = t->last;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool ok = file >= 0 && fstat(file, &st) == 0;
    if (!ok) {
        snprintf(text, sizeof text, "cannot read \"%s\": %s", path, strerror(errno));
        note_bad(k, index, text);
    } else {
        t->taken = file_stamp_of(&st);
        ok = fork_reader(k, index, file, &err);
        if (!ok) {
            try_again(t);
            note_bad(k, index, err.text);
        }
    }
    if (file >= 0)
        close(file);
    if (!ok)
        return;
    k->reading = index;
    watch_init(&k->watch, k->loop, k->pipe, on_verdict, k);
    watch_set(&k->watch, true, false);
    timer_start(&k->deadline, loop_now_ms(k->loop) + k->options.times->read_ms);
}

/* One at a time: they are big, and nobody is in a hurry. */
static void read_next(struct table_keeper *k)
{
    for (size_t i = 0; i < k->options.count && k->pidfd < 0; i++)
        if (k->tables[i].is_wanted)
            start_reader(k, i);
}

/* ---- looking ---- */

static struct file_stamp stamp_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return (struct file_stamp){.reason = errno};
    return file_stamp_of(&st);
}

/* Has it changed, and does it rest? True: it has changed and must be looked at again soon. */
static bool look_at(struct kept_table *t, const char *path)
{
    struct file_stamp now = stamp_of(path);
    bool rests = file_stamp_equal(&now, &t->last);
    t->last = now;
    if (file_stamp_equal(&now, &t->taken)) {
        t->unsettled = 0;
        t->is_wanted = false; /* it went and came back */
        return false;
    }
    if (t->is_wanted)
        return false;
    t->is_wanted = t->unsettled > 0 && (rests || t->unsettled >= SETTLE_LOOKS);
    t->unsettled = t->is_wanted ? 0 : t->unsettled + 1;
    return !t->is_wanted;
}

static void look_at_all(struct table_keeper *k)
{
    bool again = false;
    for (size_t i = 0; i < k->options.count; i++)
        again = look_at(&k->tables[i], k->options.tables[i].path) || again;
    if (again)
        timer_start(&k->settle, loop_now_ms(k->loop) + k->options.times->settle_ms);
    read_next(k);
}

static void on_settle_due(void *arg)
{
    look_at_all(arg);
}

static void on_look_due(void *arg)
{
    struct table_keeper *k = arg;
    if (k->has_replaced) {
        k->has_replaced = false;
        k->options.forget(k->options.arg);
    }
    look_at_all(k);
    timer_start(&k->look, loop_now_ms(k->loop) + k->options.times->look_ms);
}

/* ---- life ---- */

struct table_keeper *table_keeper_new(struct loop *l, const struct table_keeper_options *options, struct err *err)
{
    struct table_keeper *k = calloc(1, sizeof *k + options->count * sizeof k->tables[0]);
    if (!k) {
        err_no_memory(err);
        return NULL;
    }
    k->loop = l;
    k->options = *options;
    k->pidfd = k->pipe = k->image = -1;
    for (size_t i = 0; i < options->count; i++) {
        k->tables[i].taken = k->tables[i].last = options->tables[i].stamp;
        k->tables[i].image = -1;
    }
    timer_init(&k->look, l, on_look_due, k);
    timer_init(&k->settle, l, on_settle_due, k);
    timer_init(&k->again, l, on_again_due, k);
    timer_init(&k->deadline, l, on_deadline, k);
    if (options->count > 0)
        timer_start(&k->look, loop_now_ms(l) + options->times->look_ms);
    return k;
}

void table_keeper_hush(struct table_keeper *k)
{
    k->is_hushed = true;
}

void table_keeper_free(struct table_keeper **at)
{
    struct table_keeper *k = *at;
    if (!k)
        return;
    timer_cancel(&k->look);
    timer_cancel(&k->settle);
    timer_cancel(&k->again);
    if (k->pidfd >= 0) {
        pidfd_send_signal(k->pidfd, SIGKILL, NULL, 0);
        close(end_reader(k));
    }
    timer_cancel(&k->deadline);
    for (size_t i = 0; i < k->options.count; i++)
        if (k->tables[i].image >= 0)
            close(k->tables[i].image);
    free(k);
    *at = NULL;
}
