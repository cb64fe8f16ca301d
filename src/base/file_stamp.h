/*
 * file_stamp.h - has a file changed? Which file it is, its size, and when its content and its attributes changed: what
 * a rename, a write and a chmod leave behind.
 */
#ifndef BASE_FILE_STAMP_H
#define BASE_FILE_STAMP_H

#include <sys/stat.h>

#include "base/defs.h"

struct file_stamp {
    uint64_t device, inode, bytes;
    int64_t modified_ns, changed_ns;
    int reason; /* errno, where it could not be looked at */
};

static inline struct file_stamp file_stamp_of(const struct stat *st)
{
    return (struct file_stamp){.device = st->st_dev,
                               .inode = st->st_ino,
                               .bytes = (uint64_t)st->st_size,
                               .modified_ns = st->st_mtim.tv_sec * INT64_C(1000000000) + st->st_mtim.tv_nsec,
                               .changed_ns = st->st_ctim.tv_sec * INT64_C(1000000000) + st->st_ctim.tv_nsec};
}

static inline bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes &&
           a->modified_ns == b->modified_ns && a->changed_ns == b->changed_ns && a->reason == b->reason;
}

#endif
