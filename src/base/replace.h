/*
 * replace.h - a file gets new content all at once: whoever reads it sees the old text or the new one, whole, also after
 * a power failure.
 *
 *   text ─▶ .NAME.XXXXXX beside it ─ fsync ─ rename ─ fsync of the directory
 *
 * Owner and mode are those of the file that was there. Who cannot keep them does not write.
 */
#ifndef BASE_REPLACE_H
#define BASE_REPLACE_H

#include <limits.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/str.h"

/* Where a file really is: links are followed, because a rename onto a link would replace the link. */
struct file_place {
    char dir[PATH_MAX];
    char name[NAME_MAX + 1];
};

/* The file itself need not be there. */
MUST_USE bool file_place_find(const char *path, struct file_place *place, struct err *err);

/* like: what the file was like, NULL: it is new, and for its owner alone. dir_fd: the place's directory, open. False
 * with the old file untouched, but for one case that err names: changed, but not surely on the disk. */
MUST_USE bool file_replace_at(const struct file_place *place, int dir_fd, struct str text, const struct stat *like,
                              struct err *err);
/* The same for a file that is there. */
MUST_USE bool file_replace(const char *path, struct str text, struct err *err);

#endif
