// uses: auth
/*
 * fuzz_users_file.c - the users file. Promises held: whatever it holds, it is taken or refused with a line's number;
 * who is in it is found, by a name that is fit to be passed on and with a hash that can be verified without stalling
 * anybody; no complaint quotes a hash; passwd's own way to cut a line agrees with the reader's.
 *
 * The input is the realm, up to the first LF, and the file.
 */
#include <string.h>

#include "auth/password_hash.h"
#include "auth/users_file.h"
#include "auth/users_line.h"
#include "base/panic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Costs a millisecond or so. Of argon2, with `m=` of two digits. */
static bool is_cheap(struct str hash)
{
    static const char *const BEGINNINGS[] = {"$2b$04$", "$2y$04$", "$5$rounds=1000$", "$6$rounds=1000$", "$y$j75$"};
    for (size_t i = 0; i < COUNT_OF(BEGINNINGS); i++)
        if (str_starts(hash, str_of_z(BEGINNINGS[i])))
            return true;
    size_t memory = str_find(hash, ','), passes = str_find(str_from(hash, memory + 1), ',');
    return str_starts(hash, STR("$argon2")) && memory >= 5 && str_equal(str_sub(hash, memory - 4, 2), STR("m=")) &&
           passes <= STR("t=99").len;
}

static void check_line(const struct users_file *f, struct str line)
{
    struct users_line user;
    struct err err;
    struct str name, hash, rest;
    enum users_line_kind kind = users_line_parse(line, &user, &err);
    bool is_split = users_line_split(line, &name, &hash, &rest);
    PANIC_IF(f && kind == USERS_LINE_WRONG, "a wrong line in a good file");
    PANIC_IF(kind == USERS_LINE_EMPTY && is_split, "a comment with fields");
    PANIC_IF(is_split && name.len + 1 + hash.len + rest.len != line.len, "bytes lost");
    if (kind != USERS_LINE_USER)
        return;
    PANIC_IF(!is_split || !str_equal(user.name, name), "two ways to read it");
    PANIC_IF(!auth_name_check(user.name, &err), "an impossible name");
    PANIC_IF(user.hash.len > PASSWORD_HASH_MAX_BYTES, "a hash of %zu bytes", user.hash.len);
    PANIC_IF(user.hash.len && !password_hash_read(user.hash, &hash, &err), "a hash that is none");
    PANIC_IF(user.hash.len == 0 && !user.disabled, "an account without a password");
    PANIC_IF(is_cheap(user.hash) && password_hash_verify(user.hash, STR("secret")) == PASSWORD_TROUBLE,
             "a hash that crypt(3) does not take");
    if (!f)
        return;
    const struct user_entry *entry = users_file_find(f, user.name);
    PANIC_IF(!entry || !str_equal(entry->hash, user.hash), "not found");
    PANIC_IF(str_has_control(entry->name) || !str_is_utf8(entry->name), "a name unfit to be passed on");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hash_key KEY = {1, 2};
    struct str text, realm = str_split(str_of((const char *)data, size), '\n', &text);
    struct users_file *f;
    struct err err;
    /* the configuration lets no other realm through */
    if (str_has_control(realm) || !str_is_utf8(realm))
        return 0;
    if (!users_file_parse(text, "users", realm, &f, &err))
        PANIC_IF(!str_starts(str_of_z(err.text), STR("users:")), "a complaint without its place: %s", err.text);
    if (str_starts(text, STR("\xef\xbb\xbf")))
        text = str_from(text, 3);
    for (struct str rest = text; rest.len;)
        check_line(f, str_split(rest, '\n', &rest));
    if (f) {
        const struct user_entry *other = users_file_stand_in(f, STR("nobody"), &KEY);
        PANIC_IF(other && other->hash.len == 0, "a stand-in without a hash");
    }
    users_file_free(&f);
    return 0;
}
