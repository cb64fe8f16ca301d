/* table_redis.c - tables that lie in Redis. See table_redis.h. */
#include "lookup/table_redis.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { SAY_AGAIN_MS = 600000 };

struct one_table {
    struct table_redis *all;
    const struct table_redis_options *options;
    struct inquiries *inquiries;
    int64_t said_ms; /* 0: never */
};

/* The state of an inquiry. */
struct question {
    struct one_table *table;
    struct inquiry *inquiry;
    struct redis_call call;
    struct timer late; /* whoever asked it has given it up */
    struct buf answer; /* empty: there is none */
};

struct table_redis {
    struct loop *loop;
    struct redis *redis;
    size_t count;
    struct one_table tables[];
};

/* ---- what is wrong ---- */

static void say(struct one_table *table, struct str what)
{
    int64_t now_ms = loop_now_ms(table->all->loop);
    const struct table_redis_options *o = table->options;
    if (table->said_ms && now_ms - table->said_ms < SAY_AGAIN_MS)
        return;
    table->said_ms = now_ms;
    if (str_starts(what, STR("WRONGTYPE")))
        log_error("table \"%s\": the key \"%s\" in Redis holds no %s, which a table of this type must be", o->name,
                  o->key, o->is_map ? "hash" : "set");
    else if (str_starts(what, STR("NOPERM")))
        log_error("table \"%s\": Redis does not let mailweir read the key \"%s\": its user needs ~%s, and +%s", o->name,
                  o->key, o->key, o->is_map ? "hmget" : "smismember");
    else
        log_warning("table \"%s\": Redis answers \"" PRI_STR "\"", o->name, STR_ARG(str_sub(what, 0, 200)));
}

/* ---- a question ---- */

static bool is_there(const redisReply *one, bool is_map)
{
    return is_map ? one->type == REDIS_REPLY_STRING : one->type == REDIS_REPLY_INTEGER && one->integer == 1;
}

static bool is_well_formed(const redisReply *one, bool is_map)
{
    return is_map ? one->type == REDIS_REPLY_STRING || one->type == REDIS_REPLY_NIL : one->type == REDIS_REPLY_INTEGER;
}

/* The first form that is there. False: this is no answer. */
static bool read_reply(struct question *q, const redisReply *reply)
{
    bool is_map = q->table->options->is_map;
    if (reply->type != REDIS_REPLY_ARRAY)
        return false;
    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *one = reply->element[i];
        if (!is_well_formed(one, is_map))
            return false;
        if (is_there(one, is_map))
            return remote_answer_write(&q->answer, REMOTE_FOUND, is_map ? str_of(one->str, one->len) : STR(""));
    }
    return remote_answer_write(&q->answer, REMOTE_NOT_FOUND, STR(""));
}

static void on_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct question *q = c->arg;
    (void)n;
    if (read_reply(q, reply))
        return;
    buf_clear(&q->answer);
    say(q->table, reply->type == REDIS_REPLY_ERROR ? str_of(reply->str, reply->len) : STR("something else"));
}

static void let_go(struct question *q)
{
    timer_cancel(&q->late);
    redis_call_fini(&q->call);
    buf_fini(&q->answer);
}

static void end(struct question *q)
{
    struct buf answer = q->answer;
    int64_t keep_ms = q->table->options->cache_ms;
    buf_init(&q->answer, 1); /* it is taken */
    let_go(q);
    remote_answer(q->inquiry, &answer, keep_ms);
    buf_fini(&answer);
}

static void on_done(struct redis_call *c, enum redis_result result)
{
    struct question *q = c->arg;
    if (result != REDIS_DONE)
        buf_clear(&q->answer);
    end(q);
}

static void on_late(void *arg)
{
    struct question *q = arg;
    redis_call_is_late(q->table->all->redis, &q->call);
}

static bool compose(struct question *q)
{
    const struct table_redis_options *o = q->table->options;
    struct str words[2 + TABLE_REDIS_FORMS_MAX] = {o->is_map ? STR("HMGET") : STR("SMISMEMBER"), str_of_z(o->key)};
    size_t count = 2;
    for (struct str rest = inquiry_key(q->inquiry); rest.ptr && count < COUNT_OF(words);)
        words[count++] = str_split(rest, '\n', &rest);
    return redis_call_add(&q->call, words, count);
}

static void ask(void *arg, struct inquiry *inquiry)
{
    struct one_table *table = arg;
    struct question *q = inquiry_state(inquiry);
    struct loop *l = table->all->loop;
    q->table = table;
    q->inquiry = inquiry;
    buf_init(&q->answer, 1 + REMOTE_VALUE_MAX_BYTES);
    timer_init(&q->late, l, on_late, q);
    redis_call_init(&q->call, on_reply, on_done, q);
    q->call.may_be_denied = true;
    if (!compose(q) || !redis_send(table->all->redis, str_of_z(table->options->key), &q->call)) {
        end(q);
        return;
    }
    timer_start(&q->late, loop_now_ms(l) + table->options->timeout_ms);
}

static void drop(void *arg, struct inquiry *inquiry)
{
    struct question *q = inquiry_state(inquiry);
    (void)arg;
    q->call.is_under_way = false; /* it went with the client */
    let_go(q);
}

/* ---- life ---- */

struct table_redis *table_redis_new(struct loop *l, struct redis *redis, const struct table_redis_options *tables,
                                    size_t count, struct err *err)
{
    struct table_redis *t = calloc(1, sizeof *t + count * sizeof t->tables[0]);
    if (!t) {
        err_no_memory(err);
        return NULL;
    }
    t->loop = l;
    t->redis = redis;
    for (size_t i = 0; i < count; i++) {
        struct one_table *table = &t->tables[i];
        table->all = t;
        table->options = &tables[i];
        table->inquiries = remote_inquiries_new(l, sizeof(struct question), ask, drop, table, err);
        if (!table->inquiries) {
            table_redis_free(&t);
            return NULL;
        }
        t->count++;
    }
    return t;
}

void table_redis_free(struct table_redis **tables)
{
    struct table_redis *t = *tables;
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        inquiries_free(&t->tables[i].inquiries);
    free(t);
    *tables = NULL;
}

/* ---- waiting ---- */

static bool can_be_asked(struct str forms)
{
    size_t count = 1;
    for (size_t i = 0; i < forms.len; i++) {
        count += forms.ptr[i] == '\n';
        if (((unsigned char)forms.ptr[i] < 0x20 && forms.ptr[i] != '\n') || forms.ptr[i] == 0x7f)
            return false;
    }
    return forms.len > 0 && forms.len <= TABLE_REDIS_FORMS_MAX_BYTES && count <= TABLE_REDIS_FORMS_MAX;
}

enum started table_redis_start(struct remote_query *q, struct table_redis *t, unsigned table, struct str forms,
                               int64_t deadline_ms, void (*done)(void *arg), void *arg)
{
    struct one_table *one = &t->tables[table];
    remote_query_init(q, done, arg);
    if (!can_be_asked(forms))
        return DONE;
    deadline_ms = MIN_OF(deadline_ms, loop_now_ms(t->loop) + one->options->timeout_ms);
    if (remote_start(q, one->inquiries, forms, deadline_ms) == DONE)
        return DONE;
    if (redis_is_up(t->redis, str_of_z(one->options->key)))
        return STARTED;
    remote_cancel(q); /* somebody asked before Redis went away: nobody else waits for that */
    q->result = REMOTE_FAILED;
    return DONE;
}
