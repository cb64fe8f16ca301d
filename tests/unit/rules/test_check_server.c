/* test_check_server.c - server statements, milters, alerts. */
#include "check_cases.h"

#define UNUSED "1:7+1 warning: alert \"a\" is never used\n"
#define NO_WEBHOOK(at)                                                                                                 \
    UNUSED at                                                                                                          \
        " a webhook is a URL that begins with https:// or http://, such as \"https://alerts.example.org/mailweir\""
#define NO_PROGRAM(at) UNUSED at " a program is named by its whole path, such as \"/usr/local/bin/page-me\""

static const struct check_case SERVER[] = {
    {"hostname mail.example.org\n"
     "listen submission [::]:587\n"
     "listen submissions [::]:465 { name s tls implicit auth required banner \"x\" relay default }\n"
     "listen smtp 127.0.0.1:25 { proxy from 10.0.0.0/8 xclient from 127.0.0.1 }\n"
     "tls certificate \"a\" key \"b\" { names a.b, c.d min 1.2 ciphers \"X\" client-ca \"f\" tickets shared }\n"
     "auth file \"u\" { realm example.org cache 5m }\n"
     "auth dovecot unix:/run/d\n"
     "auth pam \"mail\"\n"
     "relay to lmtp 127.0.0.1:24 [::1]:24 { tls verify ca \"f\" xclient auto xforward off proxy v2 user \"u\" "
     "password-file \"p\" connections 5 idle 60s balance least retry-down 10s }\n"
     "store redis sentinel mymaster 127.0.0.1:26379 { failure share timeout 50ms prefix mw1: user \"u\" password-file "
     "\"f\" db 0 tls on ca \"f\" }\n"
     "milter m 127.0.0.1:9 { timeout 30s failure skip if sender.null unless authenticated }\n"
     "workers 2; max-connections 10; max-message 50M; max-recipients 5; max-header 256K; max-line 4096; max-errors 10; "
     "max-tarpits 0\n"
     "timeout greeting 30s\n"
     "events syslog\n"
     "log level debug\n"
     "metrics 127.0.0.1:9090\n"
     "control unix:/run/c\n"
     "dashboard 127.0.0.1:8080 { token-file \"t\" }\n"
     "user mailweir\n"
     "state \"/x\"\n"
     "geoip \"g.mmdb\"\n"
     "pidfile \"p\"\n"
     "network prefix 24 56\n"
     "trace-header minimal",
     ""},
    {"milter m 127.0.0.1:9 { if rcpt.domain = \"a.b\" }",
     "1:27+11 rcpt.domain is not known at mail; it is known from rcpt on"},
    {"milter m 127.0.0.1:9 { if header.size > 5 unless sender }",
     "1:27+11 header.size is not known at mail; it is known from header on\n"
     "1:50+6 sender is an address, not a condition"},
    {"milter m 127.0.0.1:9 { timeout 11m }", "1:32+3 milter timeout must be from 1s to 10m, not 11m"},
    {"milter m 127.0.0.1:9 { if foo }", "1:27+3 unknown attribute \"foo\""},
    {"alert a webhook \"https://x/y\" { every 1h }\n"
     "alert b mail a@b.c d@e.f\n"
     "alert c syslog\n"
     "alert d exec \"/bin/x\" { every 1ms }",
     "4:31+3 alert every must be from 1s to 30d, not 1ms"},
    {"alert a webhook \"HTTP://u:p@[::1]:8080?x\"", "1:7+1 warning: alert \"a\" is never used"},
    {"alert a webhook \"ftp://x/y\"", NO_WEBHOOK("1:17+11")},
    {"alert a webhook \"https://\"", NO_WEBHOOK("1:17+10")},
    {"alert a webhook \"https:///path\"", NO_WEBHOOK("1:17+15")},
    {"alert a webhook \"http://user@/\"", NO_WEBHOOK("1:17+15")},
    {"alert a webhook \"https://x/a b\"", NO_WEBHOOK("1:17+15")},
    {"alert a webhook \"\"", NO_WEBHOOK("1:17+2")},
    {"alert a exec \"page-me\"", NO_PROGRAM("1:14+9")},
    {"alert a exec \"\"", NO_PROGRAM("1:14+2")},
    {"alert a mail nobody", "1:14+6 expected an address, found \"nobody\" | it has a domain: alice@example.org"},
    {"include \"missing.rules\"", "1:9+15 cannot read \"missing.rules\": No such file or directory"},
    {"workers 0", "1:9+1 workers must be from 1 to 256, not 0"},
    {"network prefix 7 65", "1:16+1 network prefix must be from 8 to 32, not 7\n"
                            "1:18+2 network prefix must be from 16 to 64, not 65"},
    {"relay to 127.0.0.1:0", "1:20+1 port must be from 1 to 65535, not 0"},
    {"max-header 100", "1:12+3 max-header must be from 1K to 16M, not 100"},
};

CASES(SERVER, true)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_SERVER),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
