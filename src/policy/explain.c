/* explain.c - a trial's phases, rules and limits as lines of text. See explain.h. */
#include "policy/explain.h"

#include "policy/compiled.h"
#include "policy/words.h"

struct teller {
    struct trial *trial;
    struct buf *to;
    bool is_whole; /* everything found its place in `to` */
    bool saw_a_limit;
};

#define TELL(teller, ...) ((teller)->is_whole = (teller)->is_whole && buf_printf((teller)->to, __VA_ARGS__))

static const char *const VERDICTS[] = {
    [POLICY_GO_ON] = "accept",          [POLICY_REJECT] = "reject", [POLICY_DEFER] = "defer",
    [POLICY_DISCONNECT] = "disconnect", [POLICY_DROP] = "drop",     [POLICY_BAN] = "ban",
};

/* ---- phases ---- */

static void on_phase(void *arg, enum phase phase)
{
    struct teller *e = arg;
    const struct trial *t = e->trial;
    const struct trial_settings *set = &t->settings;
    char text[IP_TEXT_MAX];
    switch (phase) {
    case PHASE_CONNECT:
        TELL(e, "connect from " PRI_STR " to " PRI_STR "\n", STR_ARG(ip_format(&set->client, text)),
             STR_ARG(set->listener));
        return;
    case PHASE_HELO:
        TELL(e, "helo " PRI_STR "%s\n", STR_ARG(set->helo), set->is_tls ? ", under TLS" : ", in the clear");
        return;
    case PHASE_AUTH:
    case PHASE_LOGIN:
        TELL(e, "%s " PRI_STR "\n", phase_rows[phase].word, STR_ARG(set->user));
        return;
    case PHASE_MAIL:
        TELL(e, "mail from " PRI_STR ", %llu bytes\n", STR_ARG(t->sender.len ? t->sender : STR("<>")),
             (unsigned long long)set->size_bytes);
        return;
    case PHASE_RCPT:
        TELL(e, "rcpt to " PRI_STR "\n", STR_ARG(t->asked[0]));
        return;
    case PHASE_HEADER:
        TELL(e, "header, %zu bytes, %u line%s\n", t->header->size_bytes, t->header->line_count,
             t->header->line_count == 1 ? "" : "s");
        return;
    case PHASE_MESSAGE:
        TELL(e, "message, %llu bytes\n", (unsigned long long)set->size_bytes);
        return;
    case PHASE_RESULT:
        TELL(e, "result, the server behind takes it\n");
        return;
    default:
        TELL(e, "%s, %zu recipient%s\n", phase_rows[phase].word, t->asked_count, t->asked_count == 1 ? "" : "s");
        return;
    }
}

/* ---- rules ---- */

static void tell_action(struct teller *e, const struct policy_action *action)
{
    e->is_whole = e->is_whole && words_action(e->to, action);
}

static void tell_actions(struct teller *e, const struct policy_rule *rule)
{
    TELL(e, "%s", rule->is_observed ? "would " : "");
    for (size_t i = 0; i < rule->action_count; i++) {
        TELL(e, "%s", i ? ", " : "");
        tell_action(e, &rule->actions[i]);
    }
}

/* ", zen listed": what the lists say that the condition may ask. One behind what decided it need not be asked. */
static void tell_dnsbls(struct teller *e, const struct test_node *condition, const struct eval_context *context)
{
    static const char *const SAID[] = {
        [EVAL_FALSE] = "not listed", [EVAL_TRUE] = "listed", [EVAL_WAIT] = "not asked", [EVAL_FAILED] = "no answer"};
    size_t count;
    const struct policy_dnsbl *dnsbls = policy_dnsbls(e->trial->engine.policy, &count);
    uint64_t asked = condition ? eval_dnsbls(condition) : 0;
    for (unsigned i = 0; i < count && context->outside; i++)
        if (asked >> i & 1)
            TELL(e, ", %s %s", dnsbls[i].zone.name, SAID[context->outside->listed(context->outside, i)]);
}

/* " (authenticated false, rcpt.domain example.net)"; nothing, where nothing is looked at. */
static void tell_values(struct teller *e, const struct test_node *condition, const struct eval_context *context)
{
    size_t before = buf_len(e->to);
    TELL(e, " (");
    size_t values = buf_len(e->to);
    e->is_whole = e->is_whole && eval_values(condition, context, e->to);
    tell_dnsbls(e, condition, context);
    if (e->is_whole && buf_len(e->to) == values)
        buf_truncate(e->to, before);
    else
        TELL(e, ")");
}

static void on_rule(void *arg, enum phase phase, const struct policy_rule *rule, enum eval_result result,
                    const struct eval_context *context)
{
    struct teller *e = arg;
    (void)phase;
    TELL(e, "  rule " PRI_STR ": ", STR_ARG(rule->name));
    if (result == EVAL_TRUE)
        tell_actions(e, rule);
    else
        TELL(e, result == EVAL_FAILED ? "passed over, a lookup failed" : "does not hold");
    tell_values(e, rule->condition, context);
    TELL(e, "\n");
}

/* ---- limits ---- */

/* What the thresholds do that the count has passed. */
static void tell_passed(struct teller *e, const struct reservation *r, size_t reading)
{
    for (size_t i = 0; i < r->passed_count; i++) {
        const struct passed *p = &r->passed[i];
        const struct policy_actions *actions = p->threshold->actions;
        if (p->reading != reading)
            continue;
        TELL(e, "    at %u%%: %s", p->threshold->percent, p->observed ? "would " : "");
        for (size_t k = 0; k < actions->count; k++) {
            TELL(e, "%s", k ? ", " : "");
            tell_action(e, &actions->items[k]);
        }
        TELL(e, "\n");
    }
}

static void tell_reading(struct teller *e, const struct reading *reading)
{
    char text[256];
    struct str key = policy_key_text(reading->entity, &e->trial->arena);
    e->is_whole = e->is_whole && key.ptr;
    TELL(e, "  limit " PRI_STR ": " PRI_STR " (" PRI_STR ")\n", STR_ARG(reading->limit->name),
         STR_ARG(limiter_reading_text(reading, text, sizeof text)), STR_ARG(key));
}

/* A part of its key that is not known, if that is why. */
static const char *unknown_key(const struct policy_limit *l, const struct facts *facts)
{
    for (size_t k = 0; k < l->key_count; k++) {
        struct str word = str_of_z(key_rows[l->keys[k]].word);
        for (int a = 0; a < ATTRIBUTE_COUNT; a++) {
            struct fact x;
            if (!str_equal(str_of_z(attribute_rows[a].name), word))
                continue;
            facts->get(facts, a, STR_NONE, &x);
            if (x.kind == FACT_NONE)
                return attribute_rows[a].name;
        }
    }
    return NULL;
}

static void tell_passed_over(struct teller *e, const struct policy_limit *l, const struct policy_case *question)
{
    const char *key = unknown_key(l, &question->facts);
    struct eval_context context = {.facts = &question->facts,
                                   .connection_tags = question->connection->tags,
                                   .mail_tags = question->mail ? question->mail->tags : NULL};
    TELL(e, "  limit " PRI_STR ": does not apply", STR_ARG(l->limit.name));
    if (key)
        TELL(e, " (%s none)", key);
    else
        tell_values(e, l->condition, &context);
    TELL(e, "\n");
}

/* What has happened is counted when it happens: of the phase's own limits nothing was asked then. */
static bool is_of_events(const struct reservation *r)
{
    return r && r->reading_count && limit_unit_kind(r->readings[0].limit->unit) == LIMIT_EVENT;
}

static void on_limits(void *arg, enum phase phase, const struct policy_case *question, const struct reservation *r)
{
    struct teller *e = arg;
    const struct policy *policy = e->trial->engine.policy;
    for (size_t i = 0; i < policy->limit_count; i++) {
        const struct policy_limit *l = &policy->limits[i];
        bool applies = false;
        for (size_t k = 0; r && k < r->reading_count; k++)
            if (r->readings[k].limit == &l->limit) {
                tell_reading(e, &r->readings[k]);
                tell_passed(e, r, k);
                applies = e->saw_a_limit = true;
            }
        if (!applies && l->phase == phase && !is_of_events(r))
            tell_passed_over(e, l, question);
    }
}

/* ---- the end ---- */

static bool is_silent(const struct trial *t, const struct trial_result *r)
{
    for (size_t i = 0; i < t->world->listener_count; i++)
        if (r->at == PHASE_CONNECT && str_equal(t->world->listeners[i].name, t->settings.listener))
            return t->world->listeners[i].is_implicit_tls;
    return false;
}

static const char *const BY[] = {[TRIAL_BY_RULE] = "rule", [TRIAL_BY_LIMIT] = "limit", [TRIAL_BY_MILTER] = "milter"};

static void tell_verdict(struct teller *e)
{
    const struct trial *t = e->trial;
    const struct trial_result *r = &t->outcome.last;
    if (r->verdict == POLICY_GO_ON) {
        TELL(e, "verdict: accept\n");
        return;
    }
    TELL(e, "verdict: %s", VERDICTS[r->verdict]);
    if (r->code)
        TELL(e, " %d", r->code);
    TELL(e, " at %s", phase_rows[r->at].word);
    if (r->by.len)
        TELL(e, " by %s " PRI_STR, BY[r->by_what], STR_ARG(r->by));
    TELL(e, "\n");
    if (!r->code || is_silent(t, r))
        TELL(e, "reply:   none, the connection is closed\n");
    else
        TELL(e, "reply:   %d %s %.*s\n", r->code, r->enhanced, (int)r->text_len, r->text);
}

static void tell_edits(struct teller *e)
{
    const struct trial *t = e->trial;
    for (const struct policy_edit *edit = t->was_taken ? t->mail->edits : NULL; edit; edit = edit->next)
        switch (edit->kind) {
        case POLICY_EDIT_ADD:
            TELL(e, "header:  added: " PRI_STR ": " PRI_STR "\n", STR_ARG(edit->name), STR_ARG(edit->text));
            break;
        case POLICY_EDIT_REMOVE:
            TELL(e, "header:  removed: " PRI_STR "\n", STR_ARG(edit->name));
            break;
        case POLICY_EDIT_ADD_MISSING:
            TELL(e, "header:  added where missing: Date, Message-ID, Sender\n");
            break;
        }
}

static void tell_what_else(struct teller *e)
{
    const struct trial *t = e->trial;
    struct str pool = t->mail && t->mail->pool.len ? t->mail->pool : t->connection.pool;
    uint32_t tarpit_ms = trial_tarpit_ms(t);
    if (tarpit_ms) {
        TELL(e, "delay:   ");
        e->is_whole = e->is_whole && words_duration(e->to, tarpit_ms);
        TELL(e, " in all\n");
    }
    tell_edits(e);
    if (t->was_taken && pool.len)
        TELL(e, "relay:   " PRI_STR "\n", STR_ARG(pool));
    if (t->outcome.last.verdict != POLICY_GO_ON && t->messages)
        TELL(e, "note:    the mail goes on to %zu other recipient%s\n", t->accepted_count,
             t->accepted_count == 1 ? "" : "s");
    if (e->saw_a_limit)
        TELL(e,
             "note:    limits count this mail alone, not what a running server has counted: `mailweir limits KEY`\n");
}

bool explain(struct trial *t, enum explained what, struct buf *to)
{
    struct teller teller = {.trial = t, .to = to, .is_whole = true};
    const struct policy_trace trace = {on_phase, on_rule, on_limits, &teller};
    trial_watch(t, &trace);
    bool ok = what == EXPLAIN_MAIL ? trial_send(t, 1, 0, NULL) : trial_connect(t, 1, 0);
    trial_watch(t, NULL);
    tell_verdict(&teller);
    tell_what_else(&teller);
    return ok && teller.is_whole;
}
