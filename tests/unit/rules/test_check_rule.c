/* test_check_rule.c - rules: what is known and possible when, and what actions name. */
#include "check_cases.h"

#define EVERY_ACTION                                                                                                   \
    "rule r0 accept if client.port > 1\n"                                                                              \
    "rule r1 reject if client.port > 1\n"                                                                              \
    "rule r2 defer if client.port > 1\n"                                                                               \
    "rule r3 disconnect if client.port > 1\n"                                                                          \
    "rule r4 drop if client.port > 1\n"                                                                                \
    "rule r5 ban client 1h if client.port > 1\n"                                                                       \
    "rule r6 ban user 1h if client.port > 1\n"                                                                         \
    "rule r7 tarpit 1s if client.port > 1\n"                                                                           \
    "rule r8 score 1 if client.port > 1\n"                                                                             \
    "rule r9 charge c if client.port > 1\n"                                                                            \
    "rule r10 tag t if client.port > 1\n"                                                                              \
    "rule r11 add-header \"X\" \"y\" if client.port > 1\n"                                                             \
    "rule r12 remove-header \"X\" if client.port > 1\n"                                                                \
    "rule r13 add-missing if client.port > 1\n"                                                                        \
    "rule r14 relay to default if client.port > 1\n"                                                                   \
    "rule r15 quarantine if client.port > 1\n"                                                                         \
    "rule r16 log if client.port > 1\n"                                                                                \
    "rule r17 alert ops if client.port > 1\n"                                                                          \
    "}\n"                                                                                                              \
    "limit c per client count charges { 1/1h }\n"                                                                      \
    "alert ops syslog"

static const struct check_case KNOWN[] = {
    {"on mail { rule r log if rcpt.domain = \"a.b\" }",
     "1:25+11 rcpt.domain is not known at mail; it is known from rcpt on"},
    {"on connect { rule r log if sender is none }", "1:28+6 sender is not known at connect; it is known from mail on"},
    {"on connect { rule r log if rcpt is none }", "1:28+4 rcpt is not known at connect; it is known from rcpt on"},
    {"on connect { rule r log if helo is none }", "1:28+4 helo is not known at connect; it is known from helo on"},
    {"on helo { rule r log if auth.user is none }", "1:25+9 auth.user is not known at helo; it is known from auth on"},
    {"on auth { rule r log if user is none }", "1:25+4 user is not known at auth; it is known from login on"},
    {"on auth { rule r log if authenticated }",
     "1:25+13 authenticated is not known at auth; it is known from login on"},
    {"on login { rule r log if sender.null }", "1:26+11 sender.null is not known at login; it is known from mail on"},
    {"on mail { rule r log if mail.recipients > 1 }",
     "1:25+15 mail.recipients is not known at mail; it is known from rcpt on"},
    {"on data { rule r log if header.size > 1 }",
     "1:25+11 header.size is not known at data; it is known from header on"},
    {"on header { rule r log if message.size > 1 }",
     "1:27+12 message.size is not known at header; it is known from message on"},
    {"on message { rule r log if result.code = 250 }",
     "1:28+11 result.code is not known at message; it is known from result on"},
    {"on data { rule r log if rcpt = \"a@b.c\" }",
     "1:25+4 rcpt is known at rcpt only; a mail may have several recipients"},
    {"on header { rule r log if rcpt.domain = \"b.c\" }",
     "1:27+11 rcpt.domain is known at rcpt only; a mail may have several recipients"},
    {"on message { rule r log if rcpt.local = \"b.c\" }",
     "1:28+10 rcpt.local is known at rcpt only; a mail may have several recipients"},
    {"on result { rule r log if rcpt.tag = \"b.c\" }",
     "1:27+8 rcpt.tag is known at rcpt only; a mail may have several recipients"},
    {"on data { rule r log if mail.recipients > 1 }", ""},
    {"on rcpt { rule r log if rcpt.tag = \"x\" and rcpt.local = \"y\" }", ""},
    {"on connect { rule r log if client = 192.0.2.1 and client.port > 1 and client.name is none and client.country = "
     "\"DE\" and client.asn = 1 and listener = \"x\" and node = \"n\" and now in 08:00-09:00 and weekday in { mon } "
     "and stress and score > 5 }",
     ""},
    {"on helo { rule r log if helo = \"x\" and tls and tls.version = \"TLSv1.3\" and tls.cipher = \"x\" and "
     "tls.certificate is none and session.early and session.errors > 1 and session.commands > 1 and session.age > 1s }",
     ""},
    {"on auth { rule r log if auth.mechanism = \"PLAIN\" and auth.user = \"x\" and client.known }", ""},
    {"on login { rule r log if authenticated and user = \"a\" and user.domain = \"b\" }", ""},
    {"on mail { rule r log if sender.local = \"x\" and sender.domain = \"x\" and sender.null and mail.size > 1 and "
     "mail.body = \"8BITMIME\" and mail.smtputf8 and session.messages > 1 }",
     ""},
    {"on header { rule r log if header[\"X\"] = \"y\" and header.count[\"X\"] = 1 and header.from is none and "
     "header.from.domain is none and header.size > 1 and header.lines > 1 }",
     ""},
    {"on message { rule r log if message.size > 1 }", ""},
    {"on result { rule r log if result.code = 1 and result.text = \"x\" }", ""},
    {"on connect { rule r log if tls }", "1:28+3 tls is not known at connect; it is known from helo on"},
    {"on connect { rule r log if session.age > 1s }",
     "1:28+11 session.age is not known at connect; it is known from helo on"},
    {"on mail { rule r reject \"${rcpt}\" if tls }", "1:28+4 rcpt is not known at mail; it is known from rcpt on"},
    {"on connect { rule r reject \"${client} ${helo}\" }",
     "1:41+4 helo is not known at connect; it is known from helo on"},
    {"on data { rule r log \"${rcpt} ${sender}\" }",
     "1:25+4 rcpt is known at rcpt only; a mail may have several recipients"},
    {"limit l per user count messages { 1/1h }\n"
     "on connect { rule r log if used(l) > 1 }",
     "2:28+4 used(l) is not known at connect; it is known from login on"},
    {"limit l per user count messages { 1/1h }\n"
     "on login { rule r log if used(l) > 1 and left(l) < 2 }",
     ""},
    {"limit l per sender.domain count messages { 1/1h }\n"
     "on login { rule r log if left(l) > 1 }",
     "2:26+4 left(l) is not known at login; it is known from mail on"},
    {"limit l per rcpt count recipients { 1/1h }\n"
     "on rcpt { rule r log if used(l) > 1 }\n"
     "on data { rule s log if used(l) > 1 }\n"
     "on mail { rule t log if used(l) > 1 }",
     "3:25+4 used(l) is known at rcpt only; a mail may have several recipients\n"
     "4:25+4 used(l) is not known at mail; it is known from rcpt on"},
    {"limit l per user, client count guesses { 1/1h }\n"
     "on auth { rule r log if used(l) > 1 }",
     ""},
    {"limit l per client count connections { 1/1h }\n"
     "on connect { rule r log if used(l) = \"x\" }",
     "2:38+3 used(l) is a number, but \"x\" is a text"},
};

static const struct check_case POSSIBLE[] = {
    {"on connect {\n"
     "" EVERY_ACTION,
     "8:9+3 ban user is not possible at connect\n"
     "13:10+10 add-header is not possible at connect\n"
     "14:10+13 remove-header is not possible at connect\n"
     "15:10+11 add-missing is not possible at connect\n"
     "16:10+5 relay is not possible at connect\n"
     "17:10+10 quarantine is not possible at connect"},
    {"on helo {\n"
     "" EVERY_ACTION,
     "8:9+3 ban user is not possible at helo\n"
     "13:10+10 add-header is not possible at helo\n"
     "14:10+13 remove-header is not possible at helo\n"
     "15:10+11 add-missing is not possible at helo\n"
     "16:10+5 relay is not possible at helo\n"
     "17:10+10 quarantine is not possible at helo"},
    {"on auth {\n"
     "" EVERY_ACTION,
     "13:10+10 add-header is not possible at auth\n"
     "14:10+13 remove-header is not possible at auth\n"
     "15:10+11 add-missing is not possible at auth\n"
     "16:10+5 relay is not possible at auth\n"
     "17:10+10 quarantine is not possible at auth"},
    {"on login {\n"
     "" EVERY_ACTION,
     "13:10+10 add-header is not possible at login\n"
     "14:10+13 remove-header is not possible at login\n"
     "15:10+11 add-missing is not possible at login\n"
     "17:10+10 quarantine is not possible at login"},
    {"on mail {\n"
     "" EVERY_ACTION,
     "17:10+10 quarantine is not possible at mail"},
    {"on rcpt {\n"
     "" EVERY_ACTION,
     "16:10+5 relay is not possible at rcpt\n"
     "17:10+10 quarantine is not possible at rcpt"},
    {"on data {\n"
     "" EVERY_ACTION,
     "16:10+5 relay is not possible at data"},
    {"on header {\n"
     "" EVERY_ACTION,
     "16:10+5 relay is not possible at header"},
    {"on message {\n"
     "" EVERY_ACTION,
     "13:10+10 add-header is not possible at message\n"
     "14:10+13 remove-header is not possible at message\n"
     "15:10+11 add-missing is not possible at message\n"
     "16:10+5 relay is not possible at message"},
    {"on result {\n"
     "" EVERY_ACTION,
     "2:9+6 accept is not possible at result\n"
     "3:9+6 reject is not possible at result\n"
     "4:9+5 defer is not possible at result\n"
     "5:9+10 disconnect is not possible at result\n"
     "6:9+4 drop is not possible at result\n"
     "7:9+3 ban is not possible at result\n"
     "8:9+3 ban user is not possible at result\n"
     "9:9+6 tarpit is not possible at result\n"
     "13:10+10 add-header is not possible at result\n"
     "14:10+13 remove-header is not possible at result\n"
     "15:10+11 add-missing is not possible at result\n"
     "16:10+5 relay is not possible at result\n"
     "17:10+10 quarantine is not possible at result"},
};

static const struct check_case ACTIONS[] = {
    {"on mail { rule r reject \"${sender} ${foo} ${user.domian} $x {y} ${header}\" }",
     "1:38+3 unknown attribute \"foo\"\n"
     "1:45+11 unknown attribute \"user.domian\" | did you mean \"user.domain\"?\n"
     "1:67+6 unknown attribute \"header\" | did you mean \"sender\"?"},
    {"on mail { rule r reject '${foo}' }", ""},
    {"on mail { rule r log \"${sender.foo-bar}\", tag x \"${rcpt}\", add-header \"X-${foo}\" \"${client}\" }",
     "1:25+14 unknown attribute \"sender.foo-bar\"\n"
     "1:52+4 rcpt is not known at mail; it is known from rcpt on"},
    {"on mail { rule r add-header \"X Y\" \"z\" }", "1:29+5 \"X Y\" is not a header name"},
    {"on mail { rule r add-header \"\" \"z\" }", "1:29+2 \"\" is not a header name"},
    {"on mail { rule r remove-header \"A:\" }", "1:32+4 \"A:\" is not a header name"},
    {"on mail { rule r add-header \"X-Ok\" \"${tag.nope}\" }", "1:39+8 no rule sets the tag \"nope\""},
    {"on mail { rule r ban client 1h doubling to 30m }", "1:44+3 ban must be from 1h to 366d, not 30m"},
    {"on mail { rule r ban client 1h doubling to 1h \"too much ${sender} ${zzz}\" }",
     "1:69+3 unknown attribute \"zzz\""},
    {"on mail { rule r ban client 1h doubling to 2d }", ""},
    {"on mail { rule r score 1.5, score -2, log, tag a 1, tag b \"x\" }", ""},
    {"on mail { rule r charge l 5 }\n"
     "limit l per sender count charges { 10/1h }",
     ""},
    {"on connect { rule r charge l }\n"
     "on mail { rule s charge l }\n"
     "limit l per sender count charges { 10/1h if sender.null }",
     "3:13+6 sender is not known at connect, where \"l\" counts; it is known from mail on\n"
     "3:45+11 sender.null is not known at connect; it is known from mail on"},
    {"on mail { rule r charge l }\n"
     "limit l per rcpt count charges { 10/1h }",
     "2:13+4 rcpt is not known at mail, where \"l\" counts; it is known from rcpt on"},
    {"on rcpt { rule r charge l }\n"
     "limit l per rcpt count charges { 10/1h unless rcpt.domain = \"a.b\" }",
     ""},
    {"on data { rule r charge l }\n"
     "limit l per rcpt count charges { 10/1h unless rcpt.domain = \"a.b\" }",
     "2:13+4 rcpt is known at rcpt only; a mail may have several recipients\n"
     "2:47+11 rcpt.domain is known at rcpt only; a mail may have several recipients"},
    {"on result { rule r charge l }\n"
     "limit l per user count charges { 10/1h at 50% log at 100% reject }",
     "2:59+6 reject is not possible at result"},
    {"on auth { rule r charge l }\n"
     "limit l per user count charges { 10/1h if auth.user is none }",
     ""},
    {"limit l per rcpt count charges { 10/1h if rcpt.domain = \"x\" at 100% reject \"${rcpt}\" }",
     "1:7+1 warning: limit \"l\" is never used: no rule charges it | write charge l in a rule"},
    {"on mail { rule r relay to bulk }\n"
     "relay to 127.0.0.1:25\n"
     "relay bulk to 127.0.0.1:26",
     ""},
    {"on rcpt { rule r relay to default }", "1:18+5 relay is not possible at rcpt"},
    {"on mail { rule r accept if foo unless bar }", "1:28+3 unknown attribute \"foo\"\n"
                                                    "1:39+3 unknown attribute \"bar\""},
};

static const struct check_case REACHED[] = {
    {"on mail { rule a accept; rule b reject if tls; rule c log }",
     "1:31+1 warning: rule \"b\" is never reached: rule \"a\" always ends mail before it | move it up, or give the "
     "other one a condition\n"
     "1:53+1 warning: rule \"c\" is never reached: rule \"a\" always ends mail before it | move it up, or give the "
     "other one a condition"},
    {"on mail { rule a accept if tls; rule b reject }", ""},
    {"on mail { rule a log; rule b reject }\n"
     "on rcpt { rule c reject }\n"
     "on mail { rule d log }",
     "3:16+1 warning: rule \"d\" is never reached: rule \"b\" always ends mail before it | move it up, or give the "
     "other one a condition"},
    {"on mail { rule a observe accept; rule b reject if tls }", ""},
    {"disable a\n"
     "on mail { rule a accept; rule b reject if tls }",
     ""},
    {"observe a\n"
     "on mail { rule a accept; rule b reject if tls }",
     ""},
    {"disable b\n"
     "on mail { rule a accept; rule b reject if tls }",
     ""},
    {"on data { rule a quarantine; rule b log }", "1:35+1 warning: rule \"b\" is never reached: rule \"a\" always ends "
                                                  "data before it | move it up, or give the other one a condition"},
    {"on mail { rule a tarpit 1s, drop; rule b log; rule c log }",
     "1:40+1 warning: rule \"b\" is never reached: rule \"a\" always ends mail before it | move it up, or give the "
     "other one a condition\n"
     "1:52+1 warning: rule \"c\" is never reached: rule \"a\" always ends mail before it | move it up, or give the "
     "other one a condition"},
};

CASES(KNOWN, true)
CASES(POSSIBLE, true)
CASES(ACTIONS, true)
CASES(REACHED, true)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_KNOWN),
        cmocka_unit_test(check_POSSIBLE),
        cmocka_unit_test(check_ACTIONS),
        cmocka_unit_test(check_REACHED),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
