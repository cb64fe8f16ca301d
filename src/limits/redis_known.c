/*
 * redis_known.c - memories in Redis: the networks a user logged in from, the passwords tried for a name. A sorted set
 * each, whose scores say when a value was noted last.
 *
 *   ask    ZSCORE key VALUE…
 *   note   ZSCORE key VALUE…  ZADD key GT now VALUE…  PEXPIREAT key
 *
 * What was noted or found to be known is remembered here as well (redis_alone.h), and known if either knows it: so a
 * user's networks are known while Redis is away, and by this node also after Redis lost its data. What could not be
 * told is told later (redis_notes.h).
 */
#include "limits/redis_commands.h"
#include "limits/redis_values.h"

enum { ASKED_MAX = 60 };

/* In a part's room. */
struct known_part {
    size_t known;
};

static struct known_part *known_of(struct part *p)
{
    _Static_assert(sizeof(struct known_part) <= PART_ROOM_BYTES, "a part's room");
    return (struct known_part *)p->room;
}

static int64_t period_us(const struct part *p)
{
    return p->counter.period_s * INT64_C(1000000);
}

/* ---- here ---- */

/* One value: is it, or was it, known here? at_us: of asking, or of being seen. */
static bool known_here(struct part *p, enum take_mode mode, size_t value, int64_t at_us)
{
    struct take_member member = p->take->members[value];
    struct take take = {.counter = p->take->counter, .mode = mode, .members = &member, .member_count = 1},
                *takes = &take;
    struct store_op op = {.takes = &takes, .count = 1, .now_us = at_us, .deadline_ms = 2};
    struct store *alone = &p->store->alone;
    (void)alone->ops->take_start(alone, &op);
    return op.result == STORE_TAKEN && take.used[COLUMN_ONE] > 0;
}

/* ---- commands ---- */

static bool compose_look(struct part *p)
{
    const struct take *take = p->take;
    *known_of(p) = (struct known_part){0};
    return take->member_count <= ASKED_MAX &&
           redis_add_score_questions(&p->call, p->key, take->members, take->member_count);
}

static bool compose_reserve(struct part *p)
{
    const struct take *take = p->take;
    if (!compose_look(p))
        return false;
    return take->member_count == 0 ||
           (redis_values_add_seen(&p->call, p->key, take->members, take->member_count, p->now_us) &&
            redis_values_add_expiry(p->store, &p->call, p->key, p->now_us + period_us(p), p->now_us));
}

static bool on_score(struct part *p, size_t value, const redisReply *reply)
{
    int64_t at_us;
    bool is_known = false;
    if (reply->type == REDIS_REPLY_STRING) {
        if (!score_parse(str_of(reply->str, reply->len), &at_us))
            return false;
        is_known = at_us > p->now_us - period_us(p);
        if (is_known && !known_here(p, TAKE_NOTHING, value, p->now_us))
            (void)known_here(p, TAKE_ALWAYS, value, at_us);
    } else if (reply->type != REDIS_REPLY_NIL) {
        return false;
    }
    known_of(p)->known += is_known || known_here(p, TAKE_NOTHING, value, p->now_us);
    return true;
}

static bool on_reply(struct part *p, size_t n, const redisReply *reply)
{
    if (!p->take) /* late: nobody asks any more */
        return true;
    return n < p->take->member_count ? on_score(p, n, reply) : reply->type == REDIS_REPLY_INTEGER;
}

static bool judge(struct part *p)
{
    take_answer_known(p->take, known_of(p)->known);
    for (size_t i = 0; i < p->take->member_count && p->mode == TAKE_ALWAYS; i++)
        (void)known_here(p, TAKE_ALWAYS, i, p->now_us);
    return true;
}

/* Nothing is held, and nothing taken back. */
static void nothing(struct part *p)
{
    (void)p;
}

static bool decide_alone(struct part *p, const struct mirror_terms *terms)
{
    struct take *take = p->take;
    size_t known = 0;
    (void)terms;
    for (size_t i = 0; i < take->member_count; i++)
        known += known_here(p, p->mode, i, p->now_us);
    take_answer_known(take, known);
    if (p->mode != TAKE_ALWAYS)
        return true;
    const struct note note = {.kind = NOTE_KNOWN,
                              .key = p->key,
                              .period_s = p->counter.period_s,
                              .at_us = p->now_us,
                              .values = take->members,
                              .count = take->member_count};
    redis_notes_tell(p->store, &note);
    return true;
}

static bool peek(struct store_redis *s, struct take *take, int64_t now_us)
{
    return s->alone.ops->peek(&s->alone, take, now_us);
}

const struct part_kind redis_known_kind = {
    .compose_look = compose_look,
    .compose_reserve = compose_reserve,
    .on_reply = on_reply,
    .judge = judge,
    .taken = nothing,
    .undo = nothing,
    .decide_alone = decide_alone,
    .peek = peek,
};
