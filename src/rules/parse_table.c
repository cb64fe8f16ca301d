/* parse_table.c - `table NAME TYPE …`: its items, or where they are kept. */
#include "rules/parse_internal.h"

static bool parse_table_name(struct parser *p, struct name *name)
{
    const struct token *t = parse_peek(p);
    struct str word = parse_text(p, t);
    if (t->kind == TOKEN_WORD && (str_equal(word, STR("header")) || str_equal(word, STR("milter"))))
        return diag_error(p->d, parse_place(p, t), "\"" PRI_STR "\" cannot be a name", STR_ARG(word));
    return parse_name(p, "a name for the table", name);
}

static bool parse_type(struct parser *p, struct table *table)
{
    unsigned row;
    table->type_at = parse_place(p, parse_peek(p));
    if (!PARSE_FIND(p, table_type_rows, "table type", "a table type", &row))
        return false;
    parse_take(p);
    table->type = (enum table_type)row;
    return true;
}

static bool parse_item(struct parser *p, struct table *table)
{
    void *items = table->items;
    struct table_item *item = parse_array_add(p, &items, &table->item_count, sizeof *item);
    table->items = items;
    if (!item)
        return false;
    *item = (struct table_item){.values = {NULL, 0}};
    parse_mark(p, MARK_ITEM);
    if (!parse_any_value(p, true, &item->key))
        return false;
    if (!table_type_rows[table->type].pairs)
        return true;
    if (parse_is_sign(p, SIGN_OPEN_BRACE))
        return parse_list(p, &item->values);
    void *values = NULL;
    struct value *v = parse_array_add(p, &values, &item->values.count, sizeof *v);
    item->values.items = values;
    return v && parse_any_value(p, true, v);
}

/* `{ item, item newline item }`, its { at hand; like parse_list, but an item may be a pair. */
static bool parse_items(struct parser *p, struct table *table)
{
    const struct token *open = parse_peek(p);
    if (open->is_unclosed)
        return false; /* said by lex; reading goes on from the brace */
    parse_mark(p, MARK_LIST);
    parse_take(p);
    p->in_list = true;
    bool fine = true, more = true;
    while (fine && more) {
        while (parse_peek(p)->kind == TOKEN_NEWLINE)
            parse_take(p);
        if (parse_is_sign(p, SIGN_CLOSE_BRACE))
            break; /* also an empty table, and a comma before the } */
        fine = parse_item(p, table);
        more = fine && (parse_accept_sign(p, SIGN_COMMA) || parse_peek(p)->kind == TOKEN_NEWLINE);
    }
    fine = fine && (parse_accept_sign(p, SIGN_CLOSE_BRACE) || parse_expected(p, "\",\" or \"}\""));
    p->in_list = false;
    if (!fine)
        parse_skip_list(p, open);
    return fine;
}

static bool parse_redis(struct parser *p, struct table *table)
{
    table->source = TABLE_REDIS;
    return parse_text_value(p, "a key in quotes", &table->file) &&
           parse_options(p, "table", OPTIONS_TABLE, &table->options);
}

static bool parse_socketmap(struct parser *p, struct table *table)
{
    struct want *want = parse_alloc(p, sizeof *want);
    if (!want)
        return false;
    *want = (struct want){.shape = SHAPE_ENDPOINT, .name = STR("socketmap")};
    table->source = TABLE_SOCKETMAP;
    return parse_wanted_value(p, want, false, &table->endpoint) &&
           parse_text_value(p, "a map's name in quotes", &table->file) &&
           parse_options(p, "table", OPTIONS_TABLE, &table->options);
}

bool parse_table(struct parser *p, struct statement *s)
{
    struct table *table = &s->table;
    if (!parse_table_name(p, &table->name) || !parse_type(p, table))
        return false;
    table->source_at = parse_place(p, parse_peek(p));
    if (parse_is_sign(p, SIGN_OPEN_BRACE)) {
        table->source = TABLE_INLINE;
        return parse_items(p, table);
    }
    if (parse_accept_word(p, "redis"))
        return parse_redis(p, table);
    if (parse_accept_word(p, "socketmap"))
        return parse_socketmap(p, table);
    table->source = TABLE_FILE;
    return parse_text_value(p, "\"{\" or a file name in quotes", &table->file);
}
