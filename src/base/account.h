/*
 * account.h - an account of the system that a process becomes: who serves (process/privileges.h), and as whom a check
 * looks at files (config/machine.h). One way for both, so that what the check may read the service may, too.
 */
#ifndef BASE_ACCOUNT_H
#define BASE_ACCOUNT_H

#include <sys/types.h>

#include "base/err.h"

enum { ACCOUNT_NAME_MAX_BYTES = 255 };

struct account {
    uid_t uid;
    gid_t gid;
    char name[ACCOUNT_NAME_MAX_BYTES + 1];
};

/* False with a reason, and what to do: there is no such user, or nobody can say. */
MUST_USE bool account_find(struct account *a, const char *name, struct err *err);
/* The whole process becomes it, with its groups, irrevocably. Needs root. */
MUST_USE bool account_become(const struct account *a, struct err *err);

#endif
