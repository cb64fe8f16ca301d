/* test_check_table.c - tables and dnsbls: their items, and who may keep them. */
#include "check_cases.h"

static const struct check_case TABLES[] = {
    {"table t strings { a, \"b c\", 5, 1h, 10.0.0.1, on, a@b }\n"
     "on mail { rule r log if listener in t }",
     ""},
    {"table t addresses { alice@example.org, @example.net, \"a b@example.org\" }\n"
     "on mail { rule r log if sender in t }",
     ""},
    {"table t addresses { alice, a@, example.org, a@.b }\n"
     "on mail { rule r log if sender in t }",
     "1:21+5 \"alice\" is not an address\n"
     "1:28+2 \"a@\" is not an address\n"
     "1:32+11 \"example.org\" is not an address\n"
     "1:45+4 \"a@.b\" is not an address"},
    {"table t domains { example.org, .example.net, localhost, münchen.example }\n"
     "on mail { rule r log if sender.domain in t }",
     ""},
    {"table t domains { a@b, \"x y\", -a.b, a..b }\n"
     "on mail { rule r log if sender.domain in t }",
     "1:19+3 \"a@b\" is not a domain\n"
     "1:24+5 \"x y\" is not a domain\n"
     "1:31+4 \"-a.b\" is not a domain\n"
     "1:37+4 \"a..b\" is not a domain"},
    {"table t networks { 192.0.2.1, 192.0.2.0/24, 2001:db8::/32, 192.0.2.1-192.0.2.9 }\n"
     "on mail { rule r log if client in t }",
     ""},
    {"table t networks {\n"
     "  example.org\n"
     "  192.0.2.7/24\n"
     "  192.0.2.9-192.0.2.1\n"
     "  192.0.2.0/33\n"
     "  2001:db8::1/32\n"
     "}\n"
     "on mail { rule r log if client in t }",
     "2:3+11 \"example.org\" is not a network\n"
     "3:3+12 192.0.2.7/24 has bits beyond /24\n"
     "4:3+19 192.0.2.9-192.0.2.1 ends before it begins\n"
     "5:3+12 \"192.0.2.0/33\" is not a network\n"
     "6:3+14 2001:db8::1/32 has bits beyond /32"},
    {"table t patterns { '^a', 'b(', \"c+\", d }\n"
     "on mail { rule r log if sender in t }",
     "1:26+4 bad pattern: missing closing parenthesis"},
    {"table t map { alice@example.org alice, info@example.org { alice, bob }, x \"y z\" }\n"
     "on mail { rule r log if user in t[sender] }",
     ""},
    {"table t netmap { 192.0.2.0/24 office, 2001:db8::/32 home }\n"
     "on mail { rule r log if t[client] = \"office\" }",
     ""},
    {"table t netmap { example.org office, 192.0.2.7/24 { a } , 10.0.0.0/8 { a, b } }\n"
     "on mail { rule r log if t[client] = \"office\" }",
     "1:18+11 \"example.org\" is not a network\n"
     "1:38+12 192.0.2.7/24 has bits beyond /24\n"
     "1:75+1 a netmap gives one value"},
    {"table t strings { }\n"
     "on mail { rule r log if listener in t }",
     ""},
    {"table t strings { a }", "1:7+1 warning: table \"t\" is never used"},
    {"dnsbl d \"zen.example\"", "1:7+1 warning: dnsbl \"d\" is never used | ask it: if client in d"},
    {"dnsbl d \"not a zone\"\n"
     "on connect { rule r drop if client in d }",
     "1:9+12 \"not a zone\" is not a domain"},
    {"dnsbl d \"zen.example\" { answers 127.0.0.2-127.0.0.11, 127.0.0.20 timeout 2s cache 5m failure defer }\n"
     "on connect { rule r drop if client in d }",
     ""},
    {"dnsbl d \"zen.example\" { timeout 1ms cache 8d }\n"
     "on connect { rule r drop if client in d }",
     "1:33+3 dnsbl timeout must be from 100ms to 30s, not 1ms\n"
     "1:43+2 dnsbl cache must be from 0s to 7d, not 8d"},
    {"table t networks redis \"nets\"\n"
     "on mail { rule r log if client in t }",
     "1:9+8 redis holds no networks"},
    {"table t patterns socketmap 127.0.0.1:9 \"m\"\n"
     "on mail { rule r log if sender in t }",
     "1:9+8 socketmap holds no patterns"},
    {"table t netmap redis \"k\"\n"
     "on mail { rule r log if t[client] = \"x\" }",
     "1:9+6 redis holds no netmap"},
    {"table t networks socketmap 127.0.0.1:9 \"m\"\n"
     "on mail { rule r log if client in t }",
     "1:9+8 socketmap holds no networks"},
    {"table t strings redis \"k\" { timeout 50ms cache 60s failure defer }\n"
     "on mail { rule r log if listener in t }\n"
     "store redis \"unix:/run/r\"",
     ""},
    {"table t map socketmap unix:/run/x.sock \"m\" { timeout 1ms }\n"
     "on mail { rule r log if user in t[sender] }",
     "1:54+3 table timeout must be from 10ms to 30s, not 1ms"},
    {"table t domains redis $k { cache $c }\n"
     "parameter k 5\n"
     "on mail { rule r log if sender.domain in t }\n"
     "store redis \"unix:/run/r\"",
     "1:23+2 expected a key in quotes, found \"5\"\n"
     "1:34+2 unknown parameter \"c\""},
    {"table t domains \"file.txt\"\n"
     "on mail { rule r log if sender.domain in t }",
     ""},
};

CASES(TABLES, true)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_TABLES),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
