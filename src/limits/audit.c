/*
 * audit.c - walks over all keys of all shards, a batch at a time. See audit.h.
 *
 *   shard 0: INFO ─▶ health.h
 *            SCAN ─▶ a batch of names ─▶ for each: TYPE, PTTL, MEMORY USAGE [ZCOUNT] [then GET] ─▶ audit_judge
 *                                                                                  [PEXPIREAT, DEL, BITFIELD …] ◀─┘
 *            SCAN … until its cursor is 0; then shard 1 …
 *
 * A key that changes or goes while it is looked at is no finding: what is not there any more is passed over. SCAN may
 * name a key twice; it is told of once.
 */
#include "limits/audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/escape.h"
#include "limits/audit_judge.h"
#include "limits/health.h"

enum {
    LOOKS = 64, /* keys that are looked at at once */
    SCAN_COUNT = 256,
    KEY_SHOWN_BYTES = (AUDIT_KEY_MAX_BYTES - 1) / 4, /* a byte that cannot be shown takes four */
    PATTERN_MAX_BYTES = 2 * REDIS_PREFIX_MAX_BYTES + 2,
};

enum look_stage { LOOK_IDLE, LOOK_AT_KEY, LOOK_AT_VALUE, LOOK_REPAIR };

/* Replies of a look at a key, by number. */
enum { REPLY_TYPE, REPLY_PTTL, REPLY_MEMORY, REPLY_FAR };

struct look {
    struct audit *audit;
    enum look_stage stage;
    bool has_failed;
    struct redis_call call;
    struct str name; /* in the batch */
    char type[16];
    struct audit_key key;
    struct arena value; /* what GET brought */
    struct audit_trouble troubles[AUDIT_TROUBLES_MAX];
    size_t trouble_count, repairing;
};

struct audit {
    struct audit_options options;
    void (*on_progress)(void *arg, uint64_t keys);
    void (*on_done)(void *arg, const struct audit_report *report);
    void *arg;
    struct timer deadline;
    struct task end;
    bool is_over;

    size_t shard;
    unsigned map_version; /* of which that is a number */
    struct redis_call scan;
    bool is_scanning;
    char cursor[STR_OF_U64_MAX + 1]; /* "0" at a shard's begin and end */
    struct arena names;
    struct str *batch;
    size_t batch_count, batch_at, under_way;
    uint64_t looked_at;

    struct look looks[LOOKS];
    struct audit_finding *findings; /* AUDIT_FINDINGS_MAX */
    struct audit_report report;
};

const char *audit_kind_name(enum audit_kind kind)
{
    static const char *const NAMES[AUDIT_KINDS] = {"counters", "connections", "values", "recipients",
                                                   "bans",     "overrides",   "nodes",  "unknown"};
    return NAMES[kind];
}

/* ---- findings ---- */

static struct audit_finding *add_finding(struct audit *a, enum audit_severity severity, struct str key,
                                         const char *what, const char *to_do)
{
    struct buf text;
    a->report.errors += severity == AUDIT_ERROR;
    a->report.warnings += severity == AUDIT_WARNING;
    if (a->report.finding_count == AUDIT_FINDINGS_MAX) {
        a->report.unlisted++;
        return NULL;
    }
    struct audit_finding *f = &a->findings[a->report.finding_count++];
    *f = (struct audit_finding){.severity = severity};
    buf_init(&text, AUDIT_KEY_MAX_BYTES - 1);
    if (escape_text(&text, str_sub(key, 0, KEY_SHOWN_BYTES)))
        str_copy_into(f->key, sizeof f->key, buf_str(&text));
    buf_fini(&text);
    str_copy_into(f->shard, sizeof f->shard, redis_shard_name(a->options.redis, a->shard));
    str_copy_into(f->what, sizeof f->what, str_of_z(what));
    str_copy_into(f->to_do, sizeof f->to_do, str_of_z(to_do));
    return f;
}

/* ---- the end ---- */

/* Nothing is under way any more. */
static void on_end(void *arg)
{
    struct audit *a = arg;
    a->report.findings = a->findings;
    a->on_done(a->arg, &a->report);
}

static void end_when_idle(struct audit *a)
{
    if (a->is_over && !a->is_scanning && a->under_way == 0)
        task_defer(a->options.loop, &a->end);
}

static void finish(struct audit *a, const char *why)
{
    if (a->is_over)
        return;
    a->is_over = true;
    a->report.is_complete = !why && !a->report.failed;
    if (why)
        snprintf(a->report.why, sizeof a->report.why, "%s", why);
    else if (a->report.failed)
        snprintf(a->report.why, sizeof a->report.why, "%" PRIu64 " key%s could not be looked at, or repaired",
                 a->report.failed, a->report.failed == 1 ? "" : "s");
    timer_cancel(&a->deadline);
    end_when_idle(a);
}

static void on_deadline(void *arg)
{
    finish(arg, "there was no time to look at all keys");
}

/* ---- one key ---- */

static void go_on(struct audit *a);

static bool add(struct redis_call *c, size_t count, const struct str *words)
{
    return redis_call_add(c, words, count);
}

static void clear(struct redis_call *c)
{
    redis_call_fini(c);
    redis_call_init(c, c->on_reply, c->on_done, c->arg);
}

static void look_ends(struct look *l)
{
    l->audit->report.failed += l->has_failed;
    l->audit->under_way--;
    l->stage = LOOK_IDLE;
    arena_fini(&l->value);
}

static void send_look(struct look *l, enum look_stage stage, bool fits)
{
    l->stage = stage;
    if (fits && redis_send_to_shard(l->audit->options.redis, l->audit->shard, &l->call))
        return;
    clear(&l->call);
    l->has_failed = true;
    look_ends(l);
}

static void begin_look(struct look *l, struct str name)
{
    struct audit *a = l->audit;
    char far[STR_OF_U64_MAX];
    int64_t now_us = redis_now_us(a->options.redis, name), far_ms = audit_far_ms(name, a->options.prefix, now_us);
    l->name = name;
    l->has_failed = false;
    l->trouble_count = l->repairing = 0;
    l->key = (struct audit_key){.name = name, .now_us = now_us};
    arena_init(&l->value, AUDIT_VALUE_MAX_BYTES + 1024);
    a->under_way++;
    a->looked_at++;
    bool fits = add(&l->call, 2, (struct str[]){STR("TYPE"), name}) &&
                add(&l->call, 2, (struct str[]){STR("PTTL"), name}) &&
                add(&l->call, 3, (struct str[]){STR("MEMORY"), STR("USAGE"), name}) &&
                (far_ms == 0 ||
                 add(&l->call, 4, (struct str[]){STR("ZCOUNT"), name, str_of_u64(far, (uint64_t)far_ms), STR("+inf")}));
    send_look(l, LOOK_AT_KEY, fits);
}

static void read_look(struct look *l, size_t n, const redisReply *reply)
{
    uint64_t number = reply->type == REDIS_REPLY_INTEGER && reply->integer > 0 ? (uint64_t)reply->integer : 0;
    if (n == REPLY_TYPE && reply->type == REDIS_REPLY_STATUS)
        l->key.type = str_copy_into(l->type, sizeof l->type, str_of(reply->str, reply->len));
    else if (n == REPLY_PTTL && reply->type == REDIS_REPLY_INTEGER)
        l->key.pttl_ms = reply->integer;
    else if (n == REPLY_MEMORY)
        l->key.bytes = number;
    else if (n == REPLY_FAR)
        l->key.far_count = number;
}

static void on_look_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct look *l = c->arg;
    /* A sorted set that is none is of a wrong type, which is judged by TYPE. */
    bool is_counted = l->stage == LOOK_AT_KEY && n == REPLY_FAR;
    if (reply->type == REDIS_REPLY_ERROR && !is_counted)
        l->has_failed = true;
    else if (l->stage == LOOK_AT_KEY)
        read_look(l, n, reply);
    else if (l->stage == LOOK_AT_VALUE && reply->type == REDIS_REPLY_STRING && reply->len <= AUDIT_VALUE_MAX_BYTES) {
        l->key.value = arena_copy(&l->value, str_of(reply->str, reply->len));
        l->key.is_read = l->key.value.ptr != NULL;
    }
}

/* ---- repairs ---- */

static bool add_clear(struct redis_call *c, struct str key, uint64_t slots)
{
    char texts[AUDIT_SLOTS][8];
    struct str words[4 + 4 * AUDIT_SLOTS] = {STR("BITFIELD"), key, STR("OVERFLOW"), STR("SAT")};
    size_t count = 4;
    for (size_t slot = 0; slot < AUDIT_SLOTS; slot++) {
        if (!(slots >> slot & 1))
            continue;
        words[count++] = STR("INCRBY");
        words[count++] = STR("u32");
        words[count++] = str_of(texts[slot], (size_t)snprintf(texts[slot], sizeof texts[slot], "#%zu", slot));
        words[count++] = STR("-4294967295");
    }
    return add(c, count, words);
}

static bool add_repair(struct redis_call *c, struct str key, const struct audit_trouble *t)
{
    char text[STR_OF_U64_MAX + 1] = "(";
    switch (t->repair) {
    case AUDIT_EXPIRE:
        return add(c, 3, (struct str[]){STR("PEXPIREAT"), key, str_of_u64(text, (uint64_t)t->expires_ms)});
    case AUDIT_DELETE:
        return add(c, 2, (struct str[]){STR("DEL"), key});
    case AUDIT_CLEAR:
        return add_clear(c, key, t->slots);
    case AUDIT_CUT:
        return add(c, 4,
                   (struct str[]){STR("ZREMRANGEBYSCORE"), key, str_of_u64(text, (uint64_t)t->far_ms), STR("+inf")});
    default:
        return false;
    }
}

/* Has the key been told of with these words? SCAN says some keys twice. */
static struct audit_finding *find_told(const struct audit *a, const struct audit_trouble *t, struct str key)
{
    for (size_t i = 0; i < a->report.finding_count; i++)
        if (str_equal(str_of_z(a->findings[i].key), key) && str_equal(str_of_z(a->findings[i].what), str_of_z(t->what)))
            return &a->findings[i];
    return NULL;
}

static void tell(struct look *l, const struct audit_trouble *t, bool is_repaired)
{
    struct audit *a = l->audit;
    if (find_told(a, t, l->name))
        return;
    struct audit_finding *f = add_finding(a, t->severity, l->name, t->what, t->to_do);
    a->report.repaired += is_repaired;
    a->report.open += !is_repaired && t->severity != AUDIT_NOTE;
    if (!f)
        return;
    f->is_repairable = t->repair != AUDIT_NOTHING;
    f->is_repaired = is_repaired;
}

/* The next trouble: repaired, or only told of. */
static void next_trouble(struct look *l)
{
    for (; l->repairing < l->trouble_count; l->repairing++) {
        const struct audit_trouble *t = &l->troubles[l->repairing];
        if (l->audit->options.repairs && t->repair != AUDIT_NOTHING) {
            send_look(l, LOOK_REPAIR, add_repair(&l->call, l->name, t));
            return;
        }
        tell(l, t, false);
    }
    look_ends(l);
}

static void judge(struct look *l)
{
    struct audit *a = l->audit;
    enum audit_kind kind;
    l->trouble_count = audit_judge(&l->key, a->options.prefix, &kind, l->troubles);
    a->report.keys[kind]++;
    a->report.bytes[kind] += l->key.bytes;
    next_trouble(l);
}

static void on_look_done(struct redis_call *c, enum redis_result result)
{
    struct look *l = c->arg;
    struct audit *a = l->audit;
    bool is_gone = l->key.pttl_ms == -2 || str_equal(l->key.type, STR("none"));
    clear(c);
    l->has_failed |= result != REDIS_DONE;
    if (l->stage == LOOK_REPAIR) {
        tell(l, &l->troubles[l->repairing++], !l->has_failed);
        if (l->has_failed)
            look_ends(l);
        else
            next_trouble(l);
    } else if (l->has_failed || is_gone) {
        look_ends(l);
    } else if (l->stage == LOOK_AT_KEY && audit_wants_value(l->name, a->options.prefix) &&
               str_equal(l->key.type, STR("string")) && l->key.bytes <= AUDIT_VALUE_MAX_BYTES) {
        send_look(l, LOOK_AT_VALUE, add(&l->call, 2, (struct str[]){STR("GET"), l->name}));
    } else {
        judge(l);
    }
    go_on(a);
}

/* ---- a batch of names ---- */

/* The prefix as a pattern of SCAN: what would be a wildcard stands for itself. */
static struct str pattern_of(struct str prefix, char to[PATTERN_MAX_BYTES])
{
    size_t len = 0;
    for (size_t i = 0; i < MIN_OF(prefix.len, (size_t)REDIS_PREFIX_MAX_BYTES); i++) {
        if (memchr("*?[]^\\", prefix.ptr[i], 6))
            to[len++] = '\\';
        to[len++] = prefix.ptr[i];
    }
    to[len++] = '*';
    return str_of(to, len);
}

static void scan(struct audit *a)
{
    char pattern[PATTERN_MAX_BYTES], count[STR_OF_U64_MAX];
    struct str words[] = {STR("SCAN"),  str_of_z(a->cursor),
                          STR("MATCH"), pattern_of(a->options.prefix, pattern),
                          STR("COUNT"), str_of_u64(count, SCAN_COUNT)};
    a->is_scanning = add(&a->scan, COUNT_OF(words), words) && redis_send_to_shard(a->options.redis, a->shard, &a->scan);
    if (a->is_scanning)
        return;
    clear(&a->scan);
    finish(a, "Redis did not take a command");
}

static void begin_shard(struct audit *a)
{
    char why[sizeof a->report.why];
    if (a->shard >= redis_shard_count(a->options.redis)) {
        finish(a, a->shard ? NULL : "the nodes of the Cluster are not known yet");
        return;
    }
    struct str down = redis_why_down(a->options.redis, a->shard);
    if (!redis_shard_is_up(a->options.redis, a->shard)) {
        snprintf(why, sizeof why, "Redis at " PRI_STR " is not there: " PRI_STR,
                 STR_ARG(redis_shard_name(a->options.redis, a->shard)), STR_ARG(down));
        finish(a, why);
        return;
    }
    snprintf(a->cursor, sizeof a->cursor, "0");
    struct str info[] = {STR("INFO")};
    if (!add(&a->scan, 1, info))
        clear(&a->scan);
    scan(a);
}

static void read_info(struct audit *a, const redisReply *reply)
{
    struct health h = {.is_known = false};
    int64_t skew_us = 0;
    bool has_skew = redis_skew_us(a->options.redis, a->shard, &skew_us);
    health_judge(&h, str_of(reply->str, reply->len), a->options.shape, has_skew, skew_us);
    for (size_t i = 0; i < HEALTH_TROUBLES; i++)
        if (h.texts[i][0]) {
            (void)add_finding(a, i == HEALTH_VERSION ? AUDIT_ERROR : AUDIT_WARNING, STR(""), h.texts[i], "");
            a->report.open++;
        }
}

static void read_names(struct audit *a, const redisReply *names)
{
    arena_fini(&a->names);
    arena_init(&a->names, 1 << 24);
    a->batch_count = a->batch_at = 0;
    a->batch = arena_alloc(&a->names, (names->elements + 1) * sizeof *a->batch);
    for (size_t i = 0; a->batch && i < names->elements; i++) {
        const redisReply *name = names->element[i];
        struct str copy = STR_NONE;
        if (name->type == REDIS_REPLY_STRING && str_starts(str_of(name->str, name->len), a->options.prefix))
            copy = arena_copy(&a->names, str_of(name->str, name->len));
        if (copy.ptr)
            a->batch[a->batch_count++] = copy;
    }
}

static void on_scan_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct audit *a = c->arg;
    (void)n;
    bool is_scan = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                   reply->element[0]->type == REDIS_REPLY_STRING && reply->element[1]->type == REDIS_REPLY_ARRAY;
    if (reply->type == REDIS_REPLY_STRING) {
        read_info(a, reply);
    } else if (is_scan) {
        str_copy_into(a->cursor, sizeof a->cursor, str_of(reply->element[0]->str, reply->element[0]->len));
        read_names(a, reply->element[1]);
    } else {
        char why[sizeof a->report.why];
        snprintf(
            why, sizeof why, "Redis at " PRI_STR " refuses SCAN or INFO: " PRI_STR,
            STR_ARG(redis_shard_name(a->options.redis, a->shard)),
            STR_ARG(reply->type == REDIS_REPLY_ERROR ? str_of(reply->str, reply->len) : STR("something else came")));
        finish(a, why);
    }
}

static void on_scan_done(struct redis_call *c, enum redis_result result)
{
    struct audit *a = c->arg;
    a->is_scanning = false;
    clear(c);
    if (result != REDIS_DONE)
        finish(a, "the connection to Redis was lost");
    go_on(a);
}

static struct look *find_idle(struct audit *a)
{
    for (size_t i = 0; i < LOOKS; i++)
        if (a->looks[i].stage == LOOK_IDLE)
            return &a->looks[i];
    return NULL;
}

static void go_on(struct audit *a)
{
    struct look *l;
    if (a->is_over) {
        end_when_idle(a);
        return;
    }
    while (a->batch_at < a->batch_count && (l = find_idle(a)))
        begin_look(l, a->batch[a->batch_at++]);
    if (a->is_scanning || a->under_way || a->batch_at < a->batch_count)
        return;
    if (a->on_progress)
        a->on_progress(a->arg, a->looked_at);
    if (redis_map_version(a->options.redis) != a->map_version) {
        finish(a, "the map of the Cluster has changed meanwhile, and some keys may have been missed: ask again");
        return;
    }
    if (strcmp(a->cursor, "0") != 0) {
        scan(a);
        return;
    }
    a->shard++;
    begin_shard(a);
}

/* ---- life ---- */

struct audit *audit_start(const struct audit_options *options, void (*on_progress)(void *arg, uint64_t keys),
                          void (*on_done)(void *arg, const struct audit_report *report), void *arg, struct err *err)
{
    struct audit *a = calloc(1, sizeof *a);
    struct audit_finding *findings = calloc(AUDIT_FINDINGS_MAX, sizeof *findings);
    if (!a || !findings) {
        free(a);
        free(findings);
        err_no_memory(err);
        return NULL;
    }
    a->options = *options;
    a->on_progress = on_progress;
    a->on_done = on_done;
    a->arg = arg;
    a->findings = findings;
    a->map_version = redis_map_version(options->redis);
    timer_init(&a->deadline, options->loop, on_deadline, a);
    task_init(&a->end, on_end, a);
    arena_init(&a->names, 1 << 24);
    redis_call_init(&a->scan, on_scan_reply, on_scan_done, a);
    for (size_t i = 0; i < LOOKS; i++) {
        a->looks[i].audit = a;
        redis_call_init(&a->looks[i].call, on_look_reply, on_look_done, &a->looks[i]);
    }
    timer_start(&a->deadline, loop_now_ms(options->loop) + options->deadline_ms);
    begin_shard(a);
    return a;
}

void audit_free(struct audit **ap)
{
    struct audit *a = *ap;
    if (!a)
        return;
    timer_cancel(&a->deadline);
    task_cancel(&a->end);
    redis_call_fini(&a->scan);
    for (size_t i = 0; i < LOOKS; i++) {
        redis_call_fini(&a->looks[i].call);
        if (a->looks[i].stage != LOOK_IDLE)
            arena_fini(&a->looks[i].value);
    }
    arena_fini(&a->names);
    free(a->findings);
    free(a);
    *ap = NULL;
}
