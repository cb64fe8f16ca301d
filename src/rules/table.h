/*
 * table.h - what `in` asks: strings, addresses, domains, networks and maps, in the form in which they are quickly
 * found.
 *
 *   items of the tree, or lines of a file ─▶ normal form ─▶ hash / sorted ranges ─▶ table_has, table_get
 *
 * Membership (RULES.md "Tables"): strings ignore ASCII case; an address is looked for whole, then without its +tag,
 * then by @domain; a domain itself, then by every parent with a dot before it, U-labels and A-labels alike (IDNA 2008);
 * networks by containment; maps by their keys, as addresses where they hold an @, else as strings. Built once, then
 * only read: workers share nothing and lock nothing.
 */
#ifndef RULES_TABLE_H
#define RULES_TABLE_H

#include "base/map.h"
#include "rules/facts.h"
#include "rules/print.h"
#include "rules/tree.h"

struct lookup {
    enum table_type type;
    struct str name;
    struct arena arena;    /* keys and values */
    struct map keys;       /* normal form → itself, or, of a map, struct lookup_values */
    struct ip_span *spans; /* of networks: sorted, disjoint; heap */
    size_t span_count, span_cap;
};

struct lookup_values {
    struct str *items; /* in normal form of addresses where they hold an @ */
    size_t count, cap;
};

/* type: one that is in force. name: for messages; borrowed. */
void lookup_init(struct lookup *t, enum table_type type, struct str name);
void lookup_fini(struct lookup *t);

/* Adds one item. False: it is none of the table's type (err: `"x" is not a network`), or no memory. */
MUST_USE bool lookup_add(struct lookup *t, struct str item, struct err *err);
MUST_USE bool lookup_add_span(struct lookup *t, const struct ip *from, const struct ip *to);
/* Of a map: one more value of the key. */
MUST_USE bool lookup_add_value(struct lookup *t, struct str key, struct str value, struct err *err);
/* After the last item. */
void lookup_seal(struct lookup *t);

/* Reads a file: one item a line, `#` comments, of a map `KEY VALUE` or `KEY { V, V }`. What is wrong goes to the
 * diagnostics with the place in the file; named_at is where the configuration names it. */
MUST_USE bool lookup_read(struct lookup *t, struct source_set *sources, struct str path, struct place named_at,
                          struct diagnostics *d);

/* Is it in? NONE is in nothing. */
bool lookup_has(const struct lookup *t, const struct fact *x);
/* Of a map: the values of the key that fits best; NULL: not there. */
const struct lookup_values *lookup_get(const struct lookup *t, const struct fact *x);
bool lookup_values_have(const struct lookup_values *values, struct str x);

/* Are two texts the same address, domain or word (GRAMMAR.md 3, "one family")? */
bool text_is_same(struct str a, struct str b);
/* The domain in A-labels, lower case, into `to` of at least SMTP_DOMAIN_MAX + 2 bytes; a leading dot stays. What is no
 * domain comes back lower-cased as it is. */
struct str domain_normal(struct str domain, char *to, size_t size);

#endif
