/* index_pages.c - see index_pages.h. */
#include "limits/index_pages.h"

#include <stdlib.h>

void index_pages_begin(struct index_pages *p, int64_t from_us)
{
    *p = (struct index_pages){.from_us = MAX_OF(from_us, 0)};
}

bool index_pages_ask(const struct index_pages *p, struct str key, struct redis_call *call)
{
    char from[STR_OF_U64_MAX], offset[STR_OF_U64_MAX], count[STR_OF_U64_MAX];
    const struct str words[] = {
        STR("ZRANGEBYSCORE"), key,          str_of_u64(from, (uint64_t)p->from_us), STR("+inf"),
        STR("WITHSCORES"),    STR("LIMIT"), str_of_u64(offset, p->offset),          str_of_u64(count, INDEX_PAGE)};
    return redis_call_add(call, words, COUNT_OF(words));
}

int64_t index_pages_score(const redisReply *score)
{
    if (score->type != REDIS_REPLY_STRING)
        return 0;
    double at = strtod(score->str, NULL);
    return at > 0 && at < 9e15 ? (int64_t)at : 0;
}

void index_pages_turn(struct index_pages *p, int64_t last_us)
{
    p->offset = last_us > p->from_us ? 0 : p->offset + INDEX_PAGE;
    p->from_us = MAX_OF(last_us, p->from_us);
}
