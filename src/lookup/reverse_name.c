/* reverse_name.c - names of addresses, confirmed. See reverse_name.h. */
#include "lookup/reverse_name.h"

#include <stdlib.h>
#include <string.h>

struct reverse_names {
    struct loop *loop;
    struct dns *dns;
    struct inquiries *inquiries;
};

struct reverse_question;

/* A name that the address points to: does it point back? */
struct candidate {
    struct reverse_question *of;
    struct dns_question *dns; /* NULL: not under way */
    bool is_confirmed;
};

/* The state of an inquiry. */
struct reverse_question {
    struct reverse_names *all;
    struct inquiry *inquiry;
    struct ip client;
    struct dns_question *dns; /* the PTR */
    int64_t deadline_ms;      /* of both steps */
    int64_t keep_ms;          /* the least of all answers so far */
    bool has_failed;          /* one of the names: if no other is confirmed, it is not known */
    size_t count, left;
    struct candidate candidates[REVERSE_MAX_NAMES];
    char names[REVERSE_MAX_NAMES][DNS_NAME_MAX]; /* in the order of the alphabet */
};

static void ask_pointer(void *arg, struct inquiry *inquiry);

static void drop(void *arg, struct inquiry *inquiry)
{
    (void)arg;
    struct reverse_question *q = inquiry_state(inquiry);
    dns_forget(q->dns);
    for (size_t i = 0; i < q->count; i++)
        dns_forget(q->candidates[i].dns);
}

struct reverse_names *reverse_names_new(struct loop *l, struct dns *dns, struct err *err)
{
    struct reverse_names *r = calloc(1, sizeof *r);
    if (!r) {
        err_no_memory(err);
        return NULL;
    }
    r->loop = l;
    r->dns = dns;
    struct inquiries_options options = {.max_cached = REVERSE_CACHED,
                                        .max_cached_bytes = (size_t)REVERSE_CACHED * 256,
                                        .max_open = REVERSE_MAX_OPEN,
                                        .state_bytes = sizeof(struct reverse_question),
                                        .ask = ask_pointer,
                                        .drop = drop,
                                        .arg = r};
    r->inquiries = inquiries_new(l, &options, err);
    if (r->inquiries)
        return r;
    free(r);
    return NULL;
}

void reverse_names_free(struct reverse_names **names)
{
    struct reverse_names *r = *names;
    if (!r)
        return;
    inquiries_free(&r->inquiries);
    free(r);
    *names = NULL;
}

/* ---- a question ---- */

/* Remembered are the result, one byte, and the name. */
static void answer(struct reverse_question *q, enum reverse_result result, const char *name)
{
    char value[1 + DNS_NAME_MAX] = {(char)result};
    size_t len = str_copy_into(value + 1, sizeof value - 1, str_of_z(name)).len;
    inquiry_answer(q->inquiry, str_of(value, 1 + len), result == REVERSE_UNKNOWN ? REVERSE_ERROR_KEEP_MS : q->keep_ms);
}

static void conclude(struct reverse_question *q)
{
    for (size_t i = 0; i < q->count; i++)
        if (q->candidates[i].is_confirmed) {
            answer(q, REVERSE_NAME, q->names[i]);
            return;
        }
    answer(q, q->has_failed ? REVERSE_UNKNOWN : REVERSE_NONE, "");
}

static enum dns_type type_of(const struct reverse_question *q)
{
    return q->client.family == ADDR_IPV4 ? DNS_A : DNS_AAAA;
}

static bool holds_client(const struct reverse_question *q, const struct dns_reply *reply)
{
    struct ip found[DNS_MAX_ADDRESSES];
    size_t count;
    if (!dns_message_addresses(reply->message, type_of(q), found, COUNT_OF(found), &count))
        return false;
    for (size_t i = 0; i < count; i++)
        if (ip_equal(&found[i], &q->client))
            return true;
    return false;
}

static void on_addresses(void *arg, const struct dns_reply *reply)
{
    struct candidate *c = arg;
    struct reverse_question *q = c->of;
    c->dns = NULL;
    c->is_confirmed = reply->status == DNS_FOUND && holds_client(q, reply);
    q->has_failed |= reply->status == DNS_FAILED;
    if (reply->status != DNS_FAILED)
        q->keep_ms = dns_reply_keep_ms(reply, q->keep_ms);
    if (--q->left == 0)
        conclude(q);
}

static void on_pointer(void *arg, const struct dns_reply *reply)
{
    struct reverse_question *q = arg;
    q->dns = NULL;
    if (reply->status == DNS_FAILED) {
        answer(q, REVERSE_UNKNOWN, "");
        return;
    }
    q->keep_ms = dns_reply_keep_ms(reply, REVERSE_KEEP_MAX_MS);
    /* What cannot be read is no name: whoever runs the address wrote it. */
    if (reply->status == DNS_NOTHING || !dns_message_names(reply->message, q->names, REVERSE_MAX_NAMES, &q->count))
        q->count = 0;
    for (size_t i = 0; i < q->count; i++) {
        struct candidate *c = &q->candidates[i];
        c->of = q;
        c->dns = dns_ask(q->all->dns, q->names[i], type_of(q), q->deadline_ms, on_addresses, c);
        q->left += c->dns != NULL;
        q->has_failed |= c->dns == NULL;
    }
    if (q->left == 0)
        conclude(q);
}

static void ask_pointer(void *arg, struct inquiry *inquiry)
{
    struct reverse_question *q = inquiry_state(inquiry);
    char name[DNS_NAME_MAX];
    q->all = arg;
    q->inquiry = inquiry;
    q->deadline_ms = loop_now_ms(q->all->loop) + REVERSE_TIMEOUT_MS;
    struct str key = inquiry_key(inquiry);
    memcpy(&q->client, key.ptr, sizeof q->client);
    dns_reverse_name_of_ip(&q->client, name);
    q->dns = dns_ask(q->all->dns, name, DNS_PTR, q->deadline_ms, on_pointer, q);
    if (!q->dns)
        inquiry_answer(inquiry, STR("\0"), 0); /* REVERSE_UNKNOWN, not to be remembered: we were too busy */
}

/* ---- waiting ---- */

static void take(struct reverse_wait *w, struct str value)
{
    w->answer = (struct reverse_answer){.result = REVERSE_UNKNOWN};
    if (value.len == 0)
        return;
    w->answer.result = (enum reverse_result)value.ptr[0];
    str_copy_into(w->answer.name, sizeof w->answer.name, str_from(value, 1));
}

static void on_answer(void *arg, struct str value)
{
    struct reverse_wait *w = arg;
    take(w, value);
    w->on_name(w->arg);
}

enum started reverse_name_start(struct reverse_wait *w, struct reverse_names *r, const struct ip *client,
                                int64_t deadline_ms, void (*on_name)(void *arg), void *arg)
{
    *w = (struct reverse_wait){.on_name = on_name, .arg = arg};
    struct ip key = {.family = client->family}; /* compared as bytes: it has no gaps */
    memcpy(key.bytes, client->bytes, sizeof key.bytes);
    struct str value = STR_NONE;
    if (client->family != ADDR_NONE && inquiry_start(r->inquiries, &w->wait, str_of((const char *)&key, sizeof key),
                                                     deadline_ms, &value, on_answer, w) == STARTED)
        return STARTED;
    take(w, value);
    return DONE;
}

void reverse_name_cancel(struct reverse_wait *w)
{
    inquiry_cancel(&w->wait);
}
