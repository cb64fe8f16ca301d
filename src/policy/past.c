/* past.c - see past.h. */
#include "policy/past.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PAST_MAX_BYTES = 1 << 20 }; /* a line is far shorter (stats/event.h) */

/* ---- members ---- */

/* What a log that somebody else wrote may hold must not reach a terminal. False: no memory. */
static bool copy_clean(struct past *p, const json_t *v, struct str *to)
{
    struct str text = str_of(json_string_value(v), json_string_length(v));
    char *copy = arena_alloc(&p->arena, text.len + 1);
    if (!copy)
        return false;
    for (size_t i = 0; i < text.len; i++)
        copy[i] = (unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 127 ? '?' : text.ptr[i];
    *to = str_of(copy, text.len);
    return true;
}

/* What is no text, or not there, is empty. False: no memory. */
static bool get_text(struct past *p, const json_t *object, const char *name, struct str *to)
{
    const json_t *v = json_object_get(object, name);
    *to = STR_NONE;
    return !json_is_string(v) || copy_clean(p, v, to);
}

static uint64_t get_number(const json_t *object, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(object, name));
    return n > 0 ? (uint64_t)n : 0;
}

/* "2026-11-24T08:15:30.123456Z" */
static bool read_time(struct str text, int64_t *us)
{
    struct tm tm = {0};
    int micros = 0;
    char z[40];
    str_copy_into(z, sizeof z, text);
    if (sscanf(z, "%4d-%2d-%2dT%2d:%2d:%2d.%6dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
               &tm.tm_sec, &micros) != 7)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *us = (int64_t)timegm(&tm) * 1000000 + micros;
    return true;
}

static bool get_recipients(struct past *p, const json_t *line)
{
    const json_t *list = json_object_get(line, "recipients"), *v;
    size_t i, count = json_array_size(list);
    p->rcpts = arena_alloc(&p->arena, (count + 1) * sizeof *p->rcpts);
    if (!p->rcpts)
        return false;
    json_array_foreach(list, i, v)
    {
        if (json_is_string(v) && !copy_clean(p, v, &p->rcpts[p->rcpt_count++]))
            return false;
    }
    return true;
}

static bool get_counts(struct past *p, const json_t *line)
{
    const json_t *list = json_object_get(line, "limits"), *v;
    size_t i;
    p->counts = arena_alloc(&p->arena, (json_array_size(list) + 1) * sizeof *p->counts);
    if (!p->counts)
        return false;
    json_array_foreach(list, i, v)
    {
        struct past_count *c = &p->counts[p->count_count++];
        if (!get_text(p, v, "name", &c->name) || !get_text(p, v, "key", &c->key))
            return false;
        c->period_s = get_number(v, "period");
        c->limit = get_number(v, "limit");
        c->used = get_number(v, "used");
    }
    return true;
}

/* False: no memory. */
static bool get_all(struct past *p, const json_t *line, struct str *client, struct str *tls)
{
    const struct {
        const char *name;
        struct str *to;
    } TEXTS[] = {
        {"id", &p->id},           {"listener", &p->listener}, {"name", &p->name},     {"country", &p->country},
        {"helo", &p->helo},       {"user", &p->user},         {"sender", &p->sender}, {"from", &p->from},
        {"verdict", &p->verdict}, {"enhanced", &p->enhanced}, {"text", &p->text},     {"at", &p->at},
        {"by", &p->by},           {"client", client},         {"tls", tls},           {"message_id", &p->message_id},
    };
    for (size_t i = 0; i < COUNT_OF(TEXTS); i++)
        if (!get_text(p, line, TEXTS[i].name, TEXTS[i].to))
            return false;
    p->has_sender = json_is_string(json_object_get(line, "sender"));
    p->port = (uint16_t)get_number(line, "port");
    p->accepted = get_number(line, "accepted");
    p->refused = get_number(line, "refused");
    p->size_bytes = get_number(line, "size");
    p->code = (int)MIN_OF(get_number(line, "code"), (uint64_t)999);
    p->relay_code = (int)MIN_OF(get_number(line, "relay_code"), (uint64_t)999);
    return get_recipients(p, line) && get_counts(p, line);
}

/* ---- a line ---- */

static enum past_result read_line(struct past *p, const json_t *line, struct err *err)
{
    struct str event, time, client, tls;
    if (!get_text(p, line, "event", &event) || !get_text(p, line, "time", &time) || !get_all(p, line, &client, &tls)) {
        err_no_memory(err);
        return PAST_WRONG;
    }
    if (!str_equal(event, STR("mail")) && !str_equal(event, STR("connect")))
        return PAST_OTHER;
    p->kind = str_equal(event, STR("mail")) ? PAST_MAIL : PAST_CONNECT;
    p->is_tls = tls.len;
    if (!read_time(time, &p->time_us))
        err_set(err, "\"time\" is no time: \"" PRI_STR "\"", STR_ARG(time));
    else if (!ip_parse(client, &p->client))
        err_set(err, "\"client\" is no IP address: \"" PRI_STR "\"", STR_ARG(client));
    else if (p->verdict.len == 0)
        err_set(err, "there is no \"verdict\"");
    else
        return PAST_READ;
    return PAST_WRONG;
}

enum past_result past_read(struct past *p, struct str text, struct err *err)
{
    json_error_t error;
    enum past_result result = PAST_WRONG;
    *p = (struct past){.kind = PAST_MAIL};
    arena_init(&p->arena, PAST_MAX_BYTES);
    json_t *line = json_loadb(text.ptr, text.len, 0, &error);
    if (!line)
        err_set(err, "it is no JSON: %s", error.text);
    else if (!json_is_object(line))
        err_set(err, "it is no JSON object");
    else
        result = read_line(p, line, err);
    json_decref(line);
    return result;
}

void past_fini(struct past *p)
{
    arena_fini(&p->arena);
}

/* ---- a trial like it ---- */

static void set_headers(struct past *p, struct trial_settings *set)
{
    size_t n = 0;
    if (p->from.len)
        p->headers[n++] = (struct trial_header){STR("From"), p->from};
    if (p->message_id.len)
        p->headers[n++] = (struct trial_header){STR("Message-ID"), p->message_id};
    set->headers = p->headers;
    set->header_count = n;
}

static void set_listener(const struct past *p, struct trial *t)
{
    for (size_t i = 0; i < t->world->listener_count; i++)
        if (str_equal(t->world->listeners[i].name, p->listener))
            t->settings.listener = t->world->listeners[i].name;
}

void past_set(struct past *p, struct trial *t)
{
    struct trial_settings *set = &t->settings;
    time_t seconds = (time_t)(p->time_us / 1000000);
    struct tm tm;
    t->now_us = p->time_us;
    if (localtime_r(&seconds, &tm))
        t->utc_offset_s = tm.tm_gmtoff;
    set->client = p->client;
    set->port = p->port;
    set->helo = p->helo;
    set->is_tls = p->is_tls;
    set->user = p->user;
    set->has_sender = true;
    set->sender = p->sender;
    set->rcpts = p->rcpts;
    set->rcpt_count = p->rcpt_count;
    if (p->size_bytes)
        set->size_bytes = p->size_bytes;
    t->given.name = p->name;
    t->given.country = p->country;
    set_headers(p, set);
    set_listener(p, t);
}
