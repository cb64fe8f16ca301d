/* acl.c - see acl.h. */
#include "limits/acl.h"

#include <stdio.h>
#include <string.h>

enum { QUESTION_WORDS_MAX = 8 };

static const struct {
    struct str word;
    enum acl_stage stage;
    const char *question;
} ROWS[ACL_WORDS] = {
#define ACL(id, word, stage, question) [ACL_##id] = {{word, sizeof(word) - 1}, ACL_STAGE_##stage, question},
#include "limits/acl.def"
#undef ACL
};

void acl_begin(struct acl_check *a)
{
    *a = (struct acl_check){.count = 0};
}

/* ---- asking ---- */

static bool add(struct acl_check *a, size_t word, const char *question, struct str key, struct redis_call *call)
{
    struct str words[QUESTION_WORDS_MAX], rest = str_of_z(question);
    size_t count = 0;
    while (rest.len && count < QUESTION_WORDS_MAX) {
        struct str w = str_split(rest, ' ', &rest);
        words[count++] = str_equal(w, STR("KEY")) ? key : w;
    }
    a->asked[a->count++] = (uint8_t)word;
    return redis_call_add(call, words, count);
}

static bool is_asked(size_t word, enum acl_stage stage, enum redis_shape shape)
{
    enum acl_stage of = ROWS[word].stage;
    return of == stage || (of == ACL_STAGE_CLUSTER && stage == ACL_STAGE_FIRST && shape == REDIS_CLUSTER);
}

bool acl_ask(struct acl_check *a, enum acl_stage stage, enum redis_shape shape, struct str key, struct redis_call *call)
{
    bool is_second = stage == ACL_STAGE_SECOND;
    a->count = 0;
    bool fits = !is_second || add(a, ACL_WORDS, "SET KEY - PX 10000", key, call);
    for (size_t i = 0; i < ACL_WORDS && fits; i++)
        if (is_asked(i, stage, shape))
            fits = add(a, i, ROWS[i].question, key, call);
    return fits && (!is_second || add(a, ACL_WORDS, "DEL KEY", key, call));
}

/* "NOPERM this user has no permissions to run the 'zadd' command", "… to access one of the keys used as arguments";
 * from 7.2 on "NOPERM User mw has no permissions to run the 'zadd' command", "NOPERM No permissions to access a key".
 */
void acl_take(struct acl_check *a, size_t n, const redisReply *reply)
{
    struct str text = reply->type == REDIS_REPLY_ERROR ? str_of(reply->str, reply->len) : STR_NONE;
    if (n >= a->count || a->asked[n] == ACL_WORDS || !str_starts(text, STR("NOPERM ")))
        return;
    if (memmem(text.ptr, text.len, "to access ", strlen("to access ")))
        a->has_no_keys = true;
    else
        a->denied |= UINT64_C(1) << a->asked[n];
}

bool acl_has_second(const struct acl_check *a)
{
    uint64_t needed = UINT64_C(1) << ACL_SET | UINT64_C(1) << ACL_DEL;
    return !a->has_no_keys && !(a->denied & needed);
}

/* ---- telling ---- */

static void append(char to[ACL_TEXT_BYTES], const char *before, struct str text)
{
    size_t len = strlen(to);
    snprintf(to + len, ACL_TEXT_BYTES - len, "%s" PRI_STR, before, STR_ARG(text));
}

bool acl_describe(const struct acl_check *a, struct str user, struct str prefix, char to[ACL_TEXT_BYTES])
{
    to[0] = '\0';
    if (!a->denied && !a->has_no_keys)
        return false;
    append(to, "its user \"", user);
    append(to, "\" may not do all that is needed, and it will fail when it is: `ACL SETUSER ", user);
    for (size_t i = 0; i < ACL_WORDS; i++)
        if (a->denied >> i & 1)
            append(to, " +", ROWS[i].word);
    if (a->has_no_keys) {
        append(to, " ~", prefix);
        append(to, "*", STR(""));
    }
    append(to, "` allows it, and ACL SAVE keeps it (doc/cluster.md has the whole line)", STR(""));
    return true;
}
