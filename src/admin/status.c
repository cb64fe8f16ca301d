/*
 * status.c - how the service is: what runs since when, what it listens to, what stands behind it.
 *
 * Everything comes from this process's configuration, which is the one in force, and from memory that all processes
 * share: nobody is asked, so a worker that stands still cannot keep the answer back.
 */
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "base/clock.h"
#include "limits/store_memory.h"

enum { PROCESSES_SHOWN_MAX = COUNTER_SLOTS };

#define SECOND_US INT64_C(1000000)

static json_t *count_of(const struct admin *a, enum counter_id id)
{
    return json_integer((json_int_t)counters_sum(a->counters, id));
}

static json_int_t seconds_since(int64_t then_us, int64_t now_us)
{
    return then_us && now_us > then_us ? (json_int_t)((now_us - then_us) / SECOND_US) : 0;
}

/* Takes the item. Where memory is short the array is gone. */
static void append(json_t **array, json_t *item)
{
    if (*array && json_array_append_new(*array, item) == 0)
        return;
    json_decref(*array);
    *array = NULL;
}

static json_t *config_json(const struct admin *a, const struct admin_state *state)
{
    return json_pack("{s:o, s:o, s:I}", "file", control_json_of(str_of_z(a->config->path)), "loaded",
                     control_json_of_time(state->loaded_us), "generation", (json_int_t)state->generation);
}

static json_t *process_json(const struct admin_process_row *p, uint32_t generation, int64_t now_us)
{
    json_t *json =
        json_pack("{s:s, s:I, s:I, s:b, s:I, s:I}", "process", p->name, "pid", (json_int_t)p->pid, "generation",
                  (json_int_t)p->generation, "draining", p->generation && p->generation < generation, "restarts",
                  (json_int_t)p->restarts, "uptime", p->pid ? seconds_since(p->started_us, now_us) : (json_int_t)0);
    if (json && p->is_worker)
        json_object_set_new(json, "connections", json_integer((json_int_t)p->open_connections));
    return json;
}

static json_t *processes_json(const struct admin *a, const struct admin_state *state, int64_t now_us)
{
    struct admin_process_row *list = calloc(PROCESSES_SHOWN_MAX, sizeof *list);
    json_t *array = list ? json_array() : NULL;
    size_t count = list ? a->service->processes(a->service->arg, list, PROCESSES_SHOWN_MAX) : 0;
    for (size_t i = 0; i < MIN_OF(count, (size_t)PROCESSES_SHOWN_MAX); i++)
        append(&array, process_json(&list[i], state->generation, now_us));
    free(list);
    return array;
}

static json_t *endpoints_json(const struct endpoint *endpoints, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        char text[ENDPOINT_TEXT_MAX];
        append(&array, control_json_of(endpoint_format(&endpoints[i], text)));
    }
    return array;
}

static json_t *listeners_json(const struct config *cfg)
{
    static const char *const KINDS[] = {"submission", "submissions", "smtp"};
    static const char *const TLS[] = {"implicit", "required", "optional", "off"};
    static const char *const AUTH[] = {"required", "optional", "off"};
    json_t *array = json_array();
    for (size_t i = 0; i < cfg->listener_count; i++) {
        const struct listener_config *l = &cfg->listeners[i];
        append(&array, json_pack("{s:o, s:s, s:o, s:s, s:s, s:s}", "name", control_json_of(l->name), "kind",
                                 KINDS[l->kind], "endpoints", endpoints_json(l->endpoints, l->endpoint_count), "tls",
                                 TLS[l->tls], "auth", AUTH[l->auth], "pool", cfg->pools[l->pool].name));
    }
    return array;
}

static json_t *connections_json(const struct admin *a)
{
    return json_pack("{s:o, s:I, s:o, s:o, s:o}", "open", count_of(a, COUNTER_OPEN_CONNECTIONS), "max",
                     (json_int_t)a->config->max_connections, "accepted", count_of(a, COUNTER_CONNECTIONS), "refused",
                     count_of(a, COUNTER_REFUSED_CONNECT), "delayed", count_of(a, COUNTER_TARPITS));
}

static json_t *mails_json(const struct admin *a)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "accepted", count_of(a, COUNTER_MAILS_ACCEPTED), "rejected",
                     count_of(a, COUNTER_MAILS_REJECTED), "deferred", count_of(a, COUNTER_MAILS_DEFERRED), "aborted",
                     count_of(a, COUNTER_MAILS_ABORTED), "unknown", count_of(a, COUNTER_MAILS_UNKNOWN));
}

/* ---- the store ---- */

static json_t *memory_json(const struct admin *a)
{
    uint64_t evicted = store_memory_evicted(a->store_memory);
    return json_pack("{s:s, s:s, s:I, s:I}", "kind", a->store->ops->name, "state", evicted ? "full" : "ok", "entries",
                     (json_int_t)a->config->store.entries, "evicted", (json_int_t)evicted);
}

static json_t *server_json(const struct keeper_shard *s)
{
    json_t *json =
        json_pack("{s:o, s:b, s:b, s:s, s:I, s:I, s:I, s:I}", "name", control_json_of(s->name), "up", s->is_up,
                  "believed", s->is_settled, "version", s->version, "memory", (json_int_t)s->memory_bytes, "memory_max",
                  (json_int_t)s->memory_max_bytes, "nodes", (json_int_t)s->nodes, "missing", (json_int_t)s->missing);
    if (json && s->why_down.len)
        json_object_set_new(json, "why", control_json_of(s->why_down));
    if (json && s->has_skew)
        json_object_set_new(json, "ahead_ms", json_integer((json_int_t)(s->skew_us / 1000)));
    return json;
}

/* "away": some server is not there; "settling": its counts are not believed yet (limits/outage.h). */
static json_t *servers_json(const struct admin *a, size_t count, const char **state)
{
    json_t *array = json_array();
    *state = count ? "ok" : "away";
    for (size_t i = 0; i < count; i++) {
        struct keeper_shard shard;
        keeper_shard_state(a->keeper, i, &shard);
        if (!shard.is_up)
            *state = "away";
        else if (!shard.is_settled && strcmp(*state, "ok") == 0)
            *state = "settling";
        append(&array, server_json(&shard));
    }
    return array;
}

static json_t *warnings_json(const struct admin *a)
{
    json_t *array = json_array();
    struct str server, text;
    for (size_t at = 0; keeper_finding_next(a->keeper, &at, &server, &text);)
        append(&array, json_pack("{s:o, s:o}", "server", control_json_of(server), "text", control_json_of(text)));
    return array;
}

/* Null: Redis decides; or this node does, but has had nothing to decide yet. */
static json_t *since_json(const struct keeper_state *k)
{
    if (!k->alone_since_us)
        return json_null();
    return control_json_of_time(clock_wall_us() - (clock_monotonic_us() - k->alone_since_us));
}

/* As decisions count them: a keeper that has not reached Redis yet, after a reload, has heard of nobody. */
static uint32_t nodes_alone(const struct admin *a)
{
    uint32_t nodes = 1;
    for (unsigned i = 0; i < OUTAGE_DOMAINS && a->outage; i++)
        nodes = MAX_OF(nodes, outage_nodes(a->outage, i));
    return nodes;
}

static json_t *redis_json(const struct admin *a)
{
    struct keeper_state k;
    const char *state;
    keeper_state(a->keeper, &k);
    json_t *servers = servers_json(a, k.shard_count, &state);
    bool is_ok = strcmp(state, "ok") == 0;
    if (!is_ok)
        k.nodes = MAX_OF(k.nodes, nodes_alone(a));
    const char *decides = is_ok ? a->store->ops->name : store_failure_name(a->config->store.failure);
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "kind", a->store->ops->name,
                  "state", state, "decides", decides, "since", is_ok ? json_null() : since_json(&k), "nodes",
                  (json_int_t)k.nodes, "missing", (json_int_t)k.missing, "due", (json_int_t)k.due, "pushed",
                  (json_int_t)k.pushed, "losses", (json_int_t)k.losses, "bans_sent", (json_int_t)k.bans_sent,
                  "bans_received", (json_int_t)k.bans_received, "servers", servers, "warnings", warnings_json(a));
    if (json && k.why_none.len)
        json_object_set_new(json, "why", control_json_of(k.why_none));
    return json;
}

static json_t *store_json(const struct admin *a)
{
    return a->keeper ? redis_json(a) : memory_json(a);
}

/* What only some workers say is true for their clients: "partly". */
static const char *word_for(struct admin_health h)
{
    return h.up && h.down ? "partly" : h.up ? "up" : h.down ? "down" : "unknown";
}

static json_t *pools_json(const struct admin *a)
{
    json_t *array = json_array();
    size_t n = 0;
    for (size_t i = 0; i < a->config->pool_count; i++) {
        const struct mta_pool_options *p = &a->config->pools[i];
        struct admin_health all = {0, 0};
        json_t *servers = json_array();
        for (size_t k = 0; k < p->server_count; k++) {
            char text[ENDPOINT_TEXT_MAX];
            struct admin_health h = a->service->health(a->service->arg, n++);
            all.up += h.up;
            all.down += h.down;
            append(&servers,
                   json_pack("{s:o, s:s, s:i, s:i}", "endpoint", control_json_of(endpoint_format(&p->servers[k], text)),
                             "state", word_for(h), "workers_up", (int)h.up, "workers_down", (int)h.down));
        }
        append(&array, json_pack("{s:s, s:s, s:o}", "name", p->name, "state", word_for(all), "servers", servers));
    }
    return array;
}

static json_t *bans_json(const struct admin *a)
{
    struct ban_table_stats stats;
    struct ban ban;
    json_int_t in_force = 0;
    for (size_t at = 0; ban_next(a->bans, &at, clock_steady_us(), &ban);)
        in_force++;
    ban_table_stats_get(a->bans, &stats);
    return json_pack("{s:I, s:I, s:I}", "in_force", in_force, "made", (json_int_t)stats.made, "evicted",
                     (json_int_t)stats.evicted);
}

static json_t *counters_json(const struct admin *a)
{
    json_t *object = json_object();
    for (int i = 0; i < COUNTER_COUNT && object; i++)
        if (json_object_set_new(object, counter_info((enum counter_id)i)->metric, count_of(a, (enum counter_id)i))) {
            json_decref(object);
            object = NULL;
        }
    return object;
}

void admin_status(void *arg, struct control_ask *ask)
{
    struct admin *a = arg;
    const struct config *cfg = a->config;
    struct admin_state state;
    int64_t now_us = loop_wall_us(a->loop);
    a->service->state(a->service->arg, &state);
    json_t *answer =
        json_pack("{s:s, s:o, s:s, s:i, s:o, s:I, s:o}", "version", MAILWEIR_VERSION, "node",
                  control_json_of(str_of_z(cfg->hostname)), "state", state.is_stopping ? "stopping" : "running", "pid",
                  state.supervisor_pid, "started", control_json_of_time(state.started_us), "uptime",
                  seconds_since(state.started_us, now_us), "config", config_json(a, &state));
    const struct {
        const char *name;
        json_t *value;
    } PARTS[] = {
        {"processes", processes_json(a, &state, now_us)},
        {"listeners", listeners_json(cfg)},
        {"connections", connections_json(a)},
        {"mails", mails_json(a)},
        {"store", store_json(a)},
        {"pools", pools_json(a)},
        {"bans", bans_json(a)},
        {"counters", counters_json(a)},
    };
    bool ok = answer != NULL;
    for (size_t i = 0; i < COUNT_OF(PARTS); i++) /* takes each, also where one was not made */
        ok &= json_object_set_new(answer, PARTS[i].name, PARTS[i].value) == 0;
    if (!ok) {
        json_decref(answer);
        answer = NULL;
    }
    control_answer(ask, answer);
}
