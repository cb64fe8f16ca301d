/* eval_text.c - texts with ${…}, filled in. See eval.h. */
#include "rules/eval_node.h"

#include "base/escape.h"

static bool append_clean(struct buf *to, struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] >= 0x20 && s.ptr[i] != 0x7f && !buf_append_char(to, s.ptr[i]))
            return false;
    return true;
}

/* "2.5", "-1": as many decimals as it has. */
static bool append_decimal(struct buf *to, int64_t in_millionths)
{
    uint64_t n = in_millionths < 0 ? -(uint64_t)in_millionths : (uint64_t)in_millionths, fraction = n % NUMBER_ONE;
    int digits = 6;
    while (digits && fraction % 10 == 0) {
        fraction /= 10;
        digits--;
    }
    return (in_millionths >= 0 || buf_append_char(to, '-')) &&
           buf_printf(to, "%llu", (unsigned long long)(n / NUMBER_ONE)) &&
           (digits == 0 || buf_printf(to, ".%0*llu", digits, (unsigned long long)fraction));
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
        return buf_printf(to, "%lld", (long long)x->number);
    case FACT_DECIMAL:
        return append_decimal(to, x->number);
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
    if (eval_get(o, c, &x) != EVAL_TRUE)
        x.kind = FACT_NONE;
    if (x.kind == FACT_NONE && o->kind == FROM_ATTRIBUTE && o->attribute == ATTRIBUTE_SENDER) {
        c->facts->get(c->facts, ATTRIBUTE_SENDER_NULL, STR_NONE, &null);
        if (null.kind == FACT_TRUTH && null.truth)
            return buf_append_str(to, STR("<>"));
    }
    return append_fact(to, &x);
}

bool text_may_wait(const struct text_template *t)
{
    for (const struct text_part *part = t->parts; part; part = part->next)
        if (part->is_operand && eval_operand_may_wait(&part->operand))
            return true;
    return false;
}

enum eval_result text_ask(const struct text_template *t, const struct eval_context *c)
{
    struct fact x;
    for (const struct text_part *part = t->parts; part; part = part->next)
        if (part->is_operand && eval_get(&part->operand, c, &x) == EVAL_WAIT)
            return EVAL_WAIT;
    return EVAL_TRUE;
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
