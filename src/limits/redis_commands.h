/*
 * redis_commands.h - commands to Redis that more than one kind of counter composes.
 *
 *   ZADD KEY [GT] SCORE MEMBER…   ZREM KEY MEMBER…   PFADD KEY MEMBER…      in commands of MEMBERS_A_COMMAND each
 *   ZSCORE KEY VALUE              one a value
 *   PEXPIREAT KEY MS
 *
 * All of them append to a call (redis.h), be it a part's or an errand's. False means what it means there: no memory, or
 * too many commands; then redis_send refuses the call, so whoever sends an errand need not look.
 *
 *   struct member_command m;
 *   member_command_begin(&m, call, STR("ZREM"), key);
 *   for (each member)
 *       member_command_add(&m, text);
 *   return member_command_end(&m);
 */
#ifndef LIMITS_REDIS_COMMANDS_H
#define LIMITS_REDIS_COMMANDS_H

#include "limits/values_seen.h"
#include "redis/redis.h"

enum {
    MEMBERS_A_COMMAND = 64,
    MEMBER_TEXT_BYTES = 96 /* the longest one: a lease's name */
};

/* A command that names many members of one key: in the caller's memory, from begin to end. No command is longer than
 * MEMBERS_A_COMMAND members, so that a big one does not keep Redis from all others. */
struct member_command {
    struct redis_call *call;
    struct str words[3 + 2 * MEMBERS_A_COMMAND];
    size_t head; /* of words: what every command begins with */
    size_t count;
    struct str score; /* before every member, in score_text; ptr NULL: none */
    bool is_whole;
    char score_text[SCORE_TEXT_BYTES];
    char texts[MEMBERS_A_COMMAND][MEMBER_TEXT_BYTES];
};

/* verb: ZREM, PFADD; static. key: borrowed until the end. */
void member_command_begin(struct member_command *m, struct redis_call *call, struct str verb, struct str key);
/* ZADD: every member gets this score. only_later: GT, a score that is there only grows. */
void member_command_begin_scored(struct member_command *m, struct redis_call *call, struct str key, int64_t score,
                                 bool only_later);
/* member: copied, at most MEMBER_TEXT_BYTES. */
void member_command_add(struct member_command *m, struct str member);
/* False: some command was not appended. Without members there is none. */
bool member_command_end(struct member_command *m);
/* How many commands so many members are. */
size_t member_commands(size_t members);

/* When was each of the values seen, or held? A command each, in their order. */
bool redis_add_score_questions(struct redis_call *call, struct str key, const struct take_member *values, size_t count);
/* Nobody needs the key after at_ms, in milliseconds since 1970 on the clock of its shard; it goes a little later. */
bool redis_add_expiry(struct redis_call *call, struct str key, int64_t at_ms);

#endif
