/*
 * server.c - a function per server statement of RULES.md "Server"; their defaults; what they demand of each other.
 */
#include "config/server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/backend.h"
#include "config/machine.h"
#include "config/server_store.h"
#include "lookup/geoip.h"
#include "net/tls.h"

enum {
    DEFAULT_WORKERS_MAX = 256,
    DEFAULT_ALERT_EVERY_MS = 3600000,
    TRY_PORT_OFFSET = 2000, /* serve --try: 2587 and 2465 for 587 and 465 */
};

/* ---- listeners ---- */

static size_t pool_index(const struct config *cfg, struct str name)
{
    for (size_t i = 0; i < cfg->pool_count; i++)
        if (str_equal(str_of_z(cfg->pools[i].name), name))
            return i;
    return 0;
}

/* Against those of the listeners before, and against the machine. */
static void check_endpoint(struct config_builder *b, const struct endpoint *e, struct place at)
{
    const struct config *cfg = b->config;
    char text[ENDPOINT_TEXT_MAX];
    if (b->endpoint_count++ == CONFIG_ENDPOINTS_MAX)
        diag_error(b->diagnostics, at, "more than %d endpoints to listen at", CONFIG_ENDPOINTS_MAX);
    for (size_t i = 0; i < cfg->listener_count; i++)
        for (size_t k = 0; k < cfg->listeners[i].endpoint_count; k++)
            if (endpoint_equal(&cfg->listeners[i].endpoints[k], e)) {
                diag_error(b->diagnostics, at, "two listeners have the endpoint " PRI_STR,
                           STR_ARG(endpoint_format(e, text)));
                return;
            }
    machine_check_address(b, at, e);
}

static void copy_endpoints(struct config_builder *b, struct listener_config *l, const struct statement *st,
                           const struct value **first)
{
    size_t count = values_arg_count(&st->server.values, 1);
    struct endpoint *endpoints = builder_alloc(b, count * sizeof *endpoints);
    *first = builder_argument(st, 1);
    if (!endpoints)
        return;
    l->endpoints = endpoints;
    for (size_t i = 0; i < count; i++, l->endpoint_count++) {
        endpoints[i] = *(*first)[i].endpoint;
        if (endpoints[i].kind == ENDPOINT_IP)
            check_endpoint(b, &endpoints[i], (*first)[i].at);
        else
            diag_error(b->diagnostics, (*first)[i].at, "a listener needs an address and a port, such as [::]:587");
        bool is_well_known = endpoints[i].port == 587 || endpoints[i].port == 465;
        if (b->options->purpose == CONFIG_TRY && is_well_known)
            endpoints[i].port = (uint16_t)(endpoints[i].port + TRY_PORT_OFFSET);
    }
}

static void build_listener(struct config_builder *b, const struct statement *st)
{
    static const struct {
        enum listener_tls tls;
        enum listener_auth auth;
    } DEFAULTS[] = {
        [LISTENER_SUBMISSION] = {LISTENER_TLS_REQUIRED, LISTENER_AUTH_REQUIRED},
        [LISTENER_SUBMISSIONS] = {LISTENER_TLS_IMPLICIT, LISTENER_AUTH_REQUIRED},
        [LISTENER_SMTP] = {LISTENER_TLS_OPTIONAL, LISTENER_AUTH_OFF},
    };
    struct config *cfg = b->config;
    struct listener_config *l = &cfg->listeners[cfg->listener_count++];
    const struct value *kind = builder_argument(st, 0), *first;
    l->kind = (enum listener_kind)kind->choice;
    l->tls = (enum listener_tls)builder_choice(st, OPTION_LISTEN_TLS, (int)DEFAULTS[l->kind].tls);
    l->auth = (enum listener_auth)builder_choice(st, OPTION_LISTEN_AUTH, (int)DEFAULTS[l->kind].auth);
    const struct value *name = builder_option(st, OPTION_LISTEN_NAME);
    l->name = arena_copy(&cfg->arena, name ? name->text : kind->text);
    const struct value *banner = builder_option(st, OPTION_LISTEN_BANNER);
    l->banner = banner ? arena_copy(&cfg->arena, banner->text) : STR_NONE;
    const struct value *pool = builder_option(st, OPTION_LISTEN_RELAY);
    l->pool = pool_index(cfg, pool ? pool->text : STR("default"));
    copy_endpoints(b, l, st, &first);
    if (l->tls != LISTENER_TLS_OFF || l->auth == LISTENER_AUTH_OFF)
        return;
    for (size_t i = 0; i < l->endpoint_count; i++)
        if (l->endpoints[i].kind == ENDPOINT_IP && !ip_is_loopback(&l->endpoints[i].ip))
            diag_error(b->diagnostics, first[i].at, "tls off with auth is possible on loopback addresses only");
}

/* ---- users ---- */

static void build_auth(struct config_builder *b, const struct statement *st)
{
    struct config *cfg = b->config;
    struct err err;
    const struct value *file = builder_argument(st, 0), *realm = builder_option(st, OPTION_AUTH_REALM);
    if (cfg->auth.file) {
        diag_error(b->diagnostics, st->at, "several users files are not in force in this version");
        return;
    }
    cfg->auth.file = builder_file_name(b, file);
    cfg->auth.realm = realm ? builder_copy_text(b, realm->text) : NULL;
    cfg->auth.cache_ms = builder_ms(st, OPTION_AUTH_CACHE, 300000);
    struct auth_backend_setting setting = {STR("file"), cfg->auth.file, str_of_z(cfg->auth.realm)};
    const struct auth_backend_kind *kind = auth_backend_kind_find(setting.kind);
    if (!builder_can_read(b, file, cfg->auth.file))
        return;
    machine_note(b, file->at, cfg->auth.file, MACHINE_READS);
    if (!kind->check(&setting, &err))
        builder_missing(b, file->at, err.text);
}

/* ---- the MTA ---- */

static void build_pool(struct config_builder *b, const struct statement *st)
{
    struct config *cfg = b->config;
    struct mta_pool_options *p = &cfg->pools[cfg->pool_count++];
    const struct value *name = builder_argument(st, 0), *server = builder_argument(st, 2);
    const struct value *ca = builder_option(st, OPTION_RELAY_CA),
                       *connections = builder_option(st, OPTION_RELAY_CONNECTIONS);
    size_t count = values_arg_count(&st->server.values, 2);
    struct endpoint *servers = builder_alloc(b, count * sizeof *servers);
    if (!servers)
        return;
    for (size_t i = 0; i < count; i++) {
        servers[i] = *server[i].endpoint;
        builder_note_socket(b, server[i].at, &servers[i]);
    }
    *p = (struct mta_pool_options){
        .name = name ? builder_copy_text(b, name->text) : "default",
        .servers = servers,
        .server_count = count,
        .tls = (enum mta_tls)builder_choice(st, OPTION_RELAY_TLS, MTA_TLS_MAY),
        .tls_was_set = builder_option(st, OPTION_RELAY_TLS) != NULL,
        .ca_file = ca ? builder_file_name(b, ca) : NULL,
        .xclient = (enum mta_xclient)builder_choice(st, OPTION_RELAY_XCLIENT, MTA_XCLIENT_OFF),
        .xforward = builder_choice(st, OPTION_RELAY_XFORWARD, 0) == 0,
        .balance = (enum mta_balance)builder_choice(st, OPTION_RELAY_BALANCE, MTA_ROUND_ROBIN),
        .max_connections = connections ? (unsigned)builder_whole_number(connections) : 100,
        .idle_ms = (unsigned)builder_ms(st, OPTION_RELAY_IDLE, 60000),
        .retry_down_ms = (unsigned)builder_ms(st, OPTION_RELAY_RETRY_DOWN, 10000)};
    if (ca)
        (void)builder_can_use_ca(b, ca, p->ca_file);
}

/* What is known only when all statements were read. */
static void finish_pools(struct config *cfg)
{
    cfg->default_pool = pool_index(cfg, STR("default"));
    for (size_t i = 0; i < cfg->pool_count; i++) {
        struct mta_pool_options *p = &cfg->pools[i];
        p->hostname = cfg->hostname;
        p->connect_ms = (unsigned)cfg->timeout.relay_connect_ms;
        p->reply_ms = (unsigned)cfg->timeout.relay_reply_ms;
        /* the statement speaks of the service, each worker has its share */
        p->max_connections = MAX_OF((p->max_connections + cfg->workers - 1) / cfg->workers, 1u);
    }
}

/* ---- alerts ---- */

static void copy_addresses(struct config_builder *b, struct alert_config *a, const struct alert *alert)
{
    size_t count = values_arg_count(&alert->values, 0);
    const struct value *first = values_arg(&alert->values, 0);
    struct str *addresses = builder_alloc(b, count * sizeof *addresses);
    if (!addresses)
        return;
    for (size_t i = 0; i < count; i++)
        addresses[i] = str_of_z(builder_copy_text(b, first[i].text));
    a->addresses = addresses;
    a->address_count = count;
}

static void check_program(struct config_builder *b, const struct alert_config *a, struct place at)
{
    char text[512];
    struct stat st;
    const char *why = stat(a->program, &st) != 0                      ? strerror(errno)
                      : !S_ISREG(st.st_mode)                          ? "it is no file"
                      : !(st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) ? "nobody may execute it"
                                                                      : NULL;
    if (!why) {
        machine_note(b, at, a->program, MACHINE_RUNS);
        return;
    }
    snprintf(text, sizeof text, "cannot run \"%.300s\": %s", a->program, why);
    builder_missing(b, at, text);
}

static void build_alert(struct config_builder *b, const struct alert *alert)
{
    struct config *cfg = b->config;
    size_t index = cfg->alert_count++;
    struct alert_config *a = &cfg->alerts[index];
    const struct option *every = options_get(&alert->options, OPTION_ALERT_EVERY);
    const struct value *to = values_arg(&alert->values, 0);
    *a = (struct alert_config){.name = str_of_z(builder_copy_text(b, alert->name.text)),
                               .kind = alert->kind,
                               .every_ms = every ? values_arg(&every->values, 0)->ms : DEFAULT_ALERT_EVERY_MS,
                               .url = alert->kind == ALERT_WEBHOOK ? builder_copy_text(b, to->text) : NULL,
                               .program = alert->kind == ALERT_EXEC ? builder_copy_text(b, to->text) : NULL};
    cfg->alert_targets[index] = (struct alert_target){a->name, a->every_ms};
    if (alert->kind == ALERT_MAIL)
        copy_addresses(b, a, alert);
    if (a->program)
        check_program(b, a, to->at);
}

/* ---- the rest ---- */

static void build_events(struct config_builder *b, const struct statement *st)
{
    struct config *cfg = b->config;
    const struct value *to = builder_argument(st, 0);
    const struct value *rotate = builder_option(st, OPTION_EVENTS_ROTATE),
                       *keep = builder_option(st, OPTION_EVENTS_KEEP);
    cfg->events.sink = (enum event_sink)to->choice;
    if (cfg->events.sink == EVENT_SINK_FILE) {
        cfg->events.file = builder_file_name(b, to);
        machine_note(b, to->at, cfg->events.file, MACHINE_APPENDS);
        if (rotate)
            machine_note(b, rotate->at, cfg->events.file, MACHINE_ROTATES);
    } else if (cfg->events.sink != EVENT_SINK_STDERR) {
        machine_check_log(b, to->at, cfg->events.sink);
    }
    if (cfg->events.sink != EVENT_SINK_FILE && rotate) {
        diag_warning(b->diagnostics, rotate->at, "only a file is rotated");
    }
    if (rotate)
        cfg->events.rotate_bytes = (uint64_t)rotate->bytes;
    if (keep)
        cfg->events.keep = (unsigned)builder_whole_number(keep);
}

static void build_timeout(struct config *cfg, const struct statement *st)
{
    int64_t *const TO[] = {&cfg->timeout.greeting_ms,      &cfg->timeout.command_ms,    &cfg->timeout.data_ms,
                           &cfg->timeout.session_ms,       &cfg->timeout.tls_ms,        &cfg->timeout.auth_ms,
                           &cfg->timeout.relay_connect_ms, &cfg->timeout.relay_reply_ms};
    *TO[st->kind - STATEMENT_TIMEOUT_GREETING] = builder_argument(st, 0)->ms;
}

/* Opened to see whether it can be, by who will not use it: workers have their own. */
static void build_geoip(struct config_builder *b, const struct statement *st)
{
    struct err err;
    const struct value *v = builder_argument(st, 0);
    const char *path = builder_file_name(b, v);
    struct geoip *g = path ? geoip_open(path, 0, &err) : NULL;
    if (path && !g)
        builder_missing(b, v->at, err.text);
    else
        machine_note(b, v->at, path, MACHINE_READS);
    geoip_close(&g);
    b->config->geoip_file = path;
}

static void build_control(struct config_builder *b, const struct value *v)
{
    b->config->control.path = builder_copy_text(b, str_of_z(v->endpoint->name));
    b->config->control.is_default = false;
    if (v->endpoint->kind != ENDPOINT_UNIX)
        diag_error(b->diagnostics, v->at, "the control socket is a file, such as unix:/run/mailweir/control");
}

static void build_statement(struct config_builder *b, const struct statement *st)
{
    struct config *cfg = b->config;
    const struct value *v = statement_rows[st->kind].times == TIMES_SYNTAX ? NULL : builder_argument(st, 0);
    switch (st->kind) {
    case STATEMENT_HOSTNAME:
        cfg->hostname = builder_copy_text(b, v->text);
        break;
    case STATEMENT_LISTEN:
        build_listener(b, st);
        break;
    case STATEMENT_TLS_CERTIFICATE:
        server_tls_build(b, st);
        break;
    case STATEMENT_AUTH_FILE:
        build_auth(b, st);
        break;
    case STATEMENT_ALERT:
        build_alert(b, &st->alert);
        break;
    case STATEMENT_STORE_MEMORY:
    case STATEMENT_STORE_REDIS:
    case STATEMENT_STORE_REDIS_SENTINEL:
    case STATEMENT_STORE_REDIS_CLUSTER:
        server_store_build(b, st);
        break;
    case STATEMENT_TABLE:
        if (st->table.source == TABLE_SOCKETMAP)
            builder_note_socket(b, st->table.endpoint.at, st->table.endpoint.endpoint);
        break;
    case STATEMENT_WORKERS:
        cfg->workers = (unsigned)builder_whole_number(v);
        break;
    case STATEMENT_MAX_CONNECTIONS:
        cfg->max_connections = (unsigned)builder_whole_number(v);
        break;
    case STATEMENT_MAX_MESSAGE:
        cfg->max_message_bytes = (uint64_t)v->bytes;
        break;
    case STATEMENT_MAX_RECIPIENTS:
        cfg->max_recipients = (unsigned)builder_whole_number(v);
        break;
    case STATEMENT_MAX_HEADER:
        cfg->max_header_bytes = (size_t)v->bytes;
        break;
    case STATEMENT_MAX_LINE:
        cfg->max_line_bytes = (size_t)builder_whole_number(v);
        break;
    case STATEMENT_MAX_TARPITS:
        cfg->max_tarpits = (unsigned)builder_whole_number(v);
        break;
    case STATEMENT_MAX_ERRORS:
        cfg->max_errors = (unsigned)builder_whole_number(v);
        break;
    case STATEMENT_TIMEOUT_GREETING:
    case STATEMENT_TIMEOUT_COMMAND:
    case STATEMENT_TIMEOUT_DATA:
    case STATEMENT_TIMEOUT_SESSION:
    case STATEMENT_TIMEOUT_TLS:
    case STATEMENT_TIMEOUT_AUTH:
    case STATEMENT_TIMEOUT_RELAY_CONNECT:
    case STATEMENT_TIMEOUT_RELAY_REPLY:
        build_timeout(cfg, st);
        break;
    case STATEMENT_EVENTS:
        build_events(b, st);
        break;
    case STATEMENT_LOG_LEVEL:
        cfg->log_level = (enum log_level)v->choice;
        break;
    case STATEMENT_USER:
        cfg->user = builder_copy_text(b, v->text);
        break;
    case STATEMENT_STATE:
        cfg->state_dir = builder_file_name(b, v);
        break;
    case STATEMENT_GEOIP:
        build_geoip(b, st);
        break;
    case STATEMENT_CONTROL:
        build_control(b, v);
        break;
    case STATEMENT_PIDFILE:
        cfg->pidfile = builder_file_name(b, v);
        break;
    case STATEMENT_NETWORK_PREFIX:
        cfg->ipv4_prefix = (unsigned)builder_whole_number(v);
        cfg->ipv6_prefix = (unsigned)builder_whole_number(builder_argument(st, 1));
        break;
    case STATEMENT_TRACE_HEADER:
        cfg->trace_header = (enum trace_header)v->choice;
        break;
    default: /* policy's, or already built (relay) */
        break;
    }
}

static unsigned default_workers(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return (unsigned)MIN_OF(MAX_OF(cores, 1L), (long)DEFAULT_WORKERS_MAX);
}

static void set_defaults(struct config_builder *b)
{
    struct config *cfg = b->config;
    char name[256] = "";
    if (gethostname(name, sizeof name - 1) != 0 || name[0] == '\0')
        str_copy_into(name, sizeof name, STR("localhost"));
    cfg->hostname = builder_copy_text(b, str_of_z(name));
    cfg->tls_min_version = TLS1_2_VERSION;
    server_store_defaults(&cfg->store);
    cfg->workers = default_workers();
    cfg->max_connections = 20000;
    cfg->max_recipients = 1000;
    cfg->max_errors = 10;
    cfg->max_tarpits = 2000;
    cfg->max_message_bytes = 50 << 20;
    cfg->max_header_bytes = 256 << 10;
    cfg->max_line_bytes = 4096;
    cfg->timeout = (struct timeouts){30000, 300000, 180000, 3600000, 15000, 30000, 10000, 300000};
    cfg->events.sink = EVENT_SINK_STDERR;
    cfg->events.keep = 7;
    cfg->log_level = LOG_LEVEL_INFO;
    cfg->user = "mailweir";
    cfg->state_dir = "/var/lib/mailweir";
    cfg->control.path = CONFIG_CONTROL_DEFAULT;
    cfg->control.is_default = true;
    cfg->ipv4_prefix = 24;
    cfg->ipv6_prefix = 56;
}

static size_t count_of(const struct tree *tree, enum statement_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < tree->count; i++)
        n += tree->statements[i]->kind == kind;
    return n;
}

static bool make_room(struct config_builder *b)
{
    struct config *cfg = b->config;
    cfg->listeners = builder_alloc(b, (count_of(b->tree, STATEMENT_LISTEN) + 1) * sizeof *cfg->listeners);
    cfg->certificates =
        builder_alloc(b, (count_of(b->tree, STATEMENT_TLS_CERTIFICATE) + 1) * sizeof *cfg->certificates);
    cfg->pools = builder_alloc(b, (count_of(b->tree, STATEMENT_RELAY) + 1) * sizeof *cfg->pools);
    size_t alerts = count_of(b->tree, STATEMENT_ALERT) + 1;
    cfg->alerts = builder_alloc(b, alerts * sizeof *cfg->alerts);
    cfg->alert_targets = builder_alloc(b, alerts * sizeof *cfg->alert_targets);
    return cfg->listeners && cfg->certificates && cfg->pools && cfg->hostname && cfg->alerts && cfg->alert_targets;
}

/* --try: whoever we are, and everything in one directory that goes away with it. */
static void settle_try(struct config_builder *b)
{
    b->config->user = NULL;
    b->config->state_dir = builder_copy_text(b, str_of_z(b->options->try_dir));
    b->config->control.path = arena_printf(&b->config->arena, "%s/control", b->options->try_dir).ptr;
    b->config->control.is_default = false;
    b->config->pidfile = NULL;
}

static void check_whole(struct config_builder *b)
{
    const struct config *cfg = b->config;
    if (!builder_first_of(b, STATEMENT_LISTEN))
        diag_error(b->diagnostics, PLACE_NONE, "there is no listener: listen submission [::]:587");
    if (!builder_first_of(b, STATEMENT_RELAY))
        diag_error(b->diagnostics, PLACE_NONE,
                   "there is no relay: relay to 127.0.0.1:25, where the mail server behind listens");
    for (size_t i = 0; i < cfg->listener_count; i++)
        if (cfg->listeners[i].auth == LISTENER_AUTH_REQUIRED && !builder_first_of(b, STATEMENT_AUTH_FILE)) {
            builder_missing(b, builder_first_of(b, STATEMENT_LISTEN)->at,
                            "nobody can log in: say where the users are, auth file \"users\"");
            break;
        }
}

void config_server_build(struct config_builder *b, bool is_rules_alone)
{
    set_defaults(b);
    if (!make_room(b))
        return;
    /* pools first: listeners name them */
    for (size_t i = 0; i < b->tree->count; i++)
        if (b->tree->statements[i]->kind == STATEMENT_RELAY && !b->tree->statements[i]->is_broken)
            build_pool(b, b->tree->statements[i]);
    for (size_t i = 0; i < b->tree->count; i++)
        if (!b->tree->statements[i]->is_broken)
            build_statement(b, b->tree->statements[i]);
    if (b->options->purpose == CONFIG_TRY)
        settle_try(b);
    finish_pools(b->config);
    if (is_rules_alone)
        return;
    machine_check(b);
    server_tls_check(b);
    check_whole(b);
}
