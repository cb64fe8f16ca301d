/*
 * tree.h - what the parser read: every statement as it was written, each word with its place.
 *
 *   source ─▶ lex ─▶ parse ─▶ TREE ─▶ check (names, types, phases) ─▶ compile ─▶ eval
 *                                └──▶ config/ (server statements)
 *
 * The tree knows grammar, not meaning: names are not resolved, `$x` is not replaced, types are not compared. What the
 * grammar decides alone is decided here: which statement, action, phase, key, unit a word is (rows of the .def tables),
 * the shape of each literal and its value.
 *
 * Nodes and their arrays lie in the tree's arena and live as long as it; words point into the texts of the source set,
 * which must live as long. A statement that held a syntax error is in the tree with is_broken set, as far as it was
 * understood: its name counts as defined (so one mistake does not make ten), everything else in it must not be looked
 * at.
 *
 * Comments are not in the tree: `fmt` lexes the text again (lex.h keeps them) and lays them out beside the statements
 * by place.
 */
#ifndef RULES_TREE_H
#define RULES_TREE_H

#include "net/addr.h"
#include "rules/source.h"

/* ---- the tables, as enums ---- */

enum phase {
#define PHASE(id, word, later, help) PHASE_##id,
#include "rules/phases.def"
#undef PHASE
    PHASE_COUNT
};

/* Masks of phases: 1u << enum phase. */
#define PHASES_ALL        ((1u << PHASE_COUNT) - 1)
#define PHASES_BUT_RESULT (PHASES_ALL & ~(1u << PHASE_RESULT))
#define PHASES_HEADERS    (1u << PHASE_MAIL | 1u << PHASE_RCPT | 1u << PHASE_DATA | 1u << PHASE_HEADER)
#define PHASES_RELAY      (1u << PHASE_LOGIN | 1u << PHASE_MAIL)
#define PHASES_QUARANTINE (1u << PHASE_DATA | 1u << PHASE_HEADER | 1u << PHASE_MESSAGE)

enum type {
    TYPE_UNKNOWN,
#define TYPE(id, one, many, example) TYPE_##id,
#include "rules/types.def"
#undef TYPE
    TYPE_COUNT
};

enum attribute_form { FORM_PLAIN, FORM_INDEXED, FORM_CALL };
enum attribute {
#define ATTRIBUTE(id, name, type, phase, form, rcpt_only, later, help) ATTRIBUTE_##id,
#include "rules/attributes.def"
#undef ATTRIBUTE
    ATTRIBUTE_COUNT
};

enum unit_kind { UNIT_KIND_ADMISSION, UNIT_KIND_AUTH, UNIT_KIND_EVENT };
enum unit {
#define UNIT(id, word, phase, kind, later, help) RULE_UNIT_##id,
#include "rules/units.def"
#undef UNIT
    RULE_UNIT_COUNT
};

enum key {
#define KEY(id, word, phase, later, help) KEY_##id,
#include "rules/keys.def"
#undef KEY
    KEY_COUNT
};

enum table_type {
#define TABLE_TYPE(id, word, remote, pairs, later, help) TABLE_##id,
#include "rules/table_types.def"
#undef TABLE_TYPE
    TABLE_TYPE_COUNT
};

enum action_kind {
#define ACTION(id, word, arguments, ends, threshold, phases, later, help) ACTION_##id,
#include "rules/actions.def"
#undef ACTION
    ACTION_COUNT
};

enum statement_kind {
#define STATEMENT(id, words, arguments, options, times, later, without, help) STATEMENT_##id,
#include "rules/statements.def"
#undef STATEMENT
    STATEMENT_COUNT
};

enum option_block {
    OPTIONS_NONE,
    OPTIONS_LISTEN,
    OPTIONS_TLS,
    OPTIONS_AUTH,
    OPTIONS_RELAY,
    OPTIONS_STORE_MEMORY,
    OPTIONS_STORE_REDIS,
    OPTIONS_MILTER,
    OPTIONS_EVENTS,
    OPTIONS_DASHBOARD,
    OPTIONS_DNSBL,
    OPTIONS_TABLE,
    OPTIONS_ALERT,
};
enum option_kind {
#define OPTION(block, id, word, arguments, later, without, help) OPTION_##block##_##id,
#include "rules/options.def"
#undef OPTION
    OPTION_COUNT
};

enum step_effect { STEP_SETS, STEP_DOES, STEP_EXPECTS };
enum step_kind {
#define STEP(id, words, arguments, kind, later, help) STEP_##id,
#include "rules/steps.def"
#undef STEP
    STEP_COUNT
};
enum expectation_kind {
#define EXPECTATION(id, word, arguments, would, later, help) EXPECTATION_##id,
#include "rules/expectations.def"
#undef EXPECTATION
    EXPECTATION_COUNT
};

enum shape {
    SHAPE_NONE,
#define SHAPE(id, word, expected, help) SHAPE_##id,
#include "rules/shapes.def"
#undef SHAPE
    SHAPE_COUNT
};

/* ---- the tables, as rows (tree.c) ---- */

struct phase_row {
    const char *word;
    bool later;       /* of every row: not in force in this version; check refuses it by name */
    const char *help; /* of every row: what it is, in one line */
};
struct type_row {
    const char *one, *many; /* "a number", "numbers" */
    const char *example;    /* what may follow in a condition; "": nothing */
};
struct attribute_row {
    const char *name;
    enum type type;
    enum phase phase;
    enum attribute_form form;
    bool rcpt_only;
    bool later;
    const char *help;
};
struct unit_row {
    const char *word;
    enum phase phase;
    enum unit_kind kind;
    bool later;
    const char *help;
};
struct key_row {
    const char *word;
    enum phase phase;
    bool later;
    const char *help;
};
struct table_type_row {
    const char *word;
    bool remote, pairs, later;
    const char *help;
};
struct action_row {
    const char *word;
    const char *arguments;
    unsigned phases;
    bool ends, threshold, later;
    const char *help;
};
enum statement_times { TIMES_SYNTAX, TIMES_ONCE, TIMES_MANY };
struct statement_row {
    const char *words;
    const char *arguments;
    enum option_block options;
    enum statement_times times;
    const char *later;   /* NULL: in force; "*": not; else the words of its arguments that are not, joined by spaces */
    const char *without; /* what holds without it, or a remark in ( ); NULL: nothing */
    const char *help;
};
struct option_row {
    enum option_block block;
    const char *word;
    const char *arguments;
    const char *later;
    const char *without;
    const char *help;
};
struct step_row {
    const char *words;
    const char *arguments;
    enum step_effect effect;
    bool later;
    const char *help;
};
struct expectation_row {
    const char *word;
    const char *arguments;
    bool would;
    bool later;
    const char *help;
};
struct shape_row {
    const char *word;
    const char *expected; /* "a duration" */
    const char *help;     /* how it is written */
};

extern const struct phase_row phase_rows[PHASE_COUNT];
extern const struct type_row type_rows[TYPE_COUNT];
extern const struct attribute_row attribute_rows[ATTRIBUTE_COUNT];
extern const struct unit_row unit_rows[RULE_UNIT_COUNT];
extern const struct key_row key_rows[KEY_COUNT];
extern const struct table_type_row table_type_rows[TABLE_TYPE_COUNT];
extern const struct action_row action_rows[ACTION_COUNT];
extern const struct statement_row statement_rows[STATEMENT_COUNT];
extern const struct option_row option_rows[OPTION_COUNT];
extern const struct step_row step_rows[STEP_COUNT];
extern const struct expectation_row expectation_rows[EXPECTATION_COUNT];
extern const struct shape_row shape_rows[SHAPE_COUNT];

/* Is `word` one of those that a row's later column names ("*" names all)? */
bool later_names(const char *later, struct str word);
/* GRAMMAR.md 1: kept words, and names of actions. */
bool word_is_kept(struct str word);
bool word_is_action(struct str word);

/* ---- values ---- */

/* A name with its place: what is defined, or used. */
struct name {
    struct str text;
    struct place at;
};

/* What check found behind a dotted name. */
struct resolved_attribute {
    enum attribute attribute; /* unless is_tag */
    bool is_tag;
    struct str tag; /* `tag.NAME`: NAME */
    enum type type; /* of the attribute; a tag is a TEXT */
};

/* A piece of a text: letters as they are, or `${name}`. */
struct text_piece {
    struct str text; /* the letters, or the name between the braces */
    struct place at; /* of a name: its first letter */
    bool is_name;    /* a dotted attribute or tag.NAME */
    struct resolved_attribute resolved;
};

/* What the place of a value asks for: a range of GRAMMAR.md 6 comes with it. */
struct want {
    enum shape shape;
    bool has_range;
    int64_t min, max;              /* in the shape's own unit: millionths, bytes, ms, percent */
    struct str min_text, max_text; /* as messages write them: "1K" */
    struct str name;               /* who wants it: "relay idle", "tarpit" */
};

/* One half of a rate, `200/1h` or `$count/$period`. */
struct rate_part {
    struct place at;
    struct str param; /* the name, without $; empty: a literal */
    enum shape shape; /* of the literal: NUMBER or SIZE · DURATION */
    int64_t number;   /* the count (SIZE: bytes) · the period in ms */
};

struct ip_range {
    struct ip from, to; /* the same family; to is not below from */
    int prefix;         /* of `a/len` and of a single address (32, 128); -1: `a-b` */
};

/*
 * A literal, or `$name` that stands for one.
 *
 * shape says what the word is: what the place asked for where only one thing can stand, else what it looks like
 * (GRAMMAR.md 1), the first that fits of truth, number, size, duration, rate, percent, date, time, range, network,
 * address, endpoint, domain (with a dot), name, word. Quoted: TEXT. PARAM: text is the name after `$`; check resolves
 * it and, where want is set, holds the parameter's value against it (want_check).
 */
struct value {
    enum shape shape;
    bool is_quoted; /* written as a string: "…" or '…' */
    bool is_raw;    /* '…' */
    uint8_t arg;    /* which of its pattern's arguments it is, from 0 (args.h) */
    uint8_t choice; /* of a choice of words: which, from 0 */
    struct place at;
    struct str text; /* the word; a string's content, escapes resolved; a parameter's name without $ */
    uint32_t
        written_in; /* check: the file whose folder relative file names belong to; a parameter's: where it is set */
    const struct want *want; /* NULL: anything may stand here */
    union {
        int64_t number;  /* NUMBER: millionths (2.5 is 2500000) */
        int64_t bytes;   /* SIZE */
        int64_t ms;      /* DURATION */
        int64_t percent; /* PERCENT */
        int64_t seconds; /* DATE: since 1970, UTC */
        int minutes;     /* TIME: since midnight, 0 to 1440 */
        struct {
            int from, to;
        } range; /* RANGE, minutes; may pass midnight */
        struct {
            struct rate_part count, period;
        } rate;                          /* RATE */
        struct ip_range network;         /* NETWORK, IP */
        const struct endpoint *endpoint; /* ENDPOINT */
        struct {
            uint16_t reply;
            struct str enhanced;
            struct place enhanced_at;
        } code;                 /* CODE; enhanced may be empty */
        enum phase phase;       /* PHASE */
        bool truth;             /* TRUTH */
        struct condition *cond; /* COND */
        struct {
            struct text_piece *pieces;
            size_t count;
        } parts; /* TEXT in which ${…} works; count 0: none in it */
    };
};

enum { NUMBER_ONE = 1000000 }; /* value.number of 1 */

struct values {
    struct value *items;
    size_t count;
};

/* The first value of a pattern's argument, NULL: not given. Several values (ENDPOINT...): the next with the same arg
 * follow it. */
const struct value *values_arg(const struct values *v, unsigned arg);
/* How many values the argument has. */
size_t values_arg_count(const struct values *v, unsigned arg);

struct option {
    enum option_kind kind;
    struct place at; /* its keyword */
    struct values values;
};
struct options {
    enum option_block block;
    struct option *items;
    size_t count;
};
/* NULL: not given. */
const struct option *options_get(const struct options *o, enum option_kind kind);

/* ---- conditions ---- */

enum operand_kind {
    OPERAND_ATTRIBUTE,    /* name: a dotted name, `tag.NAME` included */
    OPERAND_VALUE,        /* value */
    OPERAND_LOOKUP,       /* name[inner] */
    OPERAND_USED,         /* used(name) */
    OPERAND_LEFT,         /* left(name) */
    OPERAND_HEADER,       /* header["…"]: value is the string */
    OPERAND_HEADER_COUNT, /* header.count["…"] */
    OPERAND_MILTER,       /* milter["…"] */
};

struct operand {
    enum operand_kind kind;
    struct place at;  /* its first word: the attribute, the literal, `used`, `header` */
    struct name name; /* ATTRIBUTE: at, too · LOOKUP: the table · USED, LEFT: the limit */
    struct value value;
    struct operand *inner; /* LOOKUP */
    /* check: */
    struct resolved_attribute resolved; /* ATTRIBUTE */
    const struct table *table;          /* LOOKUP */
    const struct limit_clause *limit;   /* USED, LEFT */
    enum type type;                     /* what it is worth, whatever its kind */
};

enum in_kind {
    IN_NAME,   /* a table or dnsbl */
    IN_LOOKUP, /* name[inner] */
    IN_LIST,   /* { values } */
    IN_VALUE,  /* a network, a range or a param: values.items[0] */
};
struct in_place {
    enum in_kind kind;
    struct place at;
    struct name name;
    struct operand *inner;
    struct values values;
    const struct table *table; /* check: NAME of a table, LOOKUP */
    enum type type; /* check: LIST: what its items are read as: IP (networks), ADDRESS, DOMAIN, TIME, WEEKDAY, NUMBER,
                       TEXT … */
};

enum condition_kind {
    CONDITION_OR, /* of children */
    CONDITION_AND,
    CONDITION_NOT,     /* one child */
    CONDITION_COMPARE, /* operand op other */
    CONDITION_IN,      /* operand [not] in place */
    CONDITION_MATCHES, /* operand, text */
    CONDITION_LIKE,
    CONDITION_CONTAINS,
    CONDITION_UNDER,
    CONDITION_IS_NONE, /* operand */
    CONDITION_ALONE,   /* operand */
};
enum compare_op { OP_EQUAL, OP_UNEQUAL, OP_LESS, OP_LESS_EQUAL, OP_GREATER, OP_GREATER_EQUAL };

struct condition {
    enum condition_kind kind;
    struct place at;         /* the operator's word or sign; ALONE: the operand; OR, AND: the first such word */
    struct condition *next;  /* sibling under an OR or AND */
    struct condition *child; /* the first; no deeper than PARSE_MAX_NESTING in all */
    struct operand operand;
    enum compare_op op;
    bool is_negated; /* `not in` */
    struct operand other;
    struct value text;
    struct in_place in;
};

/* ---- statements ---- */

struct action {
    enum action_kind kind;
    struct place at;
    struct values values; /* by its pattern in actions.def */
};
struct actions {
    struct action *items;
    size_t count;
};

struct rule {
    struct name name;
    struct place at;
    struct place observe_at; /* unknown: not observed here */
    bool is_broken;
    enum phase phase;
    struct actions actions;
    struct condition *if_cond, *unless_cond; /* NULL: none */
    struct place end;                        /* just after its last word */
    bool is_observed, is_disabled;           /* check: by whatever of the four places */
};

struct threshold_clause {
    struct place at; /* `at` */
    struct value percent;
    struct actions actions;
};
struct limit_key {
    enum key key;
    struct place at;
};
struct limit_clause {
    struct name name;
    struct limit_key *keys;
    size_t key_count;
    enum unit unit;
    struct place unit_at;
    struct value *rates; /* RATE or PARAM; of open-connections one NUMBER or PARAM */
    size_t rate_count;
    struct threshold_clause *thresholds; /* in the order they stand */
    size_t threshold_count;
    struct name overrides;     /* text empty: none */
    struct place overrides_at; /* the word */
    struct condition *if_cond, *unless_cond;
    struct place observe_at;
    const struct table *overrides_table; /* check */
    bool is_observed, is_disabled;       /* check */
};

enum table_source { TABLE_INLINE, TABLE_FILE, TABLE_REDIS, TABLE_SOCKETMAP };
struct table_item {
    struct value key;
    struct values values; /* of map and netmap */
};
struct table {
    struct name name;
    enum table_type type;
    struct place type_at;
    enum table_source source;
    struct place source_at; /* "{", the file's name, `redis`, `socketmap` */
    struct table_item *items;
    size_t item_count;
    struct value file;     /* FILE: a TEXT or PARAM; REDIS: the key; SOCKETMAP: the map */
    struct value endpoint; /* SOCKETMAP */
    struct options options;
};

struct parameter { /* and `set` */
    struct name name;
    struct value value;
    struct value about; /* shape NONE: not given */
};

enum alert_kind { ALERT_WEBHOOK, ALERT_MAIL, ALERT_SYSLOG, ALERT_EXEC };
struct alert {
    struct name name;
    enum alert_kind kind;
    struct place kind_at;
    struct values values; /* the URL, the addresses, the program */
    struct options options;
};

struct dnsbl {
    struct name name;
    struct value zone;
    struct options options;
};

struct step {
    enum step_kind kind;
    struct place at;
    struct values values; /* by its pattern in steps.def; of `expect` by that in expectations.def */
    enum expectation_kind expectation;
    bool is_would;
    struct place would_at; /* if is_would */
    struct place expectation_at;
};
struct test {
    struct value name;
    struct step *steps;
    size_t step_count;
    bool
        is_left_out; /* check: it speaks of its file as that is written, and the file is disabled or observed in part */
};

struct include {
    struct value pattern;
    bool is_observed;
    uint32_t *files; /* that it read, in order */
    size_t file_count;
};

struct server {
    struct values values; /* by its pattern in statements.def */
    struct options options;
};

struct statement {
    enum statement_kind kind;
    struct place at;  /* its first word */
    struct place end; /* its last word or sign */
    bool is_broken;
    bool is_observed; /* by `include … observe`, however deep */
    union {
        struct include include;
        struct parameter parameter; /* PARAMETER, SET */
        struct {
            struct name *items;
            size_t count;
        } names; /* DISABLE, OBSERVE */
        struct table table;
        struct dnsbl dnsbl;
        struct limit_clause limit;
        struct {
            enum phase phase;
            struct place phase_at;
            struct rule **rules;
            size_t count;
        } on;
        struct alert alert;
        struct test test;
        struct server server; /* every row of statements.def that is not SYNTAX */
    };
};

struct tree {
    struct arena arena;
    struct source_set *sources; /* borrowed: the words lie there */
    /* All statements in the order they are read: an include's stand behind it. */
    struct statement **statements;
    size_t count;
    size_t inclusions; /* how often a file was included; bounded by SOURCE_MAX_FILES */
};

void tree_init(struct tree *tree, struct source_set *sources);
void tree_fini(struct tree *tree);

/* "FILE:LINE", as `… is already defined at` says it; in the tree's arena. */
struct str tree_place_text(struct tree *tree, struct place at);

#endif
