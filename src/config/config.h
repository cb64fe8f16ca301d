/*
 * config.h - one immutable configuration: what the files say, with defaults filled in, in the form the modules want.
 *
 * The only place that knows both the language and the modules' options. A worker gets one at its birth and keeps it
 * until it ends; reload makes another. Everything lies in the configuration's arena and is freed with it.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/arena.h"
#include "base/log.h"
#include "limits/store.h"
#include "mta/pool.h"
#include "net/addr.h"
#include "net/tls.h"
#include "policy/policy.h"
#include "policy/trial.h"
#include "redis/redis.h"
#include "rules/tree.h"
#include "stats/alert.h"

enum listener_kind { LISTENER_SUBMISSION, LISTENER_SUBMISSIONS, LISTENER_SMTP };
enum listener_tls { LISTENER_TLS_IMPLICIT, LISTENER_TLS_REQUIRED, LISTENER_TLS_OPTIONAL, LISTENER_TLS_OFF };
enum listener_auth { LISTENER_AUTH_REQUIRED, LISTENER_AUTH_OPTIONAL, LISTENER_AUTH_OFF };

/* A `listen` statement; several endpoints share it. */
struct listener_config {
    enum listener_kind kind;
    struct str name; /* "submission", or its `name` option; unique */
    const struct endpoint *endpoints;
    size_t endpoint_count;
    enum listener_tls tls; /* REQUIRED: before AUTH and MAIL */
    enum listener_auth auth;
    struct str banner; /* after the host name in the greeting; "ESMTP" unless set */
    size_t pool;       /* index into pools */
};

enum trace_header { TRACE_HEADER_ON, TRACE_HEADER_MINIMAL, TRACE_HEADER_OFF };
enum event_sink {
    EVENT_SINK_FILE,
    EVENT_SINK_STDERR,
    EVENT_SINK_SYSLOG,
    EVENT_SINK_JOURNAL
}; /* as in statements.def */

/* `timeout …`, in milliseconds. */
struct timeouts {
    int64_t greeting_ms; /* the first command */
    int64_t command_ms, data_ms, session_ms, tls_ms, auth_ms;
    int64_t relay_connect_ms, relay_reply_ms;
};

/* An `alert` statement: where `alert NAME` sends an event. */
struct alert_config {
    struct str name;
    enum alert_kind kind;
    int64_t every_ms;
    const char *url;             /* ALERT_WEBHOOK */
    const char *program;         /* ALERT_EXEC */
    const struct str *addresses; /* ALERT_MAIL */
    size_t address_count;
};

/* Where counts are kept. */
struct store_config {
    bool is_redis;
    bool persists;  /* counts and bans survive a restart */
    size_t entries; /* of the embedded table, which decides while a Redis is away */
    struct redis_options redis;
    enum store_failure failure;
    unsigned timeout_ms;
    struct str prefix; /* of its keys */
};

struct config {
    struct arena arena;
    const char *path; /* as it was given */
    const char *hostname;
    struct listener_config *listeners;
    size_t listener_count;
    struct tls_certificate *certificates;
    size_t certificate_count;
    int tls_min_version;     /* TLS1_2_VERSION … */
    const char *tls_ciphers; /* NULL: the default */
    struct {
        const char *file;  /* NULL: no AUTH is offered */
        const char *realm; /* completes a bare login; NULL: none */
        int64_t cache_ms;  /* 0: no cache */
    } auth;
    struct mta_pool_options *pools; /* [0] is "default" if there is one of that name */
    size_t pool_count;
    size_t default_pool; /* the one that mails of our own go to */
    struct alert_config *alerts;
    struct alert_target *alert_targets; /* of the same index: what a worker needs of them */
    size_t alert_count;
    struct store_config store;
    unsigned workers, max_recipients, max_errors;
    unsigned max_connections, max_tarpits; /* of the whole service */
    uint64_t max_message_bytes;
    size_t max_header_bytes, max_line_bytes;
    struct timeouts timeout;
    struct {
        enum event_sink sink;
        const char *file;
        uint64_t rotate_bytes; /* 0: never */
        unsigned keep;
    } events;
    enum log_level log_level;
    const char *user; /* NULL: stay who we are (--try, or not root) */
    const char *state_dir;
    const char *pidfile; /* NULL: none */
    struct {
        const char *path;
        bool is_default;               /* no statement names it */
    } control;                         /* the control socket */
    const char *geoip_file;            /* NULL: none */
    unsigned ipv4_prefix, ipv6_prefix; /* network prefix */
    enum trace_header trace_header;
    struct policy *policy;
    struct trial_world world;   /* where `test` blocks and `explain` take place: these rules, these listeners */
    size_t test_count;          /* tests that were run, and met */
    size_t left_out_test_count; /* of files whose rules are disabled or observed from elsewhere */
    size_t missing_count;       /* CONFIG_CHECK: warnings for which `serve` would not start on this machine */
    bool is_starter_policy;     /* no rule and no limit was given: the built-in one */
};

#define CONFIG_CONTROL_DEFAULT "/run/mailweir/control"
#define CONFIG_SYSLOG_SOCKET   "/dev/log"
#define CONFIG_JOURNAL_SOCKET  "/run/systemd/journal/socket"

enum {
    CONFIG_TESTS_MAX_MS = 2000,
    CONFIG_ENDPOINTS_MAX = 64, /* to listen at: process/ has a bit for each in a message */
    CONFIG_CERTIFICATES_MAX = 1024,
};

enum config_purpose {
    CONFIG_CHECK, /* what is missing on this machine (machine.h: files, a user, an address) is a warning */
    CONFIG_SERVE, /* … are errors */
    CONFIG_TRY,   /* serve --try: no root, own ports, a self-signed certificate in try_dir where none is given */
};

struct config_options {
    enum config_purpose purpose;
    const char *try_dir; /* CONFIG_TRY: where its files are */
    bool without_tests;  /* they are read, and not run: for who must see what a failing one is about */
};

/* Reads path and all it includes, checks everything, builds the configuration and, if nothing is wrong, runs its tests.
 * Whoever starts to serve must not wait for tests for ever: there, what is left after CONFIG_TESTS_MAX_MS is left out,
 * with a warning. NULL: diagnostics hold at least one
 * error; otherwise they may hold warnings. sources (with starter_builtins of config/starter.h) and diagnostics are the
 * caller's: places and printed lines lie in them. A file without server statements (rules alone) is fine for
 * CONFIG_CHECK. */
struct config *config_load(const char *path, const struct config_options *options, struct source_set *sources,
                           struct diagnostics *diagnostics);
void config_free(struct config **config);

#endif
