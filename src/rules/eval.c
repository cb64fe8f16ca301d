/* eval.c - compiled conditions and texts, asked. See eval.h; eval_compile.c makes them. */
#include "rules/eval_node.h"

#include <string.h>

#include "base/escape.h"

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

static void get(const struct test_operand *o, const struct eval_context *c, struct fact *out)
{
    bool is_set;
    switch (o->kind) {
    case FROM_CONSTANT:
        *out = o->constant;
        return;
    case FROM_ATTRIBUTE:
        c->facts->get(c->facts, (int)o->attribute, o->name, out);
        return;
    case FROM_TAG:
        out->text = tag_value(c, o->name, &is_set);
        out->kind = is_set ? FACT_TEXT : FACT_NONE;
        return;
    }
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
        return a->kind == b->kind && magnitude(&n->left, a) == magnitude(&n->right, b);
    }
}

static bool compare(const struct test_node *n, const struct eval_context *c)
{
    struct fact a, b;
    get(&n->left, c, &a);
    if (a.kind == FACT_NONE)
        return false;
    get(&n->right, c, &b);
    if (b.kind == FACT_NONE)
        return false;
    if (n->op == OP_EQUAL || n->op == OP_UNEQUAL)
        return is_equal(n, &a, &b) == (n->op == OP_EQUAL);
    int64_t x = magnitude(&n->left, &a), y = magnitude(&n->right, &b);
    switch (n->op) {
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

/* ---- in ---- */

static bool in_spans(const struct test_node *n, int64_t x)
{
    for (size_t i = 0; i < n->range_count; i++) {
        const struct test_range *r = &n->ranges[i];
        bool inside = r->from <= r->to ? x >= r->from && x < r->to : x >= r->from || x < r->to; /* may pass midnight */
        if (inside)
            return true;
    }
    return false;
}

static bool in_numbers(const struct test_node *n, int64_t x)
{
    for (size_t i = 0; i < n->range_count; i++)
        if (n->ranges[i].from == x)
            return true;
    return false;
}

static bool in_facts(const struct test_node *n, const struct fact *x)
{
    for (size_t i = 0; i < n->fact_count; i++)
        if (is_equal(n, x, &n->facts[i]))
            return true;
    return false;
}

static bool in_map_values(const struct test_node *n, const struct eval_context *c, const struct fact *x, bool *is_known)
{
    struct fact key;
    get(&n->right, c, &key);
    const struct lookup_values *values = lookup_get(n->lookup, &key);
    *is_known = values != NULL;
    return values && x->kind == FACT_TEXT && lookup_values_have(values, x->text);
}

static bool in(const struct test_node *n, const struct eval_context *c)
{
    struct fact x;
    bool is_known = true, is_in = false;
    get(&n->left, c, &x);
    if (x.kind == FACT_NONE)
        return false;
    switch (n->place) {
    case IN_PLACE_LOOKUP:
        is_in = lookup_has(n->lookup, &x);
        break;
    case IN_PLACE_MAP_VALUES:
        is_in = in_map_values(n, c, &x, &is_known);
        break;
    case IN_PLACE_RANGES:
        is_in = in_spans(n, x.number);
        break;
    case IN_PLACE_NUMBERS:
        is_in = in_numbers(n, magnitude(&n->left, &x));
        break;
    case IN_PLACE_FACTS:
        is_in = in_facts(n, &x);
        break;
    }
    return is_known && is_in != n->is_negated;
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
static bool is_under(struct str x, struct str domain)
{
    char normal[SUBJECT_MAX_BYTES];
    struct str name = domain_normal(x, normal, sizeof normal);
    if (!str_ends_nocase(name, domain))
        return false;
    return name.len == domain.len || name.ptr[name.len - domain.len - 1] == '.';
}

/* A pattern that meets its match limit counts as no match (RULES.md "Tables"). */
static bool matches(const struct test_node *n, struct str s)
{
    return pcre2_match(n->pattern, (PCRE2_SPTR)(s.ptr ? s.ptr : ""), s.len, 0, 0, n->match_data, n->match_context) >= 0;
}

static bool test_text(const struct test_node *n, const struct eval_context *c)
{
    struct fact x;
    get(&n->left, c, &x);
    if (x.kind != FACT_TEXT)
        return false;
    switch (n->kind) {
    case TEST_LIKE:
        return is_like(x.text, n->text);
    case TEST_CONTAINS:
        return str_contains_nocase(x.text, n->text);
    case TEST_UNDER:
        return is_under(x.text, n->text);
    default:
        return matches(n, x.text);
    }
}

/* ---- all together ---- */

static bool is_true_alone(const struct test_node *n, const struct eval_context *c)
{
    struct fact x;
    get(&n->left, c, &x);
    return n->left.kind == FROM_TAG ? x.kind != FACT_NONE : x.kind == FACT_TRUTH && x.truth;
}

static bool is_none(const struct test_node *n, const struct eval_context *c)
{
    struct fact x;
    get(&n->left, c, &x);
    return x.kind == FACT_NONE;
}

/* The parser bounds how deep conditions nest, and so this recursion (PARSE_MAX_NESTING). */
bool eval_is_true(const struct test_node *n, const struct eval_context *c)
{
    if (!n)
        return true;
    switch (n->kind) {
    case TEST_OR:
        for (const struct test_node *child = n->child; child; child = child->next)
            if (eval_is_true(child, c))
                return true;
        return false;
    case TEST_AND:
        for (const struct test_node *child = n->child; child; child = child->next)
            if (!eval_is_true(child, c))
                return false;
        return true;
    case TEST_NOT:
        return !eval_is_true(n->child, c);
    case TEST_COMPARE:
        return compare(n, c);
    case TEST_IN:
        return in(n, c);
    case TEST_IS_NONE:
        return is_none(n, c);
    case TEST_ALONE:
        return is_true_alone(n, c);
    case TEST_MATCHES:
    case TEST_LIKE:
    case TEST_CONTAINS:
    case TEST_UNDER:
        return test_text(n, c);
    }
    return false;
}

static bool operand_is_rcpt(const struct test_operand *o)
{
    return o->kind == FROM_ATTRIBUTE && attribute_rows[o->attribute].rcpt_only;
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

/* ---- rendering ---- */

static bool append_clean(struct buf *to, struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] >= 0x20 && s.ptr[i] != 0x7f && !buf_append_char(to, s.ptr[i]))
            return false;
    return true;
}

static bool append_number(struct buf *to, const struct fact *x)
{
    return buf_printf(to, "%lld", (long long)x->number);
}

static bool append_fact(struct buf *to, const struct fact *x)
{
    static const char *const DAYS[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    char text[IP_TEXT_MAX + 4];
    switch (x->kind) {
    case FACT_NONE:
        return buf_append_char(to, '-');
    case FACT_TEXT:
        return append_clean(to, x->text);
    case FACT_NUMBER:
        return append_number(to, x);
    case FACT_TRUTH:
        return buf_append_str(to, x->truth ? STR("true") : STR("false"));
    case FACT_IP:
        return buf_append_str(to, ip_format(&x->ip, text));
    case FACT_NETWORK:
        return buf_append_str(to, ip_net_format(&x->network, text));
    case FACT_DURATION:
        return buf_printf(to, "%llds", (long long)x->number / 1000);
    case FACT_TIME:
        return buf_printf(to, "%02d:%02d", (int)(x->number / 60), (int)(x->number % 60));
    case FACT_WEEKDAY:
        return buf_append_str(to, str_of_z(DAYS[x->number % 7]));
    }
    return true;
}

/* The null sender is none, and prints <>. */
static bool append_operand(struct buf *to, const struct test_operand *o, const struct eval_context *c)
{
    struct fact x, null;
    get(o, c, &x);
    if (x.kind == FACT_NONE && o->kind == FROM_ATTRIBUTE && o->attribute == ATTRIBUTE_SENDER) {
        c->facts->get(c->facts, ATTRIBUTE_SENDER_NULL, STR_NONE, &null);
        if (null.kind == FACT_TRUTH && null.truth)
            return buf_append_str(to, STR("<>"));
    }
    return append_fact(to, &x);
}

bool text_render(const struct text_template *t, const struct eval_context *c, struct buf *to)
{
    for (const struct text_part *part = t->parts; part; part = part->next)
        if (part->is_operand ? !append_operand(to, &part->operand, c) : !buf_append_str(to, part->text))
            return false;
    return true;
}

struct str text_constant(const struct text_template *t)
{
    if (!t->parts)
        return STR("");
    return t->parts->next || t->parts->is_operand ? STR_NONE : t->parts->text;
}
