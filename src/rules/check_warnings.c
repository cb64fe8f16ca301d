/* check_warnings.c - what is allowed, and hardly meant. */
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
            if (before && !r->is_broken && !r->is_disabled)
                diag_warning(c->d, r->name.at,
                             "rule \"" PRI_STR "\" is never reached: rule \"" PRI_STR "\" always ends %s before it",
                             STR_ARG(r->name.text), STR_ARG(before->name.text), phase_rows[r->phase].word);
            else if (!before && always_ends(r))
                end[r->phase] = r;
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

/* The lowest percentage at which the limit refuses. `at 100% defer` is added unless something stands there, or refuses
 * elsewhere. */
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

static void warn_thresholds(struct checker *c, const struct limit_clause *l)
{
    for (size_t i = 0; i < l->threshold_count; i++)
        if (l->thresholds[i].percent.shape != SHAPE_PERCENT)
            return; /* an unknown parameter */
    int64_t refusal = first_refusal(l);
    if (unit_rows[l->unit].kind != UNIT_KIND_ADMISSION)
        return;
    for (size_t i = 0; i < l->threshold_count; i++) {
        const struct value *percent = &l->thresholds[i].percent;
        if (percent->percent > refusal)
            diag_warning(c->d, percent->at, "at " PRI_STR " never acts: at %lld%% the limit refuses",
                         STR_ARG(percent->text), (long long)refusal);
    }
}

static void warn_limit(struct checker *c, const struct limit_clause *l)
{
    warn_thresholds(c, l);
    if (unit_rows[l->unit].kind == UNIT_KIND_AUTH && l->key_count == 1 && l->keys[0].key == KEY_USER)
        diag_warning(c->d, l->keys[0].at,
                     "limit \"" PRI_STR "\" counts %s per user alone: a stranger could lock the owner out",
                     STR_ARG(l->name.text), unit_rows[l->unit].word);
}

/* ---- what nobody uses ---- */

static void warn_unused(struct checker *c)
{
    for (const struct definition *d = c->names[NAMES_TABLES].first; d; d = d->next)
        if (!d->is_used && !d->is_broken)
            diag_warning(c->d, d->name.at, "%s \"" PRI_STR "\" is never used",
                         d->kind == DEFINES_TABLE ? "table" : "dnsbl", STR_ARG(d->name.text));
    for (const struct definition *d = c->names[NAMES_RULES].first; d; d = d->next)
        if (d->kind == DEFINES_LIMIT && !d->is_broken && d->limit->unit == RULE_UNIT_CHARGES && !d->charged_at)
            diag_warning(c->d, d->name.at, "limit \"" PRI_STR "\" is never used: no rule charges it",
                         STR_ARG(d->name.text));
}

void check_warnings(struct checker *c)
{
    warn_unreached(c);
    for (size_t i = 0; i < c->tree->count; i++)
        if (c->tree->statements[i]->kind == STATEMENT_LIMIT && !c->tree->statements[i]->is_broken)
            warn_limit(c, &c->tree->statements[i]->limit);
    warn_unused(c);
}
