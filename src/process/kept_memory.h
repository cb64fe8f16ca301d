/*
 * kept_memory.h - shared memory that a file keeps: what lies in it survives a restart of the service, and its death.
 *
 * The file is the memory: nothing is saved at the end, so nothing is lost by a kill. Only a machine that crashes may
 * leave an older state of some of its pages. One service uses a file at a time.
 */
#ifndef PROCESS_KEPT_MEMORY_H
#define PROCESS_KEPT_MEMORY_H

#include "base/err.h"

struct kept_memory {
    int fd; /* holds the lock; closed at exec(2) and by children that keep nothing (child.h) */
    void *head;
    void *at; /* `bytes` of memory, aligned to a page */
    size_t bytes;
    bool is_old; /* an earlier run left what is there; else all is zero */
};

/* Maps the file, made where it is not there, with room that is really there (a full disk is found now). layout: another
 * number for every other meaning of the bytes; a file of another layout or size is begun anew, with a warning. False
 * with a reason: it cannot be used, or another service does. */
MUST_USE bool kept_memory_open(struct kept_memory *m, const char *path, size_t bytes, uint64_t layout, struct err *err);
void kept_memory_close(struct kept_memory *m);

#endif
