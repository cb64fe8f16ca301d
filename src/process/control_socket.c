/* control_socket.c - see control_socket.h. */
#include "process/control_socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

enum { BACKLOG = 1024, SOCKET_MODE = 0600, FOLDER_MODE = 0755 };

static const struct control_place NOWHERE = {.fd = -1};

void control_socket_init(struct control_socket *c)
{
    *c = (struct control_socket){.now = NOWHERE, .next = NOWHERE};
}

/* ---- one place ---- */

static bool is_still_ours(const struct control_place *p)
{
    struct stat st;
    return p->fd >= 0 && lstat(p->path, &st) == 0 && st.st_dev == p->device && st.st_ino == p->inode;
}

static void leave(struct control_place *p)
{
    if (is_still_ours(p))
        unlink(p->path);
    if (p->fd >= 0)
        close(p->fd);
    *p = NOWHERE;
}

/* The last folder of the path; that of /run is gone after each boot. */
static bool make_folder(const char *path, struct err *err)
{
    char folder[sizeof((struct control_place *)0)->path];
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return true;
    str_copy_into(folder, sizeof folder, str_of(path, (size_t)(slash - path)));
    if (mkdir(folder, FOLDER_MODE) == 0 || errno == EEXIST)
        return true;
    return err_set(err, "cannot make the folder %s: %s", folder, strerror(errno));
}

static bool bind_privately(int fd, const struct sockaddr_un *to)
{
    mode_t before = umask(0777 & ~SOCKET_MODE);
    int rc = bind(fd, (const struct sockaddr *)to, sizeof *to);
    int error = errno;
    umask(before);
    errno = error;
    return rc == 0;
}

/* A socket's file behind which nobody listens: its service died. */
static bool is_left_behind(const struct sockaddr_un *at)
{
    struct stat st;
    if (lstat(at->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool is_dead = fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof *at) != 0 && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return is_dead;
}

static bool bind_there(struct control_place *p, const struct privileges *owner, struct err *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct stat st;
    memcpy(at.sun_path, p->path, sizeof at.sun_path);
    bool is_bound = bind_privately(p->fd, &at);
    if (!is_bound && errno == EADDRINUSE && is_left_behind(&at) && unlink(p->path) == 0)
        is_bound = bind_privately(p->fd, &at);
    if (!is_bound && errno == EADDRINUSE)
        return err_set(err, "something else has that name, or another service listens there");
    if (!is_bound || lstat(p->path, &st) != 0)
        return err_set(err, "%s", strerror(errno));
    p->device = st.st_dev;
    p->inode = st.st_ino;
    if ((owner->drops && lchown(p->path, owner->account.uid, owner->account.gid) != 0) || listen(p->fd, BACKLOG) != 0)
        return err_set(err, "%s", strerror(errno));
    return true;
}

static bool open_at(struct control_place *p, const char *path, const struct privileges *owner, struct err *err)
{
    *p = NOWHERE;
    if (strlen(path) >= sizeof p->path) {
        err_set(err, "its path is longer than %zu bytes", sizeof p->path - 1);
    } else if (make_folder(path, err)) {
        str_copy_into(p->path, sizeof p->path, str_of_z(path));
        p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (p->fd < 0)
            err_set(err, "%s", strerror(errno));
        else if (bind_there(p, owner, err))
            return true;
    }
    leave(p);
    return err_prefix(err, "there is no control socket at %s", path);
}

/* ---- over reloads ---- */

bool control_socket_prepare(struct control_socket *c, const struct process_plan *plan, const struct privileges *owner,
                            struct err *err)
{
    c->has_next = false;
    if (plan->control && strcmp(plan->control, c->now.path) == 0 && is_still_ours(&c->now))
        return true;
    if (plan->control && !open_at(&c->next, plan->control, owner, err)) {
        if (!plan->control_is_default)
            return false;
        if (!c->said_missing)
            log_warning("%s; `mailweir status` and the like will not reach this service: name a place that it may "
                        "write with `control unix:PATH`, or start it as root",
                        err->text);
        c->said_missing = true;
    }
    c->has_next = true;
    return true;
}

void control_socket_commit(struct control_socket *c)
{
    if (!c->has_next)
        return;
    if (strcmp(c->now.path, c->next.path) == 0)
        c->now.path[0] = '\0'; /* somebody had removed the file: what is there now is the new one */
    leave(&c->now);
    c->now = c->next;
    c->next = NOWHERE;
    c->has_next = false;
}

void control_socket_rollback(struct control_socket *c)
{
    leave(&c->next);
    c->has_next = false;
}

void control_socket_fini(struct control_socket *c)
{
    control_socket_rollback(c);
    leave(&c->now);
}

int control_socket_fd(const struct control_socket *c, bool is_coming)
{
    return is_coming && c->has_next ? c->next.fd : c->now.fd;
}
