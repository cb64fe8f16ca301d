/* test_parse_condition.c - conditions, right and wrong: the whole text of every error, its place and its marker. */
#include "parse_cases.h"

static const struct parse_case WRONG[] = {
    {"on mail { rule a if x }",
     "1:18+2 expected an action, found \"if\" | the action comes first: rule NAME reject if …"},
    {"on mail { rule a reject if sender = }", "1:37+1 expected an attribute or a value, found \"}\""},
    {"on mail { rule a reject if }", "1:28+1 expected a condition, found \"}\""},
    {"on mail { rule a reject if and }", "1:28+3 expected a condition, found \"and\""},
    {"on mail { rule a reject if (sender = user }", "1:28+1 this ( is never closed"},
    {"on mail { rule a reject if (sender = user foo) }", "1:43+3 expected \")\", found \"foo\""},
    {"on mail { rule a reject if sender in }", "1:38+1 expected a table or a list, found \"}\""},
    {"on mail { rule a reject if sender in { } }", "1:40+1 expected a value, found \"}\""},
    {"on mail { rule a reject if sender in { a b } }", "1:42+1 expected \",\" or \"}\", found \"b\""},
    {"on mail { rule a reject if sender in owners[user }", "1:44+1 this [ is never closed"},
    {"on mail { rule a reject if sender in \"x\" }",
     "1:38+3 expected a table or a list, found \"x\" | a network stands without quotes, a list of texts in { }"},
    {"on mail { rule a reject if sender not x }", "1:39+1 expected \"in\", found \"x\""},
    {"on mail { rule a reject if sender is nothing }",
     "1:38+7 expected \"none\", found \"nothing\" | `is` stands only before none; compare with ="},
    {"on mail { rule a reject if sender = user = helo }", "1:42+1 expected end of line, found \"=\""},
    {"on mail { rule a reject if mail.size = 50% }", "1:40+3 expected an attribute or a value, found \"50%\""},
    {"on mail { rule a reject if client = 192.0.2.7/24 }", "1:37+12 192.0.2.7/24 has bits beyond /24"},
    {"on mail { rule a reject unless x if y }", "1:34+2 expected end of line, found \"if\" | if stands before unless"},
    {"on mail { rule a reject if header[x] = \"y\" }", "1:35+1 expected a text, found \"x\" | a text needs quotes"},
    {"on mail { rule a reject if used(if) > 3 }", "1:33+2 \"if\" cannot be a name"},
    {"on mail { rule a reject if sender = \"a\" or (user = \"b\" }", "1:44+1 this ( is never closed"},
    {"on mail { rule a reject if (sender = \"a\" ; rule b accept }", "1:28+1 this ( is never closed"},
    {"on mail { rule a reject if sender in { a b }; rule b foo }", "1:42+1 expected \",\" or \"}\", found \"b\"\n"
                                                                   "1:54+3 unknown action \"foo\""},
    {"on mail {\n"
     "  rule a reject if x in { a, b\n"
     "  rule b foo\n"
     "}\n"
     "limit x per usr count messages { 10/1h }",
     "1:9+1 this { is never closed\n"
     "3:8+1 expected \",\" or \"}\", found \"b\"\n"
     "5:13+3 unknown limit key \"usr\" | did you mean \"user\"?"},
    {"on mail { rule a reject if (x = y\n"
     " rule b foo\n"
     " }",
     "1:28+1 this ( is never closed\n"
     "2:9+3 unknown action \"foo\""},
    {"on mail { rule a reject if x[y\n"
     " rule b foo\n"
     " }",
     "1:29+1 this [ is never closed\n"
     "2:9+3 unknown action \"foo\""},
    {"on mail { rule a reject if client.port = \"smtp }", "1:42+1 this text is never closed"},
    {"on mail { rule a reject if x if y }", "1:30+2 expected end of line, found \"if\""},
    {"on mail { rule a reject if x and }", "1:34+1 expected a condition, found \"}\""},
    {"on mail { rule a reject if x or or y }", "1:33+2 expected a condition, found \"or\""},
    {"on mail { rule a reject if not }", "1:32+1 expected a condition, found \"}\""},
    {"on mail { rule a reject if () }", "1:29+1 expected a condition, found \")\""},
    {"on mail { rule a reject if x = (y) }", "1:32+1 expected an attribute or a value, found \"(\""},
    {"on mail { rule a reject if x < }", "1:32+1 expected an attribute or a value, found \"}\""},
    {"on mail { rule a reject if x ! y }", "1:30+1 unexpected character \"!\" | write not, or !="},
    {"on mail { rule a reject if x matches y }", "1:38+1 expected a text, found \"y\" | a text needs quotes"},
    {"on mail { rule a reject if x like }", "1:35+1 expected a text, found \"}\""},
    {"on mail { rule a reject if x contains 5 }", "1:39+1 expected a text, found \"5\" | a text needs quotes"},
    {"on mail { rule a reject if x under - }", "1:36+1 expected a domain, found \"-\""},
    {"on mail { rule a reject if x in 50 }", "1:33+2 expected a table or a list, found \"50\""},
    {"on mail { rule a reject if x in none }", "1:33+4 \"none\" cannot be a name"},
    {"on mail { rule a reject if x in a.b }", "1:33+3 expected a table or a list, found \"a.b\""},
    {"on mail { rule a reject if x in { \"a\" \"b\" } }", "1:39+3 expected \",\" or \"}\", found \"b\""},
    {"on mail { rule a reject if used(l > 3 }", "1:32+1 this ( is never closed"},
    {"on mail { rule a reject if used() > 3 }", "1:33+1 expected a limit, found \")\""},
    {"on mail { rule a reject if header[\"x\" = \"y\" }", "1:34+1 this [ is never closed"},
    {"on mail { rule a reject if milter[x] = \"y\" }", "1:35+1 expected a text, found \"x\" | a text needs quotes"},
    {"on mail { rule a reject if x in m[] }", "1:35+1 expected an attribute or a value, found \"]\""},
    {"on mail { rule a reject if 10/1h }", "1:28+5 expected a condition, found \"10/1h\""},
    {"on mail { rule a reject if 2026-01-05T12:00 = now }", "1:28+16 expected a condition, found \"2026-01-05T12:00\""},
    {"on mail { rule a accept if x }; }", "1:33+1 expected a statement, found \"}\""},
    {"on mail { rule a accept if x[[y]] = \"z\" }", "1:30+1 expected an attribute or a value, found \"[\""},
};

static const char *const RIGHT[] = {
    "on mail { rule a reject # comment\n"
    " if x # c\n"
    "\n"
    " # c\n"
    " and y\n"
    " unless z }",
    "on mail { rule a reject,\n"
    " log if x =\n"
    " y and\n"
    " z }",
    "on mail { rule a reject if not not (a or b and c) and d is none }",
    "on mail { rule a quarantine if header[\"x\"] = \"y\" and header.count[\"x\"] > 1 or milter[\"m\"] = \"accept\" "
    "and used(l) > 5 and left(l) < 1 }",
    "on mail { rule a reject if now in 08:00-18:00 and weekday in { mon, tue } and x in 10.0.0.0/8 and y in $p and z "
    "in t and q in m[user] and c in 1.2.3.4-1.2.3.9 }",
    "on mail { rule a reject if sender.domain under example.org or x under \"y\" or z under $p or a like \"*.b\" or b "
    "contains \"c\" }",
    "on mail { rule a reject if sender = example.org }",
    "on mail { rule a reject if sender = foo@example.org }",
    "on connect { rule a drop if client in nets or client in { 10.0.0.0/8, ::1 } }",
    "on rcpt { rule a defer 450 4.7.1 \"x ${rcpt} $y\" unless tag.a or tag.b = \"c\"; rule b observe reject }",
    "on mail { rule a reject if sender is none and user is none }",
    "on mail { rule a reject\n"
    " if x\n"
    " and y\n"
    " unless z\n"
    " or w }",
    "on mail { rule a reject if (x\n"
    " = y\n"
    " ) and z[\n"
    " w\n"
    " ] is none }",
    "on mail { rule a reject if x not in {\n"
    " a\n"
    " b\n"
    " } }",
    "on mail { rule a reject if true and not off or session.age < 1h30m or now >= 08:30 or mail.size > 10M }",
};

int main(void)
{
    const struct parse_cases cases = {WRONG, COUNT_OF(WRONG), RIGHT, COUNT_OF(RIGHT)};
    return parse_cases_run(&cases);
}
