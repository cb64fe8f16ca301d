/* check_names.c - who defines what: GRAMMAR.md 1, "Names". */
#include "rules/check_internal.h"
#include "rules/hint.h"

enum { SUGGEST_MAX_ERRORS = 4 * DIAG_MAX_SHOWN };

const char *definition_word(enum definition_kind kind)
{
    switch (kind) {
    case DEFINES_RULE:
        return "rule";
    case DEFINES_LIMIT:
        return "limit";
    case DEFINES_MILTER:
        return "milter";
    case DEFINES_TABLE:
        return "table";
    case DEFINES_DNSBL:
        return "dnsbl";
    case DEFINES_PARAMETER:
        return "parameter";
    case DEFINES_SETTING:
        return "set";
    case DEFINES_ALERT:
        return "alert";
    case DEFINES_POOL:
        return "pool";
    case DEFINES_LISTENER:
        return "listener";
    case DEFINES_TEST:
        return "test";
    default:
        return "tag";
    }
}

static enum name_set kind_set(enum definition_kind kind)
{
    switch (kind) {
    case DEFINES_RULE:
    case DEFINES_LIMIT:
    case DEFINES_MILTER:
        return NAMES_RULES;
    case DEFINES_TABLE:
    case DEFINES_DNSBL:
        return NAMES_TABLES;
    case DEFINES_PARAMETER:
        return NAMES_PARAMETERS;
    case DEFINES_SETTING:
        return NAMES_SETTINGS;
    case DEFINES_ALERT:
        return NAMES_ALERTS;
    case DEFINES_POOL:
        return NAMES_POOLS;
    case DEFINES_LISTENER:
        return NAMES_LISTENERS;
    case DEFINES_TEST:
        return NAMES_TESTS;
    default:
        return NAMES_TAGS;
    }
}

/* ---- the sets ---- */

void names_init(struct checker *c)
{
    for (unsigned i = 0; i < NAME_SET_COUNT; i++) {
        map_init(&c->names[i].map, true, false);
        c->names[i].end = &c->names[i].first;
    }
}

void names_fini(struct checker *c)
{
    for (unsigned i = 0; i < NAME_SET_COUNT; i++)
        map_fini(&c->names[i].map);
}

struct definition *names_find(const struct checker *c, enum name_set set, struct str name)
{
    return map_get(&c->names[set].map, name);
}

/* The nearest of those of the set that `kinds` takes. Beyond some errors nobody reads suggestions, and to look through
 * many names for each takes its time. */
static void suggest_name(struct checker *c, enum name_set set, unsigned kinds, struct str wrong)
{
    struct suggestion nearest;
    suggest_init(&nearest, wrong);
    for (struct definition *d = c->names[set].first; d && c->d->error_count < SUGGEST_MAX_ERRORS; d = d->next)
        if (d->kind & kinds)
            suggest_offer(&nearest, d->name.text);
    diag_did_you_mean(c->d, suggest_best(&nearest));
    struct definition *meant = suggest_best(&nearest).len ? names_find(c, set, suggest_best(&nearest)) : NULL;
    if (meant)
        meant->is_used = true;
}

struct definition *names_use(struct checker *c, enum name_set set, unsigned kinds, const char *what, struct name name)
{
    struct definition *found = names_find(c, set, name.text);
    if (found && (found->kind & kinds)) {
        found->is_used = true;
        return found;
    }
    diag_error(c->d, name.at, "unknown %s \"" PRI_STR "\"", what, STR_ARG(name.text));
    hint_unknown(c->d, what, name.text);
    suggest_name(c, set, kinds, name.text);
    return NULL;
}

bool names_use_tag(struct checker *c, struct name tag)
{
    if (names_find(c, NAMES_TAGS, tag.text))
        return true;
    diag_error(c->d, tag.at, "no rule sets the tag \"" PRI_STR "\"", STR_ARG(tag.text));
    suggest_name(c, NAMES_TAGS, DEFINES_TAG, tag.text);
    return false;
}

static void say_twice(struct checker *c, const struct definition *d, const struct definition *before)
{
    struct str place = tree_place_text(c->tree, before->name.at);
    if (!place.ptr) {
        check_no_memory(c);
        return;
    }
    diag_error(c->d, d->name.at, "%s \"" PRI_STR "\" is already defined at " PRI_STR, definition_word(d->kind),
               STR_ARG(d->name.text), STR_ARG(place));
    if (place_compare(d->name.at, before->name.at) == 0)
        diag_hint(c->d, "this file is included twice");
}

/* NULL: no memory, or there is one already (said, where that is a mistake). */
static struct definition *define(struct checker *c, struct definition d)
{
    struct names *names = &c->names[kind_set(d.kind)];
    if (!d.name.text.len)
        return NULL;
    struct definition *before = map_get(&names->map, d.name.text);
    if (before) {
        if (!before->may_repeat || !d.may_repeat)
            say_twice(c, &d, before);
        return NULL;
    }
    struct definition *kept = arena_alloc(&c->tree->arena, sizeof *kept);
    if (!kept || !map_set(&names->map, d.name.text, kept)) {
        check_no_memory(c);
        return NULL;
    }
    *kept = d;
    *names->end = kept;
    names->end = &kept->next;
    return kept;
}

/* ---- what statements define ---- */

static void define_tags(struct checker *c, const struct actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        const struct value *name = values_arg(&actions->items[i].values, 0);
        if (actions->items[i].kind == ACTION_TAG && name)
            (void)define(c,
                         (struct definition){.kind = DEFINES_TAG, .name = {name->text, name->at}, .may_repeat = true});
    }
}

static void define_rules(struct checker *c, struct statement *s)
{
    for (size_t i = 0; i < s->on.count; i++) {
        struct rule *r = s->on.rules[i];
        (void)define(c,
                     (struct definition){
                         .kind = DEFINES_RULE, .name = r->name, .is_broken = r->is_broken || s->is_broken, .rule = r});
        define_tags(c, &r->actions);
    }
}

static void define_limit(struct checker *c, struct statement *s)
{
    struct limit_clause *l = &s->limit;
    (void)define(c, (struct definition){.kind = DEFINES_LIMIT, .name = l->name, .is_broken = s->is_broken, .limit = l});
    for (size_t i = 0; i < l->threshold_count; i++)
        define_tags(c, &l->thresholds[i].actions);
}

/* The name stands in the statement, or it has one without being given it. */
static void define_server(struct checker *c, struct statement *s)
{
    struct definition d = {.is_broken = s->is_broken};
    const struct value *name = values_arg(&s->server.values, 0);
    if (s->kind == STATEMENT_MILTER) {
        d.kind = DEFINES_MILTER;
    } else if (s->kind == STATEMENT_RELAY) {
        d.kind = DEFINES_POOL;
        d.name = (struct name){STR("default"), s->at};
    } else {
        const struct option *given = options_get(&s->server.options, OPTION_LISTEN_NAME);
        d.kind = DEFINES_LISTENER;
        d.may_repeat = !given;
        if (given)
            name = values_arg(&given->values, 0);
    }
    if (name)
        d.name = (struct name){name->text, name->at};
    (void)define(c, d);
}

static void define_statement(struct checker *c, struct statement *s)
{
    struct definition d = {.is_broken = s->is_broken};
    switch (s->kind) {
    case STATEMENT_ON:
        define_rules(c, s);
        return;
    case STATEMENT_LIMIT:
        define_limit(c, s);
        return;
    case STATEMENT_MILTER:
    case STATEMENT_RELAY:
    case STATEMENT_LISTEN:
        define_server(c, s);
        return;
    case STATEMENT_PARAMETER:
    case STATEMENT_SET:
        d.kind = s->kind == STATEMENT_SET ? DEFINES_SETTING : DEFINES_PARAMETER;
        d.name = s->parameter.name;
        d.parameter = &s->parameter;
        break;
    case STATEMENT_TABLE:
        d.kind = DEFINES_TABLE;
        d.name = s->table.name;
        d.table = &s->table;
        break;
    case STATEMENT_DNSBL:
        d.kind = DEFINES_DNSBL;
        d.name = s->dnsbl.name;
        break;
    case STATEMENT_ALERT:
        d.kind = DEFINES_ALERT;
        d.name = s->alert.name;
        break;
    case STATEMENT_TEST:
        d.kind = DEFINES_TEST;
        d.name = (struct name){s->test.name.text, s->test.name.at};
        break;
    default:
        return;
    }
    (void)define(c, d);
}

/* A limit of charges counts in the phases of the rules that charge it. */
static void note_charges(struct checker *c, const struct statement *s)
{
    for (size_t i = 0; i < s->on.count; i++) {
        const struct rule *r = s->on.rules[i];
        for (size_t k = 0; k < r->actions.count && !r->is_broken && !s->is_broken; k++) {
            const struct action *a = &r->actions.items[k];
            struct definition *d =
                a->kind == ACTION_CHARGE ? names_find(c, NAMES_RULES, a->values.items[0].text) : NULL;
            if (d && d->kind == DEFINES_LIMIT)
                d->charged_at |= 1u << r->phase;
        }
    }
}

void names_define(struct checker *c)
{
    static const struct str usual[] = {{"submission", 10}, {"submissions", 11}, {"smtp", 4}};
    for (size_t i = 0; i < c->tree->count; i++)
        define_statement(c, c->tree->statements[i]);
    for (size_t i = 0; i < c->tree->count; i++)
        if (c->tree->statements[i]->kind == STATEMENT_ON)
            note_charges(c, c->tree->statements[i]);
    /* a rules file alone: without any listener these exist (GRAMMAR.md 5), and a pool always has this name, if no other
     */
    if (!c->names[NAMES_LISTENERS].first)
        for (size_t i = 0; i < COUNT_OF(usual); i++)
            (void)define(c, (struct definition){.kind = DEFINES_LISTENER, .name = {usual[i], PLACE_NONE}});
    if (!c->names[NAMES_POOLS].first)
        (void)define(c, (struct definition){.kind = DEFINES_POOL, .name = {STR("default"), PLACE_NONE}});
}
