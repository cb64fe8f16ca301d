/*
 * slots.h - what a Cluster says about who has what, as pure functions: the map of slots, redirects, kinds of errors.
 *
 *   key ── CRC16 of its tag ──▶ slot 0 … 16383 ── map ──▶ number of a master ──▶ its address
 *
 * A Cluster tells the whole map in its reply to CLUSTER SLOTS, and corrects it slot by slot with MOVED. Both name hosts
 * as the Cluster knows itself: an address, a name, or nothing at all, which means the host that was asked. PROTOCOLS.md
 * 7, "Slot".
 *
 * What comes is not trusted: a reply that is not as it should be is refused as a whole, with a reason, and the map that
 * was known stays in use. More members than are known here are ignored, because later versions add some.
 */
#ifndef REDIS_SLOTS_H
#define REDIS_SLOTS_H

#include "net/addr.h"
#include "redis/redis.h"

enum {
    SLOTS_COUNT = 16384,
    SLOTS_UNCOVERED = UINT16_MAX, /* nobody has the slot */
    SLOTS_MASTERS_MAX = 1024,     /* Redis advises against more than 1000 nodes */
};

struct slots_map {
    struct endpoint *masters; /* each once */
    size_t master_count, master_cap;
    uint16_t master_of[SLOTS_COUNT]; /* index in masters, or SLOTS_UNCOVERED */
};

/* Covers nothing. */
void slots_map_init(struct slots_map *map);
void slots_map_fini(struct slots_map *map);

/* Reads the reply of the node `asked` to CLUSTER SLOTS into a map that slots_map_init made. False with a reason: an
 * error, no memory, not of that form, or a map without a single slot (the node belongs to no Cluster that is made up);
 * the map is then of no use, but slots_map_fini is still due. */
MUST_USE bool slots_map_parse(struct slots_map *map, const redisReply *reply, const struct endpoint *asked,
                              struct err *err);

/* An error reply that sends a command elsewhere. */
enum slots_redirect_kind {
    SLOTS_NO_REDIRECT,
    SLOTS_MOVED, /* the slot is there from now on */
    SLOTS_ASK    /* the key may be there already: this one command, after ASKING; the map stays */
};
struct slots_redirect {
    enum slots_redirect_kind kind;
    uint16_t slot;
    struct endpoint to; /* ENDPOINT_IP or ENDPOINT_NAME */
};

/* "MOVED 8645 127.0.0.1:7312", "ASK 8645 ::1:7312", "MOVED 8645 :7312" as said by the node `asked`. SLOTS_NO_REDIRECT:
 * another reply, or a redirect that names no place. */
struct slots_redirect slots_redirect_parse(const redisReply *reply, const struct endpoint *asked);

/* Where a node of a Cluster is that tells host and port of itself or of another: host empty is the host of `asked`.
 * Also for what Sentinel answers. False: no host's name or address (0.0.0.0 is nobody's), or port 0. */
MUST_USE bool slots_endpoint_of(struct str host, uint64_t port, const struct endpoint *asked, struct endpoint *to);

#endif
