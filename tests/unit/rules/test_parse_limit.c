/* test_parse_limit.c - limits and thresholds, right and wrong: the whole text of every error, its place and its marker.
 */
#include "parse_cases.h"

static const struct parse_case WRONG[] = {
    {"limit x for user count messages { 10/1h }",
     "1:9+3 expected \"per\", found \"for\" | limit NAME per KEY count UNIT { RATE }"},
    {"limit x per usr count messages { 10/1h }", "1:13+3 unknown limit key \"usr\" | did you mean \"user\"?"},
    {"limit x per user, user count messages { 10/1h }", "1:19+4 user stands twice"},
    {"limit x per user cont messages { 10/1h }", "1:18+4 expected \"count\", found \"cont\" | did you mean \"count\"?"},
    {"limit x per user count mesages { 10/1h }", "1:24+7 unknown unit \"mesages\" | did you mean \"messages\"?"},
    {"limit x per user count messages { }", "1:35+1 limit \"x\" needs a rate"},
    {"limit x per user count messages { 10 }",
     "1:35+2 limit \"x\" needs a rate | first in the { }: so many in that time, 200/1h"},
    {"limit x per user count messages { at 50% log }",
     "1:35+2 limit \"x\" needs a rate | first in the { }: so many in that time, 200/1h"},
    {"limit x per user count messages { 10/1h 20/1d }",
     "1:41+5 expected \"at\", \"overrides\", \"if\", \"unless\" or \"observe\", found \"20/1d\""},
    {"limit x per user count messages { 10/1x }",
     "1:35+5 expected a rate, found \"10/1x\" | it is written 200/1h; for bytes also 500M/1d"},
    {"limit x per user count open-connections { 10/1h }", "1:43+5 open-connections takes a number"},
    {"limit x per user count messages { 10/1h at 50 log }",
     "1:44+2 expected a percentage, found \"50\" | it is written 80%"},
    {"limit x per user count messages { 10/1h at 50% log at 50% defer }", "1:55+3 50% stands twice"},
    {"limit x per user count messages { 10/1h at 2000% log }",
     "1:44+5 threshold percent must be from 1% to 1000%, not 2000%"},
    {"limit x per user count messages { 10/1h at 50% accept }", "1:48+6 accept is not possible in a threshold"},
    {"limit x per user count messages { 10/1h at 50% defer, reject }",
     "1:55+6 a threshold ends its phase once; \"reject\" comes after \"defer\""},
    {"limit x per user count messages { 10/1h overides y }",
     "1:41+8 expected \"at\", \"overrides\", \"if\", \"unless\" or \"observe\", found \"overides\" | did you mean "
     "\"overrides\"?"},
    {"limit x per user count messages { 10/1h observe observe }", "1:49+7 observe stands twice"},
    {"limit reject per user count messages { 10/1h }",
     "1:7+6 expected a name for the limit, found \"reject\" | limit NAME per KEY count UNIT { RATE }"},
    {"limit per user count messages { 10/1h }",
     "1:11+4 expected \"per\", found \"user\" | limit NAME per KEY count UNIT { RATE }"},
    {"limit x per user count messages 10/1h", "1:33+5 expected \"{\", found \"10/1h\""},
    {"limit x per user count open-connections { 20, 30 }",
     "1:47+2 expected \"at\", \"overrides\", \"if\", \"unless\" or \"observe\", found \"30\""},
    {"limit x per user count messages { 10/1h\n"
     " at 50 log\n"
     " at 60 log }",
     "2:5+2 expected a percentage, found \"50\" | it is written 80%\n3:5+2 expected a percentage, found \"60\" | it is "
     "written 80%"},
    {"limit x per user, count messages { 10/1h }", "1:19+5 unknown limit key \"count\""},
    {"limit x per user count { 10/1h }", "1:24+1 expected a unit, found \"{\""},
    {"limit x per user count messages { 10/1h; at 50% }", "1:49+1 expected an action, found \"}\""},
    {"limit x per user count messages { 10/1h at }", "1:44+1 expected a percentage, found \"}\""},
    {"limit x per user count messages { 10/1h at 50% lgo }", "1:48+3 unknown action \"lgo\" | did you mean \"log\"?"},
    {"limit x per user count messages { 10/1h at 50% charge y }", "1:48+6 charge is not possible in a threshold"},
    {"limit x per user count messages { 10/1h if x if y }", "1:46+2 if stands twice"},
    {"limit x per user count messages { 10/1h unless x unless y }", "1:50+6 unless stands twice"},
    {"limit x per user count messages { 10/1h overrides }", "1:51+1 expected a table, found \"}\""},
    {"limit x per user count messages { 10/1h overrides a overrides b }", "1:53+9 overrides stands twice"},
    {"limit x per user count messages { 10M at 50% log }",
     "1:35+3 limit \"x\" needs a rate | first in the { }: so many in that time, 200/1h"},
    {"limit x per user count messages { 10 /1h }",
     "1:35+2 limit \"x\" needs a rate | first in the { }: so many in that time, 200/1h"},
    {"limit x per user count messages { -5/1h }",
     "1:35+5 expected a rate, found \"-5/1h\" | it is written 200/1h; for bytes also 500M/1d"},
    {"limit x per user count messages { 5/0x }",
     "1:35+4 expected a rate, found \"5/0x\" | it is written 200/1h; for bytes also 500M/1d"},
    {"limit x per user count messages { 5/$ }", "1:35+2 expected a rate, found \"5/\" | it is written 200/1h; for "
                                                "bytes also 500M/1d\n1:37+1 unexpected character \"$\""},
    {"limit x per user count open-connections { at 100% drop }",
     "1:43+2 limit \"x\" needs a rate | first in the { }: how many at once, 20"},
    {"limit x per user count messages { 10/1h at 0% log }",
     "1:44+2 threshold percent must be from 1% to 1000%, not 0%"},
    {"limit x per user count messages { 10/1h\n"
     " at 50% foo\n"
     " at 60% bar }",
     "2:9+3 unknown action \"foo\"\n"
     "3:9+3 unknown action \"bar\" | did you mean \"ban\"?"},
    {"limit if per user count messages { 10/1h }", "1:7+2 \"if\" cannot be a name"},
    {"limit x", "1:8+1 expected \"per\", found end of line"},
};

static const char *const RIGHT[] = {
    "limit x per user count messages {\n"
    " $a/1h,\n"
    " 5/$b\n"
    " $c/$d\n"
    " at 50% log at $p tarpit 5s }",
    "limit x per user, client count open-connections { 20 at 100% drop if a in { b,\n"
    " c } unless d observe overrides e }",
    "limit x per user count messages { 10/1h, }",
    "limit x per user count messages { 10/1h,\n"
    " }",
    "limit a per user count bytes { 500M/1d, 5G/30d }",
    "limit a per sender.domain, rcpt count distinct-recipients {\n"
    " 5/1h\n"
    " 6/2h\n"
    " observe }",
    "limit a per client count open-connections { $n }",
    "limit a per client count open-connections {\n"
    " 20\n"
    " at 90% log, alert b\n"
    " at 100% ban client 5m doubling to 1h \"x\" }",
};

int main(void)
{
    const struct parse_cases cases = {WRONG, COUNT_OF(WRONG), RIGHT, COUNT_OF(RIGHT)};
    return parse_cases_run(&cases);
}
