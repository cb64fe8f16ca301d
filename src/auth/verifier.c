/* verifier.c - threads that judge logins. See verifier.h. */
#include "auth/verifier.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/panic.h"

struct verifier {
    struct verifier_options options;
    struct verify_job *jobs;
    struct list free; /* the owner's thread only */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t more;  /* the queue is not empty, or the end has come */
    struct list queue, done;
    bool ending;

    int event_fd;
    pthread_t *threads;
    unsigned thread_count;
};

static void lock(struct verifier *v)
{
    int rc = pthread_mutex_lock(&v->lock);
    PANIC_IF(rc, "the verifier's lock: %s", strerror(rc));
}

static void unlock(struct verifier *v)
{
    int rc = pthread_mutex_unlock(&v->lock);
    PANIC_IF(rc, "the verifier's lock: %s", strerror(rc));
}

/* ---- the threads ---- */

/* The next job, or NULL at the end. Jobs that nobody waits for any more go straight to `done`. */
static struct verify_job *next_job(struct verifier *v)
{
    while (list_is_empty(&v->queue) && !v->ending)
        pthread_cond_wait(&v->more, &v->lock);
    if (v->ending)
        return NULL;
    struct verify_job *job = LIST_FIRST(&v->queue, struct verify_job, node);
    list_remove(&job->node);
    return job;
}

static void tell(struct verifier *v)
{
    uint64_t one = 1;
    ssize_t n;
    do
        n = write(v->event_fd, &one, sizeof one);
    while (n < 0 && errno == EINTR);
    /* EAGAIN: the counter is at its end, so it is readable anyway */
}

static void *thread_main(void *arg)
{
    struct verifier *v = arg;
    lock(v);
    for (struct verify_job *job; (job = next_job(v));) {
        unlock(v);
        job->result = v->options.now_ms() < job->deadline_ms ? job->task.judge(&job->task) : AUTH_UNAVAILABLE;
        explicit_bzero(job->task.password, sizeof job->task.password);
        explicit_bzero(job->task.hash, sizeof job->task.hash);
        lock(v);
        list_add_last(&v->done, &job->node);
        tell(v);
    }
    unlock(v);
    return NULL;
}

/* ---- life ---- */

/* Signals are for the thread that runs the loop. */
static bool start_threads(struct verifier *v, struct err *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = 0;
    while (v->thread_count < v->options.threads && rc == 0) {
        rc = pthread_create(&v->threads[v->thread_count], NULL, thread_main, v);
        if (rc == 0)
            v->thread_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 || err_set(err, "a thread that checks passwords cannot be started: %s", strerror(rc));
}

struct verifier *verifier_new(const struct verifier_options *o, struct err *err)
{
    PANIC_IF(o->threads < 1 || o->threads > 64 || o->jobs_max < 1 || o->jobs_max > 65536, "%u threads, %u jobs",
             o->threads, o->jobs_max);
    struct verifier *v = calloc(1, sizeof *v);
    if (!v) {
        err_no_memory(err);
        return NULL;
    }
    v->options = *o;
    list_init(&v->free);
    list_init(&v->queue);
    list_init(&v->done);
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->more, NULL);
    v->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    v->jobs = calloc(o->jobs_max, sizeof *v->jobs);
    v->threads = calloc(o->threads, sizeof *v->threads);
    if (v->event_fd < 0 || !v->jobs || !v->threads) {
        err_set(err, "the threads that check passwords: %s", strerror(errno));
        verifier_free(&v);
        return NULL;
    }
    for (unsigned i = 0; i < o->jobs_max; i++)
        list_add_last(&v->free, &v->jobs[i].node);
    if (!start_threads(v, err))
        verifier_free(&v);
    return v;
}

void verifier_free(struct verifier **verifier)
{
    struct verifier *v = *verifier;
    *verifier = NULL;
    if (!v)
        return;
    lock(v);
    v->ending = true;
    pthread_cond_broadcast(&v->more);
    unlock(v);
    for (unsigned i = 0; i < v->thread_count; i++)
        pthread_join(v->threads[i], NULL);
    if (v->event_fd >= 0)
        close(v->event_fd);
    pthread_cond_destroy(&v->more);
    pthread_mutex_destroy(&v->lock);
    if (v->jobs)
        explicit_bzero(v->jobs, v->options.jobs_max * sizeof *v->jobs);
    free(v->jobs);
    free(v->threads);
    free(v);
}

/* ---- verbs ---- */

int verifier_fd(const struct verifier *v)
{
    return v->event_fd;
}

struct verify_job *verifier_job_new(struct verifier *v)
{
    if (list_is_empty(&v->free))
        return NULL;
    struct verify_job *job = LIST_FIRST(&v->free, struct verify_job, node);
    list_remove(&job->node);
    return job;
}

void verifier_job_release(struct verifier *v, struct verify_job *job)
{
    explicit_bzero(job, sizeof *job);
    list_init(&job->node);
    list_add_first(&v->free, &job->node); /* the warmest memory next */
}

void verifier_submit(struct verifier *v, struct verify_job *job)
{
    lock(v);
    list_add_last(&v->queue, &job->node);
    pthread_cond_signal(&v->more);
    unlock(v);
}

bool verifier_cancel(struct verifier *v, unsigned owner, uint64_t id)
{
    struct verify_job *found = NULL;
    lock(v);
    LIST_EACH(node, &v->queue)
    {
        struct verify_job *job = CONTAINER_OF(node, struct verify_job, node);
        if (job->id == id && job->owner == owner) {
            found = job;
            list_remove(&job->node);
            break;
        }
    }
    unlock(v);
    if (found)
        verifier_job_release(v, found);
    return found != NULL;
}

struct verify_job *verifier_take_done(struct verifier *v)
{
    struct verify_job *job = NULL;
    lock(v);
    if (!list_is_empty(&v->done)) {
        job = LIST_FIRST(&v->done, struct verify_job, node);
        list_remove(&job->node);
    } else {
        /* under the lock: a thread that adds one now tells of it after this */
        uint64_t count;
        ssize_t ignored = read(v->event_fd, &count, sizeof count);
        (void)ignored;
    }
    unlock(v);
    return job;
}
