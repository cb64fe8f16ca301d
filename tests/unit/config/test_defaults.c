/* test_defaults.c - what the tables of rules/ say holds without a statement or option is what holds: a configuration
 * that writes all of it down is the one that writes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/starter.h"

struct loaded {
    struct source_set sources;
    struct diagnostics d;
    struct config *cfg;
};

static void load(struct loaded *l, struct str text)
{
    char path[] = "/tmp/mailweir-defaults-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.ptr, text.len), (ssize_t)text.len);
    close(fd);
    /* Without: the starter's tests are run by tests/system/test_cli.py. */
    struct config_options options = {.purpose = CONFIG_CHECK, .without_tests = true};
    source_set_init(&l->sources, starter_builtins, starter_builtin_count);
    diag_init(&l->d, &l->sources);
    l->cfg = config_load(path, &options, &l->sources, &l->d);
    unlink(path);
    if (l->cfg)
        return;
    struct buf said;
    buf_init(&said, 1 << 20);
    assert_true(diag_print(&l->d, &said));
    fail_msg(PRI_STR "\n" PRI_STR, STR_ARG(text), STR_ARG(buf_str(&said)));
}

static void unload(struct loaded *l)
{
    config_free(&l->cfg);
    diag_fini(&l->d);
    source_set_fini(&l->sources);
}

static void write_options(struct buf *to, enum option_block block)
{
    assert_true(buf_printf(to, " {"));
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_rows[i];
        if (row->block == block && row->without && row->without[0] != '(' && !row->later)
            assert_true(buf_printf(to, " %s %s ", row->word, row->without));
    }
    assert_true(buf_printf(to, "}\n"));
}

/* Every default that can be written and is in force; remarks, in ( ), cannot. */
static void write_defaults(struct buf *to)
{
    for (unsigned i = 0; i < STATEMENT_COUNT; i++) {
        const struct statement_row *row = &statement_rows[i];
        if (!row->without || row->without[0] == '(' || (row->later && row->later[0] == '*'))
            continue;
        assert_true(buf_printf(to, "%s %s", row->words, row->without));
        if (row->options != OPTIONS_NONE)
            write_options(to, row->options);
        else
            assert_true(buf_printf(to, "\n"));
    }
    static const struct {
        const char *head;
        enum option_block block;
    } heads[] = {{"listen submission 127.0.0.1:2587", OPTIONS_LISTEN},
                 {"relay to 127.0.0.1:25", OPTIONS_RELAY},
                 {"auth file \"users\"", OPTIONS_AUTH},
                 {"store memory", OPTIONS_STORE_MEMORY}};
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        assert_true(buf_printf(to, "%s", heads[i].head));
        write_options(to, heads[i].block);
    }
}

static bool same_text(const char *a, const char *b)
{
    return str_equal(str_of_z(a), str_of_z(b));
}

static void assert_same_server(const struct config *a, const struct config *b)
{
    assert_int_equal(a->tls_min_version, b->tls_min_version);
    assert_int_equal(a->auth.cache_ms, b->auth.cache_ms);
    assert_int_equal(a->store.entries, b->store.entries);
    assert_int_equal(a->store.failure, b->store.failure);
    assert_int_equal(a->store.timeout_ms, b->store.timeout_ms);
    assert_true(str_equal(a->store.prefix, b->store.prefix));
    assert_int_equal(a->workers, b->workers);
    assert_int_equal(a->max_connections, b->max_connections);
    assert_int_equal(a->max_recipients, b->max_recipients);
    assert_int_equal(a->max_errors, b->max_errors);
    assert_int_equal(a->max_message_bytes, b->max_message_bytes);
    assert_int_equal(a->max_header_bytes, b->max_header_bytes);
    assert_int_equal(a->max_line_bytes, b->max_line_bytes);
    assert_memory_equal(&a->timeout, &b->timeout, sizeof a->timeout);
    assert_int_equal(a->events.sink, b->events.sink);
    assert_int_equal(a->events.keep, b->events.keep);
    assert_int_equal(a->events.rotate_bytes, b->events.rotate_bytes);
    assert_int_equal(a->log_level, b->log_level);
    assert_true(same_text(a->user, b->user));
    assert_true(same_text(a->state_dir, b->state_dir));
    assert_int_equal(a->ipv4_prefix, b->ipv4_prefix);
    assert_int_equal(a->ipv6_prefix, b->ipv6_prefix);
    assert_int_equal(a->trace_header, b->trace_header);
}

static void assert_same_listener_and_pool(const struct config *a, const struct config *b)
{
    assert_int_equal(a->listeners[0].tls, b->listeners[0].tls);
    assert_int_equal(a->listeners[0].auth, b->listeners[0].auth);
    const struct mta_pool_options *x = &a->pools[0], *y = &b->pools[0];
    assert_int_equal(x->xclient, y->xclient);
    assert_int_equal(x->xforward, y->xforward);
    assert_int_equal(x->balance, y->balance);
    assert_int_equal(x->max_connections, y->max_connections);
    assert_int_equal(x->idle_ms, y->idle_ms);
    assert_int_equal(x->retry_down_ms, y->retry_down_ms);
    assert_int_equal(x->connect_ms, y->connect_ms);
    assert_int_equal(x->reply_ms, y->reply_ms);
}

static void test_defaults(void **state)
{
    (void)state;
    struct loaded nothing, everything;
    struct buf text;
    buf_init(&text, 1 << 16);
    write_defaults(&text);
    assert_true(str_contains_nocase(buf_str(&text), STR("max-message 50M")));
    load(&nothing, STR("listen submission 127.0.0.1:2587\nrelay to 127.0.0.1:25\nauth file \"users\"\n"));
    load(&everything, buf_str(&text));
    assert_same_server(nothing.cfg, everything.cfg);
    assert_same_listener_and_pool(nothing.cfg, everything.cfg);
    unload(&nothing);
    unload(&everything);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_defaults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
