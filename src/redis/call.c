/* call.c - a call's memory: commands go in as words, and are found again as bytes. See redis.h, redis_inside.h. */
#include <stdlib.h>

#include "base/panic.h"
#include "redis/redis_inside.h"

enum { WORDS_AT_HAND = 32 /* a command with more of them costs two allocations */ };

void redis_call_init(struct redis_call *c, void (*on_reply)(struct redis_call *, size_t, const redisReply *),
                     void (*on_done)(struct redis_call *, enum redis_result), void *arg)
{
    *c = (struct redis_call){.on_reply = on_reply, .on_done = on_done, .arg = arg};
    list_init(&c->node);
    buf_init(&c->wire, REDIS_OUTPUT_MAX_BYTES);
}

void redis_call_init_inner(struct redis_call *c, void (*on_reply)(struct redis_call *, size_t, const redisReply *),
                           void (*on_done)(struct redis_call *, enum redis_result), void *arg)
{
    redis_call_init(c, on_reply, on_done, arg);
    c->is_inner = true;
}

void redis_call_reset(struct redis_call *c)
{
    PANIC_IF(c->is_under_way, "a call to Redis is made anew while it is under way");
    struct buf wire = c->wire;
    redis_call_init(c, c->on_reply, c->on_done, c->arg);
    buf_clear(&wire);
    c->wire = wire;
}

void redis_call_fini(struct redis_call *c)
{
    PANIC_IF(c->is_under_way, "a call to Redis is given up while it is under way");
    buf_wipe(&c->wire); /* a login may have been in it */
    c->command_count = 0;
}

/* ---- in ---- */

/* Of hiredis' two ways to the same bytes the one that does not call sprintf for every word: half the CPU of a call. */
static bool append_formatted(struct redis_call *c, int count, const char **words, const size_t *lengths)
{
    sds command = NULL;
    int bytes = redisFormatSdsCommandArgv(&command, count, words, lengths);
    bool is_whole = bytes > 0 && buf_append(&c->wire, command, (size_t)bytes);
    if (bytes > 0)
        explicit_bzero(command, (size_t)bytes); /* likewise */
    redisFreeSdsCommand(command);
    return is_whole;
}

static bool append_words(struct redis_call *c, const struct str *words, size_t count)
{
    const char *at_hand[WORDS_AT_HAND];
    size_t lengths_at_hand[WORDS_AT_HAND];
    bool is_long = count > WORDS_AT_HAND;
    const char **ptrs = is_long ? calloc(count, sizeof *ptrs) : at_hand;
    size_t *lengths = is_long ? calloc(count, sizeof *lengths) : lengths_at_hand;
    size_t bytes = 0;
    bool fits = ptrs && lengths;
    for (size_t i = 0; fits && i < count; i++) {
        ptrs[i] = words[i].ptr ? words[i].ptr : "";
        lengths[i] = words[i].len;
        fits = words[i].len <= REDIS_OUTPUT_MAX_BYTES - bytes;
        bytes += words[i].len;
    }
    bool is_whole = fits && append_formatted(c, (int)count, ptrs, lengths);
    if (is_long) {
        free((void *)ptrs);
        free(lengths);
    }
    return is_whole;
}

bool redis_call_add(struct redis_call *c, const struct str *words, size_t count)
{
    PANIC_IF(c->is_under_way, "a command is added to a call that is under way");
    bool is_whole = c->command_count < REDIS_CALL_COMMANDS_MAX && count > 0 && count <= REDIS_REPLY_MAX_ELEMENTS &&
                    append_words(c, words, count);
    c->command_count += is_whole;
    c->is_broken = c->is_broken || !is_whole;
    return is_whole;
}

bool redis_call_add_wire(struct redis_call *c, struct str wire, size_t count)
{
    PANIC_IF(c->is_under_way, "a command is added to a call that is under way");
    bool is_whole = count <= REDIS_CALL_COMMANDS_MAX - c->command_count && buf_append_str(&c->wire, wire);
    c->command_count += is_whole ? (uint32_t)count : 0;
    c->is_broken = c->is_broken || !is_whole;
    return is_whole;
}

/* ---- out ---- */

/* Behind the number in "*3\r\n" or "$3\r\n" at `at`. */
static size_t read_number(struct str wire, size_t at, size_t *number)
{
    size_t n = 0;
    for (at++; at < wire.len && ascii_is_digit(wire.ptr[at]); at++)
        n = n * 10 + (size_t)(wire.ptr[at] - '0');
    *number = n;
    return at + 2;
}

static size_t skip_command(struct str wire, size_t at)
{
    size_t words, bytes;
    at = read_number(wire, at, &words);
    for (; words > 0; words--) {
        at = read_number(wire, at, &bytes);
        at += bytes + 2;
        PANIC_IF(at > wire.len, "a formatted command ends after its call");
    }
    return at;
}

struct str redis_call_command(const struct redis_call *c, size_t n)
{
    struct str wire = buf_str(&c->wire);
    PANIC_IF(n >= c->command_count || !wire.ptr, "command %zu of a call of %u", n, c->command_count);
    size_t from = 0;
    for (; n > 0; n--)
        from = skip_command(wire, from);
    return str_sub(wire, from, skip_command(wire, from) - from);
}

/* ---- to the caller ---- */

void redis_call_deliver(struct redis_call *c, size_t n, const redisReply *reply)
{
    PANIC_IF(n != c->replied, "reply %zu is given when %u is due", n, c->replied);
    c->replied++;
    if (c->on_reply)
        c->on_reply(c, n, reply);
}

void redis_call_finish(struct redis_call *c, enum redis_result result)
{
    PANIC_IF(!c->is_under_way, "a call to Redis ends twice");
    c->is_under_way = false;
    c->shard = NULL;
    c->state = NULL;
    c->on_done(c, result);
}
