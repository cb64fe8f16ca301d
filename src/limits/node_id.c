/* node_id.c - see node_id.h. */
#include "limits/node_id.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"

static void make(char id[NODE_ID_BYTES + 1])
{
    uint64_t n;
    random_bytes(&n, sizeof n);
    snprintf(id, NODE_ID_BYTES + 1, "%016llx", (unsigned long long)n);
}

/* 16 hex digits and perhaps a newline. */
static bool parse(const char *text, size_t len, char id[NODE_ID_BYTES + 1])
{
    if (len == NODE_ID_BYTES + 1 && text[NODE_ID_BYTES] == '\n')
        len--;
    if (len != NODE_ID_BYTES)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!memchr("0123456789abcdef", text[i], 16))
            return false;
    memcpy(id, text, len);
    id[len] = '\0';
    return true;
}

static bool read_file(const char *path, int fd, char id[NODE_ID_BYTES + 1], struct err *err)
{
    char text[64];
    ssize_t got = read(fd, text, sizeof text);
    if (got < 0)
        return err_set(err, "cannot read this node's id from %s: %s", path, strerror(errno));
    if (parse(text, (size_t)got, id))
        return true;
    err_set(err, "%s does not hold a node's id (16 hexadecimal digits)", path);
    return err_set_hint(err, "remove it: another one is made at the next start");
}

/* Whole or not at all: a file cut short would be an id that another node may have. */
static bool write_file(const char *dir, const char *path, const char *id, struct err *err)
{
    char fresh[PATH_MAX], line[NODE_ID_BYTES + 2];
    int len = snprintf(line, sizeof line, "%s\n", id);
    if ((size_t)snprintf(fresh, sizeof fresh, "%s/.node.%ld", dir, (long)getpid()) >= sizeof fresh)
        return err_set(err, "the path of the state directory is too long: %s", dir);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool written = fd >= 0 && write(fd, line, (size_t)len) == len && fsync(fd) == 0 && rename(fresh, path) == 0;
    int reason = errno;
    if (fd >= 0)
        close(fd);
    if (written)
        return true;
    unlink(fresh);
    err_set(err, "cannot write this node's id to %s: %s", path, strerror(reason));
    return err_set_hint(err, "the id is another one at each start until it can be");
}

bool node_id_load(const char *state_dir, char id[NODE_ID_BYTES + 1], struct err *err)
{
    char path[PATH_MAX];
    struct stat st;
    make(id);
    if (!state_dir || stat(state_dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return true;
    if ((size_t)snprintf(path, sizeof path, "%s/node", state_dir) >= sizeof path)
        return err_set(err, "the path of the state directory is too long: %s", state_dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return write_file(state_dir, path, id, err);
    if (fd < 0)
        return err_set(err, "cannot open %s, which holds this node's id: %s", path, strerror(errno));
    bool is_read = read_file(path, fd, id, err);
    close(fd);
    return is_read;
}
