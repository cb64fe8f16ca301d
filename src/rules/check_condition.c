/* check_condition.c - what may be compared with what, and looked for where: GRAMMAR.md 3. */
#include "rules/check_internal.h"

/* ---- families ---- */

static bool is_text_family(enum type type)
{
    return type == TYPE_TEXT || type == TYPE_DOMAIN || type == TYPE_ADDRESS || type == TYPE_LOGIN;
}

static bool is_ordered(enum type type)
{
    return type == TYPE_NUMBER || type == TYPE_DURATION || type == TYPE_TIME;
}

static bool are_alike(enum type a, enum type b)
{
    return a == b || (is_text_family(a) && is_text_family(b));
}

/* What would have been right may be there, in quotes. */
static bool is_only_quoted(struct checker *c, enum type wanted, const struct operand *o)
{
    static const enum shape shapes[TYPE_COUNT] = {
        [TYPE_IP] = SHAPE_IP,       [TYPE_NETWORK] = SHAPE_NETWORK,   [TYPE_NUMBER] = SHAPE_NUMBER,
        [TYPE_TRUTH] = SHAPE_TRUTH, [TYPE_DURATION] = SHAPE_DURATION, [TYPE_TIME] = SHAPE_TIME,
    };
    struct value read;
    struct err err;
    return o->kind == OPERAND_VALUE && o->value.shape == SHAPE_TEXT && o->value.at.len == o->value.text.len + 2 &&
           shapes[wanted] != SHAPE_NONE &&
           shape_read(shapes[wanted], o->value.text, &c->tree->arena, &read, &err) == SHAPE_FITS;
}

static void hint_at_weekdays(struct checker *c)
{
    diag_hint(c->d, "write weekday in { mon, tue }");
}

/* `client.port is a number, but "smtp" is a text`, at the right side. */
static bool unlike(struct checker *c, const struct operand *left, const struct operand *right)
{
    struct str a = operand_said(c, left), b = operand_said(c, right);
    diag_error(c->d, right->at, PRI_STR " is %s, but " PRI_STR " is %s", STR_ARG(a), operand_word(left), STR_ARG(b),
               operand_word(right));
    bool is_ip = left->type == TYPE_IP || right->type == TYPE_IP;
    if (is_ip && (left->type == TYPE_ADDRESS || right->type == TYPE_ADDRESS))
        diag_hint(c->d, "one is an IP address, the other a mail address");
    else if (left->type == TYPE_WEEKDAY || right->type == TYPE_WEEKDAY)
        hint_at_weekdays(c);
    else if (left->type == TYPE_IP && right->type == TYPE_NETWORK)
        diag_hint(c->d, "ask whether it is in " PRI_STR, STR_ARG(right->value.text));
    else if (is_only_quoted(c, left->type, right) || is_only_quoted(c, right->type, left))
        diag_hint(c->d, "write it without quotes");
    return false;
}

/* The same for a literal that is no operand. */
static bool unlike_value(struct checker *c, const struct operand *left, const struct value *v)
{
    struct operand right = {.kind = OPERAND_VALUE, .at = v->at, .value = *v, .type = literal_type(v)};
    return unlike(c, left, &right);
}

/* `< does not work on texts`. */
static bool no_work(struct checker *c, struct place at, const char *word, enum type type)
{
    return diag_error(c->d, at, "%s does not work on %s", word, type_rows[type].many);
}

/* ---- = != < <= > >= ---- */

/* A text in quotes against a domain or address is read as one. What greets with an address in brackets is no domain,
 * and may still be asked for. */
static bool read_beside(struct checker *c, struct operand *text, enum type other)
{
    struct value *v = &text->value;
    if (text->kind != OPERAND_VALUE || v->shape != SHAPE_TEXT)
        return true;
    if (other == TYPE_ADDRESS)
        return check_item(c, v, SHAPE_ADDRESS, type_rows[TYPE_ADDRESS].one);
    if (other == TYPE_DOMAIN && !str_starts(v->text, STR("[")))
        return check_item(c, v, SHAPE_DOMAIN, type_rows[TYPE_DOMAIN].one);
    return true;
}

/* As a parameter's value a network in quotes is the same as one without (GRAMMAR.md 1). */
static void read_network_by_name(struct checker *c, struct operand *text, enum type other)
{
    struct err err;
    if (text->value.shape != SHAPE_TEXT || (other != TYPE_IP && other != TYPE_NETWORK))
        return;
    if (shape_read(SHAPE_NETWORK, text->value.text, &c->tree->arena, &text->value, &err) == SHAPE_FITS)
        text->type = literal_type(&text->value);
}

static void check_compare(struct checker *c, struct condition *cond, struct moment m)
{
    static const char *const signs[] = {"=", "!=", "<", "<=", ">", ">="};
    struct operand *left = &cond->operand, *right = &cond->other;
    bool is_by_name = right->kind == OPERAND_VALUE && right->value.shape == SHAPE_PARAM;
    bool fine = check_operand(c, left, SIDE_LEFT, m);
    if (!check_operand(c, right, SIDE_RIGHT, m)) {
        if (fine && left->type == TYPE_WEEKDAY)
            hint_at_weekdays(c); /* `weekday = mon` */
        return;
    }
    if (!fine)
        return;
    if (is_by_name)
        read_network_by_name(c, right, left->type);
    if (cond->op >= OP_LESS && !is_ordered(left->type))
        (void)no_work(c, cond->at, signs[cond->op], left->type);
    else if (!are_alike(left->type, right->type))
        (void)unlike(c, left, right);
    else if (read_beside(c, right, left->type))
        (void)read_beside(c, left, right->type);
}

/* ---- in ---- */

static void check_in_name(struct checker *c, struct condition *cond, bool is_left_fine)
{
    struct in_place *in = &cond->in;
    struct definition *d = names_use(c, NAMES_TABLES, DEFINES_TABLE | DEFINES_DNSBL, "table or dnsbl", in->name);
    if (!d && is_left_fine && cond->operand.type == TYPE_WEEKDAY)
        hint_at_weekdays(c); /* `weekday in mon-fri` */
    if (!d || d->is_broken)
        return;
    in->table = d->kind == DEFINES_TABLE ? d->table : NULL;
    if (is_left_fine && !table_takes(in->table, cond->operand.type))
        (void)check_wrong_table(c, &cond->operand, in->name, in->table);
}

static void check_in_lookup(struct checker *c, struct condition *cond, struct moment m, bool is_left_fine)
{
    struct in_place *in = &cond->in;
    struct table *table = check_lookup(c, in->name, in->inner, m);
    in->table = table;
    if (!table)
        return;
    if (table->type == TABLE_NETMAP)
        (void)diag_error(c->d, in->name.at, PRI_STR "[…] is one text; use =", STR_ARG(in->name.text));
    else if (is_left_fine && !is_text_family(cond->operand.type))
        (void)diag_error(c->d, in->name.at, PRI_STR " is %s, but " PRI_STR "[…] holds texts",
                         STR_ARG(operand_said(c, &cond->operand)), operand_word(&cond->operand),
                         STR_ARG(in->name.text));
}

static bool check_weekday(struct checker *c, const struct value *v)
{
    static const char *const days[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    struct suggestion nearest;
    suggest_init(&nearest, v->text);
    for (size_t i = 0; i < COUNT_OF(days); i++) {
        if (str_equal(v->text, str_of_z(days[i])))
            return true;
        suggest_offer(&nearest, str_of_z(days[i]));
    }
    diag_error(c->d, v->at, "\"" PRI_STR "\" is not %s", STR_ARG(v->text), type_rows[TYPE_WEEKDAY].one);
    diag_did_you_mean(c->d, suggest_best(&nearest));
    return false;
}

/* A list works as a table of what is looked for in it. */
static bool check_list_item(struct checker *c, struct value *v, enum type type)
{
    const char *one = type_rows[type].one;
    switch (type) {
    case TYPE_IP:
    case TYPE_NETWORK:
        return check_item(c, v, SHAPE_NETWORK, type_rows[TYPE_NETWORK].one);
    case TYPE_ADDRESS: /* without an @ it is a string: `user in { alice, bob@example.org }` */
        return str_find(v->text, '@') == v->text.len || check_item(c, v, SHAPE_ADDRESS, one);
    case TYPE_DOMAIN:
        return check_item(c, v, SHAPE_DOMAIN, one);
    case TYPE_NUMBER:
        return check_item(c, v, SHAPE_NUMBER, one);
    case TYPE_DURATION:
        return check_item(c, v, SHAPE_DURATION, one);
    case TYPE_TIME:
        return v->shape == SHAPE_RANGE || check_item(c, v, SHAPE_TIME, one);
    case TYPE_TRUTH:
        return check_item(c, v, SHAPE_TRUTH, one);
    case TYPE_WEEKDAY:
        return check_weekday(c, v);
    default:
        return true;
    }
}

static void check_in_list(struct checker *c, struct condition *cond, bool is_left_fine)
{
    struct in_place *in = &cond->in;
    in->type = cond->operand.type == TYPE_LOGIN ? TYPE_ADDRESS : cond->operand.type;
    for (size_t i = 0; i < in->values.count; i++)
        if (check_value(c, &in->values.items[i]) && is_left_fine)
            (void)check_list_item(c, &in->values.items[i], in->type);
}

/* A network or a range, or a parameter that is one. */
static void check_in_value(struct checker *c, struct condition *cond, bool is_left_fine)
{
    struct value *v = &cond->in.values.items[0];
    enum type type = cond->operand.type;
    cond->in.type = type;
    if (!check_value(c, v) || !is_left_fine)
        return;
    if (type == TYPE_IP && v->shape == SHAPE_TEXT)
        (void)check_item(c, v, SHAPE_NETWORK, type_rows[TYPE_NETWORK].one);
    else if (type != TYPE_IP && type != TYPE_TIME && v->shape != SHAPE_NETWORK && v->shape != SHAPE_RANGE)
        (void)diag_error(c->d, v->at, "expected a table or a list, found \"" PRI_STR "\"", STR_ARG(v->text));
    else if (type == TYPE_TIME && v->shape == SHAPE_TIME)
        (void)diag_error(c->d, v->at, "expected %s, found \"" PRI_STR "\"", shape_rows[SHAPE_RANGE].expected,
                         STR_ARG(v->text));
    else if ((type != TYPE_IP || v->shape != SHAPE_NETWORK) && (type != TYPE_TIME || v->shape != SHAPE_RANGE))
        (void)unlike_value(c, &cond->operand, v);
}

static void check_in(struct checker *c, struct condition *cond, struct moment m)
{
    bool fine = check_operand(c, &cond->operand, SIDE_LEFT, m);
    switch (cond->in.kind) {
    case IN_NAME:
        check_in_name(c, cond, fine);
        break;
    case IN_LOOKUP:
        check_in_lookup(c, cond, m, fine);
        break;
    case IN_LIST:
        check_in_list(c, cond, fine);
        break;
    case IN_VALUE:
        check_in_value(c, cond, fine);
        break;
    }
}

/* ---- matches, like, contains, under ---- */

static void check_texts(struct checker *c, struct condition *cond, struct moment m)
{
    static const char *const words[] = {[CONDITION_MATCHES] = "matches",
                                        [CONDITION_LIKE] = "like",
                                        [CONDITION_CONTAINS] = "contains",
                                        [CONDITION_UNDER] = "under"};
    bool is_under = cond->kind == CONDITION_UNDER;
    bool fine = check_operand(c, &cond->operand, SIDE_LEFT, m);
    enum type type = cond->operand.type;
    if (fine && (is_under ? type != TYPE_DOMAIN && type != TYPE_TEXT : !is_text_family(type)))
        (void)no_work(c, cond->at, words[cond->kind], type);
    if (!check_text_value(c, &cond->text, is_under ? "a domain" : "a text"))
        return;
    if (is_under && str_starts(cond->text.text, STR("."))) /* the domain or below, with or without its dot */
        cond->text.text = str_from(cond->text.text, 1);
    if (is_under)
        (void)check_item(c, &cond->text, SHAPE_DOMAIN, type_rows[TYPE_DOMAIN].one);
    else if (cond->kind == CONDITION_MATCHES)
        (void)check_pattern(c, &cond->text);
}

/* ---- conditions ---- */

/* Truths, and whether a tag was set. */
static void check_alone(struct checker *c, struct condition *cond, struct moment m)
{
    struct operand *o = &cond->operand;
    if (!check_operand(c, o, SIDE_LEFT, m) || o->type == TYPE_TRUTH)
        return;
    if (o->kind != OPERAND_ATTRIBUTE || !o->resolved.is_tag)
        (void)diag_error(c->d, o->at, PRI_STR " is %s, not a condition", STR_ARG(operand_said(c, o)), operand_word(o));
    else
        return;
    if (o->kind == OPERAND_VALUE)
        diag_hint(c->d, "what it is compared with stands here again; or write in { …, … }");
}

void check_condition(struct checker *c, struct condition *cond, struct moment m)
{
    if (!cond)
        return;
    switch (cond->kind) {
    case CONDITION_OR:
    case CONDITION_AND:
    case CONDITION_NOT:
        for (struct condition *child = cond->child; child; child = child->next)
            check_condition(c, child, m);
        break;
    case CONDITION_COMPARE:
        check_compare(c, cond, m);
        break;
    case CONDITION_IN:
        check_in(c, cond, m);
        break;
    case CONDITION_MATCHES:
    case CONDITION_LIKE:
    case CONDITION_CONTAINS:
    case CONDITION_UNDER:
        check_texts(c, cond, m);
        break;
    case CONDITION_IS_NONE:
        (void)check_operand(c, &cond->operand, SIDE_LEFT, m);
        break;
    case CONDITION_ALONE:
        check_alone(c, cond, m);
        break;
    }
}
