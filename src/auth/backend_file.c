/*
 * backend_file.c - `auth file "…"`: the users file, re-read when it changes.
 *
 *   every second: stat ─ same as read ─▶ nothing
 *                      └ another ─ still the same 100 ms later? ─▶ read ─ good ─▶ in force
 *                                                                     └ wrong ─▶ said once, tried again;
 *                                                                                the last good stays
 *
 * The 100 ms are for editors and tools that write in place: a file that is half there may well parse, with half of the
 * users. `mailweir passwd` renames, and needs them not.
 */
#include "auth/backend_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "auth/users_file.h"
#include "base/log.h"
#include "base/panic.h"

enum { LOOK_MS = 1000, SETTLE_MS = 100, RETRY_MS = 5000 };

struct auth_backend {
    const struct auth_backend_setting *setting;
    auth_backend_state_cb on_state;
    void *on_state_arg;
    struct users_file *users;   /* NULL: never read yet */
    struct file_stamp tried;    /* what was last read, or tried to be */
    struct file_stamp settling; /* what was seen and is not yet tried */
    bool is_good;               /* the last try */
    bool is_settling;
    int64_t look_ms, retry_ms;
    struct hash_key stand_in_key;
    char said[1024]; /* the last complaint: said once */
};

static void say_wrong(struct auth_backend *b, const struct err *err)
{
    char text[sizeof b->said];
    const char *kept = b->users ? "; the last good content stays in force" : "; until it is good, no login is possible";
    snprintf(text, sizeof text, "%s%s%s%s", err->text, err->hint[0] ? ": " : "", err->hint, kept);
    b->is_good = false;
    if (strcmp(text, b->said) == 0)
        return;
    str_copy_into(b->said, sizeof b->said, str_of_z(text));
    b->on_state(b->on_state_arg, false, text);
}

static void say_good(struct auth_backend *b)
{
    char text[sizeof b->said];
    size_t count = users_file_count(b->users);
    snprintf(text, sizeof text, "%s: %zu %s", b->setting->argument, count, count == 1 ? "user" : "users");
    b->is_good = true;
    b->said[0] = '\0';
    b->on_state(b->on_state_arg, true, text);
    if (users_file_is_open_to_all(b->users))
        log_warning("%s: everybody on this machine can read the password hashes in it; chmod o-r",
                    b->setting->argument);
}

/* True: the users are others now. */
static bool file_read(struct auth_backend *b, int64_t now_ms)
{
    struct users_file *users;
    struct err err;
    b->is_settling = false;
    b->retry_ms = now_ms + RETRY_MS;
    if (!users_file_load(b->setting->argument, b->setting->realm, &users, &b->tried, &err)) {
        say_wrong(b, &err);
        return false;
    }
    users_file_free(&b->users);
    b->users = users;
    say_good(b);
    return true;
}

static struct auth_backend *file_open(const struct auth_backend_setting *setting, auth_backend_state_cb on_state,
                                      void *arg, int64_t now_ms, struct err *err)
{
    struct auth_backend *b = calloc(1, sizeof *b);
    if (!b) {
        err_no_memory(err);
        return NULL;
    }
    b->setting = setting;
    b->on_state = on_state;
    b->on_state_arg = arg;
    b->stand_in_key = hash_key_random();
    b->look_ms = now_ms + LOOK_MS;
    file_read(b, now_ms);
    return b;
}

static void file_close(struct auth_backend *b)
{
    users_file_free(&b->users);
    explicit_bzero(b, sizeof *b);
    free(b);
}

static bool file_look(struct auth_backend *b, int64_t now_ms)
{
    struct stat st;
    struct file_stamp stamp;
    b->look_ms = now_ms + LOOK_MS;
    if (stat(b->setting->argument, &st) < 0)
        return file_read(b, now_ms); /* fails alike, and says it */
    file_stamp_of(&st, &stamp);
    if (file_stamp_equal(&stamp, &b->tried)) {
        b->is_settling = false;
        return !b->is_good && now_ms >= b->retry_ms && file_read(b, now_ms);
    }
    if (b->is_settling && file_stamp_equal(&stamp, &b->settling))
        return file_read(b, now_ms);
    b->settling = stamp;
    b->is_settling = true;
    b->look_ms = now_ms + SETTLE_MS;
    return false;
}

static bool file_refresh(struct auth_backend *b, int64_t now_ms, int64_t *next_ms)
{
    bool changed = now_ms >= b->look_ms && file_look(b, now_ms);
    *next_ms = MIN_OF(*next_ms, b->look_ms);
    return changed;
}

static enum auth_result file_judge(const struct auth_task *task)
{
    switch (password_hash_verify(str_of_z(task->hash), str_of(task->password, task->password_len))) {
    case PASSWORD_RIGHT:
        return task->if_right;
    case PASSWORD_WRONG:
        return task->if_wrong;
    case PASSWORD_TROUBLE:
        break;
    }
    return AUTH_UNAVAILABLE;
}

/* Whoever it is, a hash is computed: the user's, or for want of one that of a stand-in. */
static enum auth_prepared file_prepare(struct auth_backend *b, struct str user, int64_t today, struct auth_task *task)
{
    if (!b->users)
        return AUTH_PREPARED_AWAY;
    const struct user_entry *entry = users_file_find(b->users, user);
    struct str hash = entry ? entry->hash : STR_NONE;
    if (!hash.len) {
        const struct user_entry *other = users_file_stand_in(b->users, user, &b->stand_in_key);
        hash = other ? other->hash : password_hash_filler();
    }
    str_copy_into(task->hash, sizeof task->hash, hash);
    task->judge = file_judge;
    if (!entry) {
        task->if_right = task->if_wrong = AUTH_UNKNOWN;
        return AUTH_PREPARED_UNKNOWN;
    }
    bool disabled = user_entry_is_disabled(entry, today);
    task->if_right = disabled ? AUTH_DISABLED : AUTH_OK;
    task->if_wrong = disabled ? AUTH_DISABLED : AUTH_WRONG;
    str_copy_into(task->user, sizeof task->user, entry->name);
    return AUTH_PREPARED_KNOWN;
}

static bool file_check(const struct auth_backend_setting *setting, struct err *err)
{
    struct users_file *users;
    if (!users_file_load(setting->argument, setting->realm, &users, NULL, err))
        return false;
    users_file_free(&users);
    return true;
}

const struct auth_backend_kind auth_backend_file = {
    .name = {"file", 4},
    .open = file_open,
    .close = file_close,
    .refresh = file_refresh,
    .prepare = file_prepare,
    .check = file_check,
};
