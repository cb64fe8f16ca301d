/* eval_values.c - what a condition sees when it is asked: its attributes and tags, each once, with their values. */
#include <string.h>

#include "rules/eval_node.h"

enum { SHOWN_MAX = 32 }; /* of one condition; one that asks for more is shown in part */

struct shown {
    const struct test_operand *operands[SHOWN_MAX];
    size_t count;
};

static bool is_same(const struct test_operand *a, const struct test_operand *b)
{
    if (a->kind != b->kind || a->lookup != b->lookup || a->key != b->key)
        return false;
    if (a->kind == FROM_NETMAP && a->key == FROM_CONSTANT)
        return ip_equal(&a->constant.ip, &b->constant.ip);
    return a->attribute == b->attribute && str_equal(a->name, b->name);
}

static void add(struct shown *s, const struct test_operand *o)
{
    if (o->kind == FROM_CONSTANT || s->count == SHOWN_MAX)
        return;
    for (size_t i = 0; i < s->count; i++)
        if (is_same(s->operands[i], o))
            return;
    s->operands[s->count++] = o;
}

static bool has_right(const struct test_node *n)
{
    return n->kind == TEST_COMPARE ||
           (n->kind == TEST_IN && (n->place == IN_PLACE_MAP_VALUES || n->place == IN_PLACE_REMOTE_VALUES));
}

/* As deep as the parser lets conditions nest. */
static void collect(struct shown *s, const struct test_node *n)
{
    for (const struct test_node *child = n->child; child; child = child->next)
        collect(s, child);
    if (n->kind == TEST_OR || n->kind == TEST_AND || n->kind == TEST_NOT)
        return;
    add(s, &n->left);
    if (has_right(n))
        add(s, &n->right);
}

static bool append_attribute(const struct test_operand *o, struct buf *to)
{
    const char *name = attribute_rows[o->attribute].name;
    if (o->kind == FROM_COUNT)
        return buf_printf(to, "%s(" PRI_STR ")", name, STR_ARG(o->name));
    return o->name.len ? buf_printf(to, "%s[\"" PRI_STR "\"]", name, STR_ARG(o->name))
                       : buf_append_str(to, str_of_z(name));
}

static bool append_name(const struct test_operand *o, struct buf *to)
{
    char ip[IP_TEXT_MAX];
    if (o->kind == FROM_TAG)
        return buf_printf(to, "tag." PRI_STR, STR_ARG(o->name));
    if (o->kind != FROM_NETMAP)
        return append_attribute(o, to);
    return buf_printf(to, PRI_STR "[", STR_ARG(o->lookup->name)) &&
           (o->key == FROM_CONSTANT ? buf_append_str(to, ip_format(&o->constant.ip, ip)) : append_attribute(o, to)) &&
           buf_append_char(to, ']');
}

/* As a text would show it, but for what is none: there "-" would look like a value. */
static bool append_value(const struct test_operand *o, const struct eval_context *context, struct buf *to)
{
    struct text_part part = {.is_operand = true, .operand = *o};
    struct text_template text = {&part};
    struct test_node is_none = {.kind = TEST_IS_NONE, .left = *o};
    size_t before = buf_len(to);
    if (!text_render(&text, context, to))
        return false;
    struct str value = str_from(buf_str(to), before);
    if (!value.ptr || value.len == 0) /* a tag that was set without a value */
        return buf_append_str(to, STR("\"\""));
    if (!str_equal(value, STR("-")) || !eval_is_true(&is_none, context))
        return true;
    buf_truncate(to, before);
    return buf_append_str(to, STR("none"));
}

bool eval_values(const struct test_node *node, const struct eval_context *context, struct buf *to)
{
    struct shown shown = {.count = 0};
    if (node)
        collect(&shown, node);
    for (size_t i = 0; i < shown.count; i++)
        if ((i && !buf_append_str(to, STR(", "))) || !append_name(shown.operands[i], to) || !buf_append_char(to, ' ') ||
            !append_value(shown.operands[i], context, to))
            return false;
    return true;
}
