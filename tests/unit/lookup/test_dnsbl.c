/* DNS lists: what answers mean, and lists that are well, wrong, silent, given up or tired of us. */
#include "lookup_test.h"

#include <fcntl.h>

#include "dns_server.h"
#include "lookup/dnsbl_inside.h"

static struct dns *dns;
static struct dnsbl *lists;
static struct event_log events;
static struct counters counters;

static const struct ip_span pbl[] = {{{ADDR_IPV4, {127, 0, 0, 10}}, {ADDR_IPV4, {127, 0, 0, 11}}}};
/* Of most tests: "zen" asks bl.test; "home" asks bl.test, too, with a filter; "other" asks bl2.test; "hasty" bl3.test,
 * without a cache. */
enum { ZEN, HOME, OTHER, HASTY, ZONES };
static const struct dnsbl_zone_options zone_options[ZONES] = {
    {.name = "zen", .zone = "bl.test", .timeout_ms = 2000, .cache_ms = 300000},
    {.name = "home", .zone = "bl.test", .answers = pbl, .answer_count = 1, .timeout_ms = 2000, .cache_ms = 300000},
    {.name = "other", .zone = "bl2.test", .timeout_ms = 2000, .cache_ms = 300000},
    {.name = "hasty", .zone = "bl3.test", .timeout_ms = 200, .cache_ms = 0},
};

static const char V6_LISTED[] = "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0";
static const char V6_UNLISTED[] = "1.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0";

static void add(const char *in_zone, const char *zone, const char *answer)
{
    char name[DNS_NAME_MAX];
    snprintf(name, sizeof name, "%s.%s", in_zone, zone);
    dns_server_add(name, DNS_A, 600, answer);
}

static void add_test_entries(const char *zone)
{
    add("2.0.0.127", zone, "127.0.0.2");
    add(V6_LISTED, zone, "127.0.0.2");
}

static int set_up(void **state)
{
    struct err err;
    if (set_up_loop(state) != 0)
        return -1;
    dns_server_start(&loop);
    memset(&counters, 0, sizeof counters);
    event_log_init(&events, -1, "test", &counters);
    dns = dns_new(&loop, &(struct dns_options){.servers = dns_server_at}, &err);
    add_test_entries("bl.test");
    add_test_entries("bl2.test");
    add_test_entries("bl3.test");
    return dns ? 0 : -1;
}

static int tear_down(void **state)
{
    dnsbl_free(&lists);
    dnsbl_free(&lists); /* harmless */
    dns_free(&dns);
    dns_server_stop();
    event_log_fini(&events);
    return tear_down_loop(state);
}

static void begin(void)
{
    struct err err;
    lists = dnsbl_new(&loop, dns, zone_options, ZONES, &events, &err);
    assert_non_null(lists);
}

static bool all_are(enum dnsbl_state state)
{
    for (unsigned i = 0; i < ZONES; i++)
        if (dnsbl_zone_state(lists, i, NULL) != state)
            return false;
    return true;
}

static void begin_and_prove(void)
{
    begin();
    assert_true(all_are(DNSBL_TESTING));
    RUN_UNTIL(all_are(DNSBL_ON));
}

struct asked {
    struct dnsbl_check check;
    struct dnsbl_answer answers[ZONES];
    int times;
};

static void on_answers(void *arg)
{
    struct asked *q = arg;
    q->times++;
}

static enum started start_many(struct asked *q, const char *client, const unsigned *zones, size_t count)
{
    struct ip ip = ip_of(client);
    q->times = 0;
    memset(q->answers, 0xff, sizeof q->answers);
    enum started s =
        dnsbl_start(&q->check, lists, &ip, zones, q->answers, count, loop_now_ms(&loop) + 3000, on_answers, q);
    assert_int_equal(q->times, 0); /* never from inside */
    return s;
}

static enum started start(struct asked *q, const char *client, unsigned zone)
{
    return start_many(q, client, &zone, 1);
}

/* "listed 127.0.0.2 127.0.0.4", "not listed", "unknown" */
static const char *text_of(const struct dnsbl_answer *a)
{
    static char text[DNSBL_MAX_CODES * 16 + 16];
    static const char *const words[] = {"unknown", "not listed", "listed"};
    size_t len = (size_t)snprintf(text, sizeof text, "%s", words[a->result]);
    for (size_t i = 0; i < a->code_count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, " %u.%u.%u.%u", a->codes[i][0], a->codes[i][1],
                                a->codes[i][2], a->codes[i][3]);
    return text;
}

static const char *result(const char *client, unsigned zone)
{
    struct asked q;
    if (start(&q, client, zone) == STARTED)
        RUN_UNTIL(q.times == 1);
    return text_of(&q.answers[0]);
}

static const char *why(unsigned zone)
{
    const char *text;
    dnsbl_zone_state(lists, zone, &text);
    return text ? text : "";
}

/* ---- meanings ---- */

static void meanings(void **state)
{
    (void)state;
    static const struct {
        const char *addresses; /* one after another */
        bool home;             /* by the filter of "home" */
        enum dnsbl_meaning meaning;
        const char *text;
    } cases[] = {
        {"127.0.0.2", false, DNSBL_MEANS_LISTED, "listed 127.0.0.2"},
        {"127.0.0.254", false, DNSBL_MEANS_LISTED, "listed 127.0.0.254"},
        {"127.0.0.9 127.0.0.4 127.0.0.2 127.0.0.4", false, DNSBL_MEANS_LISTED, "listed 127.0.0.2 127.0.0.4 127.0.0.9"},
        {"127.0.0.10", false, DNSBL_MEANS_NOT_LISTED, "not listed"},
        {"127.0.0.11", false, DNSBL_MEANS_NOT_LISTED, "not listed"},
        {"127.0.0.12", false, DNSBL_MEANS_LISTED, "listed 127.0.0.12"},
        {"127.0.0.10 127.0.0.4", false, DNSBL_MEANS_LISTED, "listed 127.0.0.4"},
        {"127.0.0.10 127.0.0.4", true, DNSBL_MEANS_LISTED, "listed 127.0.0.10"},
        {"127.0.0.2", true, DNSBL_MEANS_NOT_LISTED, "not listed"},
        {"127.0.0.255", false, DNSBL_MEANS_NOT_LISTED, "not listed"}, /* dnswl: no service for you */
        {"127.0.2.3", false, DNSBL_MEANS_NOT_LISTED, "not listed"},
        {"", false, DNSBL_MEANS_NOT_LISTED, "not listed"},
        {"127.255.255.252", false, DNSBL_MEANS_ERROR, "unknown 127.255.255.252"},
        {"127.255.255.254", true, DNSBL_MEANS_ERROR, "unknown 127.255.255.254"},
        {"127.0.0.2 127.255.255.255", false, DNSBL_MEANS_ERROR, "unknown 127.255.255.255"},
        {"127.0.0.1", false, DNSBL_MEANS_ERROR, "unknown 127.0.0.1"},
        {"127.0.1.255", false, DNSBL_MEANS_ERROR, "unknown 127.0.1.255"},
        {"192.0.2.1", false, DNSBL_MEANS_FOREIGN, "unknown 192.0.2.1"},
        {"127.0.0.2 128.0.0.1", false, DNSBL_MEANS_FOREIGN, "unknown 128.0.0.1"},
        {"127.0.0.8 127.0.0.7 127.0.0.6 127.0.0.5 127.0.0.4 127.0.0.3 127.0.0.2 127.0.0.9 127.0.0.12", false,
         DNSBL_MEANS_LISTED, "listed 127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.5 127.0.0.6 127.0.0.7 127.0.0.8 127.0.0.9"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ip ips[16];
        size_t count = 0;
        for (struct str rest = str_of_z(cases[i].addresses); rest.len;)
            assert_true(ip_parse(str_split(rest, ' ', &rest), &ips[count++]));
        struct dnsbl_answer a;
        enum dnsbl_meaning m = dnsbl_meaning_of(ips, count, pbl, cases[i].home, &a);
        if (m != cases[i].meaning || strcmp(text_of(&a), cases[i].text) != 0)
            fail_msg("%s: %d, %s", cases[i].addresses, m, text_of(&a));
    }
}

/* ---- good lists ---- */

static void listed_or_not(void **state)
{
    (void)state;
    add("7.2.0.192", "bl.test", "127.0.0.4");
    add("7.2.0.192", "bl.test", "127.0.0.2");
    add("8.2.0.192", "bl.test", "127.0.0.11");
    add("7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2", "bl.test", "127.0.0.3");
    begin_and_prove();
    assert_string_equal(result("192.0.2.7", ZEN), "listed 127.0.0.2 127.0.0.4");
    assert_string_equal(result("192.0.2.7", HOME), "not listed");
    assert_string_equal(result("192.0.2.8", ZEN), "not listed");
    assert_string_equal(result("192.0.2.8", HOME), "listed 127.0.0.11");
    assert_string_equal(result("192.0.2.9", ZEN), "not listed");
    assert_string_equal(result("2001:db8::7", ZEN), "listed 127.0.0.3");
    assert_string_equal(result("2001:db8::8", ZEN), "not listed");
    assert_string_equal(result("::ffff:192.0.2.7", ZEN), "listed 127.0.0.2 127.0.0.4");
    assert_int_equal(counters.values[COUNTER_DNSBL_LISTED], 4);
    assert_int_equal(counters.values[COUNTER_DNSBL_NOT_LISTED], 4);
    assert_int_equal(counters.values[COUNTER_DNSBL_UNKNOWN], 0);
    assert_int_equal(events.backlog.end, 0);
}

static void private_addresses_are_not_asked_for(void **state)
{
    (void)state;
    begin_and_prove();
    unsigned before = dns_server_asked("");
    static const char *const clients[] = {"10.1.2.3", "127.0.0.2", "192.168.0.1", "::1", "fe80::1", "100.64.0.1"};
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        struct asked q;
        assert_int_equal(start(&q, clients[i], ZEN), DONE);
        assert_string_equal(text_of(&q.answers[0]), "not listed");
    }
    assert_int_equal(dns_server_asked(""), before);
}

static void all_zones_at_once(void **state)
{
    (void)state;
    static const unsigned zones[] = {OTHER, ZEN, HASTY, HOME};
    struct asked q;
    add("7.2.0.192", "bl.test", "127.0.0.4");
    begin_and_prove();
    dns_server_set("7.2.0.192.bl3.test", SILENT);
    int64_t before = clock_monotonic_ms();
    assert_int_equal(start_many(&q, "192.0.2.7", zones, COUNT_OF(zones)), STARTED);
    RUN_UNTIL(q.times);
    /* Not one zone's time after another's: hasty gives up at 200 ms. */
    assert_true(clock_monotonic_ms() - before < 3000);
    assert_string_equal(text_of(&q.answers[0]), "not listed");
    assert_string_equal(text_of(&q.answers[1]), "listed 127.0.0.4");
    assert_string_equal(text_of(&q.answers[2]), "unknown");
    assert_string_equal(text_of(&q.answers[3]), "not listed");
    run_turns(3);
    assert_int_equal(q.times, 1);
    assert_int_equal(start_many(&q, "192.0.2.7", zones, 0), DONE);
    assert_int_equal(start_many(&q, "192.0.2.7", zones, 2), DONE); /* both remembered */
    assert_string_equal(text_of(&q.answers[1]), "listed 127.0.0.4");
}

static void remembered_and_shared(void **state)
{
    (void)state;
    struct asked a, b;
    add("7.2.0.192", "bl.test", "127.0.0.4");
    dns_server_set_negative(20, 20);
    begin_and_prove();
    assert_int_equal(start(&a, "192.0.2.7", ZEN), STARTED);
    assert_int_equal(start(&b, "192.0.2.7", ZEN), STARTED);
    RUN_UNTIL(a.times && b.times);
    assert_int_equal(dns_server_asked("7.2.0.192.bl.test"), 1);
    assert_string_equal(result("192.0.2.9", ZEN), "not listed");
    int64_t now = loop_now_ms(&loop);
    loop_set_now(&loop, now + 19000, 0);
    assert_int_equal(start(&a, "192.0.2.9", ZEN), DONE);
    loop_set_now(&loop, now + 21000, 0); /* the negative one's TTL is over */
    assert_int_equal(start(&a, "192.0.2.7", ZEN), DONE);
    assert_int_equal(start(&a, "192.0.2.9", ZEN), STARTED);
    loop_set_now(&loop, now + 301000, 0); /* the TTL is 600 s, but `cache` 300 */
    assert_int_equal(start(&b, "192.0.2.7", ZEN), STARTED);
    RUN_UNTIL(a.times && b.times);
    assert_string_equal(result("192.0.2.7", HASTY), "not listed"); /* `cache 0s` */
    assert_string_equal(result("192.0.2.7", HASTY), "not listed");
    assert_int_equal(dns_server_asked("7.2.0.192.bl3.test"), 2);
}

static void cancelled(void **state)
{
    (void)state;
    struct asked a, b, over = {0};
    static const unsigned zones[] = {ZEN, OTHER};
    begin_and_prove();
    start_many(&a, "192.0.2.7", zones, 2);
    start(&b, "192.0.2.7", ZEN);
    dnsbl_cancel(&a.check);
    dnsbl_cancel(&a.check); /* harmless, and so are those that never ran or are over */
    dnsbl_cancel(&over.check);
    RUN_UNTIL(b.times);
    dnsbl_cancel(&b.check);
    run_turns(5);
    assert_int_equal(a.times, 0);
    assert_int_equal(b.times, 1);
}

static void ends_while_asking(void **state)
{
    (void)state;
    static struct asked q, text_asker;
    static struct dnsbl_text t;
    struct ip client = ip_of("192.0.2.7");
    begin_and_prove();
    dns_server_set("", SILENT);
    start(&q, "192.0.2.7", ZEN);
    assert_int_equal(dnsbl_text_start(&t, lists, &client, ZEN, loop_now_ms(&loop) + 1000, on_answers, &text_asker),
                     STARTED);
    dnsbl_zone_test(&lists->zones[ZEN]);
    dnsbl_free(&lists);
    run_turns(5);
    assert_int_equal(q.times + text_asker.times, 0);
    dnsbl_cancel(&q.check);
}

static void texts(void **state)
{
    (void)state;
    struct dnsbl_text t;
    struct asked q = {0};
    struct ip listed = ip_of("192.0.2.7"), other = ip_of("192.0.2.8"), private = ip_of("10.0.0.1");
    dns_server_add("7.2.0.192.bl.test", DNS_TXT, 600, "see https://bl.test/?ip=192.0.2.7\r\nQUIT");
    begin_and_prove();
    int64_t deadline = loop_now_ms(&loop) + 3000;
    assert_int_equal(dnsbl_text_start(&t, lists, &listed, ZEN, deadline, on_answers, &q), STARTED);
    RUN_UNTIL(q.times == 1);
    assert_string_equal(t.text, "see https://bl.test/?ip=192.0.2.7??QUIT");
    assert_int_equal(dnsbl_text_start(&t, lists, &listed, ZEN, deadline, on_answers, &q), DONE);
    assert_string_equal(t.text, "see https://bl.test/?ip=192.0.2.7??QUIT");
    assert_int_equal(dnsbl_text_start(&t, lists, &other, ZEN, deadline, on_answers, &q), STARTED);
    RUN_UNTIL(q.times == 2);
    assert_string_equal(t.text, "");
    assert_int_equal(dnsbl_text_start(&t, lists, &private, ZEN, deadline, on_answers, &q), DONE);
    assert_string_equal(t.text, "");
    assert_int_equal(dnsbl_text_start(&t, lists, &listed, OTHER, deadline, on_answers, &q), STARTED);
    dnsbl_text_cancel(&t);
    run_turns(5);
    assert_int_equal(q.times, 2);
}

/* ---- lists that are not well ---- */

static void waits_for_the_first_test(void **state)
{
    (void)state;
    struct asked q, text_asker = {0};
    struct dnsbl_text t;
    struct ip client = ip_of("192.0.2.7");
    add("7.2.0.192", "bl.test", "127.0.0.2");
    begin();
    assert_int_equal(start(&q, "192.0.2.7", ZEN), STARTED);
    assert_int_equal(dnsbl_text_start(&t, lists, &client, ZEN, loop_now_ms(&loop) + 1000, on_answers, &text_asker),
                     STARTED);
    RUN_UNTIL(q.times && text_asker.times);
    assert_string_equal(text_of(&q.answers[0]), "listed 127.0.0.2");
    assert_string_equal(t.text, "");

    dnsbl_free(&lists);
    add("1.0.0.127", "bl.test", "127.0.0.2"); /* it lists everything now */
    begin();
    assert_int_equal(start(&q, "192.0.2.7", ZEN), STARTED);
    assert_int_equal(dnsbl_text_start(&t, lists, &client, ZEN, loop_now_ms(&loop) + 1000, on_answers, &text_asker),
                     STARTED);
    RUN_UNTIL(q.times && text_asker.times == 2);
    assert_string_equal(text_of(&q.answers[0]), "unknown");
    assert_string_equal(t.text, "");
}

static void self_tests(void **state)
{
    (void)state;
    static const struct {
        const char *what, *listed, *unlisted, *v6_listed, *v6_unlisted;
        enum manner manner;
        enum dnsbl_state state;
        const char *why, *v4, *v6; /* what a client that is listed gets */
    } cases[] = {
        {"good", "127.0.0.2", NULL, "127.0.0.2", NULL, POLITE, DNSBL_ON, "", "listed 127.0.0.2", "listed 127.0.0.2"},
        {"its test entry is beyond the filter", "127.0.0.11", NULL, "127.0.9.9", NULL, POLITE, DNSBL_ON, "",
         "listed 127.0.0.2", "listed 127.0.0.2"},
        {"IPv4 only", "127.0.0.2", NULL, NULL, NULL, POLITE, DNSBL_ON, "", "listed 127.0.0.2", "not listed"},
        {"IPv6 only", NULL, NULL, "127.0.0.2", NULL, POLITE, DNSBL_ON, "", "not listed", "listed 127.0.0.2"},
        {"empty", NULL, NULL, NULL, NULL, POLITE, DNSBL_OFF,
         "it lists neither 127.0.0.2 nor ::ffff:7f00:2, as every DNS list must", "unknown", "unknown"},
        {"lists all", "127.0.0.2", "127.0.0.2", NULL, NULL, POLITE, DNSBL_OFF,
         "it lists 127.0.0.1, so it may list everything", "unknown", "unknown"},
        {"lists all of IPv6", "127.0.0.2", NULL, "127.0.0.2", "127.0.0.2", POLITE, DNSBL_OFF,
         "it lists ::ffff:7f00:1, so it may list everything", "unknown", "unknown"},
        {"taken over", "203.0.113.80", "203.0.113.80", "203.0.113.80", "203.0.113.80", POLITE, DNSBL_OFF,
         "it answers with 203.0.113.80, which no DNS list does: it may have been given up", "unknown", "unknown"},
        {"refuses us", "127.255.255.254", NULL, NULL, NULL, POLITE, DNSBL_PAUSED,
         "it answers with the error code 127.255.255.254, which means that it does not serve this DNS server; it is "
         "tested again in an hour",
         "unknown", "unknown"},
        {"silent", "127.0.0.2", NULL, "127.0.0.2", NULL, SILENT, DNSBL_SILENT,
         "of its test entries: no answer from DNS in time; it is tested every 30 seconds", "unknown", "unknown"},
        {"broken", "127.0.0.2", NULL, "127.0.0.2", NULL, SERVFAIL, DNSBL_SILENT,
         "of its test entries: no DNS server has an answer; it is tested every 30 seconds", "unknown", "unknown"},
    };
    static const struct dnsbl_zone_options one = {.name = "x", .zone = "x.test", .timeout_ms = 300, .cache_ms = 1000};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err;
        lists = dnsbl_new(&loop, dns, &one, 1, &events, &err);
        assert_non_null(lists);
        if (cases[i].listed)
            add("2.0.0.127", "x.test", cases[i].listed);
        if (cases[i].unlisted)
            add("1.0.0.127", "x.test", cases[i].unlisted);
        if (cases[i].v6_listed)
            add(V6_LISTED, "x.test", cases[i].v6_listed);
        if (cases[i].v6_unlisted)
            add(V6_UNLISTED, "x.test", cases[i].v6_unlisted);
        add("7.2.0.192", "x.test", "127.0.0.2");
        add("7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2", "x.test", "127.0.0.2");
        dns_server_set("", cases[i].manner);
        RUN_UNTIL(dnsbl_zone_state(lists, 0, NULL) != DNSBL_TESTING);
        if (dnsbl_zone_state(lists, 0, NULL) != cases[i].state || strcmp(why(0), cases[i].why) != 0)
            fail_msg("%s: %s, \"%s\"", cases[i].what, dnsbl_state_word(dnsbl_zone_state(lists, 0, NULL)), why(0));
        if (strcmp(result("192.0.2.7", 0), cases[i].v4) != 0)
            fail_msg("%s: IPv4 %s", cases[i].what, result("192.0.2.7", 0));
        if (strcmp(result("2001:db8::7", 0), cases[i].v6) != 0)
            fail_msg("%s: IPv6 %s", cases[i].what, result("2001:db8::7", 0));
        dnsbl_free(&lists);
        dns_server_set("", POLITE);
        dns_server_forget_all();
    }
}

static void error_codes_pause_it(void **state)
{
    (void)state;
    add("7.2.0.192", "bl.test", "127.255.255.255");
    add("8.2.0.192", "bl.test", "127.0.0.2");
    begin_and_prove();
    assert_string_equal(result("192.0.2.8", ZEN), "listed 127.0.0.2");
    assert_string_equal(result("192.0.2.7", ZEN), "unknown");
    assert_int_equal(dnsbl_zone_state(lists, ZEN, NULL), DNSBL_PAUSED);
    unsigned before = dns_server_asked("");
    assert_string_equal(result("192.0.2.7", ZEN), "unknown");
    assert_string_equal(result("192.0.2.8", ZEN), "unknown"); /* what it said before is in doubt, too */
    assert_string_equal(result("192.0.2.9", ZEN), "unknown");
    assert_string_equal(result("10.0.0.1", ZEN), "not listed");
    assert_int_equal(dns_server_asked(""), before);
    assert_int_equal(dnsbl_zone_state(lists, HOME, NULL), DNSBL_ON); /* each statement by itself */
    int64_t hour = lists->zones[ZEN].next_test.at_ms - loop_now_ms(&loop);
    assert_true(hour > 3590000 && hour <= 3600000);
    dnsbl_zone_test(&lists->zones[ZEN]); /* the hour is over */
    RUN_UNTIL(dnsbl_zone_state(lists, ZEN, NULL) == DNSBL_ON);
    assert_string_equal(result("192.0.2.8", ZEN), "listed 127.0.0.2");
    assert_int_equal(dns_server_asked("8.2.0.192.bl.test"), 2); /* asked anew */
}

static void foreign_answers_switch_it_off(void **state)
{
    (void)state;
    add("7.2.0.192", "bl.test", "203.0.113.80");
    begin_and_prove();
    assert_string_equal(result("192.0.2.7", ZEN), "unknown");
    assert_int_equal(dnsbl_zone_state(lists, ZEN, NULL), DNSBL_OFF);
    assert_string_equal(why(ZEN), "it answers with 203.0.113.80, which no DNS list does: it may have been given up");
    add("1.0.0.127", "bl.test", "203.0.113.80");
    dnsbl_zone_test(&lists->zones[ZEN]);
    RUN_UNTIL(lists->zones[ZEN].tests_left == 0);
    assert_int_equal(dnsbl_zone_state(lists, ZEN, NULL), DNSBL_OFF);
    dns_server_remove("1.0.0.127.bl.test");
    dnsbl_zone_test(&lists->zones[ZEN]);
    RUN_UNTIL(dnsbl_zone_state(lists, ZEN, NULL) == DNSBL_ON);
}

static void silence_is_waited_for_ten_times(void **state)
{
    (void)state;
    begin_and_prove();
    dns_server_set("", SILENT);
    static struct asked waiting[DNSBL_SILENT_AFTER], next;
    int answered = 0;
    int64_t before = clock_monotonic_ms();
    for (int i = 0; i < DNSBL_SILENT_AFTER; i++) {
        char client[20];
        snprintf(client, sizeof client, "192.0.2.%d", i);
        assert_int_equal(start(&waiting[i], client, HASTY), STARTED);
    }
    while (answered < DNSBL_SILENT_AFTER && clock_monotonic_ms() < before + 5000) {
        loop_run_once(&loop, 20);
        answered = 0;
        for (int i = 0; i < DNSBL_SILENT_AFTER; i++)
            answered += waiting[i].times;
    }
    for (int i = 0; i < DNSBL_SILENT_AFTER; i++)
        assert_string_equal(text_of(&waiting[i].answers[0]), "unknown");
    assert_int_equal(answered, DNSBL_SILENT_AFTER);
    run_turns(2);
    assert_int_equal(start(&next, "192.0.2.99", HASTY), DONE); /* nobody waits any more */
    assert_string_equal(text_of(&next.answers[0]), "unknown");
    assert_int_equal(dnsbl_zone_state(lists, HASTY, NULL), DNSBL_SILENT);
    assert_string_equal(why(HASTY), "no answer from DNS in time, 10 times in a row; it is tested every 30 seconds");
    assert_int_equal(counters.values[COUNTER_DNSBL_UNKNOWN], 11);
    int64_t wait = lists->zones[HASTY].next_test.at_ms - loop_now_ms(&loop);
    assert_true(wait > 20000 && wait <= 30000);
    dns_server_set("", POLITE);
    dnsbl_zone_test(&lists->zones[HASTY]);
    RUN_UNTIL(dnsbl_zone_state(lists, HASTY, NULL) == DNSBL_ON);
}

static void an_answer_in_between_ends_the_row(void **state)
{
    (void)state;
    begin_and_prove();
    for (int i = 0; i < 30; i++) {
        char client[20];
        snprintf(client, sizeof client, "192.0.2.%d", i);
        dns_server_set("", i % 9 == 8 ? POLITE : SERVFAIL);
        assert_string_equal(result(client, ZEN), i % 9 == 8 ? "not listed" : "unknown");
    }
    assert_int_equal(dnsbl_zone_state(lists, ZEN, NULL), DNSBL_ON);
    struct asked q; /* a failure is remembered for half a minute */
    assert_int_equal(start(&q, "192.0.2.28", ZEN), DONE);
    loop_set_now(&loop, loop_now_ms(&loop) + 31000, 0);
    assert_int_equal(start(&q, "192.0.2.28", ZEN), STARTED);
    RUN_UNTIL(q.times);
}

static void an_outage_during_the_hourly_test_changes_nothing(void **state)
{
    (void)state;
    begin_and_prove();
    dns_server_set("", SILENT);
    dnsbl_zone_test(&lists->zones[HASTY]);
    RUN_UNTIL(lists->zones[HASTY].tests_left == 0);
    assert_int_equal(dnsbl_zone_state(lists, HASTY, NULL), DNSBL_ON);
    assert_true(lists->zones[HASTY].next_test.at_ms - loop_now_ms(&loop) <= 30000); /* but it is tried again soon */
}

static void forged_answers(void **state)
{
    (void)state;
    begin_and_prove();
    dns_server_set("7.2.0.192.bl.test", FORGED_ID);
    dns_server_set("8.2.0.192.bl.test", FORGED_NAME);
    dns_server_set("9.2.0.192.bl.test", GARBAGE);
    assert_string_equal(result("192.0.2.7", ZEN), "not listed");
    assert_string_equal(result("192.0.2.8", ZEN), "not listed");
    assert_string_equal(result("192.0.2.9", ZEN), "unknown");
}

static void events_of_changes(void **state)
{
    (void)state;
    int pipe_ends[2];
    char text[4096];
    assert_int_equal(pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK), 0);
    event_log_fini(&events);
    event_log_init(&events, pipe_ends[1], "test", &counters);
    add("7.2.0.192", "bl.test", "127.255.255.255");
    begin_and_prove(); /* says nothing: all is well */
    assert_string_equal(result("192.0.2.7", ZEN), "unknown");
    dnsbl_zone_test(&lists->zones[ZEN]);
    RUN_UNTIL(dnsbl_zone_state(lists, ZEN, NULL) == DNSBL_ON);
    event_log_flush(&events);
    ssize_t n = read(pipe_ends[0], text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = '\0';
    char *second = strchr(text, '\n') + 1;
    assert_non_null(strstr(text,
                           "\"event\":\"dnsbl\",\"node\":\"test\",\"dnsbl\":\"zen\",\"zone\":\"bl.test\",\"state\":"
                           "\"paused\",\"text\":\"it answers with the error code 127.255.255.255, "));
    assert_true(strstr(second, "\"dnsbl\":\"zen\",\"zone\":\"bl.test\",\"state\":\"on\"}\n") != NULL);
    assert_null(strchr(strchr(second, '\n') + 1, '\n')); /* two changes, two events */
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

static void what_cannot_be_asked(void **state)
{
    (void)state;
    struct err err;
    char zone[300];
    struct dnsbl_zone_options options[DNSBL_MAX_ZONES + 1] = {{.name = "x", .zone = zone, .timeout_ms = 100}};
    memset(zone, 'z', sizeof zone);
    zone[DNS_ZONE_MAX_BYTES + 1] = '\0';
    assert_null(dnsbl_new(&loop, dns, options, 1, NULL, &err));
    assert_string_equal(err.text, "dnsbl x: the name of a zone has 1 to 189 bytes, this one has 190");
    assert_null(dnsbl_new(&loop, dns, options, COUNT_OF(options), NULL, &err));
    assert_string_equal(err.text, "there are 65 dnsbls; at most 64 can be asked");
    zone[DNS_ZONE_MAX_BYTES] = '\0';
    lists = dnsbl_new(&loop, dns, options, 1, NULL, &err);
    assert_non_null(lists);
    RUN_UNTIL(dnsbl_zone_state(lists, 0, NULL) == DNSBL_SILENT || dnsbl_zone_state(lists, 0, NULL) == DNSBL_OFF);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meanings),
        TEST(listed_or_not),
        TEST(private_addresses_are_not_asked_for),
        TEST(all_zones_at_once),
        TEST(remembered_and_shared),
        TEST(cancelled),
        TEST(ends_while_asking),
        TEST(texts),
        TEST(waits_for_the_first_test),
        TEST(self_tests),
        TEST(error_codes_pause_it),
        TEST(foreign_answers_switch_it_off),
        TEST(silence_is_waited_for_ten_times),
        TEST(an_answer_in_between_ends_the_row),
        TEST(an_outage_during_the_hourly_test_changes_nothing),
        TEST(forged_answers),
        TEST(events_of_changes),
        TEST(what_cannot_be_asked),
    };
    return cmocka_run_group_tests_name("lookup/dnsbl", tests, NULL, NULL);
}
