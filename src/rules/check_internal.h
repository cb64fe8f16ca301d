/*
 * check_internal.h - what check's files share: the names of a configuration, the moment at which something is asked,
 * and one function per construct.
 *
 * A check_* that answers false has said what is wrong, or speaks of something that is broken and was spoken of: who
 * called it says no more about it.
 */
#ifndef RULES_CHECK_INTERNAL_H
#define RULES_CHECK_INTERNAL_H

#include "base/map.h"
#include "rules/check.h"
#include "rules/shape.h"
#include "rules/suggest.h"

/* ---- names ---- */

/* GRAMMAR.md 1, "Names": what shares a set of names. */
enum name_set {
    NAMES_RULES,  /* rules, limits, milters */
    NAMES_TABLES, /* tables, dnsbls */
    NAMES_PARAMETERS,
    NAMES_SETTINGS, /* what `set` sets */
    NAMES_ALERTS,
    NAMES_POOLS,
    NAMES_LISTENERS,
    NAMES_TESTS,
    NAMES_TAGS,
    NAME_SET_COUNT
};

/* Masks, for who takes several kinds. */
enum definition_kind {
    DEFINES_RULE = 1 << 0,
    DEFINES_LIMIT = 1 << 1,
    DEFINES_MILTER = 1 << 2,
    DEFINES_TABLE = 1 << 3,
    DEFINES_DNSBL = 1 << 4,
    DEFINES_PARAMETER = 1 << 5,
    DEFINES_SETTING = 1 << 6,
    DEFINES_ALERT = 1 << 7,
    DEFINES_POOL = 1 << 8,
    DEFINES_LISTENER = 1 << 9,
    DEFINES_TEST = 1 << 10,
    DEFINES_TAG = 1 << 11,
};

enum progress { UNTOUCHED, UNDER_WAY, FINE, WRONG };

struct definition {
    struct definition *next; /* of its set, in the order of reading: suggestions must not depend on hashes */
    enum definition_kind kind;
    struct name name;
    bool is_broken;         /* it is defined, and no more is known of it */
    bool may_repeat;        /* a listener by its kind, a tag: once more is no mistake */
    bool is_used;           /* somebody names it */
    unsigned charged_at;    /* LIMIT: mask of the phases whose rules charge it */
    enum progress progress; /* PARAMETER */
    union {
        struct rule *rule;
        struct limit_clause *limit;
        struct table *table;
        struct parameter *parameter; /* PARAMETER, SETTING */
    };
};

struct names {
    struct map map;
    struct definition *first, **end;
};

struct checker {
    struct tree *tree;
    struct diagnostics *d;
    bool allows_later; /* what is not in force is no error: for the tests of it */
    bool no_memory;
    bool is_unread; /* the parser could not read something: nobody knows what it names */
    unsigned parameter_depth;
    struct names names[NAME_SET_COUNT];
    const struct statement *seen[STATEMENT_COUNT]; /* of those that stand once */
};

/* "rule", "limit" …, as messages call it. */
const char *definition_word(enum definition_kind kind);
void names_init(struct checker *c);
void names_fini(struct checker *c);
/* Enters all that the tree defines, and says what is defined twice. */
void names_define(struct checker *c);
/* NULL: nothing of that name. */
struct definition *names_find(const struct checker *c, enum name_set set, struct str name);
/* What `name` means where one of `kinds` is wanted, which is thereby used. NULL: none such; said, `unknown WHAT Q` with
 * the nearest, which is taken for the one that was meant: that nobody uses it is not said, too. */
struct definition *names_use(struct checker *c, enum name_set set, unsigned kinds, const char *what, struct name name);
/* False: `no rule sets the tag Q`. */
bool names_use_tag(struct checker *c, struct name tag);

/* ---- common sentences ---- */

bool check_no_memory(struct checker *c);
/* `"alert" is not in force in this version`, unless it is. */
void check_later(struct checker *c, bool is_later, const char *word, struct place at);
enum part {
#define PART(id, word, later, arguments, help) PART_##id,
#include "rules/parts.def"
#undef PART
};
void check_part(struct checker *c, enum part part, struct place at);

/* ---- values (check_params.c) ---- */

/* Finds what every parameter stands for, `set` beside it. */
void check_parameters(struct checker *c);
/* What the literal is: as messages call it, and as conditions take it (a size is a number there). */
enum type literal_type(const struct value *v);
const char *literal_word(const struct value *v);
/* Makes $name the literal it stands for, read as what its place wants; of rates both halves. To be asked once a value.
 */
bool check_value(struct checker *c, struct value *v);
bool check_values(struct checker *c, struct values *v);
/* The same where a text must stand (expected: "a zone in quotes"). */
bool check_text_value(struct checker *c, struct value *v, const char *expected);
/* `reject $name`: of [CODE] … [TEXT], whichever the parameter is. To be asked before check_value. */
void check_code_by_name(const struct checker *c, struct values *values, uint8_t text_arg);
/* Reads an item of a list or table: `Q is not a network`. */
bool check_item(struct checker *c, struct value *v, enum shape shape, const char *one);
/* `bad pattern: …` where it is one. */
bool check_pattern(struct checker *c, const struct value *v);
/* A half of a rate, as it was written or as its parameter's value was. */
struct str rate_part_text(const struct checker *c, const struct value *rate, bool is_count);

/* ---- conditions and texts (check_operand.c, check_condition.c) ---- */

/* When something is asked: what is known then. */
struct moment {
    unsigned phases; /* a mask, mostly of one; empty: never, so all may be known */
    bool each_rcpt;  /* rcpt… may stand: it is asked for each recipient */
    bool in_threshold;
};
static inline struct moment moment_of(enum phase phase)
{
    return (struct moment){.phases = 1u << phase};
}
/* Of several phases, the first decides what is known, the last whether rcpt still is. */
enum phase moment_first(struct moment m);
enum phase moment_last(struct moment m);

/* Says what is wrong about asking `said`, known from a phase on (or at rcpt only), at that moment. */
bool check_known(struct checker *c, struct str said, struct place at, enum phase from, bool rcpt_only, struct moment m);
/* Where a name stands: what may have been meant by one that nobody knows. */
enum side {
    SIDE_LEFT,
    SIDE_RIGHT, /* of a comparison: perhaps a text without its quotes */
    SIDE_TEXT,  /* in ${…} */
};
/* The attribute or tag behind a dotted name. */
bool check_attribute(struct checker *c, struct name name, enum side side, struct moment m,
                     struct resolved_attribute *found);
bool check_operand(struct checker *c, struct operand *o, enum side side, struct moment m);
/* `name[inner]`. NULL: said. */
struct table *check_lookup(struct checker *c, struct name name, struct operand *inner, struct moment m);
/* May something of that type be looked for in a table (NULL: a dnsbl)? */
bool table_takes(const struct table *table, enum type type);
/* `sender is an address; "nets" is a table of networks`. Always false. */
bool check_wrong_table(struct checker *c, const struct operand *o, struct name name, const struct table *table);
/* An operand as messages write it. */
struct str operand_said(struct checker *c, const struct operand *o);
const char *operand_word(const struct operand *o);

void check_condition(struct checker *c, struct condition *cond, struct moment m);
/* The ${…} of a text. */
void check_text(struct checker *c, struct value *v, struct moment m);

/* ---- one function per construct ---- */

void check_table(struct checker *c, struct table *table);
void check_dnsbl(struct checker *c, struct dnsbl *dnsbl);
void check_actions(struct checker *c, struct actions *actions, struct moment m);
void check_on(struct checker *c, struct statement *s);
void check_limit(struct checker *c, struct limit_clause *l);
/* When a limit's count and condition are asked for. */
struct moment limit_moment(const struct checker *c, const struct limit_clause *l);
/* From when on a limit's key is known, where the count is asked at `first`. */
enum phase limit_key_phase(enum key key, enum phase first);
void check_options(struct checker *c, struct options *options);
void check_server(struct checker *c, struct statement *s);
void check_alert(struct checker *c, struct alert *alert);
void check_test(struct checker *c, struct test *test);
/* `observe` and `disable`, in all their places. */
void check_watched(struct checker *c);
void check_warnings(struct checker *c);
/* Warnings of what listeners lay open. */
void check_exposure(struct checker *c);

#endif
