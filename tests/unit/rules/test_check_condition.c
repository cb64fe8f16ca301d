/* test_check_condition.c - conditions: what may be compared with what, what is a condition alone, names nobody knows.
 */
#include "check_cases.h"

static const struct check_case COMPARISONS[] = {
    {"on rcpt { rule r log if client.port = \"smtp\" }", "1:39+6 client.port is a number, but \"smtp\" is a text"},
    {"on rcpt { rule r log if client.port = 25 }", ""},
    {"on rcpt { rule r log if client.port = 64K }", ""},
    {"on rcpt { rule r log if client.port != 2.5 }", ""},
    {"on rcpt { rule r log if client.port < \"x\" }", "1:39+3 client.port is a number, but \"x\" is a text"},
    {"on rcpt { rule r log if sender < \"a\" }", "1:32+1 < does not work on addresses"},
    {"on rcpt { rule r log if sender < 5 }", "1:32+1 < does not work on addresses"},
    {"on rcpt { rule r log if sender.domain >= user.domain }", "1:39+2 >= does not work on domains"},
    {"on rcpt { rule r log if tls < on }", "1:29+1 < does not work on truths"},
    {"on rcpt { rule r log if client < 192.0.2.1 }", "1:32+1 < does not work on addresses"},
    {"on rcpt { rule r log if weekday < \"mon\" }", "1:33+1 < does not work on weekdays"},
    {"on rcpt { rule r log if sender = user }", ""},
    {"on rcpt { rule r log if sender = rcpt.domain }", ""},
    {"on rcpt { rule r log if sender = \"alice@example.org\" }", ""},
    {"on rcpt { rule r log if sender = \"alice\" }", "1:34+7 \"alice\" is not an address"},
    {"on rcpt { rule r log if sender = \"\" }", "1:34+2 \"\" is not an address"},
    {"on rcpt { rule r log if sender != \"@example.org\" }", ""},
    {"on rcpt { rule r log if user = \"alice\" }", ""},
    {"on rcpt { rule r log if user = \"a@b.c\" }", ""},
    {"on rcpt { rule r log if sender = alice@example.org }", ""},
    {"on rcpt { rule r log if helo = \"localhost\" }", ""},
    {"on rcpt { rule r log if helo = \"[192.0.2.1]\" }", ""},
    {"on rcpt { rule r log if helo = \"no domain\" }", "1:32+11 \"no domain\" is not a domain"},
    {"on rcpt { rule r log if sender.domain = \"exa mple\" }", "1:41+10 \"exa mple\" is not a domain"},
    {"on rcpt { rule r log if \"alice@example.org\" = sender }", ""},
    {"on rcpt { rule r log if \"alice\" = sender }", "1:25+7 \"alice\" is not an address"},
    {"on rcpt { rule r log if \"x\" = \"y\" }", ""},
    {"on rcpt { rule r log if \"x\" = 5 }", "1:31+1 \"x\" is a text, but \"5\" is a number"},
    {"on rcpt { rule r log if client = 192.0.2.1 }", ""},
    {"on rcpt { rule r log if client = 192.0.2.0/24 }",
     "1:34+12 client is an address, but \"192.0.2.0/24\" is a network | ask whether it is in 192.0.2.0/24"},
    {"on rcpt { rule r log if client.network = 192.0.2.0/24 }", ""},
    {"on rcpt { rule r log if client.network = 192.0.2.1 }",
     "1:42+9 client.network is a network, but \"192.0.2.1\" is an address"},
    {"on rcpt { rule r log if client = \"192.0.2.1\" }",
     "1:34+11 client is an address, but \"192.0.2.1\" is a text | write it without quotes"},
    {"on rcpt { rule r log if client = client.network }",
     "1:34+14 client is an address, but client.network is a network | ask whether it is in "},
    {"on rcpt { rule r log if client = 192.0.2.1-192.0.2.9 }",
     "1:34+19 client is an address, but \"192.0.2.1-192.0.2.9\" is a network | ask whether it is in "
     "192.0.2.1-192.0.2.9"},
    {"on rcpt { rule r log if tls = on }", ""},
    {"on rcpt { rule r log if tls = true }", ""},
    {"on rcpt { rule r log if tls = \"on\" }", "1:31+4 tls is a truth, but \"on\" is a text | write it without quotes"},
    {"on rcpt { rule r log if tls = sender.null }", ""},
    {"on rcpt { rule r log if tls = 1 }", "1:31+1 tls is a truth, but \"1\" is a number"},
    {"on rcpt { rule r log if authenticated != off }", ""},
    {"on rcpt { rule r log if session.age > 5m }", ""},
    {"on rcpt { rule r log if session.age > 5 }", "1:39+1 session.age is a duration, but \"5\" is a number"},
    {"on rcpt { rule r log if session.age = 1h }", ""},
    {"on rcpt { rule r log if now > 08:00 }", ""},
    {"on rcpt { rule r log if now = \"08:00\" }",
     "1:31+7 now is a time, but \"08:00\" is a text | write it without quotes"},
    {"on rcpt { rule r log if now < 24:00 }", ""},
    {"on rcpt { rule r log if weekday = \"mon\" }",
     "1:35+5 weekday is a weekday, but \"mon\" is a text | write weekday in { mon, tue }"},
    {"on rcpt { rule r log if weekday = weekday }", ""},
    {"on rcpt { rule r log if mail.size > 10M }", ""},
    {"on rcpt { rule r log if mail.size > 10 }", ""},
    {"on rcpt { rule r log if mail.size > 1h }", "1:37+2 mail.size is a number, but \"1h\" is a duration"},
    {"on rcpt { rule r log if mail.size > $n }", "1:37+2 unknown parameter \"n\""},
    {"on rcpt { rule r log if mail.recipients > mail.size }", ""},
    {"on rcpt { rule r log if listener = node }", ""},
    {"on rcpt { rule r log if listener = smtp }", "1:36+4 unknown attribute \"smtp\" | a text needs quotes"},
    {"on rcpt { rule r log if listener = \"smtp\" }", ""},
    {"on rcpt { rule r log if sender.domain = example.org }",
     "1:41+11 unknown attribute \"example.org\" | a text needs quotes"},
    {"on rcpt { rule r log if sender.domain = user.domian }",
     "1:41+11 unknown attribute \"user.domian\" | did you mean \"user.domain\"?"},
    {"on rcpt { rule r log if mail.body = binarymime }",
     "1:37+10 unknown attribute \"binarymime\" | a text needs quotes"},
    {"on rcpt { rule r log if client.port = sender }", "1:39+6 client.port is a number, but sender is an address"},
    {"on rcpt { rule r log if client.port = tls }", "1:39+3 client.port is a number, but tls is a truth"},
    {"on rcpt { rule r log if sender = client }",
     "1:34+6 sender is an address, but client is an address | one is an IP address, the other a mail address"},
    {"on rcpt { rule r log if header[\"X\"] = \"y\" }",
     "1:25+6 header[\"X\"] is not known at rcpt; it is known from header on"},
    {"milter m 127.0.0.1:9\n"
     "on message { rule r log if header[\"X\"] = 5 }",
     "2:42+1 header[\"X\"] is a text, but \"5\" is a number"},
    {"milter m 127.0.0.1:9\n"
     "on message { rule r log if header.count[\"X\"] > 1 }",
     ""},
    {"milter m 127.0.0.1:9\n"
     "on message { rule r log if header.count[\"X\"] = \"1\" }",
     "2:48+3 header.count[\"X\"] is a number, but \"1\" is a text | write it without quotes"},
    {"milter m 127.0.0.1:9\n"
     "on message { rule r log if header.size > 64K }",
     ""},
    {"milter m 127.0.0.1:9\n"
     "on message { rule r log if header.from = sender }",
     ""},
    {"milter m 127.0.0.1:9\n"
     "on message { rule r log if header.from.domain = user.domain }",
     ""},
    {"milter m 127.0.0.1:9\n"
     "on message { rule r log if header[\"From\"] = header[\"Sender\"] }",
     ""},
    {"milter m 127.0.0.1:9\n"
     "on message { rule r log if milter[\"m\"] = \"reject\" }",
     ""},
    {"milter m 127.0.0.1:9\n"
     "on message { rule r log if milter[\"m\"] = 5 }",
     "2:42+1 milter[\"m\"] is a text, but \"5\" is a number"},
    {"on result { rule r log if result.code = 250 }", ""},
    {"on result { rule r log if result.code >= 500 }", ""},
    {"on result { rule r log if result.text contains \"x\" }", ""},
    {"on result { rule r log if result.code contains \"x\" }", "1:39+8 contains does not work on numbers"},
};

static const struct check_case PARAMETERS[] = {
    {"parameter d example.org\n"
     "on rcpt { rule r log if sender.domain = $d }",
     ""},
    {"parameter d \"example.org\"\n"
     "on rcpt { rule r log if sender.domain = $d }",
     ""},
    {"parameter l smtp\n"
     "on rcpt { rule r log if listener = $l }",
     ""},
    {"parameter l 5\n"
     "on rcpt { rule r log if listener = $l }",
     "2:36+2 listener is a text, but \"5\" is a number"},
    {"parameter c 192.0.2.1\n"
     "on rcpt { rule r log if client = $c }",
     ""},
    {"parameter c example.org\n"
     "on rcpt { rule r log if client = $c }",
     "2:34+2 client is an address, but \"example.org\" is a domain"},
    {"parameter c \"192.0.2.1\"\n"
     "on rcpt { rule r log if client = $c and client.network = $c }",
     "2:58+2 client.network is a network, but \"192.0.2.1\" is an address"},
    {"parameter c \"192.0.2.0/24\"\n"
     "on rcpt { rule r log if client.network = $c }",
     ""},
    {"parameter c \"x\"\n"
     "on rcpt { rule r log if client = $c }",
     "2:34+2 client is an address, but \"x\" is a text"},
    {"parameter c \"192.0.2.1\"\n"
     "on rcpt { rule r log if listener = $c }",
     ""},
    {"parameter n 10M\n"
     "on rcpt { rule r log if mail.size > $n }",
     ""},
    {"parameter n 200\n"
     "on rcpt { rule r log if mail.size > $n }",
     ""},
    {"parameter n 1h\n"
     "on rcpt { rule r log if mail.size > $n }",
     "2:37+2 mail.size is a number, but \"1h\" is a duration"},
    {"parameter n 1h\n"
     "on rcpt { rule r log if session.age > $n }",
     ""},
    {"parameter n on\n"
     "on rcpt { rule r log if $n }",
     ""},
    {"parameter n off\n"
     "on rcpt { rule r log if $n and not $n }",
     ""},
    {"parameter n 5\n"
     "on rcpt { rule r log if $n }",
     "2:25+2 \"5\" is a number, not a condition | what it is compared with stands here again; or write in { …, … }"},
    {"parameter n hi\n"
     "on rcpt { rule r log if $n }",
     "2:25+2 \"hi\" is a text, not a condition | what it is compared with stands here again; or write in { …, … }"},
    {"parameter n on\n"
     "on rcpt { rule r log if $n = on }",
     ""},
    {"parameter p '^a'\n"
     "on rcpt { rule r log if sender matches $p }",
     ""},
    {"parameter p '('\n"
     "on rcpt { rule r log if sender matches $p }",
     "2:40+2 bad pattern: missing closing parenthesis"},
    {"parameter p 5\n"
     "on rcpt { rule r log if sender matches $p }",
     "2:40+2 expected a text, found \"5\""},
    {"parameter p example.org\n"
     "on rcpt { rule r log if sender.domain under $p }",
     ""},
    {"parameter p \"a b\"\n"
     "on rcpt { rule r log if sender.domain under $p }",
     "2:45+2 \"a b\" is not a domain"},
    {"parameter p 5\n"
     "on rcpt { rule r log if sender.domain under $p }",
     "2:45+2 expected a domain, found \"5\""},
    {"parameter p 192.0.2.0/24\n"
     "on rcpt { rule r log if client in $p }",
     ""},
    {"parameter p \"192.0.2.0/24\"\n"
     "on rcpt { rule r log if client in $p }",
     ""},
    {"parameter p \"nets\"\n"
     "on rcpt { rule r log if client in $p }",
     "2:35+2 \"nets\" is not a network"},
    {"parameter p 5\n"
     "on rcpt { rule r log if client in $p }",
     "2:35+2 client is an address, but \"5\" is a number"},
    {"parameter p 08:00-09:00\n"
     "on rcpt { rule r log if now in $p }",
     ""},
    {"parameter p 08:00\n"
     "on rcpt { rule r log if now in $p }",
     "2:32+2 expected a range, found \"08:00\""},
    {"parameter p 08:00-09:00\n"
     "on rcpt { rule r log if client in $p }",
     "2:35+2 client is an address, but \"08:00-09:00\" is a range"},
    {"parameter p 198.51.100.0/24\n"
     "on rcpt { rule r log if client in { $p, 192.0.2.1 } }",
     ""},
    {"parameter p mon\n"
     "on rcpt { rule r log if client in { $p, 192.0.2.1 } }",
     "2:37+2 \"mon\" is not a network"},
    {"parameter p mon\n"
     "on rcpt { rule r log if weekday in { $p } }",
     ""},
    {"parameter p mon\n"
     "on rcpt { rule r log if listener in { $p, $q } }",
     "2:43+2 unknown parameter \"q\""},
    {"parameter r 5/1h\n"
     "on rcpt { rule r log if session.age > $r }",
     "2:39+2 session.age is a duration, but \"5/1h\" is a rate"},
    {"parameter e 127.0.0.1:25\n"
     "on rcpt { rule r log if client = $e }",
     "2:34+2 client is an address, but \"127.0.0.1:25\" is an endpoint"},
    {"parameter e 50%\n"
     "on rcpt { rule r log if listener = $e }",
     "2:36+2 listener is a text, but \"50%\" is a percentage"},
    {"parameter e 2026-01-05T12:00\n"
     "on rcpt { rule r log if listener = $e }",
     "2:36+2 listener is a text, but \"2026-01-05T12:00\" is a date"},
    {"parameter e 08:00-09:00\n"
     "on rcpt { rule r log if listener = $e }",
     "2:36+2 listener is a text, but \"08:00-09:00\" is a range"},
};

static const struct check_case ALONE[] = {
    {"on rcpt { rule r log if tls }", ""},
    {"on rcpt { rule r log if not tls }", ""},
    {"on rcpt { rule r log if sender }", "1:25+6 sender is an address, not a condition"},
    {"on rcpt { rule r log if client }", "1:25+6 client is an address, not a condition"},
    {"on rcpt { rule r log if \"x\" }",
     "1:25+3 \"x\" is a text, not a condition | what it is compared with stands here again; or write in { …, … }"},
    {"on rcpt { rule r log if on }", ""},
    {"on rcpt { rule r log if true }", ""},
    {"on rcpt { rule r log if 5 }",
     "1:25+1 \"5\" is a number, not a condition | what it is compared with stands here again; or write in { …, … }"},
    {"on rcpt { rule r log if mail.size }", "1:25+9 mail.size is a number, not a condition"},
    {"on rcpt { rule r log if authenticated and (sender.null or stress) }", ""},
    {"on rcpt { rule r log if helo }", "1:25+4 helo is a domain, not a condition"},
    {"on rcpt { rule r log if now }", "1:25+3 now is a time, not a condition"},
    {"on rcpt { rule r log if 10.0.0.1 }", "1:25+8 \"10.0.0.1\" is an address, not a condition | what it is compared "
                                           "with stands here again; or write in { …, … }"},
    {"on rcpt { rule r log if weekday }", "1:25+7 weekday is a weekday, not a condition"},
    {"on rcpt { rule r log if sender or client }", "1:25+6 sender is an address, not a condition\n"
                                                   "1:35+6 client is an address, not a condition"},
    {"on rcpt { rule r log if mail.smtputf8 }", ""},
    {"on rcpt { rule r log if tls and foo }", "1:33+3 unknown attribute \"foo\""},
    {"on mail { rule a tag t; rule b log if tag.t }", ""},
    {"on mail { rule a tag t; rule b log if not tag.t and tag.t != \"x\" }", ""},
    {"on mail { rule a tag t; rule b log if tag.t = 5 }", "1:47+1 tag.t is a text, but \"5\" is a number"},
    {"on mail { rule a tag t; rule b log if tag.t in { a, b } and tag.t matches \"x\" }", ""},
    {"on mail { rule a tag t; rule b log if tag.t < \"x\" }", "1:45+1 < does not work on texts"},
};

static const struct check_case TEXTS[] = {
    {"on rcpt { rule r log if sender matches '^a' }", ""},
    {"on rcpt { rule r log if sender.domain like \"*.example.org\" }", ""},
    {"on rcpt { rule r log if sender contains \"x\" }", ""},
    {"on rcpt { rule r log if user matches \"a\" and user like \"a*\" and user contains \"a\" }", ""},
    {"on rcpt { rule r log if listener like \"s*\" }", ""},
    {"on rcpt { rule r log if client.port matches \"2\" }", "1:37+7 matches does not work on numbers"},
    {"on rcpt { rule r log if client like \"192.*\" }", "1:32+4 like does not work on addresses"},
    {"on rcpt { rule r log if tls contains \"x\" }", "1:29+8 contains does not work on truths"},
    {"on rcpt { rule r log if now matches \"08\" }", "1:29+7 matches does not work on times"},
    {"on rcpt { rule r log if weekday like \"m*\" }", "1:33+4 like does not work on weekdays"},
    {"on rcpt { rule r log if sender matches '(' }", "1:40+3 bad pattern: missing closing parenthesis"},
    {"on rcpt { rule r log if sender matches 'a{2,1}' }", "1:40+8 bad pattern: numbers out of order in {} quantifier"},
    {"on rcpt { rule r log if sender matches '[z-a]' }", "1:40+7 bad pattern: range out of order in character class"},
    {"on rcpt { rule r log if sender matches '\\C' }", "1:40+4 bad pattern: using \\C is disabled by the application"},
    {"on rcpt { rule r log if helo under example.org }", ""},
    {"on rcpt { rule r log if helo under \"example.org\" }", ""},
    {"on rcpt { rule r log if helo under .example.org }", ""},
    {"on rcpt { rule r log if listener under example.org }", ""},
    {"on rcpt { rule r log if sender under example.org }", "1:32+5 under does not work on addresses"},
    {"on rcpt { rule r log if user under example.org }", "1:30+5 under does not work on logins"},
    {"on rcpt { rule r log if client under example.org }", "1:32+5 under does not work on addresses"},
    {"on rcpt { rule r log if helo under \"a b\" }", "1:36+5 \"a b\" is not a domain"},
    {"on rcpt { rule r log if helo under localhost }", ""},
    {"on rcpt { rule r log if sender.domain is none }", ""},
    {"on rcpt { rule r log if client is none }", ""},
    {"on rcpt { rule r log if \"x\" is none }", ""},
    {"on rcpt { rule r log if sender.null is none }", ""},
    {"on rcpt { rule r log if foo matches \"x\" }", "1:25+3 unknown attribute \"foo\""},
    {"on rcpt { rule r log if client.name under example.org }", ""},
    {"on rcpt { rule r log if mail.size like \"1*\" }", "1:35+4 like does not work on numbers"},
};

static const struct check_case ATTRIBUTES[] = {
    {"on rcpt { rule r log if foo }", "1:25+3 unknown attribute \"foo\""},
    {"on rcpt { rule r log if recipient.domain in { a.b } }",
     "1:25+16 unknown attribute \"recipient.domain\" | did you mean \"rcpt.domain\"?"},
    {"on rcpt { rule r log if rcpt.domian = \"x\" }",
     "1:25+11 unknown attribute \"rcpt.domian\" | did you mean \"rcpt.domain\"?"},
    {"on rcpt { rule r log if header = \"x\" }", "1:25+6 unknown attribute \"header\" | write header[\"NAME\"]"},
    {"on rcpt { rule r log if header.count > 1 }",
     "1:25+12 unknown attribute \"header.count\" | write header.count[\"NAME\"]"},
    {"on rcpt { rule r log if milter = \"x\" }", "1:25+6 unknown attribute \"milter\" | write milter[\"NAME\"]"},
    {"on rcpt { rule r log if used > 5 }", "1:25+4 unknown attribute \"used\" | write used(LIMIT)"},
    {"on rcpt { rule r log if left = 5 }", "1:25+4 unknown attribute \"left\" | write left(LIMIT)"},
    {"on rcpt { rule r log if sender.foo = 1 }",
     "1:25+10 unknown attribute \"sender.foo\" | did you mean \"sender.local\"?"},
    {"on rcpt { rule r log if tag = \"x\" }", "1:25+3 unknown attribute \"tag\""},
    {"on rcpt { rule r log if client.nam = \"x\" }",
     "1:25+10 unknown attribute \"client.nam\" | did you mean \"client.name\"?"},
    {"on rcpt { rule r log if foo-bar.example is none }", "1:25+15 unknown attribute \"foo-bar.example\""},
    {"on rcpt { rule r log if alice@example.org }", "1:25+17 \"alice@example.org\" is an address, not a condition | "
                                                    "what it is compared with stands here again; or write in { …, … }"},
    {"on rcpt { rule r log if listener = foo-bar.baz }",
     "1:36+11 unknown attribute \"foo-bar.baz\" | a text needs quotes"},
    {"on rcpt { rule r log if listener = a/b }", "1:36+3 unknown attribute \"a/b\" | a text needs quotes"},
    {"on rcpt { rule r log if listener = -x }", "1:36+2 unknown attribute \"-x\" | a text needs quotes"},
    {"on rcpt { rule r log if \"x\" = y }", "1:31+1 unknown attribute \"y\" | a text needs quotes"},
    {"on rcpt { rule r log if listener = sende }", "1:36+5 unknown attribute \"sende\" | did you mean \"sender\"?"},
    {"on rcpt { rule r log if not frob or frob2 }", "1:29+4 unknown attribute \"frob\"\n"
                                                    "1:37+5 unknown attribute \"frob2\""},
    {"on rcpt { rule r log if Sender = \"x\" }", "1:25+6 unknown attribute \"Sender\" | did you mean \"sender\"?"},
    {"on rcpt { rule r log if a.b.c.d = 1 }", "1:25+7 unknown attribute \"a.b.c.d\""},
};

CASES(COMPARISONS, true)
CASES(PARAMETERS, true)
CASES(ALONE, true)
CASES(TEXTS, true)
CASES(ATTRIBUTES, true)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_COMPARISONS), cmocka_unit_test(check_PARAMETERS), cmocka_unit_test(check_ALONE),
        cmocka_unit_test(check_TEXTS),       cmocka_unit_test(check_ATTRIBUTES),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
