/* users_line.c - one line of the users file. See users_line.h. */
#include "auth/users_line.h"

#include <string.h>

#include "auth/password_hash.h"

enum { SHADOW_FIELDS = 7, SHADOW_END_OF_ACCOUNT = 6 };

static struct str without_cr(struct str line)
{
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

bool users_line_split(struct str line, struct str *name, struct str *hash, struct str *rest)
{
    struct str trimmed = str_trim(without_cr(line));
    size_t colon = str_find(line, ':');
    if (trimmed.len == 0 || trimmed.ptr[0] == '#' || colon == line.len)
        return false;
    struct str after = str_from(line, colon + 1);
    size_t end = str_find(after, ':');
    if (end == after.len)
        end = without_cr(after).len;
    *name = str_sub(line, 0, colon);
    *hash = str_sub(after, 0, end);
    *rest = str_from(after, end);
    return true;
}

/* "19000:0:99999:7:::" and the like. */
static bool is_shadow(struct str account)
{
    size_t colons = 0;
    for (size_t i = 0; i < account.len; i++) {
        if (account.ptr[i] == ':')
            colons++;
        else if (!ascii_is_digit(account.ptr[i]))
            return false;
    }
    return colons == SHADOW_FIELDS - 1;
}

static bool read_shadow(struct str account, struct users_line *user, struct err *err)
{
    struct str field = STR_NONE;
    for (int i = 0; i < SHADOW_END_OF_ACCOUNT; i++)
        field = str_split(account, ':', &account);
    uint64_t day;
    if (field.len == 0)
        return true;
    if (!str_to_u64(field, INT32_MAX, &day))
        return err_set(err, "the end of the account is no day: " PRI_STR, STR_ARG(field));
    user->ends_on_day = (int32_t)day;
    return true;
}

static bool read_key(struct str word, struct users_line *user, struct err *err)
{
    struct str value, key = str_split(word, '=', &value);
    if (!str_equal(key, STR("disabled"))) {
        err_set(err, "what follows the hash is not known");
        return err_set_hint(err, "it may be `disabled`, or the seven numbers of a line of /etc/shadow");
    }
    if (!value.ptr || str_equal(value, STR("yes")))
        user->disabled = true;
    else if (!str_equal(value, STR("no")))
        return err_set(err, "`disabled` is yes or no");
    return true;
}

static bool read_account(struct str account, struct users_line *user, struct err *err)
{
    if (is_shadow(account))
        return read_shadow(account, user, err);
    for (struct str rest = str_trim(account); rest.len; rest = str_trim(rest))
        if (!read_key(str_split(rest, ' ', &rest), user, err))
            return false;
    return true;
}

/* `!` before a hash locks it, `*` or `!` alone is an account that never had one (shadow(5)). */
static bool read_hash(struct str field, struct users_line *user, struct err *err)
{
    struct str text = field;
    while (str_starts(text, STR("!"))) {
        text = str_from(text, 1);
        user->disabled = true;
    }
    if (str_equal(text, STR("*"))) {
        text = STR("");
        user->disabled = true;
    }
    if (text.len == 0 && user->disabled) {
        user->hash = text;
        return true;
    }
    if (text.len == 0) {
        err_set(err, "there is no password");
        return err_set_hint(err, "set one with `mailweir passwd`, or put `!` there to lock the account");
    }
    return password_hash_read(text, &user->hash, err);
}

enum users_line_kind users_line_parse(struct str line, struct users_line *user, struct err *err)
{
    *user = (struct users_line){.ends_on_day = -1};
    line = without_cr(line);
    struct str trimmed = str_trim(line);
    if (trimmed.len == 0 || trimmed.ptr[0] == '#')
        return USERS_LINE_EMPTY;
    struct str hash, rest;
    if (!users_line_split(line, &user->name, &hash, &rest)) {
        err_set(err, "there is no ':' after a name");
        err_set_hint(err, "a line is name:hash, or begins with #");
        return USERS_LINE_WRONG;
    }
    if (!auth_name_check(user->name, err))
        return USERS_LINE_WRONG;
    if (read_hash(hash, user, err) && read_account(str_from(rest, 1), user, err))
        return USERS_LINE_USER;
    err_prefix(err, PRI_STR, STR_ARG(user->name));
    return USERS_LINE_WRONG;
}
