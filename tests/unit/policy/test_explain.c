/* test_explain.c - what explain tells, to the letter. */
#include "blocks.h"
#include "policy/explain.h"

struct explain_case {
    const char *name;
    const char *rules;
    const char *user, *listener; /* NULL: as by default */
    const char *sender;
    const char *rcpts[3];
    const char *said;
};

#define NO_RELAY                                                                                                       \
    "on rcpt { rule no-relay reject 550 5.7.1 \"Relaying denied\" unless authenticated or rcpt.domain in local }\n"    \
    "table local domains { example.org }\n"
#define LIMITS_NOTE "note:    limits count this mail alone, not what a running server has counted: `mailweir limits KEY`\n"

static const struct explain_case CASES[] = {
    {"refused for each recipient that a rule does not like",
     NO_RELAY,
     NULL,
     NULL,
     "a@example.com",
     {"b@example.net", "c@example.org"},
     "connect from 192.0.2.1 to submission\n"
     "helo client.example, under TLS\n"
     "mail from a@example.com, 1024 bytes\n"
     "rcpt to b@example.net\n"
     "  rule no-relay: reject 550 5.7.1 (authenticated false, rcpt.domain example.net)\n"
     "rcpt to c@example.org\n"
     "  rule no-relay: does not hold (authenticated false, rcpt.domain example.org)\n"
     "data, 1 recipient\n"
     "verdict: reject 550 at rcpt by rule no-relay\n"
     "reply:   550 5.7.1 Relaying denied\n"
     "note:    the mail goes on to 1 other recipient\n"},
    {"limits, and those that do not apply",
     "limit open per client count open-connections { 3 }\n"
     "limit hour per user count recipients { 200/1h, 1000/1d }\n"
     "limit out per client count messages { 5/1h if tls unless sender.domain = \"example.com\" }\n",
     NULL,
     NULL,
     "a@example.com",
     {"b@example.net"},
     "connect from 192.0.2.1 to submission\n"
     "  limit open: 1 of 3 at once (client:192.0.2.1)\n"
     "helo client.example, under TLS\n"
     "mail from a@example.com, 1024 bytes\n"
     "rcpt to b@example.net\n"
     "data, 1 recipient\n"
     "  limit hour: does not apply (user none)\n"
     "  limit out: does not apply (tls true, sender.domain example.com)\n"
     "verdict: accept\n" LIMITS_NOTE},
    {"what is charged, and a refusal that is counted",
     "limit hour per user count recipients { 9/1h }\nlimit no per client count refusals { 9/1h }\n"
     "limit points per client count charges { 4/1h at 50% log }\n"
     "on data { rule dear charge points 3, reject \"No\" }\n",
     "alice",
     NULL,
     "",
     {"b@example.net"},
     "connect from 192.0.2.1 to submission\n"
     "helo client.example, under TLS\n"
     "auth alice\n"
     "login alice\n"
     "mail from <>, 1024 bytes\n"
     "  limit no: 0 of 9 per 1h (client:192.0.2.1)\n"
     "  limit points: 0 of 4 per 1h (client:192.0.2.1)\n"
     "rcpt to b@example.net\n"
     "data, 1 recipient\n"
     "  rule dear: charge points 3, reject 550 5.7.1\n"
     "  limit points: 3 of 4 per 1h (client:192.0.2.1)\n"
     "    at 50%: log\n"
     "  limit no: 1 of 9 per 1h (client:192.0.2.1)\n"
     "verdict: reject 550 at data by rule dear\n"
     "reply:   550 5.7.1 No\n" LIMITS_NOTE},
    {"a limit refuses",
     "limit hour per user count recipients { 1/1h, 1000/1d }\n",
     "alice",
     NULL,
     "",
     {"b@example.net", "c@example.net"},
     "connect from 192.0.2.1 to submission\n"
     "helo client.example, under TLS\n"
     "auth alice\n"
     "login alice\n"
     "mail from <>, 1024 bytes\n"
     "rcpt to b@example.net\n"
     "rcpt to c@example.net\n"
     "data, 2 recipients\n"
     "  limit hour: 1 per 1h used up, 2 with this mail (user:alice)\n"
     "    at 100%: defer\n"
     "  limit hour: 2 of 1000 per 1d (user:alice)\n"
     "verdict: reject 552 at data by limit hour\n"
     "reply:   552 5.7.1 hour: 1 per 1h allowed, 2 in this mail; send it in parts of at most 1\n" LIMITS_NOTE},
    {"rules end their phase: what stands behind is not looked at",
     "on mail { rule one tag kind \"x\"; rule two log, accept if tag.kind and sender is none; rule three reject }\n"
     "on data { rule four drop if tag.kind = \"x\" and tag.other is none }\n"
     "on helo { rule five tag other if helo under nowhere.example }\n",
     NULL,
     NULL,
     "",
     {"b@example.net"},
     "connect from 192.0.2.1 to submission\n"
     "helo client.example, under TLS\n"
     "  rule five: does not hold (helo client.example)\n"
     "mail from <>, 1024 bytes\n"
     "  rule one: tag kind\n"
     "  rule two: log, accept (tag.kind x, sender <>)\n"
     "rcpt to b@example.net\n"
     "data, 1 recipient\n"
     "  rule four: drop (tag.kind x, tag.other none)\n"
     "verdict: drop at data by rule four\n"
     "reply:   none, the connection is closed\n"},
    {"what else rules and thresholds do",
     "limit hour per user count recipients { 2/1h at 50% tarpit 1s500ms, log at 100% defer }\n"
     "limit odd per global count charges { 50/1h }\n"
     "on helo { rule a score -2.5, tarpit 2s; rule b observe ban client 1h doubling to 1d if score < 0 }\n"
     "on rcpt { rule c charge odd 3, add-header \"X-To\" \"${rcpt}\" }\n"
     "on header { rule d remove-header \"X-Old\", add-missing if header[\"Subject\"] is none }\n"
     "on message { rule e quarantine if message.size > 1G }\n"
     "on result { rule f tag code \"x\" if result.code = 250 }\n",
     "alice",
     NULL,
     "a@example.org",
     {"b@example.net", "c@example.net"},
     "connect from 192.0.2.1 to submission\n"
     "helo client.example, under TLS\n"
     "  rule a: score -2.5, tarpit 2s\n"
     "  rule b: would ban client 1h doubling to 1d (score -2.5)\n"
     "auth alice\n"
     "login alice\n"
     "mail from a@example.org, 1024 bytes\n"
     "  limit odd: 0 of 50 per 1h (global)\n"
     "rcpt to b@example.net\n"
     "  rule c: charge odd 3, add-header \"X-To\"\n"
     "  limit odd: 3 of 50 per 1h (global)\n"
     "rcpt to c@example.net\n"
     "  rule c: charge odd 3, add-header \"X-To\"\n"
     "  limit odd: 6 of 50 per 1h (global)\n"
     "data, 2 recipients\n"
     "  limit hour: 2 of 2 per 1h (user:alice)\n"
     "    at 50%: tarpit 1s500ms, log\n"
     "header, 23 bytes, 1 line\n"
     "  rule d: remove-header \"X-Old\", add-missing (header[\"Subject\"] none)\n"
     "message, 1024 bytes\n"
     "  rule e: does not hold (message.size 1024)\n"
     "result, the server behind takes it\n"
     "  rule f: tag code (result.code 250)\n"
     "verdict: accept\n"
     "delay:   3s500ms in all\n"
     "header:  added: X-To: b@example.net\n"
     "header:  added: X-To: c@example.net\n"
     "header:  removed: X-Old\n"
     "header:  added where missing: Date, Message-ID, Sender\n" LIMITS_NOTE},
    {"what lookups say of a client",
     "dnsbl zen \"zen.example\"\n"
     "on connect { rule z reject if client in zen or client.name under bad.example }\n",
     NULL,
     NULL,
     "",
     {"b@example.net"},
     "connect from 192.0.2.1 to submission\n"
     "  rule z: does not hold (client 192.0.2.1, client.name none, zen not listed)\n"
     "helo client.example, under TLS\n"
     "mail from <>, 1024 bytes\n"
     "rcpt to b@example.net\n"
     "data, 1 recipient\n"
     "verdict: accept\n"},
    {"nothing can be said before TLS",
     "on connect { rule c reject if listener = \"submissions\" }\n",
     NULL,
     "submissions",
     "",
     {"b@example.net"},
     "connect from 192.0.2.1 to submissions\n"
     "  rule c: reject 554 5.7.1 (listener submissions)\n"
     "verdict: reject 554 at connect by rule c\n"
     "reply:   none, the connection is closed\n"},
    {"values of maps, each once",
     "table owners map { info@example.org { alice, bob } }\n"
     "on mail { rule own reject 553 \"${sender} is not yours\" unless user in owners[sender] or sender = user or "
     "user = \"root\" }\n",
     "carol",
     NULL,
     "info@example.org",
     {"b@example.net"},
     "connect from 192.0.2.1 to submission\n"
     "helo client.example, under TLS\n"
     "auth carol\n"
     "login carol\n"
     "mail from info@example.org, 1024 bytes\n"
     "  rule own: reject 553 5.7.1 (user carol, sender info@example.org)\n"
     "verdict: reject 553 at mail by rule own\n"
     "reply:   553 5.7.1 info@example.org is not yours\n"},
};

static void explains(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        const struct explain_case *c = &CASES[i];
        struct compiled k;
        struct str rcpts[3];
        struct buf said;
        compiled_open(&k, c->rules);
        struct trial *t = trial_new(&k.world);
        assert_non_null(t);
        for (size_t r = 0; r < COUNT_OF(rcpts) && c->rcpts[r]; r++)
            rcpts[t->settings.rcpt_count++] = str_of_z(c->rcpts[r]);
        t->settings.rcpts = rcpts;
        t->settings.has_sender = true;
        t->settings.sender = str_of_z(c->sender);
        t->settings.user = str_of_z(c->user);
        if (c->listener)
            t->settings.listener = str_of_z(c->listener);
        buf_init(&said, EXPLAIN_MAX_BYTES);
        assert_true(explain(t, EXPLAIN_MAIL, &said));
        if (!str_equal(buf_str(&said), str_of_z(c->said))) {
            print_error("%s said:\n" PRI_STR "\n", c->name, STR_ARG(buf_str(&said)));
            fail_msg("expected:\n%s", c->said);
        }
        buf_fini(&said);
        trial_free(&t);
        compiled_close(&k);
    }
}

static void a_full_buffer_is_said(void **state)
{
    (void)state;
    struct compiled k;
    struct buf said;
    compiled_open(&k, NO_RELAY);
    struct trial *t = trial_new(&k.world);
    buf_init(&said, 100);
    assert_false(explain(t, EXPLAIN_MAIL, &said));
    assert_int_equal(t->outcome.last.code, 550); /* what became of the mail does not hang on it */
    buf_fini(&said);
    trial_free(&t);
    compiled_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(explains),
        cmocka_unit_test(a_full_buffer_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
