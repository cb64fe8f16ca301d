/* eval_compile.c - from a checked condition to nodes: constants folded, tables found, patterns compiled. See eval.h. */
#include <stdio.h>
#include <stdlib.h>

#include "rules/eval_node.h"

enum { PROGRAM_MAX_BYTES = 256 << 20 };

void eval_program_init(struct eval_program *p)
{
    *p = (struct eval_program){0};
    arena_init(&p->arena, PROGRAM_MAX_BYTES);
    map_init(&p->tables, true, false);
    map_init(&p->sources, true, false);
    map_init(&p->limits, true, false);
}

void eval_program_fini(struct eval_program *p)
{
    for (struct test_node *n = p->patterns; n; n = n->next_pattern)
        pattern_free(&n->pattern);
    for (size_t i = 0; i < p->lookup_count; i++)
        lookup_fini(p->lookups[i]);
    free(p->lookups);
    map_fini(&p->tables);
    map_fini(&p->sources);
    map_fini(&p->limits);
    arena_fini(&p->arena);
    eval_program_init(p);
}

bool eval_uses(const struct eval_program *p, enum attribute attribute)
{
    return p->uses[attribute / 64] >> attribute % 64 & 1;
}

static void *alloc(struct eval_program *p, size_t bytes, struct diagnostics *d)
{
    void *memory = arena_alloc(&p->arena, bytes);
    if (!memory)
        diag_error(d, PLACE_NONE, "out of memory");
    return memory;
}

/* ---- tables ---- */

static struct lookup *lookup_new(struct eval_program *p, enum table_type type, struct str name, struct diagnostics *d)
{
    struct lookup *t = alloc(p, sizeof *t, d);
    if (!t)
        return NULL;
    if (p->lookup_count == p->lookup_cap) {
        size_t cap = p->lookup_cap ? p->lookup_cap * 2 : 16;
        struct lookup **list = reallocarray(p->lookups, cap, sizeof *list);
        if (!list) {
            diag_error(d, PLACE_NONE, "out of memory");
            return NULL;
        }
        p->lookups = list;
        p->lookup_cap = cap;
    }
    lookup_init(t, type, name);
    p->lookups[p->lookup_count++] = t;
    return t;
}

static bool add_network(struct lookup *t, const struct value *v, struct str value, struct err *err)
{
    if (v->shape == SHAPE_NETWORK || v->shape == SHAPE_IP)
        return lookup_add_span(t, &v->network.from, &v->network.to, value, err);
    return t->type == TABLE_NETMAP ? lookup_add_value(t, v->text, value, err) : lookup_add(t, v->text, err);
}

static bool add_item(struct lookup *t, const struct table_item *item, struct err *err)
{
    if (t->type == TABLE_NETWORKS)
        return add_network(t, &item->key, STR_NONE, err);
    if (t->type == TABLE_NETMAP)
        return add_network(t, &item->key, item->values.items[0].text, err);
    if (t->type != TABLE_MAP)
        return lookup_add(t, item->key.text, err);
    for (size_t i = 0; i < item->values.count; i++)
        if (!lookup_add_value(t, item->key.text, item->values.items[i].text, err))
            return false;
    return true;
}

/* Which limits take rates of their own from it: their units. */
static unsigned overridden_units(const struct tree *tree, const struct table *table)
{
    unsigned units = 0;
    for (size_t i = 0; i < tree->count; i++)
        if (tree->statements[i]->kind == STATEMENT_LIMIT && tree->statements[i]->limit.overrides_table == table)
            units |= 1u << tree->statements[i]->limit.unit;
    return units;
}

static bool build_table(struct eval_program *p, const struct tree *tree, const struct table *table,
                        struct diagnostics *d)
{
    struct err err;
    struct str name = arena_copy(&p->arena, table->name.text);
    struct lookup *t = lookup_new(p, table->type, name, d);
    if (!t || !name.ptr || !map_set(&p->tables, name, t))
        return t && diag_error(d, PLACE_NONE, "out of memory");
    if (table->source == TABLE_FILE) {
        t->rate_units = overridden_units(tree, table); /* of items in the rules check has said it */
        struct str path = source_join(tree->sources, table->file.written_in, table->file.text, &p->arena);
        t->path = path.ptr; /* with a NUL behind it */
        return path.ptr ? lookup_read(t, tree->sources, path, table->source_at, d)
                        : diag_error(d, PLACE_NONE, "out of memory");
    }
    bool ok = true;
    for (size_t i = 0; i < table->item_count; i++)
        if (!add_item(t, &table->items[i], &err))
            ok = diag_error(d, table->items[i].key.at, "%s", err.text);
    return ok && (lookup_seal(t, &err) || diag_error(d, table->name.at, "%s", err.text));
}

/* What conditions ask outside: known by name, numbered when the first condition names it. */
static bool add_source(struct eval_program *p, const struct statement *of, struct str its_name, struct diagnostics *d)
{
    struct eval_source *source = alloc(p, sizeof *source, d);
    struct str name = arena_copy(&p->arena, its_name);
    if (!source || !name.ptr || !map_set(&p->sources, name, source))
        return source && diag_error(d, PLACE_NONE, "out of memory");
    source->of = of;
    return true;
}

static bool add_table(struct eval_program *p, const struct tree *tree, const struct statement *st,
                      struct diagnostics *d)
{
    bool is_remote = st->table.source == TABLE_REDIS || st->table.source == TABLE_SOCKETMAP;
    return is_remote ? add_source(p, st, st->table.name.text, d) : build_table(p, tree, &st->table, d);
}

bool eval_add_tables(struct eval_program *p, const struct tree *tree, struct diagnostics *d)
{
    bool ok = true;
    for (size_t i = 0; i < tree->count; i++) {
        const struct statement *st = tree->statements[i];
        if (st->kind == STATEMENT_TABLE && !st->is_broken)
            ok = add_table(p, tree, st, d) && ok;
        else if (st->kind == STATEMENT_DNSBL && !st->is_broken)
            ok = add_source(p, st, st->dnsbl.name.text, d) && ok;
    }
    return ok;
}

/* ---- operands ---- */

static int weekday_of(struct str word)
{
    static const char *const DAYS[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    for (int i = 0; i < 7; i++)
        if (str_equal(word, str_of_z(DAYS[i])))
            return i;
    return -1;
}

/* A literal as a fact, read as what stands on the other side of it. */
static struct fact constant_of(struct eval_program *p, const struct value *v, enum type as)
{
    struct str text = arena_copy(&p->arena, v->text);
    if (as == TYPE_WEEKDAY)
        return (struct fact){.kind = FACT_WEEKDAY, .number = weekday_of(v->text)};
    switch (v->shape) {
    case SHAPE_NUMBER:
        return (struct fact){.kind = FACT_NUMBER, .number = v->number};
    case SHAPE_SIZE:
        return (struct fact){.kind = FACT_NUMBER, .number = v->bytes * NUMBER_ONE};
    case SHAPE_DURATION:
        return (struct fact){.kind = FACT_DURATION, .number = v->ms};
    case SHAPE_TIME:
        return (struct fact){.kind = FACT_TIME, .number = v->minutes};
    case SHAPE_TRUTH:
        return (struct fact){.kind = FACT_TRUTH, .truth = v->truth};
    case SHAPE_IP:
    case SHAPE_NETWORK:
        if (as == TYPE_NETWORK && v->network.prefix >= 0)
            return (struct fact){.kind = FACT_NETWORK, .network = {v->network.from, (uint8_t)v->network.prefix}};
        return (struct fact){.kind = FACT_IP, .ip = v->network.from};
    default:
        return (struct fact){.kind = FACT_TEXT, .text = text};
    }
}

void eval_use(struct eval_program *p, enum attribute a)
{
    p->uses[a / 64] |= UINT64_C(1) << a % 64;
}

static struct test_operand attribute_operand(struct eval_program *p, const struct resolved_attribute *r)
{
    if (r->is_tag)
        return (struct test_operand){.kind = FROM_TAG, .name = arena_copy(&p->arena, r->tag)};
    eval_use(p, r->attribute);
    switch (r->attribute) {
    case ATTRIBUTE_SCORE:
        return (struct test_operand){.kind = FROM_SCORE, .attribute = (uint8_t)r->attribute};
    case ATTRIBUTE_CLIENT_NAME:
    case ATTRIBUTE_CLIENT_COUNTRY:
    case ATTRIBUTE_CLIENT_ASN:
    case ATTRIBUTE_CLIENT_KNOWN:
        return (struct test_operand){.kind = FROM_OUTSIDE, .attribute = (uint8_t)r->attribute};
    default:
        return (struct test_operand){.kind = FROM_ATTRIBUTE, .attribute = (uint8_t)r->attribute};
    }
}

/* used(L), left(L). A disabled limit counts nothing: none. */
static struct test_operand count_operand(struct eval_program *p, const struct operand *o)
{
    const struct eval_limit *limit = map_get(&p->limits, o->name.text);
    enum attribute attribute = o->kind == OPERAND_USED ? ATTRIBUTE_USED : ATTRIBUTE_LEFT;
    struct test_operand count = {
        .kind = FROM_COUNT, .attribute = (uint8_t)attribute, .name = arena_copy(&p->arena, o->name.text)};
    eval_use(p, attribute);
    if (!limit)
        return (struct test_operand){.kind = FROM_CONSTANT, .constant = {.kind = FACT_NONE}};
    count.limit = limit->number;
    for (size_t i = 0; i < o->limit->key_count; i++)
        count.asks_rcpt |= o->limit->keys[i].key == KEY_RCPT || o->limit->keys[i].key == KEY_RCPT_DOMAIN;
    return count;
}

/* other: the type of what it is compared with. */
static struct test_operand operand_of(struct eval_program *p, const struct operand *o, enum type other)
{
    static const enum attribute INDEXED[] = {[OPERAND_HEADER] = ATTRIBUTE_HEADER,
                                             [OPERAND_HEADER_COUNT] = ATTRIBUTE_HEADER_COUNT,
                                             [OPERAND_MILTER] = ATTRIBUTE_MILTER};
    if (o->kind == OPERAND_ATTRIBUTE)
        return attribute_operand(p, &o->resolved);
    if (o->kind == OPERAND_VALUE) {
        struct test_operand value = {.kind = FROM_CONSTANT, .constant = constant_of(p, &o->value, other)};
        value.is_plain = value.constant.kind == FACT_TEXT && text_is_plain(value.constant.text);
        return value;
    }
    if (o->kind == OPERAND_USED || o->kind == OPERAND_LEFT)
        return count_operand(p, o);
    if (o->kind == OPERAND_LOOKUP) {
        struct test_operand value = operand_of(p, o->inner, TYPE_IP);
        value.key = value.kind;
        value.kind = FROM_NETMAP;
        value.lookup = map_get(&p->tables, o->name.text); /* check has found it */
        return value;
    }
    struct test_operand indexed = {
        .kind = FROM_ATTRIBUTE, .attribute = (uint8_t)INDEXED[o->kind], .name = arena_copy(&p->arena, o->value.text)};
    eval_use(p, indexed.attribute);
    return indexed;
}

bool eval_add_limit(struct eval_program *p, struct str name, unsigned number)
{
    struct eval_limit *limit = arena_alloc(&p->arena, sizeof *limit);
    if (!limit || !map_set(&p->limits, name, limit))
        return false;
    limit->number = number;
    return true;
}

/* ---- in ---- */

static enum table_type list_table_type(enum type type)
{
    switch (type) {
    case TYPE_IP:
        return TABLE_NETWORKS;
    case TYPE_DOMAIN:
        return TABLE_DOMAINS;
    default:
        return TABLE_STRINGS;
    }
}

/* Addresses and logins: items with @ as addresses, the others as strings; a map without values is just that. */
static bool add_list_item(struct lookup *t, const struct value *v, struct err *err)
{
    if (t->type == TABLE_NETWORKS)
        return add_network(t, v, STR_NONE, err);
    return t->type == TABLE_MAP ? lookup_add_value(t, v->text, STR("-"), err) : lookup_add(t, v->text, err);
}

enum { FEW_TEXTS = 8 };

/* The texts of a list that are found by comparing, or NULL: they are many, or there is more to them than letter case
 * (subdomains, @domain, other spellings). */
static const struct few_texts *few_texts(struct eval_program *p, const struct in_place *in, enum type type)
{
    struct few_texts *few;
    if (type == TYPE_IP || in->values.count > FEW_TEXTS)
        return NULL;
    for (size_t i = 0; i < in->values.count; i++) {
        struct str text = in->values.items[i].text;
        if (!text.len || text.ptr[0] == '.' || text.ptr[0] == '@' || !text_is_plain(text))
            return NULL;
    }
    few = arena_alloc(&p->arena, sizeof *few + in->values.count * sizeof few->items[0]);
    for (size_t i = 0; few && i < in->values.count; i++) {
        few->items[i] = arena_copy(&p->arena, in->values.items[i].text);
        if (!few->items[i].ptr)
            return NULL;
    }
    if (few)
        few->count = in->values.count;
    return few;
}

static bool compile_list(struct eval_program *p, struct test_node *n, const struct in_place *in, enum type type,
                         struct diagnostics *d)
{
    struct err err;
    bool by_address = type == TYPE_ADDRESS || type == TYPE_LOGIN;
    struct lookup *t = lookup_new(p, by_address ? TABLE_MAP : list_table_type(type), STR("list"), d);
    if (!t)
        return false;
    n->place = IN_PLACE_LOOKUP;
    n->lookup = t;
    n->source = EVAL_MAX_MEMBERSHIPS;
    n->few = few_texts(p, in, type);
    for (size_t i = 0; i < in->values.count; i++)
        if (!add_list_item(t, &in->values.items[i], &err))
            return diag_error(d, in->values.items[i].at, "%s", err.text);
    return lookup_seal(t, &err) || diag_error(d, in->at, "%s", err.text);
}

static bool compile_ranges(struct eval_program *p, struct test_node *n, const struct in_place *in, enum type type,
                           struct diagnostics *d)
{
    struct test_range *ranges = alloc(p, in->values.count * sizeof *ranges, d);
    if (!ranges)
        return false;
    n->place = type == TYPE_TIME ? IN_PLACE_RANGES : IN_PLACE_NUMBERS;
    n->ranges.items = ranges;
    n->ranges.count = in->values.count;
    for (size_t i = 0; i < in->values.count; i++) {
        const struct value *v = &in->values.items[i];
        struct fact constant = constant_of(p, v, type);
        ranges[i] = v->shape == SHAPE_RANGE ? (struct test_range){v->range.from, v->range.to}
                                            : (struct test_range){constant.number, constant.number};
        if (n->place == IN_PLACE_RANGES && v->shape == SHAPE_TIME)
            ranges[i].to = ranges[i].from + 1;
    }
    return true;
}

/* GRAMMAR.md 3, `x in { … }`: "else equality". */
static bool compile_facts(struct eval_program *p, struct test_node *n, const struct in_place *in, enum type type,
                          struct diagnostics *d)
{
    struct fact *facts = alloc(p, in->values.count * sizeof *facts, d);
    if (!facts)
        return false;
    for (size_t i = 0; i < in->values.count; i++)
        facts[i] = constant_of(p, &in->values.items[i], type);
    n->place = IN_PLACE_FACTS;
    n->facts.items = facts;
    n->facts.count = in->values.count;
    return true;
}

/* Numbers the source if this is the first condition that names it. */
static bool use_source(struct eval_program *p, struct eval_source *source, struct place at, struct diagnostics *d)
{
    bool is_dnsbl = source->of->kind == STATEMENT_DNSBL;
    unsigned *count = is_dnsbl ? &p->dnsbl_count : &p->remote_count;
    if (source->is_used)
        return true;
    if (*count == (is_dnsbl ? EVAL_MAX_DNSBLS : EVAL_MAX_REMOTES))
        return diag_error(d, at, "at most %u %s can be used", *count,
                          is_dnsbl ? "dnsbls" : "redis and socketmap tables");
    source->is_used = true;
    source->number = (*count)++;
    if (is_dnsbl)
        p->dnsbls[source->number] = &source->of->dnsbl;
    else
        p->remotes[source->number] = &source->of->table;
    return true;
}

static bool compile_in_source(struct eval_program *p, struct test_node *n, struct eval_source *source,
                              const struct condition *c, struct diagnostics *d)
{
    bool is_client = c->operand.kind == OPERAND_ATTRIBUTE && c->operand.resolved.attribute == ATTRIBUTE_CLIENT;
    bool is_dnsbl = source->of->kind == STATEMENT_DNSBL;
    n->place = is_dnsbl ? IN_PLACE_DNSBL : n->place == IN_PLACE_LOOKUP ? IN_PLACE_REMOTE : IN_PLACE_REMOTE_VALUES;
    if (is_dnsbl && !is_client)
        return diag_error(d, c->operand.at, "a dnsbl is asked about client only");
    if (!use_source(p, source, c->in.at, d))
        return false;
    n->source = source->number;
    return true;
}

/* Rules like to ask the same of the same table: what has a number is asked once. */
static unsigned number_membership(struct eval_program *p, const struct test_node *n)
{
    size_t i = 0;
    if (n->left.kind != FROM_ATTRIBUTE || n->left.name.ptr)
        return EVAL_MAX_MEMBERSHIPS;
    while (i < p->membership_count &&
           (p->memberships[i].attribute != n->left.attribute || p->memberships[i].lookup != n->lookup))
        i++;
    if (i == p->membership_count && i < EVAL_MAX_MEMBERSHIPS) {
        p->memberships[i].attribute = n->left.attribute;
        p->memberships[i].lookup = n->lookup;
        p->membership_count++;
    }
    return (unsigned)i;
}

/* x in NAME, x in NAME[key]: a table at hand, or something outside. */
static bool compile_in_name(struct eval_program *p, struct test_node *n, const struct condition *c,
                            struct diagnostics *d)
{
    const struct in_place *in = &c->in;
    struct eval_source *source = map_get(&p->sources, in->name.text);
    n->place = in->kind == IN_NAME ? IN_PLACE_LOOKUP : IN_PLACE_MAP_VALUES;
    if (in->kind == IN_LOOKUP)
        n->right = operand_of(p, in->inner, TYPE_ADDRESS);
    if (source)
        return compile_in_source(p, n, source, c, d);
    n->lookup = map_get(&p->tables, in->name.text);
    n->source = number_membership(p, n);
    return n->lookup || diag_error(d, in->at, "unknown table or dnsbl \"" PRI_STR "\"", STR_ARG(in->name.text));
}

static bool compile_in(struct eval_program *p, struct test_node *n, const struct condition *c, struct diagnostics *d)
{
    const struct in_place *in = &c->in;
    enum type type = c->operand.type;
    n->is_negated = c->is_negated;
    if (in->kind == IN_NAME || in->kind == IN_LOOKUP)
        return compile_in_name(p, n, c, d);
    if (type == TYPE_TRUTH || type == TYPE_NETWORK)
        return compile_facts(p, n, in, type, d);
    bool is_numeric = type == TYPE_TIME || type == TYPE_WEEKDAY || type == TYPE_NUMBER || type == TYPE_DURATION;
    return is_numeric ? compile_ranges(p, n, in, type, d) : compile_list(p, n, in, type, d);
}

/* ---- texts ---- */

static bool compile_pattern(struct eval_program *p, struct test_node *n, const struct value *text,
                            struct diagnostics *d)
{
    struct err err;
    char where[96] = "a condition";
    if (place_is_known(text->at))
        snprintf(where, sizeof where, "the condition in line %u of " PRI_STR, text->at.line,
                 STR_ARG(str_sub(source_file_get(d->sources, text->at.file)->name, 0, 60)));
    n->pattern = pattern_new(text->text, str_of_z(where), &err);
    if (!n->pattern)
        return diag_error(d, text->at, "%s", err.text);
    n->next_pattern = p->patterns;
    p->patterns = n;
    return true;
}

static bool compile_text_test(struct eval_program *p, struct test_node *n, const struct condition *c,
                              struct diagnostics *d)
{
    char normal[SUBJECT_MAX_BYTES];
    if (n->kind == TEST_MATCHES)
        return compile_pattern(p, n, &c->text, d);
    n->text = arena_copy(&p->arena,
                         n->kind == TEST_UNDER ? domain_normal(c->text.text, normal, sizeof normal) : c->text.text);
    return n->text.ptr || diag_error(d, PLACE_NONE, "out of memory");
}

/* ---- nodes ---- */

static struct test_node *compile(struct eval_program *p, const struct condition *c, struct diagnostics *d, bool *ok);

static void compile_children(struct eval_program *p, struct test_node *n, const struct condition *c,
                             struct diagnostics *d, bool *ok)
{
    struct test_node **end = &n->child;
    for (const struct condition *child = c->child; child && *ok; child = child->next) {
        *end = compile(p, child, d, ok);
        if (*end)
            end = &(*end)->next;
    }
}

/* What may have to wait is asked last, whatever the order in which it is written: often nobody needs to know then. */
static void put_waiting_last(struct test_node *n)
{
    struct test_node *waiting = NULL, **end = &n->child, **waiting_end = &waiting;
    for (struct test_node *child = n->child, *next; child; child = next) {
        struct test_node ***to = eval_may_wait(child) ? &waiting_end : &end;
        next = child->next;
        child->next = NULL;
        **to = child;
        *to = &child->next;
    }
    *end = waiting;
}

static struct test_node *compile(struct eval_program *p, const struct condition *c, struct diagnostics *d, bool *ok)
{
    static const enum test_kind KINDS[] = {
        [CONDITION_OR] = TEST_OR,       [CONDITION_AND] = TEST_AND,
        [CONDITION_NOT] = TEST_NOT,     [CONDITION_COMPARE] = TEST_COMPARE,
        [CONDITION_IN] = TEST_IN,       [CONDITION_MATCHES] = TEST_MATCHES,
        [CONDITION_LIKE] = TEST_LIKE,   [CONDITION_CONTAINS] = TEST_CONTAINS,
        [CONDITION_UNDER] = TEST_UNDER, [CONDITION_IS_NONE] = TEST_IS_NONE,
        [CONDITION_ALONE] = TEST_ALONE,
    };
    struct test_node *n = alloc(p, sizeof *n, d);
    if (!n) {
        *ok = false;
        return NULL;
    }
    n->kind = (uint8_t)KINDS[c->kind];
    if (n->kind == TEST_OR || n->kind == TEST_AND || n->kind == TEST_NOT) {
        compile_children(p, n, c, d, ok);
        put_waiting_last(n);
        return n;
    }
    n->left = operand_of(p, &c->operand, c->kind == CONDITION_COMPARE ? c->other.type : TYPE_UNKNOWN);
    if (n->kind == TEST_COMPARE) {
        n->op = (uint8_t)c->op;
        n->right = operand_of(p, &c->other, c->operand.type);
    } else if (n->kind == TEST_IN) {
        *ok = compile_in(p, n, c, d) && *ok;
    } else if (n->kind != TEST_IS_NONE && n->kind != TEST_ALONE) {
        *ok = compile_text_test(p, n, c, d) && *ok;
    }
    return n;
}

static struct test_node *join(struct eval_program *p, enum test_kind kind, struct test_node *first,
                              struct test_node *second, struct diagnostics *d, bool *ok)
{
    struct test_node *n = alloc(p, sizeof *n, d);
    if (!n) {
        *ok = false;
        return NULL;
    }
    n->kind = (uint8_t)kind;
    n->child = first;
    first->next = second;
    put_waiting_last(n);
    return n;
}

struct test_node *eval_compile(struct eval_program *p, const struct condition *if_cond,
                               const struct condition *unless_cond, struct diagnostics *d, bool *ok)
{
    *ok = true;
    struct test_node *is = if_cond ? compile(p, if_cond, d, ok) : NULL;
    struct test_node *unless = unless_cond && *ok ? compile(p, unless_cond, d, ok) : NULL;
    if (unless && *ok)
        unless = join(p, TEST_NOT, unless, NULL, d, ok);
    if (!*ok)
        return NULL;
    return is && unless ? join(p, TEST_AND, is, unless, d, ok) : is ? is : unless;
}

struct text_template *text_compile(struct eval_program *p, const struct value *text)
{
    struct text_template *t = arena_alloc(&p->arena, sizeof *t);
    if (!t)
        return NULL;
    struct text_piece whole = {.text = text->text};
    bool has_pieces = text->shape == SHAPE_TEXT && text->parts.count;
    const struct text_piece *pieces = has_pieces ? text->parts.pieces : &whole;
    size_t count = has_pieces ? text->parts.count : 1;
    struct text_part **end = &t->parts;
    for (size_t i = 0; i < count; i++) {
        struct text_part *part = arena_alloc(&p->arena, sizeof *part);
        if (!part)
            return NULL;
        part->is_operand = pieces[i].is_name;
        if (part->is_operand)
            part->operand = attribute_operand(p, &pieces[i].resolved);
        else
            part->text = arena_copy(&p->arena, pieces[i].text);
        *end = part;
        end = &part->next;
    }
    return t;
}
