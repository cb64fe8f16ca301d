/* test_past.c - what the event log tells of becomes a trial like it. */
#include "blocks.h"
#include "policy/past.h"

#define HEAD                                                                                                           \
    "{\"time\":\"2026-11-24T08:15:30.123456Z\",\"event\":\"mail\",\"id\":\"6DRW1T6000001-1\",\"client\":\"2001:db8::"  \
    "7\""

static void all_that_is_known(void **state)
{
    (void)state;
    struct compiled k;
    struct logged *event;
    struct past p;
    struct err err = {0};
    compiled_open(
        &k,
        "on data { rule all reject if client = 2001:db8::7 and client.port = 50312 and helo = \"laptop\" and tls and\n"
        "user = \"alice@example.org\" and sender = \"a@example.org\" and mail.recipients = 2 and mail.size = 2048 and\n"
        "listener = \"smtp\" and client.name = \"h.example\" and client.country = \"DE\" and weekday in { tue } }\n");
    struct trial *t = trial_new(&k.world);
    assert_non_null(t);
    enum logged_result result = logged_read(
        STR(HEAD
            ",\"port\":50312,\"listener\":\"smtp\",\"name\":\"h.example\",\"country\":\"DE\",\"helo\":\"laptop\","
            "\"tls\":\"TLSv1.3\",\"user\":\"alice@example.org\",\"sender\":\"a@example.org\",\"recipients\":"
            "[\"b@example.net\",7,\"c\\u007f@example.net\"],\"accepted\":2,\"refused\":1,\"size\":2048,\"message_id\":"
            "\"<x@y>\",\"from\":\"f@example.org\",\"verdict\":\"reject\",\"code\":550,\"enhanced\":\"5.7.1\","
            "\"text\":\"No\\u001b\",\"at\":\"data\",\"by\":\"all\",\"limits\":[{\"name\":\"hour\",\"key\":"
            "\"user:\\nalice\",\"period\":3600,\"limit\":200,\"used\":87}],\"relay_code\":451}"),
        &event, &err);
    assert_int_equal(result, LOGGED_READ);
    assert_true(past_init(&p, event));
    assert_int_equal(event->time_us, INT64_C(1795508130123456));
    assert_true(event->accepted == 2 && event->refused == 1 && event->code == 550 && event->relay_code == 451);
    assert_true(str_equal(event->text, STR("No?")) && str_equal(event->by, STR("all")) &&
                str_equal(event->at, STR("data")));
    assert_true(p.rcpt_count == 2 && str_equal(p.rcpts[1], STR("c?@example.net")));
    const struct logged_limit *hour = &p.limits.items[0];
    assert_true(p.limits.count == 1 && hour->used == 87 && hour->limit == 200 && hour->period_s == 3600);
    assert_true(str_equal(hour->name, STR("hour")) && str_equal(hour->key, STR("user:?alice")));
    past_set(&p, t);
    assert_int_equal(t->now_us, event->time_us);
    assert_true(trial_send(t, 1, 0, NULL));
    assert_int_equal(t->outcome.last.code, 550);
    assert_true(str_equal(t->settings.headers[0].value, STR("f@example.org")) && t->settings.header_count == 2);
    trial_free(&t);
    past_fini(&p);
    compiled_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_that_is_known)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
