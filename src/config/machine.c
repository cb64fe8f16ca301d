/* machine.c - see machine.h. */
#include "config/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/account.h"
#include "base/clock.h"

/* In the builder's list, the newest first. */
struct machine_file {
    struct machine_file *next;
    struct place at;
    const char *path;
    enum machine_need need;
};

/* What was seen of one. */
struct look {
    int error;          /* 0: nothing is wrong */
    uint32_t of_folder; /* bytes of the path that name the folder which is in the way; 0: the file itself */
};

void machine_note(struct config_builder *b, struct place at, const char *path, enum machine_need need)
{
    struct machine_file *f = path && b->file_count < MACHINE_FILES_MAX ? builder_alloc(b, sizeof *f) : NULL;
    if (!f)
        return;
    *f = (struct machine_file){b->files, at, path, need};
    b->files = f;
    b->file_count++;
}

/* ---- looking ---- */

/* The folder that a name is in: so many bytes of it, without the slash but for "/" itself; 0: the current one. */
static uint32_t folder_len(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == path ? 1 : slash ? (uint32_t)(slash - path) : 0;
}

static bool can_use_folder(const char *path, uint32_t len, int how)
{
    char folder[4096];
    if (len >= sizeof folder)
        return true; /* the system says of the file what is wrong */
    str_copy_into(folder, sizeof folder, len ? str_of(path, len) : STR("."));
    return access(folder, how) == 0;
}

/* The first folder on the way that may not be entered; 0: there is none. */
static uint32_t closed_folder(const char *path)
{
    for (uint32_t i = 1; path[i] != '\0'; i++)
        if (path[i] == '/' && path[i - 1] != '/' && !can_use_folder(path, i, X_OK))
            return errno == EACCES ? i : 0;
    return 0;
}

static struct look look_beside(const char *path)
{
    uint32_t len = folder_len(path);
    return can_use_folder(path, len, W_OK | X_OK) ? (struct look){.error = 0} : (struct look){errno, len};
}

static struct look look_at(const char *path, enum machine_need need)
{
    static const int HOW[] = {[MACHINE_READS] = R_OK,
                              [MACHINE_RUNS] = X_OK,
                              [MACHINE_APPENDS] = W_OK,
                              [MACHINE_ROTATES] = W_OK,
                              [MACHINE_CONNECTS] = W_OK};
    struct stat st;
    uint32_t closed = closed_folder(path);
    if (closed)
        return (struct look){EACCES, closed};
    bool is_there = stat(path, &st) == 0;
    if (need == MACHINE_ROTATES || (need == MACHINE_APPENDS && !is_there && errno == ENOENT))
        return look_beside(path);
    if (need == MACHINE_CONNECTS && !is_there)
        return (struct look){.error = 0};
    if (is_there && S_ISDIR(st.st_mode))
        return (struct look){EISDIR, 0};
    return access(path, HOW[need]) == 0 ? (struct look){.error = 0} : (struct look){errno, 0};
}

/* ---- as somebody else ---- */

static NORETURN void look_as(const struct account *account, const struct machine_file *files, int to)
{
    struct err err;
    bool ok = account_become(account, &err);
    for (const struct machine_file *f = files; f && ok; f = f->next) {
        struct look look = look_at(f->path, f->need);
        ok = write(to, &look, sizeof look) == (ssize_t)sizeof look;
    }
    _exit(ok ? 0 : 1);
}

/* One answer: a pipe gives so few bytes at once or not at all. */
static bool read_look(int from, struct look *look, int64_t until_ms)
{
    struct pollfd p = {.fd = from, .events = POLLIN};
    int rc;
    do {
        int64_t left_ms = until_ms - clock_steady_us() / 1000;
        rc = poll(&p, 1, (int)MAX_OF(left_ms, 0));
    } while (rc < 0 && errno == EINTR);
    return rc == 1 && read(from, look, sizeof *look) == (ssize_t)sizeof *look;
}

static void tell(struct config_builder *b, const struct account *account, const struct machine_file *f,
                 const struct look *look);

static void look_at_all_as(struct config_builder *b, const struct account *account)
{
    int64_t until_ms = clock_steady_us() / 1000 + MACHINE_LOOK_MS;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        diag_warning(b->diagnostics, PLACE_NONE, "what the user \"%s\" may read was not looked at: %s", account->name,
                     strerror(errno));
        return;
    }
    fflush(NULL); /* or both would write what waits */
    pid_t pid = fork();
    if (pid == 0)
        look_as(account, b->files, ends[1]);
    close(ends[1]);
    struct look look;
    const struct machine_file *f = b->files;
    for (; f && pid > 0 && read_look(ends[0], &look, until_ms); f = f->next)
        tell(b, account, f, &look);
    if (f)
        diag_warning(b->diagnostics, f->at, "what the user \"%s\" may do with \"%s\" could not be found out",
                     account->name, f->path);
    close(ends[0]);
    if (pid <= 0)
        return;
    if (f)
        kill(pid, SIGKILL);
    /* who hangs in the kernel is not waited for */
    while (waitpid(pid, NULL, f ? WNOHANG : 0) < 0 && errno == EINTR)
        continue;
}

static void look_at_all(struct config_builder *b)
{
    for (const struct machine_file *f = b->files; f; f = f->next) {
        struct look look = look_at(f->path, f->need);
        tell(b, NULL, f, &look);
    }
}

/* ---- what to do ---- */

static void hint(struct config_builder *b, const struct account *account, const struct machine_file *f,
                 const struct look *look)
{
    struct diagnostics *d = b->diagnostics;
    const char *folder = look->of_folder ? f->path : ".";
    int len = look->of_folder ? (int)look->of_folder : 1;
    bool is_beside = f->need == MACHINE_ROTATES || f->need == MACHINE_APPENDS;
    struct group *group = account ? getgrgid(account->gid) : NULL;
    if (look->error == ENOENT && is_beside)
        diag_hint(d, "make the folder \"%.*s\"", len, folder);
    else if (look->error != EACCES || !account)
        return;
    else if (look->of_folder && look->of_folder == folder_len(f->path) && is_beside)
        diag_hint(d, "let it write there: chown %s \"%.*s\"", account->name, len, folder);
    else if (look->of_folder)
        diag_hint(d, "it may not enter \"%.*s\": setfacl -m u:%s:x \"%.*s\", or keep the file elsewhere", len, folder,
                  account->name, len, folder);
    else if (f->need == MACHINE_READS && group)
        diag_hint(d, "let it: chgrp %s \"%s\" && chmod g+r \"%s\"", group->gr_name, f->path, f->path);
    else if (f->need == MACHINE_RUNS)
        diag_hint(d, "let it: chmod a+rx \"%s\"", f->path);
    else if (f->need == MACHINE_CONNECTS)
        diag_hint(d, "make it a member of the socket's group (ls -l \"%s\"), or open the socket to it", f->path);
    else
        diag_hint(d, "let it: chown %s \"%s\"", account->name, f->path);
}

static void tell(struct config_builder *b, const struct account *account, const struct machine_file *f,
                 const struct look *look)
{
    static const char *const VERBS[] = {[MACHINE_READS] = "read",
                                        [MACHINE_RUNS] = "run",
                                        [MACHINE_APPENDS] = "write to",
                                        [MACHINE_ROTATES] = "rotate",
                                        [MACHINE_CONNECTS] = "connect to"};
    char text[1024], who[ACCOUNT_NAME_MAX_BYTES + 16] = "";
    if (look->error == 0)
        return;
    if (account)
        snprintf(who, sizeof who, "the user \"%s\" ", account->name);
    snprintf(text, sizeof text, "%scannot %s \"%s\": %s", who, VERBS[f->need], f->path, strerror(look->error));
    if (f->need == MACHINE_ROTATES || f->need == MACHINE_CONNECTS)
        diag_warning(b->diagnostics, f->at, "%s", text);
    else
        builder_missing(b, f->at, text);
    hint(b, account, f, look);
}

/* ---- what the service makes while it is root ---- */

static struct place place_of(const struct config_builder *b, enum statement_kind kind)
{
    const struct statement *st = builder_first_of(b, kind);
    const struct value *v = st && !st->is_broken ? builder_argument(st, 0) : NULL;
    return v ? v->at : PLACE_NONE;
}

/* A folder that must be there, where some file is to be made. */
static void check_folder_of(struct config_builder *b, enum statement_kind kind, const char *what, const char *path)
{
    char text[1024];
    if (!path || can_use_folder(path, folder_len(path), W_OK | X_OK))
        return;
    snprintf(text, sizeof text, "cannot make %s \"%s\": %s", what, path, strerror(errno));
    builder_missing(b, place_of(b, kind), text);
    builder_hint_root(b, errno);
}

static void check_state(struct config_builder *b)
{
    struct stat st;
    const char *dir = b->config->state_dir;
    char text[1024];
    if (!dir)
        return;
    if (stat(dir, &st) != 0) {
        check_folder_of(b, STATEMENT_STATE, "the state directory", dir);
        return;
    }
    snprintf(text, sizeof text, "the state directory \"%s\" is no directory", dir);
    if (!S_ISDIR(st.st_mode))
        builder_missing(b, place_of(b, STATEMENT_STATE), text);
}

/* ---- the whole ---- */

/* False: there is nobody to become; what is wrong was said. */
static bool find_user(struct config_builder *b, struct account *account)
{
    struct err err = {0};
    if (account_find(account, b->config->user, &err))
        return true;
    builder_missing(b, place_of(b, STATEMENT_USER), err.text);
    if (err.hint[0])
        diag_hint(b->diagnostics, "%s", err.hint);
    return false;
}

void machine_check(struct config_builder *b)
{
    struct account account;
    bool is_root = geteuid() == 0;
    check_state(b);
    check_folder_of(b, STATEMENT_PIDFILE, "the pidfile", b->config->pidfile);
    if (b->config->user && is_root) {
        if (find_user(b, &account) && b->files)
            look_at_all_as(b, &account);
    } else if (!b->config->user || b->options->purpose != CONFIG_CHECK) {
        look_at_all(b); /* we are who will serve */
    }
}

void machine_check_log(struct config_builder *b, struct place at, enum event_sink sink)
{
    bool is_syslog = sink == EVENT_SINK_SYSLOG;
    const char *path = is_syslog ? CONFIG_SYSLOG_SOCKET : CONFIG_JOURNAL_SOCKET;
    char text[256];
    if (access(path, F_OK) == 0)
        return;
    snprintf(text, sizeof text, "cannot write events to %s: %s: %s", is_syslog ? "syslog" : "the journal", path,
             strerror(errno));
    builder_missing(b, at, text);
}

void machine_check_address(struct config_builder *b, struct place at, const struct endpoint *endpoint)
{
    struct endpoint any_port = *endpoint;
    struct sockaddr_storage address;
    char name[ENDPOINT_TEXT_MAX], text[ENDPOINT_TEXT_MAX + 128];
    any_port.port = 0; /* whether this one is free is seen at the start: a service that runs has it */
    socklen_t len = endpoint_to_sockaddr(&any_port, &address);
    int fd = len ? socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    bool is_there = fd >= 0 ? bind(fd, (const struct sockaddr *)&address, len) == 0 || errno != EADDRNOTAVAIL
                            : errno != EAFNOSUPPORT;
    int error = errno;
    if (fd >= 0)
        close(fd);
    if (is_there || len == 0)
        return;
    endpoint_format(endpoint, name);
    snprintf(text, sizeof text, "cannot listen at %s: %s", name, strerror(error));
    builder_missing(b, at, text);
    diag_hint(b->diagnostics, error == EADDRNOTAVAIL
                                  ? "no network interface of this machine has that address: see ip addr"
                                  : "IPv6 is switched off on this machine");
}
