/*
 * tiny_redis.h - Redis without Redis: the client's contract (redis/redis.h) on top of a few keys in memory, for tests
 * in which several nodes live on a clock that is moved by hand. Include it in one program in the client's place.
 *
 *   struct tiny_server server; tiny_init(&server, now_us);       struct redis node = {.server = &server, .loop = …};
 *   tiny_link(&node);   … what is tested calls redis_send …      tiny_answer(&node): all that is under way is answered
 *   tiny_cut(&node): its link is lost; calls under way are LOST  tiny_flush(&server): the data set is lost
 *
 * A server alone, or with is_cluster two shards that share the slots in halves. Commands are those that the keeper, the
 * bans, the allowances and the audit use, as Redis 7 answers them.
 */
#ifndef TEST_TINY_REDIS_H
#define TEST_TINY_REDIS_H

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "redis/redis.h"

/* The client's own way to a call (redis_inside.h, which has a struct redis of its own). */
struct str redis_call_command(const struct redis_call *c, size_t n);
void redis_call_deliver(struct redis_call *c, size_t n, const redisReply *reply);
void redis_call_finish(struct redis_call *c, enum redis_result result);

enum { TINY_KEYS = 1024, TINY_MEMBERS = 600, TINY_BYTES = 8192, TINY_SLOTS_HALF = 8192 };

struct tiny_member {
    double score;
    char name[300];
};

struct tiny_key {
    char name[300]; /* empty: free */
    const char *type;
    int64_t expires_ms; /* 0: never */
    size_t len;
    char bytes[TINY_BYTES];
    struct tiny_member *members; /* TINY_MEMBERS */
};

struct tiny_server {
    int64_t now_us; /* its clock */
    bool is_cluster;
    unsigned master; /* which server it is: its port's last digit */
    struct tiny_key keys[TINY_KEYS];
    char info[1024];
    char refuses[64], refusal[128]; /* a command that begins so is answered with that error */
    size_t command_count;
};

struct redis {
    struct tiny_server *server;
    struct loop *loop;
    bool is_up[2];
    unsigned ups[2];
    unsigned map_version;
    int64_t clock_is_off_us; /* what the client knows of the server's clock, since TIME was read last */
    struct {
        struct redis_call *call;
        size_t shard;
    } queue[2048];
    size_t queued;
    size_t late;
};

/* ---- keys ---- */

static void tiny_init(struct tiny_server *s, int64_t now_us)
{
    memset(s, 0, sizeof *s);
    s->now_us = now_us;
    s->master = 1;
    snprintf(s->info, sizeof s->info,
             "redis_version:7.0.15\r\nused_memory:1000000\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n"
             "role:master\r\nconnected_slaves:1\r\n");
}

static void tiny_free_key(struct tiny_key *k)
{
    free(k->members);
    memset(k, 0, sizeof *k);
}

static void tiny_flush(struct tiny_server *s)
{
    for (size_t i = 0; i < TINY_KEYS; i++)
        tiny_free_key(&s->keys[i]);
}

/* Nothing may stay for ever. */
static inline void tiny_assert_all_keys_end(const struct tiny_server *s)
{
    for (size_t i = 0; i < TINY_KEYS; i++)
        if (s->keys[i].name[0] && !s->keys[i].expires_ms)
            fail_msg("%s has no expiry", s->keys[i].name);
}

static struct tiny_key *tiny_find(struct tiny_server *s, struct str name)
{
    for (size_t i = 0; i < TINY_KEYS; i++) {
        struct tiny_key *k = &s->keys[i];
        if (k->name[0] && k->expires_ms && k->expires_ms <= s->now_us / 1000)
            tiny_free_key(k);
        if (k->name[0] && str_equal(str_of_z(k->name), name))
            return k;
    }
    return NULL;
}

static struct tiny_key *tiny_make(struct tiny_server *s, struct str name, const char *type)
{
    for (size_t i = 0; i < TINY_KEYS; i++) {
        struct tiny_key *k = &s->keys[i];
        if (k->name[0])
            continue;
        str_copy_into(k->name, sizeof k->name, name);
        k->type = type;
        if (strcmp(type, "zset") == 0)
            k->members = calloc(TINY_MEMBERS, sizeof *k->members);
        return k;
    }
    fail_msg("tiny_redis: too many keys");
    return NULL;
}

/* ---- commands; each writes its answer as Redis does ---- */

struct tiny_ask {
    struct tiny_server *server;
    const redisReply *words;
    struct buf *to;
};

static struct str tiny_word(const struct tiny_ask *a, size_t n)
{
    return n < a->words->elements ? str_of(a->words->element[n]->str, a->words->element[n]->len) : STR_NONE;
}

static int64_t tiny_number(struct str word)
{
    char text[32];
    if (str_equal(word, STR("-inf")))
        return INT64_MIN;
    if (str_equal(word, STR("+inf")))
        return INT64_MAX;
    return strtoll(str_copy_into(text, sizeof text, word).ptr, NULL, 10);
}

static void tiny_int(struct tiny_ask *a, long long n)
{
    assert_true(buf_printf(a->to, ":%lld\r\n", n));
}

static void tiny_bulk(struct tiny_ask *a, struct str text)
{
    assert_true(buf_printf(a->to, "$%zu\r\n", text.len) && buf_append_str(a->to, text) &&
                buf_append_str(a->to, STR("\r\n")));
}

static void tiny_nil(struct tiny_ask *a)
{
    assert_true(buf_append_str(a->to, STR("$-1\r\n")));
}

/* The key, of this type; made where make. NULL: nothing there, or (answered) of another type. */
static struct tiny_key *tiny_key_of(struct tiny_ask *a, const char *type, bool make, bool *is_wrong)
{
    struct tiny_key *k = tiny_find(a->server, tiny_word(a, 1));
    *is_wrong = k && strcmp(k->type, type) != 0;
    if (*is_wrong) {
        assert_true(
            buf_append_str(a->to, STR("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n")));
        return NULL;
    }
    return k || !make ? k : tiny_make(a->server, tiny_word(a, 1), type);
}

static void tiny_get(struct tiny_ask *a)
{
    bool is_wrong;
    struct tiny_key *k = tiny_key_of(a, "string", false, &is_wrong);
    if (k)
        tiny_bulk(a, str_of(k->bytes, k->len));
    else if (!is_wrong)
        tiny_nil(a);
}

static void tiny_set(struct tiny_ask *a)
{
    struct tiny_key *k = tiny_find(a->server, tiny_word(a, 1));
    int64_t expires_ms = 0;
    for (size_t i = 3; i < a->words->elements; i++) {
        struct str option = tiny_word(a, i);
        if (str_equal(option, STR("NX")) && k) {
            tiny_nil(a);
            return;
        }
        if (str_equal(option, STR("PX")))
            expires_ms = a->server->now_us / 1000 + tiny_number(tiny_word(a, i + 1));
        if (str_equal(option, STR("PXAT")))
            expires_ms = tiny_number(tiny_word(a, i + 1));
    }
    if (k)
        tiny_free_key(k);
    struct str value = tiny_word(a, 2);
    k = tiny_make(a->server, tiny_word(a, 1), "string");
    k->len = MIN_OF(value.len, (size_t)TINY_BYTES);
    memcpy(k->bytes, value.ptr, k->len);
    k->expires_ms = expires_ms;
    assert_true(buf_append_str(a->to, STR("+OK\r\n")));
}

/* A hash is its fields and values by turns, as they are answered. Takes one off the front of `rest`. */
static struct str tiny_next(struct str *rest)
{
    size_t digits = str_find(*rest, '\r') - 1, len = (size_t)tiny_number(str_sub(*rest, 1, digits));
    struct str text = str_sub(*rest, digits + 3, len);
    *rest = str_from(*rest, digits + 3 + len + 2);
    return text;
}

static void tiny_hgetall(struct tiny_ask *a)
{
    bool is_wrong;
    size_t count = 0;
    struct tiny_key *k = tiny_key_of(a, "hash", false, &is_wrong);
    if (is_wrong)
        return;
    struct str all = k ? str_of(k->bytes, k->len) : STR("");
    for (struct str rest = all; rest.len; count++)
        (void)tiny_next(&rest);
    assert_true(buf_printf(a->to, "*%zu\r\n", count) && buf_append_str(a->to, all));
}

static void tiny_hset(struct tiny_ask *a)
{
    bool is_wrong, is_there = false;
    struct tiny_key *k = tiny_key_of(a, "hash", true, &is_wrong);
    if (!k)
        return;
    for (struct str rest = str_of(k->bytes, k->len), from = rest; rest.len && !is_there; from = rest) {
        is_there = str_equal(tiny_next(&rest), tiny_word(a, 2));
        (void)tiny_next(&rest);
        if (is_there) {
            memmove(k->bytes + (from.ptr - k->bytes), rest.ptr, rest.len);
            k->len -= (size_t)(rest.ptr - from.ptr);
        }
    }
    for (size_t i = 2; i < 4; i++) {
        struct str word = tiny_word(a, i);
        k->len += (size_t)snprintf(k->bytes + k->len, sizeof k->bytes - k->len, "$%zu\r\n" PRI_STR "\r\n", word.len,
                                   STR_ARG(word));
        assert_true(k->len < sizeof k->bytes);
    }
    tiny_int(a, !is_there);
}

static void tiny_del(struct tiny_ask *a)
{
    struct tiny_key *k = tiny_find(a->server, tiny_word(a, 1));
    tiny_int(a, k != NULL);
    if (k)
        tiny_free_key(k);
}

static void tiny_pexpireat(struct tiny_ask *a)
{
    struct tiny_key *k = tiny_find(a->server, tiny_word(a, 1));
    if (k)
        k->expires_ms = tiny_number(tiny_word(a, 2));
    tiny_int(a, k != NULL);
}

static void tiny_pttl(struct tiny_ask *a)
{
    struct tiny_key *k = tiny_find(a->server, tiny_word(a, 1));
    tiny_int(a, !k ? -2 : !k->expires_ms ? -1 : k->expires_ms - a->server->now_us / 1000);
}

static void tiny_type(struct tiny_ask *a)
{
    struct tiny_key *k = tiny_find(a->server, tiny_word(a, 1));
    assert_true(buf_printf(a->to, "+%s\r\n", k ? k->type : "none"));
}

static void tiny_info(struct tiny_ask *a)
{
    tiny_bulk(a, str_of_z(a->server->info));
}

static void tiny_memory(struct tiny_ask *a)
{
    struct tiny_key *k = tiny_find(a->server, tiny_word(a, 2));
    if (k)
        tiny_int(a, 100 + (long long)k->len);
    else
        tiny_nil(a);
}

/* SCAN cursor COUNT n: the cursor is the next key's number. */
static void tiny_scan(struct tiny_ask *a)
{
    size_t from = (size_t)tiny_number(tiny_word(a, 1)), at = from, count = 0;
    char text[32];
    struct str names[16];
    for (; at < TINY_KEYS && count < COUNT_OF(names); at++)
        if (a->server->keys[at].name[0])
            names[count++] = str_of_z(a->server->keys[at].name);
    assert_true(buf_append_str(a->to, STR("*2\r\n")));
    tiny_bulk(a, str_of(text, (size_t)snprintf(text, sizeof text, "%zu", at < TINY_KEYS ? at : 0)));
    assert_true(buf_printf(a->to, "*%zu\r\n", count));
    for (size_t i = 0; i < count; i++)
        tiny_bulk(a, names[i]);
}

static struct tiny_member *tiny_member(struct tiny_key *k, struct str name)
{
    for (size_t i = 0; k && i < TINY_MEMBERS; i++)
        if (k->members[i].name[0] && str_equal(str_of_z(k->members[i].name), name))
            return &k->members[i];
    return NULL;
}

static void tiny_zadd(struct tiny_ask *a)
{
    bool is_wrong;
    struct tiny_key *k = tiny_key_of(a, "zset", true, &is_wrong);
    if (!k)
        return;
    struct tiny_member *m = tiny_member(k, tiny_word(a, 3));
    tiny_int(a, m == NULL);
    for (size_t i = 0; !m; i++) {
        assert_true(i < TINY_MEMBERS);
        if (!k->members[i].name[0])
            m = &k->members[i];
    }
    str_copy_into(m->name, sizeof m->name, tiny_word(a, 3));
    m->score = (double)tiny_number(tiny_word(a, 2));
}

static void tiny_score(struct tiny_ask *a, double score)
{
    char text[32];
    tiny_bulk(a, str_of(text, (size_t)snprintf(text, sizeof text, "%.17g", score)));
}

static void tiny_zscore(struct tiny_ask *a)
{
    bool is_wrong;
    struct tiny_member *m = tiny_member(tiny_key_of(a, "zset", false, &is_wrong), tiny_word(a, 2));
    if (m)
        tiny_score(a, m->score);
    else if (!is_wrong)
        tiny_nil(a);
}

static void tiny_zrem(struct tiny_ask *a)
{
    bool is_wrong;
    struct tiny_member *m = tiny_member(tiny_key_of(a, "zset", false, &is_wrong), tiny_word(a, 2));
    if (m)
        m->name[0] = '\0';
    if (!is_wrong)
        tiny_int(a, m != NULL);
}

static bool tiny_is_between(const struct tiny_ask *a, const struct tiny_member *m)
{
    return m->name[0] && m->score >= (double)tiny_number(tiny_word(a, 2)) &&
           m->score <= (double)tiny_number(tiny_word(a, 3));
}

static void tiny_zremrangebyscore(struct tiny_ask *a)
{
    bool is_wrong;
    struct tiny_key *k = tiny_key_of(a, "zset", false, &is_wrong);
    long long gone = 0;
    for (size_t i = 0; k && i < TINY_MEMBERS; i++)
        if (tiny_is_between(a, &k->members[i])) {
            k->members[i].name[0] = '\0';
            gone++;
        }
    if (!is_wrong)
        tiny_int(a, gone);
}

static void tiny_zcount(struct tiny_ask *a)
{
    bool is_wrong;
    struct tiny_key *k = tiny_key_of(a, "zset", false, &is_wrong);
    long long count = 0;
    for (size_t i = 0; k && i < TINY_MEMBERS; i++)
        count += tiny_is_between(a, &k->members[i]);
    if (!is_wrong)
        tiny_int(a, count);
}

static int tiny_compare(const void *a, const void *b)
{
    const struct tiny_member *const *x = a, *const *y = b;
    return (*x)->score < (*y)->score ? -1 : (*x)->score > (*y)->score ? 1 : strcmp((*x)->name, (*y)->name);
}

/* Always WITHSCORES LIMIT offset count. */
static void tiny_zrangebyscore(struct tiny_ask *a)
{
    bool is_wrong;
    struct tiny_key *k = tiny_key_of(a, "zset", false, &is_wrong);
    const struct tiny_member *found[TINY_MEMBERS];
    size_t count = 0, offset = (size_t)tiny_number(tiny_word(a, 6)), most = (size_t)tiny_number(tiny_word(a, 7));
    for (size_t i = 0; k && i < TINY_MEMBERS; i++)
        if (tiny_is_between(a, &k->members[i]))
            found[count++] = &k->members[i];
    if (is_wrong)
        return;
    qsort(found, count, sizeof found[0], tiny_compare);
    offset = MIN_OF(offset, count);
    count = MIN_OF(count - offset, most);
    assert_true(buf_printf(a->to, "*%zu\r\n", 2 * count));
    for (size_t i = 0; i < count; i++) {
        tiny_bulk(a, str_of_z(found[offset + i]->name));
        tiny_score(a, found[offset + i]->score);
    }
}

/* BITFIELD key OVERFLOW SAT INCRBY|SET u32 #n by … */
static void tiny_bitfield(struct tiny_ask *a)
{
    bool is_wrong;
    struct tiny_key *k = tiny_key_of(a, "string", true, &is_wrong);
    if (!k)
        return;
    assert_true(buf_printf(a->to, "*%zu\r\n", (a->words->elements - 4) / 4));
    for (size_t i = 4; i + 3 < a->words->elements; i += 4) {
        size_t n = (size_t)tiny_number(str_from(tiny_word(a, i + 2), 1));
        int64_t value = 0;
        for (size_t b = 0; b < 4; b++)
            value = value << 8 | (unsigned char)k->bytes[4 * n + b];
        value = str_equal(tiny_word(a, i), STR("SET")) ? 0 : value;
        value = MAX_OF(MIN_OF(value + tiny_number(tiny_word(a, i + 3)), (int64_t)UINT32_MAX), 0);
        for (size_t b = 0; b < 4; b++)
            k->bytes[4 * n + b] = (char)(value >> (24 - 8 * b));
        k->len = MAX_OF(k->len, 4 * n + 4);
        tiny_int(a, value);
    }
}

static const struct {
    const char *name;
    void (*run)(struct tiny_ask *a);
} TINY_COMMANDS[] = {
    {"GET", tiny_get},
    {"SET", tiny_set},
    {"DEL", tiny_del},
    {"HSET", tiny_hset},
    {"HGETALL", tiny_hgetall},
    {"PEXPIREAT", tiny_pexpireat},
    {"PTTL", tiny_pttl},
    {"TYPE", tiny_type},
    {"INFO", tiny_info},
    {"MEMORY", tiny_memory},
    {"SCAN", tiny_scan},
    {"ZADD", tiny_zadd},
    {"ZREM", tiny_zrem},
    {"ZSCORE", tiny_zscore},
    {"BITFIELD", tiny_bitfield},
    {"ZREMRANGEBYSCORE", tiny_zremrangebyscore},
    {"ZRANGEBYSCORE", tiny_zrangebyscore},
    {"ZCOUNT", tiny_zcount},
};

static void tiny_run(struct tiny_ask *a)
{
    struct tiny_server *s = a->server;
    struct str command = tiny_word(a, 0);
    char line[512];
    size_t len = 0;
    s->command_count++;
    for (size_t i = 0; i < a->words->elements && len < sizeof line - 1; i++)
        len += (size_t)snprintf(line + len, sizeof line - len, "%s" PRI_STR, i ? " " : "", STR_ARG(tiny_word(a, i)));
    if (s->refuses[0] && strncmp(line, s->refuses, strlen(s->refuses)) == 0) {
        assert_true(buf_printf(a->to, "-%s\r\n", s->refusal));
        return;
    }
    if (strstr(line, ":probe:") || str_equal(command, STR("ASKING"))) { /* limits/acl.h: everything is allowed */
        assert_true(buf_printf(a->to, "$-1\r\n"));
        return;
    }
    for (size_t i = 0; i < COUNT_OF(TINY_COMMANDS); i++)
        if (str_equal(command, str_of_z(TINY_COMMANDS[i].name))) {
            TINY_COMMANDS[i].run(a);
            return;
        }
    fail_msg("tiny_redis: a command that it does not know: %s", line);
}

static redisReply *tiny_parse(struct str wire)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert_int_equal(redisReaderFeed(reader, wire.ptr, wire.len), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

/* As a program outside would: "SET a b". */
static redisReply *tiny_do(struct tiny_server *s, struct str wire)
{
    struct buf answer;
    buf_init(&answer, 1 << 20);
    redisReply *words = tiny_parse(wire);
    struct tiny_ask ask = {s, words, &answer};
    tiny_run(&ask);
    redisReply *reply = tiny_parse(buf_str(&answer));
    freeReplyObject(words);
    buf_fini(&answer);
    return reply;
}

/* ---- the client ---- */

/* Its links are up. */
static void tiny_link(struct redis *r)
{
    for (size_t i = 0; i < 2; i++) {
        r->ups[i] += !r->is_up[i];
        r->is_up[i] = true;
    }
}

static void tiny_end(struct redis *r, size_t i, enum redis_result result)
{
    struct redis_call *c = r->queue[i].call;
    memmove(&r->queue[i], &r->queue[i + 1], (--r->queued - i) * sizeof r->queue[0]);
    redis_call_finish(c, result);
}

static void tiny_cut_shard(struct redis *r, size_t shard)
{
    r->is_up[shard] = false;
    for (size_t i = r->queued; i-- > 0;)
        if (r->queue[i].shard == shard)
            tiny_end(r, i, REDIS_LOST);
}

static void tiny_cut(struct redis *r)
{
    tiny_cut_shard(r, 0);
    tiny_cut_shard(r, 1);
}

static void tiny_answer_one(struct redis *r)
{
    struct redis_call *c = r->queue[0].call;
    for (size_t n = 0; n < c->command_count; n++) {
        redisReply *reply = tiny_do(r->server, redis_call_command(c, n));
        redis_call_deliver(c, n, reply);
        freeReplyObject(reply);
    }
    tiny_end(r, 0, REDIS_DONE);
}

static void tiny_answer(struct redis *r)
{
    while (r->queued)
        tiny_answer_one(r);
}

size_t redis_shard_of(const struct redis *r, struct str key)
{
    return r->server->is_cluster && redis_slot(key) >= TINY_SLOTS_HALF;
}

bool redis_send_to_shard(struct redis *r, size_t shard, struct redis_call *c)
{
    if (!r->is_up[shard] || c->is_broken || r->queued == COUNT_OF(r->queue))
        return false;
    c->is_under_way = true;
    c->replied = 0;
    r->queue[r->queued].call = c;
    r->queue[r->queued++].shard = shard;
    return true;
}

bool redis_send(struct redis *r, struct str key, struct redis_call *c)
{
    return redis_send_to_shard(r, redis_shard_of(r, key), c);
}

void redis_call_is_late(struct redis *r, struct redis_call *c)
{
    (void)c;
    r->late++;
}

bool redis_is_up(const struct redis *r, struct str key)
{
    return r->is_up[redis_shard_of(r, key)];
}

bool redis_shard_is_up(const struct redis *r, size_t shard)
{
    return shard < 2 && r->is_up[shard];
}

size_t redis_shard_count(const struct redis *r)
{
    return r->server->is_cluster ? 2 : 1;
}

unsigned redis_map_version(const struct redis *r)
{
    return r->map_version;
}

struct str redis_shard_name(const struct redis *r, size_t shard)
{
    static char name[ENDPOINT_TEXT_MAX];
    return str_of(name, (size_t)snprintf(name, sizeof name, "127.0.0.1:700%zu", r->server->master + shard));
}

unsigned redis_shard_ups(const struct redis *r, size_t shard)
{
    return r->ups[shard];
}

int64_t redis_now_us(const struct redis *r, struct str key)
{
    (void)key;
    return r->server->now_us + r->clock_is_off_us;
}

void redis_shard_look_soon(struct redis *r, size_t shard)
{
    (void)r, (void)shard;
}

bool redis_skew_us(const struct redis *r, size_t shard, int64_t *skew_us)
{
    *skew_us = r->server->now_us + r->clock_is_off_us - loop_wall_us(r->loop);
    return r->ups[shard] > 0;
}

struct str redis_user(const struct redis *r)
{
    (void)r;
    return STR("default");
}

struct str redis_why_down(const struct redis *r, size_t shard)
{
    return r->is_up[shard] ? STR_NONE : STR("it was cut off");
}

/* redis_free: what is under way is forgotten. */
void redis_free(struct redis **rp)
{
    struct redis *r = *rp;
    for (size_t i = 0; i < r->queued; i++)
        r->queue[i].call->is_under_way = false;
    r->queued = 0;
}

#endif
