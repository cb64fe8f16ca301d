/* flow.h - calls that follow one another without end, each as soon as the one before it has ended, and what became of
 * them. Include redis_test.h before. */
#ifndef TEST_FLOW_H
#define TEST_FLOW_H

struct flow {
    struct redis *redis;
    const char *key;
    struct redis_call call;
    struct task again;
    struct timer pause; /* a call was refused: a little later */
    unsigned done, errors, lost, unsent, refused;
    long long count; /* the number at the key, as it was told last */
    bool counts_on;  /* each INCR has added one, nobody else did, and GET has seen it */
    char error[128]; /* the last one */
};

static inline void flow_send(void *arg);

static inline void on_flow_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct flow *f = c->arg;
    if (reply->type == REDIS_REPLY_ERROR) {
        f->errors++;
        snprintf(f->error, sizeof f->error, "%s", reply->str);
    } else if (n == 0) {
        f->counts_on = f->counts_on && reply->integer == f->count + 1;
        f->count = reply->integer;
    } else {
        f->counts_on = f->counts_on && reply->type == REDIS_REPLY_STRING && atoll(reply->str) == f->count;
    }
}

static inline void on_flow_done(struct redis_call *c, enum redis_result result)
{
    struct flow *f = c->arg;
    f->done += result == REDIS_DONE;
    f->lost += result == REDIS_LOST;
    f->unsent += result == REDIS_UNSENT;
    task_defer(&loop, &f->again);
}

static inline void flow_send(void *arg)
{
    struct flow *f = arg;
    struct str key = str_of_z(f->key);
    const struct str incr[] = {{"INCR", 4}, key}, get[] = {{"GET", 3}, key};
    redis_call_fini(&f->call);
    redis_call_init(&f->call, on_flow_reply, on_flow_done, f);
    assert_true(redis_call_add(&f->call, incr, 2) && redis_call_add(&f->call, get, 2));
    if (redis_send(f->redis, key, &f->call))
        return;
    f->refused++;
    timer_start(&f->pause, loop_now_ms(&loop) + 5);
}

static inline void flow_start(struct flow *f, struct redis *r, const char *key)
{
    *f = (struct flow){.redis = r, .key = key, .counts_on = true};
    redis_call_init(&f->call, on_flow_reply, on_flow_done, f);
    task_init(&f->again, flow_send, f);
    timer_init(&f->pause, &loop, flow_send, f);
    flow_send(f);
}

/* After redis_free. */
static inline void flow_end(struct flow *f)
{
    task_cancel(&f->again);
    timer_cancel(&f->pause);
    redis_call_fini(&f->call);
}

#endif
