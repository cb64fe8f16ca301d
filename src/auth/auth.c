/* auth.c - the words both sides share. See auth.h. */
#include "auth/auth.h"

#include <string.h>

#include "base/panic.h"

const char *auth_result_name(enum auth_result r)
{
    static const char *const NAMES[AUTH_RESULT_COUNT] = {"ok", "wrong", "unknown", "disabled", "unavailable"};
    PANIC_IF(r >= AUTH_RESULT_COUNT, "login result %d", (int)r);
    return NAMES[r];
}

static bool is_white(char c)
{
    return c == ' ' || c == '\t';
}

bool auth_name_check(struct str name, struct err *err)
{
    if (name.len == 0)
        return err_set(err, "the name is empty");
    if (name.len > AUTH_NAME_MAX_BYTES)
        return err_set(err, "the name has %zu bytes, at most %d are possible", name.len, AUTH_NAME_MAX_BYTES);
    if (!str_is_utf8(name))
        return err_set(err, "the name is not valid UTF-8");
    if (str_has_control(name))
        return err_set(err, "the name has a control character in it");
    if (str_find(name, ':') < name.len)
        return err_set(err, "the name has a ':' in it, which ends a name in the users file");
    if (is_white(name.ptr[0]) || is_white(name.ptr[name.len - 1]))
        return err_set(err, "the name begins or ends with white space");
    return true;
}

struct str auth_name_complete(struct str name, struct str realm, char *to)
{
    bool bare = realm.len && str_find(name, '@') == name.len;
    size_t len = name.len + (bare ? 1 + realm.len : 0);
    if (len > AUTH_NAME_MAX_BYTES)
        return STR_NONE;
    if (name.len)
        memcpy(to, name.ptr, name.len);
    if (bare) {
        to[name.len] = '@';
        memcpy(to + name.len + 1, realm.ptr, realm.len);
    }
    to[len] = '\0';
    return str_of(to, len);
}
