// uses: mta
/*
 * fuzz_mta_dialogue.c - a mad MTA, and a mail's owner who keeps to the contract but does what he may at any moment.
 *
 * The input is a list of steps: a byte below 'A' (or above 'Z') and what follows up to the next LF is sent by the MTA;
 * a letter is something the owner does, or a deadline that passes, or a connection that ends. Promises held: nothing
 * crashes or goes on for ever; no callback comes from inside a call, none after mta_end, none twice for one command;
 * the dot is on the wire only if the owner asked for it; and nothing is sent that was not composed here.
 */
#include <stdlib.h>

#include "../unit/mta/memory_links.h"
#include "base/log.h"
#include "base/panic.h"
#include "mta/exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct owner {
    struct mta_exchange x;
    struct mta_client client;
    struct arena arena;
    unsigned recipients, answered, accepted;
    bool has_mail, mail_is_told, has_data, may_send, has_dot, is_over, is_inside;
};

static struct owner O;
static struct mta_pool *pool;
static unsigned dots_asked, dots_seen;

/* ---- the owner ---- */

static void begin(void);

static void end(void)
{
    mta_end(&O.x);
    arena_fini(&O.arena);
    begin();
}

static void on_reply(void *arg, enum mta_step step, size_t index, const struct mta_reply *reply)
{
    PANIC_IF(arg != &O || O.is_inside, "a callback that must not be");
    PANIC_IF(reply->code < 200 || reply->code > 599 || reply->code == 421, "a code that no client may hear");
    switch (step) {
    case MTA_STEP_MAIL:
        PANIC_IF(!O.has_mail || O.mail_is_told, "MAIL told twice");
        O.mail_is_told = true;
        O.is_over = reply->code >= 400;
        break;
    case MTA_STEP_RCPT:
        PANIC_IF(index != O.answered || index >= O.recipients, "a recipient out of order");
        O.answered++;
        O.accepted += reply->code < 400;
        break;
    case MTA_STEP_DATA:
        PANIC_IF(!O.has_data || O.may_send, "DATA told twice");
        PANIC_IF(reply->code < 400 && reply->code != 354, "not a reply to DATA");
        O.may_send = reply->code == 354;
        O.is_over = !O.may_send;
        break;
    case MTA_STEP_DOT:
        PANIC_IF(!O.has_dot || O.is_over, "a verdict before the dot, or after it");
        O.is_over = true;
        break;
    }
    /* an owner whose mail is over may end it here; one in two does, by the first byte of the text */
    if (O.is_over && reply->text.len % 2)
        end();
}

static void on_drained(void *arg)
{
    PANIC_IF(arg != &O || O.is_inside || !O.may_send, "drained, but of what?");
}

static void on_failed(void *arg, enum mta_failure failure, const char *text)
{
    PANIC_IF(arg != &O || O.is_inside, "a failure that must not be");
    PANIC_IF(failure == MTA_UNKNOWN && !O.has_dot, "unknown, but no dot was sent");
    PANIC_IF(!text || !*text, "no cause");
    end();
}

static const struct mta_ops OPS = {on_reply, on_drained, on_failed};

static void begin(void)
{
    static uint32_t session;
    O = (struct owner){.client = {.port = 4711,
                                  .name = STR("host.example"),
                                  .helo = STR("laptop"),
                                  .login = STR("alice"),
                                  .id = STR("id"),
                                  .session = session++ / 2}};
    arena_init(&O.arena, 1 << 18);
    mta_begin(&O.x, pool, &O.client, &O.arena, &OPS, &O);
}

static void say_mail(bool needs_much)
{
    struct smtp_path from = {.whole = STR("a@example.org")};
    struct smtp_mail_params params = {.has_size = true, .size_bytes = 7, .has_auth = true, .auth = STR("alice")};
    if (needs_much) {
        params.body = SMTP_BODY_8BITMIME;
        params.smtputf8 = true;
    }
    if (O.has_mail || O.is_over)
        return;
    O.has_mail = mta_mail(&O.x, &from, &params);
}

static void say_rcpt(void)
{
    struct smtp_path to = {.whole = STR("b@example.net")};
    struct smtp_rcpt_params params = {.notify = SMTP_NOTIFY_NEVER * (O.recipients % 7 == 6)};
    if (O.has_mail && !O.has_data && !O.is_over && O.recipients < 200)
        O.recipients += mta_rcpt(&O.x, &to, &params);
}

static void say_data(void)
{
    if (O.has_data || O.is_over || O.accepted == 0 || O.answered < O.recipients)
        return;
    O.has_data = true;
    mta_data(&O.x);
}

static void say_body(void)
{
    if (O.may_send && !O.has_dot && !O.is_over && mta_unsent_bytes(&O.x) < MTA_HIGH_BYTES &&
        !mta_body(&O.x, STR("half a line, no dot at its head")))
        O.may_send = false; /* on_failed follows */
}

static void say_dot(void)
{
    if (!O.may_send || O.has_dot || O.is_over)
        return;
    O.has_dot = true;
    dots_asked++;
    mta_dot(&O.x, false);
}

/* ---- the stage ---- */

static struct loop loop;

/* Nothing but commands of ours and bodies of ours; a dot at a line's head only where it was asked for. */
static void check_sent(struct str sent)
{
    static const char *const COMMANDS[] = {
        "EHLO ", "HELO ",    "XCLIENT ", "XFORWARD ",       "MAIL FROM:<a@example.org>",
        "DATA",  "RSET",     "QUIT",     "RCPT TO:<b@exam", "half a line",
        ".",     "STARTTLS", ""};
    while (sent.len) {
        struct str line = str_split(sent, '\n', &sent);
        bool is_known = false;
        for (size_t i = 0; i < COUNT_OF(COMMANDS) && !is_known; i++)
            is_known = str_starts(line, str_of_z(COMMANDS[i]));
        PANIC_IF(!is_known, "sent what nobody composed: " PRI_STR, STR_ARG(line));
        dots_seen += line.len && line.ptr[0] == '.';
    }
    PANIC_IF(dots_seen > dots_asked, "a dot that nobody asked for");
}

/* The peer takes whole lines, so that check_sent sees them whole. */
static void take_sent(void)
{
    LIST_EACH(node, &pool->links)
    {
        struct mta_link *link = CONTAINER_OF(node, struct mta_link, node);
        struct str sent = link->has_conn ? conn_memory_sent(&link->conn) : STR_NONE;
        size_t end = str_find_last(sent, '\n');
        if (end == sent.len)
            continue;
        check_sent(str_sub(sent, 0, end + 1));
        conn_memory_take(&link->conn, end + 1);
        return; /* its owner may have changed the list */
    }
}

static struct mta_link *first_link(void)
{
    LIST_EACH(node, &pool->links)
    {
        struct mta_link *link = CONTAINER_OF(node, struct mta_link, node);
        if (link->has_conn && link->phase != MTA_LINK_LEAVING)
            return link;
    }
    return NULL;
}

static void act(char what)
{
    struct mta_link *link = first_link();
    O.is_inside = true;
    switch (what) {
    case 'M':
    case 'N':
        say_mail(what == 'N');
        break;
    case 'R':
        say_rcpt();
        break;
    case 'D':
        say_data();
        break;
    case 'B':
        say_body();
        break;
    case 'P': /* the period */
        say_dot();
        break;
    case 'E':
        end();
        break;
    default:
        break;
    }
    O.is_inside = false;
    if (what == 'C' && link)
        conn_memory_close(&link->conn);
    else if (what == 'T' && link && timer_is_running(&link->deadline))
        mta_link_on_deadline(link);
    else if (what == 'S')
        take_sent();
    else if (what == 'U')
        for (size_t i = 0; i < pool->server_count; i++)
            if (pool->servers[i].health == MTA_HEALTH_DOWN)
                mta_server_probe(&pool->servers[i]);
}

static size_t deliver(struct str rest)
{
    size_t len = MIN_OF(str_find(rest, '\n') + 1, rest.len);
    struct mta_link *link = first_link();
    if (link)
        conn_memory_deliver(&link->conn, str_sub(rest, 0, len));
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct endpoint SERVERS[2] = {{.kind = ENDPOINT_UNIX, .name = "/nonexistent/a"},
                                               {.kind = ENDPOINT_UNIX, .name = "/nonexistent/b"}};
    struct mta_pool_options options = {.name = "fuzz",
                                       .servers = SERVERS,
                                       .hostname = "mx.example.org",
                                       .tls = MTA_TLS_OFF,
                                       .idle_ms = 1000,
                                       .retry_down_ms = 1000,
                                       .connect_ms = 1000,
                                       .reply_ms = 1000};
    struct err err;
    if (size == 0)
        return 0;
    log_set_level(LOG_LEVEL_ERROR);
    options.server_count = 1 + (data[0] & 1);
    options.xclient = (enum mta_xclient)((data[0] >> 1 & 3) % 3);
    options.xforward = !(data[0] & 8);
    options.max_connections = 1 + (data[0] >> 4 & 1);
    PANIC_IF(!loop_init(&loop, &err), "no loop");
    dots_asked = dots_seen = 0;
    pool = mta_pool_new(&loop, &options, NULL, NULL, NULL);
    PANIC_IF(!pool, "no pool");
    begin();
    struct str rest = str_of((const char *)data + 1, size - 1);
    while (rest.len) {
        size_t used = 1;
        if (rest.ptr[0] >= 'A' && rest.ptr[0] <= 'Z')
            act(rest.ptr[0]);
        else
            used = deliver(rest);
        memory_links_connect(pool, &loop);
        loop_run_tasks(&loop);
        memory_links_connect(pool, &loop);
        rest = str_from(rest, used);
    }
    mta_end(&O.x);
    arena_fini(&O.arena);
    mta_pool_free(&pool);
    loop_run_tasks(&loop);
    loop_fini(&loop);
    return 0;
}
