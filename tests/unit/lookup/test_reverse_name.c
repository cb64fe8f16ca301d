/* Names of addresses: only those that point back. */
#include "lookup_test.h"

#include "dns_server.h"
#include "lookup/reverse_name.h"

static struct dns *dns;
static struct reverse_names *names;

static const char V4[] = "7.2.0.192.in-addr.arpa", V4_NONE[] = "8.2.0.192.in-addr.arpa";
static const char V6[] = "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";

static int set_up(void **state)
{
    struct err err;
    if (set_up_loop(state) != 0)
        return -1;
    dns_server_start(&loop);
    dns = dns_new(&loop, &(struct dns_options){.servers = dns_server_at}, &err);
    names = dns ? reverse_names_new(&loop, dns, &err) : NULL;
    return names ? 0 : -1;
}

static int tear_down(void **state)
{
    reverse_names_free(&names);
    reverse_names_free(&names); /* harmless */
    dns_free(&dns);
    dns_server_stop();
    return tear_down_loop(state);
}

struct asked {
    struct reverse_wait wait;
    int times;
};

static void on_name(void *arg)
{
    struct asked *q = arg;
    q->times++;
}

static enum started start(struct asked *q, const char *client, int within_ms)
{
    struct ip ip = ip_of(client);
    q->times = 0;
    enum started s = reverse_name_start(&q->wait, names, &ip, loop_now_ms(&loop) + within_ms, on_name, q);
    assert_int_equal(q->times, 0); /* never from inside */
    return s;
}

/* The name; "-": none; "?": not known. */
static const char *text_of(const struct asked *q)
{
    static char text[DNS_NAME_MAX];
    const struct reverse_answer *a = &q->wait.answer;
    assert_int_equal(a->name[0] != '\0', a->result == REVERSE_NAME);
    snprintf(text, sizeof text, "%s", a->result == REVERSE_UNKNOWN ? "?" : a->result == REVERSE_NONE ? "-" : a->name);
    return text;
}

static const char *name_of(const char *client)
{
    struct asked q;
    if (start(&q, client, 4000) == STARTED)
        RUN_UNTIL(q.times == 1);
    return text_of(&q);
}

static void names_that_point_back(void **state)
{
    (void)state;
    static const struct {
        const char *what, *client;
        struct {
            const char *name;
            enum dns_type type;
            const char *text;
        } records[8];
        const char *expected;
    } cases[] = {
        {"confirmed",
         "192.0.2.7",
         {{V4, DNS_PTR, "MTA.example.org"}, {"mta.example.org", DNS_A, "192.0.2.7"}},
         "mta.example.org"},
        {"confirmed, IPv6",
         "2001:db8::7",
         {{V6, DNS_PTR, "mta.example.org"}, {"mta.example.org", DNS_AAAA, "2001:db8::7"}},
         "mta.example.org"},
        {"one of many addresses",
         "192.0.2.7",
         {{V4, DNS_PTR, "mta.example.org"},
          {"mta.example.org", DNS_A, "192.0.2.1"},
          {"mta.example.org", DNS_A, "192.0.2.2"},
          {"mta.example.org", DNS_A, "192.0.2.7"}},
         "mta.example.org"},
        {"no pointer", "192.0.2.7", {{NULL}}, "-"},
        {"somebody else's name",
         "192.0.2.7",
         {{V4, DNS_PTR, "www.example.org"}, {"www.example.org", DNS_A, "192.0.2.80"}},
         "-"},
        {"a name without an address", "192.0.2.7", {{V4, DNS_PTR, "mta.example.org"}}, "-"},
        {"an address of the other family",
         "192.0.2.7",
         {{V4, DNS_PTR, "mta.example.org"}, {"mta.example.org", DNS_AAAA, "2001:db8::7"}},
         "-"},
        {"the second of two names",
         "192.0.2.7",
         {{V4, DNS_PTR, "a.example.org"},
          {V4, DNS_PTR, "b.example.org"},
          {"a.example.org", DNS_A, "192.0.2.80"},
          {"b.example.org", DNS_A, "192.0.2.7"}},
         "b.example.org"},
        {"two good names, the first in the alphabet",
         "192.0.2.7",
         {{V4, DNS_PTR, "b.example.org"},
          {V4, DNS_PTR, "a.example.org"},
          {"a.example.org", DNS_A, "192.0.2.7"},
          {"b.example.org", DNS_A, "192.0.2.7"}},
         "a.example.org"},
        {"no name of a host",
         "192.0.2.7",
         {{V4, DNS_PTR, "-.example.org"}, {"-.example.org", DNS_A, "192.0.2.7"}},
         "-"},
        {"a line break", "192.0.2.7", {{V4, DNS_PTR, "a\r\n250 ok.example.org"}}, "-"},
        {"an address in disguise",
         "::ffff:192.0.2.7",
         {{V4, DNS_PTR, "mta.example.org"}, {"mta.example.org", DNS_A, "192.0.2.7"}},
         "mta.example.org"},
        {"a private address",
         "10.0.0.1",
         {{"1.0.0.10.in-addr.arpa", DNS_PTR, "laptop.office"}, {"laptop.office", DNS_A, "10.0.0.1"}},
         "laptop.office"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err;
        for (size_t j = 0; j < COUNT_OF(cases[i].records) && cases[i].records[j].name; j++)
            dns_server_add(cases[i].records[j].name, cases[i].records[j].type, 60, cases[i].records[j].text);
        const char *name = name_of(cases[i].client);
        if (strcmp(name, cases[i].expected) != 0)
            fail_msg("%s: %s", cases[i].what, name);
        dns_server_forget_all();
        reverse_names_free(&names); /* what is remembered goes, too */
        names = reverse_names_new(&loop, dns, &err);
        assert_non_null(names);
    }
}

static void remembered_and_shared(void **state)
{
    (void)state;
    struct asked a, b;
    dns_server_set_negative(30, 30);
    dns_server_add(V4, DNS_PTR, 600, "mta.example.org");
    dns_server_add("mta.example.org", DNS_A, 100, "192.0.2.7");
    assert_int_equal(start(&a, "192.0.2.7", 4000), STARTED);
    assert_int_equal(start(&b, "192.0.2.7", 4000), STARTED);
    RUN_UNTIL(a.times && b.times);
    assert_string_equal(text_of(&a), "mta.example.org");
    assert_string_equal(text_of(&b), "mta.example.org");
    assert_string_equal(name_of("192.0.2.8"), "-");
    int64_t now = loop_now_ms(&loop);
    loop_set_now(&loop, now + 29000, 0);
    assert_int_equal(start(&a, "192.0.2.8", 4000), DONE);
    assert_string_equal(text_of(&a), "-");
    loop_set_now(&loop, now + 31000, 0);
    assert_int_equal(start(&a, "192.0.2.8", 4000), STARTED);
    reverse_name_cancel(&a.wait);
    loop_set_now(&loop, now + 99000, 0);
    assert_int_equal(start(&a, "192.0.2.7", 4000), DONE);
    assert_string_equal(text_of(&a), "mta.example.org");
    loop_set_now(&loop, now + 101000, 0); /* the shorter of the two TTLs is over */
    assert_int_equal(start(&a, "192.0.2.7", 4000), STARTED);
    RUN_UNTIL(a.times);
    assert_int_equal(dns_server_asked(V4), 2);
    assert_int_equal(dns_server_asked(V4_NONE), 2);
}

static void failures(void **state)
{
    (void)state;
    struct asked q;
    dns_server_add(V4, DNS_PTR, 600, "a.example.org");
    dns_server_add(V4, DNS_PTR, 600, "b.example.org");
    dns_server_add("b.example.org", DNS_A, 100, "192.0.2.7");
    dns_server_set("a.example.org", SERVFAIL);
    assert_string_equal(name_of("192.0.2.7"), "b.example.org"); /* one good name will do */

    dns_server_add(V6, DNS_PTR, 600, "a.example.org");
    dns_server_add(V6, DNS_PTR, 600, "c.example.org");
    assert_string_equal(name_of("2001:db8::7"), "?"); /* a. may be good */
    assert_int_equal(start(&q, "2001:db8::7", 4000), DONE);
    loop_set_now(&loop, loop_now_ms(&loop) + 31000, 0);
    assert_int_equal(start(&q, "2001:db8::7", 4000), STARTED);
    RUN_UNTIL(q.times);

    dns_server_set(V4_NONE, SERVFAIL);
    assert_string_equal(name_of("192.0.2.8"), "?");
    dns_server_set("9.2.0.192.in-addr.arpa", GARBAGE);
    assert_true(strchr("?-", name_of("192.0.2.9")[0]) != NULL);

    q.wait.answer.result = REVERSE_NAME;
    struct ip none = {.family = ADDR_NONE};
    assert_int_equal(reverse_name_start(&q.wait, names, &none, 0, on_name, &q), DONE);
    assert_int_equal(q.wait.answer.result, REVERSE_UNKNOWN);
}

static void silence(void **state)
{
    (void)state;
    struct asked pointer, address, cancelled, later;
    dns_server_add(V4, DNS_PTR, 600, "mta.example.org");
    dns_server_set("mta.example.org", SILENT);
    dns_server_set(V4_NONE, SILENT);
    int64_t before = clock_monotonic_ms();
    assert_int_equal(start(&pointer, "192.0.2.8", 30), STARTED);
    assert_int_equal(start(&address, "192.0.2.7", 40), STARTED);
    assert_int_equal(start(&cancelled, "192.0.2.7", 20), STARTED);
    reverse_name_cancel(&cancelled.wait);
    RUN_UNTIL(pointer.times && address.times);
    assert_true(clock_monotonic_ms() - before < 3000);
    assert_string_equal(text_of(&pointer), "?");
    assert_string_equal(text_of(&address), "?");
    /* It is asked to its end, for the next one: c-ares repeats what was lost. */
    dns_server_add("mta.example.org", DNS_A, 600, "192.0.2.7");
    dns_server_set("mta.example.org", POLITE);
    assert_int_equal(start(&later, "192.0.2.7", 4000), STARTED);
    RUN_UNTIL(later.times);
    assert_string_equal(text_of(&later), "mta.example.org");
    assert_int_equal(dns_server_asked(V4), 1);
    assert_int_equal(cancelled.times, 0);
}

static void ends_while_asking(void **state)
{
    (void)state;
    static struct asked pointer, address;
    dns_server_add(V4, DNS_PTR, 600, "mta.example.org");
    dns_server_set("mta.example.org", SILENT);
    dns_server_set(V4_NONE, SILENT);
    start(&pointer, "192.0.2.8", 1000);
    start(&address, "192.0.2.7", 1000);
    RUN_UNTIL(dns_server_asked("mta.example.org"));
    reverse_names_free(&names);
    run_turns(5);
    assert_int_equal(pointer.times + address.times, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(names_that_point_back), TEST(remembered_and_shared), TEST(failures), TEST(silence),
        TEST(ends_while_asking),
    };
    return cmocka_run_group_tests_name("lookup/reverse_name", tests, NULL, NULL);
}
