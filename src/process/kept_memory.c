/* kept_memory.c - see kept_memory.h. */
#include "process/kept_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#define KEPT_MAGIC UINT64_C(0x6d772d6b6570742d)

enum { PAGE_BYTES = 4096 };

/* The first page. */
struct head {
    uint64_t magic, layout, bytes;
};

static bool lock(int fd, const char *path, struct err *err)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno != EWOULDBLOCK)
        return err_set(err, "cannot lock \"%s\": %s", path, strerror(errno));
    err_set(err, "\"%s\" is in use: another mailweir runs with this state directory", path);
    return err_set_hint(err, "stop it, or name another directory with `state \"DIR\"`");
}

/* All of it is there and may be written to: a page that the disk has no room for would end us later, by a signal. */
static bool make_room(int fd, const char *path, size_t bytes, bool is_new, struct err *err)
{
    int rc = is_new && ftruncate(fd, 0) != 0 ? errno : posix_fallocate(fd, 0, (off_t)(PAGE_BYTES + bytes));
    return rc == 0 || err_set(err, "cannot make room for %zu MiB in \"%s\": %s", bytes >> 20, path, strerror(rc));
}

/* Is what an earlier run left still what is needed? */
static bool is_usable(int fd, size_t bytes, uint64_t layout)
{
    struct head head;
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_size == (off_t)(PAGE_BYTES + bytes) &&
           pread(fd, &head, sizeof head, 0) == (ssize_t)sizeof head && head.magic == KEPT_MAGIC &&
           head.layout == layout && head.bytes == bytes;
}

/* The folder is the service's, and we may still be root: a name there that leads to another file of this machine is
 * none that we write to. */
static bool is_own_file(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1;
}

static bool is_empty(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_size == 0;
}

static bool map(struct kept_memory *m, const char *path, size_t bytes, uint64_t layout, struct err *err)
{
    if (!is_own_file(m->fd))
        return err_set(err, "\"%s\" is no file, or has other names, too: remove it", path);
    if (!lock(m->fd, path, err))
        return false;
    m->is_old = is_usable(m->fd, bytes, layout);
    if (!m->is_old && !is_empty(m->fd))
        log_warning("\"%s\" was made for other settings, or by another version: it begins anew", path);
    if (!make_room(m->fd, path, bytes, !m->is_old, err))
        return false;
    m->head = mmap(NULL, PAGE_BYTES + bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
    if (m->head == MAP_FAILED) {
        m->head = NULL;
        return err_set(err, "cannot map \"%s\": %s", path, strerror(errno));
    }
    *(struct head *)m->head = (struct head){KEPT_MAGIC, layout, bytes};
    m->at = (char *)m->head + PAGE_BYTES;
    m->bytes = bytes;
    return true;
}

bool kept_memory_open(struct kept_memory *m, const char *path, size_t bytes, uint64_t layout, struct err *err)
{
    *m = (struct kept_memory){.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600)};
    if (m->fd < 0)
        return err_set(err, "cannot open \"%s\": %s", path, strerror(errno));
    if (map(m, path, bytes, layout, err))
        return true;
    kept_memory_close(m);
    return false;
}

void kept_memory_close(struct kept_memory *m)
{
    if (m->head)
        munmap(m->head, PAGE_BYTES + m->bytes);
    if (m->fd >= 0)
        close(m->fd);
    *m = (struct kept_memory){.fd = -1};
}
