/* remote.c - one question to a table that lies elsewhere. See remote.h. */
#include "lookup/remote.h"

/* ---- asking ---- */

void remote_query_init(struct remote_query *q, void (*on_answer)(void *arg), void *arg)
{
    *q = (struct remote_query){.result = REMOTE_NOT_FOUND, .on_answer = on_answer, .arg = arg};
}

static void take(struct remote_query *q, struct str value)
{
    q->result = value.len ? (enum remote_result)value.ptr[0] : REMOTE_FAILED;
    q->value = q->result == REMOTE_FOUND ? str_from(value, 1) : STR_NONE;
}

static void on_value(void *arg, struct str value)
{
    struct remote_query *q = arg;
    take(q, value);
    q->on_answer(q->arg);
}

enum started remote_start(struct remote_query *q, struct inquiries *table, struct str key, int64_t deadline_ms)
{
    struct str value;
    if (inquiry_start(table, &q->wait, key, deadline_ms, &value, on_value, q) == STARTED)
        return STARTED;
    take(q, value);
    return DONE;
}

void remote_cancel(struct remote_query *q)
{
    inquiry_cancel(&q->wait);
}

/* ---- answering ---- */

bool remote_answer_write(struct buf *to, enum remote_result result, struct str value)
{
    return buf_append_char(to, (char)result) && buf_append_str(to, value);
}

void remote_answer(struct inquiry *inquiry, const struct buf *written, int64_t keep_ms)
{
    static const char FAILED[] = {REMOTE_FAILED};
    bool is_answered = buf_len(written) > 0;
    inquiry_answer(inquiry, is_answered ? buf_str(written) : str_of(FAILED, 1), is_answered ? keep_ms : 0);
}

/* ---- a table ---- */

struct inquiries *remote_inquiries_new(struct loop *l, size_t state_bytes, void (*ask)(void *arg, struct inquiry *q),
                                       void (*drop)(void *arg, struct inquiry *q), void *arg, struct err *err)
{
    struct inquiries_options options = {.max_cached = REMOTE_CACHED,
                                        .max_cached_bytes = REMOTE_CACHED_BYTES,
                                        .max_open = REMOTE_MAX_OPEN,
                                        .state_bytes = state_bytes,
                                        .ask = ask,
                                        .drop = drop,
                                        .arg = arg};
    return inquiries_new(l, &options, err);
}
