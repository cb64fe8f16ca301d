/* test_parse_test.c - test blocks, right and wrong: the whole text of every error, its place and its marker. */
#include "parse_cases.h"

static const struct parse_case WRONG[] = {
    {"test x { }", "1:6+1 expected a text, found \"x\""},
    {"test \"x\" { clent 1.2.3.4 }", "1:12+5 unknown test step \"clent\" | did you mean \"client\"?"},
    {"test \"x\" { mail frm a@b }", "1:17+3 expected \"from\", found \"frm\" | did you mean \"from\"?"},
    {"test \"x\" { expect acept }", "1:19+5 unknown expectation \"acept\" | did you mean \"accept\"?"},
    {"test \"x\" { expect would accept }", "1:25+6 unknown expectation \"accept\""},
    {"test \"x\" { send 5 mesages }", "1:19+7 expected \"messages\", found \"mesages\" | did you mean \"message\"?"},
    {"test \"x\" { send 0 messages }", "1:17+1 send must be from 1 to 1000000, not 0"},
    {"test \"x\" { send 5 messages to 2000 recipients }", "1:31+4 recipients must be from 1 to 1000, not 2000"},
    {"test \"x\" { expect reject at mal }", "1:29+3 unknown phase \"mal\" | did you mean \"mail\"?"},
    {"test \"x\" { now 2026-13-01T00:00 }",
     "1:16+16 expected a date, found \"2026-13-01T00:00\" | it is written 2026-11-24T08:00"},
    {"test \"x\" { client foo }", "1:19+3 expected an address, found \"foo\" | it is written 192.0.2.1, 2001:db8::1"},
    {"test", "1:5+1 expected a text, found end of line"},
    {"test \"x\"", "1:9+1 expected \"{\", found end of line"},
    {"test \"x\" { client }", "1:19+1 expected an address, found \"}\""},
    {"test \"x\" { client 10.0.0.0/8 }",
     "1:19+10 expected an address, found \"10.0.0.0/8\" | it is written 192.0.2.1, 2001:db8::1"},
    {"test \"x\" { tls maybe }", "1:16+5 expected on or off, found \"maybe\" | it is written on, off, true, false"},
    {"test \"x\" { mail to a@b }", "1:17+2 expected \"from\", found \"to\""},
    {"test \"x\" { mail from }", "1:22+1 expected an address or <>, found \"}\""},
    {"test \"x\" { mail from a }", "1:22+1 expected an address or <>, found \"a\""},
    {"test \"x\" { rcpt to a@b, }", "1:25+1 expected an address, found \"}\""},
    {"test \"x\" { rcpt to <> }", "1:20+2 expected an address, found \"<>\""},
    {"test \"x\" { size 5X }", "1:17+2 expected a size, found \"5X\" | it is written 64K 10M 1G, or bytes"},
    {"test \"x\" { header \"x\" }", "1:23+1 expected a text, found \"}\""},
    {"test \"x\" { header X \"y\" }", "1:19+1 expected a text, found \"X\" | a text needs quotes"},
    {"test \"x\" { dnsbl x }", "1:20+1 expected \"listed\", found \"}\""},
    {"test \"x\" { dnsbl x list }", "1:20+4 expected \"listed\", found \"list\" | did you mean \"listed\"?"},
    {"test \"x\" { now 2026-02-30T08:00 }",
     "1:16+16 expected a date, found \"2026-02-30T08:00\" | it is written 2026-11-24T08:00"},
    {"test \"x\" { milter m accepts }",
     "1:21+7 expected \"accept\", \"reject\" or \"defer\", found \"accepts\" | did you mean \"accept\"?"},
    {"test \"x\" { send messages }", "1:17+8 expected a number, found \"messages\""},
    {"test \"x\" { send 1 message to 5 }", "1:32+1 expected \"recipients\", found \"}\""},
    {"test \"x\" { send 1 message over 5 }", "1:32+1 expected a duration, found \"5\" | a duration has a unit: 5s"},
    {"test \"x\" { send 1.5 messages over }", "1:17+3 expected a whole number, found \"1.5\""},
    {"test \"x\" { fail 5 logins with 3 }", "1:33+1 expected \"passwords\", found \"}\""},
    {"test \"x\" { fail 5 login with 3 pasword }",
     "1:32+7 expected \"passwords\", found \"pasword\" | did you mean \"password\"?"},
    {"test \"x\" { connect 5 }", "1:22+1 expected \"times\", found \"}\""},
    {"test \"x\" { wait }", "1:17+1 expected a duration, found \"}\""},
    {"test \"x\" { wait 5 }", "1:17+1 expected a duration, found \"5\" | a duration has a unit: 5s"},
    {"test \"x\" { expect }", "1:19+1 expected an expectation, found \"}\""},
    {"test \"x\" { expect 5 }", "1:21+1 expected \"accepted\", found \"}\""},
    {"test \"x\" { expect 5 acepted }", "1:21+7 expected \"accepted\", found \"acepted\" | did you mean \"accepted\"?"},
    {"test \"x\" { expect reject 5x }",
     "1:26+2 expected a code, found \"5x\" | it is written 550, or 550 5.7.1; of defer 451, of disconnect 421"},
    {"test \"x\" { expect reject at }", "1:29+1 expected a phase, found \"}\""},
    {"test \"x\" { expect reject by }", "1:29+1 expected a name, found \"}\""},
    {"test \"x\" { expect reject by a at mail }", "1:31+2 unknown test step \"at\""},
    {"test \"x\" { expect count l }", "1:27+1 expected a number, found \"}\""},
    {"test \"x\" { expect tag }", "1:23+1 expected a name, found \"}\""},
    {"test \"x\" { expect header }", "1:26+1 expected a text, found \"}\""},
    {"test \"x\" { expect would }", "1:25+1 expected an expectation, found \"}\""},
    {"test \"x\" { foo bar\n"
     " baz qux }",
     "1:12+3 unknown test step \"foo\"\n"
     "2:2+3 unknown test step \"baz\""},
    {"test \"x\" { client ::1 helo [192.0.2.1] tls off user bob listener a mail from \"a b\"@c }",
     "1:78+5 expected an address or <>, found \"a b\""},
    {"test \"x\" { send 2.5 messages }", "1:17+3 expected a whole number, found \"2.5\""},
    {"test \"x\" { expect -1 accepted }", "1:19+2 unknown expectation \"-1\""},
    {"test \"x\" { expect count l 1.5 }", "1:27+3 expected a whole number, found \"1.5\""},
};

static const char *const RIGHT[] = {
    "test \"x\" { client 1.2.3.4 user a@b mail from <> rcpt to a@b, c@d\n"
    " expect reject 550 5.7.1 at rcpt by x \"y\"\n"
    " expect 5 accepted expect count l 4 expect tarpit 5s expect tag x \"y\" expect header \"x\" \"y\" expect would "
    "defer by z }",
    "test \"x\" { }",
    "test \"x\" { user \"bob\" rcpt to \"a b@c.d\" size 5M header \"a\" \"b\" name host.example country DE dnsbl d "
    "listed now 2026-11-24T08:00 milter m reject }",
    "test \"x\" { send 5 messages to 3 recipients each over 5m; fail 5 logins with 2 passwords over 1h; connect 3 "
    "times over 1s; wait 5m }",
    "test \"x\" { send 1 message to 1 recipient fail 1 login with 1 password connect 1 time }",
    "test \"x\" { expect accept expect ban by x expect drop at connect expect disconnect 421 4.7.0 \"x\" expect tag a "
    "5 expect header \"a\" }",
};

int main(void)
{
    const struct parse_cases cases = {WRONG, COUNT_OF(WRONG), RIGHT, COUNT_OF(RIGHT)};
    return parse_cases_run(&cases);
}
