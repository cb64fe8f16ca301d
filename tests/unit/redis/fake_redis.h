/*
 * fake_redis.h - servers that say what they are told to: a node of a Cluster, a replica, a sentinel, on a free port of
 * 127.0.0.1, in the loop of the test.
 *
 * To a command that begins with the words of a rule, its bytes are the answer, whatever they are; the rule that was
 * given last goes first. Without a rule HELLO, PING, TIME and SELECT are answered as Redis does, others with an error.
 */
#ifndef TEST_FAKE_REDIS_H
#define TEST_FAKE_REDIS_H

#include "net/conn.h"
#include "net/listen.h"

enum { FAKE_RULES_MAX = 16, FAKE_CLIENTS_MAX = 16 };

struct fake_redis {
    struct loop *loop;
    struct acceptor acceptor;
    int fd; /* -1: stopped */
    struct endpoint at;
    const char *mode, *role, *version; /* as HELLO tells them; version: 7.0.0 unless set */
    struct tls_context *tls;           /* NULL: plain */
    struct fake_rule {
        char words[64]; /* "GET k" */
        char wire[2048];
        int times; /* left; -1: for ever */
    } rules[FAKE_RULES_MAX];
    size_t rule_count;
    struct fake_client *clients[FAKE_CLIENTS_MAX];
    char heard[4096]; /* commands other than those of opening, each with a ';' behind it */
    unsigned accepted;
};

/* "standalone", "cluster", "sentinel"; "master", "replica". */
void fake_start(struct fake_redis *f, struct loop *l, const char *mode, const char *role);
/* Nobody listens there any more; clients are cut off. Harmless twice. */
void fake_stop(struct fake_redis *f);
/* Listens again, on the same port. */
void fake_restart(struct fake_redis *f);
void fake_cut_off(struct fake_redis *f);

/* printf-like; at most 2047 bytes. "": silence. */
void fake_say(struct fake_redis *f, const char *words, const char *wire, ...) PRINTF_LIKE(3, 4);
void fake_say_times(struct fake_redis *f, int times, const char *words, const char *wire, ...) PRINTF_LIKE(4, 5);
/* Unasked, to all clients. */
void fake_push(struct fake_redis *f, const char *wire, ...) PRINTF_LIKE(2, 3);

#endif
