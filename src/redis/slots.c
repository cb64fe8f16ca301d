/* slots.c - CRC16 of keys, replies to CLUSTER SLOTS, redirects (PROTOCOLS.md 7, the table of errors and "Slot"). */
#include "redis/slots.h"

#include <stdlib.h>

#include "base/grow.h"

/* ---- slots of keys ---- */

/* CRC16/XMODEM: polynomial 0x1021, begun with 0, four bits at a time. */
static uint16_t crc16(struct str s)
{
    static const uint16_t NIBBLE[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
                                        0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
    unsigned crc = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned byte = (unsigned char)s.ptr[i];
        crc = (crc << 4 & 0xffff) ^ NIBBLE[crc >> 12 ^ byte >> 4];
        crc = (crc << 4 & 0xffff) ^ NIBBLE[crc >> 12 ^ (byte & 15)];
    }
    return (uint16_t)crc;
}

uint16_t redis_slot(struct str key)
{
    /* From the first { to the next }, if something stands between them: `a{}b{c}` has no tag, `a{{b}}c` the tag `{b`.
     */
    struct str after = str_from(key, str_find(key, '{') + 1);
    size_t len = str_find(after, '}');
    if (len > 0 && len < after.len)
        key = str_sub(after, 0, len);
    return crc16(key) % SLOTS_COUNT;
}

/* ---- places ---- */

bool slots_endpoint_of(struct str host, uint64_t port, const struct endpoint *asked, struct endpoint *to)
{
    if (port == 0 || port > UINT16_MAX)
        return false;
    memset(to, 0, sizeof *to);
    if (host.len == 0 && asked->kind != ENDPOINT_UNIX) {
        *to = *asked;
    } else if (host.len == 0) {
        host = STR("127.0.0.1"); /* who was asked through a socket of this host is on this host */
    }
    if (host.len) {
        to->kind = ENDPOINT_IP;
        if (!ip_parse(host, &to->ip)) {
            if (host.len >= sizeof to->name || !host_name_is_valid(host))
                return false;
            to->kind = ENDPOINT_NAME;
            str_copy_into(to->name, sizeof to->name, host);
        } else if (ip_is_any(&to->ip)) {
            return false; /* connecting there would reach this host, whoever listens on it */
        }
    }
    to->port = (uint16_t)port;
    return true;
}

/* ---- the map ---- */

void slots_map_init(struct slots_map *map)
{
    map->masters = NULL;
    map->master_count = map->master_cap = 0;
    for (size_t i = 0; i < SLOTS_COUNT; i++)
        map->master_of[i] = SLOTS_UNCOVERED;
}

void slots_map_fini(struct slots_map *map)
{
    free(map->masters);
    map->masters = NULL;
    map->master_count = map->master_cap = 0;
}

/* The number of a master, new or known. */
static bool number_of(struct slots_map *map, const struct endpoint *master, uint16_t *number, struct err *err)
{
    for (size_t i = map->master_count; i > 0; i--) {
        if (endpoint_equal(&map->masters[i - 1], master)) {
            *number = (uint16_t)(i - 1);
            return true;
        }
    }
    if (map->master_count == SLOTS_MASTERS_MAX)
        return err_set(err, "the reply to CLUSTER SLOTS names more than %d masters", SLOTS_MASTERS_MAX);
    if (!GROW(&map->masters, map->master_count + 1, &map->master_cap, 8))
        return err_no_memory(err);
    map->masters[map->master_count] = *master;
    *number = (uint16_t)map->master_count++;
    return true;
}

static struct str text_of(const redisReply *r)
{
    return r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS ? str_of(r->str, r->len) : STR_NONE;
}

/* A node: [host, port, id, …]. The host "?" is a name that nobody told the Cluster; then it says the address among what
 * follows the id: ["ip", "127.0.0.1"]. */
static bool parse_node(const redisReply *node, const struct endpoint *asked, struct endpoint *to)
{
    if (node->type != REDIS_REPLY_ARRAY || node->elements < 2 || node->element[1]->type != REDIS_REPLY_INTEGER)
        return false;
    const redisReply *name = node->element[0];
    if (name->type != REDIS_REPLY_STRING && name->type != REDIS_REPLY_STATUS && name->type != REDIS_REPLY_NIL)
        return false;
    struct str host = text_of(name);
    if (str_equal(host, STR("?"))) {
        host = STR_NONE;
        const redisReply *more = node->elements > 3 ? node->element[3] : NULL;
        for (size_t i = 0; more && more->type == REDIS_REPLY_ARRAY && i + 1 < more->elements; i += 2)
            if (str_equal(text_of(more->element[i]), STR("ip")))
                host = text_of(more->element[i + 1]);
    }
    long long port = node->element[1]->integer;
    return port > 0 && slots_endpoint_of(host, (uint64_t)port, asked, to);
}

/* [first, last, master, replicas…]. Without a master its slots are uncovered. */
static bool parse_range(struct slots_map *map, const redisReply *range, const struct endpoint *asked, struct err *err)
{
    if (range->type != REDIS_REPLY_ARRAY || range->elements < 2 || range->element[0]->type != REDIS_REPLY_INTEGER ||
        range->element[1]->type != REDIS_REPLY_INTEGER)
        return err_set(err, "the reply to CLUSTER SLOTS is not a list of ranges");
    long long first = range->element[0]->integer, last = range->element[1]->integer;
    if (first < 0 || last < first || last >= SLOTS_COUNT)
        return err_set(err, "the reply to CLUSTER SLOTS speaks of slots %lld to %lld", first, last);
    if (range->elements == 2)
        return true;
    struct endpoint master;
    uint16_t number = 0;
    if (!parse_node(range->element[2], asked, &master))
        return err_set(err, "the reply to CLUSTER SLOTS does not say where the master of slots %lld to %lld is", first,
                       last);
    if (!number_of(map, &master, &number, err))
        return false;
    for (long long i = first; i <= last; i++)
        map->master_of[i] = number;
    return true;
}

bool slots_map_parse(struct slots_map *map, const redisReply *reply, const struct endpoint *asked, struct err *err)
{
    if (reply->type == REDIS_REPLY_ERROR)
        return err_set(err, "CLUSTER SLOTS is refused: " PRI_STR, STR_ARG(str_of(reply->str, reply->len)));
    if (reply->type != REDIS_REPLY_ARRAY)
        return err_set(err, "the reply to CLUSTER SLOTS is not a list");
    if (reply->elements > SLOTS_COUNT)
        return err_set(err, "the reply to CLUSTER SLOTS has more than %d ranges", SLOTS_COUNT);
    for (size_t i = 0; i < reply->elements; i++)
        if (!parse_range(map, reply->element[i], asked, err))
            return false;
    if (map->master_count == 0) {
        err_set(err, "the node knows of no slot: it belongs to no Cluster, or to one that is not made up yet");
        return err_set_hint(err, "see what `redis-cli cluster nodes` says there");
    }
    return true;
}

/* ---- redirects and errors ---- */

struct slots_redirect slots_redirect_parse(const redisReply *reply, const struct endpoint *asked)
{
    struct slots_redirect none = {.kind = SLOTS_NO_REDIRECT}, redirect = none;
    if (reply->type != REDIS_REPLY_ERROR)
        return none;
    struct str rest = str_of(reply->str, reply->len);
    struct str word = str_split(rest, ' ', &rest);
    struct str place, slot_text = str_split(rest, ' ', &place);
    uint64_t slot, port;
    if (str_equal(word, STR("MOVED")))
        redirect.kind = SLOTS_MOVED;
    else if (str_equal(word, STR("ASK")))
        redirect.kind = SLOTS_ASK;
    else
        return none;
    /* An IPv6 address comes without brackets, so the port stands after the last colon. */
    size_t colon = str_find_last(place, ':');
    struct str host = str_sub(place, 0, colon);
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = str_sub(host, 1, host.len - 2);
    if (!str_to_u64(slot_text, SLOTS_COUNT - 1, &slot) || colon >= place.len ||
        !str_to_u64(str_from(place, colon + 1), UINT16_MAX, &port) ||
        !slots_endpoint_of(host, port, asked, &redirect.to))
        return none;
    redirect.slot = (uint16_t)slot;
    return redirect;
}

enum redis_error_kind redis_error_kind(const redisReply *error)
{
    static const struct {
        struct str word;
        enum redis_error_kind kind;
    } KINDS[] = {
        {{"NOAUTH", 6}, REDIS_ERROR_CONFIGURATION}, {{"WRONGPASS", 9}, REDIS_ERROR_CONFIGURATION},
        {{"NOPERM", 6}, REDIS_ERROR_CONFIGURATION}, {{"NOPROTO", 7}, REDIS_ERROR_CONFIGURATION},
        {{"LOADING", 7}, REDIS_ERROR_BUSY},         {{"BUSY", 4}, REDIS_ERROR_BUSY},
        {{"TRYAGAIN", 8}, REDIS_ERROR_BUSY},        {{"CLUSTERDOWN", 11}, REDIS_ERROR_BUSY},
        {{"READONLY", 8}, REDIS_ERROR_WRONG_NODE},  {{"MASTERDOWN", 10}, REDIS_ERROR_WRONG_NODE},
        {{"MOVED", 5}, REDIS_ERROR_WRONG_NODE},     {{"ASK", 3}, REDIS_ERROR_WRONG_NODE},
    };
    struct str rest, word = str_split(str_of(error->str, error->len), ' ', &rest);
    for (size_t i = 0; i < COUNT_OF(KINDS); i++)
        if (str_equal(word, KINDS[i].word))
            return KINDS[i].kind;
    return REDIS_ERROR_COMMAND;
}
