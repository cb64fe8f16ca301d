/* Questions to a DNS server that behaves well, badly, or not at all. */
#include "lookup_test.h"

#include "dns_server.h"

static struct dns *dns;

static int set_up(void **state)
{
    struct err err;
    if (set_up_loop(state) != 0)
        return -1;
    dns_server_start(&loop);
    dns = dns_new(&loop, &(struct dns_options){.servers = dns_server_at}, &err);
    return dns ? 0 : -1;
}

static int tear_down(void **state)
{
    dns_free(&dns);
    dns_free(&dns); /* harmless */
    dns_server_stop();
    return tear_down_loop(state);
}

struct asked {
    int replies;
    enum dns_status status;
    char error[64], first[IP_TEXT_MAX];
    size_t count;
    int64_t keep_ms;
    bool is_malformed;
    const char *then; /* asked from inside of the callback */
    enum dns_type type;
};

static struct dns_question *ask(struct asked *q, const char *name, enum dns_type type, int within_ms);

static void on_reply(void *arg, const struct dns_reply *reply)
{
    struct asked *q = arg;
    struct ip found[DNS_MAX_ADDRESSES];
    q->replies++;
    q->status = reply->status;
    q->keep_ms = dns_reply_keep_ms(reply, 3600000);
    str_copy_into(q->error, sizeof q->error, str_of_z(reply->error));
    q->is_malformed = !dns_message_addresses(reply->message, q->type, found, COUNT_OF(found), &q->count);
    if (q->count)
        ip_format(&found[0], q->first);
    if (q->then)
        ask(q, q->then, DNS_A, 3000);
}

static struct dns_question *ask(struct asked *q, const char *name, enum dns_type type, int within_ms)
{
    int before = q->replies;
    q->then = NULL;
    q->type = type;
    struct dns_question *question = dns_ask(dns, name, type, loop_now_ms(&loop) + within_ms, on_reply, q);
    assert_int_equal(q->replies, before); /* never from inside */
    return question;
}

static void replies(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum dns_type type;
        enum manner manner;
        enum dns_status status;
        int64_t keep_ms;
        size_t count;
        const char *first, *error;
    } cases[] = {
        {"a.example", DNS_A, POLITE, DNS_FOUND, 77000, 1, "192.0.2.7", ""},
        {"a.example", DNS_AAAA, POLITE, DNS_FOUND, 78000, 1, "2001:db8::7", ""},
        {"A.eXample", DNS_A, POLITE, DNS_FOUND, 77000, 1, "192.0.2.7", ""},
        {"a.example", DNS_TXT, POLITE, DNS_NOTHING, 500000, 0, "", ""},
        {"none.example", DNS_A, POLITE, DNS_NOTHING, 500000, 0, "", ""},
        {"none.example", DNS_A, WITHOUT_SOA, DNS_NOTHING, 60000, 0, "", ""},
        {"a.example", DNS_A, SERVFAIL, DNS_FAILED, 60000, 0, "", "no DNS server has an answer"},
        {"a.example", DNS_A, REFUSED, DNS_FAILED, 60000, 0, "", "no DNS server has an answer"},
        {"a.example", DNS_A, TRUNCATED, DNS_FOUND, 77000, 1, "192.0.2.7", ""},
        {"a.example", DNS_A, FORGED_ID, DNS_FOUND, 77000, 1, "192.0.2.7", ""},
        {"a.example", DNS_A, FORGED_NAME, DNS_FOUND, 77000, 1, "192.0.2.7", ""},
        {"bad name..example", DNS_A, POLITE, DNS_FAILED, 60000, 0, "", "Misformatted domain name"},
    };
    dns_server_add("a.example", DNS_A, 77, "192.0.2.7");
    dns_server_add("a.example", DNS_AAAA, 78, "2001:db8::7");
    dns_server_set_negative(700, 500);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct asked q = {0};
        dns_server_set("", cases[i].manner);
        assert_non_null(ask(&q, cases[i].name, cases[i].type, 4000));
        RUN_UNTIL(q.replies);
        run_turns(2);
        if (q.replies != 1 || q.status != cases[i].status || q.count != cases[i].count ||
            q.keep_ms != cases[i].keep_ms || strcmp(q.first, cases[i].first) != 0 ||
            strcmp(q.error, cases[i].error) != 0)
            fail_msg("case %zu: %d replies, status %d, %zu addresses, %s, \"%s\", kept %lld", i, q.replies, q.status,
                     q.count, q.first, q.error, (long long)q.keep_ms);
    }
}

static void garbage(void **state)
{
    (void)state;
    struct asked q = {0};
    dns_server_set("", GARBAGE);
    ask(&q, "a.example", DNS_A, 3000);
    RUN_UNTIL(q.replies);
    assert_true(q.status == DNS_FAILED || q.is_malformed);
}

static void more_than_a_packet(void **state)
{
    (void)state;
    struct asked q = {0};
    char ip[20];
    for (int i = 0; i < 300; i++) {
        snprintf(ip, sizeof ip, "192.0.%d.%d", i / 200, i % 200);
        dns_server_add("many.example", DNS_A, 60, ip);
    }
    ask(&q, "many.example", DNS_A, 4000);
    RUN_UNTIL(q.replies);
    assert_int_equal(q.status, DNS_FOUND);
    assert_int_equal(q.count, DNS_MAX_ADDRESSES);
}

static void deadlines_and_forgetting(void **state)
{
    (void)state;
    struct asked hasty = {0}, forgotten = {0}, late = {0};
    dns_server_set("", SILENT);
    int64_t start = loop_now_ms(&loop);
    ask(&hasty, "a.example", DNS_A, 30);
    dns_forget(ask(&forgotten, "b.example", DNS_A, 10));
    dns_forget(NULL);
    RUN_UNTIL(hasty.replies);
    assert_true(loop_now_ms(&loop) >= start + 30 && loop_now_ms(&loop) < start + 3000);
    assert_int_equal(hasty.status, DNS_FAILED);
    assert_string_equal(hasty.error, "no answer from DNS in time");
    ask(&late, "c.example", DNS_A, -1);
    RUN_UNTIL(late.replies);
    assert_int_equal(forgotten.replies, 0);
    assert_int_equal(hasty.replies, 1);
}

/* c-ares gives up after 2 s; who has more time is not disappointed. */
static void longer_than_c_ares(void **state)
{
    (void)state;
    struct asked q = {0};
    int64_t start = clock_monotonic_ms();
    dns_server_add("a.example", DNS_A, 77, "192.0.2.7");
    dns_server_set("", SILENT);
    ask(&q, "a.example", DNS_A, 6000);
    while (dns_server_asked("a.example") < 3 && clock_monotonic_ms() < start + 4000)
        loop_run_once(&loop, 20);
    assert_int_equal(q.replies, 0);
    dns_server_set("", POLITE);
    RUN_UNTIL(q.replies);
    assert_int_equal(q.status, DNS_FOUND);
}

static void asked_from_inside(void **state)
{
    (void)state;
    struct asked q = {0};
    dns_server_add("b.example", DNS_A, 77, "192.0.2.8");
    ask(&q, "a.example", DNS_A, 3000);
    q.then = "b.example";
    RUN_UNTIL(q.replies == 2);
    assert_string_equal(q.first, "192.0.2.8");
    ask(&q, "a b..", DNS_A, 3000); /* refused by c-ares itself, from inside of ares_query */
    q.then = "b.example";
    RUN_UNTIL(q.replies == 4);
    assert_string_equal(q.first, "192.0.2.8");
}

static void bounded(void **state)
{
    (void)state;
    static struct asked q[DNS_MAX_QUESTIONS + 1];
    dns_server_set("", SILENT);
    for (int i = 0; i < DNS_MAX_QUESTIONS; i++)
        assert_non_null(ask(&q[i], "a.example", DNS_A, 100000));
    assert_null(ask(&q[DNS_MAX_QUESTIONS], "a.example", DNS_A, 100000));
    dns_free(&dns);
    run_turns(2);
    for (int i = 0; i <= DNS_MAX_QUESTIONS; i++)
        assert_int_equal(q[i].replies, 0);
}

static void no_server(void **state)
{
    (void)state;
    struct asked q = {0};
    struct err err;
    dns_server_stop(); /* its port answers "unreachable" */
    ask(&q, "a.example", DNS_A, 4000);
    RUN_UNTIL(q.replies);
    assert_int_equal(q.status, DNS_FAILED);
    assert_string_equal(q.error, "no DNS server has an answer");
    dns_server_start(&loop);
    assert_null(dns_new(&loop, &(struct dns_options){.servers = "nonsense"}, &err));
    assert_non_null(strstr(err.text, "no list of DNS servers"));
}

/* The servers change while a question is under way: it is asked again, of the new ones. */
static void servers_change(void **state)
{
    (void)state;
    char path[64];
    struct asked q = {0}, next = {0};
    struct err err;
    snprintf(path, sizeof path, "/tmp/mailweir-test-dns-%d", (int)getpid());
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("nameserver 127.0.0.77\nnameserver 127.0.0.78\n", f); /* nobody there */
    fclose(f);
    dns_free(&dns);
    dns = dns_new(&loop,
                  &(struct dns_options){.resolv_conf = path, .port = (uint16_t)atoi(strchr(dns_server_at, ':') + 1)},
                  &err);
    assert_non_null(dns);
    dns_server_add("a.example", DNS_A, 77, "192.0.2.7");
    ask(&q, "a.example", DNS_A, 4000);
    f = fopen(path, "w");
    fputs("nameserver 127.0.0.1\n", f);
    fclose(f);
    loop_set_now(&loop, loop_now_ms(&loop) + 5000, 0);
    ask(&next, "a.example", DNS_A, 4000);
    RUN_UNTIL(q.replies && next.replies);
    unlink(path);
    assert_int_equal(q.status, DNS_FOUND);
    assert_int_equal(next.status, DNS_FOUND);
    assert_int_equal(q.replies + next.replies, 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(replies),
        TEST(garbage),
        TEST(more_than_a_packet),
        TEST(deadlines_and_forgetting),
        TEST(asked_from_inside),
        TEST(bounded),
        TEST(no_server),
        TEST(servers_change),
        TEST(longer_than_c_ares),
    };
    return cmocka_run_group_tests_name("lookup/dns", tests, NULL, NULL);
}
