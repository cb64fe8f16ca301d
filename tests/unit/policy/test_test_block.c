/* test_test_block.c - what tests make of rules, and what they say when it is not what was expected (GRAMMAR.md 5). */
#include "blocks.h"

#define NO_RELAY "on rcpt { rule no-relay reject 550 5.7.1 \"Relaying denied\" unless authenticated }\n"
#define HOURLY   "limit hourly per user count recipients { 200/1h }\n"

static const struct block_case VERDICTS[] = {
    {"the first example of RULES.md", NO_RELAY,
     "test \"x\" { client 203.0.113.9 mail from a@example.com rcpt to b@example.net\n"
     "expect reject 550 at rcpt by no-relay }",
     ""},
    {"the second", HOURLY,
     "test \"x\" { client 203.0.113.9 user alice@example.org\n"
     "send 20 messages to 10 recipients each over 30m\n"
     "expect accept send 1 message expect defer 451 by hourly wait 1h send 1 message expect accept }",
     ""},
    {"a set-line after them runs the mail anew, once", HOURLY,
     "test \"x\" { user alice send 3 messages expect 3 accepted user bob expect accept expect accept\n"
     "expect count hourly 1 user alice expect count hourly 3 }",
     ""},
    {"each way to refuse, at each phase",
     "on connect { rule c1 reject if client = 192.0.2.11; rule c2 drop if client = 192.0.2.12; rule c3 disconnect if "
     "client = 192.0.2.13 }\n"
     "on helo { rule h defer if helo = \"bad.example\" }\n"
     "on auth { rule a reject if auth.user = \"a\" }\n"
     "on login { rule l defer if user = \"l\" }\n"
     "on mail { rule m reject 553 5.1.8 \"not ${sender}\" if sender.domain = \"m.example\" }\n"
     "on rcpt { rule r defer if rcpt.domain = \"r.example\" }\n"
     "on data { rule d reject if mail.recipients > 2 }\n",
     "test \"1\" { client 192.0.2.11 expect reject 554 5.7.1 at connect by c1 \"Refused by rule\" }\n"
     "test \"2\" { client 192.0.2.12 expect drop at connect by c2 }\n"
     "test \"3\" { client 192.0.2.13 expect disconnect 421 4.7.0 at connect by c3 }\n"
     "test \"4\" { helo bad.example expect defer 450 4.7.1 at helo by h }\n"
     "test \"5\" { user a expect reject 535 5.7.8 at auth by a }\n"
     "test \"6\" { user l expect defer 454 4.7.0 at login by l }\n"
     "test \"7\" { mail from x@m.example expect reject 553 5.1.8 at mail by m \"not x@m.example\" }\n"
     "test \"8\" { rcpt to x@r.example expect defer 450 at rcpt by r }\n"
     "test \"9\" { rcpt to a@b.example, c@b.example, d@b.example expect reject 550 at data by d }\n"
     "test \"10\" { expect accept }",
     ""},
    {"what was expected wrongly is said", NO_RELAY,
     "test \"a\" { expect accept }\n"
     "test \"b\" { user u expect reject }\n"
     "test \"c\" { expect reject 551 }\n"
     "test \"d\" { expect reject 550 5.7.2 }\n"
     "test \"e\" { expect reject at mail }\n"
     "test \"f\" { expect reject \"denied \" }\n"
     "test \"g\" { expect drop }\n"
     "test \"h\" { expect defer 450 4.1.1 at rcpt by no-relay \"x\" }",
     "2:12+6 test \"a\": expected accept, got reject 550 at rcpt by no-relay | the reply: 550 5.7.1 Relaying denied\n"
     "3:19+6 test \"b\": expected reject, got accept\n"
     "4:12+6 test \"c\": expected reject 551, got reject 550 at rcpt by no-relay | the reply: 550 5.7.1 Relaying "
     "denied\n"
     "5:12+6 test \"d\": expected reject 550 5.7.2, got reject 550 at rcpt by no-relay | the reply: 550 5.7.1 Relaying "
     "denied\n"
     "6:12+6 test \"e\": expected reject at mail, got reject 550 at rcpt by no-relay | the reply: 550 5.7.1 Relaying "
     "denied\n"
     "7:12+6 test \"f\": expected reject \"denied \", got reject 550 at rcpt by no-relay | the reply: 550 5.7.1 "
     "Relaying denied\n"
     "8:12+6 test \"g\": expected drop, got reject 550 at rcpt by no-relay | the reply: 550 5.7.1 Relaying denied\n"
     "9:12+6 test \"h\": expected defer 450 4.1.1 at rcpt by no-relay \"x\", got reject 550 at rcpt by no-relay | the "
     "reply: 550 5.7.1 Relaying denied"},
    {"a test ends where it fails, the others run", NO_RELAY,
     "test \"a\" { expect accept expect drop }\n"
     "test \"b\" { expect drop }",
     "2:12+6 test \"a\": expected accept, got reject 550 at rcpt by no-relay | the reply: 550 5.7.1 Relaying denied\n"
     "3:12+6 test \"b\": expected drop, got reject 550 at rcpt by no-relay | the reply: 550 5.7.1 Relaying denied"},
    {"a mail that lost a recipient is refused, and goes on with the others",
     "on rcpt { rule no reject if rcpt.domain = \"no.example\" }\n" HOURLY,
     "test \"x\" { user u rcpt to a@example.net, b@no.example, c@example.net\n"
     "expect reject 550 at rcpt by no expect 0 accepted expect count hourly 2 }",
     ""},
    {"a mail that lost them all ends there", "on rcpt { rule no reject }\n" HOURLY,
     "test \"x\" { user u rcpt to a@example.net, b@example.net expect reject at rcpt by no expect count hourly 0 }",
     ""},
};

static const struct block_case LIMITS[] = {
    {"the 200th passes, the 201st does not; what is refused is not counted", HOURLY,
     "test \"x\" { user u send 205 messages expect 200 accepted expect defer 451 4.7.1 at data by hourly "
     "\"200 per 1h used up, 201 with this mail\" expect count hourly 200 }",
     ""},
    {"never early: at data, and not at mail", HOURLY,
     "test \"x\" { user u send 200 messages send 1 message expect defer at data }\n"
     "test \"y\" { user u send 200 messages send 1 message expect defer at mail }",
     "3:52+6 test \"y\": expected defer at mail, got defer 451 at data by hourly | the reply: 451 4.7.1 hourly: 200 "
     "per "
     "1h used up, 201 with this mail; try again in 1h4m"},
    {"a mail that can never pass", HOURLY,
     "test \"x\" { user u send 1 message to 201 recipients expect reject 552 5.7.1 at data by hourly }", ""},
    {"free when a quarter more than the period is over, not before the period is", HOURLY,
     "test \"x\" { user u send 200 messages wait 59m expect defer by hourly }\n"
     "test \"y\" { user u send 200 messages wait 75m expect accept }",
     ""},
    {"without a login a limit per user does not apply", HOURLY,
     "test \"x\" { send 300 messages expect accept expect count hourly 0 }", ""},
    {"bytes are counted in bytes, by KiB begun", "limit daily per client count bytes { 10K/1d }\n",
     "test \"x\" { size 1025 expect accept expect count daily 2048 size 9K expect defer by daily }\n"
     "test \"y\" { size 11K expect reject 552 by daily }",
     ""},
    {"clients of one network share its limit, IPv6 clients their /64",
     "limit n per network count messages { 2/1h }\n"
     "limit c per client count messages { 1/1h }\n",
     "test \"x\" { client 192.0.2.1 expect accept client 192.0.2.2 expect accept client 192.0.2.3 expect defer by n }\n"
     "test \"y\" { client 2001:db8::1 expect accept client 2001:db8::2 expect defer by c }",
     ""},
    {"a condition of recipients counts only those",
     "limit out per user count recipients { 2/1h unless rcpt.domain = "
     "\"example.org\" }\n",
     "test \"x\" { user u rcpt to a@example.org, b@example.net expect accept expect count out 1 }", ""},
    {"an open place is held until the next step", "limit open per client count open-connections { 3 }\n",
     "test \"x\" { connect 4 times expect 3 accepted expect defer 421 4.7.0 at connect by open expect disconnect\n"
     "expect count open 3 connect 3 times expect accept wait 1s expect count open 0 }\n"
     "test \"y\" { connect 9 times over 1m expect accept expect count open 0 }\n"
     "test \"z\" { send 9 messages expect accept expect count open 0 }",
     ""},
    {"connections by rate; send is one connection", "limit rate per client count connections { 3/1m }\n",
     "test \"x\" { send 9 messages expect count rate 1 connect 3 times expect 2 accepted wait 2m connect 1 time\n"
     "expect accept expect count rate 1 }",
     ""},
    {"who was disconnected connects again for the next mail",
     "on mail { rule d disconnect }\nlimit rate per client count connections { 3/1m }\n",
     "test \"x\" { send 5 messages expect defer at connect by rate expect count rate 3 }", ""},
    {"what was counted wrongly is said", HOURLY,
     "test \"x\" { user u send 3 messages expect count hourly 4 }\n"
     "test \"y\" { user u send 3 messages expect 2 accepted }",
     "2:35+6 test \"x\": expected count hourly 4, got 3\n"
     "3:35+6 test \"y\": expected 2 accepted, got 3 accepted"},
    {"the first of many that was not accepted is said", HOURLY,
     "test \"x\" { user u send 7 messages to 40 recipients expect accept }",
     "2:52+6 test \"x\": expected accept, got defer 451 at data by hourly | 5 of 7 were accepted; the first that was "
     "not: 451 4.7.1 hourly: 200 per 1h used up, 240 with this mail; try again in 1h4m"},
};

static const struct block_case SETTINGS[] = {
    {"the defaults",
     "on data {\n"
     "rule a reject unless client = 192.0.2.1\n"
     "rule b reject unless helo = \"client.example\"\n"
     "rule c reject unless tls and tls.version = \"TLSv1.3\"\n"
     "rule d reject if authenticated or not user is none\n"
     "rule e reject unless listener = \"submission\"\n"
     "rule f reject unless sender = \"sender@example.com\"\n"
     "rule g reject unless mail.size = 1K\n"
     "rule h reject unless mail.recipients = 1\n"
     "rule i reject unless now in 12:00-12:01 and weekday in { mon }\n"
     "rule j reject unless node = \"mx.example.org\"\n"
     "rule k reject unless session.messages = 0\n"
     "rule m reject if session.early }\n"
     "on rcpt { rule n reject unless rcpt = \"r1@example.net\" }\n",
     "test \"x\" { expect accept }", ""},
    {"the sender is the user",
     "on mail { rule a reject unless sender = \"alice@example.org\" or sender = \"bob@example.com\" }\n",
     "test \"x\" { user alice expect accept }\n"
     "test \"y\" { user bob@example.com expect accept }\n"
     "test \"z\" { user alice mail from x@example.net expect reject by a }",
     ""},
    {"all of it, set",
     "on data { rule all reject if client in 2001:db8::/32 and helo = \"a.b\" and not tls and user = "
     "\"u\" and listener = \"smtp\" and sender.null and mail.size = 5K and mail.recipients = 2 and now in "
     "08:00-08:01 and weekday in { tue } }\n",
     "test \"x\" { client 2001:db8::1 helo a.b tls off user u listener smtp mail from <> rcpt to a@b.c, d@e.f size 5K\n"
     "now 2026-11-24T08:00 expect reject by all }",
     ""},
    {"recipients that are made up", "on rcpt { rule known log, tag seen \"${rcpt}\" }\n",
     "test \"x\" { send 1 message to 3 recipients expect tag seen \"r3@example.net\" send 2 messages to 2 recipients "
     "each\n"
     "expect tag seen \"r7@example.net\" send 2 messages to 2 recipients expect tag seen \"r2@example.net\" }\n"
     "test \"y\" { rcpt to a@one.example, b@two.example send 1 message to 1 recipient expect tag seen "
     "\"r1@one.example\" send 1 message expect tag seen \"b@two.example\" }",
     ""},
    {"tags: of the connection and of the mail; a wrong one is said",
     "on helo { rule h tag where \"helo\" }\non mail { rule m tag what \"mail\"; rule n tag plain }\n",
     "test \"a\" { expect tag where \"helo\" expect tag what expect tag plain }\n"
     "test \"b\" { expect tag what \"post\" }\n"
     "test \"c\" { connect 1 time expect tag what }\n"
     "test \"d\" { expect tag plain \"x\" }",
     "4:12+6 test \"b\": expected tag what \"post\", got accept | its value is \"mail\"\n"
     "5:27+6 test \"c\": expected tag what, got accept | it does not bear the tag\n"
     "6:12+6 test \"d\": expected tag plain \"x\", got accept | it has no value"},
    {"over: number i of N at i/N of it, then the clock stands at its end",
     "on mail { rule late reject unless now in 12:00-12:30; rule first tag at \"${now}\" }\n",
     "test \"x\" { send 3 messages over 30m expect accept expect tag at \"12:20\" send 1 message expect reject by late "
     "}",
     ""},
    {"a session is one for all its messages", "on mail { rule many reject if session.messages > 2 }\n",
     "test \"x\" { send 5 messages expect 3 accepted expect reject by many send 1 message expect accept }", ""},
    {"waiting never makes the clock go round", HOURLY,
     "test \"x\" { user u wait 50000w wait 50000w wait 50000w send 2 messages over 50000w send 1 message\n"
     "expect accept }",
     ""},
};

static void verdicts(void **state)
{
    (void)state;
    check_blocks(VERDICTS, COUNT_OF(VERDICTS));
}

static void limits(void **state)
{
    (void)state;
    check_blocks(LIMITS, COUNT_OF(LIMITS));
}

static void settings(void **state)
{
    (void)state;
    check_blocks(SETTINGS, COUNT_OF(SETTINGS));
}

static bool at_once(void *arg)
{
    size_t *asked = arg;
    return ++*asked > 3;
}

static void stops_when_it_is_enough(void **state)
{
    (void)state;
    struct compiled k;
    size_t asked = 0;
    char said[1024];
    compiled_open(&k, "test \"a\" { expect accept }\n"
                      "test \"b\" { send 1000000 messages expect drop }\n"
                      "test \"c\" { expect drop }\n");
    struct test_blocks tests = {.world = &k.world, .is_over = at_once, .arg = &asked};
    assert_false(test_blocks_run(&tests, &k.tree, &k.d));
    assert_int_equal(tests.count, 1);
    compiled_said(&k, said, sizeof said);
    assert_string_equal(said, ""); /* what was stopped is neither met nor failed */
    compiled_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(limits),
        cmocka_unit_test(settings),
        cmocka_unit_test(stops_when_it_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
