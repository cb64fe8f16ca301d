/* Name resolution against a DNS server of the test's own, on loopback, in the same loop. */
#include "side.h"

#include <netinet/in.h>
#include <stdio.h>

#include "net/resolve.h"

static struct resolver *resolver;
static struct watch server;
static int server_fd, questions;
static bool is_silent;
static uint8_t code; /* of its answers: 0 with an address, NO_ADDRESS without, else the RCODE */

enum { TYPE_A = 1, TYPE_AAAA = 28, SERVFAIL = 2, NXDOMAIN = 3, NO_ADDRESS = 255 };

/* RFC 1035 4.1: the question is sent back with one answer, 192.0.2.7 or 2001:db8::7, to the name at offset 12. */
static void on_question(void *arg, bool readable, bool writable)
{
    (void)arg, (void)readable, (void)writable;
    static const uint8_t a[] = {192, 0, 2, 7}, aaaa[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 7};
    uint8_t m[512];
    struct sockaddr_storage from;
    socklen_t from_len = sizeof from;
    ssize_t n = recvfrom(server_fd, m, 256, 0, (struct sockaddr *)&from, &from_len);
    assert_true(n > 17);
    questions++;
    if (is_silent)
        return;
    size_t end = 12;
    while (m[end])
        end += m[end] + 1u;
    unsigned type = m[end + 2];
    end += 5;
    assert_true(end <= (size_t)n);
    m[2] = 0x81;
    m[3] = (uint8_t)(0x80 | (code == NO_ADDRESS ? 0 : code));
    m[7] = code == 0;                /* one answer */
    m[8] = m[9] = m[10] = m[11] = 0; /* nothing else */
    if (code == 0) {
        const uint8_t head[] = {0xc0, 12, 0, (uint8_t)type, 0, 1, 0, 0, 0, 60, 0, type == TYPE_A ? 4 : 16};
        memcpy(m + end, head, sizeof head);
        end += sizeof head;
        memcpy(m + end, type == TYPE_A ? a : aaaa, head[11]);
        end += head[11];
    }
    assert_int_equal(sendto(server_fd, m, end, 0, (struct sockaddr *)&from, from_len), (int)end);
}

static int set_up(void **state)
{
    struct err err;
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sin;
    char servers[32];
    if (set_up_loop(state) != 0)
        return -1;
    server_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bind(server_fd, (struct sockaddr *)&sin, len) != 0 ||
        getsockname(server_fd, (struct sockaddr *)&sin, &len) != 0)
        return -1;
    watch_init(&server, &loop, server_fd, on_question, NULL);
    watch_set(&server, true, false);
    questions = 0;
    is_silent = false;
    code = 0;
    resolver = resolver_new(&loop, &err);
    snprintf(servers, sizeof servers, "127.0.0.1:%u", ntohs(sin.sin_port));
    return resolver && resolver_use_servers(resolver, servers, &err) ? 0 : -1;
}

static int tear_down(void **state)
{
    resolver_free(&resolver);
    resolver_free(&resolver); /* harmless */
    watch_set(&server, false, false);
    close(server_fd);
    return tear_down_loop(state);
}

struct asked {
    int answers;
    struct resolved answer;
    char text[200];
};

static void on_answer(void *arg, const struct resolved *answer)
{
    struct asked *q = arg;
    char ip[IP_TEXT_MAX];
    q->answers++;
    q->answer = *answer;
    for (size_t i = 0; i < answer->count; i++) {
        size_t len = strlen(q->text);
        snprintf(q->text + len, sizeof q->text - len, "%s%s", len ? " " : "", ip_format(&answer->addresses[i], ip).ptr);
    }
}

static struct resolve_query *ask(struct asked *q, const char *host, int within_ms)
{
    memset(q, 0, sizeof *q);
    struct resolve_query *query = resolve_start(resolver, host, loop_now_ms(&loop) + within_ms, on_answer, q);
    assert_non_null(query);
    assert_int_equal(q->answers, 0); /* never from inside */
    return query;
}

static void answers_of_dns(void **state)
{
    (void)state;
    struct asked q;
    ask(&q, "mta.example.org", 3000);
    RUN_UNTIL(q.answers);
    assert_int_equal(q.answer.count, 2);
    assert_non_null(strstr(q.text, "192.0.2.7"));
    assert_non_null(strstr(q.text, "2001:db8::7"));
    run_turns(3);
    assert_int_equal(q.answers, 1);
    assert_int_equal(questions, 2);
}

static void answers_without_dns(void **state)
{
    (void)state;
    static const struct {
        const char *host, *answer;
    } cases[] = {
        {"localhost", "127.0.0.1 ::1"}, {"LocalHost", "127.0.0.1 ::1"}, {"a.localhost", "127.0.0.1 ::1"},
        {"192.0.2.9", "192.0.2.9"},     {"2001:db8::9", "2001:db8::9"}, {"::ffff:192.0.2.9", "192.0.2.9"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct asked q;
        ask(&q, cases[i].host, 1000);
        loop_run_tasks(&loop); /* at the end of this very turn */
        assert_int_equal(q.answers, 1);
        assert_string_equal(q.text, cases[i].answer);
    }
    assert_int_equal(questions, 0);
}

static void no_address(void **state)
{
    (void)state;
    static const struct {
        uint8_t code;
        const char *error;
    } cases[] = {{NXDOMAIN, "there is no such name"},
                 {NO_ADDRESS, "the name has no address"},
                 {SERVFAIL, "no DNS server has an answer"}};
    struct asked q;
    struct err err;
    char long_name[400];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        code = cases[i].code;
        ask(&q, "nowhere.example.org", 3000);
        RUN_UNTIL(q.answers);
        assert_int_equal(q.answer.count, 0);
        assert_string_equal(q.answer.error, cases[i].error);
    }
    /* Nobody serves at that port: discard's, where a test machine has nobody. */
    assert_true(resolver_use_servers(resolver, "127.0.0.1:9", &err));
    ask(&q, "mta.example.org", 3000);
    RUN_UNTIL(q.answers);
    assert_string_equal(q.answer.error, "no DNS server has an answer");

    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    ask(&q, long_name, 1000);
    loop_run_tasks(&loop);
    assert_int_equal(q.answers, 1);
    assert_string_equal(q.answer.error, "the name is too long");
}

static void silent_server(void **state)
{
    (void)state;
    struct asked q, cancelled;
    is_silent = true;
    int64_t start = loop_now_ms(&loop);
    ask(&q, "slow.example.org", 20);
    resolve_cancel(ask(&cancelled, "other.example.org", 10));
    RUN_UNTIL(q.answers);
    assert_true(loop_now_ms(&loop) >= start + 20 && loop_now_ms(&loop) < start + 1500);
    assert_string_equal(q.answer.error, "no answer from DNS in time");
    assert_int_equal(cancelled.answers, 0);
    /* c-ares still holds both: it lets go of them with the resolver, silently. */
    resolver_free(&resolver);
    run_turns(3);
    assert_int_equal(q.answers, 1);
    assert_int_equal(cancelled.answers, 0);
}

static void cancelled_before_it_is_told(void **state)
{
    (void)state;
    struct asked q, running;
    resolve_cancel(ask(&q, "localhost", 1000));
    ask(&running, "mta.example.org", 1000);
    loop_run_tasks(&loop);
    assert_int_equal(q.answers, 0);
    ask(&q, "localhost", 1000);
    resolver_free(&resolver); /* cancels what runs and what waits to be told */
    run_turns(3);
    assert_int_equal(q.answers + running.answers, 0);
}

static void bad_servers(void **state)
{
    (void)state;
    struct err err = {.text = ""};
    assert_false(resolver_use_servers(resolver, "nonsense", &err));
    assert_non_null(strstr(err.text, "nonsense: no list of DNS servers"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(answers_of_dns), TEST(answers_without_dns),         TEST(no_address),
        TEST(silent_server),  TEST(cancelled_before_it_is_told), TEST(bad_servers),
    };
    return cmocka_run_group_tests_name("net/resolve", tests, NULL, NULL);
}
