/* replace.c - a file's content, replaced. See replace.h. */
#include "base/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool file_place_find(const char *path, struct file_place *place, struct err *err)
{
    char real[PATH_MAX], given[PATH_MAX];
    if (strlen(path) >= sizeof given)
        return err_set(err, "%.64s…: the path is too long", path);
    str_copy_into(given, sizeof given, str_of_z(path));
    if (realpath(path, real))
        str_copy_into(given, sizeof given, str_of_z(real));
    else if (errno != ENOENT)
        return err_set(err, "%s: %s", path, strerror(errno));
    char *slash = strrchr(given, '/');
    const char *name = slash ? slash + 1 : given;
    if (name[0] == '\0' || strlen(name) >= sizeof place->name - sizeof ".XXXXXX")
        return err_set(err, "%s: is no name of a file", path);
    str_copy_into(place->name, sizeof place->name, str_of_z(name));
    if (!slash)
        str_copy_into(place->dir, sizeof place->dir, STR("."));
    else
        str_copy_into(place->dir, sizeof place->dir,
                      slash == given ? STR("/") : str_of(given, (size_t)(slash - given)));
    return true;
}

static bool write_all(int fd, struct str text)
{
    while (text.len) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            text = str_from(text, (size_t)n);
    }
    return true;
}

static bool write_temp(int fd, struct str text, const struct stat *like, struct err *err)
{
    if (like && fchown(fd, like->st_uid, like->st_gid) < 0) {
        err_set(err, "cannot keep the file's owner: %s", strerror(errno));
        return err_set_hint(err, "run it as root, or as the owner of the file");
    }
    if (fchmod(fd, like ? like->st_mode & 07777 : 0600) < 0)
        return err_set(err, "cannot keep the file's mode: %s", strerror(errno));
    if (!write_all(fd, text) || fsync(fd) < 0)
        return err_set(err, "the new file cannot be written: %s", strerror(errno));
    return true;
}

bool file_replace_at(const struct file_place *place, int dir_fd, struct str text, const struct stat *like,
                     struct err *err)
{
    char temp[PATH_MAX + NAME_MAX + 2];
    snprintf(temp, sizeof temp, "%s/.%s.XXXXXX", place->dir, place->name);
    int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0)
        return err_set(err, "%s: no file can be created in it: %s", place->dir, strerror(errno));
    bool ok = write_temp(fd, text, like, err);
    close(fd);
    if (ok && renameat(AT_FDCWD, temp, dir_fd, place->name) < 0)
        ok = err_set(err, "%s/%s: cannot be replaced: %s", place->dir, place->name, strerror(errno));
    if (!ok)
        unlink(temp);
    else if (fsync(dir_fd) < 0 && errno != EINVAL) /* EINVAL: a file system that has nothing to sync there */
        ok = err_set(err, "%s: was changed, but may be lost in a power failure: %s", place->dir, strerror(errno));
    return ok;
}

bool file_replace(const char *path, struct str text, struct err *err)
{
    struct file_place place;
    struct stat st;
    if (!file_place_find(path, &place, err))
        return false;
    int dir_fd = open(place.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return err_set(err, "%s: %s", place.dir, strerror(errno));
    bool ok;
    if (fstatat(dir_fd, place.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        ok = err_set(err, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        ok = err_set(err, "%s: is no plain file", path);
    else
        ok = file_replace_at(&place, dir_fd, text, &st, err);
    close(dir_fd);
    return ok;
}
