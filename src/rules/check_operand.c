/* check_operand.c - what stands in a condition or a text: attributes and their phases, tags, literals, lookups. */
#include "rules/check_internal.h"
#include "rules/hint.h"

/* ---- what is known when ---- */

enum phase moment_first(struct moment m)
{
    return m.phases ? (enum phase)__builtin_ctz(m.phases) : (enum phase)(PHASE_COUNT - 1);
}

enum phase moment_last(struct moment m)
{
    return m.phases ? (enum phase)(31 - __builtin_clz(m.phases)) : (enum phase)0;
}

bool check_known(struct checker *c, struct str said, struct place at, enum phase from, bool rcpt_only, struct moment m)
{
    enum phase first = moment_first(m);
    if (from > first)
        return diag_error(c->d, at, PRI_STR " is not known at %s; it is known from %s on", STR_ARG(said),
                          phase_rows[first].word, phase_rows[from].word);
    if (rcpt_only && !m.each_rcpt && moment_last(m) > PHASE_RCPT)
        return diag_error(c->d, at, PRI_STR " is known at rcpt only; a mail may have several recipients",
                          STR_ARG(said));
    return true;
}

/* ---- attributes ---- */

static bool check_tag(struct checker *c, struct name name, struct resolved_attribute *found)
{
    struct name tag = {.text = str_from(name.text, 4), .at = name.at};
    found->is_tag = true;
    found->tag = tag.text;
    found->type = TYPE_TEXT;
    return names_use_tag(c, tag);
}

static bool unknown_attribute(struct checker *c, struct name name, enum side side)
{
    struct suggestion nearest;
    suggest_init(&nearest, name.text);
    diag_error(c->d, name.at, "unknown attribute \"" PRI_STR "\"", STR_ARG(name.text));
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
        struct str candidate = str_of_z(attribute_rows[i].name);
        if (attribute_rows[i].form == FORM_PLAIN)
            suggest_offer(&nearest, candidate);
        else if (side != SIDE_TEXT && str_equal(candidate, name.text)) {
            diag_hint(c->d, attribute_rows[i].form == FORM_CALL ? "write %s(LIMIT)" : "write %s[\"NAME\"]",
                      attribute_rows[i].name);
            return false;
        }
    }
    struct str best = suggest_best(&nearest);
    if (hint_attribute(c->d, name.text))
        return false;
    if (str_starts(name.text, STR("header.")) && name.text.len > 7 && nearest.distance > 1)
        diag_hint(c->d, "write header[\"" PRI_STR "\"]", STR_ARG(str_from(name.text, 7)));
    else if (best.len)
        diag_did_you_mean(c->d, best);
    else if (side == SIDE_RIGHT || !shape_is_dotted_name(name.text))
        diag_hint(c->d, "a text needs quotes");
    return false;
}

bool check_attribute(struct checker *c, struct name name, enum side side, struct moment m,
                     struct resolved_attribute *found)
{
    if (str_starts(name.text, STR("tag.")))
        return check_tag(c, name, found);
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
        const struct attribute_row *row = &attribute_rows[i];
        if (row->form != FORM_PLAIN || !str_equal(name.text, str_of_z(row->name)))
            continue;
        *found = (struct resolved_attribute){.attribute = (enum attribute)i, .type = row->type};
        check_later(c, row->later, row->name, name.at);
        return check_known(c, name.text, name.at, row->phase, row->rcpt_only, m);
    }
    return unknown_attribute(c, name, side);
}

/* ---- operands ---- */

struct str operand_said(struct checker *c, const struct operand *o)
{
    struct arena *arena = &c->tree->arena;
    struct str said = o->name.text;
    switch (o->kind) {
    case OPERAND_ATTRIBUTE:
        return said;
    case OPERAND_VALUE:
        said = arena_printf(arena, "\"" PRI_STR "\"", STR_ARG(o->value.text));
        break;
    case OPERAND_LOOKUP:
        said = arena_printf(arena, PRI_STR "[…]", STR_ARG(o->name.text));
        break;
    case OPERAND_USED:
    case OPERAND_LEFT:
        said = arena_printf(arena, "%s(" PRI_STR ")", o->kind == OPERAND_USED ? "used" : "left", STR_ARG(o->name.text));
        break;
    case OPERAND_HEADER:
    case OPERAND_HEADER_COUNT:
    case OPERAND_MILTER:
        said = arena_printf(arena, "%s[\"" PRI_STR "\"]",
                            o->kind == OPERAND_HEADER         ? "header"
                            : o->kind == OPERAND_HEADER_COUNT ? "header.count"
                                                              : "milter",
                            STR_ARG(o->value.text));
        break;
    }
    if (!said.ptr)
        check_no_memory(c);
    return said;
}

const char *operand_word(const struct operand *o)
{
    return o->kind == OPERAND_VALUE ? literal_word(&o->value) : type_rows[o->type].one;
}

static bool check_indexed(struct checker *c, struct operand *o, enum attribute attribute, struct moment m)
{
    const struct attribute_row *row = &attribute_rows[attribute];
    bool fine = check_value(c, &o->value);
    o->type = row->type;
    o->resolved = (struct resolved_attribute){.attribute = attribute, .type = row->type};
    check_later(c, row->later, row->name, o->at);
    if (attribute == ATTRIBUTE_MILTER)
        fine = names_use(c, NAMES_RULES, DEFINES_MILTER, "milter", (struct name){o->value.text, o->value.at}) && fine;
    return check_known(c, operand_said(c, o), o->at, row->phase, row->rcpt_only, m) && fine;
}

/* GRAMMAR.md 3: its key must be known. */
static bool check_count(struct checker *c, struct operand *o, struct moment m)
{
    const struct attribute_row *row = &attribute_rows[o->kind == OPERAND_USED ? ATTRIBUTE_USED : ATTRIBUTE_LEFT];
    check_later(c, row->later, row->name, o->at);
    o->type = row->type;
    struct definition *d = names_use(c, NAMES_RULES, DEFINES_LIMIT, "limit", o->name);
    if (!d || d->is_broken)
        return false;
    o->limit = d->limit;
    bool fine = true;
    for (size_t i = 0; i < d->limit->key_count && fine; i++) {
        enum key key = d->limit->keys[i].key;
        fine = check_known(c, operand_said(c, o), o->at, limit_key_phase(key, moment_first(m)),
                           key == KEY_RCPT || key == KEY_RCPT_DOMAIN, m);
    }
    return fine;
}

bool table_takes(const struct table *table, enum type type)
{
    enum table_type kind = table ? table->type : TABLE_NETWORKS; /* a dnsbl lists addresses of clients */
    switch (type) {
    case TYPE_IP:
        return kind == TABLE_NETWORKS || kind == TABLE_NETMAP;
    case TYPE_DOMAIN:
        return kind == TABLE_DOMAINS || kind == TABLE_STRINGS || kind == TABLE_PATTERNS || kind == TABLE_MAP;
    case TYPE_ADDRESS:
    case TYPE_LOGIN:
        return kind == TABLE_ADDRESSES || kind == TABLE_STRINGS || kind == TABLE_PATTERNS || kind == TABLE_MAP;
    case TYPE_TEXT:
        return kind == TABLE_STRINGS || kind == TABLE_PATTERNS || kind == TABLE_MAP;
    default:
        return false;
    }
}

/* "a table of networks", "a map", "a dnsbl". */
static struct str table_said(struct checker *c, const struct table *table)
{
    if (!table)
        return STR("a dnsbl");
    const struct table_type_row *row = &table_type_rows[table->type];
    struct str said = arena_printf(&c->tree->arena, row->pairs ? "a %s" : "a table of %s", row->word);
    if (!said.ptr)
        check_no_memory(c);
    return said;
}

bool check_wrong_table(struct checker *c, const struct operand *o, struct name name, const struct table *table)
{
    struct str said = operand_said(c, o), what = table_said(c, table);
    diag_error(c->d, name.at, PRI_STR " is %s; \"" PRI_STR "\" is " PRI_STR, STR_ARG(said), operand_word(o),
               STR_ARG(name.text), STR_ARG(what));
    if (o->type == TYPE_IP && table && table->type == TABLE_ADDRESSES)
        diag_hint(c->d, "these are mail addresses");
    else if (o->type == TYPE_NETWORK && table && table->type == TABLE_NETWORKS)
        diag_hint(c->d, "ask whether the address is in it");
    return false;
}

struct table *check_lookup(struct checker *c, struct name name, struct operand *inner, struct moment m)
{
    struct definition *d = names_use(c, NAMES_TABLES, DEFINES_TABLE | DEFINES_DNSBL, "table or dnsbl", name);
    bool fine = check_operand(c, inner, SIDE_LEFT, m);
    if (!d || d->is_broken)
        return NULL;
    struct table *table = d->kind == DEFINES_TABLE ? d->table : NULL;
    if (!table || !table_type_rows[table->type].pairs) {
        diag_error(c->d, name.at, "[ ] takes a map or netmap; \"" PRI_STR "\" is " PRI_STR, STR_ARG(name.text),
                   STR_ARG(table_said(c, table)));
        return NULL;
    }
    if (fine && !table_takes(table, inner->type))
        fine = check_wrong_table(c, inner, name, table);
    return fine ? table : NULL;
}

/* NETMAP[ip] is a text; of MAP[x] there may be several: those stand right of `in` only. */
static bool check_lookup_operand(struct checker *c, struct operand *o, struct moment m)
{
    o->type = TYPE_TEXT;
    o->table = check_lookup(c, o->name, o->inner, m);
    if (o->table && o->table->type == TABLE_MAP)
        return diag_error(c->d, o->name.at, PRI_STR "[…] may have several values; use in", STR_ARG(o->name.text));
    return o->table != NULL;
}

bool check_operand(struct checker *c, struct operand *o, enum side side, struct moment m)
{
    bool fine;
    switch (o->kind) {
    case OPERAND_ATTRIBUTE:
        fine = check_attribute(c, o->name, side, m, &o->resolved);
        o->type = o->resolved.type;
        return fine;
    case OPERAND_VALUE:
        fine = check_value(c, &o->value);
        o->type = fine ? literal_type(&o->value) : TYPE_UNKNOWN;
        return fine;
    case OPERAND_LOOKUP:
        return check_lookup_operand(c, o, m);
    case OPERAND_HEADER:
        return check_indexed(c, o, ATTRIBUTE_HEADER, m);
    case OPERAND_HEADER_COUNT:
        return check_indexed(c, o, ATTRIBUTE_HEADER_COUNT, m);
    case OPERAND_MILTER:
        return check_indexed(c, o, ATTRIBUTE_MILTER, m);
    default:
        return check_count(c, o, m);
    }
}

/* ---- texts ---- */

void check_text(struct checker *c, struct value *v, struct moment m)
{
    if (v->shape != SHAPE_TEXT)
        return;
    for (size_t i = 0; i < v->parts.count; i++) {
        struct text_piece *piece = &v->parts.pieces[i];
        if (piece->is_name)
            (void)check_attribute(c, (struct name){piece->text, piece->at}, SIDE_TEXT, m, &piece->resolved);
    }
}
