/* check_table.c - tables and dnsbls: their items, and where they are kept. Files of tables are read by compile. */
#include "rules/check_internal.h"
#include "rules/table.h"

static bool check_key(struct checker *c, struct table *table, struct value *key)
{
    switch (table->type) {
    case TABLE_ADDRESSES:
        return check_item(c, key, SHAPE_ADDRESS, type_rows[TYPE_ADDRESS].one);
    case TABLE_DOMAINS:
        return check_item(c, key, SHAPE_DOMAIN, type_rows[TYPE_DOMAIN].one);
    case TABLE_NETWORKS:
    case TABLE_NETMAP:
        return check_item(c, key, SHAPE_NETWORK, type_rows[TYPE_NETWORK].one);
    case TABLE_PATTERNS:
        return check_pattern(c, key);
    case TABLE_MAP:
        if (!key->is_quoted && table_key_is_foreign(key->text))
            return diag_error(c->d, key->at, TABLE_KEY_FOREIGN, STR_ARG(key->text));
        return true;
    default:
        return true;
    }
}

static void check_items(struct checker *c, struct table *table)
{
    for (size_t i = 0; i < table->item_count; i++) {
        struct table_item *item = &table->items[i];
        if (check_value(c, &item->key))
            (void)check_key(c, table, &item->key);
        (void)check_values(c, &item->values);
        if (table->type == TABLE_NETMAP && item->values.count > 1)
            (void)diag_error(c->d, item->values.items[1].at, "a netmap gives one value");
    }
}

/* A store that could not be read may be one in Redis. */
static bool has_redis(const struct checker *c)
{
    for (size_t i = 0; i < c->tree->count; i++) {
        enum statement_kind kind = c->tree->statements[i]->kind;
        if (kind >= STATEMENT_STORE_REDIS && kind <= STATEMENT_STORE_REDIS_CLUSTER)
            return true;
    }
    return c->is_unread;
}

static void check_remote(struct checker *c, struct table *table)
{
    const struct table_type_row *row = &table_type_rows[table->type];
    const char *word = table->source == TABLE_REDIS ? "redis" : "socketmap";
    const char *later = statement_rows[STATEMENT_TABLE].later;
    bool is_in_force = c->allows_later || !later_names(later, str_of_z(word));
    check_later(c, !is_in_force, word, table->source_at);
    if (!row->remote)
        (void)diag_error(c->d, table->type_at, "%s holds no %s", word, row->word);
    if (table->source == TABLE_SOCKETMAP)
        (void)check_value(c, &table->endpoint);
    else if (row->remote && is_in_force && !has_redis(c))
        (void)diag_error(c->d, table->source_at,
                         "a table in Redis needs a store there: add `store redis \"redis://127.0.0.1\"`");
    (void)check_text_value(c, &table->file,
                           table->source == TABLE_REDIS ? "a key in quotes" : "a map's name in quotes");
    check_options(c, &table->options);
}

void check_table(struct checker *c, struct table *table)
{
    const struct table_type_row *row = &table_type_rows[table->type];
    check_later(c, row->later, row->word, table->type_at);
    if (table->source == TABLE_INLINE)
        check_items(c, table);
    else if (table->source == TABLE_FILE)
        (void)check_text_value(c, &table->file, "a file name in quotes");
    else
        check_remote(c, table);
}

void check_dnsbl(struct checker *c, struct dnsbl *dnsbl)
{
    if (check_text_value(c, &dnsbl->zone, "a zone in quotes"))
        (void)check_item(c, &dnsbl->zone, SHAPE_DOMAIN, type_rows[TYPE_DOMAIN].one);
    check_options(c, &dnsbl->options);
}
