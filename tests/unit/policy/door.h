/* door.h - the door to rules and limits, asked as a session asks: a policy from a text, a store of its own, a clock
 * that stands, and one connection at a time. The store answers at once, or later: then the door waits for it, and every
 * answer must be the same. */
#ifndef TESTS_POLICY_DOOR_H
#define TESTS_POLICY_DOOR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "limits/ban.h"
#include "limits/limiter.h"
#include "policy/ask.h"
#include "policy/policy.h"
#include "rules/check.h"

#define NOW (INT64_C(1767614400) * 1000000) /* 2026-01-05T12:00:00Z */

/* Who sends what, as far as it matters here. Empty and zero: not known. */
struct mail {
    const char *user, *client, *sender;
    const char *login; /* the name that is given at auth */
    const char *recipients[8];
    uint64_t size;
};

struct door {
    struct policy *policy;
    void *memory;
    struct store store;
    struct limiter limiter;
    struct policy_engine engine;
    struct arena arena, connection_arena;
    struct policy_connection connection;
    struct policy_mail mail;
    struct policy_login login;
    struct policy_answer answer;
    int64_t now_us;
    unsigned answered; /* so many times did a question say that its answer is there */
    void *ban_memory;
    struct mail facts;
};
extern struct door T;

int door_open(void **state);
int door_open_late(void **state);
int door_close(void **state);
/* Closed, and opened as it was: all is empty. */
void door_again(void **state);
/* A test with both. */
#define DOOR_TEST(f)                                                                                                   \
    {#f, f, door_open, door_close, NULL},                                                                              \
    {                                                                                                                  \
#f " (the store answers later)", f, door_open_late, door_close, NULL                                           \
    }

void door_load(const char *rules);
/* The case of that mail; T.facts are set to it. */
struct policy_case door_question(enum phase phase, const struct mail *mail);
/* What a question answered that has door_on_answer for its callback: answers what it asks the store for, until it is
 * done. */
void door_wait(enum started started);
void door_on_answer(void *arg);
/* The answer is in T.answer. */
enum policy_verdict door_ask(enum phase phase, const struct mail *mail);
bool door_settle(uint64_t bytes);
/* A whole mail: asked at data, and kept if it may go. */
enum policy_verdict door_send(const struct mail *mail);
void door_expect(int code, const char *enhanced, const char *text);

#endif
