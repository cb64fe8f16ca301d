/* auth_client.c - a worker's way to the auth process. See auth_client.h. */
#include "auth/auth_client.h"

#include <stdlib.h>
#include <string.h>

#include "auth/auth_message.h"
#include "auth/cache.h"
#include "base/hash.h"

enum { DEFAULT_CACHE_ENTRIES = 4096, MESSAGES_A_TURN = 64 };

struct auth_check {
    struct list node; /* in the client's free or running */
    struct auth_client *client;
    uint64_t id; /* a serial number, and in the lowest byte its place in checks[]; 0: not running */
    struct timer deadline;
    auth_cb on_answer;
    void *arg;
    struct auth_cache_key cache_key;
    bool has_cache_key;
};

struct auth_client {
    struct loop *loop;
    int fd;
    bool is_closed;
    bool owes_hello; /* ours could not be sent yet */
    struct watch watch;
    struct auth_cache *cache; /* NULL: none */
    uint64_t incarnation;     /* of the auth process that was last heard; 0: none yet */
    uint64_t users_version;
    uint64_t serial;
    struct list free, running;
    struct auth_check checks[AUTH_CLIENT_CHECKS_MAX];
};

/* ---- checks ---- */

static struct auth_check *check_take(struct auth_client *c)
{
    if (list_is_empty(&c->free))
        return NULL;
    struct auth_check *check = LIST_FIRST(&c->free, struct auth_check, node);
    _Static_assert(AUTH_CLIENT_CHECKS_MAX <= 256, "a check's place is one byte of its id");
    do
        check->id = ++c->serial << 8 | (uint64_t)(check - c->checks);
    while (check->id == 0);
    list_remove(&check->node);
    list_add_last(&c->running, &check->node);
    return check;
}

static void check_release(struct auth_check *check)
{
    timer_cancel(&check->deadline);
    list_remove(&check->node);
    list_add_first(&check->client->free, &check->node);
    check->id = 0;
    explicit_bzero(&check->cache_key, sizeof check->cache_key);
}

/* NULL: an answer to nobody: too late, or to the predecessor of this process. */
static struct auth_check *check_find(struct auth_client *c, uint64_t id)
{
    size_t place = id & 0xff;
    return place < AUTH_CLIENT_CHECKS_MAX && id != 0 && c->checks[place].id == id ? &c->checks[place] : NULL;
}

/* Released first: the callback may start the next one. */
static void check_finish(struct auth_check *check, const struct auth_answer *answer)
{
    auth_cb on_answer = check->on_answer;
    void *arg = check->arg;
    check_release(check);
    on_answer(arg, answer);
}

static void on_deadline(void *arg)
{
    check_finish(arg, &(struct auth_answer){.result = AUTH_UNAVAILABLE});
}

/* All that are running now, but none that their callbacks start. */
static void fail_running(struct auth_client *c)
{
    struct list lost;
    list_init(&lost);
    while (!list_is_empty(&c->running)) {
        struct list *node = c->running.next;
        list_remove(node);
        list_add_last(&lost, node);
    }
    while (!list_is_empty(&lost))
        check_finish(LIST_FIRST(&lost, struct auth_check, node), &(struct auth_answer){.result = AUTH_UNAVAILABLE});
}

/* ---- the channel ---- */

static void channel_close(struct auth_client *c)
{
    c->is_closed = true;
    watch_set(&c->watch, false, false);
    fail_running(c);
}

static void say_hello(struct auth_client *c)
{
    c->owes_hello = auth_message_send(c->fd, &(struct auth_message){.kind = AUTH_MESSAGE_HELLO}) != IO_OK;
}

static void on_hello(struct auth_client *c, const struct auth_message *m)
{
    bool is_other = m->incarnation != c->incarnation, had_one = c->incarnation != 0;
    if (m->incarnation == 0)
        return;
    if (c->cache && (is_other || m->users_version != c->users_version))
        auth_cache_flush(c->cache);
    c->incarnation = m->incarnation;
    c->users_version = m->users_version;
    if (is_other && had_one)
        fail_running(c);
}

static void on_answer(struct auth_client *c, const struct auth_message *m)
{
    struct auth_check *check = check_find(c, m->id);
    if (!check)
        return;
    /* an answer from before a change of the users is true for this login, but no more to be remembered */
    if (m->result == AUTH_OK && check->has_cache_key && m->users_version == c->users_version)
        auth_cache_put(c->cache, &check->cache_key, m->user, loop_now_ms(c->loop));
    check_finish(check, &(struct auth_answer){.result = m->result, .user = m->user});
}

static void on_readable(void *arg, bool readable, bool writable)
{
    struct auth_client *c = arg;
    char space[AUTH_MESSAGE_MAX_BYTES];
    struct auth_message m;
    (void)writable;
    for (int i = 0; readable && i < MESSAGES_A_TURN && !c->is_closed; i++) {
        enum io_result r = auth_message_receive(c->fd, space, &m);
        if (r == IO_AGAIN)
            return;
        if (r != IO_OK)
            channel_close(c);
        else if (m.kind == AUTH_MESSAGE_HELLO)
            on_hello(c, &m);
        else if (m.kind == AUTH_MESSAGE_ANSWER)
            on_answer(c, &m);
    }
}

/* ---- life ---- */

struct auth_client *auth_client_new(struct loop *l, const struct auth_client_options *o, struct err *err)
{
    struct auth_client *c = calloc(1, sizeof *c);
    if (!c) {
        err_no_memory(err);
        return NULL;
    }
    c->loop = l;
    c->fd = o->channel;
    random_bytes(&c->serial, sizeof c->serial);
    list_init(&c->free);
    list_init(&c->running);
    for (size_t i = 0; i < AUTH_CLIENT_CHECKS_MAX; i++) {
        struct auth_check *check = &c->checks[i];
        check->client = c;
        timer_init(&check->deadline, l, on_deadline, check);
        list_add_last(&c->free, &check->node);
    }
    if (o->cache_ttl_ms > 0) {
        c->cache = auth_cache_new(o->cache_entries ? o->cache_entries : DEFAULT_CACHE_ENTRIES, o->cache_ttl_ms, err);
        if (!c->cache) {
            free(c);
            return NULL;
        }
    }
    watch_init(&c->watch, l, c->fd, on_readable, c);
    watch_set(&c->watch, true, false);
    say_hello(c);
    return c;
}

void auth_client_free(struct auth_client **client)
{
    struct auth_client *c = *client;
    *client = NULL;
    if (!c)
        return;
    watch_set(&c->watch, false, false);
    auth_cache_free(&c->cache);
    free(c);
}

/* ---- verbs ---- */

/* False: no user could have this name, no login this password; *result says which. Costs the same for every name. */
static bool is_possible(const struct auth_request *r, enum auth_result *result)
{
    struct err err;
    *result = AUTH_WRONG;
    if (r->password.len == 0 || r->password.len > AUTH_PASSWORD_MAX_BYTES ||
        str_find(r->password, '\0') < r->password.len)
        return false;
    *result = AUTH_UNKNOWN;
    return auth_name_check(r->user, &err);
}

/* Sends the request. False: that is not possible now. */
static bool ask(struct auth_client *c, const struct auth_check *check, const struct auth_request *r,
                int64_t deadline_ms)
{
    struct auth_message m = {.kind = AUTH_MESSAGE_REQUEST,
                             .id = check->id,
                             .deadline_ms = deadline_ms,
                             .user = r->user,
                             .password = r->password};
    if (c->owes_hello)
        say_hello(c);
    return auth_message_send(c->fd, &m) == IO_OK;
}

enum started auth_check_start(struct auth_client *c, const struct auth_request *request, int64_t deadline_ms,
                              struct auth_answer *answer, auth_cb on_done, void *arg, struct auth_check **handle)
{
    struct auth_cache_key key;
    enum auth_result impossible;
    *answer = (struct auth_answer){.result = AUTH_UNAVAILABLE};
    *handle = NULL;
    if (!is_possible(request, &impossible)) {
        answer->result = impossible;
        return DONE;
    }
    bool has_key = c->cache && auth_cache_key_make(c->cache, request->user, request->password, &request->network, &key);
    struct str known = has_key ? auth_cache_get(c->cache, &key, loop_now_ms(c->loop)) : STR_NONE;
    if (known.ptr) {
        *answer = (struct auth_answer){.result = AUTH_OK, .from_cache = true, .user = known};
        return DONE;
    }
    struct auth_check *check = c->is_closed || deadline_ms <= loop_now_ms(c->loop) ? NULL : check_take(c);
    if (!check)
        return DONE;
    check->on_answer = on_done;
    check->arg = arg;
    check->has_cache_key = has_key;
    if (has_key)
        check->cache_key = key;
    if (!ask(c, check, request, deadline_ms)) {
        check_release(check);
        return DONE;
    }
    timer_start(&check->deadline, deadline_ms);
    *handle = check;
    return STARTED;
}

void auth_cancel(struct auth_client *c, struct auth_check **handle)
{
    struct auth_check *check = *handle;
    *handle = NULL;
    if (!check)
        return;
    struct auth_message m = {.kind = AUTH_MESSAGE_CANCEL, .id = check->id};
    check_release(check);
    /* if it cannot be said, the login is judged for nobody: its deadline bounds that */
    enum io_result ignored = auth_message_send(c->fd, &m);
    (void)ignored;
}
