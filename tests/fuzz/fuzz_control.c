// uses: admin
/*
 * fuzz_control.c - bytes at the control socket, as an administrator's program or anything else may send them, to the
 * real handlers over rules, an embedded store, tables of bans and allowances.
 *
 * Promises held: nothing crashes or leaks; every line gets one line, which is a JSON object with "ok", and text without
 * control characters; what comes whole and what comes byte by byte is answered by as many lines; a question that nobody
 * answered is cancelled with its connection.
 */
#include <stdlib.h>
#include <string.h>

#include "../unit/policy_of_text.h"
#include "admin/admin.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/panic.h"
#include "limits/store_memory.h"
#include "net/conn_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ENTRIES = 1024, LINES_MAX = 64 };

static const char RULES[] = "table quotas map { bulk@example.org { 5000/1h }, free@example.org none }\n"
                            "limit mails per user count messages { 3/1h, 100/1d  overrides quotas }\n"
                            "limit volume per user count bytes { 10M/1d }\n"
                            "limit known per user count distinct-recipients { 50/1d }\n"
                            "limit pairs per user, client count messages { 100/1h }\n"
                            "limit open per client count open-connections { 20 }\n"
                            "limit arrivals per network count connections { 1000/1h observe }\n"
                            "limit all per global count messages { 1000/1h }\n";

static struct loop loop;
static struct config config;
static struct store store;
static struct event_log events;
static struct admin admin;
static struct control_options options;
static struct control *control;

/* ---- the service ---- */

static void tell_state(void *arg, struct admin_state *state)
{
    (void)arg;
    *state = (struct admin_state){.generation = 1, .supervisor_pid = 1};
}

static size_t list_processes(void *arg, struct admin_process_row *to, size_t max)
{
    (void)arg;
    (void)max;
    to[0] = (struct admin_process_row){.name = "worker 1", .pid = 2, .is_worker = true};
    return 1;
}

static struct admin_health look_at_server(void *arg, size_t server)
{
    (void)arg;
    (void)server;
    return (struct admin_health){1, 0};
}

/* A reload stays unanswered: it is cancelled with its connection. */
static bool ask_reload(void *arg, uint64_t id)
{
    (void)arg;
    return id % 2;
}

static bool ask_stop(void *arg, const char *why)
{
    (void)arg;
    return why[0] != '\0';
}

/* ---- once ---- */

static void compile_rules(void)
{
    char why[256];
    config.policy = policy_of_text(RULES, why, sizeof why);
    PANIC_IF(!config.policy, "%s", why);
}

static void *zeros(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    PANIC_IF(!p, "no memory");
    return memset(p, 0, bytes);
}

static void init(void)
{
    static const struct admin_service SERVICE = {tell_state, list_processes, look_at_server,
                                                 ask_reload, ask_stop,       NULL};
    static struct counters counters[COUNTER_SLOTS];
    struct err err;
    log_set_level(LOG_LEVEL_ERROR);
    PANIC_IF(!loop_init(&loop, &err), "the loop");
    compile_rules();
    config.path = "fuzz.conf";
    config.hostname = "mx1";
    config.ipv4_prefix = 24;
    config.ipv6_prefix = 56;
    void *memory = zeros(store_memory_size(ENTRIES));
    const struct store_options store_options = {.memory = memory, .owner = 1};
    PANIC_IF(!store_memory_init(memory, ENTRIES, &err) || !store_open(&store, &store_memory_ops, &store_options, &err),
             "the store");
    event_log_init(&events, -1, config.hostname, NULL);
    admin = (struct admin){.loop = &loop,
                           .config = &config,
                           .service = &SERVICE,
                           .counters = counters,
                           .store = &store,
                           .store_memory = memory,
                           .bans = ban_table_init(zeros(ban_table_size(BAN_TABLE_MIN)), BAN_TABLE_MIN, &err),
                           .allowances = allowance_table_init(zeros(allowance_table_size()), &err),
                           .events = &events};
    PANIC_IF(!admin.bans || !admin.allowances, "the tables");
    admin_init(&admin);
    options = (struct control_options){.rows = admin_requests, .row_count = admin_request_count, .arg = &admin};
}

/* ---- what comes back ---- */

static void check_line(struct str line)
{
    json_t *answer = json_loadb(line.ptr, line.len, 0, NULL);
    PANIC_IF(!json_is_object(answer), "an answer that is no object");
    const json_t *ok = json_object_get(answer, "ok");
    PANIC_IF(!json_is_boolean(ok), "an answer that says neither yes nor no");
    PANIC_IF(json_is_false(ok) && !json_is_string(json_object_get(answer, "error")), "a no without a reason");
    json_decref(answer);
    PANIC_IF(str_has_control(line), "a control character");
}

/* Sends in pieces of so many bytes; how many lines came back. */
static size_t converse(struct str input, size_t piece)
{
    size_t lines = 0;
    control = control_new(&loop, &options);
    struct conn *c = control_add_memory(control);
    PANIC_IF(!c, "no memory");
    while (input.len && control_count(control)) {
        size_t taken = conn_memory_deliver(c, str_sub(input, 0, piece));
        loop_run_tasks(&loop);
        while (control_count(control) && conn_memory_sent(c).len) {
            struct str sent = conn_memory_sent(c);
            size_t len = str_find(sent, '\n');
            PANIC_IF(len == sent.len, "half a line");
            check_line(str_sub(sent, 0, len));
            conn_memory_take(c, len + 1); /* may be its end */
            lines++;
        }
        if (taken == 0)
            break; /* it is closed, or a reload waits and its input is full */
        input = str_from(input, taken);
    }
    control_free(&control);
    PANIC_IF(!list_is_empty(&admin.reloads), "a reload that nobody waits for");
    return lines;
}

static size_t count_lines(struct str input)
{
    size_t n = 0;
    for (size_t i = 0; i < input.len; i++)
        n += input.ptr[i] == '\n';
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool is_ready;
    struct str input = str_of((const char *)data, size);
    if (!is_ready)
        init();
    is_ready = true;
    size_t given = count_lines(input);
    if (given > LINES_MAX)
        return 0;
    admin.last_reload = 0;
    size_t whole = converse(input, SIZE_MAX);
    admin.last_reload = 0;
    size_t split = converse(input, 1);
    PANIC_IF(whole > given + 1 || split != whole, "as many answers as questions");
    return 0;
}
