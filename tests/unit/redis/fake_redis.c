/* fake_redis.c - servers that say what they are told to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_redis.h"

#include <hiredis/hiredis.h>
#include <unistd.h>

#include "base/clock.h"

struct fake_client {
    struct conn conn;
    struct fake_redis *fake;
    redisReader *reader;
    struct fake_client **place;
};

static const struct conn_limits LIMITS = {.in_max_bytes = 65536, .out_max_bytes = 1 << 20};

static void client_free(struct fake_client *client)
{
    conn_close(&client->conn);
    redisReaderFree(client->reader);
    *client->place = NULL;
    free(client);
}

static struct fake_client *client_of(struct conn *c)
{
    return CONTAINER_OF(c, struct fake_client, conn);
}

/* ---- what it says ---- */

static struct fake_rule *rule_for(struct fake_redis *f, const char *command)
{
    for (size_t i = f->rule_count; i > 0; i--) {
        struct fake_rule *rule = &f->rules[i - 1];
        size_t len = strlen(rule->words);
        if (rule->times != 0 && strncmp(command, rule->words, len) == 0 && (command[len] == ' ' || !command[len]))
            return rule;
    }
    return NULL;
}

static void usual_answer(const struct fake_redis *f, const char *command, char *wire, size_t size)
{
    if (strncmp(command, "HELLO", 5) == 0)
        snprintf(wire, size,
                 "*8\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$%zu\r\n%s\r\n$4\r\nmode\r\n$%zu\r\n%s\r\n"
                 "$4\r\nrole\r\n$%zu\r\n%s\r\n",
                 strlen(f->version), f->version, strlen(f->mode), f->mode, strlen(f->role), f->role);
    else if (strncmp(command, "PING", 4) == 0)
        snprintf(wire, size, "+PONG\r\n");
    else if (strncmp(command, "TIME", 4) == 0)
        snprintf(wire, size, "*2\r\n$10\r\n%lld\r\n$1\r\n0\r\n", (long long)(clock_wall_us() / 1000000));
    else if (strncmp(command, "SELECT", 6) == 0)
        snprintf(wire, size, "+OK\r\n");
    else
        snprintf(wire, size, "-ERR nobody told me what to say\r\n");
}

static bool belongs_to_opening(const char *command)
{
    return strncmp(command, "HELLO", 5) == 0 || strncmp(command, "PING", 4) == 0 || strncmp(command, "TIME", 4) == 0 ||
           strncmp(command, "SELECT", 6) == 0;
}

static void answer(struct fake_client *client, const redisReply *words)
{
    struct fake_redis *f = client->fake;
    char command[256] = "", wire[2048] = "";
    assert_int_equal(words->type, REDIS_REPLY_ARRAY);
    for (size_t i = 0; i < words->elements; i++) {
        size_t len = strlen(command);
        snprintf(command + len, sizeof command - len, "%s%s", i ? " " : "", words->element[i]->str);
    }
    size_t len = strlen(f->heard);
    if (!belongs_to_opening(command))
        snprintf(f->heard + len, sizeof f->heard - len, "%s;", command);
    struct fake_rule *rule = rule_for(f, command);
    if (rule && rule->times > 0)
        rule->times--;
    if (!rule)
        usual_answer(f, command, wire, sizeof wire);
    assert_true(conn_send(&client->conn, str_of_z(rule ? rule->wire : wire)));
}

static void on_input(struct conn *c)
{
    struct fake_client *client = client_of(c);
    struct str input = conn_input(c);
    void *words = NULL;
    assert_int_equal(redisReaderFeed(client->reader, input.ptr, input.len), REDIS_OK);
    conn_consume(c, input.len);
    while (redisReaderGetReply(client->reader, &words) == REDIS_OK && words) {
        answer(client, words);
        freeReplyObject(words);
    }
}

static void on_end(struct conn *c, enum conn_end why)
{
    (void)why;
    client_free(client_of(c));
}

static const struct conn_ops OPS = {.on_input = on_input, .on_end = on_end};

static void on_accept(void *arg, int fd, const struct ip *peer, uint16_t port)
{
    struct fake_redis *f = arg;
    struct fake_client *client = calloc(1, sizeof *client), **place = f->clients;
    (void)peer, (void)port;
    assert_non_null(client);
    while (*place)
        place++;
    assert_true(place < f->clients + FAKE_CLIENTS_MAX);
    *place = client;
    client->place = place;
    client->fake = f;
    client->reader = redisReaderCreate();
    f->accepted++;
    conn_init_accepted(&client->conn, f->loop, fd, &OPS, &LIMITS);
    struct err err;
    if (f->tls)
        assert_true(conn_start_tls_server(&client->conn, f->tls, &err));
}

static void rule_add(struct fake_redis *f, int times, const char *words, const char *wire, va_list args)
{
    assert_true(f->rule_count < FAKE_RULES_MAX);
    struct fake_rule *rule = &f->rules[f->rule_count++];
    rule->times = times;
    snprintf(rule->words, sizeof rule->words, "%s", words);
    assert_in_range(vsnprintf(rule->wire, sizeof rule->wire, wire, args), 0, sizeof rule->wire - 1);
}

void fake_say(struct fake_redis *f, const char *words, const char *wire, ...)
{
    va_list args;
    va_start(args, wire);
    rule_add(f, -1, words, wire, args);
    va_end(args);
}

void fake_say_times(struct fake_redis *f, int times, const char *words, const char *wire, ...)
{
    va_list args;
    va_start(args, wire);
    rule_add(f, times, words, wire, args);
    va_end(args);
}

void fake_push(struct fake_redis *f, const char *wire, ...)
{
    char text[512];
    va_list args;
    va_start(args, wire);
    vsnprintf(text, sizeof text, wire, args);
    va_end(args);
    for (size_t i = 0; i < FAKE_CLIENTS_MAX; i++)
        if (f->clients[i])
            assert_true(conn_send(&f->clients[i]->conn, str_of_z(text)));
}

/* ---- life ---- */

static void listen_at(struct fake_redis *f)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof ss;
    struct ip ip;
    struct err err;
    f->fd = listen_open(&f->at, 16, &err);
    assert_true(f->fd >= 0);
    assert_int_equal(getsockname(f->fd, (struct sockaddr *)&ss, &len), 0);
    ip_from_sockaddr(&ss, &ip, &f->at.port);
    acceptor_init(&f->acceptor, f->loop, f->fd, on_accept, f);
}

void fake_start(struct fake_redis *f, struct loop *l, const char *mode, const char *role)
{
    *f = (struct fake_redis){.loop = l, .mode = mode, .role = role, .version = "7.0.0", .fd = -1};
    f->at = (struct endpoint){.kind = ENDPOINT_IP, .ip = {ADDR_IPV4, {127, 0, 0, 1}}};
    listen_at(f);
}

void fake_cut_off(struct fake_redis *f)
{
    for (size_t i = 0; i < FAKE_CLIENTS_MAX; i++)
        if (f->clients[i])
            client_free(f->clients[i]);
}

void fake_stop(struct fake_redis *f)
{
    if (f->fd < 0)
        return;
    acceptor_stop(&f->acceptor);
    close(f->fd);
    f->fd = -1;
    fake_cut_off(f);
}

void fake_restart(struct fake_redis *f)
{
    listen_at(f);
}
