/* desk.c - see desk.h. */
#include "desk.h"

#include <fcntl.h>
#include <unistd.h>

#include "limits/store_memory.h"
#include "policy_of_text.h"

enum { ENTRIES = 1024, BANS = BAN_TABLE_MIN };

struct desk D;

static const char RULES[] = "table quotas map { bulk@example.org { 5000/1h }, free@example.org none }\n"
                            "limit mails per user count messages { 3/1h, 100/1d  overrides quotas }\n"
                            "limit reach per user count recipients { 200/1h }\n"
                            "limit volume per user count bytes { 10M/1d }\n"
                            "limit known per user count distinct-recipients { 50/1d }\n"
                            "limit pairs per user, client count messages { 100/1h }\n"
                            "limit open per client count open-connections { 20 }\n"
                            "limit arrivals per network count connections { 1000/1h observe }\n"
                            "limit all per global count messages { 1000/1h }\n"
                            "limit nights per user count messages { 5/1h  if now in 00:00-06:00 }\n"
                            "limit moves per user count distinct-networks { 10/1h  at 50% log }\n";

/* ---- the service ---- */

static void tell_state(void *arg, struct admin_state *state)
{
    (void)arg;
    *state = (struct admin_state){.started_us = clock_wall_us() - 61000000,
                                  .loaded_us = clock_wall_us(),
                                  .generation = 3,
                                  .supervisor_pid = 4711,
                                  .is_stopping = D.stops > 0};
}

static size_t list_processes(void *arg, struct admin_process_row *to, size_t max)
{
    (void)arg;
    assert_true(max >= 2);
    to[0] = (struct admin_process_row){.name = "worker 1",
                                       .pid = 4712,
                                       .generation = 2,
                                       .restarts = 1,
                                       .started_us = clock_wall_us() - 30000000,
                                       .is_worker = true,
                                       .open_connections = 7};
    to[1] = (struct admin_process_row){.name = "admin", .pid = 0, .generation = 3};
    return 2;
}

static struct admin_health look_at_server(void *arg, size_t server)
{
    (void)arg;
    return D.health[server];
}

static bool ask_reload(void *arg, uint64_t id)
{
    (void)arg;
    D.reloads++;
    D.last_reload = id;
    return !D.is_deaf;
}

static bool ask_stop(void *arg, const char *why)
{
    (void)arg;
    assert_string_equal(why, "by command");
    D.stops += !D.is_deaf;
    return !D.is_deaf;
}

/* ---- life ---- */

static void load(void)
{
    char why[1024];
    D.config.policy = policy_of_text(RULES, why, sizeof why);
    if (!D.config.policy)
        fail_msg("%s", why);
}

static void *zeros(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert_non_null(p);
    return memset(p, 0, bytes);
}

static void fill_config(void)
{
    D.endpoint = (struct endpoint){ENDPOINT_IP, {ADDR_IPV4, {127, 0, 0, 1}}, 587, ""};
    D.listener = (struct listener_config){.name = STR("submission"), .endpoints = &D.endpoint, .endpoint_count = 1};
    D.pool = (struct mta_pool_options){.name = "default", .servers = &D.endpoint, .server_count = 1};
    D.config.path = "test.conf";
    D.config.hostname = "mx1";
    D.config.listeners = &D.listener;
    D.config.pools = &D.pool;
    D.config.listener_count = D.config.pool_count = 1;
    D.config.max_connections = 100;
    D.config.ipv4_prefix = 24;
    D.config.ipv6_prefix = 56;
    D.config.store.entries = ENTRIES;
}

static void make_memory(const struct store_ops *ops)
{
    struct err err;
    D.store_memory = zeros(store_memory_size(ENTRIES));
    assert_true(store_memory_init(D.store_memory, ENTRIES, &err));
    const struct store_options options = {.memory = D.store_memory, .owner = 1};
    assert_true(store_open(&D.store, ops, &options, &err));
    D.ban_memory = zeros(ban_table_size(BANS));
    assert_non_null(ban_table_init(D.ban_memory, BANS, &err));
    D.allowance_memory = zeros(allowance_table_size());
    assert_non_null(allowance_table_init(D.allowance_memory, &err));
    D.counters = zeros(counters_size());
}

static int open_with(const struct store_ops *ops)
{
    struct err err;
    memset(&D, 0, sizeof D);
    assert_true(loop_init(&D.loop, &err));
    assert_int_equal(pipe2(D.event_pipe, O_NONBLOCK), 0);
    load();
    fill_config();
    make_memory(ops);
    event_log_init(&D.events, D.event_pipe[1], D.config.hostname, NULL);
    D.service = (struct admin_service){tell_state, list_processes, look_at_server, ask_reload, ask_stop, NULL};
    D.admin = (struct admin){.loop = &D.loop,
                             .config = &D.config,
                             .service = &D.service,
                             .counters = D.counters,
                             .store = &D.store,
                             .store_memory = D.store_memory,
                             .bans = D.ban_memory,
                             .allowances = D.allowance_memory,
                             .events = &D.events};
    admin_init(&D.admin);
    D.options = (struct control_options){.rows = admin_requests, .row_count = admin_request_count, .arg = &D.admin};
    D.control = control_new(&D.loop, &D.options);
    D.conn = control_add_memory(D.control);
    assert_non_null(D.conn);
    return 0;
}

int desk_open(void **state)
{
    (void)state;
    return open_with(&store_memory_ops);
}

int desk_open_late(void **state)
{
    (void)state;
    return open_with(&late_store_ops);
}

int desk_close(void **state)
{
    (void)state;
    control_free(&D.control);
    policy_free(&D.config.policy);
    event_log_fini(&D.events);
    close(D.event_pipe[0]);
    close(D.event_pipe[1]);
    store_close(&D.store);
    store_memory_fini(D.store_memory);
    ban_table_fini(D.ban_memory);
    allowance_table_fini(D.allowance_memory);
    free(D.store_memory);
    free(D.ban_memory);
    free(D.allowance_memory);
    free(D.counters);
    loop_fini(&D.loop);
    return 0;
}

/* ---- questions ---- */

const char *desk_answer(void)
{
    static char text[1 << 20];
    loop_run_tasks(&D.loop);
    str_copy_into(text, sizeof text, conn_memory_sent(D.conn));
    conn_memory_take(D.conn, strlen(text));
    return text;
}

const char *desk_ask(const char *question)
{
    assert_int_equal(conn_memory_deliver(D.conn, str_of_z(question)), strlen(question));
    assert_int_equal(conn_memory_deliver(D.conn, STR("\n")), 1);
    return desk_answer();
}

static json_t *answered(const char *question, bool yes)
{
    const char *text = desk_ask(question);
    json_t *answer = json_loads(text, 0, NULL);
    if (!answer || json_is_true(json_object_get(answer, "ok")) != yes)
        fail_msg("%s: %s", question, text);
    return answer;
}

json_t *desk_yes(const char *question)
{
    return answered(question, true);
}

json_t *desk_no(const char *question)
{
    return answered(question, false);
}

const char *desk_events(void)
{
    static char text[65536];
    ssize_t n = read(D.event_pipe[0], text, sizeof text - 1);
    text[MAX_OF(n, 0)] = '\0';
    return text;
}

void desk_count(const char *entity, uint32_t period_s, uint32_t messages, uint32_t recipients)
{
    struct store *inner = D.store.ops == &late_store_ops ? &late_of(&D.store)->inner : &D.store;
    struct take take = {.counter = {.entity = str_of_z(entity), .period_s = period_s, .kind = COUNTER_MAIL},
                        .mode = TAKE_ALWAYS,
                        .cost = {messages, recipients, messages},
                        .allowed = {ALLOWED_ANY, ALLOWED_ANY, ALLOWED_ANY}};
    struct take *takes[] = {&take};
    struct store_op op = {.takes = takes, .count = 1, .now_us = clock_steady_us(), .deadline_ms = 100};
    counter_set_id(&take.counter, &inner->key);
    assert_int_equal(inner->ops->take_start(inner, &op), DONE);
    assert_int_equal(op.result, STORE_TAKEN);
}
