/* test_parse_server.c - server statements and their options, right and wrong: the whole text of every error, its place
 * and its marker. */
#include "parse_cases.h"

static const struct parse_case WRONG[] = {
    {"listen submision 127.0.0.1:25",
     "1:8+9 expected \"submission\", \"submissions\" or \"smtp\", found \"submision\" | did you mean \"submission\"?"},
    {"listen submission", "1:18+1 expected an endpoint, found end of line"},
    {"listen submission foo", "1:19+3 expected an endpoint, found \"foo\" | it is written 127.0.0.1:25, [::]:587, "
                              "mta.example.org:25, unix:/run/x.sock"},
    {"listen submission 127.0.0.1:25 { tls maybe }",
     "1:38+5 expected \"implicit\", \"required\", \"optional\" or \"off\", found \"maybe\""},
    {"listen submission 127.0.0.1:25 { nam x }", "1:34+3 unknown option \"nam\" of listen | did you mean \"name\"?"},
    {"listen submission 127.0.0.1:25 { name x name y }", "1:41+4 name stands twice"},
    {"workers 0", "1:9+1 workers must be from 1 to 256, not 0"},
    {"workers many", "1:9+4 expected a number, found \"many\""},
    {"workers 1 2", "1:11+1 expected end of line, found \"2\""},
    {"max-message 3G", "1:13+2 max-message must be from 1K to 2G, not 3G"},
    {"timeout greting 5s", "1:9+7 expected \"greeting\", \"command\", \"data\", \"session\", \"tls\", \"auth\", "
                           "\"relay-connect\" or \"relay-reply\", found \"greting\" | did you mean \"greeting\"?"},
    {"timeout command 5", "1:17+1 expected a duration, found \"5\" | a duration has a unit: 5s"},
    {"timeout command 25h", "1:17+3 timeout command must be from 1s to 24h, not 25h"},
    {"tls certificate \"x\" kee \"y\"", "1:21+3 expected \"key\", found \"kee\" | did you mean \"key\"?"},
    {"tls certificate x key \"y\"", "1:17+1 expected a file name in quotes, found \"x\" | a text needs quotes"},
    {"auth fil \"x\"", "1:6+3 expected \"file\", \"dovecot\" or \"pam\", found \"fil\" | did you mean \"file\"?"},
    {"auth file x", "1:11+1 expected a file name in quotes, found \"x\" | a text needs quotes"},
    {"relay 127.0.0.1:25", "1:7+12 expected \"to\", found \"127.0.0.1:25\""},
    {"relay to smtp", "1:14+1 expected an endpoint, found end of line"},
    {"relay to 127.0.0.1:0", "1:20+1 port must be from 1 to 65535, not 0"},
    {"relay to 127.0.0.1:25 { idle 2h }", "1:30+2 relay idle must be from 1s to 1h, not 2h"},
    {"store memory { entries 10 }", "1:24+2 store entries must be from 1024 to 100000000, not 10"},
    {"store redis 5", "1:13+1 expected a text, found \"5\" | a text needs quotes"},
    {"store redis sentinel x", "1:23+1 expected an endpoint, found end of line"},
    {"milter m 127.0.0.1:5 { if sender = }", "1:36+1 expected an attribute or a value, found \"}\""},
    {"network prefix 7 56", "1:16+1 network prefix must be from 8 to 32, not 7"},
    {"network prefix 24", "1:18+1 expected a number, found end of line"},
    {"log level loud", "1:11+4 expected \"error\", \"warning\", \"info\" or \"debug\", found \"loud\""},
    {"events file", "1:8+4 expected a file name in quotes, \"stderr\", \"syslog\" or \"journal\", found \"file\""},
    {"hostname -x", "1:10+2 expected a domain, found \"-x\""},
    {"user if", "1:6+2 \"if\" cannot be a name"},
    {"workers §", "1:9+1 expected a number, found \"§\""},
    {"workers 1 !", "1:11+1 unexpected character \"!\" | write not, or !="},
    {"workers \"1", "1:9+1 this text is never closed"},
    {"relay to mta.example.org:70000", "1:26+5 port must be from 1 to 65535, not 70000"},
    {"events \"x\" { rotate 5K }", "1:21+2 events rotate must be from 1M to 1024G, not 5K"},
    {"store redis cluster", "1:20+1 expected an endpoint, found end of line"},
    {"hostname", "1:9+1 expected a domain, found end of line"},
    {"hostname a b", "1:12+1 expected end of line, found \"b\""},
    {"hostname \"a b\"", "1:10+5 expected a domain, found \"a b\""},
    {"listen", "1:7+1 expected \"submission\", \"submissions\" or \"smtp\", found end of line"},
    {"listen smtp 127.0.0.1", "1:13+9 expected an endpoint, found \"127.0.0.1\" | it is written 127.0.0.1:25, "
                              "[::]:587, mta.example.org:25, unix:/run/x.sock"},
    {"listen smtp 127.0.0.1:25, 127.0.0.1:26", "1:25+1 expected end of line, found \",\""},
    {"listen smtp 127.0.0.1:25 {\n"
     " tls on\n"
     " auth yes\n"
     " }",
     "2:6+2 expected \"implicit\", \"required\", \"optional\" or \"off\", found \"on\"\n"
     "3:7+3 expected \"required\", \"optional\" or \"off\", found \"yes\""},
    {"listen smtp 127.0.0.1:25 { proxy 10.0.0.0/8 }", "1:34+10 expected \"from\", found \"10.0.0.0/8\""},
    {"listen smtp 127.0.0.1:25 { proxy from 10.0.0.1/8 }", "1:39+10 10.0.0.1/8 has bits beyond /8"},
    {"listen smtp 127.0.0.1:25 { relay if }", "1:34+2 \"if\" cannot be a name"},
    {"tls", "1:4+1 expected \"certificate\", found end of line"},
    {"tls certificate", "1:16+1 expected a file name in quotes, found end of line"},
    {"tls certificate \"a\"", "1:20+1 expected \"key\", found end of line"},
    {"tls certificate \"a\" key \"b\" { min 1.1 }",
     "1:35+3 expected \"1.2\" or \"1.3\", found \"1.1\" | did you mean \"1.2\"?"},
    {"tls certificate \"a\" key \"b\" { tickets own }", "1:39+3 expected \"shared\", found \"own\""},
    {"auth", "1:5+1 expected \"file\", \"dovecot\" or \"pam\", found end of line"},
    {"auth dovecot", "1:13+1 expected an endpoint, found end of line"},
    {"auth file \"x\" { cache 2h }", "1:23+2 auth cache must be from 0s to 1h, not 2h"},
    {"auth file \"x\" { real y }", "1:17+4 unknown option \"real\" of auth | did you mean \"realm\"?"},
    {"relay to 1.2.3.4:25 { tls maybe }",
     "1:27+5 expected \"off\", \"may\", \"required\" or \"verify\", found \"maybe\""},
    {"relay to 1.2.3.4:25 { connections 0 }", "1:35+1 relay connections must be from 1 to 100000, not 0"},
    {"relay to 1.2.3.4:25 { proxy v1 }", "1:29+2 expected \"v2\", found \"v1\" | did you mean \"v2\"?"},
    {"relay if to 1.2.3.4:25", "1:7+2 expected \"to\", found \"if\""},
    {"store", "1:6+1 expected \"memory\" or \"redis\", found end of line"},
    {"store disk", "1:7+4 expected \"memory\" or \"redis\", found \"disk\""},
    {"store memory { entries 5 persist maybe }",
     "1:24+1 store entries must be from 1024 to 100000000, not 5\n"
     "1:34+5 expected on or off, found \"maybe\" | it is written on, off, true, false"},
    {"store redis", "1:12+1 expected a text, found end of line"},
    {"store redis \"x\" { timeout 6s }", "1:27+2 store timeout must be from 1ms to 5s, not 6s"},
    {"max-connections 0", "1:17+1 max-connections must be from 1 to 1000000, not 0"},
    {"max-message 5", "1:13+1 max-message must be from 1K to 2G, not 5"},
    {"max-recipients 100001", "1:16+6 max-recipients must be from 1 to 100000, not 100001"},
    {"max-header 17M", "1:12+3 max-header must be from 1K to 16M, not 17M"},
    {"max-line 999", "1:10+3 max-line must be from 1000 to 1048576, not 999"},
    {"max-errors 10001", "1:12+5 max-errors must be from 1 to 10000, not 10001"},
    {"max-tarpits -1", "1:13+2 max-tarpits must be from 0 to 1000000, not -1"},
    {"timeout", "1:8+1 expected \"greeting\", \"command\", \"data\", \"session\", \"tls\", \"auth\", \"relay-connect\" "
                "or \"relay-reply\", found end of line"},
    {"timeout tls", "1:12+1 expected a duration, found end of line"},
    {"events", "1:7+1 expected a file name in quotes, \"stderr\", \"syslog\" or \"journal\", found end of line"},
    {"events syslog { keep 0 }", "1:22+1 events keep must be from 1 to 1000, not 0"},
    {"log", "1:4+1 expected \"level\", found end of line"},
    {"log level", "1:10+1 expected \"error\", \"warning\", \"info\" or \"debug\", found end of line"},
    {"metrics 8025", "1:9+4 expected an endpoint, found \"8025\" | it is written 127.0.0.1:25, [::]:587, "
                     "mta.example.org:25, unix:/run/x.sock"},
    {"control", "1:8+1 expected an endpoint, found end of line"},
    {"dashboard 127.0.0.1:8025 { token \"x\" }", "1:28+5 unknown option \"token\" of dashboard"},
    {"user", "1:5+1 expected a name, found end of line"},
    {"state x", "1:7+1 expected a file name in quotes, found \"x\" | a text needs quotes"},
    {"geoip", "1:6+1 expected a file name in quotes, found end of line"},
    {"network", "1:8+1 expected \"prefix\", found end of line"},
    {"network prefix 24 65", "1:19+2 network prefix must be from 16 to 64, not 65"},
    {"trace-header yes", "1:14+3 expected \"on\", \"minimal\" or \"off\", found \"yes\""},
    {"workers 1.5.2", "1:9+5 expected a number, found \"1.5.2\""},
    {"workers \"5\"", "1:9+3 expected a number, found \"5\""},
    {"workers 99999999999999999999999", "1:9+23 workers must be from 1 to 256, not 99999999999999999999999"},
    {"milter m", "1:9+1 expected an endpoint, found end of line"},
    {"milter m 127.0.0.1:5 { timeout 11m }", "1:32+3 milter timeout must be from 1s to 10m, not 11m"},
    {"milter m 127.0.0.1:5 { if x if y }", "1:29+2 if stands twice"},
    {"workers 1 }", "1:11+1 expected a statement, found \"}\""},
    {"workers = 1", "1:9+1 expected a number, found \"=\""},
    {"workers 1 \\ 2", "1:11+1 unexpected character \"\\\""},
    {"}} workers 0", "1:1+1 expected a statement, found \"}\"\n"
                     "1:2+1 expected a statement, found \"}\"\n"
                     "1:12+1 workers must be from 1 to 256, not 0"},
    {"workers 1.5", "1:9+3 expected a whole number, found \"1.5\""},
};

static const char *const RIGHT[] = {
    "tls certificate \"a\" key \"b\" { min 1.2 ciphers \"x\" names a.b, c.d\n"
    " tickets shared }",
    "listen smtp [::]:25 127.0.0.1:25 unix:/x { proxy from 10.0.0.0/8, 1.2.3.4 xclient from ::1 }",
    "workers $n",
    "user \"mailweir\"",
    "hostname \"mail.example.org\"",
    "events stderr { rotate 5M keep 5 }",
    "store redis sentinel m 1.2.3.4:5 1.2.3.4:6 { failure share timeout 50ms prefix mw1: user \"U\" password-file "
    "\"F\" db 0 tls on ca \"F\" }",
    "milter m unix:/x { timeout 5s failure defer if sender = user unless mail.size > 10M }",
    "workers 1;; user x",
    "listen submission [::]:587 { name s tls required auth required relay p banner \"x\" }",
    "relay to 127.0.0.1:10025",
    "relay p to lmtp unix:/x { tls verify ca \"f\" xclient auto xforward off proxy v2 user \"u\" password-file \"f\" "
    "connections 5 idle 5s balance least retry-down 5s }",
    "store memory { entries 65536 persist on }",
    "network prefix 24 56",
    "trace-header minimal",
    "timeout relay-reply 5m; timeout relay-connect 10s",
    "control unix:/run/x",
    "dashboard 127.0.0.1:8025 { token-file \"f\" }",
    "max-recipients 1K",
};

int main(void)
{
    const struct parse_cases cases = {WRONG, COUNT_OF(WRONG), RIGHT, COUNT_OF(RIGHT)};
    return parse_cases_run(&cases);
}
