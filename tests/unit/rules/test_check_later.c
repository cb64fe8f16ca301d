/* test_check_later.c - what is not in force in this version is refused by name; nothing else is. */
#include "check_cases.h"

static const struct check_case LATER[] = {
    {"include \"x\" observe", "1:9+3 cannot read \"x\": No such file or directory"},
    {"dnsbl d \"zen.example\" { answers 127.0.0.2-127.0.0.11 timeout 1s cache 1m failure defer }\n"
     "on connect { rule r drop if client in d }",
     ""},
    {"test \"x\" { header \"A\" \"b\" name a.b country DE user a fail 3 logins expect header \"A\" expect tarpit 5s "
     "expect ban expect would reject 550 }",
     ""},
    {"dnsbl d \"zen.example\"\n"
     "test \"x\" { dnsbl d listed milter m reject }",
     "1:7+1 warning: dnsbl \"d\" is never used | ask it: if client in d\n"
     "2:34+1 unknown milter \"m\""},
    {"test \"x\" { client 192.0.2.1 helo a.b tls off user a listener smtp mail from <> rcpt to a@b.c size 5K "
     "now 2026-01-05T08:00 send 1 message to 2 recipients each over 1h connect 5 times over 1m wait 1h "
     "expect accept expect 5 accepted expect reject expect defer 451 at data \"x\" expect disconnect expect drop }",
     ""},
    {"auth dovecot unix:/x", "1:1+4 \"auth dovecot\" is not in force in this version"},
    {"auth pam \"x\"", "1:1+4 \"auth pam\" is not in force in this version"},
    {"relay to lmtp 127.0.0.1:24", "1:10+4 \"lmtp\" is not in force in this version"},
    {"relay to smtp 127.0.0.1:24", ""},
    {"relay to 127.0.0.1:24", ""},
    {"store memory { entries 5000 }", ""},
    {"milter m 127.0.0.1:9", "1:1+6 \"milter\" is not in force in this version"},
    {"max-tarpits 5", ""},
    {"events syslog", ""},
    {"events journal", ""},
    {"events stderr", ""},
    {"events \"syslog\"", ""},
    {"metrics 127.0.0.1:9", "1:1+7 \"metrics\" is not in force in this version"},
    {"dashboard 127.0.0.1:9", "1:1+9 \"dashboard\" is not in force in this version"},
    {"geoip \"x\"", ""},
    {"listen smtp 127.0.0.1:25 { proxy from 10.0.0.0/8 xclient from 10.0.0.0/8 }",
     "1:28+5 \"proxy\" is not in force in this version\n"
     "1:50+7 \"xclient\" is not in force in this version"},
    {"tls certificate \"a\" key \"b\" { names a.b client-ca \"x\" tickets shared }",
     "1:55+7 \"tickets\" is not in force in this version"},
    {"relay to 127.0.0.1:25 { proxy v2 user \"u\" password-file \"p\" }",
     "1:25+5 \"proxy\" is not in force in this version\n"
     "1:34+4 \"user\" is not in force in this version\n"
     "1:43+13 \"password-file\" is not in force in this version"},
    {"on header { rule a log }\n"
     "on message { rule b log }\n"
     "on result { rule c log }",
     ""},
    {"on mail { rule a ban client 1h if tls; rule b tarpit 1s, score 1, charge l; rule c add-header \"X\" \"y\", "
     "remove-header \"X\", add-missing, relay to default, alert o; rule d log, tag x }\n"
     "on data { rule e quarantine if tls }\n"
     "limit l per client count charges { 5/1h }\n"
     "alert o syslog",
     ""},
    {"on mail { rule a log if client.name is none or client.country = \"x\" or client.asn = 1 or client.known or "
     "stress or score > 5 }",
     ""},
    {"on mail { rule a log \"${client.country}\" }", ""},
    {"on mail { rule a observe reject if used(l) > 1 and left(l) > 1 and client.known; rule b log }\n"
     "limit l per client count charges { 5/1h at 50% log at 100% defer 450 \"x\" observe }\n"
     "limit m per user.domain count distinct-recipients { 5/1h }\n"
     "limit n per sender, sender.domain, rcpt, rcpt.domain, listener count messages { 5/1h }\n"
     "limit o per user count messages { 5/1h overrides t }\n"
     "table t map { a 5/1h }\n"
     "observe b\n"
     "disable m n",
     "2:7+1 warning: limit \"l\" is never used: no rule charges it | write charge l in a rule"},
    {"table t strings redis \"k\" { timeout 1s cache 1m failure defer }\n"
     "on mail { rule r log if listener in t }\n"
     "store redis \"redis://127.0.0.1\"",
     ""},
    {"table t strings socketmap 127.0.0.1:9 \"k\" { timeout 1s cache 1m failure defer }\n"
     "on mail { rule r log if listener in t }",
     ""},
    {"on message { rule a log if milter[\"m\"] = \"x\" and header[\"Y\"] = \"z\" and header.count[\"Y\"] > 1 }",
     "1:35+3 unknown milter \"m\""},
    {"alert a mail nobody", "1:14+6 expected an address, found \"nobody\" | it has a domain: alice@example.org"},
    {"on mail { rule r alert a }", "1:24+1 unknown alert \"a\" | define it: alert NAME mail ADDRESS"},
    {"on mail { rule r accept if sender.domain in t and client in n }\n"
     "table t domains { a.b }\n"
     "table n networks { 10.0.0.0/8 }\n"
     "limit l per user, client count messages { 5/1h if tls }\n"
     "limit m per global count bytes { 5M/1h }\n"
     "parameter p 5\n"
     "set p 6",
     "6:11+1 warning: parameter \"p\" is never used"},
};

CASES(LATER, false)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_LATER),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
