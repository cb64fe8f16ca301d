/* eval.c - compiled conditions and texts, asked. See eval.h; eval_compile.c makes them. */
#include "rules/eval_node.h"

#include <string.h>

enum { CACHE_LINE_BYTES = 64 };

/* ---- operands ---- */

static struct str tag_value(const struct eval_context *c, struct str name, bool *is_set)
{
    const struct rule_tag *const LISTS[] = {c->mail_tags, c->connection_tags};
    *is_set = false;
    for (size_t i = 0; i < COUNT_OF(LISTS); i++)
        for (const struct rule_tag *tag = LISTS[i]; tag; tag = tag->next)
            if (str_equal(tag->name, name)) {
                *is_set = true;
                return tag->value;
            }
    return STR_NONE;
}

/* Of what lies outside; nobody there: nothing is known. */
static enum eval_result get_outside(const struct test_operand *o, const struct eval_context *c, struct fact *out)
{
    *out = (struct fact){.kind = FACT_NONE};
    if (!c->outside)
        return EVAL_TRUE;
    if (o->kind == FROM_OUTSIDE)
        return c->outside->attribute(c->outside, (enum attribute)o->attribute, out);
    return c->outside->count(c->outside, o->limit, o->attribute == ATTRIBUTE_LEFT, c->facts, out);
}

/* NETMAP[ip]: the address is an attribute or a literal, so this goes no deeper. */
static enum eval_result get_net_value(const struct test_operand *o, const struct eval_context *c, struct fact *out)
{
    struct test_operand ip = *o;
    struct fact key;
    ip.kind = o->key;
    enum eval_result known = eval_get(&ip, c, &key);
    if (known != EVAL_TRUE)
        return known;
    struct str value = lookup_net_value(o->lookup, &key);
    *out = value.ptr ? (struct fact){.kind = FACT_TEXT, .text = value} : (struct fact){.kind = FACT_NONE};
    return EVAL_TRUE;
}

void eval_memory_clear(struct eval_memory *memory)
{
    memset(memory->known, 0, sizeof memory->known);
    memset(memory->asked, 0, sizeof memory->asked);
}

static bool bit(const uint64_t *bits, unsigned i)
{
    return bits[i / 64] >> i % 64 & 1;
}

static void set_bit(uint64_t *bits, unsigned i, bool value)
{
    uint64_t mask = UINT64_C(1) << i % 64;
    bits[i / 64] = value ? bits[i / 64] | mask : bits[i / 64] & ~mask;
}

/* An attribute, asked for once. Of an indexed one there are many values: none of them is kept. */
static void get_attribute(const struct test_operand *o, const struct eval_context *c, struct fact *out)
{
    struct eval_memory *memory = o->name.ptr ? NULL : c->memory;
    if (memory && bit(memory->known, o->attribute)) {
        *out = memory->facts[o->attribute];
        return;
    }
    c->facts->get(c->facts, (int)o->attribute, o->name, out);
    if (!memory)
        return;
    memory->facts[o->attribute] = *out;
    set_bit(memory->known, o->attribute, true);
    set_bit(memory->is_plain, o->attribute, out->kind == FACT_TEXT && text_is_plain(out->text));
}

static bool is_plain(const struct test_operand *o, const struct eval_context *c)
{
    if (o->kind == FROM_ATTRIBUTE)
        return c->memory && !o->name.ptr && bit(c->memory->is_plain, o->attribute);
    return o->kind == FROM_CONSTANT && o->is_plain;
}

/* TRUE: *out is what there is, or none; else WAIT or FAILED. */
enum eval_result eval_get(const struct test_operand *o, const struct eval_context *c, struct fact *out)
{
    bool is_set;
    switch (o->kind) {
    case FROM_CONSTANT:
        *out = o->constant;
        break;
    case FROM_ATTRIBUTE:
        get_attribute(o, c, out);
        break;
    case FROM_SCORE:
        *out = (struct fact){.kind = FACT_DECIMAL, .number = c->score};
        break;
    case FROM_TAG:
        out->text = tag_value(c, o->name, &is_set);
        out->kind = is_set ? FACT_TEXT : FACT_NONE;
        break;
    case FROM_OUTSIDE:
    case FROM_COUNT:
        return get_outside(o, c, out);
    case FROM_NETMAP:
        return get_net_value(o, c, out);
    }
    return EVAL_TRUE;
}

/* The same without a copy, where the value lies somewhere already; else it is put into *own. Read only if TRUE. */
static inline const struct fact *look(const struct test_operand *o, const struct eval_context *c, struct fact *own,
                                      enum eval_result *known)
{
    *known = EVAL_TRUE;
    if (o->kind == FROM_CONSTANT)
        return &o->constant;
    if (o->kind == FROM_ATTRIBUTE && c->memory && !o->name.ptr && bit(c->memory->known, o->attribute))
        return &c->memory->facts[o->attribute];
    *known = eval_get(o, c, own);
    return own;
}

static enum eval_result truth(bool is_true)
{
    return is_true ? EVAL_TRUE : EVAL_FALSE;
}

/* Of what cannot be said the opposite cannot be said either. */
static enum eval_result opposite(enum eval_result r)
{
    return r == EVAL_TRUE ? EVAL_FALSE : r == EVAL_FALSE ? EVAL_TRUE : r;
}

/* ---- comparisons ---- */

/* Numbers in millionths, so that fractions compare exactly; what is beyond that is as large as can be. */
static int64_t millionths(int64_t n)
{
    return n > INT64_MAX / NUMBER_ONE ? INT64_MAX : n < INT64_MIN / NUMBER_ONE ? INT64_MIN : n * NUMBER_ONE;
}

static int64_t magnitude(const struct test_operand *o, const struct fact *x)
{
    return x->kind == FACT_NUMBER && o->kind != FROM_CONSTANT ? millionths(x->number) : x->number;
}

static bool is_number(const struct fact *x)
{
    return x->kind == FACT_NUMBER || x->kind == FACT_DECIMAL;
}

static bool is_equal(const struct test_node *n, const struct fact *a, const struct fact *b)
{
    switch (a->kind) {
    case FACT_TEXT:
        return b->kind == FACT_TEXT && text_is_same(a->text, b->text);
    case FACT_TRUTH:
        return b->kind == FACT_TRUTH && a->truth == b->truth;
    case FACT_IP:
        return b->kind == FACT_IP && ip_equal(&a->ip, &b->ip);
    case FACT_NETWORK:
        return b->kind == FACT_NETWORK && a->network.prefix == b->network.prefix &&
               ip_equal(&a->network.ip, &b->network.ip);
    default:
        return (a->kind == b->kind || (is_number(a) && is_number(b))) &&
               magnitude(&n->left, a) == magnitude(&n->right, b);
    }
}

static bool holds(const struct test_node *n, const struct fact *a, const struct fact *b)
{
    int64_t x = magnitude(&n->left, a), y = magnitude(&n->right, b);
    switch (n->op) {
    case OP_EQUAL:
        return is_equal(n, a, b);
    case OP_UNEQUAL:
        return !is_equal(n, a, b);
    case OP_LESS:
        return x < y;
    case OP_LESS_EQUAL:
        return x <= y;
    case OP_GREATER:
        return x > y;
    default:
        return x >= y;
    }
}

static enum eval_result compare(const struct test_node *n, const struct eval_context *c)
{
    struct fact own_a, own_b;
    enum eval_result known;
    const struct fact *a = look(&n->left, c, &own_a, &known);
    if (known != EVAL_TRUE)
        return known;
    if (a->kind == FACT_NONE)
        return EVAL_FALSE;
    const struct fact *b = look(&n->right, c, &own_b, &known);
    if (known != EVAL_TRUE)
        return known;
    if (a->kind == FACT_TEXT && b->kind == FACT_TEXT && is_plain(&n->left, c) && is_plain(&n->right, c))
        return truth(str_equal_nocase(a->text, b->text) == (n->op == OP_EQUAL));
    return truth(b->kind != FACT_NONE && holds(n, a, b));
}

/* ---- in ---- */

static bool in_spans(const struct test_node *n, int64_t x)
{
    for (size_t i = 0; i < n->ranges.count; i++) {
        const struct test_range *r = &n->ranges.items[i];
        bool inside = r->from <= r->to ? x >= r->from && x < r->to : x >= r->from || x < r->to; /* may pass midnight */
        if (inside)
            return true;
    }
    return false;
}

static bool in_numbers(const struct test_node *n, int64_t x)
{
    for (size_t i = 0; i < n->ranges.count; i++)
        if (n->ranges.items[i].from == x)
            return true;
    return false;
}

static bool in_facts(const struct test_node *n, const struct fact *x)
{
    for (size_t i = 0; i < n->facts.count; i++)
        if (is_equal(n, x, &n->facts.items[i]))
            return true;
    return false;
}

/* In a text "a, b" as a remote map answers. */
static bool is_among(struct str x, struct str values)
{
    for (struct str rest = values; rest.len;) {
        struct str one = str_trim(str_split(rest, ',', &rest));
        if (one.len && text_is_same(one, x))
            return true;
    }
    return false;
}

/* x in MAP[key]. A key that is not there has no values: none, and x is neither in it nor not in it. */
static enum eval_result in_values(const struct test_node *n, const struct eval_context *c, const struct fact *x)
{
    struct fact key;
    struct str text = STR_NONE;
    enum eval_result known = eval_get(&n->right, c, &key);
    if (known != EVAL_TRUE)
        return known;
    if (key.kind == FACT_NONE)
        return EVAL_FALSE;
    if (n->place == IN_PLACE_MAP_VALUES) {
        const struct lookup_values *values = lookup_get(n->lookup, &key);
        bool is_in = values && x->kind == FACT_TEXT && lookup_values_have(values, x->text);
        return truth(values && is_in != n->is_negated);
    }
    known = c->outside ? c->outside->remote(c->outside, n->source, &key, &text) : EVAL_FALSE;
    return known == EVAL_TRUE ? truth((x->kind == FACT_TEXT && is_among(x->text, text)) != n->is_negated) : known;
}

static enum eval_result in_source(const struct test_node *n, const struct eval_context *c, const struct fact *x)
{
    if (!c->outside)
        return EVAL_FALSE;
    return n->place == IN_PLACE_DNSBL ? c->outside->listed(c->outside, n->source)
                                      : c->outside->remote(c->outside, n->source, x, NULL);
}

/* Of a list of a few plain texts: without the normal forms and hashes that a table takes. */
static bool is_one_of(const struct few_texts *few, struct str x)
{
    for (size_t i = 0; i < few->count; i++)
        if (str_equal_nocase(few->items[i], x))
            return true;
    return false;
}

static bool is_member(const struct test_node *n, const struct eval_context *c, const struct fact *x)
{
    struct eval_memory *memory = n->source < EVAL_MAX_MEMBERSHIPS ? c->memory : NULL;
    if (n->few && is_plain(&n->left, c) && str_find(x->text, '+') == x->text.len)
        return is_one_of(n->few, x->text);
    if (memory && bit(memory->asked, n->source))
        return bit(memory->is_member, n->source);
    bool is_in = lookup_has(n->lookup, x);
    if (memory) {
        set_bit(memory->asked, n->source, true);
        set_bit(memory->is_member, n->source, is_in);
    }
    return is_in;
}

static enum eval_result in(const struct test_node *n, const struct eval_context *c)
{
    struct fact own;
    enum eval_result is_in;
    const struct fact *x = look(&n->left, c, &own, &is_in);
    if (is_in != EVAL_TRUE)
        return is_in;
    if (x->kind == FACT_NONE)
        return EVAL_FALSE;
    switch (n->place) {
    case IN_PLACE_LOOKUP:
        is_in = truth(is_member(n, c, x));
        break;
    case IN_PLACE_MAP_VALUES:
    case IN_PLACE_REMOTE_VALUES:
        return in_values(n, c, x);
    case IN_PLACE_DNSBL:
    case IN_PLACE_REMOTE:
        is_in = in_source(n, c, x);
        break;
    case IN_PLACE_RANGES:
        is_in = truth(in_spans(n, x->number));
        break;
    case IN_PLACE_NUMBERS:
        is_in = truth(in_numbers(n, magnitude(&n->left, x)));
        break;
    case IN_PLACE_FACTS:
        is_in = truth(in_facts(n, x));
        break;
    }
    return n->is_negated ? opposite(is_in) : is_in;
}

/* ---- texts ---- */

/* `*` any run, `?` one byte; whole, ASCII case ignored. Iterative with one way back, so no pattern takes longer than
 * its product. */
static bool is_like(struct str s, struct str glob)
{
    size_t i = 0, g = 0, star = glob.len, back = 0;
    while (i < s.len) {
        if (g < glob.len && glob.ptr[g] == '*') {
            star = g++;
            back = i;
        } else if (g < glob.len && (glob.ptr[g] == '?' || ascii_lower(glob.ptr[g]) == ascii_lower(s.ptr[i]))) {
            g++;
            i++;
        } else if (star < glob.len) {
            g = star + 1;
            i = ++back;
        } else {
            return false;
        }
    }
    while (g < glob.len && glob.ptr[g] == '*')
        g++;
    return g == glob.len;
}

/* The domain itself or below it. */
static bool is_under(struct str x, struct str domain, bool x_is_plain)
{
    char normal[SUBJECT_MAX_BYTES];
    struct str name = x_is_plain || str_is_ascii(x) ? x : domain_normal(x, normal, sizeof normal);
    if (!str_ends_nocase(name, domain))
        return false;
    return name.len == domain.len || name.ptr[name.len - domain.len - 1] == '.';
}

static enum eval_result test_text(const struct test_node *n, const struct eval_context *c)
{
    struct fact own;
    enum eval_result known;
    const struct fact *x = look(&n->left, c, &own, &known);
    if (known != EVAL_TRUE)
        return known;
    if (x->kind != FACT_TEXT)
        return EVAL_FALSE;
    switch (n->kind) {
    case TEST_LIKE:
        return truth(is_like(x->text, n->text));
    case TEST_CONTAINS:
        return truth(str_contains_nocase(x->text, n->text));
    case TEST_UNDER:
        return truth(is_under(x->text, n->text, is_plain(&n->left, c)));
    default:
        return truth(pattern_matches(n->pattern, x->text));
    }
}

/* ---- all together ---- */

static enum eval_result test_alone(const struct test_node *n, const struct eval_context *c)
{
    struct fact own;
    enum eval_result known;
    const struct fact *x = look(&n->left, c, &own, &known);
    if (known != EVAL_TRUE || n->kind == TEST_IS_NONE)
        return known == EVAL_TRUE ? truth(x->kind == FACT_NONE) : known;
    return truth(n->left.kind == FROM_TAG ? x->kind != FACT_NONE : x->kind == FACT_TRUTH && x->truth);
}

/* The first child that is not as all must be decides; what it waits for or failed at, too: what stands behind it is
 * not asked. */
static enum eval_result all_are(const struct test_node *n, enum eval_result must_be, const struct eval_context *c)
{
    for (const struct test_node *child = n->child; child; child = child->next) {
        enum eval_result r = eval_ask(child, c);
        if (r != must_be)
            return r;
    }
    return must_be;
}

/* The parser bounds how deep conditions nest, and so this recursion (PARSE_MAX_NESTING). */
enum eval_result eval_ask(const struct test_node *n, const struct eval_context *c)
{
    if (!n)
        return EVAL_TRUE;
    switch (n->kind) {
    case TEST_OR:
        return all_are(n, EVAL_FALSE, c);
    case TEST_AND:
        return all_are(n, EVAL_TRUE, c);
    case TEST_NOT:
        return opposite(eval_ask(n->child, c));
    case TEST_COMPARE:
        return compare(n, c);
    case TEST_IN:
        return in(n, c);
    case TEST_IS_NONE:
    case TEST_ALONE:
        return test_alone(n, c);
    case TEST_MATCHES:
    case TEST_LIKE:
    case TEST_CONTAINS:
    case TEST_UNDER:
        return test_text(n, c);
    }
    return EVAL_FALSE;
}

void eval_prefetch(const struct test_node *n)
{
    const char *bytes = (const char *)n;
    for (size_t at = 0; at < 2 * sizeof *n; at += CACHE_LINE_BYTES) /* and a first child, which lies behind it */
        __builtin_prefetch(bytes + at);
}

static bool operand_is_rcpt(const struct test_operand *o)
{
    return o->asks_rcpt || (o->kind == FROM_ATTRIBUTE && attribute_rows[o->attribute].rcpt_only);
}

bool eval_asks_rcpt(const struct test_node *n)
{
    if (!n)
        return false;
    if (operand_is_rcpt(&n->left) || operand_is_rcpt(&n->right))
        return true;
    for (const struct test_node *child = n->child; child; child = child->next)
        if (eval_asks_rcpt(child))
            return true;
    return false;
}

static bool operand_looks_at(const struct test_operand *o, enum attribute attribute)
{
    bool has_one =
        o->kind == FROM_ATTRIBUTE || o->kind == FROM_OUTSIDE || (o->kind == FROM_NETMAP && o->key == FROM_ATTRIBUTE);
    return has_one && o->attribute == attribute;
}

bool eval_looks_at(const struct test_node *n, enum attribute attribute)
{
    if (!n)
        return false;
    if (operand_looks_at(&n->left, attribute) || operand_looks_at(&n->right, attribute))
        return true;
    for (const struct test_node *child = n->child; child; child = child->next)
        if (eval_looks_at(child, attribute))
            return true;
    return false;
}

bool eval_asks_remote(const struct test_node *n)
{
    if (!n)
        return false;
    if (n->kind == TEST_IN && (n->place == IN_PLACE_REMOTE || n->place == IN_PLACE_REMOTE_VALUES))
        return true;
    for (const struct test_node *child = n->child; child; child = child->next)
        if (eval_asks_remote(child))
            return true;
    return false;
}

bool eval_operand_may_wait(const struct test_operand *o)
{
    return o->kind == FROM_COUNT || (o->kind == FROM_OUTSIDE &&
                                     (o->attribute == ATTRIBUTE_CLIENT_NAME || o->attribute == ATTRIBUTE_CLIENT_KNOWN));
}

bool eval_may_wait(const struct test_node *n)
{
    if (!n)
        return false;
    bool is_outside = n->place == IN_PLACE_DNSBL || n->place == IN_PLACE_REMOTE || n->place == IN_PLACE_REMOTE_VALUES;
    if ((n->kind == TEST_IN && is_outside) || eval_operand_may_wait(&n->left) || eval_operand_may_wait(&n->right))
        return true;
    for (const struct test_node *child = n->child; child; child = child->next)
        if (eval_may_wait(child))
            return true;
    return false;
}

uint64_t eval_dnsbls(const struct test_node *n)
{
    if (!n)
        return 0;
    uint64_t all = n->kind == TEST_IN && n->place == IN_PLACE_DNSBL ? UINT64_C(1) << n->source : 0;
    for (const struct test_node *child = n->child; child; child = child->next)
        all |= eval_dnsbls(child);
    return all;
}

void eval_tell_counts(const struct test_node *n, void (*tell)(void *arg, unsigned limit), void *arg)
{
    if (!n)
        return;
    if (n->left.kind == FROM_COUNT)
        tell(arg, n->left.limit);
    if (n->right.kind == FROM_COUNT)
        tell(arg, n->right.limit);
    for (const struct test_node *child = n->child; child; child = child->next)
        eval_tell_counts(child, tell, arg);
}
