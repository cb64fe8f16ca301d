/*
 * acl.h - may our user do in Redis all that we shall ask of it? Found out before it is needed, once a minute a shard
 * (keeper_health.c), without ACL DRYRUN, which is newer than our oldest Redis, and without leaving anything.
 *
 *   acl_begin ─ acl_ask(FIRST) ─▶ Redis ─ acl_take, a reply each ─▶ [acl_ask(SECOND) ─▶ …] ─ acl_describe ─▶ a sentence
 *
 * Redis looks first whether the user may give a command, then whether he may touch its keys, and only then what the
 * command says; so every reply but NOPERM means: allowed. The questions stand in acl.def.
 */
#ifndef LIMITS_ACL_H
#define LIMITS_ACL_H

#include "limits/health.h"

enum acl_word {
#define ACL(id, word, stage, question) ACL_##id,
#include "limits/acl.def"
#undef ACL
    ACL_WORDS
};
_Static_assert(ACL_WORDS <= 64, "a bit each");

enum acl_stage { ACL_STAGE_NONE, ACL_STAGE_FIRST, ACL_STAGE_SECOND, ACL_STAGE_CLUSTER };
enum { ACL_TEXT_BYTES = HEALTH_TEXT_BYTES };

struct acl_check {
    uint64_t denied; /* bit n: word n is */
    bool has_no_keys;
    uint8_t asked[ACL_WORDS + 2]; /* by the call under way: the word of each command; ACL_WORDS: of none */
    size_t count;
};

void acl_begin(struct acl_check *a);
/* Appends the questions of FIRST or SECOND to a call. key: does not exist, and nobody else has it. False: as
 * redis_call_add. */
MUST_USE bool acl_ask(struct acl_check *a, enum acl_stage stage, enum redis_shape shape, struct str key,
                      struct redis_call *call);
/* Reply n of that call. */
void acl_take(struct acl_check *a, size_t n, const redisReply *reply);
/* After the first call: can the second do no harm? */
bool acl_has_second(const struct acl_check *a);
/* What is not allowed, and what the administrator does about it; false: all is allowed, `to` is empty. prefix: of our
 * keys. */
bool acl_describe(const struct acl_check *a, struct str user, struct str prefix, char to[ACL_TEXT_BYTES]);

#endif
