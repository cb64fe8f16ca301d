/* redis_commands.c - commands that more than one kind of counter composes. See redis_commands.h. */
#include "limits/redis_commands.h"

#include <string.h>

#include "base/panic.h"

#define EXPIRY_LATER_MS 5000

/* ---- members ---- */

void member_command_begin(struct member_command *m, struct redis_call *call, struct str verb, struct str key)
{
    m->call = call;
    m->words[0] = verb;
    m->words[1] = key;
    m->head = m->count = 2;
    m->score = STR_NONE;
    m->is_whole = true;
}

void member_command_begin_scored(struct member_command *m, struct redis_call *call, struct str key, int64_t score,
                                 bool only_later)
{
    member_command_begin(m, call, STR("ZADD"), key);
    if (only_later)
        m->words[m->count++] = STR("GT");
    m->head = m->count;
    m->score = score_text(score, m->score_text);
}

static void send_words(struct member_command *m)
{
    m->is_whole = m->is_whole && redis_call_add(m->call, m->words, m->count);
    m->count = m->head;
}

void member_command_add(struct member_command *m, struct str member)
{
    size_t per_member = m->score.ptr ? 2 : 1, n = (m->count - m->head) / per_member;
    PANIC_IF(member.len > MEMBER_TEXT_BYTES, "a member of %zu bytes", member.len);
    if (m->score.ptr)
        m->words[m->count++] = m->score;
    m->words[m->count++] = str_of(m->texts[n], member.len);
    memcpy(m->texts[n], member.ptr, member.len);
    if (n + 1 == MEMBERS_A_COMMAND)
        send_words(m);
}

bool member_command_end(struct member_command *m)
{
    if (m->count > m->head)
        send_words(m);
    return m->is_whole;
}

size_t member_commands(size_t members)
{
    return (members + MEMBERS_A_COMMAND - 1) / MEMBERS_A_COMMAND;
}

/* ---- others ---- */

bool redis_add_score_questions(struct redis_call *call, struct str key, const struct take_member *values, size_t count)
{
    char text[VALUE_TEXT_BYTES];
    for (size_t i = 0; i < count; i++) {
        const struct str words[] = {STR("ZSCORE"), key, value_text(&values[i], text)};
        if (!redis_call_add(call, words, COUNT_OF(words)))
            return false;
    }
    return true;
}

bool redis_add_expiry(struct redis_call *call, struct str key, int64_t at_ms)
{
    char text[SCORE_TEXT_BYTES];
    const struct str words[] = {STR("PEXPIREAT"), key, score_text(at_ms + EXPIRY_LATER_MS, text)};
    return redis_call_add(call, words, COUNT_OF(words));
}
