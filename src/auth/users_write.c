/*
 * users_write.c - one user's new password into the users file (mailweir passwd). See users_file.h.
 *
 *   lock the directory ─ read ─ find the line ─ old bytes with one field changed
 *      ─▶ .users.XXXXXX ─ fsync ─ rename ─ fsync of the directory
 *
 * The directory is locked rather than the file, because the file is another one after every rename: who waited for a
 * lock on the old one would then write into the past. The text is not judged here; a wrong line elsewhere must not keep
 * an administrator from setting a password.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "auth/password_hash.h"
#include "auth/users_file.h"
#include "auth/users_line.h"
#include "base/buf.h"
#include "base/replace.h"

enum { LOCK_WAIT_MS = 10000, LOCK_RETRY_MS = 20, READ_BYTES = 4096, MAX_TEXT_BYTES = USERS_FILE_MAX_BYTES + 65536 };

/* Where the file really is, its directory held and locked. */
struct place {
    struct file_place file;
    int dir_fd;
};

static bool place_lock(struct place *p, struct err *err)
{
    p->dir_fd = open(p->file.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->dir_fd < 0)
        return err_set(err, "%s: %s", p->file.dir, strerror(errno));
    for (int waited_ms = 0;; waited_ms += LOCK_RETRY_MS) {
        if (flock(p->dir_fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK && errno != EINTR)
            err_set(err, "%s: cannot be locked: %s", p->file.dir, strerror(errno));
        else if (waited_ms >= LOCK_WAIT_MS)
            err_set(err, "%s: another process holds its lock for more than %d s", p->file.dir, LOCK_WAIT_MS / 1000);
        else {
            poll(NULL, 0, LOCK_RETRY_MS);
            continue;
        }
        close(p->dir_fd);
        return false;
    }
}

static void place_unlock(struct place *p)
{
    close(p->dir_fd); /* the lock goes with it */
}

/* *exists false: there is no such file yet. */
static bool read_old(const struct place *p, struct buf *text, struct stat *st, bool *exists, struct err *err)
{
    *exists = false;
    int fd = openat(p->dir_fd, p->file.name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT || err_set(err, "%s/%s: %s", p->file.dir, p->file.name, strerror(errno));
    bool ok = false;
    if (fstat(fd, st) < 0)
        err_set(err, "%s/%s: %s", p->file.dir, p->file.name, strerror(errno));
    else if (!S_ISREG(st->st_mode))
        err_set(err, "%s/%s: is no plain file", p->file.dir, p->file.name);
    else if (st->st_size > USERS_FILE_MAX_BYTES)
        err_set(err, "%s/%s: has more than %d bytes", p->file.dir, p->file.name, USERS_FILE_MAX_BYTES);
    else
        ok = true;
    /* room for all of it at once: a buffer that grows leaves copies behind, and these bytes are to be wiped */
    if (ok && !buf_reserve(text, (size_t)st->st_size + READ_BYTES))
        ok = err_no_memory(err);
    while (ok) {
        char *to = buf_reserve(text, READ_BYTES);
        ssize_t n = to ? read(fd, to, READ_BYTES) : -1;
        if (!to)
            ok = err_set(err, "%s/%s: grows while it is read", p->file.dir, p->file.name);
        else if (n > 0)
            buf_commit(text, (size_t)n);
        else if (n == 0)
            break;
        else if (errno != EINTR)
            ok = err_set(err, "%s/%s: %s", p->file.dir, p->file.name, strerror(errno));
    }
    close(fd);
    *exists = ok;
    return ok;
}

/* ---- the new text ---- */

/* Where the user's line begins and ends (without LF). 0, 1 or more of them. */
static size_t find_user(struct str text, struct str user, struct str *found, uint32_t lines[2])
{
    size_t count = 0;
    uint32_t number = 0;
    for (struct str rest = text; rest.len;) {
        struct str name, hash, account, line = str_split(rest, '\n', &rest);
        number++;
        if (!users_line_split(line, &name, &hash, &account) || !str_equal_nocase(name, user))
            continue;
        if (count == 0)
            *found = line;
        if (count < 2)
            lines[count] = number;
        count++;
    }
    return count;
}

/* Does the line, its hash being a good one now, still keep the user out? */
static bool stays_disabled(struct str name, const char *hash, struct str account)
{
    char line[USERS_FILE_MAX_LINE_BYTES];
    struct users_line user;
    struct err err;
    int n = snprintf(line, sizeof line, PRI_STR ":%s" PRI_STR, STR_ARG(name), hash, STR_ARG(account));
    return n > 0 && (size_t)n < sizeof line &&
           users_line_parse(str_of(line, (size_t)n), &user, &err) == USERS_LINE_USER &&
           user_entry_is_disabled(&(struct user_entry){.disabled = user.disabled, .ends_on_day = user.ends_on_day},
                                  time(NULL) / 86400);
}

static bool make_text(struct str old, struct str user, const char *hash, struct buf *text, struct users_change *change,
                      struct err *err)
{
    uint32_t lines[2];
    struct str line = STR_NONE, name, old_hash, account;
    size_t count = find_user(old, user, &line, lines);
    if (count > 1) {
        err_set(err, PRI_STR ": this user is in lines %u and %u", STR_ARG(user), lines[0], lines[1]);
        return err_set_hint(err, "remove one of the two");
    }
    if (!buf_reserve(text, old.len + AUTH_NAME_MAX_BYTES + PASSWORD_HASH_MAX_BYTES + 4))
        return err_no_memory(err);
    if (count == 0) {
        change->added_user = true;
        bool open_end = old.ptr && old.len && old.ptr[old.len - 1] != '\n';
        return (buf_append_str(text, old) && (!open_end || buf_append_char(text, '\n')) && buf_append_str(text, user) &&
                buf_printf(text, ":%s\n", hash)) ||
               err_no_memory(err);
    }
    if (!users_line_split(line, &name, &old_hash, &account))
        return err_set(err, PRI_STR ": the line cannot be read", STR_ARG(user));
    change->is_disabled = stays_disabled(name, hash, account);
    struct str before = str_of(old.ptr, (size_t)(old_hash.ptr - old.ptr));
    return (buf_append_str(text, before) && buf_append_str(text, str_of_z(hash)) &&
            buf_append_str(text, str_from(old, before.len + old_hash.len))) ||
           err_no_memory(err);
}

bool users_file_set_password(const char *path, struct str user, struct str password, struct users_change *change,
                             struct err *err)
{
    char hash[PASSWORD_HASH_MAX_BYTES + 1];
    struct place place;
    struct stat st;
    struct buf old, text;
    bool exists;
    *change = (struct users_change){false};
    if (!auth_name_check(user, err))
        return false;
    if (str_starts(user, STR("#")))
        return err_set(err, "the name begins with #, which begins a comment in the users file");
    if (!password_hash_make(password, hash, err) || !file_place_find(path, &place.file, err) ||
        !place_lock(&place, err))
        return false;
    buf_init(&old, MAX_TEXT_BYTES);
    buf_init(&text, MAX_TEXT_BYTES);
    bool ok = read_old(&place, &old, &st, &exists, err) && make_text(buf_str(&old), user, hash, &text, change, err) &&
              file_replace_at(&place.file, place.dir_fd, buf_str(&text), exists ? &st : NULL, err);
    change->created_file = ok && !exists;
    buf_wipe(&old);
    buf_wipe(&text);
    place_unlock(&place);
    return ok;
}
