/*
 * ban_sync.c - bans travel. See ban_sync.h.
 *
 * One errand an entity: it asks Redis what is known there, merges that with the table, and where the table knows more,
 * or Redis nothing, writes it and puts the entity into the index.
 *
 *   READING   GET mw1:b:{E}  GET mw1:k:{E} ─▶ table          LISTING  ZSCORE mw1:bans E     (nothing to write)
 *   WRITING   SET mw1:b:{E}  SET mw1:k:{E}                   INDEXING ZADD mw1:bans NOW E   (written, or not in it)
 *
 * Errands are begun by the walk over what changed in the table, and by the reading of the index; there is a bounded
 * number of them, and both wait for a free one. What fails is not remembered by name, and holds nobody up: the walk, or
 * the reading, goes on to its end, and a while later all of the table, or of the index, is gone through anew (again.h).
 */
#include "limits/ban_sync.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "limits/again.h"
#include "limits/ban_text.h"
#include "limits/index_pages.h"
#include "limits/redis_keys.h"

enum {
    TURN_MS = 250,
    POLL_MS = 500,
    WHOLE_MS = 600000, /* between two readings of the whole index */
    CLOCK_MS = 15000,  /* within so much all nodes know that Redis' clock was set: they read it every 10 s */
    RETRY_MS = 2000,
    ERRANDS = 64,
    RECENT = 1024
};

#define SECOND_US INT64_C(1000000)
/* Members are put in within so much of the moment that their score says, or once more; so the index is read from so
 * long before it was read last. */
#define INDEX_SLACK_US (1 * SECOND_US)
#define OVERLAP_US     (3 * SECOND_US)
/* The index outlives every ban. */
#define INDEX_LASTS_US (BAN_LASTS_MAX_US + 2 * BAN_STRIKES_S * SECOND_US)
/* Whose keys are gone is taken out of the index, but not while they may still be on their way. */
#define STALE_US (60 * SECOND_US)

enum stage { IDLE, READING, WRITING, LISTING, INDEXING, REMOVING };

struct errand {
    struct ban_sync *sync;
    enum stage stage;
    bool is_of_walk; /* else of a reading of the index */
    bool has_failed;
    bool has_ban, has_strikes; /* in Redis */
    bool is_listed;
    int64_t score_us;
    struct redis_call call;
    struct ban_record read;
    char entity[BAN_ENTITY_MAX_BYTES + 1];
};

struct member {
    int64_t score_us;
    char entity[BAN_ENTITY_MAX_BYTES + 1];
};

struct ban_sync {
    struct ban_sync_options options;
    struct timer turn;
    struct errand errands[ERRANDS];
    size_t errands_of_walk, errands_of_reading;

    /* The walk over the table. */
    struct ban_cursor cursor;
    bool is_walking, is_of_all; /* over the whole table */
    struct again walk_again;

    /* The reading of the index. */
    struct redis_call poll;
    bool is_polling, has_poll_failed;
    bool is_reading, is_whole; /* some pages; from the very beginning */
    struct member *page;       /* INDEX_PAGE */
    size_t page_count, page_at;
    struct index_pages pages;
    int64_t begun_us, last_us; /* on Redis' clock: this reading, and the last one that came to its end */
    int64_t begun_ms, last_ms; /* likewise, on the loop's */
    bool was_set;              /* Redis' clock, between them */
    int64_t next_poll_ms, next_whole_ms;
    struct again read_again; /* the whole of it */
    unsigned ups;            /* of all shards */
    uint64_t recent[RECENT]; /* entity and score of what was read lately, hashed */
    struct ban_sync_stats stats;
};

static int64_t now_ms(const struct ban_sync *s)
{
    return loop_now_ms(s->options.loop);
}

static int64_t now_us(const struct ban_sync *s)
{
    return s->options.now_us ? s->options.now_us(s->options.loop) : clock_steady_us();
}

static struct str index_key(const struct ban_sync *s, char to[REDIS_KEY_MAX_BYTES])
{
    int len = snprintf(to, REDIS_KEY_MAX_BYTES, PRI_STR "bans", STR_ARG(s->options.prefix));
    return str_of(to, (size_t)len);
}

/* On the clock that scores are on. */
static int64_t index_now_us(const struct ban_sync *s)
{
    char key[REDIS_KEY_MAX_BYTES];
    return redis_now_us(s->options.redis, index_key(s, key));
}

static struct str entity_key(const struct errand *e, char letter, char to[REDIS_KEY_MAX_BYTES])
{
    return redis_key_of_entity(e->sync->options.prefix, letter, str_of_z(e->entity), STR(""), to, REDIS_KEY_MAX_BYTES);
}

/* By how much the clock of the key's shard is ahead of ours. */
static int64_t ahead_us(const struct ban_sync *s, struct str key)
{
    return redis_now_us(s->options.redis, key) - now_us(s);
}

static bool add(struct redis_call *c, const char *command, struct str key, struct str a, struct str b, struct str e)
{
    struct str words[] = {str_of_z(command), key, a, b, e};
    size_t count = 2;
    while (count < COUNT_OF(words) && words[count].ptr)
        count++;
    return redis_call_add(c, words, count);
}

/* ---- an errand ---- */

static void go_on(struct ban_sync *s);

static void finish(struct errand *e, bool is_fine)
{
    struct ban_sync *s = e->sync;
    e->stage = IDLE;
    s->errands_of_walk -= e->is_of_walk;
    s->errands_of_reading -= !e->is_of_walk;
    if (!is_fine) {
        s->stats.failed++;
        again_is_wanted(e->is_of_walk ? &s->walk_again : &s->read_again, now_ms(s));
    }
}

/* Sends what was composed; key: whose shard. */
static void send_errand(struct errand *e, enum stage stage, struct str key, bool fits)
{
    e->stage = stage;
    e->has_failed = false;
    if (fits && redis_send(e->sync->options.redis, key, &e->call))
        return;
    redis_call_fini(&e->call);
    redis_call_init(&e->call, e->call.on_reply, e->call.on_done, e);
    finish(e, false);
}

static void start_reading(struct errand *e)
{
    char ban[REDIS_KEY_MAX_BYTES], strikes[REDIS_KEY_MAX_BYTES];
    struct str key = entity_key(e, 'b', ban);
    e->has_ban = e->has_strikes = false;
    bool fits = add(&e->call, "GET", key, STR_NONE, STR_NONE, STR_NONE) &&
                add(&e->call, "GET", entity_key(e, 'k', strikes), STR_NONE, STR_NONE, STR_NONE);
    send_errand(e, READING, key, fits);
}

/* The ban while it lasts; its strikes a week longer; that it was lifted, for a week. */
static void start_writing(struct errand *e, const struct ban_record *record)
{
    struct ban_sync *s = e->sync;
    char ban[REDIS_KEY_MAX_BYTES], strikes[REDIS_KEY_MAX_BYTES], count[BAN_STRIKES_MAX_BYTES];
    char until[STR_OF_U64_MAX], forgotten[STR_OF_U64_MAX];
    struct str key = entity_key(e, 'b', ban), strikes_key = entity_key(e, 'k', strikes);
    int64_t ahead = ahead_us(s, key);
    bool is_lifted = record->ban.strikes == 0;
    int64_t ends_us = is_lifted ? record->lifted_us + BAN_STRIKES_S * SECOND_US : record->ban.until_us;
    struct str pxat = str_of_u64(until, (uint64_t)MAX_OF(ends_us + ahead, 0) / 1000);
    struct str week = str_of_u64(forgotten, (uint64_t)MAX_OF(ends_us + ahead + BAN_STRIKES_S * SECOND_US, 0) / 1000);
    struct buf text;
    buf_init(&text, BAN_TEXT_MAX_BYTES);
    bool fits = ban_text_write(&text, record, ahead, s->options.node_name);
    struct str set[] = {STR("SET"), key, buf_str(&text), STR("PXAT"), pxat};
    struct str remember[] = {STR("SET"), strikes_key, ban_strikes_write(record, ahead, count), STR("PXAT"), week};
    if (ends_us > now_us(s))
        fits = fits && redis_call_add(&e->call, set, COUNT_OF(set));
    if (is_lifted)
        fits = fits && add(&e->call, "DEL", strikes_key, STR_NONE, STR_NONE, STR_NONE);
    else
        fits = fits && redis_call_add(&e->call, remember, COUNT_OF(remember));
    send_errand(e, WRITING, key, fits);
    buf_fini(&text);
}

static void start_listing(struct errand *e)
{
    char key[REDIS_KEY_MAX_BYTES];
    struct str index = index_key(e->sync, key);
    e->is_listed = false;
    send_errand(e, LISTING, index, add(&e->call, "ZSCORE", index, str_of_z(e->entity), STR_NONE, STR_NONE));
}

static void start_indexing(struct errand *e)
{
    struct ban_sync *s = e->sync;
    char key[REDIS_KEY_MAX_BYTES], score[STR_OF_U64_MAX], until[STR_OF_U64_MAX];
    struct str index = index_key(s, key);
    e->score_us = redis_now_us(s->options.redis, index);
    struct str ends = str_of_u64(until, (uint64_t)(e->score_us + INDEX_LASTS_US) / 1000);
    bool fits = add(&e->call, "ZADD", index, str_of_u64(score, (uint64_t)e->score_us), str_of_z(e->entity), STR_NONE) &&
                add(&e->call, "PEXPIREAT", index, ends, STR_NONE, STR_NONE);
    send_errand(e, INDEXING, index, fits);
}

static void start_removing(struct errand *e)
{
    char key[REDIS_KEY_MAX_BYTES];
    struct str index = index_key(e->sync, key);
    send_errand(e, REMOVING, index, add(&e->call, "ZREM", index, str_of_z(e->entity), STR_NONE, STR_NONE));
}

static bool is_worth_telling(const struct ban_record *record, int64_t at_us)
{
    int64_t last_us = MAX_OF(record->ban.until_us, record->lifted_us);
    return last_us + BAN_STRIKES_S * SECOND_US > at_us;
}

/* Put into the index while Redis' clock was another one, and ahead: readings begin before it, until it has its place.
 */
static bool is_ahead(const struct errand *e)
{
    return e->score_us - index_now_us(e->sync) > OVERLAP_US;
}

/* Redis' word is here: both sides shall know what either knows. */
static void merge(struct errand *e)
{
    struct ban_sync *s = e->sync;
    struct ban_record record;
    bool is_read = e->has_ban || e->has_strikes;
    bool is_known = ban_record_find(s->options.bans, str_of_z(e->entity), &record);
    if (is_read && (!is_known || ban_record_says_more(&e->read, &record))) {
        if (!ban_record_put(s->options.bans, &e->read, now_us(s))) {
            finish(e, false);
            return;
        }
        s->stats.received++;
        is_known = ban_record_find(s->options.bans, str_of_z(e->entity), &record);
    }
    if (is_known && is_worth_telling(&record, now_us(s)) && (!is_read || ban_record_says_more(&record, &e->read)))
        start_writing(e, &record);
    else if (is_read && e->is_of_walk)
        start_listing(e);
    else if (is_read && is_ahead(e))
        start_indexing(e);
    else if (!is_read && !e->is_of_walk && index_now_us(s) - e->score_us > STALE_US)
        start_removing(e);
    else
        finish(e, true);
}

static void read_reply(struct errand *e, size_t n, const redisReply *reply)
{
    struct ban_sync *s = e->sync;
    char key[REDIS_KEY_MAX_BYTES];
    struct str text = str_of(reply->str, reply->len), entity = str_of_z(e->entity);
    int64_t ahead = ahead_us(s, entity_key(e, 'b', key)), now = now_us(s);
    if (reply->type != REDIS_REPLY_STRING)
        return;
    /* What is no ban is as if it were not there, and is overwritten where there is something to say. */
    if (n == 0)
        e->has_ban = ban_text_read(text, entity, ahead, now, &e->read);
    else if (!e->has_ban)
        e->has_strikes = ban_strikes_read(text, entity, ahead, now, &e->read);
}

static void on_errand_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct errand *e = c->arg;
    bool is_error = reply->type == REDIS_REPLY_ERROR;
    /* A key of another type is no ban, and SET does not mind what it writes over. */
    if (is_error && e->stage == READING && str_starts(str_of(reply->str, reply->len), STR("WRONGTYPE ")))
        return;
    if (is_error)
        e->has_failed = true;
    else if (e->stage == READING)
        read_reply(e, n, reply);
    else if (e->stage == LISTING)
        e->is_listed = reply->type == REDIS_REPLY_STRING;
}

/* The index says when it changed; who was long on the way may be passed over. */
static bool is_in_time(const struct errand *e)
{
    return index_now_us(e->sync) - e->score_us < INDEX_SLACK_US;
}

static void on_errand_done(struct redis_call *c, enum redis_result result)
{
    struct errand *e = c->arg;
    struct ban_sync *s = e->sync;
    redis_call_fini(c);
    redis_call_init(c, on_errand_reply, on_errand_done, e);
    if (result != REDIS_DONE || e->has_failed)
        finish(e, false);
    else if (e->stage == READING)
        merge(e);
    else if (e->stage == WRITING || (e->stage == LISTING && !e->is_listed) || (e->stage == INDEXING && !is_in_time(e)))
        start_indexing(e);
    else {
        s->stats.sent += e->stage == INDEXING;
        finish(e, true);
    }
    go_on(s);
}

static struct errand *find_idle(struct ban_sync *s)
{
    for (size_t i = 0; i < ERRANDS; i++)
        if (s->errands[i].stage == IDLE)
            return &s->errands[i];
    return NULL;
}

static void begin_errand(struct errand *e, bool is_of_walk, const char *entity, int64_t score_us)
{
    e->is_of_walk = is_of_walk;
    e->score_us = score_us;
    str_copy_into(e->entity, sizeof e->entity, str_of_z(entity));
    e->sync->errands_of_walk += is_of_walk;
    e->sync->errands_of_reading += !is_of_walk;
    start_reading(e);
}

/* ---- the walk over the table ---- */

static void walk(struct ban_sync *s)
{
    struct ban_record record;
    struct errand *e;
    while (s->is_walking && (e = find_idle(s))) {
        if (!ban_change_next(s->options.bans, &s->cursor, &record))
            s->is_walking = false;
        else if (is_worth_telling(&record, now_us(s)))
            begin_errand(e, true, record.ban.entity, 0);
    }
    if (s->is_walking || s->errands_of_walk || !s->is_of_all)
        return;
    s->is_of_all = false;
    again_has_ended(&s->walk_again);
}

static void begin_walk(struct ban_sync *s)
{
    if (s->is_walking || s->errands_of_walk)
        return;
    if (again_is_due(&s->walk_again, now_ms(s))) {
        s->cursor = (struct ban_cursor){0};
        s->is_of_all = true;
    }
    if (!ban_has_changes(s->options.bans, &s->cursor))
        return;
    s->is_walking = true;
    walk(s);
}

/* ---- the reading of the index ---- */

static uint64_t recent_of(const struct member *m)
{
    return hash64(hash_process_key(), str_of_z(m->entity)) ^ (uint64_t)m->score_us;
}

static bool is_recent(const struct ban_sync *s, const struct member *m)
{
    uint64_t h = recent_of(m);
    return s->recent[h % RECENT] == h;
}

static void poll_next_page(struct ban_sync *s)
{
    char key[REDIS_KEY_MAX_BYTES];
    struct str index = index_key(s, key);
    s->page_count = s->page_at = 0;
    s->is_polling = index_pages_ask(&s->pages, index, &s->poll) && redis_send(s->options.redis, index, &s->poll);
    if (s->is_polling)
        return;
    redis_call_fini(&s->poll);
    redis_call_init(&s->poll, s->poll.on_reply, s->poll.on_done, s);
    s->is_reading = false;
    s->has_poll_failed = true;
}

static void on_poll_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct ban_sync *s = c->arg;
    (void)n;
    if (reply->type != REDIS_REPLY_ARRAY) {
        s->has_poll_failed = true;
        return;
    }
    for (size_t i = 0; i + 1 < reply->elements && s->page_count < INDEX_PAGE; i += 2) {
        const redisReply *entity = reply->element[i], *score = reply->element[i + 1];
        struct member *m = &s->page[s->page_count];
        if (entity->type != REDIS_REPLY_STRING || score->type != REDIS_REPLY_STRING)
            continue;
        struct str name = str_of(entity->str, entity->len);
        if (!ban_entity_is_valid(name))
            name = STR(""); /* passed over, but counted: the next page begins behind it */
        m->score_us = index_pages_score(score);
        str_copy_into(m->entity, sizeof m->entity, name);
        s->page_count++;
    }
}

static void on_poll_done(struct redis_call *c, enum redis_result result)
{
    struct ban_sync *s = c->arg;
    s->is_polling = false;
    redis_call_fini(c);
    redis_call_init(c, on_poll_reply, on_poll_done, s);
    s->has_poll_failed |= result != REDIS_DONE;
    go_on(s);
}

static void end_reading(struct ban_sync *s)
{
    s->is_reading = false;
    s->next_poll_ms = now_ms(s) + (s->has_poll_failed ? RETRY_MS : POLL_MS);
    if (s->has_poll_failed)
        return;
    s->last_us = s->begun_us;
    s->last_ms = s->begun_ms;
    if (!s->is_whole)
        return;
    s->next_whole_ms = now_ms(s) + (s->was_set ? CLOCK_MS : WHOLE_MS);
    s->was_set = false;
    again_has_ended(&s->read_again);
}

/* Asks for the members of the page at hand, as many as there are errands for; then for the next page. */
static void read_page(struct ban_sync *s)
{
    struct errand *e;
    while (s->is_reading && !s->is_polling && s->page_at < s->page_count && (e = find_idle(s))) {
        const struct member *m = &s->page[s->page_at++];
        uint64_t h = recent_of(m);
        bool is_new = s->is_whole || !is_recent(s, m);
        s->recent[h % RECENT] = h;
        if (is_new && m->entity[0])
            begin_errand(e, false, m->entity, m->score_us);
    }
    if (!s->is_reading || s->is_polling || s->errands_of_reading || s->page_at < s->page_count)
        return;
    if (s->page_count < INDEX_PAGE || s->has_poll_failed) {
        end_reading(s);
    } else {
        index_pages_turn(&s->pages, s->page[s->page_count - 1].score_us);
        poll_next_page(s);
    }
}

/* Scores are of two clocks until all nodes have read it anew: so the index is read as a whole, now and then. */
static bool clock_was_set(const struct ban_sync *s)
{
    int64_t by_us = (s->begun_us - s->last_us) - (s->begun_ms - s->last_ms) * 1000;
    return s->last_us && (by_us > OVERLAP_US || by_us < -OVERLAP_US);
}

static void begin_reading(struct ban_sync *s)
{
    unsigned ups = redis_ups(s->options.redis);
    if (s->is_reading || s->errands_of_reading || now_ms(s) < s->next_poll_ms)
        return;
    if (ups != s->ups) { /* what came up holds what was not read yet, or not written */
        s->next_whole_ms = now_ms(s);
        again_now(&s->walk_again);
        again_now(&s->read_again);
    }
    s->ups = ups;
    s->begun_us = index_now_us(s);
    s->begun_ms = now_ms(s);
    s->was_set |= clock_was_set(s);
    bool is_due = again_is_due(&s->read_again, now_ms(s)) || now_ms(s) >= s->next_whole_ms;
    s->is_whole = is_due || s->was_set || (s->has_poll_failed && s->is_whole);
    s->has_poll_failed = false;
    s->is_reading = true;
    index_pages_begin(&s->pages, s->is_whole ? 0 : s->last_us - OVERLAP_US);
    poll_next_page(s);
}

/* ---- the turn ---- */

static void go_on(struct ban_sync *s)
{
    read_page(s);
    walk(s);
}

void ban_sync_turn(struct ban_sync *s)
{
    char key[REDIS_KEY_MAX_BYTES];
    timer_start(&s->turn, now_ms(s) + TURN_MS);
    if (!redis_is_up(s->options.redis, index_key(s, key)))
        return; /* bans are made and hold all the same */
    begin_reading(s);
    begin_walk(s);
}

static void on_turn(void *arg)
{
    ban_sync_turn(arg);
}

struct ban_sync *ban_sync_new(const struct ban_sync_options *options, struct err *err)
{
    struct ban_sync *s = calloc(1, sizeof *s);
    struct member *page = calloc(INDEX_PAGE, sizeof *page);
    if (!s || !page) {
        free(s);
        free(page);
        err_no_memory(err);
        return NULL;
    }
    s->options = *options;
    s->page = page;
    timer_init(&s->turn, options->loop, on_turn, s);
    redis_call_init(&s->poll, on_poll_reply, on_poll_done, s);
    for (size_t i = 0; i < ERRANDS; i++) {
        s->errands[i].sync = s;
        redis_call_init(&s->errands[i].call, on_errand_reply, on_errand_done, &s->errands[i]);
    }
    timer_start(&s->turn, now_ms(s));
    return s;
}

void ban_sync_free(struct ban_sync **sp)
{
    struct ban_sync *s = *sp;
    if (!s)
        return;
    timer_cancel(&s->turn);
    redis_call_fini(&s->poll);
    for (size_t i = 0; i < ERRANDS; i++)
        redis_call_fini(&s->errands[i].call);
    free(s->page);
    free(s);
    *sp = NULL;
}

void ban_sync_rest(struct ban_sync *s)
{
    timer_cancel(&s->turn);
}

void ban_sync_again(struct ban_sync *s)
{
    s->cursor = (struct ban_cursor){0};
    s->next_whole_ms = 0;
}

void ban_sync_stats_get(const struct ban_sync *s, struct ban_sync_stats *stats)
{
    *stats = s->stats;
}
