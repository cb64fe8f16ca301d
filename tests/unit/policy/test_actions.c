/* test_actions.c - every action of RULES.md "Rules", every setting and expectation that shows what it did (GRAMMAR.md 4
 * and 5). */
#include "blocks.h"

static const struct block_case BANS[] = {
    {"a ban at each phase answers as that does, and ends the session",
     "on connect { rule c ban client 1h if client = 192.0.2.10 }\n"
     "on helo { rule h ban client 1h if helo = \"bad.example\" }\n"
     "on auth { rule a ban user 1h if auth.user = \"a\" }\n"
     "on login { rule l ban user 1h if user = \"l\" }\n"
     "on mail { rule m ban network 1h \"go away\" if sender = \"m@x.example\" }\n"
     "on message { rule z ban client 1h if message.size > 5K }\n",
     "test \"c\" { client 192.0.2.10 expect ban at connect by c wait 59m expect ban at connect by c wait 2m\n"
     "client 192.0.2.10 expect ban by c client 192.0.2.11 expect accept }\n"
     "test \"h\" { helo bad.example expect ban 421 4.7.0 at helo by h \"Refused by rule\" helo x.example expect ban at "
     "connect by h }\n"
     "test \"a\" { user a expect ban 535 5.7.8 at auth by a expect ban at auth user b expect accept user a\n"
     "client 198.51.100.1 expect ban 535 5.7.8 at auth by a \"Banned by rule\" }\n"
     "test \"l\" { user l expect ban 535 5.7.8 at login by l client 198.51.100.1 expect ban 535 at auth by l }\n"
     "test \"m\" { mail from m@x.example expect ban 421 4.7.0 at mail by m \"go away\" mail from n@x.example\n"
     "expect ban at connect by m client 192.0.2.200 expect ban at connect by m client 192.0.3.1 expect accept }\n"
     "test \"z\" { size 6K expect ban 421 at message by z }",
     ""},
    {"it doubles with each repeat within a week, up to its most",
     "on helo { rule h ban client 1h doubling to 3h if helo = \"bad.example\" }\n",
     "test \"x\" { helo bad.example expect ban at helo wait 61m helo bad.example expect ban at helo\n"
     "wait 119m expect ban at connect wait 2m expect ban at helo wait 179m expect ban at connect wait 2m\n"
     "expect ban at helo wait 200h helo x expect accept helo bad.example expect ban at helo wait 61m helo x expect "
     "accept }",
     ""},
    {"a session that has ended sends nothing more; the next message meets the ban",
     "on rcpt { rule r ban client 1h if rcpt = \"trap@example.net\" }\n",
     "test \"x\" { rcpt to a@example.net, trap@example.net, b@example.net send 3 messages expect 0 accepted\n"
     "expect ban at connect by r }",
     ""},
    {"who was not banned is said", "on mail { rule m reject }\n", "test \"x\" { expect ban by m }",
     "2:12+6 test \"x\": expected ban by m, got reject 550 at mail by m | the reply: 550 5.7.1 Refused by rule \"m\""},
    {"two tests know nothing of each other's bans", "on helo { rule h ban client 1h if helo = \"bad.example\" }\n",
     "test \"x\" { helo bad.example expect ban }\ntest \"y\" { expect accept }", ""},
    {"all actions of a rule happen, before it ends the phase",
     "on mail { rule m tag a \"1\", ban client 1h, tag b \"2\" }\n",
     "test \"x\" { expect ban 421 at mail by m expect tag a \"1\" expect tag b \"2\" }", ""},
};

static const struct block_case TARPITS[] = {
    {"delays add up, over the connection and the mail",
     "on connect { rule c tarpit 1s }\non helo { rule h tarpit 500ms }\n"
     "on rcpt { rule r tarpit 2s if rcpt.domain = \"slow.example\" }\non message { rule m tarpit 1m if mail.size > 2K "
     "}\n",
     "test \"x\" { expect tarpit 1s500ms expect accept rcpt to a@slow.example, b@slow.example expect tarpit 5s500ms\n"
     "send 3 messages expect tarpit 5s500ms connect 1 time expect tarpit 1s rcpt to c@d.example size 3K\n"
     "expect tarpit 1m1s500ms }",
     ""},
    {"no more than a minute for a command", "on data { rule a tarpit 40s; rule b tarpit 40s }\n",
     "test \"x\" { expect tarpit 1m }", ""},
    {"a refusal is delayed, too", "on mail { rule m tarpit 5s, reject }\n",
     "test \"x\" { expect reject at mail expect tarpit 5s }", ""},
    {"what it was is said", "on mail { rule m tarpit 1500ms }\n",
     "test \"a\" { expect tarpit 2m }\ntest \"b\" { mail from <> expect tarpit 250ms }",
     "2:12+6 test \"a\": expected tarpit 2m, got 1s500ms\n"
     "3:25+6 test \"b\": expected tarpit 250ms, got 1s500ms"},
    {"none at all", "on mail { rule m log }\n", "test \"a\" { expect tarpit 5s }",
     "2:12+6 test \"a\": expected tarpit 5s, got 0s"},
};

static const struct block_case SCORES[] = {
    {"it adds up, fractions and all, and is known from the next rule on",
     "on connect { rule a score 1.5; rule b score 2 if score = 1.5 }\n"
     "on mail { rule c score -0.25; rule d tag score \"${score}\", reject if score > 3.2 and score < 3.3 }\n",
     "test \"x\" { expect reject by d expect tag score \"3.25\" }", ""},
    {"that of a mail is its own, that of the connection stays",
     "on helo { rule a score 1 }\non mail { rule b score 5; rule c reject if score != 6 }\n",
     "test \"x\" { send 3 messages expect accept }", ""},
    {"below nothing", "on mail { rule a score -1000; rule b reject if score < -999.5 and score >= -1000 }\n",
     "test \"x\" { expect reject by b }", ""},
};

static const struct block_case HEADERS[] = {
    {"what is known of a header",
     "on header { rule a reject unless header[\"Subject\"] = \"a b\" and header.count[\"x-y\"] = 2 and\n"
     " header[\"X-Y\"] = \"1\" and header.from = \"al@a.example\" and header.from.domain = \"a.example\" and\n"
     " header.lines = 4 and header.size = 55 and header[\"No\"] is none and header.count[\"No\"] = 0 }\n",
     "test \"x\" { header \"From\" \"Al <al@a.example>\" header \"Subject\" \"a b\" header \"X-Y\" \"1\" header "
     "\"X-Y\" "
     "\"2\"\n"
     "expect accept }",
     ""},
    {"the default From is the sender; a second From is one more",
     "on header { rule a reject unless header.from = sender }\n",
     "test \"x\" { expect accept user bob expect accept mail from x@y.example expect accept\n"
     "header \"from\" \"other@y.example\" expect reject by a header \"From\" \"x@y.example\" expect reject by a }\n"
     "test \"y\" { mail from <> expect reject by a }",
     ""},
    {"refused in the header, or at the end: nothing of it is counted",
     "limit l per global count messages { 5/1h }\n"
     "on header { rule h reject \"no ${header.from}\" if header[\"Subject\"] contains \"win\"; rule q quarantine if "
     "header[\"X\"] = \"q\" }\n"
     "on message { rule m defer if message.size > 2K and header[\"Subject\"] is none }\n",
     "test \"h\" { header \"Subject\" \"You Win\" expect reject 550 5.7.1 at header by h \"no sender@example.com\" "
     "expect count l 0 }\n"
     "test \"q\" { header \"X\" \"q\" expect reject 550 5.7.1 at header by q \"Message refused\" }\n"
     "test \"m\" { size 3K expect defer 451 4.7.1 at message by m expect count l 0 size 2K expect accept expect count "
     "l "
     "1 }",
     ""},
    {"edits, as the mail goes on",
     "on mail { rule a add-header \"X-User\" \"${user}\" if authenticated }\n"
     "on rcpt { rule b add-header \"X-To\" \"${rcpt}\" }\n"
     "on header { rule c remove-header \"x-spam\" if header[\"X-Spam\"] = \"no\"\n"
     " rule d add-header \"X-Seen\" \"a\\nb\" }\n",
     "test \"x\" { expect header \"X-To\" \"r1@example.net\" expect header \"x-seen\" \"ab\" expect header \"From\" "
     "\"<sender@example.com>\"\n"
     "user u rcpt to a@b.example, c@d.example header \"X-Spam\" \"yes\" expect header \"X-User\" \"u\" expect header "
     "\"X-To\" \"c@d.example\"\n"
     "expect header \"X-Spam\" }\n"
     "test \"y\" { header \"X-Spam\" \"no\" expect header \"X-Spam\" }\n"
     "test \"z\" { expect header \"X-To\" \"r2@example.net\" }",
     "8:33+6 test \"y\": expected header \"X-Spam\", got accept | it has no such header\n"
     "9:12+6 test \"z\": expected header \"X-To\" \"r2@example.net\", got accept | its value is \"r1@example.net\""},
    {"what is missing", "on data { rule a add-missing if authenticated }\n",
     "test \"x\" { user alice header \"From\" \"boss@example.org\" expect header \"Date\" \"Mon, 5 Jan 2026 12:00:00 "
     "+0000\" expect header \"Message-ID\"\n"
     "expect header \"Sender\" \"alice@example.org\" }\n"
     "test \"y\" { user alice expect header \"Sender\" }\n"
     "test \"z\" { expect header \"Date\" }",
     "4:23+6 test \"y\": expected header \"Sender\", got accept | it has no such header\n"
     "5:12+6 test \"z\": expected header \"Date\", got accept | it has no such header"},
    {"one recipient's header is added once, whoever else it is for",
     "on rcpt { rule a add-header \"X-A\" \"1\"; rule b remove-header \"X-A\" if rcpt = \"b@x.example\" }\n",
     "test \"x\" { rcpt to a@x.example, c@x.example expect header \"X-A\" \"1\" rcpt to a@x.example, b@x.example\n"
     "expect header \"X-A\" }",
     "3:1+6 test \"x\": expected header \"X-A\", got accept | it has no such header"},
    {"what was refused did not go on", "on mail { rule m reject }\n", "test \"x\" { expect header \"From\" }",
     "2:12+6 test \"x\": expected header \"From\", got reject 550 at mail by m | it did not go on to the MTA"},
    {"the MTA's answer",
     "on result { rule a tag code \"${result.code} ${result.text}\" if result.code < 300 }\n"
     "on rcpt { rule c reject if rcpt = \"no@x.example\" }\n",
     "test \"x\" { expect tag code \"250 Ok\" rcpt to no@x.example expect tag code }",
     "3:58+6 test \"x\": expected tag code, got reject 550 at rcpt by c | it does not bear the tag"},
};

static const struct block_case LOOKUPS[] = {
    {"what is said of the client",
     "dnsbl zen \"zen.example\"\ndnsbl other \"other.example\"\n"
     "on connect { rule a reject if client in zen; rule b reject if client in other\n"
     " rule c reject if client.name under example.net; rule d reject if client.country in { xx, yy } }\n",
     "test \"x\" { expect accept name mail.example.net expect reject by c name mail.example.org expect accept\n"
     "country XX expect reject by d country DE expect accept dnsbl other listed expect reject by b\n"
     "dnsbl zen listed expect reject by a }\n"
     "test \"y\" { expect accept }",
     ""},
};

static const struct block_case LOGINS[] = {
    {"ten guesses are looked at, the eleventh attempt is refused; a password tried before costs nothing",
     "limit guessing per client count guesses { 10/15m }\n",
     "test \"x\" { user u fail 10 logins expect accept expect count guessing 10 fail 1 login expect defer 454 4.7.0 at "
     "auth by guessing }\n"
     "test \"y\" { user u fail 500 logins with 3 passwords expect accept expect count guessing 3 fail 20 logins\n"
     "expect 7 accepted }\n"
     "test \"z\" { user u fail 40 logins over 2h expect accept }",
     ""},
    {"who guesses is banned, and comes no further",
     "limit guessing per network count guesses { 3/15m at 100% ban network 1h }\n",
     "test \"x\" { user u fail 3 logins expect accept fail 1 login expect ban 535 5.7.8 at auth by guessing\n"
     "expect ban at auth expect accept }\n"
     "test \"y\" { user u fail 4 logins client 192.0.2.9 expect ban at connect by guessing client 192.0.3.9 expect "
     "accept }",
     "3:20+6 test \"x\": expected accept, got ban 535 at auth by guessing | the reply: 535 5.7.8 guessing: 3 per 15m "
     "used up, 4 with this attempt; try again in 15m57s"},
    {"failures of all kinds, and a login that is right costs nothing",
     "limit failures per user, client count auth-failures { 5/1h }\n",
     "test \"x\" { user u fail 5 logins with 1 password expect accept expect count failures 5 fail 1 login\n"
     "expect defer by failures user v send 9 messages expect accept expect count failures 0 }",
     ""},
    {"rules of auth see the name that was given", "on auth { rule a reject if auth.user = \"root\" }\n",
     "test \"x\" { user root fail 2 logins expect reject 535 5.7.8 at auth by a expect 0 accepted }", ""},
};

static const struct block_case OBSERVED[] = {
    {"it says what it would do, and does nothing",
     "on connect { rule c observe drop }\n"
     "on mail { rule m observe reject 553 5.1.8 \"not ${sender}\"; rule t observe tarpit 5s, ban client 1h }\n"
     "on rcpt { rule r observe defer if rcpt.domain = \"r.example\" }\n",
     "test \"x\" { send 3 messages expect accept expect tarpit 1ms }\n"
     "test \"y\" { send 3 messages expect would drop at connect by c expect would reject 553 5.1.8 at mail by m \"not "
     "sender\"\n"
     "expect would ban 421 at mail by t expect would defer by r }\n"
     "test \"z\" { rcpt to a@r.example expect would defer 450 at rcpt by r expect reject by m }",
     "4:42+6 test \"x\": expected tarpit 1ms, got 0s\n"
     "6:35+6 test \"y\": expected would defer by r, got would drop at connect by c\n"
     "7:68+6 test \"z\": expected reject by m, got accept"},
    {"observed limits count", "limit l per global count messages { 2/1h observe }\n",
     "test \"x\" { send 3 messages expect accept expect count l 3 expect would defer 451 at data by l }\n"
     "test \"y\" { send 2 messages expect would defer by l }",
     "3:28+6 test \"y\": expected would defer by l, got accept"},
};

#define TABLE_TEST(name, cases)                                                                                        \
    static void name(void **state)                                                                                     \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        check_blocks(cases, COUNT_OF(cases));                                                                          \
    }
TABLE_TEST(bans, BANS)
TABLE_TEST(tarpits, TARPITS)
TABLE_TEST(scores, SCORES)
TABLE_TEST(headers, HEADERS)
TABLE_TEST(lookups, LOOKUPS)
TABLE_TEST(logins, LOGINS)
TABLE_TEST(observed, OBSERVED)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bans),    cmocka_unit_test(tarpits), cmocka_unit_test(scores),   cmocka_unit_test(headers),
        cmocka_unit_test(lookups), cmocka_unit_test(logins),  cmocka_unit_test(observed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
