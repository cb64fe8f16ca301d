/* test_check_limit.c - limits: keys, rates, conditions, overrides, thresholds. */
#include "check_cases.h"

static const struct check_case KEYS[] = {
    {"limit l per client, network, listener, global count connections { 5/1h }", ""},
    {"limit l per user count connections { 5/1h }",
     "1:13+4 user is not known at connect, where \"l\" counts; it is known from login on"},
    {"limit l per user.domain count connections { 5/1h }",
     "1:13+11 user.domain is not known at connect, where \"l\" counts; it is known from login on"},
    {"limit l per sender count connections { 5/1h }",
     "1:13+6 sender is not known at connect, where \"l\" counts; it is known from mail on"},
    {"limit l per rcpt.domain count connections { 5/1h }",
     "1:13+11 rcpt.domain is not known at connect, where \"l\" counts; it is known from rcpt on"},
    {"limit l per client, network, listener, global count open-connections { 5 }", ""},
    {"limit l per user count open-connections { 5 }",
     "1:13+4 user is not known at connect, where \"l\" counts; it is known from login on"},
    {"limit l per user.domain count open-connections { 5 }",
     "1:13+11 user.domain is not known at connect, where \"l\" counts; it is known from login on"},
    {"limit l per sender count open-connections { 5 }",
     "1:13+6 sender is not known at connect, where \"l\" counts; it is known from mail on"},
    {"limit l per rcpt.domain count open-connections { 5 }",
     "1:13+11 rcpt.domain is not known at connect, where \"l\" counts; it is known from rcpt on"},
    {"limit l per client, network, listener, global count messages { 5/1h }", ""},
    {"limit l per user count messages { 5/1h }", ""},
    {"limit l per user.domain count messages { 5/1h }", ""},
    {"limit l per sender count messages { 5/1h }", ""},
    {"limit l per rcpt.domain count messages { 5/1h }", ""},
    {"limit l per client, network, listener, global count bytes { 1M/1h }", ""},
    {"limit l per user count bytes { 1M/1h }", ""},
    {"limit l per user.domain count bytes { 1M/1h }", ""},
    {"limit l per sender count bytes { 1M/1h }", ""},
    {"limit l per rcpt.domain count bytes { 1M/1h }", ""},
    {"limit l per client, network, listener, global count distinct-recipients { 5/1h }", ""},
    {"limit l per user count distinct-recipients { 5/1h }", ""},
    {"limit l per user.domain count distinct-recipients { 5/1h }", ""},
    {"limit l per sender count distinct-recipients { 5/1h }", ""},
    {"limit l per rcpt.domain count distinct-recipients { 5/1h }", ""},
    {"limit l per client, network, listener, global count distinct-networks { 5/1h }", ""},
    {"limit l per user count distinct-networks { 5/1h }", ""},
    {"limit l per user.domain count distinct-networks { 5/1h }", ""},
    {"limit l per sender count distinct-networks { 5/1h }",
     "1:13+6 sender is not known at login, where \"l\" counts; it is known from mail on"},
    {"limit l per rcpt.domain count distinct-networks { 5/1h }",
     "1:13+11 rcpt.domain is not known at login, where \"l\" counts; it is known from rcpt on"},
    {"limit l per client, network, listener, global count auth-failures { 5/1h }", ""},
    {"limit l per user count auth-failures { 5/1h }", "1:13+4 warning: limit \"l\" counts auth-failures per user "
                                                      "alone: a stranger could lock the owner out | per user, network"},
    {"limit l per user.domain count auth-failures { 5/1h }",
     "1:13+11 user.domain is not known at auth, where \"l\" counts; it is known from login on"},
    {"limit l per sender count auth-failures { 5/1h }",
     "1:13+6 sender is not known at auth, where \"l\" counts; it is known from mail on"},
    {"limit l per rcpt.domain count auth-failures { 5/1h }",
     "1:13+11 rcpt.domain is not known at auth, where \"l\" counts; it is known from rcpt on"},
    {"limit l per client, network, listener, global count guesses { 5/1h }", ""},
    {"limit l per user count guesses { 5/1h }", "1:13+4 warning: limit \"l\" counts guesses per user alone: a stranger "
                                                "could lock the owner out | per user, network"},
    {"limit l per user.domain count guesses { 5/1h }",
     "1:13+11 user.domain is not known at auth, where \"l\" counts; it is known from login on"},
    {"limit l per sender count guesses { 5/1h }",
     "1:13+6 sender is not known at auth, where \"l\" counts; it is known from mail on"},
    {"limit l per rcpt.domain count guesses { 5/1h }",
     "1:13+11 rcpt.domain is not known at auth, where \"l\" counts; it is known from rcpt on"},
    {"limit l per client, network, listener, global count failed-users { 5/1h }", ""},
    {"limit l per user count failed-users { 5/1h }", "1:13+4 warning: limit \"l\" counts failed-users per user alone: "
                                                     "a stranger could lock the owner out | per user, network"},
    {"limit l per user.domain count failed-users { 5/1h }",
     "1:13+11 user.domain is not known at auth, where \"l\" counts; it is known from login on"},
    {"limit l per sender count failed-users { 5/1h }",
     "1:13+6 sender is not known at auth, where \"l\" counts; it is known from mail on"},
    {"limit l per rcpt.domain count failed-users { 5/1h }",
     "1:13+11 rcpt.domain is not known at auth, where \"l\" counts; it is known from rcpt on"},
    {"limit l per client, network, listener, global count errors { 5/1h }", ""},
    {"limit l per user count errors { 5/1h }",
     "1:13+4 user is not known at connect, where \"l\" counts; it is known from login on"},
    {"limit l per user.domain count errors { 5/1h }",
     "1:13+11 user.domain is not known at connect, where \"l\" counts; it is known from login on"},
    {"limit l per sender count errors { 5/1h }",
     "1:13+6 sender is not known at connect, where \"l\" counts; it is known from mail on"},
    {"limit l per rcpt.domain count errors { 5/1h }",
     "1:13+11 rcpt.domain is not known at connect, where \"l\" counts; it is known from rcpt on"},
    {"limit l per client, network, listener, global count refusals { 5/1h }", ""},
    {"limit l per user count refusals { 5/1h }",
     "1:13+4 user is not known at connect, where \"l\" counts; it is known from login on"},
    {"limit l per user.domain count refusals { 5/1h }",
     "1:13+11 user.domain is not known at connect, where \"l\" counts; it is known from login on"},
    {"limit l per sender count refusals { 5/1h }",
     "1:13+6 sender is not known at connect, where \"l\" counts; it is known from mail on"},
    {"limit l per rcpt.domain count refusals { 5/1h }",
     "1:13+11 rcpt.domain is not known at connect, where \"l\" counts; it is known from rcpt on"},
    {"limit l per client, network, listener, global count unknown-recipients { 5/1h }", ""},
    {"limit l per user count unknown-recipients { 5/1h }", ""},
    {"limit l per user.domain count unknown-recipients { 5/1h }", ""},
    {"limit l per sender count unknown-recipients { 5/1h }", ""},
    {"limit l per rcpt.domain count unknown-recipients { 5/1h }", ""},
};

static const struct check_case RATES[] = {
    {"limit l per client count connections { 0/1h }", "1:40+1 limit \"l\" must be from 1 to 2147483647, not 0"},
    {"limit l per client count connections { 2147483647/366d, 1/1s }", ""},
    {"limit l per client count connections { 2147483648/1h }",
     "1:40+10 limit \"l\" must be from 1 to 2147483647, not 2147483648"},
    {"limit l per client count connections { 1/999ms }", "1:42+5 period must be from 1s to 366d, not 999ms"},
    {"limit l per client count connections { 1/367d }", "1:42+4 period must be from 1s to 366d, not 367d"},
    {"limit l per client count connections { 5/1h 0/1d }",
     "1:45+4 expected \"at\", \"overrides\", \"if\", \"unless\" or \"observe\", found \"0/1d\""},
    {"limit l per client count connections { 5/1h\n"
     "10M/1d }",
     "2:1+6 limit \"l\" counts connections; 10M is a size"},
    {"limit l per client count bytes { 1M/1h, 1024/1h, 1023/1h }",
     "1:50+4 limit \"l\" must be from 1K to 1024G, not 1023"},
    {"limit l per client count bytes { 1024G/1h, 1025G/1d }", "1:44+5 limit \"l\" must be from 1K to 1024G, not 1025G"},
    {"limit l per client count bytes { 500M/1d, 2000000/1h }", ""},
    {"limit l per client count open-connections { 20 }", ""},
    {"limit l per client count open-connections { 0 }", "1:45+1 limit \"l\" must be from 1 to 2147483647, not 0"},
    {"limit l per client count open-connections { 2K }", "1:45+2 limit \"l\" counts open-connections; 2K is a size"},
    {"limit l per client count open-connections { 2.5 }", "1:45+3 expected a whole number, found \"2.5\""},
    {"limit l per client count open-connections { -1 }", "1:45+2 limit \"l\" must be from 1 to 2147483647, not -1"},
    {"limit l per client count open-connections { 20/1h }", "1:45+5 open-connections takes a number"},
    {"limit l per client count messages { 10M/1h }", "1:37+6 limit \"l\" counts messages; 10M is a size"},
    {"limit l per user count recipients { }", "1:37+1 limit \"l\" needs a rate"},
    {"limit l per user count recipients { 1h }",
     "1:37+2 expected a rate, found \"1h\" | it is written 200/1h; for bytes also 500M/1d"},
    {"limit l per user count recipients { at 50% log }",
     "1:37+2 limit \"l\" needs a rate | first in the { }: so many in that time, 200/1h"},
    {"limit l per user count recipients { 200 }",
     "1:37+3 limit \"l\" needs a rate | first in the { }: so many in that time, 200/1h"},
    {"limit l per client count connections { 99999999999999999999/1h }",
     "1:40+20 limit \"l\" must be from 1 to 2147483647, not 99999999999999999999"},
    {"limit l per client count connections { 1/99999999999999999999d }",
     "1:42+21 period must be from 1s to 366d, not 99999999999999999999d"},
};

static const struct check_case CONDITIONS[] = {
    {"limit l per user count recipients { 5/1h unless rcpt.domain in t }\n"
     "table t domains { a.b }",
     ""},
    {"limit l per client count connections { 5/1h if sender is none }",
     "1:48+6 sender is not known at connect; it is known from mail on"},
    {"limit l per client count connections { 5/1h if tls }",
     "1:48+3 tls is not known at connect; it is known from helo on"},
    {"limit l per client count connections { 5/1h if client in 10.0.0.0/8 unless listener = \"smtp\" }", ""},
    {"limit l per user count messages { 5/1h if header.size > 1 }",
     "1:43+11 header.size is not known at data; it is known from header on"},
    {"limit l per user count messages { 5/1h if rcpt.domain = \"a.b\" and mail.recipients > 5 }", ""},
    {"limit l per client count guesses { 5/1h if auth.user is none }", ""},
    {"limit l per client count guesses { 5/1h if authenticated }",
     "1:44+13 authenticated is not known at auth; it is known from login on"},
    {"limit l per client count distinct-networks { 5/1h if user.domain = \"x\" unless sender.null }",
     "1:79+11 sender.null is not known at login; it is known from mail on"},
    {"limit l per client count unknown-recipients { 5/1h if rcpt.domain = \"a.b\" }", ""},
    {"limit l per client count errors { 5/1h if tls }", "1:43+3 tls is not known at connect; it is known from helo on"},
    {"limit l per user count messages { 5/1h if mail.size }", "1:43+9 mail.size is a number, not a condition"},
    {"limit l per user count messages { 5/1h if used(m) > 1 }\n"
     "limit m per client count connections { 1/1h }",
     ""},
    {"limit l per user count messages { 5/1h if used(m) > 1 }\n"
     "limit m per rcpt count recipients { 1/1h }",
     ""},
};

static const struct check_case OVERRIDES[] = {
    {"limit l per user count messages { 5/1h overrides m }\n"
     "table m map { a@b.c 10/1h, b { 10/1h, 20/1d }, c none }",
     ""},
    {"limit l per user count messages { 5/1h overrides m }\n"
     "table m map { a 10, b x, c { 10/1h, none }, d 10M/1h, e 0/1h, f 1/1ms }",
     "2:17+2 \"10\" is not a rate\n"
     "2:23+1 \"x\" is not a rate\n"
     "2:37+4 \"none\" is not a rate\n"
     "2:47+6 limit \"l\" counts messages; 10M is a size\n"
     "2:57+1 limit \"l\" must be from 1 to 2147483647, not 0\n"
     "2:67+3 period must be from 1s to 366d, not 1ms"},
    {"limit l per user count bytes { 5M/1h overrides m }\n"
     "table m map { a 10M/1h, b 10/1h }",
     "2:27+2 limit \"l\" must be from 1K to 1024G, not 10"},
    {"limit l per client count open-connections { 5 overrides m }\n"
     "table m map { a 10, b 10/1h, c none, d 1.5 }",
     "2:23+5 \"10/1h\" is not a number\n"
     "2:40+3 expected a whole number, found \"1.5\""},
    {"limit l per user, client count messages { 5/1h overrides m }\n"
     "table m map { a 10/1h }",
     "1:58+1 overrides needs a limit with one key"},
    {"limit l per user count messages { 5/1h overrides m }\n"
     "table m domains { a.b }",
     "1:50+1 overrides takes a map; \"m\" is a table of domains"},
    {"limit l per user count messages { 5/1h overrides m }\n"
     "table m netmap { 10.0.0.0/8 5/1h }",
     "1:50+1 overrides takes a map; \"m\" is a netmap"},
    {"limit l per user count messages { 5/1h overrides m }\n"
     "table m map socketmap 127.0.0.1:9 \"quotas\"",
     "1:50+1 overrides takes a map that stands in a file or here; \"m\" is asked elsewhere"},
    {"limit l per user count messages { 5/1h overrides m }\n"
     "dnsbl m \"zen.example\"",
     "1:50+1 overrides takes a map; \"m\" is a dnsbl"},
    {"limit l per user count messages { 5/1h overrides mm }\n"
     "table m map { a 5/1h }",
     "1:50+2 unknown table or dnsbl \"mm\" | did you mean \"m\"?"},
    {"limit l per user count messages { 5/1h overrides m }\n"
     "table m map \"file\"",
     ""},
    {"limit l per user count messages { 5/1h overrides m }\n"
     "table m map { a $r, b $n/1h, c $nix }\n"
     "parameter r 10/1h\n"
     "parameter n 3",
     "2:32+4 unknown parameter \"nix\""},
    {"limit l per user count messages { 5/1h overrides m }\n"
     "table m map { a none }",
     ""},
    {"limit l per user count messages { 5/1h overrides m }\n"
     "table m map { a 5/1h, b $q/1h }",
     "2:25+2 unknown parameter \"q\""},
};

static const struct check_case THRESHOLDS[] = {
    {"limit l per user count messages { 5/1h at 50% log at 80% tarpit 5s at 100% defer }", ""},
    {"limit l per user count messages { 5/1h at 50% log at 150% log }",
     "1:54+4 warning: at 150% never acts: at 100% the limit refuses | what is refused is not counted"},
    {"limit l per user count messages { 5/1h at 50% log at 100% log at 150% defer at 200% ban user 1h }",
     "1:80+4 warning: at 200% never acts: at 150% the limit refuses | what is refused is not counted"},
    {"limit l per user count messages { 5/1h at 100% reject 550 \"too much\" at 120% alert ops }\n"
     "alert ops syslog",
     "1:73+4 warning: at 120% never acts: at 100% the limit refuses | what is refused is not counted"},
    {"limit l per user count messages { 5/1h at 100% tag full at 120% log at 90% defer }",
     "1:43+4 warning: at 100% never acts: at 90% the limit refuses | what is refused is not counted\n"
     "1:60+4 warning: at 120% never acts: at 90% the limit refuses | what is refused is not counted"},
    {"limit l per network count guesses { 10/15m at 100% ban network 15m doubling to 24h at 150% log }", ""},
    {"limit l per client count connections { 5/1h at 100% ban user 1h }", "1:53+3 ban user is not possible at connect"},
    {"limit l per client count auth-failures { 5/1h at 100% ban user 1h }", ""},
    {"limit l per user count messages { 5/1h at 50% log \"${user} ${rcpt} ${foo} ${header.size}\" }",
     "1:62+4 rcpt is known at rcpt only; a mail may have several recipients\n"
     "1:70+3 unknown attribute \"foo\"\n"
     "1:77+11 header.size is not known at data; it is known from header on"},
    {"limit l per client count connections { 5/1h at 50% log \"${client} ${user}\" }",
     "1:69+4 user is not known at connect; it is known from login on"},
    {"limit l per user count messages { 5/1h at 50% alert opss, tarpit 2m, tag \"x\" }\n"
     "alert ops syslog",
     "1:53+4 unknown alert \"opss\" | did you mean \"ops\"?\n"
     "1:66+2 tarpit must be from 1ms to 60s, not 2m"},
    {"limit l per user count messages { 5/1h at 50% accept }", "1:47+6 accept is not possible in a threshold"},
    {"limit l per user count messages { 5/1h at 50% log at 50% tarpit 1s }", "1:54+3 50% stands twice"},
    {"limit l per user count messages { 5/1h at 0% log at 1001% log if qqqqq }",
     "1:43+2 threshold percent must be from 1% to 1000%, not 0%\n"
     "1:53+5 threshold percent must be from 1% to 1000%, not 1001%\n"
     "1:66+5 unknown attribute \"qqqqq\""},
    {"limit l per user count messages { 5/1h at 100% reject 450 }",
     "1:55+3 reject takes a code from 500 to 599, not 450 | defer refuses for now"},
    {"limit l per user count messages { 5/1h at 50% log, log, defer at 60% drop }",
     "1:66+3 warning: at 60% never acts: at 50% the limit refuses | what is refused is not counted"},
    {"limit l per client count errors { 5/1h at 100% drop at 200% ban client 1h }", ""},
    {"limit l per user count guesses { 5/1h }", "1:13+4 warning: limit \"l\" counts guesses per user alone: a stranger "
                                                "could lock the owner out | per user, network"},
    {"limit l per user, client count auth-failures { 5/1h }", ""},
    {"limit l per user count auth-failures { 5/1h }", "1:13+4 warning: limit \"l\" counts auth-failures per user "
                                                      "alone: a stranger could lock the owner out | per user, network"},
    {"limit l per client, user count failed-users { 5/1h }", ""},
};

CASES(KEYS, true)
CASES(RATES, true)
CASES(CONDITIONS, true)
CASES(OVERRIDES, true)
CASES(THRESHOLDS, true)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_KEYS),      cmocka_unit_test(check_RATES),      cmocka_unit_test(check_CONDITIONS),
        cmocka_unit_test(check_OVERRIDES), cmocka_unit_test(check_THRESHOLDS),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
