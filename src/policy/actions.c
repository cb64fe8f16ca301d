/*
 * actions.c - what each action of RULES.md "Rules" does: one function a row of actions.def, for rules and thresholds
 * alike.
 *
 * What came from connect to login lasts for the connection, what came later for the mail (GRAMMAR.md 4). Who is banned
 * is bans.c's, how a header is changed is smtp/header_edit.c's: here it is only noted.
 */
#include "policy/asking.h"

enum {
    EDITS_MAX = 1000,            /* of a mail: a megabyte; each recipient may add one */
    HEADER_LINE_MAX_BYTES = 998, /* RFC 5322 2.1.1, without its CRLF */
};

/* ---- what later rules look at ---- */

static bool is_of_mail(const struct asking *a)
{
    return a->phase >= PHASE_MAIL && a->question->mail;
}

void asking_show_marks(struct asking *a)
{
    const struct policy_case *q = a->question;
    a->context.connection_tags = q->connection->tags;
    a->context.mail_tags = q->mail ? q->mail->tags : NULL;
    a->context.score = q->connection->score + (q->mail ? q->mail->score : 0);
}

/* Set again, a tag has its new value; what connect set is only hidden by that, and there again when TLS begins. False:
 * no memory, and rules that ask for it would go wrong. */
static bool set_tag(struct asking *a, const struct policy_action *action)
{
    struct policy_case *q = a->question;
    struct rule_tag **list = is_of_mail(a) ? &q->mail->tags : &q->connection->tags;
    const struct rule_tag *end = is_of_mail(a) || a->phase == PHASE_CONNECT ? NULL : q->connection->tags_of_connect;
    struct arena *arena = is_of_mail(a) ? q->arena : q->connection_arena;
    struct str value = action->text ? asking_render(a, action->text) : STR_NONE;
    struct rule_tag *tag = *list;
    if (action->text && !value.ptr)
        return false;
    while (tag != end && !str_equal(tag->name, action->name))
        tag = tag->next;
    bool is_new = tag == end;
    if (!is_new && str_equal(tag->value, value))
        return true;
    if (is_new && !(tag = arena_alloc(arena, sizeof *tag)))
        return false;
    if (value.ptr && arena != q->arena && !(value = arena_copy(arena, value)).ptr)
        return false;
    tag->value = value;
    if (is_new) {
        tag->name = action->name;
        tag->next = *list;
        *list = tag;
    }
    if (a->phase == PHASE_CONNECT)
        q->connection->tags_of_connect = q->connection->tags;
    return true;
}

static void add_score(struct asking *a, int64_t millionths)
{
    struct policy_case *q = a->question;
    int64_t *to = is_of_mail(a) ? &q->mail->score : &q->connection->score;
    if (__builtin_add_overflow(*to, millionths, to))
        *to = millionths < 0 ? INT64_MIN / 4 : INT64_MAX / 4; /* the sum of two still is a number */
    if (a->phase == PHASE_CONNECT)
        q->connection->score_of_connect = q->connection->score;
}

/* ---- what becomes of the mail ---- */

static void choose_pool(struct asking *a, struct str pool)
{
    if (is_of_mail(a))
        a->question->mail->pool = pool;
    else
        a->question->connection->pool = pool;
}

/* The text of a header line, in the mail's arena: nothing in it can end the line. ptr NULL: no memory. */
static struct str header_text(struct asking *a, const struct policy_action *action)
{
    struct str text = asking_render(a, action->text);
    char *clean = text.ptr ? arena_alloc(a->question->arena, text.len + 1) : NULL;
    size_t taken = action->name.len + 2, n = 0;
    size_t room = HEADER_LINE_MAX_BYTES - MIN_OF(taken, (size_t)HEADER_LINE_MAX_BYTES);
    if (!clean)
        return STR_NONE;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] >= ' ' && text.ptr[i] != 127)
            clean[n++] = text.ptr[i];
    if (n > room) {
        n = room;
        while (n > 0 && ((unsigned char)clean[n] & 0xc0) == 0x80)
            n--; /* not within a character */
    }
    return str_trim(str_of(clean, n));
}

static bool is_same_edit(const struct policy_edit *a, const struct policy_edit *b)
{
    return a->kind == b->kind && str_equal_nocase(a->name, b->name) && str_equal(a->text, b->text);
}

/* Does what `later` did undo what `earlier` did, or ask for it anew? */
static bool undoes(const struct policy_edit *later, const struct policy_edit *earlier)
{
    bool concerns = earlier->kind == POLICY_EDIT_ADD_MISSING || str_equal_nocase(later->name, earlier->name);
    return later->kind != earlier->kind && concerns;
}

/* What was done already, and not undone since, is not done again: a rule of rcpt that holds for a hundred recipients
 * adds one header. */
static bool edit_header(struct asking *a, const struct policy_edit *edit)
{
    struct policy_edit **end = &a->question->mail->edits;
    size_t count = 0;
    bool is_done = false;
    for (; *end; end = &(*end)->next, count++)
        is_done = is_same_edit(*end, edit) || (is_done && !undoes(*end, edit));
    if (is_done)
        return true;
    struct policy_edit *e = count < EDITS_MAX ? arena_alloc(a->question->arena, sizeof *e) : NULL;
    if (!e)
        return false;
    *e = *edit;
    *end = e;
    return true;
}

static bool add_header(struct asking *a, const struct policy_action *action)
{
    struct policy_edit edit = {.kind = POLICY_EDIT_ADD, .name = action->name, .text = header_text(a, action)};
    return edit.text.ptr && edit_header(a, &edit);
}

/* ---- refusals ---- */

static enum policy_verdict verdict_of(enum action_kind kind)
{
    switch (kind) {
    case ACTION_REJECT:
    case ACTION_QUARANTINE:
        return POLICY_REJECT;
    case ACTION_DEFER:
        return POLICY_DEFER;
    case ACTION_DISCONNECT:
        return POLICY_DISCONNECT;
    case ACTION_DROP:
        return POLICY_DROP;
    case ACTION_BAN:
        return POLICY_BAN;
    default:
        return POLICY_GO_ON;
    }
}

/* What there is to say of an action: its own text, or its actor's words. */
static struct str said(struct asking *a, const struct policy_action *action, struct str words)
{
    return action->text ? asking_render(a, action->text) : words;
}

static struct reply_code reply_of(const struct asking *a, const struct policy_action *action)
{
    struct reply_code fitting = default_reply_code(action->kind, a->phase);
    return (struct reply_code){action->code ? action->code : fitting.code,
                               action->enhanced[0] ? action->enhanced : fitting.enhanced};
}

/* False: no memory for what it says. */
static bool decide(struct asking *a, const struct actor *actor, const struct policy_action *action)
{
    struct policy_answer *answer = a->answer;
    struct reply_code reply = reply_of(a, action);
    answer->verdict = verdict_of(action->kind);
    answer->by = actor->by;
    answer->by_limit = actor->is_limit;
    answer->code = reply.code;
    str_copy_into(answer->enhanced, sizeof answer->enhanced, str_of_z(reply.enhanced));
    if (!reply.code)
        return true;
    answer->text = said(a, action, actor->words);
    return answer->text.ptr != NULL;
}

/* ---- what is written down ---- */

struct str asking_key(struct asking *a, const struct actor *actor)
{
    if (actor->key.ptr)
        return actor->key;
    struct str entity = asking_entity(a, KEY_USER);
    if (!entity.len)
        entity = asking_entity(a, KEY_CLIENT);
    return entity.len ? policy_key_text(entity, a->question->arena) : STR_NONE;
}

static struct policy_effect effect_of(struct asking *a, enum policy_effect_kind kind, const struct actor *actor,
                                      const struct policy_action *action)
{
    return (struct policy_effect){.kind = kind,
                                  .by = actor->by,
                                  .action = str_of_z(action_rows[action->kind].word),
                                  .text = said(a, action, actor->logged),
                                  .phase = a->phase};
}

static void note_log(struct asking *a, const struct actor *actor, const struct policy_action *action)
{
    struct policy_effect e = effect_of(a, actor->is_limit ? POLICY_EFFECT_THRESHOLD : POLICY_EFFECT_LOG, actor, action);
    e.key = actor->key;
    asking_note(a, &e);
}

/* Of `alert NAME`, and of `quarantine`, which names nobody. */
static void note_alert(struct asking *a, const struct actor *actor, const struct policy_action *action)
{
    struct policy_effect e = effect_of(a, POLICY_EFFECT_ALERT, actor, action);
    e.alert = action->kind == ACTION_ALERT ? action->name : STR_NONE;
    e.key = asking_key(a, actor);
    asking_note(a, &e);
}

static void note_would(struct asking *a, const struct actor *actor, const struct policy_action *action)
{
    struct policy_effect e = effect_of(a, POLICY_EFFECT_WOULD, actor, action);
    e.verdict = verdict_of(action->kind);
    e.key = actor->key;
    if (e.verdict != POLICY_GO_ON) {
        struct reply_code reply = reply_of(a, action);
        e.code = reply.code;
        str_copy_into(e.enhanced, sizeof e.enhanced, str_of_z(reply.enhanced));
    }
    asking_note(a, &e);
}

/* ---- all ---- */

enum acted asking_act(struct asking *a, const struct actor *actor, const struct policy_action *action)
{
    bool ok = true;
    if (actor->is_observed) {
        note_would(a, actor, action);
        return ACTED;
    }
    switch (action->kind) {
    case ACTION_ACCEPT:
        break;
    case ACTION_REJECT:
    case ACTION_DEFER:
    case ACTION_DISCONNECT:
    case ACTION_DROP:
        ok = decide(a, actor, action);
        break;
    case ACTION_BAN:
        asking_ban(a, actor, action);
        ok = decide(a, actor, action);
        break;
    case ACTION_QUARANTINE:
        ok = decide(a, actor, action);
        note_alert(a, actor, action);
        break;
    case ACTION_TARPIT:
        a->answer->tarpit_ms = MIN_OF(a->answer->tarpit_ms + action->tarpit_ms, (uint32_t)POLICY_TARPIT_MAX_MS);
        break;
    case ACTION_SCORE:
        add_score(a, action->number);
        break;
    case ACTION_CHARGE:
        if (action->limit && !asking_charge(a, action->limit, (uint32_t)action->number))
            return ACT_WAITS;
        break;
    case ACTION_TAG:
        ok = set_tag(a, action);
        break;
    case ACTION_ADD_HEADER:
        ok = add_header(a, action);
        break;
    case ACTION_REMOVE_HEADER:
        ok = edit_header(a, &(struct policy_edit){.kind = POLICY_EDIT_REMOVE, .name = action->name});
        break;
    case ACTION_ADD_MISSING:
        ok = edit_header(a, &(struct policy_edit){.kind = POLICY_EDIT_ADD_MISSING});
        break;
    case ACTION_RELAY:
        choose_pool(a, action->name);
        break;
    case ACTION_LOG:
        note_log(a, actor, action);
        break;
    case ACTION_ALERT:
        note_alert(a, actor, action);
        break;
    case ACTION_COUNT:
        break;
    }
    if (!ok)
        asking_trouble(a);
    return ok ? ACTED : ACT_TROUBLE;
}
