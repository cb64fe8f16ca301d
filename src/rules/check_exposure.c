/*
 * check_exposure.c - what a listener lays open: mail in the clear, and a relay for everybody.
 *
 * Whether rules keep strangers from relaying is found by asking them, without running them: for somebody who has not
 * logged in, comes from nowhere that any table knows, and writes to a recipient that no table knows, is the rule's
 * condition true, false, or may it be either (because of the hour, a score, a sender …)?
 *
 *   reject unless authenticated or rcpt.domain in local-domains   true: it keeps strangers out
 *   drop   if client in zen                                       false: it does not speak of strangers
 *   reject if score > 5 and rcpt not in friends                   either, of recipients: somebody thought of them
 *
 * A rule of the first or the last kind, at whatever phase, and there is no warning. Better none than a wrong one.
 */
#include "rules/check_internal.h"

enum answer { NO, MAYBE, YES };

/* Who asks: the stranger came to this listener. */
struct stranger {
    struct str listener;
    bool of_recipients; /* the condition speaks of the recipient */
};

static enum answer opposite(enum answer a)
{
    return (enum answer)(YES - a);
}

/* ---- conditions ---- */

static bool is_recipient(enum attribute a)
{
    return a == ATTRIBUTE_RCPT || a == ATTRIBUTE_RCPT_LOCAL || a == ATTRIBUTE_RCPT_DOMAIN;
}

/* A stranger has none: every comparison with it is false. */
static bool is_unknown_of_strangers(enum attribute a)
{
    return a == ATTRIBUTE_USER || a == ATTRIBUTE_USER_DOMAIN || a == ATTRIBUTE_TLS_CERTIFICATE;
}

/* Known, and of no value that a configuration names. */
static bool is_foreign(enum attribute a)
{
    return is_recipient(a) || a == ATTRIBUTE_CLIENT || a == ATTRIBUTE_CLIENT_NETWORK;
}

/* Of a comparison of one with something: is_alike: `=`, `in`, `like` …; else `!=`, `not in`. */
static enum answer compare_attribute(struct stranger *s, const struct operand *o, bool is_alike)
{
    if (o->kind != OPERAND_ATTRIBUTE || o->resolved.is_tag) {
        s->of_recipients = s->of_recipients || o->resolved.is_tag; /* who knows what for it was set */
        return MAYBE;
    }
    enum attribute a = o->resolved.attribute;
    s->of_recipients = s->of_recipients || is_recipient(a);
    if (is_unknown_of_strangers(a))
        return NO;
    if (is_foreign(a))
        return is_alike ? NO : YES;
    /* some name a stranger has, and it is not one of ours; without any, both are false */
    return a == ATTRIBUTE_CLIENT_NAME && is_alike ? NO : MAYBE;
}

static bool is_attribute(const struct operand *o, enum attribute a)
{
    return o->kind == OPERAND_ATTRIBUTE && !o->resolved.is_tag && o->resolved.attribute == a;
}

static enum answer ask_compare(struct stranger *s, const struct condition *cond)
{
    const struct operand *left = &cond->operand, *right = &cond->other;
    if (left->kind == OPERAND_VALUE) {
        left = &cond->other;
        right = &cond->operand;
    }
    if (cond->op != OP_EQUAL && cond->op != OP_UNEQUAL)
        return MAYBE;
    bool is_alike = cond->op == OP_EQUAL;
    if (right->kind == OPERAND_VALUE && is_attribute(left, ATTRIBUTE_LISTENER))
        return str_equal_nocase(right->value.text, s->listener) == is_alike ? YES : NO;
    if (right->kind == OPERAND_VALUE && is_attribute(left, ATTRIBUTE_AUTHENTICATED))
        return right->value.truth != is_alike ? YES : NO;
    enum answer one = compare_attribute(s, left, is_alike), other = compare_attribute(s, right, is_alike);
    return one != MAYBE ? one : other;
}

static enum answer ask_in(struct stranger *s, const struct condition *cond)
{
    bool is_in = false;
    if (!is_attribute(&cond->operand, ATTRIBUTE_LISTENER) || cond->in.kind != IN_LIST)
        return compare_attribute(s, &cond->operand, !cond->is_negated);
    for (size_t i = 0; i < cond->in.values.count; i++)
        is_in = is_in || str_equal_nocase(cond->in.values.items[i].text, s->listener);
    return is_in != cond->is_negated ? YES : NO;
}

static enum answer ask_alone(struct stranger *s, const struct operand *o)
{
    if (o->kind == OPERAND_VALUE && o->value.shape == SHAPE_TRUTH)
        return o->value.truth ? YES : NO;
    return is_attribute(o, ATTRIBUTE_AUTHENTICATED) ? NO : compare_attribute(s, o, true);
}

static enum answer ask_none(const struct operand *o)
{
    if (o->kind != OPERAND_ATTRIBUTE || o->resolved.is_tag)
        return MAYBE;
    if (is_unknown_of_strangers(o->resolved.attribute))
        return YES;
    return is_foreign(o->resolved.attribute) ? NO : MAYBE;
}

static enum answer ask(struct stranger *s, const struct condition *cond)
{
    enum answer all = cond->kind == CONDITION_AND ? YES : NO;
    switch (cond->kind) {
    case CONDITION_OR:
    case CONDITION_AND:
        for (const struct condition *child = cond->child; child; child = child->next) {
            enum answer one = ask(s, child);
            all = cond->kind == CONDITION_AND ? MIN_OF(all, one) : MAX_OF(all, one);
        }
        return all;
    case CONDITION_NOT:
        return opposite(ask(s, cond->child));
    case CONDITION_COMPARE:
        return ask_compare(s, cond);
    case CONDITION_IN:
        return ask_in(s, cond);
    case CONDITION_IS_NONE:
        return ask_none(&cond->operand);
    case CONDITION_ALONE:
        return ask_alone(s, &cond->operand);
    default: /* matches, like, contains, under */
        return compare_attribute(s, &cond->operand, true);
    }
}

/* ---- rules ---- */

static bool refuses(const struct rule *r)
{
    for (size_t i = 0; i < r->actions.count; i++)
        if (action_rows[r->actions.items[i].kind].ends && r->actions.items[i].kind != ACTION_ACCEPT)
            return true;
    return false;
}

static bool keeps_out(const struct rule *r, struct str listener)
{
    struct stranger s = {.listener = listener};
    if (!refuses(r) || r->is_observed || r->is_disabled)
        return false;
    enum answer if_true = r->if_cond ? ask(&s, r->if_cond) : YES;
    enum answer unless = r->unless_cond ? opposite(ask(&s, r->unless_cond)) : YES;
    enum answer refused = MIN_OF(if_true, unless);
    return refused == YES || (refused == MAYBE && s.of_recipients);
}

/* What is broken may be the very rule that is missed; without any rule and limit the starter policy holds. */
static bool may_be_open(const struct tree *tree, struct str listener)
{
    bool has_policy = false;
    for (size_t i = 0; i < tree->count; i++) {
        const struct statement *s = tree->statements[i];
        if (s->is_broken && (s->kind == STATEMENT_ON || s->kind == STATEMENT_INCLUDE))
            return false;
        has_policy = has_policy || s->kind == STATEMENT_LIMIT;
        for (size_t k = 0; s->kind == STATEMENT_ON && k < s->on.count; k++) {
            if (s->on.rules[k]->is_broken || keeps_out(s->on.rules[k], listener))
                return false;
            has_policy = true;
        }
    }
    return has_policy;
}

/* ---- listeners ---- */

static bool option_says(const struct statement *s, enum option_kind kind, const char *word)
{
    const struct option *o = options_get(&s->server.options, kind);
    const struct value *v = o ? values_arg(&o->values, 0) : NULL;
    return v && str_equal(v->text, str_of_z(word));
}

static bool is_of_kind(const struct statement *s, const char *kind)
{
    return str_equal(values_arg(&s->server.values, 0)->text, str_of_z(kind));
}

static bool is_on_loopback(const struct statement *s)
{
    bool all = true;
    for (size_t i = 1; i < s->server.values.count; i++) {
        const struct value *v = &s->server.values.items[i];
        all = all && v->shape == SHAPE_ENDPOINT && v->endpoint->kind == ENDPOINT_IP && ip_is_loopback(&v->endpoint->ip);
    }
    return all;
}

static bool has_certificate(const struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        if (tree->statements[i]->kind == STATEMENT_TLS_CERTIFICATE)
            return true;
    return false;
}

/* Without any certificate those that need one are an error (config/server.c); smtp just offers no TLS. */
static void warn_clear(struct checker *c, const struct statement *s, struct str name)
{
    const struct option *tls = options_get(&s->server.options, OPTION_LISTEN_TLS);
    bool is_off = option_says(s, OPTION_LISTEN_TLS, "off");
    if (!is_off &&
        (has_certificate(c->tree) || (tls ? !option_says(s, OPTION_LISTEN_TLS, "optional") : !is_of_kind(s, "smtp"))))
        return;
    diag_warning(c->d, is_off ? values_arg(&tls->values, 0)->at : values_arg(&s->server.values, 0)->at,
                 "listener \"" PRI_STR "\" is without TLS: who listens on the way reads all mail", STR_ARG(name));
    if (is_on_loopback(s))
        diag_hint(c->d, "right as long as nothing but this machine leads to it");
    else
        diag_hint(c->d,
                  is_off ? "write tls optional or required" : "add tls certificate \"chain.pem\" key \"key.pem\"");
}

static void warn_open(struct checker *c, const struct statement *s, struct str name)
{
    const struct option *auth = options_get(&s->server.options, OPTION_LISTEN_AUTH);
    bool asks_login = auth ? option_says(s, OPTION_LISTEN_AUTH, "required") : !is_of_kind(s, "smtp");
    if (asks_login || !may_be_open(c->tree, name))
        return;
    diag_warning(c->d, values_arg(&s->server.values, 0)->at,
                 "listener \"" PRI_STR "\" relays for everybody: no rule says to whom one may write without a login",
                 STR_ARG(name));
    diag_hint(c->d, "on rcpt { rule no-relay reject unless authenticated or rcpt.domain in local-domains }");
}

void check_exposure(struct checker *c)
{
    for (size_t i = 0; i < c->tree->count; i++) {
        const struct statement *s = c->tree->statements[i];
        if (s->kind != STATEMENT_LISTEN || s->is_broken)
            continue;
        const struct option *named = options_get(&s->server.options, OPTION_LISTEN_NAME);
        struct str name = named ? values_arg(&named->values, 0)->text : values_arg(&s->server.values, 0)->text;
        warn_clear(c, s, name);
        warn_open(c, s, name);
    }
}
