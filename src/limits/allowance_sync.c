/*
 * allowance_sync.c - see allowance_sync.h.
 *
 * One call after the other: the index, page by page; of each entity in a page its hash; then of each whose allowances
 * the others have not heard of, its hash, which is merged and written. What fails holds nobody up: it is passed over,
 * and a while later all of the index is read, all that is untold told, anew (again.h).
 */
#include "limits/allowance_sync.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "limits/again.h"
#include "limits/index_pages.h"
#include "limits/redis_keys.h"

#define INDEX         "allowances"
#define REMEMBERED_MS INT64_C(86400000) /* what is over, for the others to hear of it */
#define INDEX_KEPT_MS (400 * INT64_C(86400000))
#define READ_AGAIN_US INT64_C(10000000) /* clocks of nodes differ, and writes take their time */
#define US_A_MS       1000

enum { TICK_MS = 250, POLL_TICKS = 4, WHOLE_MS = 600000, FIELDS_MAX = REDIS_CALL_COMMANDS_MAX - 1 };

/* What the one call that is under way asks. */
enum asks { ASKS_NOTHING, ASKS_INDEX, ASKS_HASH, ASKS_TO_WRITE, ASKS_TO_INDEX };

struct entity {
    char text[ALLOWANCE_ENTITY_MAX_BYTES + 1];
};

struct allowance_sync {
    struct redis *redis;
    struct allowance_table *table;
    struct loop *loop;
    int64_t (*now_us)(const struct loop *l); /* NULL: clock_steady_us */
    struct timer tick;
    unsigned ticks;
    struct redis_call call;
    enum asks asks;
    bool has_errors;
    unsigned said_full;
    int64_t seen_us, reading_us; /* of the index, on Redis' clock: what changed until then was read, is being read */
    struct index_pages pages;
    bool is_amid;            /* there is a next page of the reading at hand */
    bool reads_anew;         /* the next reading is of all */
    bool reads_all;          /* so is this one */
    unsigned ups;            /* of all shards */
    struct again read_again; /* the whole index */
    int64_t next_whole_ms;
    size_t untold_at; /* how far what is untold was told, this time */
    bool is_telling;  /* `now` is one of those */
    bool has_untellable;
    int64_t next_telling_ms;
    struct entity now;    /* at work on */
    struct entity *queue; /* [INDEX_PAGE] whose hashes are to be read */
    size_t queued;
    struct allowance untold[FIELDS_MAX]; /* of `now`, as they are being written */
    size_t untold_count;
    int64_t until_ms; /* the end of the hash: of the last of its fields */
    char prefix[REDIS_PREFIX_MAX_BYTES + 1];
};

/* ---- the form of a value: `1 CHANGED SINCE UNTIL COUNT/SECONDS,…|none BY|WHY`, times in microseconds ---- */

static int64_t shifted(int64_t us, int64_t by_us)
{
    return us ? us + by_us : 0; /* 0: taken back */
}

struct str allowance_write(const struct allowance *a, int64_t skew_us, char to[ALLOWANCE_TEXT_MAX_BYTES])
{
    int n = snprintf(to, ALLOWANCE_TEXT_MAX_BYTES, "1 %" PRId64 " %" PRId64 " %" PRId64 " ",
                     shifted(a->changed_us, skew_us), shifted(a->since_us, skew_us), shifted(a->until_us, skew_us));
    for (uint32_t i = 0; i < a->rate_count; i++)
        n += snprintf(to + n, (size_t)(ALLOWANCE_TEXT_MAX_BYTES - n), "%s%" PRIu32 "/%" PRIu32, i ? "," : "",
                      a->rates[i].count, a->rates[i].period_s);
    n += snprintf(to + n, (size_t)(ALLOWANCE_TEXT_MAX_BYTES - n), "%s %s|%s", a->rate_count ? "" : "none", a->by,
                  a->why);
    return str_of(to, (size_t)n);
}

static bool read_time(struct str *rest, int64_t skew_us, int64_t *us)
{
    uint64_t n;
    if (!str_to_u64(str_split(*rest, ' ', rest), (uint64_t)INT64_MAX / 2, &n))
        return false;
    *us = shifted((int64_t)n, -skew_us);
    return true;
}

static bool read_rates(struct str text, struct allowance *a)
{
    if (str_equal(text, STR("none")))
        return true;
    while (text.len) {
        struct str period, count = str_split(str_split(text, ',', &text), '/', &period);
        uint64_t n, s;
        if (a->rate_count == ALLOWANCE_RATES_MAX || !str_to_u64(count, INT32_MAX, &n) || n == 0 ||
            !str_to_u64(period, UINT64_C(366) * 86400, &s)) /* 0: of open connections (policy/overrides.c) */
            return false;
        a->rates[a->rate_count++] = (struct rate){(uint32_t)n, (uint32_t)s};
    }
    return a->rate_count > 0;
}

bool allowance_read(struct str text, int64_t skew_us, struct allowance *a)
{
    struct str why, rest = text;
    *a = (struct allowance){0};
    if (!str_equal(str_split(rest, ' ', &rest), STR("1")) || !read_time(&rest, skew_us, &a->changed_us) ||
        !read_time(&rest, skew_us, &a->since_us) || !read_time(&rest, skew_us, &a->until_us) ||
        !read_rates(str_split(rest, ' ', &rest), a) || str_has_control(rest))
        return false;
    str_copy_into(a->by, sizeof a->by, str_split(rest, '|', &why));
    str_copy_into(a->why, sizeof a->why, why);
    return true;
}

/* ---- one call at a time ---- */

static void on_reply(struct redis_call *call, size_t n, const redisReply *reply);
static void on_done(struct redis_call *call, enum redis_result result);

static struct str index_key(const struct allowance_sync *s, char *to)
{
    return str_of(to, (size_t)snprintf(to, REDIS_KEY_MAX_BYTES, "%s" INDEX, s->prefix));
}

static struct str hash_key(const struct allowance_sync *s, char *to)
{
    return redis_key_of_entity(str_of_z(s->prefix), 'o', str_of_z(s->now.text), STR_NONE, to, REDIS_KEY_MAX_BYTES);
}

static void begin(struct allowance_sync *s)
{
    redis_call_init(&s->call, on_reply, on_done, s);
    s->has_errors = false;
}

static void add(struct allowance_sync *s, const struct str *words, size_t count)
{
    if (!redis_call_add(&s->call, words, count))
        s->has_errors = true;
}

static void fail(struct allowance_sync *s)
{
    if (s->is_telling)
        s->has_untellable = true;
    else
        again_is_wanted(&s->read_again, loop_now_ms(s->loop));
}

static void ask(struct allowance_sync *s, struct str key, enum asks asks)
{
    s->asks = !s->has_errors && redis_send(s->redis, key, &s->call) ? asks : ASKS_NOTHING;
    if (s->asks != ASKS_NOTHING)
        return;
    redis_call_fini(&s->call);
    if (asks != ASKS_INDEX) /* a page is asked for again with the next tick */
        fail(s);
}

/* By how much the clock of the key's shard is ahead of the table's. */
static int64_t skew_of(const struct allowance_sync *s, struct str key)
{
    int64_t now_us = s->now_us ? s->now_us(s->loop) : clock_steady_us();
    return redis_now_us(s->redis, key) - now_us;
}

/* A page of it: it remembers for a year, and one array holds no more than REDIS_REPLY_MAX_ELEMENTS. */
static void ask_index(struct allowance_sync *s)
{
    char key_text[REDIS_KEY_MAX_BYTES];
    struct str key = index_key(s, key_text);
    if (!s->is_amid) {
        s->reads_all = s->seen_us == 0;
        s->reads_anew = false;
        index_pages_begin(&s->pages, s->seen_us - READ_AGAIN_US);
        s->reading_us = redis_now_us(s->redis, key);
    }
    begin(s);
    if (!index_pages_ask(&s->pages, key, &s->call))
        s->has_errors = true;
    ask(s, key, ASKS_INDEX);
}

static void ask_hash(struct allowance_sync *s, const char *entity, bool is_telling)
{
    s->is_telling = is_telling;
    char key_text[REDIS_KEY_MAX_BYTES];
    str_copy_into(s->now.text, sizeof s->now.text, str_of_z(entity));
    struct str key = hash_key(s, key_text);
    struct str words[] = {STR("HGETALL"), key};
    begin(s);
    add(s, words, COUNT_OF(words));
    s->until_ms = 0;
    ask(s, key, ASKS_HASH);
}

static int64_t end_ms(const struct allowance *a, int64_t skew_us)
{
    return (MAX_OF(a->until_us, a->changed_us) + skew_us) / US_A_MS + REMEMBERED_MS;
}

static void find_untold(struct allowance_sync *s)
{
    struct allowance a;
    s->untold_count = 0;
    for (size_t at = 0; s->untold_count < FIELDS_MAX && allowance_untold_next(s->table, &at, &a);)
        if (strcmp(a.entity, s->now.text) == 0)
            s->untold[s->untold_count++] = a;
}

/* The hash was read and merged: what this node knows better is written. */
static void write_hash(struct allowance_sync *s)
{
    char key_text[REDIS_KEY_MAX_BYTES], value[ALLOWANCE_TEXT_MAX_BYTES], end[32];
    struct str key = hash_key(s, key_text);
    int64_t skew_us = skew_of(s, key);
    find_untold(s);
    if (s->untold_count == 0)
        return;
    begin(s);
    for (size_t i = 0; i < s->untold_count; i++) {
        struct str words[] = {STR("HSET"), key, str_of_z(s->untold[i].limit),
                              allowance_write(&s->untold[i], skew_us, value)};
        add(s, words, COUNT_OF(words));
        s->until_ms = MAX_OF(s->until_ms, end_ms(&s->untold[i], skew_us));
    }
    struct str expire[] = {STR("PEXPIREAT"), key,
                           str_of(end, (size_t)snprintf(end, sizeof end, "%" PRId64, s->until_ms))};
    add(s, expire, COUNT_OF(expire));
    ask(s, key, ASKS_TO_WRITE);
}

static void write_index(struct allowance_sync *s)
{
    char key_text[REDIS_KEY_MAX_BYTES], now_text[32], end[32], old[32];
    struct str key = index_key(s, key_text);
    int64_t now_us = redis_now_us(s->redis, key);
    struct str now = str_of(now_text, (size_t)snprintf(now_text, sizeof now_text, "%" PRId64, now_us));
    struct str zadd[] = {STR("ZADD"), key, now, str_of_z(s->now.text)};
    struct str forget[] = {
        STR("ZREMRANGEBYSCORE"), key, STR("-inf"),
        str_of(old, (size_t)snprintf(old, sizeof old, "(%" PRId64, now_us - INDEX_KEPT_MS * US_A_MS))};
    struct str expire[] = {
        STR("PEXPIREAT"), key,
        str_of(end, (size_t)snprintf(end, sizeof end, "%" PRId64, now_us / US_A_MS + INDEX_KEPT_MS))};
    begin(s);
    add(s, zadd, COUNT_OF(zadd));
    add(s, forget, COUNT_OF(forget));
    add(s, expire, COUNT_OF(expire));
    ask(s, key, ASKS_TO_INDEX);
}

/* ---- replies ---- */

static bool text_of(const redisReply *r, struct str *text)
{
    *text = STR_NONE;
    if (r->type == REDIS_REPLY_STRING)
        *text = str_of(r->str, (size_t)r->len);
    return text->ptr != NULL;
}

static void on_index(struct allowance_sync *s, const redisReply *reply)
{
    int64_t last_us = 0;
    for (size_t i = 0; i + 1 < reply->elements && i < 2 * (size_t)INDEX_PAGE; i += 2) {
        struct str entity, score;
        if (!text_of(reply->element[i], &entity) || !text_of(reply->element[i + 1], &score))
            continue;
        last_us = index_pages_score(reply->element[i + 1]);
        if (entity.len > ALLOWANCE_ENTITY_MAX_BYTES)
            continue;
        str_copy_into(s->queue[s->queued].text, sizeof s->queue[0].text, entity);
        s->queued++;
    }
    s->is_amid = reply->elements / 2 >= INDEX_PAGE;
    index_pages_turn(&s->pages, last_us);
}

static void on_hash(struct allowance_sync *s, const redisReply *reply)
{
    char key_text[REDIS_KEY_MAX_BYTES];
    int64_t skew_us = skew_of(s, hash_key(s, key_text));
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        struct str limit, value;
        struct allowance a;
        struct err err;
        if (!text_of(reply->element[i], &limit) || !text_of(reply->element[i + 1], &value) ||
            limit.len > ALLOWANCE_LIMIT_MAX_BYTES || !allowance_read(value, skew_us, &a))
            continue;
        str_copy_into(a.entity, sizeof a.entity, str_of_z(s->now.text));
        str_copy_into(a.limit, sizeof a.limit, limit);
        s->until_ms = MAX_OF(s->until_ms, end_ms(&a, skew_us));
        if (!allowance_set(s->table, &a, false, &err) && !s->said_full++)
            log_warning("what another node allows cannot be kept: %s", err.text);
    }
}

static void on_reply(struct redis_call *call, size_t n, const redisReply *reply)
{
    struct allowance_sync *s = call->arg;
    (void)n;
    if (reply->type == REDIS_REPLY_ERROR)
        s->has_errors = true;
    else if (s->asks == ASKS_INDEX && reply->type == REDIS_REPLY_ARRAY)
        on_index(s, reply);
    else if (s->asks == ASKS_HASH && reply->type == REDIS_REPLY_ARRAY)
        on_hash(s, reply);
}

static void next(struct allowance_sync *s);

static void on_done(struct redis_call *call, enum redis_result result)
{
    struct allowance_sync *s = call->arg;
    enum asks asked = s->asks;
    bool went_well = result == REDIS_DONE && !s->has_errors;
    s->asks = ASKS_NOTHING;
    redis_call_fini(call);
    if (asked == ASKS_INDEX && went_well && !s->is_amid)
        s->seen_us = s->reads_anew ? 0 : s->reading_us;
    if (!went_well && asked == ASKS_INDEX)
        return; /* with the next tick */
    if (!went_well)
        fail(s);
    else if (asked == ASKS_HASH)
        write_hash(s);
    else if (asked == ASKS_TO_WRITE)
        write_index(s);
    else if (asked == ASKS_TO_INDEX)
        for (size_t i = 0; i < s->untold_count; i++)
            allowance_is_told(s->table, &s->untold[i]);
    next(s);
}

/* ---- what is to be done next ---- */

/* All of them were asked for. */
static void end_reading(struct allowance_sync *s)
{
    if (s->reads_all)
        again_has_ended(&s->read_again);
    s->reads_all = false;
}

/* The next of those that the others have not heard of. False: there is none, or they have to wait. */
static bool tell_next(struct allowance_sync *s)
{
    struct allowance a;
    if (loop_now_ms(s->loop) < s->next_telling_ms)
        return false;
    if (allowance_untold_next(s->table, &s->untold_at, &a)) {
        ask_hash(s, a.entity, true);
        return true;
    }
    if (s->has_untellable)
        s->next_telling_ms = loop_now_ms(s->loop) + AGAIN_FIRST_MS;
    s->has_untellable = false;
    s->untold_at = 0;
    return false;
}

static void next(struct allowance_sync *s)
{
    bool has_more = true;
    while (s->asks == ASKS_NOTHING && has_more) {
        if (s->queued) {
            struct entity e = s->queue[--s->queued];
            ask_hash(s, e.text, false);
        } else if (s->is_amid) {
            ask_index(s);
            has_more = false;
        } else {
            end_reading(s);
            has_more = tell_next(s);
        }
    }
}

/* A server has come up: what it holds, or what failed while it was away, is to be read and told. */
static void note_ups(struct allowance_sync *s)
{
    unsigned ups = redis_ups(s->redis);
    if (ups != s->ups)
        s->next_whole_ms = s->next_telling_ms = 0;
    s->ups = ups;
}

static void begin_reading(struct allowance_sync *s)
{
    int64_t now_ms = loop_now_ms(s->loop);
    if (again_is_due(&s->read_again, now_ms) || now_ms >= s->next_whole_ms) {
        s->seen_us = 0;
        s->next_whole_ms = now_ms + WHOLE_MS;
    }
    ask_index(s);
}

void allowance_sync_turn(struct allowance_sync *s)
{
    timer_start(&s->tick, loop_now_ms(s->loop) + TICK_MS);
    if (s->asks != ASKS_NOTHING)
        return;
    note_ups(s);
    if (s->ticks++ % POLL_TICKS == 0 && !s->is_amid && s->queued == 0)
        begin_reading(s);
    next(s);
}

static void on_tick(void *arg)
{
    allowance_sync_turn(arg);
}

struct allowance_sync *allowance_sync_new(const struct allowance_sync_options *options, struct err *err)
{
    struct allowance_sync *s = calloc(1, sizeof *s);
    if (s)
        s->queue = calloc(INDEX_PAGE, sizeof *s->queue);
    if (!s || !s->queue) {
        free(s);
        err_no_memory(err);
        return NULL;
    }
    s->loop = options->loop;
    s->redis = options->redis;
    s->table = options->table;
    s->now_us = options->now_us;
    str_copy_into(s->prefix, sizeof s->prefix, options->prefix);
    timer_init(&s->tick, s->loop, on_tick, s);
    timer_start(&s->tick, loop_now_ms(s->loop) + TICK_MS);
    return s;
}

void allowance_sync_free(struct allowance_sync **s)
{
    if (!*s)
        return;
    timer_cancel(&(*s)->tick);
    redis_call_fini(&(*s)->call);
    free((*s)->queue);
    free(*s);
    *s = NULL;
}

void allowance_sync_again(struct allowance_sync *s)
{
    allowance_tell_again(s->table);
    s->seen_us = 0;
    s->is_amid = false;
    s->reads_anew = true;
}
