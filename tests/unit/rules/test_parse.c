/* test_parse.c - lines, names, tables and short statements, right and wrong: the whole text of every error, its place
 * and its marker. */
#include "parse_cases.h"

static const struct parse_case WRONG[] = {
    {"limt x per user count messages { 10/1h }", "1:1+4 unknown statement \"limt\" | did you mean \"limit\"?"},
    {"\"x\" y", "1:1+3 expected a statement, found \"x\""},
    {"}", "1:1+1 expected a statement, found \"}\""},
    {"rule a reject", "1:1+4 unknown statement \"rule\" | rules stand in on PHASE { … }"},
    {"table x domans { a }", "1:9+6 unknown table type \"domans\" | did you mean \"domains\"?"},
    {"table header strings { a }", "1:7+6 \"header\" cannot be a name"},
    {"table x domains", "1:16+1 expected \"{\" or a file name in quotes, found end of line"},
    {"table x domains { a b }", "1:21+1 expected \",\" or \"}\", found \"b\""},
    {"table x map { a }", "1:17+1 expected a value, found \"}\""},
    {"table x map { a { b }", "1:13+1 this { is never closed"},
    {"table x domains { a", "1:17+1 this { is never closed"},
    {"table x redis \"k\"", "1:9+5 unknown table type \"redis\""},
    {"table x strings socketmap foo \"k\"", "1:27+3 expected an endpoint, found \"foo\" | it is written 127.0.0.1:25, "
                                            "[::]:587, mta.example.org:25, unix:/run/x.sock"},
    {"table x strings redis \"k\" { ttl 5s }", "1:29+3 unknown option \"ttl\" of table"},
    {"parameter if 5", "1:11+2 \"if\" cannot be a name"},
    {"parameter x", "1:12+1 expected a value, found end of line"},
    {"parameter x 192.0.2.7/24", "1:13+12 192.0.2.7/24 has bits beyond /24"},
    {"set x 5 \"about\"", "1:9+7 expected end of line, found \"about\""},
    {"include foo", "1:9+3 expected a file name in quotes, found \"foo\""},
    {"include \"nothere.rules\"", "1:9+15 cannot read \"nothere.rules\": No such file or directory"},
    {"include \"nothere.rules\" obsrve", "1:25+6 expected end of line, found \"obsrve\""},
    {"disable", "1:8+1 expected a rule or limit, found end of line"},
    {"disable a, b", "1:10+1 expected end of line, found \",\" | names stand one behind the other, without commas"},
    {"dnsbl x y", "1:9+1 expected a zone in quotes, found \"y\" | a text needs quotes"},
    {"dnsbl x \"zone\" { answers 127.0.0.2-127.0.0.1 }", "1:26+19 127.0.0.2-127.0.0.1 ends before it begins"},
    {"dnsbl x \"zone\" { timeout 1m }", "1:26+2 dnsbl timeout must be from 100ms to 30s, not 1m"},
    {"alert x mail", "1:13+1 expected an address, found end of line"},
    {"alert x smoke \"y\"", "1:9+5 expected \"webhook\", \"mail\", \"syslog\" or \"exec\", found \"smoke\""},
    {"alert x webhook \"y\" { every 40d }", "1:29+3 alert every must be from 1s to 30d, not 40d"},
    {"a$b", "1:1+1 unknown statement \"a\""},
    {"table x map { a { b c }, d }", "1:21+1 expected \",\" or \"}\", found \"c\""},
    {"table x domains {\n"
     " a.example\n"
     " b.example\n"
     "\n"
     "on mail { rule a foo }",
     "1:17+1 this { is never closed\n"
     "5:18+3 unknown action \"foo\""},
    {"include \"x\" ; include \"y\"", "1:9+3 cannot read \"x\": No such file or directory\n"
                                      "1:23+3 cannot read \"y\": No such file or directory"},
    {"table a networks { 1.2.3.4/5, 192.0.2.7/24 ::1\n"
     " }",
     "1:44+3 expected \",\" or \"}\", found \"::1\""},
    {"table x", "1:8+1 expected a table type, found end of line"},
    {"table observe strings { a }", "1:7+7 \"observe\" cannot be a name"},
    {"table milter strings { a }", "1:7+6 \"milter\" cannot be a name"},
    {"table x strings {\n"
     " a\n"
     " {\n"
     " }",
     "1:17+1 this { is never closed"},
    {"table x map { a { } }", "1:19+1 expected a value, found \"}\""},
    {"table x map { a b c }", "1:19+1 expected \",\" or \"}\", found \"c\""},
    {"table x map { a b, c }", "1:22+1 expected a value, found \"}\""},
    {"table x strings \"f\" { cache 5s }", "1:21+1 expected end of line, found \"{\""},
    {"table x strings socketmap unix:/x", "1:34+1 expected a map's name in quotes, found end of line"},
    {"table x strings redis k", "1:23+1 expected a key in quotes, found \"k\" | a text needs quotes"},
    {"table x strings redis \"k\" { timeout 5ms }", "1:37+3 table timeout must be from 10ms to 30s, not 5ms"},
    {"table x strings redis \"k\" { cache 8d }", "1:35+2 table cache must be from 0s to 7d, not 8d"},
    {"table x strings redis \"k\" { failure maybe }", "1:37+5 expected \"skip\" or \"defer\", found \"maybe\""},
    {"table x strings redis \"k\" { cache 5s cache 6s }", "1:38+5 cache stands twice"},
    {"parameter \"a b\" 5", "1:11+5 expected a name for the parameter, found \"a b\""},
    {"parameter x 192.0.2.9-192.0.2.1", "1:13+19 192.0.2.9-192.0.2.1 ends before it begins"},
    {"parameter x 5 6", "1:15+1 expected end of line, found \"6\""},
    {"parameter x { 5 }", "1:13+1 expected a value, found \"{\""},
    {"set if 5", "1:5+2 \"if\" cannot be a name"},
    {"set x", "1:6+1 expected a value, found end of line"},
    {"disable if", "1:9+2 \"if\" cannot be a name"},
    {"observe", "1:8+1 expected a rule or limit, found end of line"},
    {"observe a; disable 5", "1:20+1 expected a rule or limit, found \"5\""},
    {"include", "1:8+1 expected a file name in quotes, found end of line"},
    {"include $x", "1:9+2 expected a file name in quotes, found \"$x\""},
    {"dnsbl if \"z\"", "1:7+2 \"if\" cannot be a name"},
    {"dnsbl x", "1:8+1 expected a zone in quotes, found end of line"},
    {"dnsbl x \"z\" { answers }", "1:23+1 expected a network, found \"}\""},
    {"dnsbl x \"z\" { answers foo }",
     "1:23+3 expected a network, found \"foo\" | it is written 192.0.2.1, 192.0.2.0/24, 2001:db8::/32, a-b"},
    {"dnsbl x \"z\" { cache 5 }", "1:21+1 expected a duration, found \"5\" | a duration has a unit: 5s"},
    {"dnsbl x \"z\" { failure open }", "1:23+4 expected \"skip\" or \"defer\", found \"open\""},
    {"alert if syslog", "1:7+2 \"if\" cannot be a name"},
    {"alert x", "1:8+1 expected \"webhook\", \"mail\", \"syslog\" or \"exec\", found end of line"},
    {"alert x webhook u", "1:17+1 expected a text, found \"u\" | a text needs quotes"},
    {"alert x syslog { often 5s }", "1:18+5 unknown option \"often\" of alert"},
    {"alert x mail a", "1:14+1 expected an address, found \"a\" | it has a domain: alice@example.org"},
    {"rules \"x\"", "1:1+5 unknown statement \"rules\""},
};

static const char *const RIGHT[] = {
    "table a strings { in\n"
    " is\n"
    " or\n"
    " and, not }",
    "parameter a 5 \"x\"; parameter b 1h; parameter c on; parameter d \"x\" \"y\"; parameter e a@b; parameter f $g",
    "alert a mail a@b c@d { every 1h }; alert b syslog; alert c exec \"x\"; alert d webhook \"u\"",
    "dnsbl d \"z\" { answers 127.0.0.2-127.0.0.11, 127.0.0.1\n"
    " timeout 2s cache 5m failure skip }",
    "table x strings { }",
    "table x domains {\n"
    " # nothing\n"
    " a.example # one\n"
    "\n"
    " .b.example,\n"
    " }",
    "table x map { a b, c { d, e }\n"
    " f { g\n"
    " h }, \"i j\" \"k\"\n"
    " 'l' { m, } }",
    "table x strings \"f\"",
    "table x strings $f",
    "table x strings socketmap unix:/run/x \"m\" { timeout 1s cache 60s failure defer }",
    "table x netmap { 10.0.0.0/8 \"a\", ::1 b }",
    "table x patterns { 'a.*b', \"c\" }",
    "include \"*.nothing\"",
    "disable a b c",
    "observe a",
    "set x 5",
    "parameter r 10/1h",
    "parameter x \"a \\\"b\\\" \\\\ \\n \\t\"",
};

int main(void)
{
    const struct parse_cases cases = {WRONG, COUNT_OF(WRONG), RIGHT, COUNT_OF(RIGHT)};
    return parse_cases_run(&cases);
}
