/* stage.c - see stage.h. */
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../limits/late_store.h"
#include "../mta/fake_mta.h"
#include "wrapped_policy.h"
#include "auth/auth_message.h"
#include "base/clock.h"
#include "net/conn_memory.h"
#include "policy_of_text.h"

enum { ENTRIES = 1024, GIVE_UP_MS = 3000, PORT = 4711 };

static struct stage {
    struct loop loop;
    struct session_worker worker;
    struct config config;
    struct listener_config listeners[2]; /* the second is that of `+` */
    char listener_name[32];
    struct policy *policy;
    struct mta_pool *pool;
    struct mta_pool_options pool_options;
    struct endpoint server;
    struct fake_mta mta;
    struct auth_client *auth;
    int auth_ends[2];
    struct watch auth_watch;
    bool auth_holds, client_reads_not;
    void *memory;
    struct store store;
    struct limiter limiter;
    struct event_log events;
    struct counters counters;
    int event_pipe[2];
    struct buf lines;   /* events not looked at yet */
    struct buf replies; /* what the client got and did not look at yet */
    struct buf last;    /* the reply it looked at last */
    struct session *session;
    unsigned others; /* clients that came before */
    char scripted[FAKE_MOMENTS][512];
    bool is_probed;

    const struct talk *talk;
    bool is_bytewise;
    bool is_late; /* the limits' store answers in a later turn */
    int line;     /* of the script */
    struct buf sending;
} S;

/* A question that takes its time. */
static struct held_question {
    bool is_on; /* questions of this phase are held */
    enum phase phase;
    struct policy_engine *engine;
    struct policy_case *question; /* NULL: none is held */
    struct policy_answer *answer;
    void (*cb)(void *arg);
    void *arg;
} pending;

/* Says where. */
static PRINTF_LIKE(1, 2) NORETURN void failed(const char *fmt, ...)
{
    char text[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fail_msg("%s%s%s, step %d: %s", S.talk->name, S.is_bytewise ? " (byte by byte)" : "",
             S.is_late ? " (the store answers later)" : "", S.line, text);
    abort();
}

/* Is the client at hand still connected? Its session is freed with its last byte. */
static bool is_there(void)
{
    return S.worker.session_count > S.others;
}

/* ---- the auth process ---- */

static void answer_auth(void)
{
    char space[AUTH_MESSAGE_MAX_BYTES];
    struct auth_message m;
    while (!S.auth_holds && auth_message_receive(S.auth_ends[1], space, &m) == IO_OK) {
        struct auth_message answer = {.kind = m.kind == AUTH_MESSAGE_HELLO ? AUTH_MESSAGE_HELLO : AUTH_MESSAGE_ANSWER,
                                      .id = m.id,
                                      .incarnation = 7,
                                      .users_version = 1};
        if (m.kind == AUTH_MESSAGE_CANCEL)
            continue;
        if (m.kind == AUTH_MESSAGE_REQUEST) {
            answer.incarnation = 0;
            answer.result = str_starts(m.user, STR("alice")) ? AUTH_WRONG : AUTH_UNKNOWN;
            if (str_equal(m.password, STR("secret"))) {
                answer.result = AUTH_OK;
                answer.user = m.user;
            }
        }
        assert_int_equal(auth_message_send(S.auth_ends[1], &answer), IO_OK);
    }
}

static void on_auth(void *arg, bool readable, bool writable)
{
    (void)arg, (void)readable, (void)writable;
    answer_auth();
}

/* ---- policy/ takes its time: the linker puts these before its own (CMakeLists.txt) ---- */

enum started __wrap_policy_ask_start(struct policy_engine *engine, enum phase phase, struct policy_case *question,
                                     struct policy_answer *answer, int64_t deadline_ms, void (*cb)(void *arg),
                                     void *arg)
{
    if (!pending.is_on || pending.phase != phase)
        return __real_policy_ask_start(engine, phase, question, answer, deadline_ms, cb, arg);
    if (pending.question)
        failed("two questions wait");
    pending = (struct held_question){true, phase, engine, question, answer, cb, arg};
    return STARTED;
}

void __wrap_policy_ask_cancel(struct policy_engine *engine, struct policy_case *question)
{
    if (question == pending.question)
        pending.question = NULL;
    else
        __real_policy_ask_cancel(engine, question);
}

static void hold_phase(struct str word)
{
    for (size_t i = 0; i < PHASE_COUNT; i++)
        if (str_equal(word, str_of_z(phase_rows[i].word))) {
            pending = (struct held_question){.is_on = true, .phase = (enum phase)i};
            return;
        }
    failed("no such phase: " PRI_STR, STR_ARG(word));
}

static void answer_held(bool is_wanted)
{
    struct held_question h = pending;
    pending = (struct held_question){0};
    if ((h.question != NULL) != is_wanted)
        failed(h.question ? "a question waits" : "no question waits");
    if (!h.question)
        return;
    if (__real_policy_ask_start(h.engine, h.phase, h.question, h.answer, 0, h.cb, h.arg) == DONE)
        h.cb(h.arg);
    else
        assert_true(S.is_late);
    loop_run_tasks(&S.loop);
}

/* The limits' store answers what waits, and all that comes. */
static void answer_store(bool is_wanted)
{
    if (late_waits(&S.store) != is_wanted)
        failed(is_wanted ? "the store is not asked" : "the store is asked");
    late_of(&S.store)->is_held = false;
    late_answer_all(&S.store);
    loop_run_tasks(&S.loop);
}

static void end_delay(bool is_wanted)
{
    if (!is_there())
        failed("the connection is closed");
    if ((S.session->delay != NULL) != is_wanted)
        failed(is_wanted ? "no reply is delayed" : "a reply is delayed");
    if (is_wanted)
        session_delay_end(S.session);
    loop_run_tasks(&S.loop);
}

/* ---- set up ---- */

static void compile_rules(const char *text)
{
    char why[1024];
    S.policy = policy_of_text(text ? text : "", why, sizeof why);
    if (!S.policy)
        failed("rules: %s", why);
}

static void set_config(const struct ground *g)
{
    S.config = (struct config){.hostname = "mx.example.org",
                               .max_recipients = g->max_recipients ? g->max_recipients : 1000,
                               .max_errors = g->max_errors ? g->max_errors : 10,
                               .max_message_bytes = g->max_message_bytes ? g->max_message_bytes : 1 << 20,
                               .max_header_bytes = g->max_header_bytes ? g->max_header_bytes : 1 << 16,
                               .max_line_bytes = 4096,
                               .timeout = {30000, 300000, 180000, 3600000, 15000, 30000, 10000, 300000},
                               .ipv4_prefix = 24,
                               .ipv6_prefix = 56,
                               .policy = S.policy};
}

static void on_probed(void *arg)
{
    (void)arg;
    S.is_probed = true;
}

static void turn(void)
{
    loop_run_once(&S.loop, 1);
    fake_drip(&S.mta);
}

static void open_pool(const struct ground *g)
{
    fake_start(&S.mta, &S.loop);
    if (g->mta_keywords)
        S.mta.keywords = g->mta_keywords;
    S.server = (struct endpoint){.kind = ENDPOINT_IP, .port = S.mta.port};
    assert_true(ip_parse(STR("127.0.0.1"), &S.server.ip));
    S.pool_options = (struct mta_pool_options){.name = "default",
                                               .servers = &S.server,
                                               .server_count = 1,
                                               .hostname = "mx.example.org",
                                               .xforward = true,
                                               .max_connections = 10,
                                               .idle_ms = 60000,
                                               .retry_down_ms = 60000,
                                               .connect_ms = 2000,
                                               .reply_ms = 60000};
    S.pool = mta_pool_new(&S.loop, &S.pool_options, NULL, NULL, &S.events);
    assert_non_null(S.pool);
    mta_pool_start(S.pool, on_probed, NULL);
    while (!S.is_probed)
        turn();
}

static void open_store(void)
{
    struct err err;
    S.memory = aligned_alloc(64, (store_memory_size(ENTRIES) + 63) / 64 * 64);
    assert_non_null(S.memory);
    memset(S.memory, 0, store_memory_size(ENTRIES));
    assert_true(store_memory_init(S.memory, ENTRIES, &err));
    const struct store_options options = {.memory = S.memory, .owner = 1};
    assert_true(store_open(&S.store, S.is_late ? &late_store_ops : &store_memory_ops, &options, &err));
    assert_true(limiter_init(&S.limiter, &S.store));
    if (!S.is_late)
        return;
    late_of(&S.store)->remembers = true;
    late_follow(&S.store, &S.loop, 0);
}

static void open_auth(void)
{
    struct err err;
    assert_true(auth_channel_open(S.auth_ends, &err));
    const struct auth_client_options options = {.channel = S.auth_ends[0]};
    S.auth = auth_client_new(&S.loop, &options, &err);
    assert_non_null(S.auth);
    watch_init(&S.auth_watch, &S.loop, S.auth_ends[1], on_auth, NULL);
    watch_set(&S.auth_watch, true, false);
}

static void open_stage(const struct ground *g)
{
    static struct mta_pool *pools[1];
    struct err err;
    log_set_level(LOG_LEVEL_ERROR);
    assert_true(loop_init(&S.loop, &err));
    assert_int_equal(pipe2(S.event_pipe, O_NONBLOCK | O_CLOEXEC), 0);
    event_log_init(&S.events, S.event_pipe[1], "mx.example.org", &S.counters);
    buf_init(&S.lines, 1 << 22);
    buf_init(&S.replies, 1 << 22);
    buf_init(&S.last, 1 << 20);
    buf_init(&S.sending, 1 << 22);
    compile_rules(g->rules);
    set_config(g);
    open_pool(g);
    open_store();
    open_auth();
    pools[0] = S.pool;
    S.worker = (struct session_worker){.loop = &S.loop,
                                       .config = &S.config,
                                       .tls = (struct tls_context *)&S, /* a connection in memory only pretends */
                                       .auth = S.auth,
                                       .pools = pools,
                                       .policy = {S.policy, &S.limiter},
                                       .events = &S.events,
                                       .counters = &S.counters,
                                       .max_sessions = 10,
                                       .max_tarpits = g->max_tarpits ? g->max_tarpits : 2};
    session_worker_init(&S.worker);
}

static void close_stage(void)
{
    session_close_all(&S.worker);
    loop_run_tasks(&S.loop);
    if (is_there())
        conn_memory_close(&S.session->conn);
    loop_run_tasks(&S.loop);
    if (S.is_late)
        late_of(&S.store)->is_held = false;
    while (S.is_late && late_waits(&S.store)) /* what happened is counted */
        answer_store(true);
    if (S.worker.session_count)
        failed("%u sessions are left", S.worker.session_count);
    assert_int_equal(S.counters.values[COUNTER_OPEN_CONNECTIONS], 0);
    assert_int_equal(S.counters.values[COUNTER_TARPITS], 0);
    assert_int_equal(S.worker.tarpit_count, 0);
    assert_null(pending.question);
    watch_set(&S.auth_watch, false, false);
    auth_client_free(&S.auth);
    close(S.auth_ends[0]);
    if (S.auth_ends[1] >= 0)
        close(S.auth_ends[1]);
    mta_pool_free(&S.pool);
    fake_stop(&S.mta);
    loop_run_once(&S.loop, 0);
    policy_free(&S.policy);
    limiter_fini(&S.limiter);
    store_close(&S.store);
    store_memory_fini(S.memory);
    free(S.memory);
    event_log_fini(&S.events);
    close(S.event_pipe[0]);
    close(S.event_pipe[1]);
    buf_fini(&S.lines);
    buf_fini(&S.replies);
    buf_fini(&S.last);
    buf_fini(&S.sending);
    loop_fini(&S.loop);
}

/* ---- the client ---- */

static void connect_client(const char *listener)
{
    struct ip ip;
    bool is_smtp = strcmp(listener, "smtp") == 0, is_plain = strcmp(listener, "plain") == 0;
    bool is_implicit = strcmp(listener, "submissions") == 0;
    struct listener_config *l = &S.listeners[S.others ? 1 : 0];
    *l = (struct listener_config){.name = str_of_z(listener),
                                  .tls = is_implicit ? LISTENER_TLS_IMPLICIT
                                         : is_plain  ? LISTENER_TLS_OFF
                                         : is_smtp   ? LISTENER_TLS_OPTIONAL
                                                     : LISTENER_TLS_REQUIRED,
                                  .auth = is_smtp ? LISTENER_AUTH_OPTIONAL : LISTENER_AUTH_REQUIRED};
    assert_true(ip_parse(STR("192.0.2.7"), &ip));
    S.session = session_new(&S.worker, l, &ip, PORT);
    assert_non_null(S.session);
    conn_init_memory(&S.session->conn, &S.loop, &session_conn_ops, &session_conn_limits);
    session_begin(S.session);
}

/* Takes what is there for the client. */
static void collect(void)
{
    if (!is_there() || S.client_reads_not)
        return;
    struct str sent = conn_memory_sent(&S.session->conn);
    if (sent.len == 0)
        return;
    assert_true(buf_append_str(&S.replies, sent));
    conn_memory_take(&S.session->conn, sent.len);
}

static void deliver(struct str bytes)
{
    size_t step = S.is_bytewise ? 1 : bytes.len;
    int64_t give_up_ms = clock_monotonic_ms() + GIVE_UP_MS;
    while (bytes.len && is_there()) {
        size_t n = conn_memory_deliver(&S.session->conn, str_sub(bytes, 0, step));
        bytes = str_from(bytes, n);
        loop_run_tasks(&S.loop);
        collect();
        if (n)
            continue;
        if (!is_there() || !conn_is_open(&S.session->conn) || S.session->state == SESSION_CLOSING)
            return;
        if (clock_monotonic_ms() > give_up_ms)
            failed("nothing more is read");
        turn();
    }
}

static bool flush_client(void)
{
    if (buf_len(&S.sending) == 0)
        return false;
    deliver(buf_str(&S.sending));
    buf_clear(&S.sending);
    return true;
}

/* The length of the first whole reply. 0: none. */
static size_t reply_length(struct str in)
{
    size_t at = 0;
    while (at < in.len) {
        struct str line = str_from(in, at);
        size_t end = str_find(line, '\n');
        if (end == line.len)
            return 0;
        at += end + 1;
        if (end < 5 || line.ptr[3] != '-')
            return at;
    }
    return 0;
}

static void expect_reply(struct str wanted)
{
    int64_t give_up_ms = clock_monotonic_ms() + GIVE_UP_MS;
    size_t len;
    collect();
    while ((len = reply_length(buf_str(&S.replies))) == 0) {
        if (clock_monotonic_ms() > give_up_ms || !is_there())
            failed("no reply \"" PRI_STR "\" came%s", STR_ARG(wanted), is_there() ? "" : ", the connection is closed");
        turn();
        collect();
    }
    struct str reply = str_sub(buf_str(&S.replies), 0, len - 2);
    size_t last = str_find_last(reply, '\n');
    struct str line = last < reply.len ? str_from(reply, last + 1) : reply;
    if (!str_starts(line, wanted))
        failed("\"" PRI_STR "\" came, not \"" PRI_STR "\"", STR_ARG(line), STR_ARG(wanted));
    buf_clear(&S.last);
    assert_true(buf_append_char(&S.last, '\n') && buf_append_str(&S.last, reply));
    buf_consume(&S.replies, len);
}

static void expect_line(struct str wanted, bool is_there_wanted)
{
    struct str rest = buf_str(&S.last);
    bool is_found = false;
    while (rest.len) {
        struct str line = str_split(rest, '\n', &rest);
        is_found = is_found || str_starts(line, wanted);
    }
    if (is_found != is_there_wanted)
        failed("the reply has %s line \"" PRI_STR "\": " PRI_STR, is_found ? "a" : "no", STR_ARG(wanted),
               STR_ARG(buf_str(&S.last)));
}

static void expect_quiet(void)
{
    for (int i = 0; i < 6; i++)
        turn();
    collect();
    if (buf_len(&S.replies))
        failed("\"" PRI_STR "\" came", STR_ARG(buf_str(&S.replies)));
}

static void expect_close(void)
{
    int64_t give_up_ms = clock_monotonic_ms() + GIVE_UP_MS;
    while (is_there() && clock_monotonic_ms() < give_up_ms) {
        loop_run_tasks(&S.loop);
        collect();
        if (is_there())
            turn();
    }
    if (is_there())
        failed("it is not closed");
    if (buf_len(&S.replies))
        failed("\"" PRI_STR "\" came before the end", STR_ARG(buf_str(&S.replies)));
}

static void pass_deadline(bool wanted)
{
    for (int i = 0; i < 4; i++)
        turn();
    if (!is_there())
        failed("the connection is closed");
    bool runs = timer_is_running(&S.session->conn.deadline);
    if (runs != wanted)
        failed(runs ? "a deadline runs" : "no deadline runs");
    if (wanted)
        conn_memory_deadline(&S.session->conn);
    loop_run_tasks(&S.loop);
}

/* ---- the MTA ---- */

/* What it owes, later than it should. */
static void say_now(struct str text)
{
    char line[512];
    snprintf(line, sizeof line, PRI_STR "\r\n", STR_ARG(text));
    for (unsigned i = 0; i < S.mta.conn_count; i++) {
        S.mta.conns[i]->in_body = str_starts(text, STR("354"));
        fake_say(S.mta.conns[i], line);
    }
    for (int i = 0; i < 4; i++)
        turn();
}

static void script_mta(struct str what)
{
    static const char *const MOMENTS[FAKE_MOMENTS] = {
        [AT_CONNECT] = "CONNECT", [AT_EHLO] = "EHLO",         [AT_HELO] = "HELO", [AT_STARTTLS] = "STARTTLS",
        [AT_XCLIENT] = "XCLIENT", [AT_XFORWARD] = "XFORWARD", [AT_MAIL] = "MAIL", [AT_RCPT] = "RCPT",
        [AT_DATA] = "DATA",       [AT_BODY] = "BODY",         [AT_DOT] = "DOT",   [AT_RSET] = "RSET",
        [AT_QUIT] = "QUIT"};
    if (str_equal(what, STR("gone")) || str_equal(what, STR("down"))) {
        if (str_equal(what, STR("down")))
            fake_stop_listening(&S.mta);
        for (unsigned i = 0; i < S.mta.conn_count; i++)
            fake_close(S.mta.conns[i]);
        for (int i = 0; i < 4; i++)
            turn();
        return;
    }
    struct str rest;
    struct str word = str_split(what, ' ', &rest);
    if (str_equal(word, STR("say"))) {
        say_now(rest);
        return;
    }
    if (str_equal(what, STR("well"))) {
        memset(S.mta.actions, 0, sizeof S.mta.actions);
        return;
    }
    if (str_equal(what, STR("poor"))) {
        S.mta.keywords = "PIPELINING";
        return;
    }
    if (str_equal(what, STR("stop")) || str_equal(what, STR("on"))) {
        for (unsigned i = 0; i < S.mta.conn_count; i++)
            if (S.mta.conns[i]->is_open && word.len == 4)
                conn_pause_input(&S.mta.conns[i]->conn);
            else if (S.mta.conns[i]->is_open)
                conn_resume_input(&S.mta.conns[i]->conn);
        return;
    }
    for (size_t i = 0; i < FAKE_MOMENTS; i++) {
        if (!str_equal(word, str_of_z(MOMENTS[i])))
            continue;
        struct fake_action *a = &S.mta.actions[i];
        *a = (struct fake_action){.first = S.mta.seen[i], .times = 1, .say = S.scripted[i]};
        if (str_starts(rest, STR("ever "))) {
            a->times = 0;
            rest = str_from(rest, 5);
        }
        a->cut = str_ends_nocase(rest, STR("cut"));
        if (str_equal(rest, STR("cut")) || str_equal(rest, STR("silent")))
            rest = STR("");
        else if (a->cut)
            rest.len -= 4;
        snprintf(S.scripted[i], sizeof S.scripted[i], PRI_STR "%s", STR_ARG(rest), rest.len ? "\r\n" : "");
        return;
    }
    failed("no such moment: " PRI_STR, STR_ARG(word));
}

static bool was_heard(struct str wanted)
{
    struct str rest = buf_str(&S.mta.heard);
    while (rest.len) {
        struct str line = str_split(rest, '\n', &rest), text;
        str_split(line, ' ', &text);
        if (str_starts(text, wanted))
            return true;
    }
    return false;
}

static void expect_heard(struct str wanted, bool is_wanted)
{
    int64_t give_up_ms = clock_monotonic_ms() + GIVE_UP_MS;
    while (is_wanted && !was_heard(wanted) && clock_monotonic_ms() < give_up_ms)
        turn();
    if (was_heard(wanted) != is_wanted)
        failed("the MTA heard%s \"" PRI_STR "\": " PRI_STR, is_wanted ? " no" : "", STR_ARG(wanted),
               STR_ARG(buf_str(&S.mta.heard)));
}

static void expect_body(struct str wanted, bool is_wanted)
{
    struct str body = buf_str(&S.mta.body);
    bool is_found = memmem(body.ptr, body.len, wanted.ptr, wanted.len) != NULL;
    if (is_found != is_wanted)
        failed("the message holds%s \"" PRI_STR "\": " PRI_STR, is_found ? "" : " no", STR_ARG(wanted), STR_ARG(body));
}

/* ---- events ---- */

static void read_events(void)
{
    char bytes[4096];
    ssize_t n;
    while ((n = read(S.event_pipe[0], bytes, sizeof bytes)) > 0)
        assert_true(buf_append(&S.lines, bytes, (size_t)n));
}

static bool contains(struct str s, struct str part)
{
    return memmem(s.ptr, s.len, part.ptr, part.len) != NULL;
}

static void expect_event(struct str words)
{
    char kind[64];
    struct str rest;
    struct str name = str_split(words, ' ', &rest);
    snprintf(kind, sizeof kind, "\"event\":\"" PRI_STR "\"", STR_ARG(name));
    for (int i = 0; i < 4; i++)
        turn();
    read_events();
    struct str lines = buf_str(&S.lines);
    while (lines.len) {
        size_t end = str_find(lines, '\n');
        struct str line = str_sub(lines, 0, end);
        lines = str_from(lines, end + 1);
        if (!contains(line, str_of_z(kind)))
            continue;
        while (rest.len) {
            struct str word = str_split(rest, ' ', &rest);
            if (!contains(line, word))
                failed("the event has no " PRI_STR ": " PRI_STR, STR_ARG(word), STR_ARG(line));
        }
        buf_consume(&S.lines, (size_t)(lines.ptr ? lines.ptr - buf_str(&S.lines).ptr : 0));
        if (lines.len == 0)
            buf_clear(&S.lines);
        return;
    }
    failed("no event " PRI_STR ": " PRI_STR, STR_ARG(name), STR_ARG(buf_str(&S.lines)));
}

/* How many mails are charged on the entity now, as a limit of messages per hour counts them. */
static void expect_charged(struct str words)
{
    static const struct rate RATE = {1000, 3600};
    static const struct limit LIMIT = {.name = STR("probe"),
                                       .unit = UNIT_MESSAGES,
                                       .rates = &RATE,
                                       .rate_count = 1,
                                       .thresholds = &limit_default_threshold,
                                       .threshold_count = 1};
    struct str rest;
    struct str entity = str_split(words, ' ', &rest);
    struct charge charge = {.limit = &LIMIT, .entity = entity, .cost = {0, 0, 0}};
    struct reservation r;
    struct arena arena;
    char got[96];
    arena_init(&arena, 1 << 16);
    assert_true(reservation_init(&r, &arena, &charge, 1));
    limiter_peek(&S.limiter, &r, &charge, 1, clock_wall_us());
    const struct take *take = r.readings[0].take;
    snprintf(got, sizeof got, "%llu messages %llu recipients %llu KiB", (unsigned long long)take->used[COLUMN_MESSAGES],
             (unsigned long long)take->used[COLUMN_RECIPIENTS], (unsigned long long)take->used[COLUMN_KIB]);
    if (!str_equal(rest, str_of_z(got)))
        failed("charged: %s, not " PRI_STR, got, STR_ARG(rest));
    arena_fini(&arena);
}

/* ---- the script ---- */

static struct str unescape(struct str text, struct buf *to)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '{' && i + 3 < text.len && text.ptr[i + 2] == '*') {
            size_t end = i + str_find(str_from(text, i), '}');
            uint64_t times;
            assert_true(str_to_u64(str_sub(text, i + 3, end - i - 3), 1 << 22, &times));
            while (times--)
                assert_true(buf_append_char(to, text.ptr[i + 1]));
            i = end;
        } else if (c == '\\' && i + 1 < text.len) {
            c = text.ptr[++i];
            assert_true(buf_append_char(to, c == 'r' ? '\r' : c == 'n' ? '\n' : c == '0' ? '\0' : c));
        } else {
            assert_true(buf_append_char(to, c));
        }
    }
    return buf_str(to);
}

static void drain(struct str how)
{
    if (how.len)
        session_close_all(&S.worker);
    else
        session_drain(&S.worker);
    loop_run_tasks(&S.loop);
}

static void finish_tls(bool succeeds)
{
    if (!is_there())
        failed("the connection is closed");
    loop_run_tasks(&S.loop);
    collect();
    conn_memory_finish_tls(&S.session->conn, succeeds);
    loop_run_tasks(&S.loop);
}

/* A message without end against an MTA that does not read: the client is stopped while little is held, its clock
 * stands, and goes on when the MTA does. */
static void flood_message(void)
{
    static char line[1002];
    unsigned lines = 0;
    memset(line, 'x', 1000);
    memcpy(line + 1000, "\r\n", 2);
    script_mta(STR("stop"));
    for (; S.session->wait == WAIT_NOTHING; lines++) {
        if (lines > 40000)
            failed("the client is never stopped");
        conn_memory_deliver(&S.session->conn, str_of(line, sizeof line));
        loop_run_tasks(&S.loop);
    }
    size_t held = mta_unsent_bytes(&S.session->tx->exchange);
    if (S.session->wait != WAIT_RELAY || held > MTA_HIGH_BYTES + 65536)
        failed("it waits for %u and holds %zu bytes", S.session->wait, held);
    for (int i = 0; i < 10; i++)
        turn();
    if (S.session->wait != WAIT_RELAY || timer_is_running(&S.session->conn.deadline))
        failed("the client's clock runs while the MTA is slow");
    script_mta(STR("on"));
    int64_t give_up_ms = clock_monotonic_ms() + GIVE_UP_MS;
    while (S.session->wait == WAIT_RELAY && clock_monotonic_ms() < give_up_ms)
        turn();
    if (S.session->wait != WAIT_NOTHING || !timer_is_running(&S.session->conn.deadline))
        failed("it does not go on");
}

static void do_step(char what, bool is_not, struct str text)
{
    struct buf bytes;
    buf_init(&bytes, 1 << 22);
    switch (what) {
    case 'S':
        expect_reply(text);
        break;
    case 's':
        expect_line(text, !is_not);
        break;
    case 'Q':
        expect_quiet();
        break;
    case 'X':
        expect_close();
        break;
    case 'T':
        finish_tls(!is_not);
        break;
    case 'G':
        conn_memory_close(&S.session->conn);
        loop_run_tasks(&S.loop);
        break;
    case 'D':
        pass_deadline(!is_not);
        break;
    case 'R':
    case 'r':
        S.client_reads_not = what == 'R';
        break;
    case 'M':
        script_mta(text);
        break;
    case 'H':
        expect_heard(text, !is_not);
        break;
    case 'N':
        if (S.mta.mail_count != (unsigned)(text.ptr[0] - '0'))
            failed("the MTA took %u mails", S.mta.mail_count);
        break;
    case 'B':
        expect_body(unescape(text, &bytes), !is_not);
        break;
    case 'P':
        S.auth_holds = !str_equal(text, STR("go"));
        watch_set(&S.auth_watch, !S.auth_holds, false);
        if (str_equal(text, STR("close"))) {
            close(S.auth_ends[1]);
            S.auth_ends[1] = -1;
        }
        break;
    case 'E':
        expect_event(text);
        break;
    case 'W':
        drain(text);
        break;
    case 'U':
        expect_charged(text);
        break;
    case 'F':
        flood_message();
        break;
    case 'L':
        hold_phase(text);
        break;
    case 'l':
        answer_held(!is_not);
        break;
    case 'V':
        end_delay(!is_not);
        break;
    case 'K':
        late_of(&S.store)->is_held = true;
        break;
    case 'k':
        answer_store(!is_not);
        break;
    case '+':
        S.others = S.worker.session_count;
        connect_client(str_equal(text, STR("smtp")) ? "smtp" : "submissions");
        break;
    default:
        failed("no such step: %c", what);
    }
    buf_fini(&bytes);
}

static void play(const char *script)
{
    struct str rest = str_of_z(script);
    S.line = 0;
    while (rest.len) {
        struct str line = str_split(rest, '\n', &rest);
        S.line++;
        if (line.len == 0)
            continue;
        bool is_not = line.ptr[0] == '!';
        line = str_from(line, is_not);
        struct str text = str_from(line, MIN_OF(line.len, (size_t)2));
        if (line.ptr[0] == 'C' || line.ptr[0] == 'c') {
            unescape(text, &S.sending);
            if (line.ptr[0] == 'C')
                assert_true(buf_append_str(&S.sending, STR("\r\n")));
            continue;
        }
        flush_client();
        do_step(line.ptr[0], is_not, text);
    }
    flush_client();
}

/* From the connection to where a conversation begins. */
static void play_start(const char *listener, const char *step)
{
    static const struct {
        const char *step, *script, *script_of_implicit;
    } WAY[] = {
        {"greeting", "S 220 mx.example.org ESMTP", "T\nS 220 mx.example.org ESMTP"},
        {"ehlo", "C EHLO client.example\nS 250 ENHANCEDSTATUSCODES", NULL},
        {"tls", "C STARTTLS\nS 220 2.0.0\nT\nC EHLO client.example\nS 250 ENHANCEDSTATUSCODES", ""},
        {"login", "C AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==\nS 235 2.7.0", NULL},
        {"mail", "C MAIL FROM:<alice@example.org>\nS 250 2.1.0", NULL},
        {"rcpt", "C RCPT TO:<b@example.net>\nS 250 2.1.5", NULL},
        {"body", "C DATA\nS 354", NULL},
    };
    bool is_implicit = strcmp(listener, "submissions") == 0, is_smtp = strcmp(listener, "smtp") == 0;
    bool is_plain = strcmp(listener, "plain") == 0;
    connect_client(listener);
    for (size_t i = 0; *step && i < COUNT_OF(WAY); i++) {
        const char *script = is_implicit && WAY[i].script_of_implicit ? WAY[i].script_of_implicit : WAY[i].script;
        bool is_last = strcmp(step, WAY[i].step) == 0;
        bool is_skipped = !is_last && ((is_smtp && (i == 2 || i == 3)) || (is_plain && i == 2));
        if (!is_skipped)
            play(script);
        if (is_last)
            return;
    }
    if (*step)
        failed("no such start: %s", step);
}

static void begin_talk(const struct ground *ground, const struct talk *talk, bool is_late)
{
    char step[32] = "";
    memset(&S, 0, sizeof S);
    S.is_late = is_late;
    pending = (struct held_question){0};
    S.talk = talk;
    open_stage(ground);
    sscanf(talk->start, "%31s %31s", S.listener_name, step);
    if (strcmp(step, "whole") == 0)
        *step = '\0';
    play_start(S.listener_name, step);
}

static void play_talk(const struct ground *ground, const struct talk *talk, bool is_bytewise, bool is_late)
{
    begin_talk(ground, talk, is_late);
    S.is_bytewise = is_bytewise;
    play(talk->script);
    close_stage();
}

void stage_play(const struct ground *ground, const struct talk *talks, size_t count)
{
    static const struct ground NOTHING = {0};
    for (size_t i = 0; i < count; i++) {
        const struct ground *g = ground ? ground : &NOTHING;
        if (g->store != STORE_LATER)
            play_talk(g, &talks[i], false, false);
        if (g->store != STORE_LATER && !strstr(talks[i].start, "whole"))
            play_talk(g, &talks[i], true, false);
        if (g->rules && g->store != STORE_AT_ONCE)
            play_talk(g, &talks[i], false, true);
    }
}

void stage_flood(const struct ground *ground, const struct talk *talk, const char *words, unsigned at_most)
{
    begin_talk(ground, talk, false);
    for (unsigned i = 0; S.session->wait != WAIT_DELAY; i++) {
        if (i == at_most)
            failed("it may be said for ever: %s", words);
        play(words);
        if (S.session->wait != WAIT_DELAY)
            expect_reply(STR(""));
    }
    pass_deadline(true);
    do
        expect_reply(STR(""));
    while (!str_starts(buf_str(&S.last), STR("\n421 4.7.0")));
    expect_close();
    close_stage();
}
