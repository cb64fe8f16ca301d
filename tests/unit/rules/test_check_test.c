/* test_check_test.c - tests: what their steps name, and their order. */
#include "check_cases.h"

static const struct check_case TESTS[] = {
    {"test \"x\" { client 203.0.113.9 helo a.b tls on user alice listener smtp mail from <> rcpt to a@b.c, d@e.f size "
     "10K header \"A\" \"b\" name c.d country DE now 2026-01-05T12:00\n"
     "send 20 messages to 10 recipients each over 30m\n"
     "expect accept\n"
     "fail 3 logins with 2 passwords over 1h\n"
     "expect 2 accepted\n"
     "connect 5 times over 1m\n"
     "expect drop\n"
     "wait 1h\n"
     "expect tarpit 5s\n"
     "expect header \"A\" \"b\"\n"
     "expect would reject 550 5.7.1 at rcpt \"text\" }",
     ""},
    {"test \"x\" { send 1 message now 2026-01-05T12:00 }",
     "1:27+3 now must stand before the first step that does something | from there on time passes by wait; or write a "
     "test of its own"},
    {"test \"x\" { wait 1h now 2026-01-05T12:00 }", "1:20+3 now must stand before the first step that does something | "
                                                    "from there on time passes by wait; or write a test of its own"},
    {"test \"x\" { expect accept now 2026-01-05T12:00 }",
     "1:26+3 now must stand before the first step that does something | from there on time passes by wait; or write a "
     "test of its own"},
    {"test \"x\" { client 10.0.0.1 now 2026-01-05T12:00 send 1 message }", ""},
    {"test \"x\" { fail 3 logins }", "1:12+4 fail needs a user"},
    {"test \"x\" { user a fail 3 logins }", ""},
    {"test \"x\" { expect reject 450 expect defer 550 expect disconnect 450 expect reject 550 4.7.1 expect drop expect "
     "ban 535 }",
     "1:26+3 reject takes a code from 500 to 599, not 450 | defer refuses for now\n1:43+3 defer takes a code from 400 "
     "to 499, not 550 | reject refuses for good\n1:65+3 disconnect takes the code 421, not 450\n1:87+5 4.7.1 does not "
     "fit 550; it must begin with 5"},
    {"test \"x\" { expect reject at foo }", "1:29+3 unknown phase \"foo\""},
    {"test \"x\" { send 0 messages to 1001 recipients }", "1:17+1 send must be from 1 to 1000000, not 0\n"
                                                          "1:31+4 recipients must be from 1 to 1000, not 1001"},
    {"test \"x\" { user u fail 1000001 logins }", "1:24+7 fail must be from 1 to 1000000, not 1000001"},
    {"test \"x\" { mail from foo }", "1:22+3 expected an address or <>, found \"foo\""},
    {"test \"x\" { client example.org }",
     "1:19+11 expected an address, found \"example.org\" | it is written 192.0.2.1, 2001:db8::1"},
    {"test \"x\" { dnsbl nix listed milter nix reject expect count nix 5 expect tag nix expect reject by nix listener "
     "nix }",
     "1:18+3 unknown table or dnsbl \"nix\"\n"
     "1:36+3 unknown milter \"nix\"\n"
     "1:60+3 unknown limit \"nix\"\n"
     "1:77+3 no rule sets the tag \"nix\"\n"
     "1:98+3 unknown rule or limit \"nix\"\n"
     "1:111+3 unknown listener \"nix\""},
    {"test \"x\" { expect count l 5 expect reject by r }\n"
     "on mail { rule r rejct }\n"
     "limit l per foo count messages { 5/1h }",
     "2:18+5 unknown action \"rejct\" | did you mean \"reject\"?\n"
     "3:13+3 unknown limit key \"foo\""},
};

CASES(TESTS, true)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_TESTS),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
