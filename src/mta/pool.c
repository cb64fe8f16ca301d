/*
 * pool.c - which connection a mail gets. See pool.h, pool_inside.h.
 *
 *   place:  a server that is up (by turns, or the least busy) ─▶ an idle connection of it
 *                                                             ─▶ a new one, if there may be more
 *                                                             ─▶ any other server's idle one
 *                                                             ─▶ a new one instead of an idle one that cannot serve
 *                                                             ─▶ the queue, for connect_ms
 *           no server is up                                   ─▶ failed at once
 *
 * The queue is served in order, at the end of the turn in which something changed. All wait equally long, so one timer
 * for its head is enough.
 */
#include "mta/pool.h"

#include <stdlib.h>

#include "base/panic.h"
#include "mta/exchange_inside.h"
#include "mta/pool_inside.h"

static struct mta_exchange *exchange_of(struct list *node)
{
    return CONTAINER_OF(node, struct mta_exchange, waiting);
}

static struct mta_link *idle_link_of(struct list *node)
{
    return CONTAINER_OF(node, struct mta_link, idle_node);
}

struct counters *mta_pool_counters(const struct mta_pool *pool)
{
    return pool->events ? pool->events->counters : NULL;
}

/* ---- choosing ---- */

static bool is_usable(const struct mta_server *s, const struct mta_exchange *x)
{
    return s->health != MTA_HEALTH_DOWN && !(x->tried & s->bit);
}

static struct mta_server *choose_server(struct mta_pool *pool, const struct mta_exchange *x)
{
    struct mta_server *chosen = NULL;
    for (size_t i = 0; i < pool->server_count; i++) {
        struct mta_server *s = &pool->servers[(pool->next_server + i) % pool->server_count];
        if (!is_usable(s, x))
            continue;
        if (!chosen || s->busy_count < chosen->busy_count)
            chosen = s;
        if (pool->options->balance == MTA_ROUND_ROBIN)
            break;
    }
    if (chosen) /* ties of the least busy go by turns too */
        pool->next_server = (size_t)(chosen - pool->servers) + 1;
    return chosen;
}

/* An idle connection that may carry this client's mail: one that XCLIENT gave to a client carries only its. */
static struct mta_link *find_idle(struct mta_server *s, const struct mta_exchange *x)
{
    if (x->wants_fresh_link)
        return NULL;
    LIST_EACH(node, &s->idle)
    {
        struct mta_link *link = idle_link_of(node);
        if (!link->dialogue.is_presented || link->session == x->client->session)
            return link;
    }
    return NULL;
}

static struct mta_link *find_idle_anywhere(struct mta_pool *pool, const struct mta_exchange *x)
{
    for (size_t i = 0; i < pool->server_count; i++) {
        struct mta_link *link = is_usable(&pool->servers[i], x) ? find_idle(&pool->servers[i], x) : NULL;
        if (link)
            return link;
    }
    return NULL;
}

static bool has_room(const struct mta_pool *pool)
{
    return pool->link_count < pool->options->max_connections;
}

/* Makes room by sending the longest idle connection of some server away. */
static bool make_room(struct mta_pool *pool)
{
    for (size_t i = 0; i < pool->server_count && !has_room(pool); i++)
        if (!list_is_empty(&pool->servers[i].idle))
            mta_link_quit(idle_link_of(pool->servers[i].idle.prev));
    return has_room(pool);
}

enum placed { PLACED, NOT_NOW, NO_SERVER };

static enum placed try_to_place(struct mta_pool *pool, struct mta_exchange *x)
{
    struct mta_server *server = choose_server(pool, x);
    if (!server)
        return NO_SERVER;
    struct mta_link *link = find_idle(server, x);
    if (!link && !has_room(pool))
        link = find_idle_anywhere(pool, x);
    if (link) {
        mta_link_take(link, x);
        return PLACED;
    }
    if (!has_room(pool) && !make_room(pool))
        return NOT_NOW;
    if (!mta_link_open(server, x))
        mta_exchange_fail(x, MTA_UNAVAILABLE, "out of memory");
    return PLACED;
}

/* The cause of its last try, if it had one; else why the servers are down. */
static void fail_without_server(struct mta_pool *pool, struct mta_exchange *x)
{
    const char *why = "no server is up";
    if (x->failure_text) {
        mta_exchange_fail(x, (enum mta_failure)x->failure, x->failure_text);
        return;
    }
    mta_pool_is_down(pool, &why);
    mta_exchange_fail(x, MTA_UNAVAILABLE, why);
}

/* ---- the queue ---- */

static void await_queue(struct mta_pool *pool)
{
    if (list_is_empty(&pool->waiting))
        timer_cancel(&pool->waiting_timer);
    else
        timer_start(&pool->waiting_timer, exchange_of(pool->waiting.next)->waits_until_ms);
}

static void enqueue(struct mta_pool *pool, struct mta_exchange *x)
{
    x->waits_until_ms = loop_now_ms(pool->loop) + pool->options->connect_ms;
    list_add_last(&pool->waiting, &x->waiting);
    await_queue(pool);
}

void mta_pool_leave_queue(struct mta_pool *pool, struct mta_exchange *x)
{
    if (list_is_empty(&x->waiting))
        return;
    list_remove(&x->waiting);
    await_queue(pool);
}

void mta_pool_place(struct mta_pool *pool, struct mta_exchange *x)
{
    enum placed placed = list_is_empty(&pool->waiting) || x->wants_fresh_link ? try_to_place(pool, x) : NOT_NOW;
    if (placed == NO_SERVER)
        fail_without_server(pool, x);
    else if (placed == NOT_NOW)
        enqueue(pool, x);
}

static void serve(void *arg)
{
    struct mta_pool *pool = arg;
    while (!list_is_empty(&pool->waiting)) {
        struct mta_exchange *x = exchange_of(pool->waiting.next);
        list_remove(&x->waiting);
        enum placed placed = try_to_place(pool, x);
        if (placed == NOT_NOW) {
            list_add_first(&pool->waiting, &x->waiting);
            break;
        }
        if (placed == NO_SERVER)
            fail_without_server(pool, x);
    }
    await_queue(pool);
}

void mta_pool_serve_later(struct mta_pool *pool)
{
    if (!list_is_empty(&pool->waiting))
        task_defer(pool->loop, &pool->serve_task);
}

static void on_waited_enough(void *arg)
{
    struct mta_pool *pool = arg;
    while (!list_is_empty(&pool->waiting)) {
        struct mta_exchange *x = exchange_of(pool->waiting.next);
        if (x->waits_until_ms > loop_now_ms(pool->loop))
            break;
        list_remove(&x->waiting);
        mta_exchange_fail(x, MTA_UNAVAILABLE, "all connections to it are in use");
    }
    await_queue(pool);
}

/* ---- links without work ---- */

/* What the server could hold against it: too many mails, too many errors, too old, something said that nobody asked. */
static bool is_worn(const struct mta_pool *pool, const struct mta_link *link)
{
    return link->mail_count >= MTA_LINK_MAX_MAILS || link->error_count >= MTA_LINK_MAX_ERRORS ||
           loop_now_ms(pool->loop) - link->opened_at_ms >= MTA_LINK_MAX_AGE_MS;
}

void mta_pool_give(struct mta_pool *pool, struct mta_link *link)
{
    bool is_presented = link->dialogue.is_presented;
    if (conn_input(&link->conn).len > 0) {
        mta_link_close(link);
    } else if (is_worn(pool, link) || (is_presented && !list_is_empty(&pool->waiting))) {
        mta_link_quit(link);
    } else {
        unsigned idle_ms = pool->options->idle_ms;
        if (is_presented)
            idle_ms = MIN_OF(idle_ms, (unsigned)MTA_PRESENTED_IDLE_MS);
        mta_link_rest(link, MIN_OF(loop_now_ms(pool->loop) + idle_ms, link->opened_at_ms + MTA_LINK_MAX_AGE_MS));
        mta_pool_serve_later(pool);
    }
}

static void bury(void *arg)
{
    struct mta_pool *pool = arg;
    LIST_EACH(node, &pool->dead)
    mta_link_free(CONTAINER_OF(node, struct mta_link, node));
}

/* ---- life ---- */

static void tell_probed(void *arg)
{
    struct mta_pool *pool = arg;
    void (*on_probed)(void *) = pool->on_probed;
    pool->on_probed = NULL;
    timer_cancel(&pool->probed_timer);
    if (on_probed)
        on_probed(pool->on_probed_arg);
}

void mta_pool_probe_done(struct mta_pool *pool)
{
    for (size_t i = 0; i < pool->server_count; i++)
        if (!pool->servers[i].was_probed)
            return;
    if (pool->on_probed)
        timer_start(&pool->probed_timer, loop_now_ms(pool->loop)); /* from the loop, not from inside of a link */
}

struct mta_pool *mta_pool_new(struct loop *l, const struct mta_pool_options *options, struct resolver *resolver,
                              struct tls_context *tls, struct event_log *events)
{
    PANIC_IF(options->server_count == 0 || options->max_connections == 0, "a pool without servers or connections");
    PANIC_IF(options->tls_was_set && options->tls >= MTA_TLS_REQUIRED && !tls, "a pool with TLS but no context");
    struct mta_pool *pool = calloc(1, sizeof *pool);
    struct mta_server *servers = calloc(options->server_count, sizeof *servers);
    if (!pool || !servers) {
        free(pool);
        free(servers);
        return NULL;
    }
    *pool = (struct mta_pool){.loop = l,
                              .options = options,
                              .resolver = resolver,
                              .tls = tls,
                              .events = events,
                              .servers = servers,
                              .server_count = options->server_count};
    list_init(&pool->links);
    list_init(&pool->dead);
    list_init(&pool->waiting);
    timer_init(&pool->waiting_timer, l, on_waited_enough, pool);
    timer_init(&pool->probed_timer, l, tell_probed, pool);
    task_init(&pool->serve_task, serve, pool);
    task_init(&pool->bury_task, bury, pool);
    buf_init(&pool->text, MTA_TEXT_BYTES);
    for (size_t i = 0; i < options->server_count; i++) {
        PANIC_IF(options->servers[i].kind == ENDPOINT_NAME && !resolver, "a server given by name but no resolver");
        mta_server_init(&servers[i], pool, i);
    }
    return pool;
}

void mta_pool_free(struct mta_pool **where)
{
    struct mta_pool *pool = *where;
    if (!pool)
        return;
    PANIC_IF(!list_is_empty(&pool->waiting), "a pool freed while mails wait in it");
    LIST_EACH(node, &pool->links)
    {
        struct mta_link *link = CONTAINER_OF(node, struct mta_link, node);
        PANIC_IF(link->exchange, "a pool freed while a mail is in it");
        mta_link_close(link);
    }
    bury(pool);
    for (size_t i = 0; i < pool->server_count; i++)
        mta_server_fini(&pool->servers[i]);
    task_cancel(&pool->serve_task);
    task_cancel(&pool->bury_task);
    timer_cancel(&pool->waiting_timer);
    timer_cancel(&pool->probed_timer);
    buf_fini(&pool->text);
    free(pool->servers);
    free(pool);
    *where = NULL;
}

void mta_pool_start(struct mta_pool *pool, void (*on_probed)(void *arg), void *arg)
{
    pool->on_probed = on_probed;
    pool->on_probed_arg = arg;
    timer_start(&pool->probed_timer, loop_now_ms(pool->loop) + pool->options->connect_ms);
    for (size_t i = 0; i < pool->server_count; i++)
        mta_server_probe(&pool->servers[i]);
}

/* ---- queries ---- */

struct mta_capabilities mta_pool_capabilities(const struct mta_pool *pool)
{
    struct mta_capabilities all = {.eightbitmime = true, .smtputf8 = true, .dsn = true};
    for (size_t i = 0; i < pool->server_count; i++) {
        const struct mta_server *s = &pool->servers[i];
        if (!s->is_known)
            continue;
        unsigned extensions = s->features.extensions;
        uint64_t size = s->features.size_bytes;
        all.known = true;
        all.eightbitmime &= (extensions & SMTP_EXT_8BITMIME) != 0;
        all.smtputf8 &= (extensions & SMTP_EXT_SMTPUTF8) != 0;
        all.dsn &= (extensions & SMTP_EXT_DSN) != 0;
        if (size && (all.size == 0 || size < all.size))
            all.size = size;
    }
    return all.known ? all : (struct mta_capabilities){0};
}

const char *mta_pool_name(const struct mta_pool *pool)
{
    return pool->options->name;
}

enum mta_health mta_pool_health(const struct mta_pool *pool, size_t server)
{
    return pool->servers[server].health;
}

bool mta_pool_is_down(const struct mta_pool *pool, const char **why)
{
    for (size_t i = 0; i < pool->server_count; i++)
        if (pool->servers[i].health != MTA_HEALTH_DOWN)
            return false;
    *why = pool->servers[0].why;
    return true;
}
