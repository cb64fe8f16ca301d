/*
 * table.h - what `in` asks: strings, addresses, domains, networks, patterns and maps, in the form in which they are
 * quickly found.
 *
 *   items of the tree, or lines of a file ─▶ normal form ─▶ one image ─▶ lookup_has, lookup_get, lookup_net_value
 *
 * Membership (RULES.md "Tables"): strings ignore ASCII case; an address is looked for whole, then without its +tag,
 * then by @domain; a domain itself, then by every parent with a dot before it, U-labels and A-labels alike (IDNA 2008);
 * networks by the longest prefix; patterns one after the other; maps by their keys, as addresses where they hold an @,
 * else as strings.
 *
 * Sealed, a table is one block of memory without pointers, its image: built once, then only read. So a file that
 * changes is read by a process of its own, which hands the finished image to all workers (process/table_keeper.h): to
 * each that is one mapping and one pointer that changes between two turns of its loop. Nobody sees half a table, nobody
 * waits for a million lines, and a million addresses lie in memory once.
 *
 * Costs: a key its text and 24 bytes; an IPv4 network at most 16 bytes, an IPv6 network 40; a value of a netmap its
 * text once, however many networks have it.
 */
#ifndef RULES_TABLE_H
#define RULES_TABLE_H

#include "base/file_stamp.h"
#include "rules/facts.h"
#include "rules/pattern.h"
#include "rules/print.h"
#include "rules/tree.h"

enum {
    TABLE_ITEM_MAX_BYTES = 512,
    TABLE_MAX_ITEMS = 10000000,
    TABLE_FILE_MAX_BYTES = 256 << 20,
    TABLE_LINE_MAX_BYTES = 65536,
    TABLE_MAX_PATTERNS = 10000,
};

struct table_build;
struct table_image;

struct lookup {
    enum table_type type;
    struct str name;
    unsigned rate_units;             /* of a map that limits of these units (1u << enum unit) take rates from, else 0 */
    const char *path;                /* of a table that is kept in a file: where it is; NULL: it stands in the rules */
    struct file_stamp stamp;         /* … and what it was when it was read */
    struct table_build *build;       /* until it is sealed */
    const struct table_image *image; /* NULL: nothing is in it */
    size_t mapped_bytes;             /* the image is a mapping of so many; 0: it is heap */
    bool is_released;                /* bit by bit */
    size_t kept_bytes;               /* … and what is still there */
    struct pattern **patterns;       /* of an image of patterns */
    size_t pattern_count;
};

/* The values of one key, inside the image. */
struct lookup_values;

/* type: any. name: for messages; borrowed. */
void lookup_init(struct lookup *t, enum table_type type, struct str name);
void lookup_fini(struct lookup *t);

/* Adds one item. False: it is none of the table's type (err: `"x" is not a network`), or no memory. */
MUST_USE bool lookup_add(struct lookup *t, struct str item, struct err *err);
/* Of networks and netmaps: all from one address to the other, with this value (STR_NONE: networks have none). Of a
 * network that comes twice the first counts. */
MUST_USE bool lookup_add_span(struct lookup *t, const struct ip *from, const struct ip *to, struct str value,
                              struct err *err);
/* Of a map: one more value of the key. Of a netmap: the value of the network. */
MUST_USE bool lookup_add_value(struct lookup *t, struct str key, struct str value, struct err *err);
/* After the last item: makes the image, which may be asked from now on. Once. False: no memory, or too much for one
 * table; the table is empty then. */
MUST_USE bool lookup_seal(struct lookup *t, struct err *err);

/* `info@example.org: alice`, as other mail servers write it: the key would be `info@example.org:`, and never found. In
 * quotes a key may end so. */
#define TABLE_KEY_FOREIGN "no : stands behind the key \"" PRI_STR "\""
static inline bool table_key_is_foreign(struct str word)
{
    return word.len > 1 && word.ptr[0] != '"' && word.ptr[0] != '\'' && word.ptr[word.len - 1] == ':';
}

/* Reads a file and seals: one item a line, `#` comments, of a map `KEY VALUE` or `KEY { V, V }`, of a netmap `NETWORK
 * VALUE`. What holds spaces or # stands in quotes; a pattern may stand in quotes, else it is its whole line. What is
 * wrong goes to the diagnostics with the place in the file; after DIAG_MAX_SHOWN mistakes it reads no further. named_at
 * is where the configuration names it. The file is read through once and never held in memory. */
MUST_USE bool lookup_read(struct lookup *t, struct source_set *sources, struct str path, struct place named_at,
                          struct diagnostics *d);
/* The same from an open file; path is what messages call it. */
MUST_USE bool lookup_read_open(struct lookup *t, int fd, struct source_set *sources, struct str path,
                               struct place named_at, struct diagnostics *d);

/* ---- images that travel between processes ---- */

/* Writes the image of a sealed table. False: err. */
MUST_USE bool lookup_write_image(const struct lookup *t, int fd, struct err *err);
/* Prepares a table with the image in fd, which is mapped: the descriptor may be closed, the file must not change any
 * more. `t` becomes a table like `like` (type, name, path, borrowed from it). False: it is no image of that type; err.
 * A table of patterns is ready after lookup_compile_patterns. */
MUST_USE bool lookup_map_image(struct lookup *t, const struct lookup *like, int fd, struct err *err);
/* Compiles up to `count` of a mapped table's patterns: as much as a turn of a loop may take. True: all are ready. A
 * pattern that cannot be compiled now (no memory) never matches, and that is logged. */
bool lookup_compile_patterns(struct lookup *t, size_t count);
/* lookup_fini in pieces: gives back the memory of about 2 MiB, as much as a turn of a loop may take. True: all is gone,
 * as after lookup_fini; before that `t` may only be released further. */
bool lookup_release(struct lookup *t);
/* What is asked by `t` is from now on answered by `with`, and the other way round. */
void lookup_exchange(struct lookup *t, struct lookup *with);

/* ---- asking ---- */

/* Is it in? NONE is in nothing. */
bool lookup_has(const struct lookup *t, const struct fact *x);
/* Of a map: the values of the key that fits best; NULL: not there. They lie in the table: valid in this turn of the
 * loop. */
const struct lookup_values *lookup_get(const struct lookup *t, const struct fact *x);
bool lookup_values_have(const struct lookup_values *values, struct str x);
/* One after the other in the order in which they were added; from: what the last call left, at first `values` itself.
 * ptr NULL: there are no more. */
struct str lookup_values_next(const struct lookup_values **from);
/* Of a netmap: the value of the longest prefix; ptr NULL: there is none. Valid as lookup_get's. */
struct str lookup_net_value(const struct lookup *t, const struct fact *x);
/* Items in it, as they were added; and bytes of its image. */
size_t lookup_item_count(const struct lookup *t);
size_t lookup_image_bytes(const struct lookup *t);

/* Are two texts the same address, domain or word (GRAMMAR.md 3, "one family")? */
bool text_is_same(struct str a, struct str b);
/* Is it written in one way only, but for case? Two such texts are the same where str_equal_nocase says so. */
bool text_is_plain(struct str text);
/* The domain in A-labels, lower case, into `to` of at least SMTP_DOMAIN_MAX + 2 bytes; a leading dot stays. What is no
 * domain comes back lower-cased as it is. */
struct str domain_normal(struct str domain, char *to, size_t size);

#endif
