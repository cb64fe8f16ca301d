/* check_warnings.c - what is allowed, and hardly meant: rules and thresholds that nothing reaches, codes that clients
 * take for something else, what nobody uses. What listeners lay open is check_exposure.c's. */
#include "rules/check_internal.h"

/* ---- rules that are never reached ---- */

/* The rule ends its phase whatever comes. */
static bool always_ends(const struct rule *r)
{
    bool ends = false;
    for (size_t i = 0; i < r->actions.count; i++)
        ends = ends || action_rows[r->actions.items[i].kind].ends;
    return ends && !r->is_broken && !r->if_cond && !r->unless_cond && !r->is_observed && !r->is_disabled;
}

static void warn_unreached(struct checker *c)
{
    const struct rule *end[PHASE_COUNT] = {NULL};
    for (size_t i = 0; i < c->tree->count; i++) {
        const struct statement *s = c->tree->statements[i];
        if (s->kind != STATEMENT_ON || s->is_broken)
            continue;
        for (size_t k = 0; k < s->on.count; k++) {
            const struct rule *r = s->on.rules[k], *before = end[r->phase];
            if (!before && always_ends(r))
                end[r->phase] = r;
            if (!before || r->is_broken || r->is_disabled)
                continue;
            diag_warning(c->d, r->name.at,
                         "rule \"" PRI_STR "\" is never reached: rule \"" PRI_STR "\" always ends %s before it",
                         STR_ARG(r->name.text), STR_ARG(before->name.text), phase_rows[r->phase].word);
            diag_hint(c->d, "move it up, or give the other one a condition");
        }
    }
}

/* ---- codes that clients take for something else ---- */

static bool condition_asks(const struct condition *cond, enum attribute attribute)
{
    bool asks = false;
    for (const struct condition *child = cond ? cond->child : NULL; child && !asks; child = child->next)
        asks = condition_asks(child, attribute);
    const struct operand *sides[] = {cond ? &cond->operand : NULL, cond ? &cond->other : NULL};
    for (size_t i = 0; cond && i < COUNT_OF(sides); i++)
        asks = asks ||
               (cond->kind >= CONDITION_COMPARE && sides[i]->kind == OPERAND_ATTRIBUTE && sides[i]->name.text.len &&
                !sides[i]->resolved.is_tag && sides[i]->resolved.attribute == attribute);
    return asks;
}

/* Is it what it says it is: too many recipients? */
static bool counts_recipients(const struct value *code, const struct rule *r)
{
    return str_equal(code->code.enhanced, STR("4.5.3")) ||
           (r && (condition_asks(r->if_cond, ATTRIBUTE_MAIL_RECIPIENTS) ||
                  condition_asks(r->unless_cond, ATTRIBUTE_MAIL_RECIPIENTS)));
}

static bool is_of_sizes(const struct value *code, const struct rule *r)
{
    static const struct str enhanced[] = {{"5.2.2", 5}, {"5.2.3", 5}, {"5.3.1", 5}, {"5.3.4", 5}}; /* RFC 3463 */
    static const enum attribute sizes[] = {ATTRIBUTE_MAIL_SIZE, ATTRIBUTE_MESSAGE_SIZE, ATTRIBUTE_HEADER_SIZE};
    bool found = false;
    for (size_t i = 0; i < COUNT_OF(enhanced); i++)
        found = found || str_equal(code->code.enhanced, enhanced[i]);
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        found = found || condition_asks(r->if_cond, sizes[i]) || condition_asks(r->unless_cond, sizes[i]);
    return found;
}

/* r: NULL of a threshold. */
static void warn_code(struct checker *c, const struct action *a, enum phase phase, const struct rule *r)
{
    const struct value *code = values_arg(&a->values, 0);
    if ((a->kind != ACTION_REJECT && a->kind != ACTION_DEFER) || !code || code->shape != SHAPE_CODE)
        return;
    const char *phase_word = phase_rows[phase].word;
    unsigned reply = code->code.reply;
    if (reply == 552 && phase == PHASE_RCPT) { /* RFC 5321 4.5.3.1.10 */
        diag_warning(c->d, code->at, "552 at rcpt means too many recipients: servers take it for 452 and try again");
        diag_hint(c->d, "550 is final");
    } else if (reply == 552 && r && !is_of_sizes(code, r)) {
        diag_warning(c->d, code->at, "552 says that the mail is too large, or a mailbox full: some try again");
        diag_hint(c->d, "550 is final");
    } else if (reply == 452 && phase == PHASE_RCPT && !counts_recipients(code, r)) {
        diag_warning(c->d, code->at,
                     "452 at rcpt means too many recipients: servers send the others at once, and this one again");
        diag_hint(c->d, "450 is tried later");
    } else if (reply == 421 && phase > PHASE_CONNECT) { /* RFC 5321 3.8 */
        diag_warning(c->d, code->at, "421 says that the connection is closed, but defer keeps it open");
        diag_hint(c->d, "write disconnect, or another code");
    } else if ((reply == 535 || reply == 534 || reply == 538) &&
               (phase < PHASE_AUTH || phase > PHASE_LOGIN)) { /* RFC 4954 6 */
        diag_warning(c->d, code->at, "%u at %s says that the login failed: mail programs ask for the password again",
                     reply, phase_word);
        diag_hint(c->d, "550 refuses for good");
    } else if ((reply == 500 || reply == 502) && phase == PHASE_HELO) { /* RFC 5321 3.2, 4.1.1.1 */
        diag_warning(c->d, code->at, "%u to EHLO says that it is not known: clients try again with HELO", reply);
        diag_hint(c->d, "550 refuses for good");
    }
}

static void warn_rule_codes(struct checker *c)
{
    for (size_t i = 0; i < c->tree->count; i++) {
        const struct statement *s = c->tree->statements[i];
        for (size_t k = 0; s->kind == STATEMENT_ON && k < s->on.count; k++) {
            const struct rule *r = s->on.rules[k];
            for (size_t n = 0; !s->is_broken && !r->is_broken && !r->is_disabled && n < r->actions.count; n++)
                warn_code(c, &r->actions.items[n], r->phase, r);
        }
    }
}

/* ---- limits ---- */

static bool refuses(const struct actions *actions)
{
    for (size_t i = 0; i < actions->count; i++)
        if (action_rows[actions->items[i].kind].ends)
            return true;
    return false;
}

/* The lowest percentage at which the limit refuses; INT64_MAX: at none. `at 100% defer` is added unless something
 * stands there, or refuses elsewhere. */
static int64_t first_refusal(const struct limit_clause *l)
{
    int64_t lowest = INT64_MAX;
    bool has_100 = false;
    for (size_t i = 0; i < l->threshold_count; i++) {
        const struct threshold_clause *t = &l->thresholds[i];
        has_100 = has_100 || t->percent.percent == 100;
        if (refuses(&t->actions))
            lowest = MIN_OF(lowest, t->percent.percent);
    }
    return lowest == INT64_MAX && !has_100 ? 100 : lowest;
}

static void warn_thresholds(struct checker *c, const struct limit_clause *l, int64_t refusal)
{
    if (unit_rows[l->unit].kind != UNIT_KIND_ADMISSION)
        return;
    for (size_t i = 0; i < l->threshold_count; i++) {
        const struct value *percent = &l->thresholds[i].percent;
        if (percent->percent <= refusal)
            continue;
        diag_warning(c->d, percent->at, "at " PRI_STR " never acts: at %lld%% the limit refuses",
                     STR_ARG(percent->text), (long long)refusal);
        diag_hint(c->d, "what is refused is not counted");
    }
}

/* Nothing in its key belongs to who tries, so whoever tries uses up what the owner has. `client.known` tells them
 * apart. */
static bool locks_owner_out(const struct limit_clause *l, const struct limit_key **user)
{
    *user = NULL;
    for (size_t i = 0; i < l->key_count; i++) {
        enum key key = l->keys[i].key;
        if (key == KEY_USER)
            *user = &l->keys[i];
        else if (key != KEY_LISTENER && key != KEY_GLOBAL)
            return false;
    }
    return *user && unit_rows[l->unit].kind == UNIT_KIND_AUTH && !condition_asks(l->if_cond, ATTRIBUTE_CLIENT_KNOWN) &&
           !condition_asks(l->unless_cond, ATTRIBUTE_CLIENT_KNOWN);
}

/* Of charges each has its own phase, and its own sense. */
static void warn_threshold_codes(struct checker *c, const struct limit_clause *l)
{
    for (size_t i = 0; i < l->threshold_count && l->unit != RULE_UNIT_CHARGES; i++) {
        for (size_t k = 0; k < l->thresholds[i].actions.count; k++) {
            const struct action *a = &l->thresholds[i].actions.items[k];
            warn_code(c, a, unit_rows[l->unit].phase, NULL);
            if (a->kind != ACTION_REJECT || unit_rows[l->unit].kind != UNIT_KIND_AUTH)
                continue;
            diag_warning(c->d, a->at, "reject at auth says that the password is wrong: mail programs forget it");
            diag_hint(c->d, "defer says that it is for now");
        }
    }
}

static void warn_limit(struct checker *c, const struct limit_clause *l)
{
    const struct limit_key *user;
    for (size_t i = 0; i < l->threshold_count; i++)
        if (l->thresholds[i].percent.shape != SHAPE_PERCENT)
            return; /* an unknown parameter */
    int64_t refusal = first_refusal(l);
    warn_thresholds(c, l, refusal);
    warn_threshold_codes(c, l);
    if (refusal == INT64_MAX || !locks_owner_out(l, &user))
        return;
    diag_warning(c->d, user->at, "limit \"" PRI_STR "\" counts %s per user alone: a stranger could lock the owner out",
                 STR_ARG(l->name.text), unit_rows[l->unit].word);
    diag_hint(c->d, "per user, network");
}

static void warn_limits(struct checker *c)
{
    for (size_t i = 0; i < c->tree->count; i++) {
        const struct statement *s = c->tree->statements[i];
        if (s->kind == STATEMENT_LIMIT && !s->is_broken && !s->limit.is_disabled)
            warn_limit(c, &s->limit);
    }
}

/* ---- what nobody uses ---- */

static void warn_unused_of(struct checker *c, enum name_set set)
{
    for (const struct definition *d = c->names[set].first; d; d = d->next) {
        if (d->is_used || d->is_broken || d->progress == WRONG)
            continue;
        diag_warning(c->d, d->name.at, "%s \"" PRI_STR "\" is never used", definition_word(d->kind),
                     STR_ARG(d->name.text));
        if (d->kind == DEFINES_DNSBL)
            diag_hint(c->d, "ask it: if client in " PRI_STR, STR_ARG(d->name.text));
    }
}

static void warn_unused(struct checker *c)
{
    static const enum name_set sets[] = {NAMES_TABLES, NAMES_PARAMETERS, NAMES_ALERTS};
    for (size_t i = 0; i < COUNT_OF(sets); i++)
        warn_unused_of(c, sets[i]);
    for (const struct definition *d = c->names[NAMES_RULES].first; d; d = d->next) {
        if (d->kind != DEFINES_LIMIT || d->is_broken || d->limit->unit != RULE_UNIT_CHARGES || d->charged_at)
            continue;
        diag_warning(c->d, d->name.at, "limit \"" PRI_STR "\" is never used: no rule charges it",
                     STR_ARG(d->name.text));
        diag_hint(c->d, "write charge " PRI_STR " in a rule", STR_ARG(d->name.text));
    }
}

void check_warnings(struct checker *c)
{
    warn_unreached(c);
    warn_rule_codes(c);
    warn_limits(c);
    check_exposure(c);
    if (!c->is_unread) /* it may be just what uses it */
        warn_unused(c);
}
