/* test_check_names.c - names: what is defined twice, what nobody defines. */
#include "check_cases.h"

static const struct check_case TWICE[] = {
    {"on mail { rule a reject; rule a defer }", "1:31+1 rule \"a\" is already defined at t:1\n"
                                                "1:31+1 warning: rule \"a\" is never reached: rule \"a\" always ends "
                                                "mail before it | move it up, or give the other one a condition"},
    {"on mail { rule a reject }\n"
     "limit a per user count messages { 1/1h }",
     "2:7+1 limit \"a\" is already defined at t:1"},
    {"limit a per user count messages { 1/1h }\n"
     "on mail { rule a reject if tls }",
     "2:16+1 rule \"a\" is already defined at t:1"},
    {"milter m 127.0.0.1:9\n"
     "on mail { rule m log }",
     "2:16+1 rule \"m\" is already defined at t:1"},
    {"on mail { rule m log }\n"
     "milter m 127.0.0.1:9",
     "2:8+1 milter \"m\" is already defined at t:1"},
    {"limit a per user count messages { 1/1h }\n"
     "limit a per user count bytes { 1M/1h }",
     "2:7+1 limit \"a\" is already defined at t:1"},
    {"table t strings { a }\n"
     "table t domains { b.c }\n"
     "on mail { rule r log if listener in t }",
     "2:7+1 table \"t\" is already defined at t:1"},
    {"dnsbl t \"zen.example\"\n"
     "table t domains { b.c }\n"
     "on connect { rule r log if client in t }",
     "2:7+1 table \"t\" is already defined at t:1"},
    {"table t domains { b.c }\n"
     "dnsbl t \"zen.example\"\n"
     "on mail { rule r log if sender.domain in t }",
     "2:7+1 dnsbl \"t\" is already defined at t:1"},
    {"parameter p 1\n"
     "parameter p 2",
     "1:11+1 warning: parameter \"p\" is never used\n"
     "2:11+1 parameter \"p\" is already defined at t:1"},
    {"parameter p 1\n"
     "set p 2\n"
     "set p 3",
     "1:11+1 warning: parameter \"p\" is never used\n"
     "3:5+1 set \"p\" is already defined at t:2"},
    {"alert a syslog\n"
     "alert a syslog",
     "1:7+1 warning: alert \"a\" is never used\n"
     "2:7+1 alert \"a\" is already defined at t:1"},
    {"relay to 127.0.0.1:25\n"
     "relay to 127.0.0.1:26",
     "2:1+5 pool \"default\" is already defined at t:1"},
    {"relay p to 127.0.0.1:25\n"
     "relay p to 127.0.0.1:26\n"
     "relay to 127.0.0.1:26",
     "2:7+1 pool \"p\" is already defined at t:1"},
    {"relay default to 127.0.0.1:25\n"
     "relay to 127.0.0.1:26",
     "2:1+5 pool \"default\" is already defined at t:1"},
    {"listen smtp 127.0.0.1:25\n"
     "listen smtp 127.0.0.1:26",
     "1:8+4 warning: listener \"smtp\" is without TLS: who listens on the way reads all mail | right as long as "
     "nothing but this machine leads to it\n"
     "2:8+4 warning: listener \"smtp\" is without TLS: who listens on the way reads all mail | right as long as "
     "nothing but this machine leads to it"},
    {"listen smtp 127.0.0.1:25 { name a }\n"
     "listen smtp 127.0.0.1:26 { name a }",
     "1:8+4 warning: listener \"a\" is without TLS: who listens on the way reads all mail | right as long as nothing "
     "but this machine leads to it\n"
     "2:8+4 warning: listener \"a\" is without TLS: who listens on the way reads all mail | right as long as nothing "
     "but this machine leads to it\n"
     "2:33+1 listener \"a\" is already defined at t:1"},
    {"listen smtp 127.0.0.1:25\n"
     "listen submission 127.0.0.1:26 { name smtp }",
     "1:8+4 warning: listener \"smtp\" is without TLS: who listens on the way reads all mail | right as long as "
     "nothing but this machine leads to it\n"
     "2:39+4 listener \"smtp\" is already defined at t:1"},
    {"test \"x\" { expect accept }\n"
     "test \"x\" { expect accept }",
     "2:6+3 test \"x\" is already defined at t:1"},
    {"hostname a.example\n"
     "hostname b.example",
     "2:1+8 hostname is already defined at t:1"},
    {"workers 1; workers 2", "1:12+7 workers is already defined at t:1"},
    {"timeout tls 1s\n"
     "timeout auth 1s\n"
     "timeout tls 2s",
     "3:1+7 timeout tls is already defined at t:1"},
    {"store memory\n"
     "store redis \"unix:/run/r\"",
     "2:1+5 store is already defined at t:1"},
    {"events stderr\n"
     "events \"x.log\"",
     "2:1+6 events is already defined at t:1"},
    {"network prefix 24 56\n"
     "network prefix 24 56",
     "2:1+7 network prefix is already defined at t:1"},
    {"tls certificate \"a\" key \"b\"\n"
     "tls certificate \"c\" key \"d\"\n"
     "auth file \"x\"\n"
     "auth pam \"y\"",
     ""},
    {"parameter a 1\n"
     "table a strings { x }\n"
     "alert a syslog\n"
     "relay a to 127.0.0.1:25\n"
     "on mail { rule a log if listener in a; rule b alert a }",
     "1:11+1 warning: parameter \"a\" is never used"},
    {"on mail { rule a frobnicate }\n"
     "on rcpt { rule a log }",
     "1:18+10 unknown action \"frobnicate\"\n"
     "2:16+1 rule \"a\" is already defined at t:1"},
    {"limit a per foo count messages { 1/1h }\n"
     "on mail { rule a log if used(a) > 1 }",
     "1:13+3 unknown limit key \"foo\"\n"
     "2:16+1 rule \"a\" is already defined at t:1"},
    {"table t string { a }\n"
     "on mail { rule a log if listener in t }",
     "1:9+6 unknown table type \"string\" | did you mean \"strings\"?"},
    {"on mail { rule A log; rule a log }", ""},
};

static const struct check_case UNKNOWN[] = {
    {"on mail { rule a log if listener in lokal-domains }\n"
     "table local-domains strings { a }\n"
     "on mail { rule b log if listener in local-domains }",
     "1:37+13 unknown table or dnsbl \"lokal-domains\" | did you mean \"local-domains\"?"},
    {"on mail { rule a log if listener in nowhere }", "1:37+7 unknown table or dnsbl \"nowhere\""},
    {"on mail { rule a log if used(user-recipient) > 5 }\n"
     "limit user-recipients per client count connections { 1/1h }",
     "1:30+14 unknown limit \"user-recipient\" | did you mean \"user-recipients\"?"},
    {"on mail { rule a log if left(b) > 5; rule b log }", "1:30+1 unknown limit \"b\""},
    {"disable no-rlay frob\n"
     "on mail { rule no-relay log }",
     "1:9+7 unknown rule or limit \"no-rlay\" | did you mean \"no-relay\"?\n"
     "1:17+4 unknown rule or limit \"frob\""},
    {"observe no-rlay\n"
     "limit no-relay per user count messages { 1/1h }",
     "1:9+7 unknown rule or limit \"no-rlay\" | did you mean \"no-relay\"?"},
    {"disable m\n"
     "milter m 127.0.0.1:9",
     "1:9+1 unknown rule or limit \"m\""},
    {"disable a b\n"
     "observe a b\n"
     "on mail { rule a log if tls }\n"
     "limit b per user count messages { 1/1h }",
     ""},
    {"on mail { rule a relay to pol }\n"
     "relay pool to 127.0.0.1:25",
     "1:27+3 unknown pool \"pol\" | did you mean \"pool\"?"},
    {"on mail { rule a relay to default }\n"
     "relay to 127.0.0.1:25",
     ""},
    {"on mail { rule a relay to default }", ""},
    {"listen smtp 127.0.0.1:25 { relay inn }\n"
     "relay inner to 127.0.0.1:25\n"
     "relay in-ner to 127.0.0.1:26",
     "1:34+3 unknown pool \"inn\""},
    {"on mail { rule a alert ops }\n"
     "alert op syslog",
     "1:24+3 unknown alert \"ops\" | did you mean \"op\"?"},
    {"on message { rule a log if milter[\"spamd\"] = \"reject\" }\n"
     "milter spam 127.0.0.1:9",
     "1:35+7 unknown milter \"spamd\" | did you mean \"spam\"?"},
    {"on mail { rule a charge pts }\n"
     "limit points per user count charges { 1/1h }\n"
     "on mail { rule b charge points }",
     "1:25+3 unknown limit \"pts\""},
    {"on mail { rule a charge b; rule b log }", "1:25+1 unknown limit \"b\""},
    {"on mail { rule a charge b }\n"
     "limit b per user count messages { 1/1h }",
     "1:25+1 limit \"b\" counts messages, not charges"},
    {"test \"x\" { listener inner }", "1:21+5 unknown listener \"inner\""},
    {"test \"x\" { listener smtps; listener smtp; listener submission; listener submissions }",
     "1:21+5 unknown listener \"smtps\" | did you mean \"smtp\"?"},
    {"listen smtp 127.0.0.1:25 { name outer }\n"
     "test \"x\" { listener smtp; listener outr }",
     "1:8+4 warning: listener \"outer\" is without TLS: who listens on the way reads all mail | right as long as "
     "nothing but this machine leads to it\n"
     "2:21+4 unknown listener \"smtp\"\n"
     "2:36+4 unknown listener \"outr\" | did you mean \"outer\"?"},
    {"listen smtp 127.0.0.1:25\n"
     "test \"x\" { listener smtp; listener submission }",
     "1:8+4 warning: listener \"smtp\" is without TLS: who listens on the way reads all mail | right as long as "
     "nothing but this machine leads to it\n"
     "2:36+10 unknown listener \"submission\""},
    {"test \"x\" { milter spm reject }\n"
     "milter spam 127.0.0.1:9",
     "1:19+3 unknown milter \"spm\" | did you mean \"spam\"?"},
    {"test \"x\" { dnsbl zen listed }\n"
     "dnsbl zenn \"zen.example\"\n"
     "on connect { rule a drop if client in zenn }",
     "1:18+3 unknown table or dnsbl \"zen\" | did you mean \"zenn\"?"},
    {"test \"x\" { dnsbl zen listed }\n"
     "table zen networks { 192.0.2.1 }\n"
     "on connect { rule a drop if client in zen }",
     "1:18+3 \"zen\" is a table, not a dnsbl"},
    {"test \"x\" { expect reject by no-rlay; expect defer 450 by lim; expect reject at message by m; expect would "
     "reject by q }\n"
     "on mail { rule no-relay reject }\n"
     "limit lim per user count messages { 1/1h }\n"
     "milter m 127.0.0.1:9",
     "1:29+7 unknown rule or limit \"no-rlay\" | did you mean \"no-relay\"?\n"
     "1:117+1 unknown rule or limit \"q\""},
    {"test \"x\" { expect count lim 3; expect count limt 3; expect count r 3 }\n"
     "on mail { rule r reject }\n"
     "limit lim per user count messages { 1/1h }",
     "1:45+4 unknown limit \"limt\" | did you mean \"lim\"?\n"
     "1:66+1 unknown limit \"r\""},
    {"test \"x\" { expect tag vpi; expect tag vip \"y\" }\n"
     "on mail { rule r tag vip }",
     "1:23+3 no rule sets the tag \"vpi\" | did you mean \"vip\"?"},
    {"on mail { rule r tag vip; rule s log if tag.vpi; rule t log if tag.vip = \"x\"; rule u log \"${tag.vipp}\" }",
     "1:41+7 no rule sets the tag \"vpi\" | did you mean \"vip\"?\n"
     "1:93+8 no rule sets the tag \"vipp\" | did you mean \"vip\"?"},
    {"limit l per client count connections { 1/1h at 50% tag busy }\n"
     "on mail { rule s log if tag.busy }",
     ""},
    {"on mail { rule s log if tag.none-such is none }", "1:25+13 no rule sets the tag \"none-such\""},
    {"limit l per user count messages { 1/1h overrides tablee }\n"
     "table table map { a 1/1h }",
     "1:50+6 unknown table or dnsbl \"tablee\" | did you mean \"table\"?"},
    {"set foo 1\n"
     "parameter fooo 2",
     "1:5+3 unknown parameter \"foo\" | did you mean \"fooo\"?"},
};

CASES(TWICE, true)
CASES(UNKNOWN, true)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_TWICE),
        cmocka_unit_test(check_UNKNOWN),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
