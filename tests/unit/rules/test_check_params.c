/* test_check_params.c - parameters: what may be set, where they may stand. */
#include "check_cases.h"

static const struct check_case CODES[] = {
    {"parameter c 553\n"
     "on mail { rule r reject $c \"x\" }",
     ""},
    {"parameter c 453\n"
     "on mail { rule r reject $c \"x\" }",
     "2:25+2 reject takes a code from 500 to 599, not 453 | defer refuses for now"},
    {"parameter c 553\n"
     "on mail { rule r reject $c }",
     ""},
    {"parameter c 553\n"
     "on mail { rule r reject $c 5.7.1 }",
     ""},
    {"parameter c 553\n"
     "on mail { rule r reject $c 4.7.1 \"x\" }",
     "2:28+5 4.7.1 does not fit 553; it must begin with 5"},
    {"parameter c \"hi\"\n"
     "on mail { rule r reject $c $d }",
     "2:25+2 expected a code, found \"hi\"\n"
     "2:28+2 unknown parameter \"d\""},
    {"parameter c \"hi\"\n"
     "on mail { rule r reject $c if tls }",
     ""},
    {"parameter c 5\n"
     "on mail { rule r reject $c if tls }",
     "2:25+2 expected a code, found \"5\" | it is written 550, or 550 5.7.1; of defer 451, of disconnect 421"},
    {"parameter c 553\n"
     "parameter d \"go\"\n"
     "on mail { rule r reject $c $d }\n"
     "test \"x\" { expect reject $c at mail by r $d\n"
     "expect reject $c by r expect reject $c expect reject $d }\n"
     "limit l per user count messages { 1/1h at 50% defer $d at 60% log }",
     "6:59+3 warning: at 60% never acts: at 50% the limit refuses | what is refused is not counted"},
    {"parameter c 550\n"
     "test \"x\" { expect defer $c }",
     "2:25+2 defer takes a code from 400 to 499, not 550 | reject refuses for good"},
    {"on mail { rule r reject $nix }", "1:25+4 unknown parameter \"nix\""},
};

static const struct check_case SETS[] = {
    {"parameter x 100\n"
     "set x 1h",
     "2:7+2 parameter \"x\" is a number, \"1h\" is a duration"},
    {"parameter x 100\n"
     "set x 200",
     "1:11+1 warning: parameter \"x\" is never used"},
    {"parameter x 1h\n"
     "set x 100",
     "2:7+3 parameter \"x\" is a duration, \"100\" is a number | it is written 500ms 5s 10m 1h 2d 1w, also joined: "
     "1h30m"},
    {"parameter x 100\n"
     "set x 64K",
     "2:7+3 parameter \"x\" is a number, \"64K\" is a size"},
    {"parameter x 1M\n"
     "set x 100",
     "1:11+1 warning: parameter \"x\" is never used"},
    {"parameter x 1M\n"
     "set x 1m",
     "2:7+2 parameter \"x\" is a size, \"1m\" is a duration | it is written 64K 10M 1G, or bytes"},
    {"parameter x 1M\n"
     "set x 64K",
     "1:11+1 warning: parameter \"x\" is never used"},
    {"parameter x \"hello\"\n"
     "set x 5",
     "2:7+1 parameter \"x\" is a text, \"5\" is a number"},
    {"parameter x \"hello\"\n"
     "set x hi",
     "1:11+1 warning: parameter \"x\" is never used"},
    {"parameter x hello\n"
     "set x \"hi there\"",
     "1:11+1 warning: parameter \"x\" is never used"},
    {"parameter x on\n"
     "set x off",
     "1:11+1 warning: parameter \"x\" is never used"},
    {"parameter x on\n"
     "set x 5",
     "2:7+1 parameter \"x\" is a truth, \"5\" is a number | it is written on, off, true, false"},
    {"parameter x on\n"
     "set x \"on\"",
     "2:7+4 parameter \"x\" is a truth, \"on\" is a text | it is written on, off, true, false"},
    {"parameter x 50%\n"
     "set x 50",
     "2:7+2 parameter \"x\" is a percentage, \"50\" is a number | it is written 80%"},
    {"parameter x 200/1h\n"
     "set x 100/1d",
     "1:11+1 warning: parameter \"x\" is never used"},
    {"parameter x 200/1h\n"
     "set x 100",
     "2:7+3 parameter \"x\" is a rate, \"100\" is a number | it is written 200/1h; for bytes also 500M/1d"},
    {"parameter x 08:00\n"
     "set x 09:00",
     "1:11+1 warning: parameter \"x\" is never used"},
    {"parameter x 08:00-12:00\n"
     "set x 09:00",
     "2:7+5 parameter \"x\" is a range, \"09:00\" is a time | it is written 08:00-18:00"},
    {"parameter x 192.0.2.0/24\n"
     "set x 198.51.100.7",
     "1:11+1 warning: parameter \"x\" is never used"},
    {"parameter x 192.0.2.0/24\n"
     "set x \"198.51.100.0/24\"",
     "1:11+1 warning: parameter \"x\" is never used"},
    {"parameter x 192.0.2.0/24\n"
     "set x example.org",
     "2:7+11 parameter \"x\" is a network, \"example.org\" is a domain | it is written 192.0.2.1, 192.0.2.0/24, "
     "2001:db8::/32, a-b"},
    {"parameter x example.org\n"
     "set x example.net",
     "1:11+1 warning: parameter \"x\" is never used"},
    {"parameter x example.org\n"
     "set x \"example.net\"",
     "1:11+1 warning: parameter \"x\" is never used"},
    {"parameter x example.org\n"
     "set x localhost",
     "1:11+1 warning: parameter \"x\" is never used"},
    {"parameter x example.org\n"
     "set x alice@example.org",
     "2:7+17 parameter \"x\" is a domain, \"alice@example.org\" is an address"},
    {"parameter x alice@example.org\n"
     "set x example.org",
     "2:7+11 parameter \"x\" is an address, \"example.org\" is a domain | it has a domain: alice@example.org"},
    {"parameter x alice@example.org\n"
     "set x \"bob@example.org\"",
     "1:11+1 warning: parameter \"x\" is never used"},
    {"parameter x 127.0.0.1:25\n"
     "set x mta.example:25",
     "1:11+1 warning: parameter \"x\" is never used"},
    {"parameter x mta.example:25\n"
     "set x mta.example",
     "2:7+11 parameter \"x\" is an endpoint, \"mta.example\" is a domain | it is written 127.0.0.1:25, [::]:587, "
     "mta.example.org:25, unix:/run/x.sock"},
    {"parameter x 2026-01-05T12:00\n"
     "set x 5",
     "2:7+1 parameter \"x\" is a date, \"5\" is a number | it is written 2026-11-24T08:00"},
    {"parameter x \"a.txt\"\n"
     "set x b.txt",
     "1:11+1 warning: parameter \"x\" is never used"},
    {"set x 5", "1:5+1 unknown parameter \"x\""},
    {"parameter user-hour 5\n"
     "set user-huor 6",
     "2:5+9 unknown parameter \"user-huor\" | did you mean \"user-hour\"?"},
    {"parameter x 5 \"what it is\"\n"
     "set x 6",
     "1:11+1 warning: parameter \"x\" is never used"},
};

static const struct check_case USES[] = {
    {"parameter n 5\n"
     "max-recipients $n",
     ""},
    {"parameter n 0\n"
     "max-recipients $n",
     "2:16+2 max-recipients must be from 1 to 100000, not 0"},
    {"parameter n 2.5\n"
     "max-recipients $n",
     "2:16+2 expected a whole number, found \"2.5\""},
    {"parameter n 1h\n"
     "max-recipients $n",
     "2:16+2 expected a number, found \"1h\""},
    {"parameter n \"5\"\n"
     "max-recipients $n",
     "2:16+2 expected a number, found \"5\""},
    {"max-recipients $n", "1:16+2 unknown parameter \"n\""},
    {"parameter nn 5\n"
     "max-recipients $n",
     "2:16+2 unknown parameter \"n\" | did you mean \"nn\"?"},
    {"parameter n 64K\n"
     "max-message $n",
     ""},
    {"parameter n 65536\n"
     "max-message $n",
     ""},
    {"parameter n 1\n"
     "max-message $n",
     "2:13+2 max-message must be from 1K to 2G, not 1"},
    {"parameter n 90\n"
     "timeout tls $n",
     "2:13+2 expected a duration, found \"90\" | a duration has a unit: 90s"},
    {"parameter n 25h\n"
     "timeout tls $n",
     "2:13+2 timeout tls must be from 1s to 24h, not 25h"},
    {"parameter f \"users\"\n"
     "auth file $f",
     ""},
    {"parameter f users\n"
     "auth file $f",
     ""},
    {"parameter f 5\n"
     "auth file $f",
     "2:11+2 expected a file name in quotes, found \"5\""},
    {"parameter h mail.example.org\n"
     "hostname $h",
     ""},
    {"parameter h \"mail.example.org\"\n"
     "hostname $h",
     ""},
    {"parameter h \"not a domain\"\n"
     "hostname $h",
     "2:10+2 expected a domain, found \"not a domain\""},
    {"parameter e 127.0.0.1:25\n"
     "relay to $e",
     ""},
    {"parameter e \"127.0.0.1:25\"\n"
     "relay to $e",
     ""},
    {"parameter e 127.0.0.1:99999\n"
     "relay to $e",
     "2:10+2 port must be from 1 to 65535, not 99999"},
    {"parameter e 127.0.0.1\n"
     "relay to $e",
     "2:10+2 expected an endpoint, found \"127.0.0.1\" | it is written 127.0.0.1:25, [::]:587, mta.example.org:25, "
     "unix:/run/x.sock"},
    {"parameter d 30s\n"
     "relay to 127.0.0.1:25 { idle $d }",
     ""},
    {"parameter d 2h\n"
     "relay to 127.0.0.1:25 { idle $d }",
     "2:30+2 relay idle must be from 1s to 1h, not 2h"},
    {"parameter n 10.0.0.0/8\n"
     "listen smtp 127.0.0.1:25 { proxy from $n, 192.0.2.1 }",
     "2:8+4 warning: listener \"smtp\" is without TLS: who listens on the way reads all mail | right as long as "
     "nothing but this machine leads to it"},
    {"parameter n 5\n"
     "listen smtp 127.0.0.1:25 { proxy from $n }",
     "2:39+2 expected a network, found \"5\" | it is written 192.0.2.1, 192.0.2.0/24, 2001:db8::/32, a-b"},
    {"parameter f \"domains.txt\"\n"
     "table t domains $f\n"
     "on mail { rule r log if sender.domain in t }",
     ""},
    {"parameter f domains.txt\n"
     "table t domains $f\n"
     "on mail { rule r log if sender.domain in t }",
     ""},
    {"parameter f 5\n"
     "table t domains $f\n"
     "on mail { rule r log if sender.domain in t }",
     "2:17+2 expected a file name in quotes, found \"5\""},
    {"parameter d example.net\n"
     "table t domains { example.org, $d, $e }\n"
     "on mail { rule r log if sender.domain in t }",
     "2:36+2 unknown parameter \"e\""},
    {"parameter d 192.0.2.0/24\n"
     "table t networks { $d }\n"
     "on mail { rule r log if client in t }",
     ""},
    {"parameter d example.org\n"
     "table t networks { $d }\n"
     "on mail { rule r log if client in t }",
     "2:20+2 \"example.org\" is not a network"},
    {"parameter v alice\n"
     "table t map { a@b.c $v, d { $v, $w } }\n"
     "on mail { rule r log if user in t[sender] }",
     "2:33+2 unknown parameter \"w\""},
    {"parameter t \"go away\"\n"
     "on mail { rule r reject 550 $t }",
     ""},
    {"parameter t \"go away\"\n"
     "on mail { rule r reject $t }",
     ""},
    {"parameter t 5\n"
     "on mail { rule r reject 550 $t }",
     "2:29+2 expected a text, found \"5\""},
    {"parameter d 5s\n"
     "on mail { rule r tarpit $d }",
     ""},
    {"parameter d 2m\n"
     "on mail { rule r tarpit $d }",
     "2:25+2 tarpit must be from 1ms to 60s, not 2m"},
    {"parameter n 2.5\n"
     "on mail { rule r score $n }",
     ""},
    {"parameter n -1001\n"
     "on mail { rule r score $n }",
     "2:24+2 score must be from -1000 to 1000, not -1001"},
    {"parameter n -5\n"
     "on mail { rule r score $n }",
     ""},
    {"parameter d 1h\n"
     "parameter e 30m\n"
     "on mail { rule r ban client $d doubling to $e }",
     "3:44+2 ban must be from 1h to 366d, not 30m"},
    {"parameter v weekly\n"
     "on mail { rule r tag list $v }",
     ""},
    {"parameter v 5\n"
     "on mail { rule r tag list $v }",
     ""},
    {"parameter v 5s\n"
     "on mail { rule r tag list $v }",
     "2:27+2 expected a text or a number, found \"5s\""},
    {"parameter p 50%\n"
     "limit l per client count connections { 1/1h at $p log at 50% tarpit 1s }",
     "2:58+3 50% stands twice"},
    {"parameter p 50%\n"
     "limit l per client count connections { 1/1h at 50% log at $p tarpit 1s }",
     "2:59+2 50% stands twice"},
    {"parameter p 0%\n"
     "limit l per client count connections { 1/1h at $p log }",
     "2:48+2 threshold percent must be from 1% to 1000%, not 0%"},
    {"parameter p 50\n"
     "limit l per client count connections { 1/1h at $p log }",
     "2:48+2 expected a percentage, found \"50\" | it is written 80%"},
    {"parameter z \"zen.example\"\n"
     "dnsbl d $z\n"
     "on connect { rule r drop if client in d }",
     ""},
    {"parameter z zen.example\n"
     "dnsbl d $z { answers $a timeout 5s }\n"
     "parameter a 127.0.0.2-127.0.0.9\n"
     "on connect { rule r drop if client in d }",
     ""},
    {"parameter n 3\n"
     "parameter d 1h\n"
     "test \"x\" { send $n messages to $n recipients over $d\n"
     "expect $n accepted }",
     ""},
    {"parameter n 0\n"
     "test \"x\" { send $n messages to $n recipients\n"
     "expect accept }",
     "2:17+2 send must be from 1 to 1000000, not 0\n"
     "2:32+2 recipients must be from 1 to 1000, not 0"},
    {"parameter s alice@example.org\n"
     "test \"x\" { mail from $s rcpt to $s, bob@example.org\n"
     "expect accept }",
     ""},
    {"parameter s \"<>\"\n"
     "test \"x\" { mail from $s\n"
     "expect accept }",
     ""},
    {"parameter c 192.0.2.9\n"
     "test \"x\" { client $c\n"
     "expect accept }",
     ""},
    {"parameter c 192.0.2.0/24\n"
     "test \"x\" { client $c\n"
     "expect accept }",
     "2:19+2 expected an address, found \"192.0.2.0/24\" | it is written 192.0.2.1, 2001:db8::1"},
    {"parameter w \"https://example.org/hook\"\n"
     "alert a webhook $w",
     "2:7+1 warning: alert \"a\" is never used"},
    {"parameter w ops@example.org\n"
     "alert a mail $w { every $e }\n"
     "parameter e 31d",
     "2:7+1 warning: alert \"a\" is never used\n"
     "2:25+2 alert every must be from 1s to 30d, not 31d"},
};

static const struct check_case CHAINS[] = {
    {"parameter a $b\n"
     "parameter b 5\n"
     "max-recipients $a",
     ""},
    {"parameter a $b\n"
     "parameter b $a",
     "2:13+2 parameter \"a\" stands for itself"},
    {"parameter a $a", "1:13+2 parameter \"a\" stands for itself"},
    {"parameter a $a/1h", "1:13+2 parameter \"a\" stands for itself"},
    {"parameter a $b\n"
     "parameter b $c\n"
     "parameter c $nix",
     "3:13+4 unknown parameter \"nix\""},
    {"parameter a 5\n"
     "set a $b\n"
     "parameter b 6",
     "1:11+1 warning: parameter \"a\" is never used"},
    {"parameter a 5\n"
     "set a $b\n"
     "parameter b 6h",
     "2:7+2 parameter \"a\" is a number, \"6h\" is a duration"},
    {"parameter a 5\n"
     "set a $a",
     "2:7+2 parameter \"a\" stands for itself"},
    {"parameter a 5\n"
     "set a $nix\n"
     "max-recipients $a",
     "2:7+4 unknown parameter \"nix\""},
    {"parameter n 5\n"
     "parameter r $n/1h\n"
     "limit l per client count connections { $r }",
     ""},
    {"parameter n 5\n"
     "set n 6\n"
     "parameter d 1h\n"
     "limit l per client count connections { $n/$d }",
     ""},
    {"parameter a [\n"
     "max-recipients $a",
     "1:13+1 expected a value, found \"[\""},
    {"parameter a 5\n"
     "set a {\n"
     "max-recipients $a",
     "2:7+1 this { is never closed\n"
     "2:7+1 expected a value, found \"{\""},
};

static const struct check_case RATES[] = {
    {"limit l per client count connections { $n/1h }", "1:40+2 unknown parameter \"n\""},
    {"limit l per client count connections { 10/$d }", "1:43+2 unknown parameter \"d\""},
    {"parameter n 1h\n"
     "limit l per client count connections { $n/1h }",
     "2:40+2 expected a number, found \"1h\""},
    {"parameter n 5\n"
     "limit l per client count connections { 5/$n }",
     "2:42+2 expected a duration, found \"5\""},
    {"parameter n 2.5\n"
     "limit l per client count connections { $n/1h }",
     "2:40+2 expected a whole number, found \"2.5\""},
    {"parameter n -1\n"
     "limit l per client count connections { $n/1h }",
     "2:40+2 limit \"l\" must be from 1 to 2147483647, not -1"},
    {"parameter n 10M\n"
     "limit l per client count connections { $n/1h }",
     "2:40+5 limit \"l\" counts connections; 10M is a size"},
    {"parameter n 10M\n"
     "limit l per client count bytes { $n/1h }",
     ""},
    {"parameter n 100\n"
     "limit l per client count bytes { $n/1h }",
     "2:34+2 limit \"l\" must be from 1K to 1024G, not 100"},
    {"parameter d 500ms\n"
     "limit l per client count connections { 10/$d }",
     "2:43+2 period must be from 1s to 366d, not 500ms"},
    {"parameter r 10/1h\n"
     "limit l per client count connections { $r, 20/1d }",
     ""},
    {"parameter r 10\n"
     "limit l per client count connections { $r }",
     "2:40+2 limit \"l\" needs a rate"},
    {"parameter r 0/1h\n"
     "limit l per client count connections { 1/1h, $r }",
     "2:46+2 limit \"l\" must be from 1 to 2147483647, not 0"},
    {"parameter n 20\n"
     "limit l per client count open-connections { $n }",
     ""},
    {"parameter n 20/1h\n"
     "limit l per client count open-connections { $n }",
     "2:45+2 open-connections takes a number"},
    {"parameter n 2.5\n"
     "limit l per client count open-connections { $n }",
     "2:45+2 expected a whole number, found \"2.5\""},
    {"parameter n 0\n"
     "limit l per client count open-connections { $n }",
     "2:45+2 limit \"l\" must be from 1 to 2147483647, not 0"},
    {"parameter user-hour 200\n"
     "limit l per user count recipients { $user-huor/1h }",
     "2:37+10 unknown parameter \"user-huor\" | did you mean \"user-hour\"?"},
};

CASES(CODES, true)
CASES(SETS, true)
CASES(USES, true)
CASES(CHAINS, true)
CASES(RATES, true)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_CODES),  cmocka_unit_test(check_SETS),  cmocka_unit_test(check_USES),
        cmocka_unit_test(check_CHAINS), cmocka_unit_test(check_RATES),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
