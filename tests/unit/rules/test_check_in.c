/* test_check_in.c - what may be looked for in which table, list or network. */
#include "check_cases.h"

#define EVERY_TABLE                                                                                                    \
    "table nets networks { 192.0.2.0/24 }\n"                                                                           \
    "table doms domains { example.org }\n"                                                                             \
    "table strs strings { a }\n"                                                                                       \
    "table adrs addresses { a@b.c }\n"                                                                                 \
    "table pats patterns { \"^a\" }\n"                                                                                 \
    "table m map { a b }\n"                                                                                            \
    "table nm netmap { 192.0.2.0/24 x }\n"                                                                             \
    "dnsbl dl \"zen.example\"\n"                                                                                       \
    "on rcpt { rule all log if client in nets and sender.domain in doms and listener in strs and sender in adrs and "  \
    "listener in pats and listener in m and client in nm and client in dl }\n"

static const struct check_case IN_TABLES[] = {
    {EVERY_TABLE "on rcpt { rule r log if client in nets }", ""},
    {EVERY_TABLE "on rcpt { rule r log if client in doms }",
     "10:35+4 client is an address; \"doms\" is a table of domains"},
    {EVERY_TABLE "on rcpt { rule r log if client in strs }",
     "10:35+4 client is an address; \"strs\" is a table of strings"},
    {EVERY_TABLE "on rcpt { rule r log if client in adrs }",
     "10:35+4 client is an address; \"adrs\" is a table of addresses | these are mail addresses"},
    {EVERY_TABLE "on rcpt { rule r log if client in pats }",
     "10:35+4 client is an address; \"pats\" is a table of patterns"},
    {EVERY_TABLE "on rcpt { rule r log if client in m }", "10:35+1 client is an address; \"m\" is a map"},
    {EVERY_TABLE "on rcpt { rule r log if client in nm }", ""},
    {EVERY_TABLE "on rcpt { rule r log if client in dl }", ""},
    {EVERY_TABLE "on rcpt { rule r log if client not in nets }", ""},
    {EVERY_TABLE "on rcpt { rule r log if sender.domain in nets }",
     "10:42+4 sender.domain is a domain; \"nets\" is a table of networks"},
    {EVERY_TABLE "on rcpt { rule r log if sender.domain in doms and sender.domain in strs and sender.domain in pats "
                 "and sender.domain in m }",
     ""},
    {EVERY_TABLE "on rcpt { rule r log if sender.domain in adrs }",
     "10:42+4 sender.domain is a domain; \"adrs\" is a table of addresses"},
    {EVERY_TABLE "on rcpt { rule r log if sender.domain in nm }",
     "10:42+2 sender.domain is a domain; \"nm\" is a netmap"},
    {EVERY_TABLE "on rcpt { rule r log if sender.domain in dl }",
     "10:42+2 sender.domain is a domain; \"dl\" is a dnsbl"},
    {EVERY_TABLE "on rcpt { rule r log if sender in adrs and sender in strs and sender in pats and sender in m }", ""},
    {EVERY_TABLE "on rcpt { rule r log if sender in nets }",
     "10:35+4 sender is an address; \"nets\" is a table of networks"},
    {EVERY_TABLE "on rcpt { rule r log if sender in doms }",
     "10:35+4 sender is an address; \"doms\" is a table of domains"},
    {EVERY_TABLE "on rcpt { rule r log if sender in nm }", "10:35+2 sender is an address; \"nm\" is a netmap"},
    {EVERY_TABLE "on rcpt { rule r log if sender in dl }", "10:35+2 sender is an address; \"dl\" is a dnsbl"},
    {EVERY_TABLE "on rcpt { rule r log if user in adrs and user in strs and user in pats and user in m }", ""},
    {EVERY_TABLE "on rcpt { rule r log if user in doms }", "10:33+4 user is a login; \"doms\" is a table of domains"},
    {EVERY_TABLE "on rcpt { rule r log if user in nets }", "10:33+4 user is a login; \"nets\" is a table of networks"},
    {EVERY_TABLE "on rcpt { rule r log if listener in strs and listener in pats and listener in m }", ""},
    {EVERY_TABLE "on rcpt { rule r log if listener in adrs }",
     "10:37+4 listener is a text; \"adrs\" is a table of addresses"},
    {EVERY_TABLE "on rcpt { rule r log if listener in doms }",
     "10:37+4 listener is a text; \"doms\" is a table of domains"},
    {EVERY_TABLE "on rcpt { rule r log if listener in nets }",
     "10:37+4 listener is a text; \"nets\" is a table of networks"},
    {EVERY_TABLE "on rcpt { rule r log if client.port in strs }",
     "10:40+4 client.port is a number; \"strs\" is a table of strings"},
    {EVERY_TABLE "on rcpt { rule r log if client.network in nets }",
     "10:43+4 client.network is a network; \"nets\" is a table of networks | ask whether the address is in it"},
    {EVERY_TABLE "on rcpt { rule r log if tls in strs }", "10:32+4 tls is a truth; \"strs\" is a table of strings"},
    {EVERY_TABLE "on rcpt { rule r log if now in strs }", "10:32+4 now is a time; \"strs\" is a table of strings"},
    {EVERY_TABLE "on rcpt { rule r log if weekday in strs }",
     "10:36+4 weekday is a weekday; \"strs\" is a table of strings"},
    {EVERY_TABLE "on rcpt { rule r log if session.age in strs }",
     "10:40+4 session.age is a duration; \"strs\" is a table of strings"},
    {EVERY_TABLE "on rcpt { rule r log if \"a\" in strs }", ""},
    {EVERY_TABLE "on rcpt { rule r log if 5 in strs }", "10:30+4 \"5\" is a number; \"strs\" is a table of strings"},
    {EVERY_TABLE "on rcpt { rule r log if 192.0.2.1 in nets }", ""},
    {EVERY_TABLE "on rcpt { rule r log if client in net }",
     "10:35+3 unknown table or dnsbl \"net\" | did you mean \"nets\"?"},
    {EVERY_TABLE "on rcpt { rule r log if frob in nets }", "10:25+4 unknown attribute \"frob\""},
    {EVERY_TABLE "on rcpt { rule r log if client.name in doms }", ""},
};

static const struct check_case LOOKUPS[] = {
    {EVERY_TABLE "on rcpt { rule r log if user in m[sender] }", ""},
    {EVERY_TABLE "on rcpt { rule r log if user not in m[sender] }", ""},
    {EVERY_TABLE "on rcpt { rule r log if sender in m[user] }", ""},
    {EVERY_TABLE "on rcpt { rule r log if sender.domain in m[rcpt.domain] }", ""},
    {EVERY_TABLE "on rcpt { rule r log if listener in m[listener] }", ""},
    {EVERY_TABLE "on rcpt { rule r log if listener in m[\"x\"] }", ""},
    {EVERY_TABLE "on rcpt { rule r log if client in m[sender] }", "10:35+1 client is an address, but m[…] holds texts"},
    {EVERY_TABLE "on rcpt { rule r log if mail.size in m[sender] }",
     "10:38+1 mail.size is a number, but m[…] holds texts"},
    {EVERY_TABLE "on rcpt { rule r log if user in m[client] }", "10:33+1 client is an address; \"m\" is a map"},
    {EVERY_TABLE "on rcpt { rule r log if user in m[mail.size] }", "10:33+1 mail.size is a number; \"m\" is a map"},
    {EVERY_TABLE "on rcpt { rule r log if user in nm[client] }", "10:33+2 nm[…] is one text; use ="},
    {EVERY_TABLE "on rcpt { rule r log if user in nets[client] }",
     "10:33+4 [ ] takes a map or netmap; \"nets\" is a table of networks"},
    {EVERY_TABLE "on rcpt { rule r log if user in dl[client] }",
     "10:33+2 [ ] takes a map or netmap; \"dl\" is a dnsbl"},
    {EVERY_TABLE "on rcpt { rule r log if user in nix[sender] }", "10:33+3 unknown table or dnsbl \"nix\""},
    {EVERY_TABLE "on rcpt { rule r log if user in m[foo] }", "10:35+3 unknown attribute \"foo\""},
    {EVERY_TABLE "on rcpt { rule r log if m[sender] = user }", "10:25+1 m[…] may have several values; use in"},
    {EVERY_TABLE "on rcpt { rule r log if m[sender] }", "10:25+1 m[…] may have several values; use in"},
    {EVERY_TABLE "on rcpt { rule r log if m[sender] is none }", "10:25+1 m[…] may have several values; use in"},
    {EVERY_TABLE "on rcpt { rule r log if nm[client] = \"x\" }", ""},
    {EVERY_TABLE "on rcpt { rule r log if nm[client] is none }", ""},
    {EVERY_TABLE "on rcpt { rule r log if nm[client] in { a, b } }", ""},
    {EVERY_TABLE "on rcpt { rule r log if nm[sender] = \"x\" }", "10:25+2 sender is an address; \"nm\" is a netmap"},
    {EVERY_TABLE "on rcpt { rule r log if nm[client] = 5 }", "10:38+1 nm[…] is a text, but \"5\" is a number"},
    {EVERY_TABLE "on rcpt { rule r log if nm[client] in strs }", ""},
    {EVERY_TABLE "on rcpt { rule r log if nm[client] }", "10:25+2 nm[…] is a text, not a condition"},
    {EVERY_TABLE "on rcpt { rule r log if nets[client] = \"x\" }",
     "10:25+4 [ ] takes a map or netmap; \"nets\" is a table of networks"},
    {EVERY_TABLE "on rcpt { rule r log if user in m[nm[client]] }", ""},
    {EVERY_TABLE "on rcpt { rule r log if user in m[m[sender]] }", "10:35+1 m[…] may have several values; use in"},
    {EVERY_TABLE "on rcpt { rule r log if nm[client] matches \"x\" }", ""},
    {EVERY_TABLE "on rcpt { rule r log if nm[\"192.0.2.1\"] = \"x\" }",
     "10:25+2 \"192.0.2.1\" is a text; \"nm\" is a netmap"},
    {EVERY_TABLE "on rcpt { rule r log if nm[192.0.2.1] = \"x\" }", ""},
};

static const struct check_case LISTS[] = {
    {"on rcpt { rule r log if client in { 192.0.2.1, 198.51.100.0/24, 2001:db8::/32, 192.0.2.1-192.0.2.9 } }", ""},
    {"on rcpt { rule r log if client in { example.org } }", "1:37+11 \"example.org\" is not a network"},
    {"on rcpt { rule r log if client in { 192.0.2.7/24 } }", "1:37+12 192.0.2.7/24 has bits beyond /24"},
    {"on rcpt { rule r log if client in { \"192.0.2.1\" } }", ""},
    {"on rcpt { rule r log if client.network in { 192.0.2.0/24 } }", ""},
    {"on rcpt { rule r log if client.network in { x } }", "1:45+1 \"x\" is not a network"},
    {"on rcpt { rule r log if sender in { a@b.c, @d.e, bob } }", ""},
    {"on rcpt { rule r log if sender in { \"a b@c.d\", a@ } }", "1:48+2 \"a@\" is not an address"},
    {"on rcpt { rule r log if user in { alice, bob@example.org } }", ""},
    {"on rcpt { rule r log if rcpt.domain in { example.org, .example.net, localhost } }", ""},
    {"on rcpt { rule r log if rcpt.domain in { \"a b\", a@b.c } }", "1:42+5 \"a b\" is not a domain\n"
                                                                    "1:49+5 \"a@b.c\" is not a domain"},
    {"on rcpt { rule r log if listener in { smtp, \"x y\", 5, 1h, 10.0.0.1, on } }", ""},
    {"on rcpt { rule r log if client.port in { 25, 587, 64K } }", ""},
    {"on rcpt { rule r log if client.port in { 25, smtp } }", "1:46+4 \"smtp\" is not a number"},
    {"on rcpt { rule r log if session.age in { 5s, 1h } }", ""},
    {"on rcpt { rule r log if session.age in { 5 } }", "1:42+1 \"5\" is not a duration"},
    {"on rcpt { rule r log if now in { 08:00-12:00, 13:00-17:00 } }", ""},
    {"on rcpt { rule r log if now in { 08:00-12:00, 12:30 } }", ""},
    {"on rcpt { rule r log if now in { noon } }", "1:34+4 \"noon\" is not a time"},
    {"on rcpt { rule r log if now in { 25:00-26:00 } }", "1:34+11 \"25:00-26:00\" is not a time"},
    {"on rcpt { rule r log if weekday in { mon, tue, wed, thu, fri, sat, sun } }", ""},
    {"on rcpt { rule r log if weekday in { mo, monday, Mon } }",
     "1:38+2 \"mo\" is not a weekday | did you mean \"mon\"?\n"
     "1:42+6 \"monday\" is not a weekday\n"
     "1:50+3 \"Mon\" is not a weekday | did you mean \"mon\"?"},
    {"on rcpt { rule r log if weekday in { \"mon\" } }", ""},
    {"on rcpt { rule r log if tls in { on, off } }", ""},
    {"on rcpt { rule r log if tls in { yes } }", "1:34+3 \"yes\" is not a truth"},
    {"on rcpt { rule r log if authenticated in { true } }", ""},
    {"on rcpt { rule r log if listener in { sender } }", ""},
    {"on rcpt { rule r log if foo in { a } }", "1:25+3 unknown attribute \"foo\""},
    {"on rcpt { rule r log if mail.size in { 1.5 } }", ""},
};

static const struct check_case IN_VALUES[] = {
    {"on rcpt { rule r log if client in 192.0.2.0/24 }", ""},
    {"on rcpt { rule r log if client in 192.0.2.1 }", ""},
    {"on rcpt { rule r log if client not in 2001:db8::/32 }", ""},
    {"on rcpt { rule r log if client in 192.0.2.1-192.0.2.9 }", ""},
    {"on rcpt { rule r log if sender in 192.0.2.0/24 }",
     "1:35+12 sender is an address, but \"192.0.2.0/24\" is a network"},
    {"on rcpt { rule r log if now in 08:00-18:00 }", ""},
    {"on rcpt { rule r log if now in 22:00-06:00 }", ""},
    {"on rcpt { rule r log if now in 192.0.2.0/24 }", "1:32+12 now is a time, but \"192.0.2.0/24\" is a network"},
    {"on rcpt { rule r log if client in 08:00-18:00 }", "1:35+11 client is an address, but \"08:00-18:00\" is a range"},
    {"on rcpt { rule r log if client.network in 192.0.2.0/24 }",
     "1:43+12 client.network is a network, but \"192.0.2.0/24\" is a network"},
    {"on rcpt { rule r log if weekday in 08:00-18:00 }",
     "1:36+11 weekday is a weekday, but \"08:00-18:00\" is a range | write weekday in { mon, tue }"},
    {"on rcpt { rule r log if mail.size in 08:00-18:00 }",
     "1:38+11 mail.size is a number, but \"08:00-18:00\" is a range"},
};

CASES(IN_TABLES, true)
CASES(LOOKUPS, true)
CASES(LISTS, true)
CASES(IN_VALUES, true)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_IN_TABLES),
        cmocka_unit_test(check_LOOKUPS),
        cmocka_unit_test(check_LISTS),
        cmocka_unit_test(check_IN_VALUES),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
