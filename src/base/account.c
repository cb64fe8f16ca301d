/* account.c - see account.h. */
#include "base/account.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

bool account_find(struct account *a, const char *name, struct err *err)
{
    struct passwd entry, *found = NULL;
    char space[16384];
    int e = getpwnam_r(name, &entry, space, sizeof space, &found);
    if (!found && e != 0 && e != ENOENT && e != ESRCH)
        return err_set(err, "cannot look up the user \"%s\": %s", name, strerror(e));
    if (!found) {
        err_set(err, "there is no user \"%s\" for the processes to run as", name);
        return err_set_hint(err, "make it (useradd --system --user-group %s), or name another with `user NAME`", name);
    }
    *a = (struct account){.uid = entry.pw_uid, .gid = entry.pw_gid};
    str_copy_into(a->name, sizeof a->name, str_of_z(name));
    return true;
}

bool account_become(const struct account *a, struct err *err)
{
    if (initgroups(a->name, a->gid) != 0 || setresgid(a->gid, a->gid, a->gid) != 0 ||
        setresuid(a->uid, a->uid, a->uid) != 0)
        return err_set(err, "cannot become the user \"%s\": %s", a->name, strerror(errno));
    if (a->uid != 0 && setresuid(0, 0, 0) == 0)
        return err_set(err, "became the user \"%s\", but could become root again", a->name);
    return true;
}
