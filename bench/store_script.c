/*
 * store_script.c - how a limiter with scripts does it: one EVALSHA a mail, and Redis computes.
 *
 * The windows are ours (LIMITS.md): 16 packed slots, the 17 that end now count, all six limits or none, each key with
 * its expiry. As such scripts do, it has a key for each limit.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store.h"

enum { SLOTS = 16, WORDS_MAX = 3 + 2 * LIMITS + 4 * LIMITS, WORD_MAX_BYTES = 128 };

/* KEYS: the six windows that are current, then the six before them. ARGV: of each limit its slot, expiry, what is
 * allowed, and the cost. The answer: 0, or the number of the limit that refuses. As quick as we can make it: one read
 * for all, many slots an unpack, an expiry only where a key is new. */
static const char script[] =
    "local values = redis.call('MGET', unpack(KEYS))\n"
    "local function sum(s, first)\n"
    "  local n, total = math.floor((#s - first + 1) / 4), 0\n"
    "  if n < 1 then return 0 end\n"
    "  local slots = {struct.unpack('>' .. string.rep('I4', n), s, first)}\n"
    "  for i = 1, n do total = total + slots[i] end\n"
    "  return total\n"
    "end\n"
    "for i = 1, 6 do\n"
    "  local slot, allowed, used = tonumber(ARGV[4*i-3]), tonumber(ARGV[4*i-1]), tonumber(ARGV[4*i])\n"
    "  if values[i] then used = used + sum(values[i], 1) end\n"
    "  if values[i + 6] then used = used + sum(values[i + 6], 4 * slot + 1) end\n"
    "  if used > allowed then return i end\n"
    "end\n"
    "for i = 1, 6 do\n"
    "  redis.call('BITFIELD', KEYS[i], 'OVERFLOW', 'SAT', 'INCRBY', 'u32', '#' .. ARGV[4*i-3], ARGV[4*i])\n"
    "  if not values[i] then redis.call('PEXPIREAT', KEYS[i], ARGV[4*i-2]) end\n"
    "end\n"
    "return 0\n";

struct asked_mail {
    struct mail *mail;
    struct redis_call call;
    bool is_admitted;
};

static struct redis *redis;
static char digest[41];
static bool is_loaded;

static void on_loaded(struct redis_call *c, size_t n, const redisReply *reply)
{
    (void)c, (void)n;
    if (reply->type != REDIS_REPLY_STRING || reply->len != sizeof digest - 1)
        bench_fail("SCRIPT LOAD", reply->type == REDIS_REPLY_ERROR ? reply->str : "an odd answer");
    memcpy(digest, reply->str, sizeof digest - 1);
    is_loaded = true;
}

static void on_load_done(struct redis_call *c, enum redis_result result)
{
    (void)c;
    if (result != REDIS_DONE)
        bench_fail("SCRIPT LOAD", "Redis is gone");
}

static void open_script(struct loop *l, struct redis *r)
{
    static struct redis_call load;
    const struct str words[] = {STR("SCRIPT"), STR("LOAD"), str_of(script, sizeof script - 1)};

    redis = r;
    redis_call_init(&load, on_loaded, on_load_done, NULL);
    if (!redis_call_add(&load, words, COUNT_OF(words)) || !redis_send_to_shard(r, 0, &load))
        bench_fail("SCRIPT LOAD", "it cannot be sent");
    while (!is_loaded)
        loop_run_once(l, 100);
    redis_call_fini(&load);
}

static void on_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct asked_mail *a = c->arg;
    (void)n;
    a->is_admitted = reply->type == REDIS_REPLY_INTEGER && reply->integer == 0;
    if (reply->type == REDIS_REPLY_ERROR)
        bench_fail("EVALSHA", reply->str);
}

static void on_done(struct redis_call *c, enum redis_result result)
{
    struct asked_mail *a = c->arg;
    a->mail->on_done(a->mail, result == REDIS_DONE && a->is_admitted);
}

static void mail_init(struct mail *m)
{
    struct asked_mail *a = calloc(1, sizeof *a);
    if (!a)
        bench_fail("memory", "there is none");
    a->mail = m;
    redis_call_init(&a->call, on_reply, on_done, a);
    m->state = a;
}

static struct str word(char (*to)[WORD_MAX_BYTES], size_t *used, const char *format, int64_t n)
{
    int len = snprintf(to[*used], WORD_MAX_BYTES, format, n);
    return str_of(to[(*used)++], (size_t)len);
}

static struct str key_of(char (*to)[WORD_MAX_BYTES], size_t *used, struct str entity, size_t limit, int64_t window)
{
    int len = snprintf(to[*used], WORD_MAX_BYTES, "mw1:q:{" PRI_STR "}:%" PRIu32 ":%" PRId64 ":limit%zu",
                       STR_ARG(entity), limits[limit].period_s, window, limit);
    return str_of(to[(*used)++], (size_t)len);
}

static void mail_start(struct mail *m)
{
    static const int64_t costs[COLUMNS] = {1, 1, KIB};
    struct asked_mail *a = m->state;
    struct str words[WORDS_MAX] = {STR("EVALSHA"), str_of(digest, sizeof digest - 1), STR("12")};
    char texts[WORDS_MAX][WORD_MAX_BYTES];
    int64_t now_s = redis_now_us(redis, STR("{}")) / 1000000;
    size_t used = 0, n = 3;

    for (int64_t before = 0; before < 2; before++)
        for (size_t i = 0; i < LIMITS; i++)
            words[n++] = key_of(texts, &used, m->entities[i], i, now_s / limits[i].period_s - before);
    for (size_t i = 0; i < LIMITS; i++) {
        int64_t period_s = limits[i].period_s, window = now_s / period_s;
        words[n++] = word(texts, &used, "%" PRId64, now_s % period_s * SLOTS / period_s);
        words[n++] = word(texts, &used, "%" PRId64, ((window + 2) * period_s + 5) * 1000);
        words[n++] = word(texts, &used, "%" PRId64, ALLOWED);
        words[n++] = word(texts, &used, "%" PRId64, costs[limits[i].column]);
    }
    redis_call_fini(&a->call);
    redis_call_init(&a->call, on_reply, on_done, a);
    if (!redis_call_add(&a->call, words, n) || !redis_send_to_shard(redis, 0, &a->call))
        bench_fail("EVALSHA", "it cannot be sent");
}

const struct way way_script = {"script", open_script, mail_init, mail_start, true};
