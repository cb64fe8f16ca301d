/* test_expect.c - what a test expects, and what it says where that did not come (GRAMMAR.md 5). */
#include "policy/test_inside.h"
#include "policy/words.h"

#include <string.h>

#include "smtp/replies.h"

enum { SAID_MAX_BYTES = 4096 };

/* Arguments of `reject` and the like in expectations.def, and of `count`, `tag`, `header`. */
enum { WANTED_CODE, WANTED_PHASE, WANTED_BY, WANTED_TEXT };
enum { WANTED_NAME, WANTED_VALUE };

static const enum expectation_kind EXPECTATION_OF[] = {
    [POLICY_GO_ON] = EXPECTATION_ACCEPT, [POLICY_REJECT] = EXPECTATION_REJECT,
    [POLICY_DEFER] = EXPECTATION_DEFER,  [POLICY_DISCONNECT] = EXPECTATION_DISCONNECT,
    [POLICY_DROP] = EXPECTATION_DROP,    [POLICY_BAN] = EXPECTATION_BAN,
};

/* What there is to look at, beside the outcome: looked up for the expectation that asks. */
struct sight {
    uint64_t count;        /* of the limit */
    bool has_header;       /* with the value that was wanted */
    struct str its_header; /* the first of that name; ptr NULL: none */
};

/* ---- what refused, or would have ---- */

struct refusal_seen {
    enum policy_verdict verdict;
    enum phase at;
    int code;
    const char *enhanced;
    struct str text, by;
};

static struct refusal_seen seen_result(const struct trial_result *r)
{
    return (struct refusal_seen){r->verdict, r->at, r->code, r->enhanced, str_of(r->text, r->text_len), r->by};
}

/* A wrong password that nobody refused to look at: rules and limits accepted it, the client reads 535. */
static struct refusal_seen seen_last(const struct trial_outcome *outcome)
{
    const struct smtp_reply_row *row = smtp_reply_row(REPLY_AUTH_FAILED);
    if (!outcome->is_wrong_password)
        return seen_result(&outcome->last);
    return (struct refusal_seen){.verdict = POLICY_REJECT,
                                 .at = PHASE_AUTH,
                                 .code = (int)row->code,
                                 .enhanced = row->enhanced,
                                 .text = str_of_z(row->text)};
}

static struct refusal_seen seen_effect(const struct policy_effect *e)
{
    enum policy_verdict verdict = e->kind == POLICY_EFFECT_BAN ? POLICY_BAN : e->verdict;
    return (struct refusal_seen){verdict, e->phase, e->code, e->enhanced, e->text, e->by};
}

static bool contains(struct str s, struct str part)
{
    return part.len == 0 || (s.len && memmem(s.ptr, s.len, part.ptr, part.len));
}

/* Whoever is deferred at connect is answered 421 and sent away (GRAMMAR.md 4): that is a disconnect, too. */
static bool is_verdict(const struct refusal_seen *r, enum expectation_kind wanted)
{
    bool is_sent_away = r->verdict == POLICY_DEFER && r->at == PHASE_CONNECT && r->code == 421;
    return EXPECTATION_OF[r->verdict] == wanted || (is_sent_away && wanted == EXPECTATION_DISCONNECT);
}

static bool is_refused_so(const struct refusal_seen *r, const struct step *step)
{
    const struct value *code = values_arg(&step->values, WANTED_CODE), *phase = values_arg(&step->values, WANTED_PHASE);
    const struct value *by = values_arg(&step->values, WANTED_BY), *text = values_arg(&step->values, WANTED_TEXT);
    return is_verdict(r, step->expectation) && (!code || code->code.reply == r->code) &&
           (!code || !code->code.enhanced.len || str_equal(code->code.enhanced, str_of_z(r->enhanced))) &&
           (!phase || phase->phase == r->at) && (!by || str_equal(by->text, r->by)) &&
           (!text || contains(r->text, text->text));
}

static bool has_effect(const struct trial *t, enum policy_effect_kind kind, const struct step *step)
{
    for (const struct policy_effect *e = t->effects; e; e = e->next) {
        struct refusal_seen seen = seen_effect(e);
        if (e->kind == kind && is_refused_so(&seen, step))
            return true;
    }
    return false;
}

/* What an observed rule or limit would have refused first. NULL: nothing. */
static const struct policy_effect *first_would(const struct trial *t)
{
    const struct policy_effect *e = t->effects;
    while (e && (e->kind != POLICY_EFFECT_WOULD || e->verdict == POLICY_GO_ON))
        e = e->next;
    return e;
}

/* The last one's verdict is that; of a ban, it may also just have begun, whatever was answered. */
static bool is_verdict_met(const struct trial *t, const struct step *step)
{
    struct refusal_seen last = seen_last(&t->outcome);
    if (step->is_would)
        return has_effect(t, POLICY_EFFECT_WOULD, step);
    return is_refused_so(&last, step) ||
           (step->expectation == EXPECTATION_BAN && has_effect(t, POLICY_EFFECT_BAN, step));
}

static bool is_tagged_so(const struct trial *t, const struct step *step)
{
    const struct value *value = values_arg(&step->values, WANTED_VALUE);
    const struct rule_tag *tag = trial_tag(t, values_arg(&step->values, WANTED_NAME)->text);
    return tag && (!value || str_equal(value->text, tag->value));
}

static bool is_met(const struct run *run, const struct step *step, const struct sight *sight)
{
    const struct trial_outcome *outcome = &run->trial->outcome;
    switch (step->expectation) {
    case EXPECTATION_ACCEPT:
        return outcome->accepted == outcome->count;
    case EXPECTATION_ACCEPTED:
        return (int64_t)outcome->accepted * NUMBER_ONE == step->values.items[0].number;
    case EXPECTATION_COUNTED:
        return (int64_t)sight->count * NUMBER_ONE == values_arg(&step->values, WANTED_VALUE)->number;
    case EXPECTATION_TARPIT:
        return (int64_t)trial_tarpit_ms(run->trial) == step->values.items[0].ms;
    case EXPECTATION_TAG:
        return is_tagged_so(run->trial, step);
    case EXPECTATION_HEADER:
        return sight->has_header;
    default:
        return is_verdict_met(run->trial, step);
    }
}

/* ---- what was expected, and what came ---- */

static bool say_text(struct buf *to, const struct value *v)
{
    const char *quote = v->is_quoted ? "\"" : "";
    return buf_printf(to, " %s" PRI_STR "%s", quote, STR_ARG(v->text), quote);
}

static bool say_refusal_wanted(struct buf *to, const struct step *step)
{
    const struct values *values = &step->values;
    const struct value *code = values_arg(values, WANTED_CODE), *phase = values_arg(values, WANTED_PHASE);
    const struct value *by = values_arg(values, WANTED_BY), *text = values_arg(values, WANTED_TEXT);
    struct str enhanced = code ? code->code.enhanced : STR_NONE;
    return (!step->is_would || buf_append_str(to, STR("would "))) &&
           buf_append_str(to, str_of_z(expectation_rows[step->expectation].word)) &&
           (!code || buf_printf(to, " %d", code->code.reply)) &&
           (!enhanced.len || buf_printf(to, " " PRI_STR, STR_ARG(enhanced))) &&
           (!phase || buf_printf(to, " at %s", phase_rows[phase->phase].word)) &&
           (!by || buf_printf(to, " by " PRI_STR, STR_ARG(by->text))) &&
           (!text || buf_printf(to, " \"" PRI_STR "\"", STR_ARG(text->text)));
}

static bool say_wanted(struct buf *to, const struct step *step)
{
    const struct values *values = &step->values;
    const struct value *name = values_arg(values, WANTED_NAME), *value = values_arg(values, WANTED_VALUE);
    const char *word = expectation_rows[step->expectation].word;
    switch (step->expectation) {
    case EXPECTATION_ACCEPT:
        return buf_append_str(to, str_of_z(word));
    case EXPECTATION_ACCEPTED:
        return buf_printf(to, PRI_STR " accepted", STR_ARG(values->items[0].text));
    case EXPECTATION_TARPIT:
        return buf_printf(to, "%s ", word) && words_duration(to, (uint64_t)values->items[0].ms);
    case EXPECTATION_COUNTED:
    case EXPECTATION_TAG:
    case EXPECTATION_HEADER:
        return buf_append_str(to, str_of_z(word)) && say_text(to, name) && (!value || say_text(to, value));
    default:
        return say_refusal_wanted(to, step);
    }
}

static bool say_seen(struct buf *to, const struct refusal_seen *r)
{
    return buf_append_str(to, str_of_z(expectation_rows[EXPECTATION_OF[r->verdict]].word)) &&
           (!r->code || buf_printf(to, " %d", r->code)) &&
           (r->verdict == POLICY_GO_ON || buf_printf(to, " at %s", phase_rows[r->at].word)) &&
           (!r->by.len || buf_printf(to, " by " PRI_STR, STR_ARG(r->by)));
}

/* Which of the results an expectation speaks of: "all of it was accepted" fails at the first that was not. */
static const struct trial_result *result_meant(const struct trial_outcome *outcome, const struct step *step)
{
    return step->expectation == EXPECTATION_ACCEPT ? &outcome->first_refused : &outcome->last;
}

static bool say_got(struct buf *to, const struct run *run, const struct step *step, const struct sight *sight)
{
    const struct trial *t = run->trial;
    const struct policy_effect *would = step->is_would ? first_would(t) : NULL;
    struct refusal_seen seen = would                                     ? seen_effect(would)
                               : step->expectation == EXPECTATION_ACCEPT ? seen_result(&t->outcome.first_refused)
                                                                         : seen_last(&t->outcome);
    switch (step->expectation) {
    case EXPECTATION_COUNTED:
        return buf_printf(to, "%llu", (unsigned long long)sight->count);
    case EXPECTATION_ACCEPTED:
        return buf_printf(to, "%zu accepted", t->outcome.accepted);
    case EXPECTATION_TARPIT:
        return words_duration(to, trial_tarpit_ms(t));
    default:
        return (!would || buf_append_str(to, STR("would "))) && say_seen(to, &seen);
    }
}

static void hint_value(struct run *run, struct str value, const char *without)
{
    if (value.ptr)
        diag_hint(run->d, "its value is \"" PRI_STR "\"", STR_ARG(value));
    else
        diag_hint(run->d, "%s", without);
}

static void hint_reply(struct run *run, const struct step *step)
{
    const struct trial_outcome *outcome = &run->trial->outcome;
    const struct trial_result *r = result_meant(outcome, step);
    if (step->is_would && first_would(run->trial))
        return;
    if (step->expectation == EXPECTATION_ACCEPT && outcome->count > 1)
        diag_hint(run->d, "%zu of %zu were accepted; the first that was not: %d %s %.*s", outcome->accepted,
                  outcome->count, r->code, r->enhanced, (int)r->text_len, r->text);
    else if (r->code)
        diag_hint(run->d, "the reply: %d %s %.*s", r->code, r->enhanced, (int)r->text_len, r->text);
}

static void say_more(struct run *run, const struct step *step, const struct sight *sight)
{
    const struct rule_tag *tag;
    switch (step->expectation) {
    case EXPECTATION_COUNTED:
    case EXPECTATION_ACCEPTED:
    case EXPECTATION_TARPIT:
        break;
    case EXPECTATION_TAG:
        tag = trial_tag(run->trial, values_arg(&step->values, WANTED_NAME)->text);
        hint_value(run, tag ? tag->value : STR_NONE, tag ? "it has no value" : "it does not bear the tag");
        break;
    case EXPECTATION_HEADER:
        hint_value(run, sight->its_header,
                   run->trial->was_taken ? "it has no such header" : "it did not go on to the MTA");
        break;
    default:
        hint_reply(run, step);
        break;
    }
}

static void fail(struct run *run, const struct step *step, const struct sight *sight)
{
    struct buf wanted, got;
    buf_init(&wanted, SAID_MAX_BYTES);
    buf_init(&got, SAID_MAX_BYTES);
    bool is_whole = say_wanted(&wanted, step) && say_got(&got, run, step, sight); /* a longer one is cut */
    (void)is_whole;
    diag_error(run->d, step->at, "test \"" PRI_STR "\": expected " PRI_STR ", got " PRI_STR,
               STR_ARG(run->test->name.text), STR_ARG(buf_str(&wanted)), STR_ARG(buf_str(&got)));
    say_more(run, step, sight);
    buf_fini(&wanted);
    buf_fini(&got);
}

/* ---- an expectation ---- */

/* False: no memory. */
static bool look(struct run *run, const struct step *step, struct sight *sight)
{
    const struct value *name = values_arg(&step->values, WANTED_NAME), *value = values_arg(&step->values, WANTED_VALUE);
    if (step->expectation == EXPECTATION_COUNTED)
        return trial_count(run->trial, name->text, &sight->count);
    if (!run->has_outcome) {
        run->has_outcome = true;
        if (!trial_send(run->trial, 1, 0, NULL))
            return false;
    }
    return step->expectation != EXPECTATION_HEADER ||
           trial_header(run->trial, name->text, value ? value->text : STR_NONE, &sight->has_header, &sight->its_header);
}

bool test_expect(struct run *run, const struct step *step, bool *is_fine)
{
    struct sight sight = {0};
    bool ok = look(run, step, &sight);
    *is_fine = !ok || run->trial->was_stopped || is_met(run, step, &sight);
    if (!*is_fine)
        fail(run, step, &sight);
    return ok;
}
