/* redis_test.h - a loop, waiting for something to happen in it, calls that remember what they were told, and the events
 * that were written. */
#ifndef TEST_REDIS_TEST_H
#define TEST_REDIS_TEST_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/loop.h"
#include "redis/redis_inside.h"
#include "slowness.h"
#include "stats/event.h"

static struct loop loop;

/* Turns of the loop until the condition holds; so long at most, as fast as programs usually are. */
#define RUN_FOR_UNTIL(ms, condition)                                                                                   \
    do {                                                                                                               \
        for (int64_t until_ = clock_monotonic_ms() + (ms) * (int64_t)tests_slowness();                                 \
             !(condition) && clock_monotonic_ms() < until_;)                                                           \
            loop_run_once(&loop, 20);                                                                                  \
        assert_true(condition);                                                                                        \
    } while (0)
#define RUN_UNTIL(condition) RUN_FOR_UNTIL(5000, condition)

/* ---- calls ---- */

struct asked {
    struct redis_call call;
    char replies[512]; /* as texts: "PONG 1 nil [a b] (ERR …)" */
    unsigned reply_count, done_count;
    enum redis_result result;
};

static inline void add_text(struct asked *a, const redisReply *reply)
{
    size_t len = strlen(a->replies), room = sizeof a->replies - len;
    const char *gap = len && a->replies[len - 1] != '[' ? " " : "";
    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
        snprintf(a->replies + len, room, "%s%lld", gap, reply->integer);
        return;
    case REDIS_REPLY_NIL:
        snprintf(a->replies + len, room, "%snil", gap);
        return;
    case REDIS_REPLY_ARRAY:
        snprintf(a->replies + len, room, "%s[", gap);
        for (size_t i = 0; i < reply->elements; i++)
            add_text(a, reply->element[i]);
        len = strlen(a->replies);
        snprintf(a->replies + len, sizeof a->replies - len, "]");
        return;
    default:
        snprintf(a->replies + len, room, reply->type == REDIS_REPLY_ERROR ? "%s(%s)" : "%s%s", gap, reply->str);
        return;
    }
}

static inline void on_asked_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct asked *a = c->arg;
    assert_int_equal(n, a->reply_count);
    assert_int_equal(a->done_count, 0);
    a->reply_count++;
    add_text(a, reply);
}

static inline void on_asked_done(struct redis_call *c, enum redis_result result)
{
    struct asked *a = c->arg;
    a->done_count++;
    a->result = result;
    assert_false(c->is_under_way);
}

/* Commands separated by " ; ", words by a space. */
static inline void asked_init(struct asked *a, const char *commands)
{
    struct str words[80], rest = str_of_z(commands);
    *a = (struct asked){.replies = ""};
    redis_call_init(&a->call, on_asked_reply, on_asked_done, a);
    for (size_t count = 0; rest.ptr;) {
        struct str word = str_split(rest, ' ', &rest);
        if (!str_equal(word, STR(";")))
            words[count++] = word;
        if (str_equal(word, STR(";")) || !rest.ptr) {
            assert_true(redis_call_add(&a->call, words, count));
            count = 0;
        }
    }
}

static inline void asked_fini(struct asked *a)
{
    redis_call_fini(&a->call);
}

#define EXPECT_DONE(a, text)                                                                                           \
    do {                                                                                                               \
        RUN_UNTIL((a)->done_count);                                                                                    \
        assert_int_equal((a)->done_count, 1);                                                                          \
        assert_int_equal((a)->result, REDIS_DONE);                                                                     \
        assert_string_equal((a)->replies, text);                                                                       \
    } while (0)

/* ---- events ---- */

static struct event_log events;
static int event_fds[2];
static char said[16384]; /* the lines so far */

static inline void events_init(void)
{
    assert_int_equal(pipe2(event_fds, O_NONBLOCK | O_CLOEXEC), 0);
    event_log_init(&events, event_fds[1], "mx1", NULL);
    said[0] = '\0';
}

static inline void events_fini(void)
{
    event_log_fini(&events);
    close(event_fds[0]);
    close(event_fds[1]);
}

static inline const char *what_was_said(void)
{
    size_t len = strlen(said);
    ssize_t n = read(event_fds[0], said + len, sizeof said - 1 - len);
    said[len + (n > 0 ? (size_t)n : 0)] = '\0';
    return said;
}

static inline unsigned times_said(const char *text)
{
    unsigned count = 0;
    for (const char *at = what_was_said(); (at = strstr(at, text)); at++)
        count++;
    return count;
}

/* ---- a test's own: the loop, the events, a client ---- */

static inline void stage_begin(void)
{
    struct err err;
    assert_true(loop_init(&loop, &err));
    events_init();
}

static inline void stage_end(void)
{
    events_fini();
    assert_true(list_is_empty(&loop.tasks));
    loop_fini(&loop);
}

static inline struct redis *client_open(const struct redis_options *options)
{
    struct err err;
    struct redis *r = redis_new(&loop, options, 200 * tests_slowness(), NULL, &events, &err);
    assert_non_null(r);
    return r;
}

#endif
