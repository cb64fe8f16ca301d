/* test_limits.c - limits in a live session: where they refuse, in which words, and that what is charged is what the MTA
 * took. */
#include "stage.h"

#define MAIL(code) "C MAIL FROM:<alice@example.org>\nS " code "\n"
#define RCPT(name) "C RCPT TO:<" name "@example.net>\nS 250\n"
#define SENT       "C DATA\nS 354\nC Subject: x\nC \nC y\nC .\nS 250\n"
#define NOTHING    "U u:alice@example.org 0 messages 0 recipients 0 KiB\n"
#define ONE        "U u:alice@example.org 1 messages 1 recipients 1 KiB\n"

static void test_where_they_refuse(void **state)
{
    (void)state;
    static const struct ground GROUND = {
        .rules = "limit mails per user count messages { 2/1h }\n"
                 "limit heads per user count recipients { 3/1h  if sender = \"heads@example.org\" }\n"
                 "limit volume per user count bytes { 10K/1h  if sender = \"volume@example.org\" }\n"
                 "limit outside per user count recipients { 1/1h  if rcpt.domain = \"out.example\" }\n"};
    static const struct talk TALKS[] = {
        {"the third mail, early", "submission rcpt",
         SENT MAIL("250") RCPT("b") SENT MAIL("450 4.7.1 mails: 2 per 1h used up, 3 with this mail; try again "
                                              "in ") "E mail \"verdict\":\"accept\"\nE mail "
                                                     "\"verdict\":\"accept\"\nE mail \"verdict\":\"defer\" "
                                                     "\"code\":450 \"at\":\"mail\" \"by\":\"mails\"\n"
                                                     "U u:alice@example.org 2 messages 2 recipients 2 KiB\n"},
        {"a recipient too many, early", "submission login",
         "C MAIL FROM:<heads@example.org>\nS 250\n" RCPT("a") RCPT("b") SENT
         "C MAIL FROM:<heads@example.org>\nS 250\n" RCPT(
             "a") "C RCPT TO:<b@example.net>\nS 450 4.7.1 heads: 3 per 1h used up, 4 with this mail\n" SENT "N 2\n"},
        {"one mail that can never pass", "submission login",
         "C MAIL FROM:<heads@example.org>\nS 250\n" RCPT("a") RCPT("b") RCPT("c")
             RCPT("d") "C DATA\nS 552 5.7.1 heads: 3 per 1h allowed, 4 in this mail; send it in parts of at most 3\n"
                       "E mail \"verdict\":\"reject\" \"code\":552 \"at\":\"data\" \"by\":\"heads\" "
                       "\"limits\":[]\n" NOTHING},
        {"bytes by SIZE= that can never pass", "submission login",
         "C MAIL FROM:<volume@example.org> SIZE=20000\nS 250\n" RCPT("a") "C DATA\nS 552 5.7.1\n" NOTHING},
        {"bytes beyond what was said: at the dot", "submission login",
         "C MAIL FROM:<volume@example.org>\nS 250\n" RCPT(
             "a") "C DATA\nS 354\nC X: y\nC \nC {x*4000}\nC {x*4000}\nC .\nS 250\n"
                  "C MAIL FROM:<volume@example.org>\nS 250\n" RCPT(
                      "a") "C DATA\nS 354\nC X: y\nC \nC {x*4000}\nC .\n"
                           "S 451 4.7.1 volume: 10K per 1h used up, 12K with this mail\nN 1\n"
                           "E mail \"verdict\":\"accept\"\nE mail \"verdict\":\"defer\" \"code\":451 "
                           "\"at\":\"data\" \"by\":\"volume\"\n"
                           "U u:alice@example.org 1 messages 1 recipients 8 KiB\n"},
        {"recipients that its condition concerns", "submission login",
         "C MAIL FROM:<a@example.org>\nS 250\n" RCPT(
             "a") "C RCPT TO:<b@out.example>\nS 250\n" SENT
                  "C MAIL FROM:<a@example.org>\nS 250\n" RCPT(
                      "a") "C RCPT TO:<b@out.example>\nS 450 4.7.1 outside\n" SENT "N 2\n"},
    };
    PLAY(&GROUND, TALKS);
    static const struct ground AT_ONCE = {.store = STORE_AT_ONCE,
                                          .rules = "limit heads per user count recipients { 1/1h }\n"};
    static const struct talk KEPT[] = {
        {"the MTA heard nothing of DATA: its connection is used again", "submission rcpt",
         RCPT("c") "C DATA\nS 552 5.7.1\n!H DATA\nH RSET\n"},
    };
    PLAY(&AT_ONCE, KEPT);
}

static void test_connections(void **state)
{
    (void)state;
    static const struct ground FULL = {.rules = "limit open per client count open-connections { 1 }\n"
                                                "limit rate per client count connections { 2/1h }\n"};
    static const struct talk TALKS[] = {
        {"one too many is told so", "smtp greeting",
         "+ smtp\nS 421 4.7.0 open: 1 at once used up, 2 with this connection; try again later\nX\n"
         "E connect \"verdict\":\"defer\" \"code\":421 \"by\":\"open\"\nE close"},
        {"on 465 it is only closed", "submissions", "+ submissions\nX\nE connect \"by\":\"open\""},
        {"its place is free again", "smtp greeting", "C QUIT\nS 221\nX\n+ smtp\nS 220"},
        {"but not that of its rate", "smtp greeting",
         "C QUIT\nS 221\nX\n+ smtp\nS 220\nC QUIT\nS 221\nX\n+ smtp\nS 421 4.7.0 rate: 2 per 1h used up, 3 with this "
         "connection; try again in "},
    };
    PLAY(&FULL, TALKS);
}

/* Every mail that the MTA did not take is given back; every one that it took, or may have taken, is charged. */
static void test_refunds(void **state)
{
    (void)state;
    static const struct ground GROUND = {.rules = "limit mails per user count messages { 100/1h }\n"
                                                  "on data {\n rule no reject if sender.local = \"no\"\n}\n"};
    static const struct talk TALKS[] = {
        {"taken", "submission rcpt",
         SENT ONE "E mail "
                  "\"limits\":[{\"name\":\"mails\",\"key\":\"user:alice@example.org\",\"period\":3600,\"limit\":100,"
                  "\"used\":1}]"},
        {"DATA refused", "submission rcpt", "M DATA 550 5.7.1 No\nC DATA\nS 550\n" NOTHING},
        {"DATA not answered", "submission rcpt", "M DATA ever cut\nC DATA\nS 451\n" NOTHING},
        {"refused by a rule", "submission login", "C MAIL FROM:<no@x>\nS 250\n" RCPT("a") "C DATA\nS 550\n" NOTHING},
        {"the dot refused for good", "submission body",
         "M DOT 550 5.7.1 Spam\nC x\nC .\nS 550 5.7.1 Spam\n" NOTHING "E mail \"verdict\":\"reject\" \"code\":550"},
        {"the dot refused for now", "submission body", "M DOT 451 4.3.0 Later\nC x\nC .\nS 451 4.3.0\n" NOTHING},
        {"the dot answered 421", "submission body", "M DOT 421 4.3.2 Bye cut\nC x\nC .\nS 451 4.3.2\n" NOTHING},
        {"lost in the message", "submission body",
         "M BODY cut\nc Subject: x\\r\\n\\r\\ny\\r\\n\nQ\nC .\nS 451 4.4.2\n" NOTHING},
        {"a verdict before the dot", "submission body",
         "M BODY 250 2.0.0 Done\nc Subject: x\\r\\n\\r\\ny\\r\\n\nQ\nC .\nS 451 4.3.0\nN 0\n" NOTHING},
        {"nonsense at the dot: nobody knows", "submission body",
         "M DOT xyzzy\nC x\nC .\nS 451 4.4.2\n" ONE "E mail \"verdict\":\"unknown\""},
        {"silence after the dot: nobody knows", "submission body",
         "M DOT cut\nC x\nC .\nS 451 4.4.2\n" ONE "E mail \"verdict\":\"unknown\" \"code\":451"},
        {"a bare LF", "submission body", "c x\\n\nS 550\nX\n" NOTHING},
        {"the client goes", "submission body", "c x\nG\nX\n" NOTHING},
        {"its time is over", "submission body", "c x\nD\nS 421\nX\n" NOTHING},
        {"refused in the message: at once", "submission body", "C {x*5000}\nQ\n" NOTHING "C .\nS 500\n" NOTHING},
        {"stopped before the dot", "submission body", "c x\nW stop\nX\n" NOTHING},
        {"stopped after it: nobody knows", "submission body", "M DOT silent\nC x\nC .\nQ\nW stop\nX\n" ONE},
        {"RSET", "submission rcpt", "C RSET\nS 250\n" NOTHING},
        {"a mail after each kind of refusal", "submission body",
         "M DOT 451 4.3.0 Later\nC x\nC .\nS 451\n" MAIL("250")
             RCPT("b") "M DATA 550 5.7.1 No\nC DATA\nS 550\n" MAIL("250") RCPT("b") SENT ONE "N 1"},
        {"recipients that the MTA took", "submission rcpt",
         "M RCPT 550 5.1.1 No\nC RCPT TO:<c@x>\nS 550 5.1.1\n" SENT ONE "E mail \"accepted\":1 \"refused\":1"},
    };
    PLAY(&GROUND, TALKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_where_they_refuse), cmocka_unit_test(test_connections),
                                       cmocka_unit_test(test_refunds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
