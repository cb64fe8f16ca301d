/* privileges.c - see privileges.h. */
#include "process/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

/* The leak checker of a sanitizer build reads its own process's memory through ptrace. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

bool privileges_find(struct privileges *p, const char *user, struct err *err)
{
    *p = (struct privileges){.account = {.uid = geteuid(), .gid = getegid()}};
    if (!user || geteuid() != 0)
        return true;
    if (!account_find(&p->account, user, err))
        return false;
    p->drops = true;
    return true;
}

bool privileges_drop(const struct privileges *p, struct err *err)
{
    if (p->drops && !account_become(&p->account, err))
        return false;
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_DUMPABLE, SANITIZED, 0, 0, 0) != 0)
        return err_set(err, "cannot give up what the process does not need: %s", strerror(errno));
    return true;
}

bool privileges_allow_files(uint64_t wanted, struct err *err)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return err_set(err, "cannot read the limit of open files: %s", strerror(errno));
    if (r.rlim_cur >= wanted)
        return true;
    struct rlimit more = {wanted, MAX_OF(r.rlim_max, wanted)};
    if (setrlimit(RLIMIT_NOFILE, &more) == 0)
        return true;
    more = (struct rlimit){r.rlim_max, r.rlim_max};
    bool raised = setrlimit(RLIMIT_NOFILE, &more) == 0;
    err_set(err, "each process may need %llu open files, the system allows %llu", (unsigned long long)wanted,
            (unsigned long long)(raised ? r.rlim_max : r.rlim_cur));
    return err_set_hint(err, "raise it (LimitNOFILE= in the systemd unit, or ulimit -n), or lower max-connections");
}

bool privileges_make_dir(const struct privileges *p, const char *dir, struct err *err)
{
    struct stat st;
    if (mkdir(dir, 0750) == 0) {
        if (!p->drops || chown(dir, p->account.uid, p->account.gid) == 0)
            return true;
        int e = errno;
        rmdir(dir);
        return err_set(err, "cannot give the state directory \"%s\" to \"%s\": %s", dir, p->account.name, strerror(e));
    }
    int e = errno;
    if (e == EEXIST && stat(dir, &st) == 0 && S_ISDIR(st.st_mode))
        return true;
    err_set(err, "cannot make the state directory \"%s\": %s", dir,
            e == EEXIST ? "something else has that name" : strerror(e));
    return err_set_hint(err, "make it, or name another with `state \"DIR\"`");
}

bool pidfile_write(const char *path, pid_t pid, struct err *err)
{
    char beside[4096 + 8], text[24];
    if ((size_t)snprintf(beside, sizeof beside, "%s.new", path) >= sizeof beside)
        return err_set(err, "the name of the pidfile is too long");
    int len = snprintf(text, sizeof text, "%d\n", (int)pid);
    unlink(beside);
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    bool ok = fd >= 0 && write(fd, text, (size_t)len) == len;
    ok = ok && rename(beside, path) == 0;
    int e = errno;
    if (fd >= 0)
        close(fd);
    if (ok)
        return true;
    if (fd >= 0)
        unlink(beside);
    return err_set(err, "cannot write the pidfile \"%s\": %s", path, strerror(e));
}

void pidfile_remove(const char *path, pid_t pid)
{
    char text[24] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n > 0 && strtol(text, NULL, 10) == pid)
        unlink(path);
}
