/* pattern.c - see pattern.h. */
#include "rules/pattern.h"

#include <stdlib.h>

#include "base/log.h"

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

struct pattern *pattern_new(struct str pattern, struct str where, struct err *err)
{
    struct pattern *p = calloc(1, sizeof *p);
    if (!p) {
        err_no_memory(err);
        return NULL;
    }
    p->code = pattern_compile(pattern, err);
    if (!p->code) {
        pattern_free(&p);
        return NULL;
    }
    p->data = pcre2_match_data_create(1, NULL);
    p->context = pcre2_match_context_create(NULL);
    p->where = str_copy_z(where);
    p->text = str_copy_z(pattern);
    if (!p->data || !p->context || !p->where || !p->text) {
        err_no_memory(err);
        pattern_free(&p);
        return NULL;
    }
    pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* where it cannot, matching is only slower */
    pcre2_set_match_limit(p->context, PATTERN_MATCH_LIMIT);
    pcre2_set_depth_limit(p->context, PATTERN_DEPTH_LIMIT);
    pcre2_set_heap_limit(p->context, PATTERN_HEAP_LIMIT_KIB);
    return p;
}

void pattern_free(struct pattern **at)
{
    struct pattern *p = *at;
    if (!p)
        return;
    pcre2_match_context_free(p->context);
    pcre2_match_data_free(p->data);
    pcre2_code_free(p->code);
    free(p->where);
    free(p->text);
    free(p);
    *at = NULL;
}

static bool is_limit(int result)
{
    return result == PCRE2_ERROR_MATCHLIMIT || result == PCRE2_ERROR_DEPTHLIMIT || result == PCRE2_ERROR_HEAPLIMIT ||
           result == PCRE2_ERROR_JIT_STACKLIMIT;
}

bool pattern_matches(struct pattern *p, struct str s)
{
    int result = pcre2_match(p->code, (PCRE2_SPTR)(s.ptr ? s.ptr : ""), s.len, 0, 0, p->data, p->context);
    if (is_limit(result) && !p->has_met_limit) {
        p->has_met_limit = true;
        log_warning("the pattern '%s' of %s takes too many steps for what is matched: it counts as no match", p->text,
                    p->where);
    }
    return result >= 0;
}
