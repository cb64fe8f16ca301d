/*
 * reply.h - from bytes to replies: hiredis' reader, made safe against a server that is wrong, slow or malicious.
 *
 * hiredis believes what an array says of its length and keeps what it is fed without bound. Here an array of more than
 * REDIS_REPLY_MAX_ELEMENTS is refused before a byte is allocated for it, and so is a reply that is not complete after
 * REDIS_REPLY_MAX_BYTES. Replies lie in memory that is used again for the next one: they are borrowed.
 */
#ifndef REDIS_REPLY_H
#define REDIS_REPLY_H

#include <hiredis/hiredis.h>

#include "base/arena.h"

struct redis_reply_reader {
    struct redisReader *reader; /* NULL: not begun */
    struct arena memory;        /* of the reply at hand */
    size_t fed_bytes;           /* since the last reply was complete */
    bool is_amid;               /* a reply has begun */
    const char *fault;          /* NULL: none; it stays */
};

/* False: no memory. */
MUST_USE bool redis_reply_reader_init(struct redis_reply_reader *r);
/* Harmless when zeroed. */
void redis_reply_reader_fini(struct redis_reply_reader *r);

/* Takes bytes, all of them. False: r->fault says why. */
MUST_USE bool redis_reply_reader_feed(struct redis_reply_reader *r, struct str bytes);
/* The next reply, borrowed until the next call; NULL: more bytes are needed, or r->fault says what is wrong: then no
 * reply will ever come. */
const redisReply *redis_reply_reader_next(struct redis_reply_reader *r);

/* A copy that stays, in one piece of memory, the caller's to free(); NULL: no memory. For who must hold a reply back
 * until those before it have come. */
redisReply *redis_reply_copy(const redisReply *reply);

/* Its text: of a string, a status, an error; else STR_NONE. */
struct str redis_reply_text(const redisReply *reply);
/* Element n of an array, or NULL. */
const redisReply *redis_reply_element(const redisReply *reply, size_t n);
bool redis_reply_is_error(const redisReply *reply);

#endif
