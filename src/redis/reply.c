/*
 * reply.c - hiredis' reader with objects of our own. See reply.h.
 *
 * hiredis asks these functions for each piece of a reply, hands them the piece's place in the array above it, and never
 * looks into what they make. freeObject has nothing to do: a reply's memory goes as a whole.
 */
#include "redis/reply.h"

#include <stdlib.h>

#include "base/panic.h"
#include "redis/redis.h"

/* What 1 MiB of the smallest elements there are might become is more than any reply we ask for. */
enum { REPLY_MEMORY_MAX_BYTES = 8 << 20, REPLY_MEMORY_KEPT_BYTES = 16384 };

static struct redis_reply_reader *reader_of(const redisReadTask *task)
{
    return task->privdata;
}

/* NULL, which hiredis takes for lack of memory and ends with. */
static void *refuse(struct redis_reply_reader *r, const char *fault)
{
    r->fault = r->fault ? r->fault : fault;
    return NULL;
}

static redisReply *make(const redisReadTask *task)
{
    struct redis_reply_reader *r = reader_of(task);
    redisReply *made = arena_alloc(&r->memory, sizeof *made);
    if (!made)
        return refuse(r, "sends a reply that takes too much memory");
    made->type = task->type;
    if (task->parent) {
        redisReply *array = task->parent->obj;
        array->element[task->idx] = made;
    }
    return made;
}

static void *make_string(const redisReadTask *task, char *text, size_t len)
{
    struct str copy = arena_copy(&reader_of(task)->memory, str_of(text, len));
    if (!copy.ptr)
        return refuse(reader_of(task), "sends a reply that takes too much memory");
    redisReply *made = make(task);
    if (made) {
        made->str = (char *)(uintptr_t)copy.ptr;
        made->len = len;
    }
    return made;
}

static void *make_array(const redisReadTask *task, int count)
{
    struct redis_reply_reader *r = reader_of(task);
    if (count < 0 || count > REDIS_REPLY_MAX_ELEMENTS)
        return refuse(r, "sends an array with too many elements");
    redisReply **elements = NULL;
    if (count > 0 && !(elements = arena_alloc(&r->memory, (size_t)count * sizeof(redisReply *))))
        return refuse(r, "sends a reply that takes too much memory");
    redisReply *made = make(task);
    if (made) {
        made->elements = (size_t)count;
        made->element = elements;
    }
    return made;
}

static void *make_integer(const redisReadTask *task, long long value)
{
    redisReply *made = make(task);
    if (made)
        made->integer = value;
    return made;
}

static void *make_nil(const redisReadTask *task)
{
    redisReply *made = make(task);
    if (made)
        made->type = REDIS_REPLY_NIL;
    return made;
}

static void keep_object(void *object)
{
    (void)object;
}

static redisReplyObjectFunctions FUNCTIONS = {.createString = make_string,
                                              .createArray = make_array,
                                              .createInteger = make_integer,
                                              .createNil = make_nil,
                                              .freeObject = keep_object};

/* ---- reading ---- */

bool redis_reply_reader_init(struct redis_reply_reader *r)
{
    *r = (struct redis_reply_reader){.reader = redisReaderCreateWithFunctions(&FUNCTIONS)};
    arena_init(&r->memory, REPLY_MEMORY_MAX_BYTES);
    if (r->reader)
        r->reader->privdata = r;
    return r->reader != NULL;
}

void redis_reply_reader_fini(struct redis_reply_reader *r)
{
    if (!r->reader)
        return;
    redisReaderFree(r->reader);
    arena_fini(&r->memory);
    *r = (struct redis_reply_reader){.reader = NULL};
}

static void note_fault(struct redis_reply_reader *r)
{
    if (r->fault)
        return;
    r->fault = r->reader->err == REDIS_ERR_OOM ? "sends a reply that takes too much memory"
                                               : "sends what is not of Redis' protocol";
}

bool redis_reply_reader_feed(struct redis_reply_reader *r, struct str bytes)
{
    if (r->fault)
        return false;
    if (redisReaderFeed(r->reader, bytes.ptr, bytes.len) != REDIS_OK) {
        note_fault(r);
        return false;
    }
    r->fed_bytes += bytes.len;
    return true;
}

const redisReply *redis_reply_reader_next(struct redis_reply_reader *r)
{
    void *reply = NULL;
    if (r->fault)
        return NULL;
    if (!r->is_amid)
        arena_clear(&r->memory, REPLY_MEMORY_KEPT_BYTES);
    r->is_amid = true;
    if (redisReaderGetReply(r->reader, &reply) != REDIS_OK) {
        note_fault(r);
        return NULL;
    }
    if (reply) {
        r->is_amid = false;
        r->fed_bytes = r->reader->len - r->reader->pos;
    } else if (r->fed_bytes > REDIS_REPLY_MAX_BYTES) {
        r->fault = "sends a reply that is too long";
    }
    return reply;
}

/* ---- looking ---- */

struct str redis_reply_text(const redisReply *reply)
{
    bool has_text =
        reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS || reply->type == REDIS_REPLY_ERROR;
    return has_text ? str_of(reply->str, reply->len) : STR_NONE;
}

const redisReply *redis_reply_element(const redisReply *reply, size_t n)
{
    return reply->type == REDIS_REPLY_ARRAY && n < reply->elements ? reply->element[n] : NULL;
}

bool redis_reply_is_error(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR;
}

/* ---- copying: hiredis nests at most 7 deep, so recursion is bounded ---- */

static size_t round_up(size_t bytes)
{
    return (bytes + 15) / 16 * 16;
}

static size_t copy_bytes(const redisReply *reply)
{
    size_t bytes = round_up(sizeof *reply);
    if (redis_reply_text(reply).ptr)
        bytes += round_up(reply->len + 1);
    if (reply->type != REDIS_REPLY_ARRAY)
        return bytes;
    bytes += round_up(reply->elements * sizeof(redisReply *));
    for (size_t i = 0; i < reply->elements; i++)
        bytes += copy_bytes(reply->element[i]);
    return bytes;
}

static redisReply *copy_to(const redisReply *reply, char **at)
{
    redisReply *copy = (void *)*at;
    *copy = *reply;
    *at += round_up(sizeof *copy);
    if (redis_reply_text(reply).ptr) {
        copy->str = *at;
        memcpy(copy->str, reply->str, reply->len + 1);
        *at += round_up(reply->len + 1);
    }
    if (reply->type != REDIS_REPLY_ARRAY)
        return copy;
    copy->element = (void *)*at;
    *at += round_up(reply->elements * sizeof(redisReply *));
    for (size_t i = 0; i < reply->elements; i++)
        copy->element[i] = copy_to(reply->element[i], at);
    return copy;
}

redisReply *redis_reply_copy(const redisReply *reply)
{
    char *memory = malloc(copy_bytes(reply)), *at = memory;
    return memory ? copy_to(reply, &at) : NULL;
}
