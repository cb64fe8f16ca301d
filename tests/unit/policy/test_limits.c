/* test_limits.c - every unit, key, threshold, override and part of limits, as `test` blocks see them: the real engine
 * over a virtual clock (RULES.md "Limits", GRAMMAR.md 4). */
#include "blocks.h"
#include "policy/test_block.h"

struct limit_case {
    const char *name;
    const char *rules;
    const char *test; /* what stands in the block; all of it is met */
};

/* ---- whose count ---- */

static const struct limit_case KEYS[] = {
    {"user.domain: all users of a domain together", "limit l per user.domain count messages { 2/1h }",
     "user a@x.org send 1 message user b@X.ORG send 1 message user c@x.org expect defer by l\n"
     "user a@y.org expect accept user a expect accept"},
    {"user: letter case does not count", "limit l per user count messages { 1/1h }",
     "user Alice@x.org send 1 message user alice@X.org expect defer by l user alice@y.org expect accept"},
    {"user: a +tag is another login", "limit l per user count messages { 1/1h }",
     "user a@x.org send 1 message user a+b@x.org expect accept"},
    {"sender: neither case nor +tag counts", "limit l per sender count messages { 1/1h }",
     "mail from bob@x.org send 1 message mail from Bob+news@X.org expect defer by l\n"
     "mail from bob@y.org expect accept"},
    {"sender: the null sender is nobody", "limit l per sender count messages { 1/1h }",
     "mail from <> send 3 messages expect accept expect count l 0"},
    {"sender.domain", "limit l per sender.domain count messages { 1/1h }",
     "mail from a@x.org send 1 message mail from b@X.org expect defer by l mail from b@sub.x.org expect accept"},
    {"sender.domain: U-label and A-label are one", "limit l per sender.domain count messages { 1/1h }",
     "mail from a@xn--bcher-kva.example send 1 message mail from a@b\303\274cher.example expect defer by l"},
    {"listener", "limit l per listener count messages { 1/1h }",
     "send 1 message listener smtp expect accept listener submission expect defer by l"},
    {"global", "limit l per global count messages { 1/1h }",
     "send 1 message client 2001:db8::1 user a expect defer by l"},
    {"client: an IPv6 /64 is one", "limit l per client count messages { 1/1h }",
     "client 2001:db8::1 send 1 message client 2001:db8::ffff:2 expect defer by l client 2001:db8:0:1::1 expect "
     "accept"},
    {"network: IPv4 /24, IPv6 /56", "limit l per network count messages { 1/1h }",
     "client 192.0.2.1 send 1 message client 192.0.2.200 expect defer by l client 192.0.3.1 expect accept\n"
     "client 2001:db8::1 send 1 message client 2001:db8:0:ff::1 expect defer by l\n"
     "client 2001:db8:0:100::1 expect accept"},
    {"rcpt: each has a count; neither case nor +tag counts", "limit l per rcpt count messages { 1/1h }",
     "rcpt to a@x.org, b@x.org send 1 message rcpt to c@x.org expect accept rcpt to d@x.org, A+t@X.org\n"
     "expect defer by l rcpt to d@x.org expect accept"},
    {"rcpt: all or nothing, whichever of them is full", "limit l per rcpt count messages { 1/1h }",
     "rcpt to a@x.org send 1 message rcpt to a@x.org, b@x.org, c@x.org expect defer by l\n"
     "rcpt to b@x.org, c@x.org expect accept"},
    {"rcpt.domain: so many recipients there", "limit l per rcpt.domain count recipients { 3/1h }",
     "rcpt to a@x.org, b@X.org, c@y.org send 1 message rcpt to d@x.org, e@x.org expect defer by l\n"
     "rcpt to d@x.org expect accept rcpt to d@y.org, e@y.org expect accept rcpt to f@y.org expect defer by l"},
    {"rcpt.domain: once for a mail", "limit l per rcpt.domain count messages { 1/1h }",
     "rcpt to a@x.org, b@x.org expect accept rcpt to c@x.org expect defer by l"},
    {"rcpt.domain: those of a condition only",
     "limit l per rcpt.domain count recipients { 1/1h unless rcpt.local = \"postmaster\" }",
     "rcpt to postmaster@x.org, a@x.org send 1 message rcpt to postmaster@x.org expect accept\n"
     "rcpt to postmaster@x.org, b@x.org expect defer by l"},
    {"joint keys need all parts", "limit l per user, sender.domain count messages { 1/1h }",
     "user a mail from a@x.org send 1 message mail from b@y.org expect accept mail from b@x.org expect defer by l\n"
     "user b mail from b@x.org expect accept mail from <> send 3 messages expect accept"},
    {"user and recipient", "limit l per user, rcpt count messages { 1/1h }",
     "user a rcpt to x@x.org send 1 message user b expect accept user a expect defer by l rcpt to y@x.org expect "
     "accept"},
};

/* ---- what is counted ---- */

static const struct limit_case UNITS[] = {
    {"distinct-recipients: the same again costs nothing", "limit l per user count distinct-recipients { 3/1h }",
     "user a rcpt to a@x.org, b@x.org send 5 messages expect accept expect count l 2\n"
     "rcpt to A+t@x.org, c@x.org expect accept expect count l 3 rcpt to d@x.org expect defer 451 at data by l\n"
     "rcpt to a@x.org, b@x.org, c@x.org expect accept wait 2h rcpt to d@x.org expect accept"},
    {"distinct-recipients: more than all is refused for good", "limit l per user count distinct-recipients { 3/1h }",
     "user a send 1 message to 4 recipients expect reject 552 5.7.1 by l \"parts of at most 3\"\n"
     "send 1 message to 3 recipients expect accept"},
    {"distinct-recipients: those of a condition",
     "limit l per user count distinct-recipients { 2/1h unless rcpt.domain = \"in.org\" }",
     "user a rcpt to a@in.org, b@in.org, c@in.org, a@out.org send 1 message expect accept expect count l 1\n"
     "rcpt to b@out.org, d@in.org expect accept rcpt to c@out.org expect defer by l"},
    {"distinct-recipients of each domain", "limit l per rcpt.domain count distinct-recipients { 2/1h }",
     "rcpt to a@x.org, b@x.org, a@y.org send 1 message expect accept rcpt to c@x.org expect defer by l\n"
     "rcpt to c@y.org, a@x.org expect accept"},
    {"a refused mail leaves no recipients behind",
     "limit m per user count messages { 1/1h }\nlimit l per user count distinct-recipients { 2/1h }",
     "user a rcpt to a@x.org send 1 message rcpt to b@x.org expect defer by m expect count l 1"},
    {"distinct-networks: at login, 454", "limit l per user count distinct-networks { 2/1d }",
     "user a client 192.0.2.1 send 1 message client 192.0.2.99 send 1 message client 198.51.100.1 send 1 message\n"
     "expect accept expect count l 2 client 203.0.113.1 expect defer 454 4.7.0 at login by l\n"
     "client 192.0.2.5 expect accept user b client 203.0.113.1 expect accept"},
    {"distinct-countries", "limit l per user count distinct-countries { 1/1d }",
     "user a client 192.0.2.1 country DE send 1 message client 198.51.100.1 expect accept\n"
     "country FR expect defer 454 at login by l country DE expect accept"},
    {"distinct-countries: who has none is nowhere else", "limit l per user count distinct-countries { 1/1d }",
     "user a country DE send 1 message client 198.51.100.1 country FR expect defer by l"},
    {"auth-failures: ten wrong passwords are looked at, the eleventh attempt is not",
     "limit l per client count auth-failures { 10/15m }",
     "user a fail 10 logins expect count l 10 fail 1 login expect defer 454 4.7.0 at auth by l expect count l 10\n"
     "expect defer 454 at auth by l client 192.0.2.2 expect accept"},
    {"auth-failures: a right password costs nothing", "limit l per client count auth-failures { 2/15m }",
     "user a send 5 messages expect accept expect count l 0 fail 1 login send 3 messages expect accept"},
    {"auth-failures: who keeps trying is let in again when it was said",
     "limit l per client count auth-failures { 2/16m }",
     "user a fail 2 logins fail 50 logins over 15m expect count l 2 wait 3m expect accept"},
    {"guesses: one stale password is one guess", "limit l per client count guesses { 3/15m }",
     "user a fail 20 logins with 1 password expect count l 1 fail 2 logins expect count l 3\n"
     "fail 1 login expect defer 454 at auth by l"},
    {"guesses: the same for another user is another", "limit l per client count guesses { 9/15m }",
     "user a fail 3 logins with 1 password user b fail 3 logins with 1 password expect count l 2"},
    {"failed-users", "limit l per client count failed-users { 2/15m }",
     "user a fail 5 logins user B fail 2 logins user b fail 1 login expect count l 2\n"
     "user c expect defer 454 at auth by l user a expect accept"},
    {"per user at auth is the name that was given", "limit l per user, client count auth-failures { 1/15m }",
     "user a fail 1 login user A expect defer at auth by l user b expect accept user a client 192.0.2.2 expect accept"},
    {"refusals: by rules and limits; then MAIL is refused, and that is not counted",
     "limit l per client count refusals { 3/10m }\non rcpt { rule no reject if rcpt.local = \"trap\" }",
     "rcpt to trap@x.org send 3 messages expect reject by no expect count l 3 rcpt to a@x.org expect accept\n"
     "rcpt to trap@x.org expect reject by no expect count l 4 rcpt to a@x.org send 5 messages\n"
     "expect defer 450 4.7.1 at mail by l expect count l 4 wait 11m expect accept"},
    {"refusals: drop is none, tags are none", "limit l per client count refusals { 3/10m }\non mail { rule d drop }",
     "send 3 messages expect drop expect count l 0"},
    {"charges", "limit l per user count charges { 10/1h }\non mail { rule big charge l 4 if mail.size > 1K }",
     "user a size 2K send 2 messages expect accept expect count l 8 size 1K send 5 messages expect count l 8\n"
     "size 2K expect defer 450 4.7.1 at mail by l expect count l 12 size 1K expect defer 450 at mail by l \"by now\"\n"
     "user b expect accept wait 2h user a size 2K expect accept"},
    {"charges: by default one", "limit l per client count charges { 2/1h }\non helo { rule h charge l }",
     "connect 1 time send 1 message send 1 message expect accept expect count l 2 send 1 message\n"
     "expect defer 450 at helo by l"},
    {"charges of each recipient", "limit l per rcpt.domain count charges { 2/1h }\non rcpt { rule r charge l }",
     "rcpt to a@x.org, b@x.org, a@y.org send 1 message expect accept rcpt to c@x.org expect defer at rcpt by l\n"
     "rcpt to b@y.org expect accept"},
    {"charges of a limit with a condition",
     "limit l per user count charges { 1/1h if sender.domain = \"x.org\" }\non mail { rule r charge l }",
     "user a mail from a@y.org send 5 messages expect accept mail from a@x.org send 1 message expect accept\n"
     "send 1 message expect defer by l"},
    {"bytes: by their real size, in KiB begun", "limit l per user count bytes { 10K/1h }",
     "user a size 3K send 3 messages expect accept expect count l 9216 size 2K expect defer 451 at data by l\n"
     "size 1K expect accept size 11K expect reject 552 by l"},
    {"open-connections and connections: deferred, and closed",
     "limit o per client count open-connections { 2 }\nlimit c per client count connections { 5/1m }",
     "connect 3 times expect 2 accepted expect defer 421 4.7.0 at connect by o connect 3 times over 1s expect accept\n"
     "connect 1 time expect defer 421 at connect by c"},
};

/* ---- thresholds ---- */

#define AT(thresholds) "limit l per user count messages { 10/1h " thresholds " }\n"

static const struct limit_case THRESHOLDS[] = {
    {"by default: at 100% defer", AT(""),
     "user a send 10 messages expect accept send 1 message expect defer 451 4.7.1 at data by l"},
    {"something stands at 100%: no default", AT("at 100% tag full"),
     "user a send 10 messages expect accept send 5 messages expect accept expect tag full"},
    {"something refuses elsewhere: no default", AT("at 120% reject"),
     "user a send 12 messages expect accept send 1 message expect reject 550 5.7.1 at data by l \"12 per 1h used up, "
     "13 with\""},
    {"nothing refuses, nothing stands at 100%: the default is added", AT("at 50% tag half \"yes\""),
     "user a send 5 messages expect accept send 1 message expect tag half \"yes\" send 4 messages expect accept\n"
     "send 1 message expect defer by l"},
    {"a threshold below is the limit", AT("at 50% defer"),
     "user a send 5 messages expect accept send 1 message expect defer by l"},
    {"its own code and text", AT("at 100% reject 554 5.7.0 \"${user} sent too much\""),
     "user a send 10 messages expect accept send 1 message expect reject 554 5.7.0 at data by l \"a sent too much\""},
    {"its own code alone: the rest is the phase's, the words are the limit's", AT("at 100% defer 452"),
     "user a send 10 messages expect accept send 1 message expect defer 452 4.7.1 at data by l \"l: 10 per 1h used up, "
     "11 with this mail; try\""},
    {"its own text alone", AT("at 100% defer \"Come back later\""),
     "user a send 10 messages expect accept send 1 message expect defer 451 4.7.1 at data by l \"Come back later\""},
    {"what alone is too much: for good, whatever a defer says",
     "limit l per user count recipients { 3/1h at 100% defer \"Come back later\" }",
     "user a send 1 message to 4 recipients expect reject 552 5.7.1 at data by l \"send it in parts of at most 3\""},
    {"… but not where it is rejected anyway", "limit l per user count recipients { 3/1h at 100% reject \"No\" }",
     "user a send 1 message to 4 recipients expect reject 550 5.7.1 at data by l \"No\""},
    {"disconnect", AT("at 100% disconnect"),
     "user a send 10 messages expect accept send 1 message expect disconnect 421 4.7.0 at data by l"},
    {"drop", AT("at 100% drop"), "user a send 10 messages expect accept send 1 message expect drop at data by l"},
    {"ban: the session ends, and the client is kept out", AT("at 100% ban client 1h"),
     "user a send 10 messages expect accept send 1 message expect ban 421 4.7.0 at data by l user a expect ban at "
     "connect by l\n"
     "client 192.0.2.2 user b expect accept client 192.0.2.1 expect ban by l wait 2h expect accept"},
    {"tarpits add up, in ascending order, up to what refuses",
     AT("at 80% tarpit 5s at 50% tarpit 2s at 100% tarpit 20s, defer"),
     "user a send 5 messages expect tarpit 0s send 1 message expect tarpit 2s send 3 messages expect tarpit 7s\n"
     "send 1 message expect tarpit 7s send 1 message expect defer by l expect tarpit 27s"},
    {"percentages of small counts are rounded down", "limit l per user count messages { 3/1h at 50% tag half }",
     "user a send 1 message expect accept send 1 message expect tag half"},
    {"every window passes its thresholds", "limit l per user count messages { 10/1h, 2/1m at 100% tag full }",
     "user a send 2 messages send 1 message expect tag full"},
    {"two limits: what refuses names itself",
     "limit a per user count messages { 2/1h }\nlimit b per user count recipients { 2/1h at 100% reject }",
     "user a send 2 messages expect accept send 1 message expect defer by a user b send 1 message to 3 recipients "
     "expect reject by b"},
    {"observed: counts, and only says what it would do",
     "limit l per user count messages { 1/1h at 100% reject 554 observe }",
     "user a send 3 messages expect accept send 1 message expect would reject 554 at data by l expect count l 4"},
    {"observed by name, and with its include's rules", "limit l per user count messages { 1/1h }\nobserve l",
     "user a send 3 messages expect accept send 1 message expect would defer 451 by l \"1 per 1h used up, 4 with this "
     "mail\""},
    {"disabled: it is gone",
     "limit l per user count messages { 1/1h }\nlimit p per user count charges { 1/1h }\n"
     "on mail { rule r reject if used(l) is none; rule c charge p; rule x reject }\ndisable l r p x",
     "user a send 3 messages expect accept expect count l 0 expect count p 0"},
    {"of a login: refused before the password is looked at",
     "limit l per client count auth-failures { 2/1h at 50% tarpit 3s at 100% defer 454 4.7.1 \"Enough\" }",
     "user a fail 1 login expect tarpit 0s fail 1 login expect tarpit 3s fail 1 login\n"
     "expect defer 454 4.7.1 at auth by l \"Enough\""},
    {"ban at auth: RULES.md's first example",
     "limit guessing per network count guesses { 10/15m at 100% ban network 15m doubling to 24h }",
     "user a fail 10 logins expect count guessing 10 fail 1 login expect ban 535 at auth by guessing\n"
     "client 192.0.2.77 expect ban at connect by guessing wait 16m expect accept"},
    {"of events: the highest that the count is above acts",
     "limit l per client count charges { 2/1h at 100% defer at 200% disconnect }\non mail { rule r charge l }",
     "send 2 messages expect accept send 1 message expect defer at mail by l send 1 message expect defer at mail by l\n"
     "send 1 message expect disconnect 421 at mail by l"},
    {"of events: a ban acts once",
     "limit l per client count charges { 1/1h at 100% ban user 1h }\n"
     "on mail { rule r charge l }",
     "user a send 1 message expect accept send 1 message expect ban 421 at mail by l user a expect ban 535 at auth by "
     "l\n"
     "user b expect accept"},
    {"of refusals: the reply is the rule's, but the session ends",
     "limit l per client count refusals { 1/1h at 100% disconnect \"Enough\" }\non mail { rule r reject 553 \"No\" }",
     "send 1 message expect reject 553 by r send 1 message expect disconnect 421 at mail by l \"Enough\""},
};

/* ---- overrides ---- */

static const struct limit_case OVERRIDES[] = {
    {"more for some, none for others, the limit's own for all else",
     "table quotas map { bulk@x.org { 5/1h, 6/1d }, boss@x.org none, @y.org 1/1h }\n"
     "limit l per user count messages { 2/1h overrides quotas }",
     "user Bulk@x.org send 5 messages expect accept send 1 message expect defer by l \"5 per 1h\" wait 2h send 1 "
     "message expect "
     "accept\n"
     "send 1 message expect defer by l \"6 per 1d\" user boss@x.org send 50 messages expect accept expect count l 0\n"
     "user a@y.org send 1 message expect accept send 1 message expect defer by l user a@x.org send 2 messages expect "
     "accept\n"
     "send 1 message expect defer by l \"2 per 1h\""},
    {"percentages are of the overriding rates",
     "table q map { a 10/1h }\nlimit l per user count messages { 2/1h at 50% tag half at 100% defer overrides q }",
     "user a send 5 messages send 1 message expect tag half user b send 1 message send 1 message expect tag half"},
    {"bytes", "table q map { a 4K/1h }\nlimit l per user count bytes { 1M/1h overrides q }",
     "user a send 4 messages expect accept send 1 message expect defer by l"},
    {"open connections",
     "table q map { 192.0.2.9 4, 2001:db8::/64 none }\n"
     "limit l per client count open-connections { 1 overrides q }",
     "client 192.0.2.9 connect 5 times expect 4 accepted client 192.0.2.8 connect 2 times expect 1 accepted\n"
     "client 2001:db8::5 connect 9 times expect accept"},
    {"networks, domains, listeners, all",
     "table q map { 192.0.2.0/24 2/1h, x.org 3/1h, smtp 4/1h, global 5/1h }\n"
     "limit n per network count messages { 1/1h overrides q }\n"
     "limit d per sender.domain count messages { 1/1h overrides q }\n"
     "limit l per listener count messages { 1/1h overrides q }\n"
     "limit g per global count messages { 1/1h overrides q }",
     "listener smtp mail from a@x.org client 192.0.2.1 send 2 messages expect accept send 1 message expect defer by n\n"
     "client 192.0.2.1 wait 2h client 198.51.100.1 expect accept send 1 message expect defer by n"},
    {"of each recipient", "table q map { a@x.org 3/1h }\nlimit l per rcpt count messages { 1/1h overrides q }",
     "rcpt to a@x.org send 3 messages expect accept rcpt to b@x.org send 1 message expect accept send 1 message expect "
     "defer by l\n"
     "rcpt to a@x.org expect defer by l"},
};

/* ---- used() and left() ---- */

static const struct limit_case COUNTS[] = {
    {"without this mail",
     "limit l per user count messages { 5/1h }\n"
     "on mail { rule r tag n \"${user}\", reject 553 if used(l) >= 3; rule s tag few if left(l) < 5 }",
     "user a send 1 message expect accept send 1 message expect tag few send 1 message expect accept\n"
     "send 1 message expect reject 553 by r user b expect accept"},
    {"of the window with least left",
     "limit l per user count messages { 100/1h, 2/1m }\n"
     "on mail { rule r reject if left(l) = 0; rule s tag t if left(l) = 98 }",
     "user a send 2 messages expect accept send 1 message expect reject by r wait 2m send 1 message expect accept"},
    {"none where it does not apply",
     "limit l per user count messages { 5/1h if sender.domain = \"x.org\" }\n"
     "on mail { rule r reject if used(l) is none }",
     "expect reject by r user a mail from a@y.org expect reject by r mail from a@x.org expect accept"},
    {"none where an override says so",
     "table q map { boss none }\nlimit l per user count messages { 5/1h overrides q }\n"
     "on mail { rule r reject if authenticated unless used(l) is none }",
     "user boss expect accept user a expect reject by r"},
    {"of the recipient at hand", "limit l per rcpt count messages { 5/1h }\non rcpt { rule r reject if used(l) >= 1 }",
     "rcpt to a@x.org send 1 message rcpt to b@x.org expect accept rcpt to a@x.org expect reject at rcpt by r"},
    {"bytes in bytes",
     "limit l per user count bytes { 10K/1h }\non mail { rule r reject if used(l) = 2048 or "
     "left(l) = 8K }",
     "user a size 2K send 1 message expect accept send 1 message expect reject by r"},
    {"in a limit's own condition",
     "limit p per user count messages { 100/1h }\n"
     "limit l per user count messages { 1/1h if used(p) >= 2 }",
     "user a send 3 messages expect accept send 1 message expect defer by l"},
    {"two that ask each other",
     "limit a per user count messages { 9/1h if used(b) >= 0 }\n"
     "limit b per user count messages { 9/1h if used(a) >= 0 }",
     "user a send 3 messages expect accept expect count a 0"},
    {"of what was refused",
     "limit l per client count refusals { 9/1h }\non mail { rule r reject if mail.size = 2K\n"
     "rule s disconnect if used(l) >= 2 }",
     "size 2K send 2 messages expect reject by r size 1K expect disconnect by s"},
};

/* ---- expect count ---- */

static const struct limit_case COUNTED[] = {
    {"for the key as set, whatever was sent last",
     "limit r per rcpt count messages { 5/1h }\nlimit s per sender count messages { 5/1h }\n"
     "limit d per rcpt.domain count distinct-recipients { 5/1h }\n",
     "mail from a@x.org rcpt to b@y.org, c@y.org send 2 messages expect count r 2 expect count s 2 expect count d 2\n"
     "rcpt to z@y.org expect count r 0 expect count d 2 mail from q@x.org expect count s 0\n"
     "mail from A+t@x.org expect count s 2"},
    {"the sender is the user, unless another is set", "limit s per sender count messages { 5/1h }",
     "user a send 1 message user b expect count s 0 user a expect count s 1 mail from a@example.org user b\n"
     "expect count s 1"},
    {"what is open, and what failed",
     "limit o per client count open-connections { 5 }\n"
     "limit f per client, user count failed-users { 5/1h }",
     "connect 3 times expect count o 3 wait 1s expect count o 0 user w fail 2 logins expect count f 1 user v\n"
     "expect count f 0"},
};

/* ---- client.known ---- */

static const struct limit_case KNOWN[] = {
    {"who logged in from there before", "on auth { rule r defer unless client.known or client = 192.0.2.1 }",
     "user a client 192.0.2.9 expect defer 454 at auth by r client 192.0.2.1 send 1 message expect accept\n"
     "client 192.0.2.9 expect accept user A expect accept user b expect defer at auth by r\n"
     "user a client 198.51.100.1 expect defer by r client 192.0.2.9 wait 4w expect accept wait 5w expect defer by r"},
    {"a wrong password makes nothing known", "on auth { rule r tag new unless client.known }",
     "user a fail 3 logins expect accept expect tag new"},
    {"a login that was refused makes nothing known",
     "on auth { rule r tag new unless client.known }\non login { rule l reject if client = 192.0.2.1 }",
     "user a client 192.0.2.1 send 3 messages expect reject at login by l client 192.0.2.2 send 1 message\n"
     "expect tag new send 1 message expect accept"},
    {"after the login it is still what it was before",
     "on auth { rule r tag x if client.known }\n"
     "on mail { rule m reject unless client.known }",
     "user a expect reject at mail by m user a expect accept"},
};

static void check_cases(const struct limit_case *cases, size_t count)
{
    size_t failures = 0;
    for (size_t i = 0; i < count; i++) {
        struct compiled k;
        char text[4096], said[4096];
        snprintf(text, sizeof text, "%s\ntest \"x\" { %s }\n", cases[i].rules, cases[i].test);
        compiled_open(&k, text);
        struct test_blocks tests = {.world = &k.world};
        assert_true(test_blocks_run(&tests, &k.tree, &k.d));
        compiled_said(&k, said, sizeof said);
        if (said[0])
            print_error("%s\n%s\nsaid:\n%s\n\n", cases[i].name, text, said);
        compiled_close(&k);
        failures += said[0] != '\0';
    }
    assert_int_equal(failures, 0);
}

static void keys(void **state)
{
    (void)state;
    check_cases(KEYS, COUNT_OF(KEYS));
}

static void units(void **state)
{
    (void)state;
    check_cases(UNITS, COUNT_OF(UNITS));
}

static void thresholds(void **state)
{
    (void)state;
    check_cases(THRESHOLDS, COUNT_OF(THRESHOLDS));
}

static void overrides(void **state)
{
    (void)state;
    check_cases(OVERRIDES, COUNT_OF(OVERRIDES));
}

static void counts(void **state)
{
    (void)state;
    check_cases(COUNTS, COUNT_OF(COUNTS));
}

static void counted(void **state)
{
    (void)state;
    check_cases(COUNTED, COUNT_OF(COUNTED));
}

static void known(void **state)
{
    (void)state;
    check_cases(KNOWN, COUNT_OF(KNOWN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys),   cmocka_unit_test(units), cmocka_unit_test(thresholds), cmocka_unit_test(overrides),
        cmocka_unit_test(counts), cmocka_unit_test(known), cmocka_unit_test(counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
