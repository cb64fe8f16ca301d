/* The lookups against a real DNS server: dnsmasq (PROTOCOLS.md 6), where it is installed. */
#include "lookup_test.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "lookup/dnsbl.h"
#include "lookup/reverse_name.h"

static const char DNSMASQ[] = "/usr/sbin/dnsmasq";
static pid_t server;
static struct dns *dns;

#define V6_LISTED "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0"

enum { MANY = 60 };

static unsigned free_port(void)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sin;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    close(fd);
    return ntohs(sin.sin_port);
}

static void run_server(unsigned port)
{
    static char port_option[32], many[MANY][64];
    const char *args[32 + MANY] = {DNSMASQ,
                                   "-k",
                                   "-C",
                                   "/dev/null",
                                   "--pid-file=",
                                   "--listen-address=127.0.0.1",
                                   "--bind-interfaces",
                                   "--no-resolv",
                                   "--no-hosts",
                                   "--log-facility=/dev/null",
                                   "--local=/bl.test/",
                                   "--local=/example.org/",
                                   "--local=/in-addr.arpa/",
                                   "--host-record=2.0.0.127.bl.test,127.0.0.2,600",
                                   "--host-record=" V6_LISTED ".bl.test,127.0.0.2,600",
                                   "--host-record=7.2.0.192.bl.test,127.0.0.2,600",
                                   "--host-record=7.2.0.192.bl.test,127.0.0.4,600",
                                   "--txt-record=7.2.0.192.bl.test,see https://bl.test/,and weep",
                                   "--host-record=8.2.0.192.bl.test,127.0.0.10,600",
                                   "--host-record=mta.example.org,192.0.2.7",
                                   "--ptr-record=8.2.0.192.in-addr.arpa,mta.example.org",
                                   port_option};
    size_t count = 0;
    while (args[count])
        count++;
    if (geteuid() == 0)
        args[count++] = "--user=root";
    snprintf(port_option, sizeof port_option, "--port=%u", port);
    for (int i = 0; i < MANY; i++) {
        snprintf(many[i], sizeof many[i], "--host-record=many.example.org,192.0.2.%d", 100 + i);
        args[count++] = many[i];
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execv(DNSMASQ, (char *const *)(uintptr_t)args);
    _exit(127);
}

static void on_probe(void *arg, const struct dns_reply *reply)
{
    *(int *)arg = reply->status == DNS_FAILED ? -1 : 1;
}

static int set_up(void **state)
{
    struct err err;
    char at[32];
    if (set_up_loop(state) != 0)
        return -1;
    if (access(DNSMASQ, X_OK) != 0)
        return 0;
    unsigned port = free_port();
    server = fork();
    if (server == 0)
        run_server(port);
    snprintf(at, sizeof at, "127.0.0.1:%u", port);
    dns = dns_new(&loop, &(struct dns_options){.servers = at}, &err);
    int answered = 0;
    for (int64_t until = clock_monotonic_ms() + 10000; answered != 1 && clock_monotonic_ms() < until;) {
        answered = 0;
        dns_ask(dns, "2.0.0.127.bl.test", DNS_A, loop_now_ms(&loop) + 1000, on_probe, &answered);
        while (!answered)
            loop_run_once(&loop, 20);
        if (answered < 0)
            loop_run_once(&loop, 20);
    }
    return answered == 1 ? 0 : -1;
}

static int tear_down(void **state)
{
    dns_free(&dns);
    if (server > 0) {
        kill(server, SIGTERM);
        waitpid(server, NULL, 0);
    }
    server = 0;
    return tear_down_loop(state);
}

static void on_done(void *arg)
{
    *(bool *)arg = true;
}

static enum dnsbl_result listed(struct dnsbl *lists, const char *client, struct dnsbl_answer answers[2])
{
    static const unsigned zones[] = {0, 1};
    struct dnsbl_check check;
    struct ip ip = ip_of(client);
    bool done = false;
    if (dnsbl_start(&check, lists, &ip, zones, answers, 2, loop_now_ms(&loop) + 4000, on_done, &done) == STARTED)
        RUN_UNTIL(done);
    return answers[0].result;
}

static void lists_of_dnsmasq(void **state)
{
    (void)state;
    static const struct dnsbl_zone_options zones[] = {
        {.name = "bl", .zone = "bl.test", .timeout_ms = 2000, .cache_ms = 300000},
        {.name = "refused", .zone = "elsewhere.test", .timeout_ms = 2000, .cache_ms = 300000},
    };
    struct err err;
    struct dnsbl_answer answers[2];
    struct dnsbl_text text;
    bool done = false;
    if (!server)
        skip();
    struct dnsbl *lists = dnsbl_new(&loop, dns, zones, COUNT_OF(zones), NULL, &err);
    assert_non_null(lists);
    assert_int_equal(listed(lists, "192.0.2.7", answers), DNSBL_LISTED);
    assert_int_equal(answers[0].code_count, 2);
    assert_int_equal(answers[0].codes[0][3], 2);
    assert_int_equal(answers[0].codes[1][3], 4);
    assert_int_equal(answers[1].result, DNSBL_UNKNOWN); /* REFUSED */
    assert_int_equal(dnsbl_zone_state(lists, 0, NULL), DNSBL_ON);
    assert_int_equal(dnsbl_zone_state(lists, 1, NULL), DNSBL_SILENT);
    assert_int_equal(listed(lists, "192.0.2.8", answers), DNSBL_NOT_LISTED); /* .10: a home line */
    assert_int_equal(listed(lists, "192.0.2.9", answers), DNSBL_NOT_LISTED);
    assert_int_equal(listed(lists, "2001:db8::7", answers), DNSBL_NOT_LISTED);
    struct ip client = ip_of("192.0.2.7");
    assert_int_equal(dnsbl_text_start(&text, lists, &client, 0, loop_now_ms(&loop) + 4000, on_done, &done), STARTED);
    RUN_UNTIL(done);
    assert_string_equal(text.text, "see https://bl.test/and weep");
    dnsbl_free(&lists);
}

static void names_of_dnsmasq(void **state)
{
    (void)state;
    static const struct {
        const char *client;
        enum reverse_result result;
        const char *name;
    } cases[] = {
        {"192.0.2.7", REVERSE_NAME, "mta.example.org"},
        {"192.0.2.8", REVERSE_NONE, ""}, /* it points to that name, but the name not back */
        {"192.0.2.9", REVERSE_NONE, ""},
        {"2001:db8::9", REVERSE_UNKNOWN, ""},              /* REFUSED: that zone is not the server's */
        {"192.0.2.150", REVERSE_NAME, "many.example.org"}, /* of 60 addresses: more than a packet, so by TCP */
    };
    struct err err;
    if (!server)
        skip();
    struct reverse_names *names = reverse_names_new(&loop, dns, &err);
    assert_non_null(names);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct reverse_wait w;
        struct ip client = ip_of(cases[i].client);
        bool done = false;
        if (reverse_name_start(&w, names, &client, loop_now_ms(&loop) + 4000, on_done, &done) == STARTED)
            RUN_UNTIL(done);
        if (w.answer.result != cases[i].result || strcmp(w.answer.name, cases[i].name) != 0)
            fail_msg("%s: %d, \"%s\"", cases[i].client, w.answer.result, w.answer.name);
    }
    reverse_names_free(&names);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {TEST(lists_of_dnsmasq), TEST(names_of_dnsmasq)};
    return cmocka_run_group_tests_name("lookup/dnsmasq", tests, NULL, NULL);
}
