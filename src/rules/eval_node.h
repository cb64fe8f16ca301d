/* eval_node.h - how compiled conditions and texts lie in memory: eval_compile.c writes it, eval.c reads it. */
#ifndef RULES_EVAL_NODE_H
#define RULES_EVAL_NODE_H

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
struct test_operand {
    enum operand_from kind;
    enum attribute attribute;    /* ATTRIBUTE, OUTSIDE; of COUNT: USED or LEFT */
    unsigned limit;              /* COUNT: its number */
    bool asks_rcpt;              /* COUNT: for the recipient at hand */
    struct str name;             /* of a tag; what stands in ["…"]; of a limit */
    struct fact constant;        /* numbers in millionths */
    const struct lookup *lookup; /* NETMAP */
    enum operand_from key;       /* NETMAP: what its address is, an attribute's or a constant, as above */
};

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

struct test_node {
    enum test_kind kind;
    enum compare_op op;
    enum in_place_kind place;
    bool is_negated;
    struct test_node *next, *child;
    struct test_operand left, right; /* right: of a comparison, and the key of MAP[key] */
    const struct lookup *lookup;
    unsigned source; /* DNSBL, REMOTE…: its number */
    const struct test_range *ranges;
    size_t range_count;
    const struct fact *facts; /* of what knows nothing but equality: truths, networks */
    size_t fact_count;
    struct str text; /* of like, contains; of under: in normal form */
    struct pattern *pattern;
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

#endif
