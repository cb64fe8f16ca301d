/* test_past.c - lines of the event log become trials like them. */
#include "blocks.h"
#include "policy/past.h"

#define HEAD "{\"time\":\"2026-11-24T08:15:30.123456Z\",\"event\":\"mail\",\"id\":\"6N2-1\",\"client\":\"2001:db8::7\""

static const struct {
    const char *name, *line;
    enum past_result result;
    const char *said; /* of what is wrong */
} LINES[] = {
    {"a mail", HEAD ",\"verdict\":\"accept\"}", PAST_READ, ""},
    {"a connection",
     "{\"time\":\"2026-11-24T08:15:30.1Z\",\"event\":\"connect\",\"client\":\"192.0.2.7\",\"verdict\":\"drop\"}",
     PAST_READ, ""},
    {"something else", "{\"time\":\"2026-11-24T08:15:30.1Z\",\"event\":\"close\",\"id\":\"6N2\"}", PAST_OTHER, ""},
    {"half a line", "{\"time\":\"2026-", PAST_WRONG, "it is no JSON: "},
    {"nothing", "", PAST_WRONG, "it is no JSON: "},
    {"a list", "[1]", PAST_WRONG, "it is no JSON object"},
    {"no client", "{\"time\":\"2026-11-24T08:15:30.1Z\",\"event\":\"mail\",\"verdict\":\"accept\"}", PAST_WRONG,
     "\"client\" is no IP address: \"\""},
    {"no time", "{\"event\":\"mail\",\"client\":\"192.0.2.7\",\"verdict\":\"accept\"}", PAST_WRONG,
     "\"time\" is no time: \"\""},
    {"no verdict", HEAD "}", PAST_WRONG, "there is no \"verdict\""},
};

static void lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(LINES); i++) {
        struct past p;
        struct err err = {0};
        enum past_result result = past_read(&p, str_of_z(LINES[i].line), &err);
        if (result != LINES[i].result || !str_starts(str_of_z(err.text), str_of_z(LINES[i].said)))
            fail_msg("%s: %d \"%s\"", LINES[i].name, (int)result, err.text);
        past_fini(&p);
    }
}

static void all_that_is_known(void **state)
{
    (void)state;
    struct compiled k;
    struct past p;
    struct err err;
    compiled_open(
        &k,
        "on data { rule all reject if client = 2001:db8::7 and client.port = 50312 and helo = \"laptop\" and tls and\n"
        "user = \"alice@example.org\" and sender = \"a@example.org\" and mail.recipients = 2 and mail.size = 2048 and\n"
        "listener = \"smtp\" and client.name = \"h.example\" and client.country = \"DE\" and weekday in { tue } }\n");
    struct trial *t = trial_new(&k.world);
    assert_non_null(t);
    assert_int_equal(
        past_read(
            &p,
            STR(HEAD
                ",\"port\":50312,\"listener\":\"smtp\",\"name\":\"h.example\",\"country\":\"DE\",\"helo\":\"laptop\","
                "\"tls\":\"TLSv1.3\",\"user\":\"alice@example.org\",\"sender\":\"a@example.org\",\"recipients\":"
                "[\"b@example.net\",7,\"c@example.net\"],\"accepted\":2,\"refused\":1,\"size\":2048,\"message_id\":"
                "\"<x@y>\",\"from\":\"f@example.org\",\"verdict\":\"reject\",\"code\":550,\"enhanced\":\"5.7.1\","
                "\"text\":\"No\\u001b\",\"at\":\"data\",\"by\":\"all\",\"limits\":[{\"name\":\"hour\",\"key\":"
                "\"user:alice\",\"period\":3600,\"limit\":200,\"used\":87}],\"relay_code\":451}"),
            &err),
        PAST_READ);
    assert_int_equal(p.time_us, INT64_C(1795508130123456));
    assert_true(p.accepted == 2 && p.refused == 1 && p.code == 550 && p.relay_code == 451);
    assert_true(str_equal(p.text, STR("No?")) && str_equal(p.by, STR("all")) && str_equal(p.at, STR("data")));
    assert_true(p.count_count == 1 && p.counts[0].used == 87 && p.counts[0].limit == 200 &&
                p.counts[0].period_s == 3600);
    past_set(&p, t);
    assert_int_equal(t->now_us, p.time_us);
    assert_true(trial_send(t, 1, 0, NULL));
    assert_int_equal(t->outcome.last.code, 550);
    assert_true(str_equal(t->settings.headers[0].value, STR("f@example.org")) && t->settings.header_count == 2);
    trial_free(&t);
    past_fini(&p);
    compiled_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines), cmocka_unit_test(all_that_is_known)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
