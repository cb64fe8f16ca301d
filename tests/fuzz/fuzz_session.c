// uses: session
// wraps: policy_ask_start policy_ask_cancel
/*
 * fuzz_session.c - a hostile client, and an MTA behind that may be anything.
 *
 * The input is a list of steps: a length byte and so many bytes from the client, or, where the high bit is set, an act:
 * the MTA answers well or in some odd way, goes away, takes what was sent; the client reads, goes, its deadline passes;
 * TLS is done; the auth process answers; the worker drains; rules take their time, or have had it; a tarpit ends; the
 * limits' store, which in some inputs answers later, does so. The session has a connection without a socket, so have
 * the links to the MTA.
 *
 * Promises held: nothing crashes, leaks or goes on for ever; the MTA hears only lines that may be heard, without
 * control characters; no 250 to a message that the MTA did not take; an open session always waits for something that
 * ends; after all, what is charged is what was taken.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../unit/limits/late_store.h"
#include "../unit/mta/memory_links.h"
#include "../unit/policy_of_text.h"
#include "../unit/session/wrapped_policy.h"
#include "auth/auth_message.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/panic.h"
#include "mta/exchange_inside.h"
#include "session/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ENTRIES = 1024 };

static const char RULES[] =
    "table local domains { example.net }\n"
    "limit open per client count open-connections { 2 }\n"
    "limit mails per client count messages { 5/1h }\n"
    "limit heads per client count recipients { 9/1h  if rcpt.domain in local }\n"
    "limit volume per client count bytes { 100K/1h }\n"
    "on helo {\n rule h tag name \"${helo}\"\n rule hd drop if helo = \"drop\"\n}\n"
    "on auth {\n rule a defer if auth.user = \"later\"\n}\n"
    "on login {\n rule l reject if user = \"no\"\n}\n"
    "on mail {\n rule m reject \"no ${sender} ${tag.name}\" if sender.local = \"no\"\n"
    " rule md disconnect if sender.local = \"bye\"\n rule ml log \"${sender}\"\n}\n"
    "on rcpt {\n rule r reject if rcpt.local like \"n*\"\n rule rd drop if rcpt.tag = \"drop\"\n}\n"
    "on data {\n rule d defer if mail.recipients > 4\n}\n"
    "on connect {\n rule ct tarpit 1s if client.port = 4712\n}\n"
    "on helo {\n rule ht tarpit 50s if helo = \"slow\"\n}\n"
    "on auth {\n rule at tarpit 2s if auth.user = \"slow\"\n}\n"
    "on rcpt {\n rule rt tarpit 2s if rcpt.local = \"slow\"\n rule rb ban client 1h if rcpt.local = \"ban\"\n}\n"
    "on header {\n rule x reject if header[\"X\"] = \"no\"\n rule xd drop if header[\"X\"] = \"drop\"\n"
    " rule xb disconnect if header.count[\"X\"] > 2\n rule xt tarpit 1s if header.from.domain = \"slow\"\n}\n"
    "on message {\n rule y defer if message.size > 300\n rule yx reject if header[\"Y\"] = \"no\"\n}\n"
    "limit errors per client count errors { 4/1h at 50% tarpit 1s at 200% disconnect }\n"
    "limit unknown per client count unknown-recipients { 2/1h at 50% tarpit 1s at 100% ban client 1h }\n"
    "limit guesses per client count guesses { 2/1h at 50% tarpit 1s }\n"
    "limit failures per user count auth-failures { 9/1h }\n"
    "limit traps per client count charges { 9/1h }\n"
    "limit refused per client count refusals { 9/1h at 100% disconnect }\n"
    "on mail {\n rule mc charge traps 2, tag trap if sender.local = \"trap\"\n"
    " rule mu log if used(traps) > 0 or used(mails) > 3\n rule mk log if not client.known\n}\n"
    "on result {\n rule z log \"${result.text}\" if result.code = 250\n}\n";

static struct loop loop;
static struct policy *policy;
static struct config config;
static void *memory;
static struct store store;
static bool is_store_late;
static struct limiter limiter;
static struct event_log events;
static struct counters counters;
static struct mta_pool *pool;
static struct session_worker worker;
static struct session *session;
static struct auth_client *auth;
static int auth_ends[2];
static struct listener_config listener;
static unsigned dots_answered, accepted; /* messages: the MTA said 250 to; the client heard 250 for */

/* ---- rules that take their time ---- */

enum { HELD_MAX = 4 };
static struct held {
    struct policy_engine *engine;
    enum phase phase;
    struct policy_case *question; /* NULL: free */
    struct policy_answer *answer;
    void (*cb)(void *arg);
    void *arg;
} held[HELD_MAX];
static bool are_slow;

enum started __wrap_policy_ask_start(struct policy_engine *engine, enum phase phase, struct policy_case *question,
                                     struct policy_answer *answer, int64_t deadline_ms, void (*cb)(void *arg),
                                     void *arg)
{
    for (size_t i = 0; are_slow && i < HELD_MAX; i++)
        if (!held[i].question) {
            held[i] = (struct held){engine, phase, question, answer, cb, arg};
            return STARTED;
        }
    return __real_policy_ask_start(engine, phase, question, answer, deadline_ms, cb, arg);
}

void __wrap_policy_ask_cancel(struct policy_engine *engine, struct policy_case *question)
{
    for (size_t i = 0; i < HELD_MAX; i++)
        if (held[i].question == question) {
            held[i].question = NULL;
            return;
        }
    PANIC_IF(!is_store_late || !question->outside.waiting, "a question that nobody asks is cancelled");
    __real_policy_ask_cancel(engine, question);
}

static void answer_held(void)
{
    for (size_t i = 0; i < HELD_MAX; i++) {
        struct held h = held[i];
        if (!h.question)
            continue;
        held[i].question = NULL;
        if (__real_policy_ask_start(h.engine, h.phase, h.question, h.answer, 0, h.cb, h.arg) == DONE)
            h.cb(h.arg);
        else
            PANIC_IF(!is_store_late, "it waits");
    }
}

/* ---- limits that take their time ---- */

static bool store_is_asked(void)
{
    return is_store_late && late_waits(&store);
}

static void answer_store(bool all, bool fails)
{
    if (!store_is_asked())
        return;
    late_of(&store)->fails = fails;
    if (all)
        late_answer_all(&store);
    else
        late_answer(&store, false);
    late_of(&store)->fails = false;
}

/* ---- once ---- */

static void compile_rules(void)
{
    char why[256];
    policy = policy_of_text(RULES, why, sizeof why);
    PANIC_IF(!policy, "%s", why);
}

/* ---- the MTA ---- */

static struct mta_link *busy_link(void)
{
    struct mta_link *any = NULL;
    LIST_EACH(node, &pool->links)
    {
        struct mta_link *link = CONTAINER_OF(node, struct mta_link, node);
        if (!link->has_conn || link->phase == MTA_LINK_LEAVING)
            continue;
        if (link->exchange)
            return link;
        any = link;
    }
    return any;
}

/* Commands are composed here, never copied: no control character of a client is in them. */
static void check_sent(const struct mta_link *link, struct str sent)
{
    bool is_of_commands = link->exchange && link->exchange->state == MTA_EX_COMMANDS;
    while (is_of_commands && sent.len) {
        struct str line = str_split(sent, '\n', &sent);
        PANIC_IF(line.len == 0 || line.ptr[line.len - 1] != '\r', "a command that is no line");
        PANIC_IF(str_has_control(str_sub(line, 0, line.len - 1)), "a command with a control character");
    }
}

static void say(struct mta_link *link, const char *text)
{
    conn_memory_deliver(&link->conn, str_of_z(text));
}

/* Answers what is due, well or with the refusal. */
static void answer(const char *instead)
{
    struct mta_link *link = busy_link();
    if (!link)
        return;
    struct str sent = conn_memory_sent(&link->conn);
    check_sent(link, sent);
    if (sent.len)
        conn_memory_take(&link->conn, sent.len);
    link = busy_link();
    if (!link)
        return;
    enum mta_state place = link->exchange && link->phase == MTA_LINK_READY ? mta_exchange_place(link->exchange)
                                                                           : (enum mta_state)link->state;
    if (link->phase == MTA_LINK_READY && !link->exchange)
        return;
    if (instead) {
        dots_answered += place == MTA_AT_DOT && *instead == '2';
        say(link, instead);
    } else if (place == MTA_AT_GREETING) {
        say(link, "220 mx ESMTP\r\n");
    } else if (place == MTA_AT_EHLO) {
        say(link, "250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250-XFORWARD NAME ADDR "
                  "HELO\r\n250 SIZE 50000\r\n");
    } else if (place == MTA_AT_DATA) {
        say(link, "354 go on\r\n");
    } else if (place != MTA_AT_BODY && place != MTA_AT_READY) {
        dots_answered += place == MTA_AT_DOT;
        say(link, "250 2.0.0 taken\r\n");
    }
}

static void lose_link(void)
{
    struct mta_link *link = busy_link();
    if (link)
        conn_memory_close(&link->conn);
}

static void time_out_link(void)
{
    struct mta_link *link = busy_link();
    if (link && timer_is_running(&link->deadline))
        mta_link_on_deadline(link);
}

/* ---- the client ---- */

static bool is_there(void)
{
    return worker.session_count > 0;
}

/* What the client reads: counts the messages that it is told were taken. */
static void client_reads(void)
{
    if (!is_there())
        return;
    struct str sent = conn_memory_sent(&session->conn);
    struct str rest = sent;
    while (rest.len) {
        struct str line = str_split(rest, '\n', &rest);
        PANIC_IF(line.len < 4 || line.ptr[line.len - 1] != '\r', "a reply that is no line: " PRI_STR, STR_ARG(line));
        PANIC_IF(str_has_control(str_sub(line, 0, line.len - 1)), "a reply with a control character");
        PANIC_IF(line.ptr[0] < '2' || line.ptr[0] > '5', "a reply without a code: " PRI_STR, STR_ARG(line));
        accepted += str_starts(line, STR("250 2.0.0 taken ("));
    }
    PANIC_IF(accepted > dots_answered, "250 for a message that the MTA did not take");
    conn_memory_take(&session->conn, sent.len);
}

static void pass_deadline(void)
{
    if (is_there() && conn_is_open(&session->conn))
        conn_memory_deadline(&session->conn);
}

static void client_goes(void)
{
    if (is_there() && conn_is_open(&session->conn))
        conn_memory_close(&session->conn);
}

/* Somebody will end every wait: a deadline of the client's, of the MTA's, of the auth process's. */
static void check_wait(void)
{
    if (!is_there() || !conn_is_open(&session->conn) || session->state == SESSION_CLOSING)
        return;
    bool mta_owes = session->tx && (session->tx->slots || session->wait == WAIT_DATA || session->wait == WAIT_DOT ||
                                    session->wait == WAIT_RELAY);
    bool is_awaited = timer_is_running(&session->conn.deadline) || mta_owes || session->wait == WAIT_AUTH ||
                      session->wait == WAIT_POLICY || session->wait == WAIT_COUNTS;
    bool is_asking = session->ask || store_is_asked();
    PANIC_IF(session->wait == WAIT_POLICY && !is_asking, "a session that waits for no question");
    PANIC_IF(session->wait == WAIT_COUNTS && !session->count_count, "a session that waits for no count");
    PANIC_IF((session->wait == WAIT_TARPIT) != (session->delay != NULL), "a session that waits for no delay");
    PANIC_IF(!is_awaited, "a session in state %u, wait %u that nobody ends", session->state, session->wait);
}

static void connect_client(unsigned kind)
{
    static const struct ip CLIENT = {.family = ADDR_IPV4, .bytes = {192, 0, 2, 7}};
    listener = (struct listener_config){
        .name = STR("fuzz"), .tls = (enum listener_tls)(kind & 3), .auth = (enum listener_auth)((kind >> 2 & 3) % 3)};
    session = session_new(&worker, &listener, &CLIENT, 4711);
    PANIC_IF(!session, "no session");
    conn_init_memory(&session->conn, &loop, &session_conn_ops, &session_conn_limits);
    session_begin(session);
}

/* ---- the auth process ---- */

static void answer_auth(enum auth_result result)
{
    char space[AUTH_MESSAGE_MAX_BYTES];
    struct auth_message m;
    while (auth_message_receive(auth_ends[1], space, &m) == IO_OK) {
        struct auth_message reply = {.kind = AUTH_MESSAGE_ANSWER, .id = m.id, .result = result, .users_version = 1};
        if (m.kind != AUTH_MESSAGE_REQUEST)
            continue;
        if (result == AUTH_OK)
            reply.user = m.user;
        PANIC_IF(auth_message_send(auth_ends[1], &reply) != IO_OK, "no answer can be sent");
    }
    loop_run_once(&loop, 0);
}

/* ---- acts ---- */

static void act(unsigned what)
{
    static const char *const ODD[] = {"250 2.0.0 taken\r\n",
                                      "450 4.2.1 Later\r\n",
                                      "550 5.1.1 No\r\n",
                                      "421 4.3.2 Bye\r\n",
                                      "354 go on\r\n",
                                      "xyzzy\r\n",
                                      "250-",
                                      "\r\n",
                                      "503 5.5.1 ?\r\n",
                                      "550-a\r\n550 b\r\n"};
    switch (what & 31) {
    case 0:
    case 1:
    case 2:
    case 3:
        answer(NULL);
        break;
    case 4:
        for (int i = 0; i < 20; i++) {
            answer(NULL);
            memory_links_connect(pool, &loop);
            loop_run_tasks(&loop);
            answer_store(true, false);
        }
        break;
    case 5:
        lose_link();
        break;
    case 6:
        time_out_link();
        break;
    case 7:
        client_reads();
        break;
    case 8:
        client_goes();
        break;
    case 9:
        pass_deadline();
        break;
    case 10:
        if (is_there() && conn_is_open(&session->conn))
            conn_memory_finish_tls(&session->conn, what & 32);
        break;
    case 11:
        answer_auth(what & 32 ? AUTH_OK : AUTH_WRONG);
        break;
    case 12:
        if (!worker.is_draining)
            session_drain(&worker);
        break;
    case 13:
        session_close_all(&worker);
        break;
    case 14:
        if (!is_there())
            connect_client(what >> 5);
        break;
    case 15:
        for (size_t i = 0; i < pool->server_count; i++)
            if (pool->servers[i].health == MTA_HEALTH_DOWN)
                mta_server_probe(&pool->servers[i]);
        break;
    case 29:
        answer_store(what & 32, what & 64);
        break;
    case 16:
        answer(""); /* takes what was sent, says nothing */
        break;
    case 30:
        are_slow = !are_slow && (what & 32);
        answer_held();
        break;
    case 31:
        if (is_there() && session->delay)
            session_delay_end(session);
        break;
    default:
        answer(ODD[(what & 15) % COUNT_OF(ODD)]);
        break;
    }
}

/* ---- an input ---- */

static void open_stage(uint8_t kind)
{
    static const struct endpoint SERVER = {.kind = ENDPOINT_UNIX, .name = "/nonexistent/a"};
    static const struct mta_pool_options OPTIONS = {.name = "fuzz",
                                                    .servers = &SERVER,
                                                    .server_count = 1,
                                                    .hostname = "mx.example.org",
                                                    .tls = MTA_TLS_OFF,
                                                    .xforward = true,
                                                    .max_connections = 2,
                                                    .idle_ms = 1000,
                                                    .retry_down_ms = 1000,
                                                    .connect_ms = 1000,
                                                    .reply_ms = 1000};
    static struct mta_pool *pools[1];
    struct err err;
    PANIC_IF(!loop_init(&loop, &err), "no loop");
    event_log_init(&events, -1, "mx", &counters);
    PANIC_IF(!store_memory_init(memory, ENTRIES, &err), "no store");
    const struct store_options options = {.memory = memory, .owner = 1};
    is_store_late = kind & 16;
    PANIC_IF(!store_open(&store, is_store_late ? &late_store_ops : &store_memory_ops, &options, &err) ||
                 !limiter_init(&limiter, &store),
             "no limits");
    if (is_store_late)
        late_of(&store)->remembers = true;
    pools[0] = pool = mta_pool_new(&loop, &OPTIONS, NULL, NULL, &events);
    PANIC_IF(!pool || !auth_channel_open(auth_ends, &err), "no pool");
    const struct auth_client_options auth_options = {.channel = auth_ends[0]};
    auth = auth_client_new(&loop, &auth_options, &err);
    PANIC_IF(!auth, "no auth client");
    memset(&counters, 0, sizeof counters);
    worker = (struct session_worker){.loop = &loop,
                                     .config = &config,
                                     .tls = (struct tls_context *)&loop, /* only pretended */
                                     .auth = auth,
                                     .pools = pools,
                                     .policy = {policy, &limiter},
                                     .events = &events,
                                     .counters = &counters,
                                     .max_sessions = 4,
                                     .max_tarpits = 2};
    session_worker_init(&worker);
    dots_answered = accepted = 0;
    are_slow = false;
    mta_pool_start(pool, NULL, NULL);
    for (int i = 0; i < 4; i++) {
        memory_links_connect(pool, &loop);
        loop_run_tasks(&loop);
        answer(NULL);
    }
    connect_client(kind);
}

/* Each mail that was taken, or may have been, is charged; nothing else is. */
static void check_charged(void)
{
    static const struct rate RATE = {1000, 3600};
    static const struct limit LIMIT = {.name = STR("probe"),
                                       .unit = UNIT_MESSAGES,
                                       .rates = &RATE,
                                       .rate_count = 1,
                                       .thresholds = &limit_default_threshold,
                                       .threshold_count = 1};
    struct charge charge = {.limit = &LIMIT, .entity = STR("i:192.0.2.7")};
    struct reservation r;
    struct arena arena;
    arena_init(&arena, 1 << 16);
    PANIC_IF(!reservation_init(&r, &arena, &charge, 1), "no memory");
    limiter_peek(&limiter, &r, &charge, 1, clock_wall_us());
    uint64_t charged = r.readings[0].take->used[COLUMN_MESSAGES];
    uint64_t taken = counters.values[COUNTER_MAILS_ACCEPTED] + counters.values[COUNTER_MAILS_UNKNOWN];
    PANIC_IF(charged != taken, "%llu mails are charged, %llu were taken", (unsigned long long)charged,
             (unsigned long long)taken);
    arena_fini(&arena);
}

static void close_stage(void)
{
    session_close_all(&worker);
    loop_run_tasks(&loop);
    while (store_is_asked()) { /* what happened is counted, whoever is gone */
        answer_store(true, false);
        loop_run_tasks(&loop);
    }
    check_charged();
    if (is_there())
        conn_memory_close(&session->conn);
    loop_run_tasks(&loop);
    PANIC_IF(worker.session_count, "a session that does not end");
    PANIC_IF(counters.values[COUNTER_OPEN_CONNECTIONS], "a connection counted for ever");
    PANIC_IF(counters.values[COUNTER_TARPITS] || worker.tarpit_count, "a delay counted for ever");
    for (size_t i = 0; i < HELD_MAX; i++)
        PANIC_IF(held[i].question, "a question that nobody cancelled");
    auth_client_free(&auth);
    close(auth_ends[0]);
    close(auth_ends[1]);
    mta_pool_free(&pool);
    loop_run_tasks(&loop);
    limiter_fini(&limiter);
    store_close(&store);
    store_memory_fini(memory);
    event_log_fini(&events);
    loop_fini(&loop);
}

static void begin_process(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    memory = aligned_alloc(64, (store_memory_size(ENTRIES) + 63) / 64 * 64);
    PANIC_IF(!memory, "no memory");
    compile_rules();
    config = (struct config){.hostname = "mx.example.org",
                             .max_recipients = 20,
                             .max_errors = 20,
                             .max_message_bytes = 60000,
                             .max_header_bytes = 4000,
                             .max_line_bytes = 1000,
                             .timeout = {30000, 300000, 180000, 3600000, 15000, 30000, 10000, 300000},
                             .ipv4_prefix = 24,
                             .ipv6_prefix = 56,
                             .policy = policy};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!policy)
        begin_process();
    if (size < 2)
        return 0;
    open_stage(data[0]);
    for (size_t at = 1; at < size;) {
        uint8_t step = data[at++];
        if (step & 0x80) {
            act(step & 0x7f);
        } else {
            size_t n = MIN_OF((size_t)step, size - at);
            if (is_there() && conn_is_open(&session->conn))
                conn_memory_deliver(&session->conn, str_of((const char *)data + at, n));
            at += n;
        }
        memory_links_connect(pool, &loop);
        loop_run_tasks(&loop);
        memory_links_connect(pool, &loop);
        check_wait();
    }
    client_reads();
    close_stage();
    return 0;
}
