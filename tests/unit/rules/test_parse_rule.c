/* test_parse_rule.c - on-blocks, rules and actions, right and wrong: the whole text of every error, its place and its
 * marker. */
#include "parse_cases.h"

static const struct parse_case WRONG[] = {
    {"on mail { rule a rejcet }", "1:18+6 unknown action \"rejcet\" | did you mean \"reject\"?"},
    {"on mail { rule a }", "1:18+1 expected an action, found \"}\""},
    {"on mail { rule reject if x }",
     "1:16+6 expected a name for the rule, found \"reject\" | letters, digits, - and _, then the action: rule NAME reject …"},
    {"on mail { rule if reject }", "1:16+2 \"if\" cannot be a name"},
    {"on mail { rul a reject }", "1:11+3 expected \"rule\", found \"rul\" | did you mean \"rule\"?"},
    {"on mal { rule a reject; rule b foo }", "1:4+3 unknown phase \"mal\" | did you mean \"mail\"?\n"
                                             "1:32+3 unknown action \"foo\""},
    {"on { rule a reject }", "1:4+1 expected a phase, found \"{\""},
    {"on mail", "1:8+1 expected \"{\", found end of line"},
    {"on mail {", "1:9+1 this { is never closed"},
    {"on mail { rule a reject, ban client 1h }", "1:26+3 a rule ends its phase once; \"ban\" comes after \"reject\""},
    {"on mail { rule a log, reject, accept }", "1:31+6 a rule ends its phase once; \"accept\" comes after \"reject\""},
    {"on mail { rule a reject rule b reject }", "1:25+4 expected end of line, found \"rule\" | a text needs quotes"},
    {"on mail { rule a reject 450 }", "1:25+3 reject takes a code from 500 to 599, not 450 | defer refuses for now"},
    {"on mail { rule a defer 550 }", "1:24+3 defer takes a code from 400 to 499, not 550 | reject refuses for good"},
    {"on mail { rule a disconnect 450 }", "1:29+3 disconnect takes the code 421, not 450"},
    {"on mail { rule a reject 550 4.7.1 }", "1:29+5 4.7.1 does not fit 550; it must begin with 5"},
    {"on mail { rule a reject 45 }",
     "1:25+2 expected a code, found \"45\" | it is written 550, or 550 5.7.1; of defer 451, of disconnect 421"},
    {"on mail { rule a reject 550 5.7 }",
     "1:29+3 expected an enhanced code, found \"5.7\" | it has three parts: 5.7.1"},
    {"on mail { rule a reject 550 5.7.1 \"x\" \"y\" }", "1:39+3 expected end of line, found \"y\""},
    {"on mail { rule a reject \"x${sender}y${\" }", "1:37+2 this ${ is never closed"},
    {"on mail { rule a reject \"x${1a}\" }", "1:29+2 expected an attribute, found \"1a\""},
    {"on mail { rule a reject \"x\\d\" }", "1:27+2 unknown escape \\d in a text; patterns stand in '…'"},
    {"on mail { rule a reject \"x }", "1:25+1 this text is never closed"},
    {"on mail { rule a tarpit 90 }", "1:25+2 expected a duration, found \"90\" | a duration has a unit: 90s"},
    {"on mail { rule a tarpit 61s }", "1:25+3 tarpit must be from 1ms to 60s, not 61s"},
    {"on mail { rule a ban clint 1h }",
     "1:22+5 expected \"client\", \"network\" or \"user\", found \"clint\" | did you mean \"client\"?"},
    {"on mail { rule a ban client 1h doubling 2h }", "1:41+2 expected \"to\", found \"2h\""},
    {"on mail { rule a tag list weekly }", "1:27+6 expected end of line, found \"weekly\""},
    {"on mail { rule a relay pool }", "1:24+4 expected \"to\", found \"pool\""},
    {"on mail { rule a score 2000 }", "1:24+4 score must be from -1000 to 1000, not 2000"},
    {"on mail { rule a add-header X \"y\" }", "1:29+1 expected a text, found \"X\" | a text needs quotes"},
    {"on mail {\n"
     "  rule a reject\n"
     "limit x per user count messages { 10/1h }\n"
     "on rcpt { rule b foo }",
     "1:9+1 this { is never closed\n"
     "4:18+3 unknown action \"foo\""},
    {"on mail\n"
     "{\n"
     " rule a foo\n"
     "}\n"
     "limit x per usr count messages { 10/1h }",
     "1:8+1 expected \"{\", found end of line\n"
     "5:13+3 unknown limit key \"usr\" | did you mean \"user\"?"},
    {"on mail { rule a reject 'x }", "1:25+1 this text is never closed"},
    {"on mail { rule a log \"${a.b\" }", "1:23+2 this ${ is never closed"},
    {"on mail { rule a log \"${}\" }", "1:25+1 expected an attribute, found \"\""},
    {"on mail { rule a log \"${a b}\" }", "1:25+3 expected an attribute, found \"a b\""},
    {"on mail { rule a log \"${a.}\" }", "1:25+2 expected an attribute, found \"a.\""},
    {"on mail { rule a log \"ü${a!}\" }", "1:26+2 expected an attribute, found \"a!\""},
    {"on mail { rule a log \"a\\qb\\zc\" }", "1:24+2 unknown escape \\q in a text; patterns stand in '…'"},
    {"on mail { rule a ban user 30m \"x\", quarantine }",
     "1:36+10 a rule ends its phase once; \"quarantine\" comes after \"ban\""},
    {"on mail { rule a ban client 400d }", "1:29+4 ban must be from 1s to 366d, not 400d"},
    {"on mail { rule a ban client }", "1:29+1 expected a duration, found \"}\""},
    {"on mail { rule a disconnect 421 5.7.1 }", "1:33+5 5.7.1 does not fit 421; it must begin with 4"},
    {"on mail { rule a score }", "1:24+1 expected a number, found \"}\""},
    {"on mail { rule a score x }", "1:24+1 expected a number, found \"x\""},
    {"on mail { rule a charge l 0 }", "1:27+1 charge must be from 1 to 1000000, not 0"},
    {"on mail { rule a alert }", "1:24+1 expected a name, found \"}\""},
    {"on mail { rule a add-header \"X\" }", "1:33+1 expected a text, found \"}\""},
    {"on mail { rule a remove-header X }", "1:32+1 expected a text, found \"X\" | a text needs quotes"},
    {"on mail { rule 1a reject }",
     "1:16+2 expected a name for the rule, found \"1a\" | letters, digits, - and _, then the action: rule NAME reject …"},
    {"on mail { rule observe reject }", "1:16+7 \"observe\" cannot be a name"},
    {"on mail { rule a observe }", "1:26+1 expected an action, found \"}\""},
    {"on mail { rule a reject, }", "1:26+1 expected an action, found \"}\""},
    {"on mail { rule a accept 250 }", "1:25+3 expected end of line, found \"250\" | the code stands before the text"},
    {"on mail { rule a drop \"x\" }", "1:23+3 expected end of line, found \"x\""},
    {"on mail rcpt { rule a accept }", "1:9+4 expected \"{\", found \"rcpt\""},
    {"on \"mail\" { rule a accept }", "1:4+6 expected a phase, found \"mail\""},
    {"on mail { rule a accept } on rcpt { rule b accept }", "1:27+2 expected end of line, found \"on\""},
    {"on mail { limit x per user count messages { 10/1h } }",
     "1:11+5 expected \"rule\", found \"limit\" | a limit is a statement of its own, outside of on"},
    {"on mail { rule a score 0.0000001 }", "1:24+9 expected a number, found \"0.0000001\""},
    {"on mail { rule a score -1000.5 }", "1:24+7 score must be from -1000 to 1000, not -1000.5"},
};

static const char *const RIGHT[] = {
    ("on mail { rule a ban client 1h doubling to 2h \"r\", tag x 5, tag y $p, score -1.5, charge l 5, add-header \"X\" "
     "\"${sender}\", relay to p }"),
    "on mail { }",
    "on mail { rule a tag x, tag y \"z\", tag w 5, tag v $u }",
    "on mail { rule a tag x 1.5, score 0.000001 }",
};

int main(void)
{
    const struct parse_cases cases = {WRONG, COUNT_OF(WRONG), RIGHT, COUNT_OF(RIGHT)};
    return parse_cases_run(&cases);
}
