/* dnsbl.c - clients' addresses asked for in DNS lists. See dnsbl.h. */
#include "lookup/dnsbl.h"

#include <stdlib.h>
#include <string.h>

#include "lookup/dnsbl_inside.h"

enum kind { KIND_ADDRESS, KIND_TEXT };

/* Of one question, as bytes. */
struct question_key {
    uint32_t life;
    uint8_t kind, zone;
    struct ip client;
};

/* A question of a check: which answer it will fill. */
struct dnsbl_part {
    struct inquiry_wait wait;
    struct dnsbl_check *check;
    struct dnsbl_answer *answer;
    struct counters *counters;
};

/* ---- the lists ---- */

static void ask(void *arg, struct inquiry *q);

static void drop(void *arg, struct inquiry *inquiry)
{
    (void)arg;
    struct dnsbl_question *q = inquiry_state(inquiry);
    list_remove(&q->node);
    dns_forget(q->dns);
}

static bool check_zone(const struct dnsbl_zone_options *o, struct err *err)
{
    size_t len = strlen(o->zone);
    if (len > 0 && len <= DNS_ZONE_MAX_BYTES)
        return true;
    return err_set(err, "dnsbl %s: the name of a zone has 1 to %d bytes, this one has %zu", o->name, DNS_ZONE_MAX_BYTES,
                   len);
}

struct dnsbl *dnsbl_new(struct loop *l, struct dns *dns, const struct dnsbl_zone_options *zones, size_t count,
                        struct event_log *events, struct err *err)
{
    if (count > DNSBL_MAX_ZONES) {
        err_set(err, "there are %zu dnsbls; at most %d can be asked", count, DNSBL_MAX_ZONES);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        if (!check_zone(&zones[i], err))
            return NULL;
    struct dnsbl *d = calloc(1, sizeof *d + count * sizeof d->zones[0]);
    if (!d) {
        err_no_memory(err);
        return NULL;
    }
    d->loop = l;
    d->dns = dns;
    d->events = events;
    d->counters = events ? events->counters : NULL;
    struct inquiries_options options = {.max_cached = DNSBL_CACHED,
                                        .max_cached_bytes = (size_t)DNSBL_CACHED * 256,
                                        .max_open = DNSBL_MAX_OPEN,
                                        .state_bytes = sizeof(struct dnsbl_question),
                                        .ask = ask,
                                        .drop = drop,
                                        .arg = d};
    d->inquiries = inquiries_new(l, &options, err);
    if (!d->inquiries) {
        free(d);
        return NULL;
    }
    d->zone_count = count;
    for (size_t i = 0; i < count; i++) {
        dnsbl_zone_init(&d->zones[i], d, &zones[i]);
        dnsbl_zone_test(&d->zones[i]);
    }
    return d;
}

void dnsbl_free(struct dnsbl **dnsbl)
{
    struct dnsbl *d = *dnsbl;
    if (!d)
        return;
    inquiries_free(&d->inquiries);
    for (size_t i = 0; i < d->zone_count; i++)
        dnsbl_zone_fini(&d->zones[i]);
    free(d);
    *dnsbl = NULL;
}

/* ---- one question ---- */

static struct question_key key_of(const struct dnsbl_question *q)
{
    struct question_key key;
    memcpy(&key, inquiry_key(q->inquiry).ptr, sizeof key);
    return key;
}

static void answer(struct dnsbl_question *q, const struct dnsbl_answer *a, int64_t keep_ms)
{
    inquiry_answer(q->inquiry, str_of((const char *)a, sizeof *a), MIN_OF(keep_ms, q->zone->options->cache_ms));
}

/* keep_ms 0: the zone itself is in doubt, which the next one is told by its state. */
static void answer_plainly(struct dnsbl_question *q, enum dnsbl_result result, int64_t keep_ms)
{
    struct dnsbl_answer a = {.result = result};
    answer(q, &a, keep_ms);
}

/* The zone hears of it last: its new state may touch other questions, but this one is answered. */
static void on_address(void *arg, const struct dns_reply *reply)
{
    struct dnsbl_question *q = arg;
    struct dnsbl_zone *z = q->zone;
    struct ip found[DNS_MAX_ADDRESSES];
    size_t count = 0;
    struct dnsbl_answer a;
    q->dns = NULL;
    if (reply->status == DNS_FAILED ||
        (reply->status == DNS_FOUND && !dns_message_addresses(reply->message, DNS_A, found, COUNT_OF(found), &count))) {
        answer_plainly(q, DNSBL_UNKNOWN, DNSBL_ERROR_KEEP_MS);
        dnsbl_zone_saw_failure(z, reply->error ? reply->error : DNSBL_MALFORMED);
        return;
    }
    switch (dnsbl_meaning_of(found, count, z->options->answers, z->options->answer_count, &a)) {
    case DNSBL_MEANS_LISTED:
    case DNSBL_MEANS_NOT_LISTED:
        answer(q, &a, dns_reply_keep_ms(reply, z->options->cache_ms));
        dnsbl_zone_saw_answer(z);
        break;
    case DNSBL_MEANS_ERROR:
        answer_plainly(q, DNSBL_UNKNOWN, 0);
        dnsbl_zone_saw_error(z, a.codes[0]);
        break;
    case DNSBL_MEANS_FOREIGN:
        answer_plainly(q, DNSBL_UNKNOWN, 0);
        dnsbl_zone_saw_foreign(z, a.codes[0]);
        break;
    }
}

static void on_text(void *arg, const struct dns_reply *reply)
{
    struct dnsbl_question *q = arg;
    char text[DNSBL_TEXT_MAX] = "";
    bool is_known = reply->status == DNS_NOTHING ||
                    (reply->status == DNS_FOUND && dns_message_text(reply->message, text, sizeof text));
    int64_t keep_ms = is_known ? dns_reply_keep_ms(reply, q->zone->options->cache_ms) : (int64_t)DNSBL_ERROR_KEEP_MS;
    q->dns = NULL;
    inquiry_answer(q->inquiry, str_of_z(text), MIN_OF(keep_ms, q->zone->options->cache_ms));
}

static bool is_in_family(const struct dnsbl_zone *z, const struct ip *client, enum dnsbl_family_state state)
{
    return z->state == DNSBL_ON && z->families[client->family == ADDR_IPV6] == state;
}

static bool is_served(const struct dnsbl_zone *z, const struct ip *client)
{
    return is_in_family(z, client, FAMILY_SERVED);
}

static bool is_absent(const struct dnsbl_zone *z, const struct ip *client)
{
    return is_in_family(z, client, FAMILY_ABSENT);
}

void dnsbl_question_go(struct dnsbl_question *q)
{
    struct dnsbl_zone *z = q->zone;
    struct question_key key = key_of(q);
    bool is_text = key.kind == KIND_TEXT;
    char name[DNS_NAME_MAX];
    if (is_served(z, &key.client) && dns_name_of_ip(&key.client, str_of_z(z->options->zone), name))
        q->dns = dns_ask(z->all->dns, name, is_text ? DNS_TXT : DNS_A,
                         loop_now_ms(z->all->loop) + z->options->timeout_ms, is_text ? on_text : on_address, q);
    if (q->dns)
        return;
    if (is_text)
        inquiry_answer(q->inquiry, STR(""), 0);
    else
        answer_plainly(q, is_absent(z, &key.client) ? DNSBL_NOT_LISTED : DNSBL_UNKNOWN, 0);
}

static void ask(void *arg, struct inquiry *inquiry)
{
    struct dnsbl *d = arg;
    struct dnsbl_question *q = inquiry_state(inquiry);
    q->inquiry = inquiry;
    q->zone = &d->zones[key_of(q).zone];
    list_init(&q->node);
    if (q->zone->state == DNSBL_TESTING)
        list_add_last(&q->zone->held, &q->node);
    else
        dnsbl_question_go(q);
}

/* ---- checks ---- */

static struct question_key make_key(const struct dnsbl *d, enum kind kind, unsigned zone, const struct ip *client)
{
    struct question_key key;
    memset(&key, 0, sizeof key); /* it is compared as bytes */
    key.kind = (uint8_t)kind;
    key.zone = (uint8_t)zone;
    key.life = d->zones[zone].life;
    key.client.family = client->family;
    memcpy(key.client.bytes, client->bytes, sizeof key.client.bytes);
    return key;
}

/* What needs no question: an address that no list knows, a zone in doubt, a family that the zone does not have. */
static bool answer_at_once(const struct dnsbl_zone *z, const struct ip *client, enum dnsbl_result *result)
{
    if (!ip_is_public(client) || is_absent(z, client))
        *result = DNSBL_NOT_LISTED;
    else if (z->state == DNSBL_TESTING || is_served(z, client))
        return false;
    else
        *result = DNSBL_UNKNOWN;
    return true;
}

static void fill(struct dnsbl_answer *to, struct str value, struct counters *counters)
{
    static const enum counter_id BY_RESULT[] = {COUNTER_DNSBL_UNKNOWN, COUNTER_DNSBL_NOT_LISTED, COUNTER_DNSBL_LISTED};
    *to = (struct dnsbl_answer){.result = DNSBL_UNKNOWN};
    if (value.ptr)
        memcpy(to, value.ptr, sizeof *to);
    counter_add(counters, BY_RESULT[to->result], 1);
}

static void on_part(void *arg, struct str value)
{
    struct dnsbl_part *part = arg;
    struct dnsbl_check *check = part->check;
    fill(part->answer, value, part->counters);
    if (--check->left > 0)
        return;
    free(check->parts);
    check->parts = NULL;
    check->on_answers(check->arg);
}

/* DONE: *answer is there. */
static enum started start_part(struct dnsbl_part *part, struct dnsbl *d, const struct ip *client, unsigned zone,
                               int64_t deadline_ms)
{
    const struct dnsbl_zone *z = &d->zones[zone];
    enum dnsbl_result at_once;
    struct str value;
    part->counters = d->counters;
    if (answer_at_once(z, client, &at_once)) {
        struct dnsbl_answer a = {.result = at_once};
        fill(part->answer, str_of((const char *)&a, sizeof a), part->counters);
        return DONE;
    }
    struct question_key key = make_key(d, KIND_ADDRESS, zone, client);
    deadline_ms = MIN_OF(deadline_ms, loop_now_ms(d->loop) + z->options->timeout_ms);
    if (inquiry_start(d->inquiries, &part->wait, str_of((const char *)&key, sizeof key), deadline_ms, &value, on_part,
                      part) == STARTED)
        return STARTED;
    fill(part->answer, value, part->counters);
    return DONE;
}

enum started dnsbl_start(struct dnsbl_check *check, struct dnsbl *d, const struct ip *client, const unsigned *zones,
                         struct dnsbl_answer *answers, size_t count, int64_t deadline_ms, void (*on_answers)(void *arg),
                         void *arg)
{
    *check = (struct dnsbl_check){.count = count, .on_answers = on_answers, .arg = arg};
    check->parts = count ? calloc(count, sizeof check->parts[0]) : NULL;
    for (size_t i = 0; i < count; i++) {
        if (!check->parts) {
            fill(&answers[i], STR_NONE, d->counters);
            continue;
        }
        check->parts[i].check = check;
        check->parts[i].answer = &answers[i];
        check->left += start_part(&check->parts[i], d, client, zones[i], deadline_ms) == STARTED;
    }
    if (check->left > 0)
        return STARTED;
    free(check->parts);
    check->parts = NULL;
    return DONE;
}

void dnsbl_cancel(struct dnsbl_check *check)
{
    for (size_t i = 0; check->parts && i < check->count; i++)
        inquiry_cancel(&check->parts[i].wait);
    free(check->parts);
    check->parts = NULL;
}

/* ---- texts ---- */

static void take_text(struct dnsbl_text *t, struct str value)
{
    str_copy_into(t->text, sizeof t->text, value);
}

static void on_text_answer(void *arg, struct str value)
{
    struct dnsbl_text *t = arg;
    take_text(t, value);
    t->on_text(t->arg);
}

enum started dnsbl_text_start(struct dnsbl_text *t, struct dnsbl *d, const struct ip *client, unsigned zone,
                              int64_t deadline_ms, void (*on_text_)(void *arg), void *arg)
{
    enum dnsbl_result at_once;
    struct str value;
    *t = (struct dnsbl_text){.on_text = on_text_, .arg = arg};
    if (answer_at_once(&d->zones[zone], client, &at_once))
        return DONE;
    struct question_key key = make_key(d, KIND_TEXT, zone, client);
    deadline_ms = MIN_OF(deadline_ms, loop_now_ms(d->loop) + d->zones[zone].options->timeout_ms);
    if (inquiry_start(d->inquiries, &t->wait, str_of((const char *)&key, sizeof key), deadline_ms, &value,
                      on_text_answer, t) == STARTED)
        return STARTED;
    take_text(t, value);
    return DONE;
}

void dnsbl_text_cancel(struct dnsbl_text *t)
{
    inquiry_cancel(&t->wait);
}
