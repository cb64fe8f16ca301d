/* pattern.c - see pattern.h. */
#include "rules/pattern.h"

pcre2_code *pattern_compile(struct str pattern, struct err *err)
{
    /* \C would split characters; what a client sends need not be UTF-8 */
    uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;
    int code;
    size_t at;
    pcre2_code *made =
        pcre2_compile((PCRE2_SPTR)(pattern.ptr ? pattern.ptr : ""), pattern.len, options, &code, &at, NULL);
    if (!made) {
        char why[128];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        err_set(err, "bad pattern: %s", why);
    }
    return made;
}
