/*
 * privileges.h - who the processes run as, and what the system lets them have.
 *
 * The supervisor stays root, for ports below 1024 and for keys at a reload, and reads nothing from the network. Its
 * children become the configured user before they read anything from strangers.
 */
#ifndef PROCESS_PRIVILEGES_H
#define PROCESS_PRIVILEGES_H

#include <sys/types.h>

#include "base/account.h"

struct privileges {
    bool drops; /* false: started without root, or without `user`: stays who it is */
    struct account account;
};

/* user NULL, or not started as root: nothing to drop. False with a reason: there is no such user. */
MUST_USE bool privileges_find(struct privileges *p, const char *user, struct err *err);
/* Becomes that user with its groups, irrevocably; harmless if there is nothing to drop. In both cases: no core files,
 * no new privileges by exec, memory not readable by other processes of the user. */
MUST_USE bool privileges_drop(const struct privileges *p, struct err *err);

/* Lets each process have `wanted` open files. False with a warning's text: the system allows fewer, and that is what is
 * now set. */
MUST_USE bool privileges_allow_files(uint64_t wanted, struct err *err);

/* The `state` directory, made (0750, the user's) if missing. */
MUST_USE bool privileges_make_dir(const struct privileges *p, const char *dir, struct err *err);

/* Written beside it and renamed, so that no reader sees half a number. */
MUST_USE bool pidfile_write(const char *path, pid_t pid, struct err *err);
/* Removes it if it still holds pid. */
void pidfile_remove(const char *path, pid_t pid);

#endif
