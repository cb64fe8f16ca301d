/* test_store.c - `store …` becomes struct store_config, and what is wrong with one is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/starter.h"

/* What was read from the statement, as one line; or the first error. */
static void read_store(const char *statement, char *to, size_t size)
{
    char path[] = "/tmp/mailweir-store-XXXXXX", at[ENDPOINT_TEXT_MAX];
    struct source_set sources;
    struct diagnostics d;
    struct config_options options = {.purpose = CONFIG_CHECK, .without_tests = true};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    assert_non_null(f);
    fprintf(f, "listen smtp 127.0.0.1:2525\nrelay to 127.0.0.1:25\n%s\n", statement);
    assert_int_equal(fclose(f), 0);
    source_set_init(&sources, starter_builtins, starter_builtin_count);
    diag_init(&d, &sources);
    struct config *cfg = config_load(path, &options, &sources, &d);
    unlink(path);
    if (cfg) {
        static const char *const SHAPES[] = {"alone", "sentinel", "cluster"};
        static const char *const FAILURES[] = {"share", "local", "open", "closed"};
        const struct store_config *s = &cfg->store;
        int n = snprintf(to, size, "%s %s %u " PRI_STR, s->is_redis ? SHAPES[s->redis.shape] : "memory",
                         FAILURES[s->failure], s->timeout_ms, STR_ARG(s->prefix));
        for (size_t i = 0; i < s->redis.endpoint_count; i++)
            n += snprintf(to + n, size - (size_t)n, " " PRI_STR, STR_ARG(endpoint_format(&s->redis.endpoints[i], at)));
        snprintf(to + n, size - (size_t)n, "%s%s%s%s%s%s db=%u%s", s->redis.master ? " master=" : "",
                 s->redis.master ? s->redis.master : "", s->redis.user ? " user=" : "",
                 s->redis.user ? s->redis.user : "", s->redis.password ? " password=" : "",
                 s->redis.password ? s->redis.password : "", s->redis.db, s->redis.tls ? " tls" : "");
        if (s->redis.sentinel_password)
            snprintf(to + strlen(to), size - strlen(to), " sentinels: %s %s",
                     s->redis.sentinel_user ? s->redis.sentinel_user : "-", s->redis.sentinel_password);
    } else {
        size_t first = 0;
        while (first < d.count && d.items[first].is_warning)
            first++;
        assert_true(first < d.count);
        snprintf(to, size, PRI_STR, STR_ARG(d.items[first].text));
    }
    config_free(&cfg);
    diag_fini(&d);
    source_set_fini(&sources);
}

static void test_statements(void **state)
{
    static const char FORM[] = "a Redis is named as \"redis://[USER:PASSWORD@]HOST[:PORT][/DB]\", \"rediss://…\" with "
                               "TLS, or \"unix:PATH\"";
    static const struct {
        const char *statement, *expected;
    } ROWS[] = {
        {"", "memory share 50 mw1: db=0"},
        {"store memory", "memory share 50 mw1: db=0"},
        {"store redis \"redis://127.0.0.1\"", "alone share 50 mw1: 127.0.0.1:6379 db=0"},
        {"store redis \"redis://127.0.0.1:7100/3\"", "alone share 50 mw1: 127.0.0.1:7100 db=3"},
        {"store redis \"redis://127.0.0.1/\"", "alone share 50 mw1: 127.0.0.1:6379 db=0"},
        {"store redis \"redis://[2001:db8::1]\"", "alone share 50 mw1: [2001:db8::1]:6379 db=0"},
        {"store redis \"redis://[2001:db8::1]:1/2\"", "alone share 50 mw1: [2001:db8::1]:1 db=2"},
        {"store redis \"REDISS://redis.example.org\"", "alone share 50 mw1: redis.example.org:6379 db=0 tls"},
        {"store redis \"redis://redis.example.org\" { tls on }", "alone share 50 mw1: redis.example.org:6379 db=0 tls"},
        {"store redis \"redis://u:p%40%2fq@h.example:1\"", "alone share 50 mw1: h.example:1 user=u password=p@/q db=0"},
        {"store redis \"redis://:p@q@h.example\"", "alone share 50 mw1: h.example:6379 password=p@q db=0"},
        {"store redis \"unix:/run/redis.sock\" { db 4  prefix x: }", "alone share 50 x: unix:/run/redis.sock db=4"},
        {"store redis \"redis://h.example\" { failure closed  timeout 20ms }",
         "alone closed 20 mw1: h.example:6379 db=0"},
        {"store redis sentinel mw 127.0.0.1:26379 127.0.0.2:26379 { failure local }",
         "sentinel local 50 mw1: 127.0.0.1:26379 127.0.0.2:26379 master=mw db=0"},
        /* a file that is everywhere, and whose first line is known */
        {"store redis sentinel mw 127.0.0.1:26379 { sentinel-password-file \"/proc/sys/kernel/ostype\" }",
         "sentinel share 50 mw1: 127.0.0.1:26379 master=mw db=0 sentinels: - Linux"},
        {"store redis sentinel mw 127.0.0.1:26379 { sentinel-user \"s\"  sentinel-password-file "
         "\"/proc/sys/kernel/ostype\" }",
         "sentinel share 50 mw1: 127.0.0.1:26379 master=mw db=0 sentinels: s Linux"},
        {"store redis cluster 127.0.0.1:7000 [::1]:7001 { failure open }",
         "cluster open 50 mw1: 127.0.0.1:7000 [::1]:7001 db=0"},

        {"store redis \"127.0.0.1\"", FORM},
        {"store redis \"redis://\"", FORM},
        {"store redis \"redis://u@h.example\"", FORM},
        {"store redis \"redis://u:p%4@h.example\"", FORM},
        {"store redis \"redis://u:p%00@h.example\"", FORM},
        {"store redis \"redis://h.example/x\"", FORM},
        {"store redis \"redis://h.example/65536\"", FORM},
        {"store redis \"redis://h.example:70000\"", FORM},
        {"store redis \"http://h.example\"", FORM},
        {"store redis \"unix:\"", FORM},
        {"store redis \"rediss://h.example\" { tls off }",
         "rediss:// speaks TLS: write redis://, or leave `tls off` away"},
        {"store redis \"unix:/run/redis.sock\" { tls on }", "no TLS is spoken over a Unix socket"},
        {"store redis \"redis://u:p@h.example\" { user \"v\"  password-file \"/dev/null\" }",
         "the login stands in the URL already: say it once"},
        {"store redis \"redis://h.example\" { user \"v\" }", "a user needs a password: password-file \"FILE\""},
        {"store redis \"redis://h.example\" { password-file \"/dev/null\" }",
         "the first line of \"/dev/null\" must be a password of at most 512 bytes"},
        {"store redis sentinel mw 127.0.0.1:26379 { sentinel-user \"s\" }",
         "a user needs a password: sentinel-password-file \"FILE\""},
        {"store redis \"redis://h.example\" { sentinel-password-file \"/proc/sys/kernel/ostype\" }",
         "no sentinels are asked here: that is the login with those of `store redis sentinel`"},
        {"store redis \"redis://h.example/2\" { db 3 }", "the URL names database 2 already"},
        {"store redis cluster 127.0.0.1:7000 { db 3 }", "a Redis Cluster has database 0 only"},
        {"store redis \"redis://h.example\" { prefix \"a b\" }",
         "a prefix is 1 to 32 characters without spaces, braces, brackets, * or ?"},
    };
    (void)state;
    char text[1024];
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        read_store(ROWS[i].statement, text, sizeof text);
        if (strcmp(text, ROWS[i].expected) != 0)
            print_message("%s\n", ROWS[i].statement);
        assert_string_equal(text, ROWS[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_statements)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
