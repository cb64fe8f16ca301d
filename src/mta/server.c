/* server.c - the health of one server of a pool: up, down, what it can do. See pool_inside.h. */
#include "base/log.h"
#include "mta/pool_inside.h"
#include "mta/verdict.h"

static int64_t now_ms(const struct mta_server *s)
{
    return loop_now_ms(s->pool->loop);
}

/* A connection of its own is what finds out: no mail has to wait for a server that is perhaps still away. */
void mta_server_probe(struct mta_server *s)
{
    if (s->is_probing)
        return;
    struct mta_link *link = mta_link_open(s, NULL);
    if (!link) { /* no memory now: later */
        timer_start(&s->probe_timer, now_ms(s) + s->pool->options->retry_down_ms);
        return;
    }
    link->is_probe = true;
    s->is_probing = true;
}

static void on_probe_due(void *arg)
{
    mta_server_probe(arg);
}

void mta_server_init(struct mta_server *s, struct mta_pool *pool, size_t index)
{
    *s = (struct mta_server){.pool = pool, .endpoint = &pool->options->servers[index]};
    endpoint_format(s->endpoint, s->text);
    s->bit = UINT64_C(1) << index % 64; /* beyond 64 servers two share a bit: one failing passes over both */
    list_init(&s->idle);
    timer_init(&s->probe_timer, pool->loop, on_probe_due, s);
}

void mta_server_fini(struct mta_server *s)
{
    timer_cancel(&s->probe_timer);
}

/* A change of state is told once, in the log and as an event. */
static void tell(const struct mta_server *s, const char *why)
{
    const struct mta_pool *pool = s->pool;
    bool is_up = s->health == MTA_HEALTH_UP;
    if (is_up)
        log_info("relay %s: %s is up again", pool->options->name, s->text);
    else
        log_warning("relay %s: %s is down: %s; it is tried again every %u seconds", pool->options->name, s->text, why,
                    pool->options->retry_down_ms / 1000);
    if (!pool->events)
        return;
    event_begin(pool->events, "relay", loop_wall_us(pool->loop));
    event_z(pool->events, "pool", pool->options->name);
    event_z(pool->events, "server", s->text);
    event_z(pool->events, "state", is_up ? "up" : "down");
    event_z(pool->events, "text", why);
    event_end(pool->events);
}

void mta_server_is_up(struct mta_server *s, const struct mta_link *link)
{
    enum mta_health before = s->health;
    s->features = link->dialogue.features;
    s->is_known = true;
    s->health = MTA_HEALTH_UP;
    timer_start(&s->probe_timer, now_ms(s) + MTA_PROBE_MS);
    if (before == MTA_HEALTH_DOWN) {
        tell(s, NULL);
        mta_pool_serve_later(s->pool);
    }
}

void mta_server_failed(struct mta_server *s, const struct mta_link *link, bool soft, const char *why)
{
    unsigned others = s->ready_count - (link->is_counted_ready ? 1 : 0);
    if (soft && others > 0)
        return;
    enum mta_health before = s->health;
    s->health = MTA_HEALTH_DOWN;
    str_copy_into(s->why, sizeof s->why, str_of_z(why));
    timer_start(&s->probe_timer, now_ms(s) + s->pool->options->retry_down_ms);
    if (before != MTA_HEALTH_DOWN)
        tell(s, s->why);
    mta_pool_serve_later(s->pool); /* who waits may wait in vain now */
}

enum mta_tls mta_server_tls(const struct mta_server *s, const struct endpoint *address)
{
    const struct mta_pool_options *options = s->pool->options;
    enum mta_tls tls = options->tls;
    bool is_local = address->kind == ENDPOINT_UNIX || ip_is_loopback(&address->ip);
    if (is_local && !options->tls_was_set)
        tls = MTA_TLS_OFF;
    if (tls == MTA_TLS_MAY && (!s->pool->tls || s->plain_until_ms > now_ms(s)))
        tls = MTA_TLS_OFF;
    return tls;
}

void mta_server_alarm(struct mta_server *s, enum mta_state state, const struct smtp_answer *answer)
{
    struct mta_pool *pool = s->pool;
    struct mta_reply reply;
    if (!mta_verdict(state, answer, &reply) || pool->alarm_at_ms > now_ms(s))
        return;
    pool->alarm_at_ms = now_ms(s) + MTA_ALARM_MS;
    log_error("relay %s: %s answered %s with %u %s " PRI_STR
              "; mail is deferred: let it accept this host without TLS or login, or say how in the relay statement",
              pool->options->name, s->text, mta_state_name(state), answer->code, answer->enhanced,
              STR_ARG(answer->text));
}
