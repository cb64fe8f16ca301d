/* Lives of a DNS channel: another resolv.conf is another set of servers, and what was under way comes back. */
#include "side.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "net/dns_channel.h"

static char conf[64];
static int64_t tick; /* every file written has a time of its own */

static void write_conf(const char *text)
{
    FILE *f = fopen(conf, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    tick++;
    struct timespec times[2] = {{.tv_sec = 1000000000 + tick}, {.tv_sec = 1000000000 + tick}};
    assert_int_equal(utimensat(AT_FDCWD, conf, times, 0), 0);
}

static int set_up(void **state)
{
    if (set_up_loop(state) != 0)
        return -1;
    snprintf(conf, sizeof conf, "/tmp/mailweir-test-resolv-%d", (int)getpid());
    write_conf("nameserver 127.0.0.1\n");
    loop_set_now(&loop, 1000, 0);
    return 0;
}

static int tear_down(void **state)
{
    unlink(conf);
    return tear_down_loop(state);
}

static struct dns_channel *make(void)
{
    struct err err;
    struct dns_channel_options options = {.lookups = "b", .try_ms = 100, .tries = 1, .resolv_conf = conf, .port = 5353};
    struct dns_channel *c = dns_channel_new(&loop, &options, &err);
    assert_non_null(c);
    return c;
}

/* "127.0.0.1:5353": the first server of the moment. */
static const char *server_of(struct dns_channel *c)
{
    static char text[64];
    struct ares_addr_port_node *servers;
    char ip[INET6_ADDRSTRLEN];
    assert_int_equal(ares_get_servers_ports(dns_channel_get(c), &servers), ARES_SUCCESS);
    assert_non_null(servers);
    inet_ntop(servers->family, &servers->addr, ip, sizeof ip);
    snprintf(text, sizeof text, "%s:%d", ip, servers->udp_port);
    ares_free_data(servers);
    return text;
}

static void another_file_another_life(void **state)
{
    (void)state;
    struct dns_channel *c = make();
    assert_string_equal(server_of(c), "127.0.0.1:0"); /* 0: the channel's port */
    write_conf("nameserver 127.0.0.2\n");
    assert_string_equal(server_of(c), "127.0.0.1:0"); /* not looked at again so soon */
    loop_set_now(&loop, 5999, 0);
    assert_string_equal(server_of(c), "127.0.0.1:0");
    loop_set_now(&loop, 6000, 0);
    assert_string_equal(server_of(c), "127.0.0.2:0");
    unlink(conf);
    loop_set_now(&loop, 12000, 0);
    assert_string_equal(server_of(c), "127.0.0.2:0"); /* gone for the moment: no reason to forget it */
    write_conf("nameserver 127.0.0.3\n");
    loop_set_now(&loop, 18000, 0);
    assert_string_equal(server_of(c), "127.0.0.3:0");
    dns_channel_free(&c);
    dns_channel_free(&c); /* harmless */
}

static void own_servers_stay(void **state)
{
    (void)state;
    struct err err;
    struct dns_channel *c = make();
    assert_false(dns_channel_use_servers(c, "nonsense", &err));
    assert_non_null(strstr(err.text, "nonsense: no list of DNS servers: "));
    assert_true(dns_channel_use_servers(c, "127.0.0.9:53", &err));
    write_conf("nameserver 127.0.0.2\n");
    loop_set_now(&loop, 100000, 0);
    assert_string_equal(server_of(c), "127.0.0.9:53");
    dns_channel_free(&c);
}

struct asked {
    struct dns_channel *channel;
    int comes_back, ends;
};

static void on_reply(void *arg, int status, int timeouts, unsigned char *message, int len)
{
    (void)timeouts, (void)message, (void)len;
    struct asked *q = arg;
    assert_int_equal(status, ARES_EDESTRUCTION);
    if (dns_channel_is_open(q->channel)) {
        q->comes_back++;
        ares_query(dns_channel_get(q->channel), "a.example", 1, 1, on_reply, q);
    } else {
        q->ends++;
    }
}

static void questions_outlive_a_change(void **state)
{
    (void)state;
    struct dns_channel *c = make();
    struct asked q = {.channel = c};
    ares_query(dns_channel_get(c), "a.example", 1, 1, on_reply, &q);
    write_conf("nameserver 127.0.0.2\n");
    loop_set_now(&loop, 7000, 0);
    assert_string_equal(server_of(c), "127.0.0.2:0");
    assert_int_equal(q.comes_back, 1);
    assert_int_equal(q.ends, 0);
    dns_channel_free(&c);
    assert_int_equal(q.comes_back, 1);
    assert_int_equal(q.ends, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(another_file_another_life),
        TEST(own_servers_stay),
        TEST(questions_outlive_a_change),
    };
    return cmocka_run_group_tests_name("net/dns_channel", tests, NULL, NULL);
}
