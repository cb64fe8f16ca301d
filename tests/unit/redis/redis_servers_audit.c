/*
 * redis_servers_audit.c - what no test may leave behind: a key without expiry (LIMITS.md, "Keys").
 *
 *   each member that runs ─ INFO ─▶ a master? ─▶ its databases ─ SCAN ─▶ names ─ PTTL ─▶ -1 is a finding
 *
 * It believes nobody, and so asks for all keys whatever their prefix, beside `mailweir store audit` (limits/audit.h),
 * which the folders above limits/ do not know.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "redis_servers.h"

#include <fnmatch.h>

#include "slowness.h"

enum { DATABASES_MAX = 16 };

struct look {
    const struct redis_servers *servers;
    size_t member;
    redisContext *redis;
    struct redis_finding *finding;
};

static void find(const struct look *l, const char *what, const char *key)
{
    if (l->finding->count++ == 0)
        snprintf(l->finding->text, sizeof l->finding->text, "Redis server %zu: %s %.200s", l->member, what, key);
}

/* NULL, and a finding: no answer, or an error. */
static redisReply *reply_or_find(const struct look *l, redisReply *reply, const char *command)
{
    if (reply && reply->type != REDIS_REPLY_ERROR)
        return reply;
    find(l, command, reply ? reply->str : l->redis->errstr);
    if (reply)
        freeReplyObject(reply);
    return NULL;
}

static redisReply *ask(const struct look *l, const char *format, ...) PRINTF_LIKE(2, 3);
static redisReply *ask(const struct look *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = redisvCommand(l->redis, format, args);
    va_end(args);
    return reply_or_find(l, reply, format);
}

static bool may_stay(const struct look *l, const char *key)
{
    for (const char *const *pattern = l->servers->stays; pattern && *pattern; pattern++)
        if (fnmatch(*pattern, key, 0) == 0)
            return true;
    return false;
}

/* All in one write: some tests leave thousands. */
static void look_at_keys(const struct look *l, const redisReply *names)
{
    for (size_t i = 0; i < names->elements; i++)
        redisAppendCommand(l->redis, "PTTL %b", names->element[i]->str, (size_t)names->element[i]->len);
    for (size_t i = 0; i < names->elements; i++) {
        void *reply = NULL;
        redisReply *left = redisGetReply(l->redis, &reply) == REDIS_OK ? reply : NULL;
        left = reply_or_find(l, left, "PTTL");
        if (!left && l->redis->err)
            return; /* the connection is gone */
        if (left && left->integer == -1 && !may_stay(l, names->element[i]->str))
            find(l, "a key without expiry:", names->element[i]->str);
        if (left)
            freeReplyObject(left);
    }
}

static void look_at_database(const struct look *l, unsigned db)
{
    char cursor[24] = "0";
    redisReply *selected = db ? ask(l, "SELECT %u", db) : NULL;
    if (selected)
        freeReplyObject(selected);
    do {
        redisReply *page = ask(l, "SCAN %s COUNT 1000", cursor);
        if (!page)
            return;
        snprintf(cursor, sizeof cursor, "%s", page->element[0]->str);
        look_at_keys(l, page->element[1]);
        freeReplyObject(page);
    } while (strcmp(cursor, "0") != 0);
}

static void look_at_databases(const struct look *l)
{
    redisReply *keyspace = ask(l, "INFO keyspace");
    for (unsigned db = 0; keyspace && db < DATABASES_MAX; db++) {
        char line[16];
        snprintf(line, sizeof line, "\ndb%u:", db);
        if (strstr(keyspace->str, line))
            look_at_database(l, db);
    }
    if (keyspace)
        freeReplyObject(keyspace);
}

/* A replica has what its master has, and does not answer for it. */
static void look_at_member(struct look *l)
{
    struct timeval patience = {.tv_sec = 5 * (time_t)tests_slowness()};
    l->redis = redisConnectWithTimeout("127.0.0.1", l->servers->members[l->member].port, patience);
    assert_non_null(l->redis);
    redisReply *role = !l->redis->err && redisSetTimeout(l->redis, patience) == REDIS_OK
                           ? ask(l, "INFO replication")
                           : reply_or_find(l, NULL, "nobody lets in:");
    if (role && strstr(role->str, "role:master"))
        look_at_databases(l);
    if (role)
        freeReplyObject(role);
    redisFree(l->redis);
}

void redis_servers_look(struct redis_servers *s, struct redis_finding *finding)
{
    *finding = (struct redis_finding){0};
    for (size_t i = 0; i < s->count; i++) {
        if (!s->members[i].pid || s->members[i].is_sentinel)
            continue;
        if (s->members[i].is_stopped)
            redis_servers_resume(s, i);
        look_at_member(&(struct look){.servers = s, .member = i, .finding = finding});
    }
}

void redis_servers_audit(struct redis_servers *s)
{
    struct redis_finding finding;
    redis_servers_look(s, &finding);
    if (finding.count)
        fail_msg("%s (%zu findings)", finding.text, finding.count);
}
