/* check_server.c - server statements, alerts, and option blocks. What only the machine can say – files, addresses – is
 * config/'s. */
#include "rules/check_internal.h"

/* Words that a row's later column names; what stands in quotes is no word of the language. */
static void check_words(struct checker *c, const char *later, const struct values *values)
{
    for (size_t i = 0; i < values->count; i++) {
        const struct value *v = &values->items[i];
        char word[32];
        if (v->shape == SHAPE_WORD && !v->is_quoted && !v->want && later_names(later, v->text))
            check_later(c, true, str_copy_into(word, sizeof word, v->text).ptr, v->at);
    }
}

static bool is_all(const char *later)
{
    return later && str_equal(str_of_z(later), STR("*"));
}

static void check_option(struct checker *c, struct option *o)
{
    const struct option_row *row = &option_rows[o->kind];
    if (is_all(row->later))
        check_later(c, true, row->word, o->at);
    else
        check_words(c, row->later, &o->values);
    for (size_t i = 0; i < o->values.count; i++) {
        struct value *v = &o->values.items[i];
        if (v->shape == SHAPE_COND) /* a milter's: of what is known at mail */
            check_condition(c, v->cond, moment_of(PHASE_MAIL));
        else
            (void)check_value(c, v);
    }
    const struct value *first = values_arg(&o->values, 0);
    if (o->kind == OPTION_LISTEN_RELAY)
        (void)names_use(c, NAMES_POOLS, DEFINES_POOL, "pool", (struct name){first->text, first->at});
}

void check_options(struct checker *c, struct options *options)
{
    for (size_t i = 0; i < options->count; i++)
        check_option(c, &options->items[i]);
}

/* One store in all, whichever it is; of the others each kind by itself. */
static bool stands_once(enum statement_kind kind, enum statement_kind *as, const char **word)
{
    *as = kind;
    *word = statement_rows[kind].words;
    if (kind >= STATEMENT_STORE_MEMORY && kind <= STATEMENT_STORE_REDIS_CLUSTER) {
        *as = STATEMENT_STORE_MEMORY;
        *word = "store";
        return true;
    }
    return statement_rows[kind].times == TIMES_ONCE;
}

static void check_once(struct checker *c, const struct statement *s)
{
    enum statement_kind as;
    const char *word;
    if (!stands_once(s->kind, &as, &word))
        return;
    const struct statement *before = c->seen[as];
    if (!before) {
        c->seen[as] = s;
        return;
    }
    struct str place = tree_place_text(c->tree, before->at);
    if (place.ptr)
        (void)diag_error(c->d, s->at, "%s is already defined at " PRI_STR, word, STR_ARG(place));
    else
        check_no_memory(c);
}

void check_server(struct checker *c, struct statement *s)
{
    const char *later = statement_rows[s->kind].later;
    check_once(c, s);
    if (!is_all(later))
        check_words(c, later, &s->server.values);
    (void)check_values(c, &s->server.values);
    check_options(c, &s->server.options);
}

/* https://host…, without anything that no URL may hold. The rest is the server's to understand. */
static bool is_web_url(struct str url)
{
    struct str rest = str_starts_nocase(url, STR("https://"))  ? str_from(url, 8)
                      : str_starts_nocase(url, STR("http://")) ? str_from(url, 7)
                                                               : STR_NONE;
    size_t host = 0;
    while (host < rest.len && !strchr("/?#", rest.ptr[host]))
        host++;
    return host > 0 && rest.ptr[host - 1] != '@' && !str_has_control(rest) && str_find(rest, ' ') == rest.len;
}

void check_alert(struct checker *c, struct alert *alert)
{
    bool is_right = check_values(c, &alert->values);
    check_options(c, &alert->options);
    const struct value *to = is_right ? values_arg(&alert->values, 0) : NULL;
    if (to && alert->kind == ALERT_WEBHOOK && !is_web_url(to->text))
        (void)diag_error(c->d, to->at,
                         "a webhook is a URL that begins with https:// or http://, such as "
                         "\"https://alerts.example.org/mailweir\"");
    if (to && alert->kind == ALERT_EXEC && to->text.ptr[0] != '/')
        (void)diag_error(c->d, to->at, "a program is named by its whole path, such as \"/usr/local/bin/page-me\"");
}
