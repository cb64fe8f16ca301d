/*
 * eval.h - conditions and texts, compiled: asked thousands of times a second, allocating nothing.
 *
 *   condition of the checked tree ─▶ eval_compile ─▶ struct test_node ─▶ eval_ask(node, context) ─▶ FALSE TRUE
 *                                                                            │                      WAIT FAILED
 *                                                                            └▶ struct eval_outside: names, lists,
 *                                                                               remote tables, counts of limits
 *
 * What is not known is none: every comparison with it is false, `not (…)` of that is true (GRAMMAR.md 3).
 *
 * Some of it lies outside and takes time. A condition is asked from left to right, what takes time last, and only as
 * far as its answer depends on it; where it meets what is not there yet it answers WAIT, and is asked again as a whole
 * once the outside knows. So nothing is looked up that is not needed. FAILED: what it needed cannot be had; then
 * nothing can be said of the rule or limit.
 */
#ifndef RULES_EVAL_H
#define RULES_EVAL_H

#include "base/map.h"
#include "rules/table.h"

/* What a rule's `tag` has set. */
struct rule_tag {
    struct rule_tag *next;
    struct str name, value; /* value: STR_NONE, set without one */
};

enum eval_result { EVAL_FALSE, EVAL_TRUE, EVAL_WAIT, EVAL_FAILED };

enum { EVAL_MAX_DNSBLS = 64, EVAL_MAX_REMOTES = 64 }; /* that conditions name */

/* What lies outside of the facts; policy/ knows. Each answers at once: by what is known, or by WAIT, after having
 * noted what is wanted. Lists, tables and limits by their numbers (struct eval_program). */
struct eval_outside {
    /* client.name, client.country, client.asn, client.known. TRUE: *out is it, NONE if there is none. */
    enum eval_result (*attribute)(struct eval_outside *outside, enum attribute attribute, struct fact *out);
    /* Is the client on that list? */
    enum eval_result (*listed)(struct eval_outside *outside, unsigned dnsbl);
    /* Is x (a text) in that remote table? TRUE: *value is what stands there, of a map its values joined by commas;
     * borrowed until the condition is decided. value may be NULL. */
    enum eval_result (*remote)(struct eval_outside *outside, unsigned remote, const struct fact *x, struct str *value);
    /* used(L), left(L) for the key that the facts give it; limit: a number given to eval_add_limit. TRUE: *out is it,
     * NONE where L does not apply. */
    enum eval_result (*count)(struct eval_outside *outside, unsigned limit, bool is_left, const struct facts *facts,
                              struct fact *out);
};

enum { EVAL_MAX_MEMBERSHIPS = 256 }; /* of an attribute in a table, that are remembered */

/* What the rules of one phase found out, for those that follow: a thousand rules ask the same few things, and facts do
 * not change while they are asked. Borrowed; begins with eval_memory_clear. */
struct eval_memory {
    uint64_t known[(ATTRIBUTE_COUNT + 63) / 64];
    uint64_t is_plain[(ATTRIBUTE_COUNT + 63) / 64]; /* of texts: equal is equal but for case */
    uint64_t asked[EVAL_MAX_MEMBERSHIPS / 64], is_member[EVAL_MAX_MEMBERSHIPS / 64];
    struct fact facts[ATTRIBUTE_COUNT];
};
void eval_memory_clear(struct eval_memory *memory);

struct eval_context {
    const struct facts *facts;
    struct eval_memory *memory; /* NULL: nothing is remembered */
    const struct rule_tag *connection_tags, *mail_tags;
    int64_t score;                /* in millionths */
    struct eval_outside *outside; /* NULL: nothing of it is known */
};

struct test_node;     /* a condition */
struct text_template; /* a text with ${…} */

/* The tables of a configuration, by name, and what compiled things lie in. */
struct eval_program {
    struct arena arena;
    struct map tables;  /* name → struct lookup */
    struct map sources; /* dnsbls and remote tables: name → struct eval_source (eval_node.h) */
    struct map limits;  /* name → struct eval_limit */
    /* Those that a condition names, in the order in which the first one does: their numbers. Of the tree: as long as
     * that lasts. */
    const struct dnsbl *dnsbls[EVAL_MAX_DNSBLS];
    const struct table *remotes[EVAL_MAX_REMOTES];
    unsigned dnsbl_count, remote_count;
    struct lookup **lookups; /* all, those of lists too; heap: to be freed */
    size_t lookup_count, lookup_cap;
    struct test_node *patterns; /* all that hold one, to be freed */
    /* Which attribute is asked of which table: their numbers, for struct eval_memory. */
    struct {
        enum attribute attribute;
        const struct lookup *lookup;
    } memberships[EVAL_MAX_MEMBERSHIPS];
    size_t membership_count;
    uint64_t uses[(ATTRIBUTE_COUNT + 63) / 64];
};

void eval_program_init(struct eval_program *p);
void eval_program_fini(struct eval_program *p);

/* Builds every table of the tree; files are read. False: diagnostics say what is wrong. */
MUST_USE bool eval_add_tables(struct eval_program *p, const struct tree *tree, struct diagnostics *d);

/* used(name) and left(name) ask eval_outside.count for this number. Of a limit that was not added (a disabled one) they
 * are none. Before the first condition that names it is compiled. False: no memory. name: borrowed as long as p. */
MUST_USE bool eval_add_limit(struct eval_program *p, struct str name, unsigned limit);

/* Compiles a checked condition: `if` and `unless` of one clause together, either may be NULL; both NULL gives NULL,
 * always true. *ok false: no memory, or a pattern that cannot be compiled (said). */
struct test_node *eval_compile(struct eval_program *p, const struct condition *if_cond,
                               const struct condition *unless_cond, struct diagnostics *d, bool *ok);
/* NULL: TRUE. After WAIT: again, as a whole, when the outside knows more. */
enum eval_result eval_ask(const struct test_node *node, const struct eval_context *context);
/* It will be asked soon. */
void eval_prefetch(const struct test_node *node);
/* The same where nothing is waited for: what is not known yet, or failed, does not hold. */
static inline bool eval_is_true(const struct test_node *node, const struct eval_context *context)
{
    return eval_ask(node, context) == EVAL_TRUE;
}
/* May it answer WAIT? */
bool eval_may_wait(const struct test_node *node);
/* Which lists (bit i: number i) a condition may ask. */
uint64_t eval_dnsbls(const struct test_node *node);
/* Tells of each limit whose count it may ask for, by its number; some perhaps twice. */
void eval_tell_counts(const struct test_node *node, void (*tell)(void *arg, unsigned limit), void *arg);
/* Appends every attribute and tag that the condition speaks of, once each, with its value now: "authenticated false,
 * rcpt.domain example.net"; what is not known is "none". For explain. False: the buffer is full. */
MUST_USE bool eval_values(const struct test_node *node, const struct eval_context *context, struct buf *to);
/* Does it look at this one? */
bool eval_looks_at(const struct test_node *node, enum attribute attribute);
/* Does it ask a table that lies elsewhere? */
bool eval_asks_remote(const struct test_node *node);
/* Does it look at rcpt…? Then it is asked for each recipient. */
bool eval_asks_rcpt(const struct test_node *node);

/* Compiles a text. NULL: no memory. */
struct text_template *text_compile(struct eval_program *p, const struct value *text);
/* May text_ask answer WAIT? */
bool text_may_wait(const struct text_template *t);
/* Is all there that it shows? TRUE or WAIT. */
enum eval_result text_ask(const struct text_template *t, const struct eval_context *context);
/* Appends it; what is not known prints "-", the null sender "<>"; control characters are left out. False: the buffer is
 * full. */
MUST_USE bool text_render(const struct text_template *t, const struct eval_context *context, struct buf *to);
/* The words of a plain template without ${…}, or STR_NONE. */
struct str text_constant(const struct text_template *t);

bool eval_uses(const struct eval_program *p, enum attribute attribute);
/* Something else than a condition or text looks at it: a limit that counts countries. */
void eval_use(struct eval_program *p, enum attribute attribute);

#endif
