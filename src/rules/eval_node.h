/* eval_node.h - how compiled conditions and texts lie in memory: eval_compile.c writes it, eval.c reads it. */
#ifndef RULES_EVAL_NODE_H
#define RULES_EVAL_NODE_H

#include <assert.h>

#include "rules/eval.h"
#include "rules/pattern.h"

enum { SUBJECT_MAX_BYTES = 1024 };

/* A dnsbl or remote table; numbered when the first condition names it. */
struct eval_source {
    const struct statement *of; /* as long as the tree lasts */
    unsigned number;
    bool is_used;
};
struct eval_limit {
    unsigned number;
};

enum operand_from { FROM_CONSTANT, FROM_ATTRIBUTE, FROM_SCORE, FROM_TAG, FROM_OUTSIDE, FROM_COUNT, FROM_NETMAP };
/* Small, as nodes are: what a thousand rules cost is above all the memory that they are read from. */
struct test_operand {
    uint8_t kind;      /* enum operand_from */
    uint8_t key;       /* NETMAP: what its address is, an attribute's or a constant, as above */
    uint8_t attribute; /* ATTRIBUTE, OUTSIDE; of COUNT: USED or LEFT */
    bool asks_rcpt;    /* COUNT: for the recipient at hand */
    bool is_plain;     /* CONSTANT: text_is_plain */
    unsigned limit;    /* COUNT: its number */
    union {
        struct str name;      /* TAG; ATTRIBUTE: what stands in ["…"]; COUNT: the limit's */
        struct fact constant; /* CONSTANT; numbers in millionths. Also NETMAP's */
    };
    const struct lookup *lookup; /* NETMAP */
};
static_assert(ATTRIBUTE_COUNT <= UINT8_MAX, "an attribute is kept in a byte");

enum test_kind {
    TEST_OR,
    TEST_AND,
    TEST_NOT,
    TEST_COMPARE,
    TEST_IN,
    TEST_MATCHES,
    TEST_LIKE,
    TEST_CONTAINS,
    TEST_UNDER,
    TEST_IS_NONE,
    TEST_ALONE
};

enum in_place_kind {
    IN_PLACE_LOOKUP,
    IN_PLACE_MAP_VALUES,
    IN_PLACE_DNSBL,
    IN_PLACE_REMOTE,
    IN_PLACE_REMOTE_VALUES,
    IN_PLACE_RANGES,
    IN_PLACE_NUMBERS,
    IN_PLACE_FACTS
};

struct test_range {
    int64_t from, to; /* of a time: minutes, `to` does not belong; of a number: from alone */
};

struct few_texts {
    size_t count;
    struct str items[];
};

struct test_node {
    uint8_t kind, op, place; /* enum test_kind, compare_op, in_place_kind */
    bool is_negated;
    unsigned source; /* DNSBL, REMOTE…: its number; LOOKUP: of the membership; EVAL_MAX_MEMBERSHIPS: it has none */
    struct test_node *next, *child;
    struct test_operand left, right; /* right: of a comparison, and the key of MAP[key] */
    union {
        struct str text;         /* LIKE, CONTAINS; of UNDER: in normal form */
        struct pattern *pattern; /* MATCHES */
        struct {
            const struct lookup *lookup; /* IN_PLACE_LOOKUP, …_MAP_VALUES */
            const struct few_texts *few; /* of a list: the same, where plain texts are few; NULL: they are not */
        };
        struct {
            const struct test_range *items;
            size_t count;
        } ranges; /* IN_PLACE_RANGES, …_NUMBERS */
        struct {
            const struct fact *items;
            size_t count;
        } facts; /* IN_PLACE_FACTS: of what knows nothing but equality: truths, networks */
    };
    struct test_node *next_pattern; /* all with a pattern, to be freed */
};

struct text_part {
    struct text_part *next;
    bool is_operand;
    struct str text;
    struct test_operand operand;
};

struct text_template {
    struct text_part *parts;
};

/* TRUE: *out is what there is, or none; else WAIT or FAILED. */
enum eval_result eval_get(const struct test_operand *o, const struct eval_context *c, struct fact *out);

bool eval_operand_may_wait(const struct test_operand *o);

#endif
