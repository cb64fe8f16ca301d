/*
 * backend.h - where users are kept: a row per kind in backends.c (`auth file "…"`), tried in the order of the
 * configuration.
 *
 * A backend splits a login in two: prepare (in the auth process's only loop, quick, free to look at what it holds)
 * fills a task that is complete in itself; judge (in any thread, free to block) looks at nothing but its task. So
 * backends need no locks.
 */
#ifndef AUTH_BACKEND_H
#define AUTH_BACKEND_H

#include "auth/password_hash.h"

/* One login, ready to be judged. */
struct auth_task {
    char password[AUTH_PASSWORD_MAX_BYTES + 1];
    size_t password_len;
    char hash[PASSWORD_HASH_MAX_BYTES + 1];
    char user[AUTH_NAME_MAX_BYTES + 1]; /* canonical */
    enum auth_result if_right, if_wrong;
    enum auth_result (*judge)(const struct auth_task *task);
};

/* `auth KIND "argument" { realm … }`. */
struct auth_backend_setting {
    struct str kind;
    const char *argument; /* file: its path */
    struct str realm;
};

enum auth_prepared {
    AUTH_PREPARED_KNOWN,   /* the task is this user's: no other backend is asked */
    AUTH_PREPARED_UNKNOWN, /* the task is one that takes as long; the next backend is asked */
    AUTH_PREPARED_AWAY     /* it cannot say: the login is unavailable */
};

/* The file became unreadable or wrong (good false: what was last good stays in force), or good again. Called once a
 * change. */
typedef void (*auth_backend_state_cb)(void *arg, bool good, const char *text);

struct auth_backend; /* each kind's own */

struct auth_backend_kind {
    struct str name;
    /* Never fails for what the administrator may still mend: that is `away`. NULL with err: no memory. setting is
     * borrowed as long as the backend is open. */
    struct auth_backend *(*open)(const struct auth_backend_setting *setting, auth_backend_state_cb on_state, void *arg,
                                 int64_t now_ms, struct err *err);
    void (*close)(struct auth_backend *b);
    /* Called every turn of the loop; does something from *next_ms on, and lowers the caller's *next_ms to when it wants
     * to be called at the latest. True: its users are others now. */
    bool (*refresh)(struct auth_backend *b, int64_t now_ms, int64_t *next_ms);
    /* password and password_len are set. today: days since 1970. */
    enum auth_prepared (*prepare)(struct auth_backend *b, struct str user, int64_t today, struct auth_task *task);
    /* For `mailweir check`: is what the setting names as it must be? */
    bool (*check)(const struct auth_backend_setting *setting, struct err *err);
};

/* NULL: no such kind. */
const struct auth_backend_kind *auth_backend_kind_find(struct str name);

#endif
