/*
 * eval.h - conditions and texts, compiled: asked thousands of times a second, allocating nothing.
 *
 *   condition of the checked tree ─▶ eval_compile ─▶ struct test_node ─▶ eval_is_true(node, context)
 *
 * What is not known is none: every comparison with it is false, `not (…)` of that is true (GRAMMAR.md 3).
 */
#ifndef RULES_EVAL_H
#define RULES_EVAL_H

#include "rules/table.h"

/* What a rule's `tag` has set. */
struct rule_tag {
    struct rule_tag *next;
    struct str name, value; /* value: STR_NONE, set without one */
};

struct eval_context {
    const struct facts *facts;
    const struct rule_tag *connection_tags, *mail_tags;
};

struct test_node;     /* a condition */
struct text_template; /* a text with ${…} */

/* The tables of a configuration, by name, and what compiled things lie in. */
struct eval_program {
    struct arena arena;
    struct map tables;       /* name → struct lookup */
    struct lookup **lookups; /* all, those of lists too; heap: to be freed */
    size_t lookup_count, lookup_cap;
    struct test_node *patterns; /* all that hold one, to be freed */
    uint64_t uses[(ATTRIBUTE_COUNT + 63) / 64];
};

void eval_program_init(struct eval_program *p);
void eval_program_fini(struct eval_program *p);

/* Builds every table of the tree; files are read. False: diagnostics say what is wrong. */
MUST_USE bool eval_add_tables(struct eval_program *p, const struct tree *tree, struct diagnostics *d);

/* Compiles a checked condition: `if` and `unless` of one clause together, either may be NULL; both NULL gives NULL,
 * always true. *ok false: no memory, or a pattern that cannot be compiled (said). */
struct test_node *eval_compile(struct eval_program *p, const struct condition *if_cond,
                               const struct condition *unless_cond, struct diagnostics *d, bool *ok);
bool eval_is_true(const struct test_node *node, const struct eval_context *context);
/* Appends every attribute and tag that the condition speaks of, once each, with its value now: "authenticated false,
 * rcpt.domain example.net"; what is not known is "none". For explain. False: the buffer is full. */
MUST_USE bool eval_values(const struct test_node *node, const struct eval_context *context, struct buf *to);
/* Does it look at rcpt…? Then it is asked for each recipient. */
bool eval_asks_rcpt(const struct test_node *node);

/* Compiles a text. NULL: no memory. */
struct text_template *text_compile(struct eval_program *p, const struct value *text);
/* Appends it; what is not known prints "-", the null sender "<>"; control characters are left out. False: the buffer is
 * full. */
MUST_USE bool text_render(const struct text_template *t, const struct eval_context *context, struct buf *to);
/* The words of a plain template without ${…}, or STR_NONE. */
struct str text_constant(const struct text_template *t);

bool eval_uses(const struct eval_program *p, enum attribute attribute);

#endif
