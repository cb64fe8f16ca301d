/*
 * alert_exec.c - an alert runs a program: PROGRAM NAME KEY, the event on its standard input.
 *
 * No shell reads the arguments, so nothing that a stranger chose is more than an argument. The program runs as the
 * unprivileged user, with PATH and nothing else in its environment, without any descriptor of ours, in a process group
 * of its own that is killed at the deadline. What it prints is dropped; an exit code other than 0 is a failure.
 *
 * The event lies in a memory file, not in a pipe: a program that does not read keeps nobody waiting.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/alert_ways.h"

struct run {
    struct list node;      /* among the killed */
    struct alert_job *job; /* NULL: killed, only to be reaped */
    pid_t pid;
    int pidfd;
    struct watch watch;
};

static struct list killed = {&killed, &killed}; /* until the kernel has ended them, which nobody waits for */

static void run_free(struct run *r)
{
    list_remove(&r->node);
    if (r->pidfd >= 0) {
        watch_set(&r->watch, false, false);
        close(r->pidfd);
    }
    free(r);
}

static void say_end(struct alert_job *job, int status)
{
    char why[80];
    bool was_killed = WIFSIGNALED(status);
    if (was_killed)
        snprintf(why, sizeof why, "it died by signal SIG%s",
                 sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?");
    else
        snprintf(why, sizeof why, "it ended with code %d", WEXITSTATUS(status));
    alert_job_done(job, was_killed || WEXITSTATUS(status) ? why : NULL);
}

static void on_exit_seen(void *arg, bool readable, bool writable)
{
    struct run *r = arg;
    struct alert_job *job = r->job;
    int status = 0;
    (void)writable;
    if (!readable || waitid(P_PIDFD, (id_t)r->pidfd, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT) != 0)
        return;
    kill(-r->pid, SIGKILL); /* what it left behind; while it is not reaped, nobody else has that number */
    if (waitpid(r->pid, &status, WNOHANG) != r->pid)
        return;
    run_free(r);
    if (job)
        say_end(job, status);
}

/* A file in memory that holds the line, to be read from its beginning; -1: errno says why. */
static int make_input(struct str line)
{
    int fd = memfd_create("alert", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    if (write(fd, line.ptr, line.len) == (ssize_t)line.len && write(fd, "\n", 1) == 1 && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    close(fd);
    errno = ENOMEM;
    return -1;
}

static int set_actions(posix_spawn_file_actions_t *actions, int input)
{
    int rc = posix_spawn_file_actions_adddup2(actions, input, STDIN_FILENO);
    if (!rc)
        rc = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (!rc)
        rc = posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (!rc)
        rc = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    return rc ? rc : posix_spawn_file_actions_addchdir_np(actions, "/");
}

/* Signals as a program expects them, a group of its own. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int rc =
        posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (!rc)
        rc = posix_spawnattr_setpgroup(attributes, 0);
    if (!rc)
        rc = posix_spawnattr_setsigmask(attributes, &none);
    return rc ? rc : posix_spawnattr_setsigdefault(attributes, &all);
}

/* 0, or an errno. */
static int spawn(const struct alert_job *job, int input, pid_t *pid)
{
    const struct alert_config *config = job->outlet->config;
    char *const argv[] = {(char *)config->program, (char *)config->name.ptr, (char *)job->key.ptr, NULL};
    char *const environment[] = {(char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc)
        return rc;
    rc = posix_spawnattr_init(&attributes);
    if (!rc) {
        rc = set_actions(&actions, input);
        if (!rc)
            rc = set_attributes(&attributes);
        if (!rc)
            rc = posix_spawn(pid, config->program, &actions, &attributes, argv, environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

static enum started start_exec(struct alert_ways *ways, struct alert_job *job, struct err *err)
{
    struct run *r = calloc(1, sizeof *r);
    if (!r) {
        err_no_memory(err);
        return DONE;
    }
    list_init(&r->node);
    int input = make_input(job->json);
    int rc = input < 0 ? errno : spawn(job, input, &r->pid);
    if (input >= 0)
        close(input);
    if (rc) {
        free(r);
        err_set(err, "%s", strerror(rc));
        return DONE;
    }
    r->pidfd = pidfd_open(r->pid, 0);
    if (r->pidfd < 0) { /* no descriptors: it runs, but nobody could say how it ends */
        err_set(err, "%s", strerror(errno));
        kill(-r->pid, SIGKILL);
        run_free(r);
        return DONE;
    }
    r->job = job;
    job->work = r;
    watch_init(&r->watch, ways->loop, r->pidfd, on_exit_seen, r);
    watch_set(&r->watch, true, false);
    return STARTED;
}

static void cancel_exec(struct alert_ways *ways, struct alert_job *job)
{
    struct run *r = job->work;
    (void)ways;
    kill(-r->pid, SIGKILL);
    r->job = NULL;
    list_add_last(&killed, &r->node);
}

const struct alert_way alert_way_exec = {start_exec, cancel_exec};
