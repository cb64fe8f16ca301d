/* past.c - see past.h. */
#include "policy/past.h"

#include <stdlib.h>

#include "base/clock.h"

enum { PAST_MAX_BYTES = 16 << 20 }; /* the lists of the longest line take less */

/* Who is not known by name cannot be asked about. */
static bool list_rcpts(struct past *p)
{
    struct logged_rcpts all;
    if (!logged_recipients(p->event, &p->arena, &all))
        return false;
    p->rcpts = arena_alloc(&p->arena, all.count * sizeof *p->rcpts);
    for (size_t i = 0; p->rcpts && i < all.count; i++)
        if (all.items[i].len)
            p->rcpts[p->rcpt_count++] = all.items[i];
    return p->rcpts != NULL;
}

bool past_init(struct past *p, struct logged *event)
{
    *p = (struct past){.event = event};
    arena_init(&p->arena, PAST_MAX_BYTES);
    logged_clean(event);
    return list_rcpts(p) && logged_limits(event, &p->arena, &p->limits);
}

void past_fini(struct past *p)
{
    free(p->event);
    p->event = NULL;
    arena_fini(&p->arena);
}

/* ---- a trial like it ---- */

static void set_headers(struct past *p, struct trial_settings *set)
{
    size_t n = 0;
    if (p->event->from.len)
        p->headers[n++] = (struct trial_header){STR("From"), p->event->from};
    if (p->event->message_id.len)
        p->headers[n++] = (struct trial_header){STR("Message-ID"), p->event->message_id};
    set->headers = p->headers;
    set->header_count = n;
}

static void set_listener(const struct logged *p, struct trial *t)
{
    for (size_t i = 0; i < t->world->listener_count; i++)
        if (str_equal(t->world->listeners[i].name, p->listener))
            t->settings.listener = t->world->listeners[i].name;
}

void past_set(struct past *p, struct trial *t)
{
    const struct logged *e = p->event;
    struct trial_settings *set = &t->settings;
    t->now_us = e->time_us;
    t->utc_offset_s = clock_utc_offset_s(e->time_us / 1000000);
    set->client = e->client;
    set->port = e->port;
    set->helo = e->helo;
    set->is_tls = e->tls.len != 0;
    set->user = e->user;
    set->has_sender = true;
    set->sender = e->sender;
    set->rcpts = p->rcpts;
    set->rcpt_count = p->rcpt_count;
    if (e->size_bytes)
        set->size_bytes = e->size_bytes;
    t->given.name = e->name;
    t->given.country = e->country;
    set_headers(p, set);
    set_listener(e, t);
}
