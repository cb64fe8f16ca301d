// uses: redis
/*
 * fuzz_redis_cluster.c - what a Cluster says: bytes that are taken for replies are read as the reply to CLUSTER
 * SLOTS, as a redirect and as an error. Promises held: every slot belongs to a master that is there, or to nobody; each
 * master is there once and can be connected to; a redirect names a slot that exists; a refusal has a reason.
 */
#include "base/panic.h"
#include "redis/reply.h"
#include "redis/slots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_place(const struct endpoint *at)
{
    struct endpoint again;
    struct err err;
    char text[ENDPOINT_TEXT_MAX];
    PANIC_IF(at->kind == ENDPOINT_UNIX || at->port == 0, "a place that is none");
    PANIC_IF(!endpoint_parse(endpoint_format(at, text), &again, &err) || !endpoint_equal(at, &again),
             "a place that cannot be said");
}

static void check_map(const redisReply *reply, const struct endpoint *asked)
{
    static struct slots_map map;
    struct err err = {0};
    slots_map_init(&map);
    bool is_good = slots_map_parse(&map, reply, asked, &err);
    PANIC_IF(is_good != (err.text[0] == 0), "a reason");
    PANIC_IF(is_good && map.master_count == 0, "a map of nothing");
    for (size_t i = 0; i < SLOTS_COUNT; i++)
        PANIC_IF(map.master_of[i] != SLOTS_UNCOVERED && map.master_of[i] >= map.master_count, "the master of a slot");
    for (size_t i = 0; i < map.master_count; i++) {
        check_place(&map.masters[i]);
        for (size_t k = 0; k < i; k++)
            PANIC_IF(endpoint_equal(&map.masters[i], &map.masters[k]), "a master twice");
    }
    slots_map_fini(&map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct endpoint asked = {.kind = ENDPOINT_IP, .ip = {ADDR_IPV4, {127, 0, 0, 1}}, .port = 7311};
    struct redis_reply_reader reader;
    const redisReply *reply;
    PANIC_IF(!redis_reply_reader_init(&reader), "no memory");
    if (size && data[0] == '@') {
        asked = (struct endpoint){.kind = ENDPOINT_UNIX, .name = "/run/redis.sock"};
        data++, size--;
    }
    (void)redis_slot(str_of((const char *)data, size));
    bool is_fed = redis_reply_reader_feed(&reader, str_of((const char *)data, size));
    while (is_fed && (reply = redis_reply_reader_next(&reader)) != NULL) {
        check_map(reply, &asked);
        struct slots_redirect r = slots_redirect_parse(reply, &asked);
        if (r.kind != SLOTS_NO_REDIRECT) {
            PANIC_IF(r.slot >= SLOTS_COUNT, "the slot of a redirect");
            check_place(&r.to);
        }
        if (redis_reply_is_error(reply))
            PANIC_IF(r.kind != SLOTS_NO_REDIRECT && redis_error_kind(reply) != REDIS_ERROR_WRONG_NODE, "kind of error");
    }
    redis_reply_reader_fini(&reader);
    return 0;
}
