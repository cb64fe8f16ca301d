/* server_store.c - `store memory`, and the three ways to name a Redis. See server_store.h. */
#include "config/server_store.h"

#include <stdio.h>
#include <string.h>

#include "config/machine.h"
#include "limits/redis_keys.h"
#include "limits/store_memory.h"

enum { REDIS_PORT = 6379, PASSWORD_MAX_BYTES = 512, DB_MAX = 65535 };

void server_store_defaults(struct store_config *store)
{
    *store = (struct store_config){
        .entries = STORE_MEMORY_ENTRIES_DEFAULT, .failure = STORE_SHARE, .timeout_ms = 50, .prefix = STR("mw1:")};
}

/* ---- "redis[s]://[user:pass@]host[:port][/db]", "unix:PATH" ---- */

/* RFC 3986 2.1: what cannot stand in a URL as it is. NULL: no memory, or a % without two hex digits. */
static const char *decode(struct config_builder *b, struct str s)
{
    char *to = builder_alloc(b, s.len + 1);
    size_t n = 0;
    for (size_t i = 0; to && i < s.len; i++) {
        if (s.ptr[i] != '%') {
            to[n++] = s.ptr[i];
            continue;
        }
        int high = i + 2 < s.len ? ascii_hex_value(s.ptr[i + 1]) : -1,
            low = i + 2 < s.len ? ascii_hex_value(s.ptr[i + 2]) : -1;
        if (high < 0 || low < 0 || (high | low) == 0)
            return NULL;
        to[n++] = (char)(high << 4 | low);
        i += 2;
    }
    return to;
}

static bool read_login(struct config_builder *b, struct redis_options *redis, struct str login)
{
    struct str password, user = str_split(login, ':', &password);
    bool has_password = user.len < login.len;
    if (!has_password)
        return false;
    redis->password = decode(b, password);
    redis->user = user.len ? decode(b, user) : NULL;
    return redis->password && (redis->user || user.len == 0);
}

static bool read_db(struct redis_options *redis, struct str text)
{
    uint64_t db;
    if (text.len && !str_to_u64(text, DB_MAX, &db))
        return false;
    redis->db = text.len ? (unsigned)db : 0;
    return true;
}

/* The port may be left out. */
static bool read_host(struct endpoint *server, struct str host)
{
    char text[ENDPOINT_TEXT_MAX];
    struct err err;
    size_t bracket = str_find(host, ']');
    struct str after = bracket < host.len ? str_from(host, bracket) : host;
    bool has_port = str_find(after, ':') < after.len;
    int len = snprintf(text, sizeof text, has_port ? PRI_STR : PRI_STR ":%d", STR_ARG(host), REDIS_PORT);
    return len > 0 && (size_t)len < sizeof text && endpoint_parse(str_of_z(text), server, &err) &&
           server->kind != ENDPOINT_UNIX;
}

static bool read_url(struct config_builder *b, struct redis_options *redis, struct endpoint *server, struct str url)
{
    struct err err;
    if (str_starts_nocase(url, STR("unix:")))
        return endpoint_parse(url, server, &err);
    redis->tls = str_starts_nocase(url, STR("rediss://"));
    if (!redis->tls && !str_starts_nocase(url, STR("redis://")))
        return false;
    struct str db, rest = str_from(url, redis->tls ? strlen("rediss://") : strlen("redis://"));
    struct str host = str_split(rest, '/', &db);
    size_t at = str_find_last(host, '@'); /* a password may hold another */
    bool has_login = at < host.len;
    return (!has_login || read_login(b, redis, str_sub(host, 0, at))) && read_db(redis, db) &&
           read_host(server, has_login ? str_from(host, at + 1) : host);
}

/* ---- what the options say ---- */

/* The first line of the file. */
static const char *read_password(struct config_builder *b, const struct value *v)
{
    char line[PASSWORD_MAX_BYTES + 2] = "";
    const char *path = builder_file_name(b, v);
    if (!builder_can_read(b, v, path))
        return NULL;
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(line, sizeof line, f);
    if (f)
        fclose(f);
    size_t len = strcspn(line, "\r\n");
    if (!ok || len == 0 || len > PASSWORD_MAX_BYTES) {
        diag_error(b->diagnostics, v->at, "the first line of \"%s\" must be a password of at most %d bytes", path,
                   PASSWORD_MAX_BYTES);
        return NULL;
    }
    const char *copy = builder_copy_text(b, str_of(line, len));
    explicit_bzero(line, sizeof line);
    return copy;
}

static void build_prefix(struct config_builder *b, const struct value *v)
{
    struct str prefix = v->text;
    bool is_right = prefix.len > 0 && prefix.len <= REDIS_PREFIX_MAX_BYTES && !str_has_control(prefix);
    for (size_t i = 0; i < prefix.len; i++)
        is_right = is_right && !strchr("{} *?[]\\", prefix.ptr[i]);
    if (!is_right)
        diag_error(b->diagnostics, v->at, "a prefix is 1 to %d characters without spaces, braces, brackets, * or ?",
                   REDIS_PREFIX_MAX_BYTES);
    b->config->store.prefix = str_of_z(builder_copy_text(b, prefix));
}

/* option: what `file` is called. */
static void read_named_login(struct config_builder *b, const struct value *user, const struct value *file,
                             const char *option, const char **to_user, const char **to_password)
{
    if (user && !file && !*to_password)
        diag_error(b->diagnostics, user->at, "a user needs a password: %s \"FILE\"", option);
    if (user)
        *to_user = builder_copy_text(b, user->text);
    if (file)
        *to_password = read_password(b, file);
}

static void build_login(struct config_builder *b, const struct statement *st, struct redis_options *redis)
{
    const struct value *user = builder_option(st, OPTION_STORE_REDIS_USER),
                       *file = builder_option(st, OPTION_STORE_REDIS_PASSWORD_FILE);
    if ((user || file) && redis->password)
        diag_error(b->diagnostics, (user ? user : file)->at, "the login stands in the URL already: say it once");
    read_named_login(b, user, file, "password-file", &redis->user, &redis->password);
}

static void build_sentinel_login(struct config_builder *b, const struct statement *st, struct redis_options *redis)
{
    const struct value *user = builder_option(st, OPTION_STORE_REDIS_SENTINEL_USER),
                       *file = builder_option(st, OPTION_STORE_REDIS_SENTINEL_PASSWORD_FILE);
    if ((user || file) && redis->shape != REDIS_SENTINEL)
        diag_error(b->diagnostics, (user ? user : file)->at,
                   "no sentinels are asked here: that is the login with those of `store redis sentinel`");
    read_named_login(b, user, file, "sentinel-password-file", &redis->sentinel_user, &redis->sentinel_password);
}

static void build_tls(struct config_builder *b, const struct statement *st, struct redis_options *redis)
{
    const struct value *tls = builder_option(st, OPTION_STORE_REDIS_TLS),
                       *ca = builder_option(st, OPTION_STORE_REDIS_CA);
    if (tls && redis->tls && !tls->truth)
        diag_error(b->diagnostics, tls->at, "rediss:// speaks TLS: write redis://, or leave `tls off` away");
    redis->tls = redis->tls || (tls && tls->truth);
    if (redis->tls && redis->endpoint_count && redis->endpoints[0].kind == ENDPOINT_UNIX)
        diag_error(b->diagnostics, st->at, "no TLS is spoken over a Unix socket");
    if (!ca)
        return;
    if (!redis->tls)
        diag_warning(b->diagnostics, ca->at, "no TLS is spoken with this Redis: `ca` has no effect without `tls on`");
    redis->ca_file = builder_file_name(b, ca);
    if (builder_can_use_ca(b, ca, redis->ca_file))
        machine_note(b, ca->at, redis->ca_file, MACHINE_READS); /* by processes that are root no more */
}

static void build_db(struct config_builder *b, const struct statement *st, struct redis_options *redis)
{
    const struct value *db = builder_option(st, OPTION_STORE_REDIS_DB);
    if (!db)
        return;
    int64_t number = builder_whole_number(db);
    if (number < 0 || number > DB_MAX)
        diag_error(b->diagnostics, db->at, "db is from 0 to %d", DB_MAX);
    else if (number && redis->shape == REDIS_CLUSTER)
        diag_error(b->diagnostics, db->at, "a Redis Cluster has database 0 only");
    else if (redis->db && redis->db != (unsigned)number)
        diag_error(b->diagnostics, db->at, "the URL names database %u already", redis->db);
    else
        redis->db = (unsigned)number;
}

/* ---- statements ---- */

static void copy_endpoints(struct config_builder *b, const struct statement *st, unsigned arg,
                           struct redis_options *redis)
{
    size_t count = values_arg_count(&st->server.values, arg);
    const struct value *first = builder_argument(st, arg);
    struct endpoint *endpoints = builder_alloc(b, count * sizeof *endpoints);
    if (!endpoints)
        return;
    for (size_t i = 0; i < count; i++)
        endpoints[i] = *first[i].endpoint;
    redis->endpoints = endpoints;
    redis->endpoint_count = count;
}

static void build_url(struct config_builder *b, const struct statement *st, struct redis_options *redis)
{
    const struct value *url = builder_argument(st, 0);
    struct endpoint *server = builder_alloc(b, sizeof *server);
    if (!server)
        return;
    if (!read_url(b, redis, server, url->text)) {
        diag_error(b->diagnostics, url->at,
                   "a Redis is named as \"redis://[USER:PASSWORD@]HOST[:PORT][/DB]\", \"rediss://…\" with TLS, or "
                   "\"unix:PATH\"");
        return;
    }
    redis->endpoints = server;
    redis->endpoint_count = 1;
    builder_note_socket(b, url->at, server);
}

static void build_redis(struct config_builder *b, const struct statement *st)
{
    struct store_config *store = &b->config->store;
    struct redis_options *redis = &store->redis;
    store->is_redis = true;
    switch (st->kind) {
    case STATEMENT_STORE_REDIS_SENTINEL:
        redis->shape = REDIS_SENTINEL;
        redis->master = builder_copy_text(b, builder_argument(st, 0)->text);
        copy_endpoints(b, st, 1, redis);
        break;
    case STATEMENT_STORE_REDIS_CLUSTER:
        redis->shape = REDIS_CLUSTER;
        copy_endpoints(b, st, 0, redis);
        break;
    default:
        redis->shape = REDIS_ALONE;
        build_url(b, st, redis);
        break;
    }
    build_login(b, st, redis);
    build_sentinel_login(b, st, redis);
    build_tls(b, st, redis);
    build_db(b, st, redis);
    const struct value *prefix = builder_option(st, OPTION_STORE_REDIS_PREFIX);
    if (prefix)
        build_prefix(b, prefix);
    store->failure = (enum store_failure)builder_choice(st, OPTION_STORE_REDIS_FAILURE, STORE_SHARE);
    store->timeout_ms = (unsigned)builder_ms(st, OPTION_STORE_REDIS_TIMEOUT, store->timeout_ms);
}

void server_store_build(struct config_builder *b, const struct statement *st)
{
    if (st->kind != STATEMENT_STORE_MEMORY) {
        build_redis(b, st);
        return;
    }
    const struct value *entries = builder_option(st, OPTION_STORE_MEMORY_ENTRIES);
    if (entries)
        b->config->store.entries = (size_t)builder_whole_number(entries);
    const struct value *persist = builder_option(st, OPTION_STORE_MEMORY_PERSIST);
    b->config->store.persists = persist && persist->truth;
}
