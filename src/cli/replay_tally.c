/* replay_tally.c - what a replay changes, counted by rule, by user and as a whole. See replay.h. */
#include "cli/replay.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"

enum { TEXTS_MAX_BYTES = 1 << 30 };

bool tally_init(struct tally *t, size_t list_max)
{
    *t = (struct tally){.list_max = list_max};
    map_init(&t->by.by_name, true, false);
    map_init(&t->users.by_name, true, true);
    arena_init(&t->arena, TEXTS_MAX_BYTES);
    t->list = calloc(list_max + 1, sizeof *t->list);
    return t->list != NULL;
}

static void rows_fini(struct tally_rows *rows)
{
    map_fini(&rows->by_name);
    for (size_t i = 0; i < rows->count; i++)
        free(rows->items[i]);
    free(rows->items);
}

void tally_fini(struct tally *t)
{
    rows_fini(&t->by);
    rows_fini(&t->users);
    arena_fini(&t->arena);
    free(t->list);
}

/* ---- rows ---- */

static struct tally_row *row_add(struct tally_rows *rows, struct str name)
{
    if (!GROW(&rows->items, rows->count + 1, &rows->cap, 64))
        return NULL;
    struct tally_row *row = calloc(1, sizeof *row + name.len);
    if (!row)
        return NULL;
    memcpy(row + 1, name.ptr, name.len);
    row->name = str_of((const char *)(row + 1), name.len);
    if (!map_set(&rows->by_name, row->name, row)) {
        free(row);
        return NULL;
    }
    return rows->items[rows->count++] = row;
}

/* NULL: no memory. */
static struct tally_row *row_get(struct tally_rows *rows, struct str name)
{
    struct tally_row *row = map_get(&rows->by_name, name);
    if (row)
        return row;
    if (rows->count < REPLAY_NAMES_MAX || str_equal(name, STR("(others)")))
        return row_add(rows, name);
    return row_get(rows, STR("(others)"));
}

uint64_t tally_row_changes(const struct tally_row *row)
{
    uint64_t n = 0;
    for (int c = TALLY_NEWLY_REFUSED; c <= TALLY_NEWLY_ACCEPTED; c++)
        n += row->mails[c] + row->logins[c] + row->connections[c];
    return n;
}

static int compare(const void *a, const void *b)
{
    const struct tally_row *x = *(struct tally_row *const *)a, *y = *(struct tally_row *const *)b;
    uint64_t of_x = tally_row_changes(x), of_y = tally_row_changes(y);
    if (of_x != of_y)
        return of_x > of_y ? -1 : 1;
    return str_compare(x->name, y->name);
}

void tally_sort(struct tally_rows *rows)
{
    if (rows->count)
        qsort(rows->items, rows->count, sizeof *rows->items, compare);
}

/* ---- mails ---- */

static const char *const NOW_WORDS[] = {
    [POLICY_GO_ON] = "accept",          [POLICY_REJECT] = "reject", [POLICY_DEFER] = "defer",
    [POLICY_DISCONNECT] = "disconnect", [POLICY_DROP] = "drop",     [POLICY_BAN] = "ban",
};

static struct str keep(struct tally *t, struct str s)
{
    if (s.len == 0)
        return STR("");
    struct str copy = arena_copy(&t->arena, s);
    t->is_incomplete = t->is_incomplete || !copy.ptr;
    return copy.ptr ? copy : STR("");
}

static void list(struct tally *t, enum tally_change change, const struct logged *past,
                 const struct replay_outcome *outcome)
{
    bool is_refused = outcome->fate == REPLAY_REFUSED;
    t->changed++;
    if (t->list_count == t->list_max)
        return;
    struct tally_mail *m = &t->list[t->list_count++];
    *m = (struct tally_mail){.change = change,
                             .time_us = past->time_us,
                             .id = keep(t, past->id),
                             .user = keep(t, past->user),
                             .sender = keep(t, past->sender),
                             .recipients = past->accepted + past->refused,
                             .accepted_then = past->verdict == LOGGED_ACCEPT ? past->accepted : 0,
                             .accepted_now = outcome->accepted};
    m->then.verdict = logged_verdict_words[past->verdict];
    m->then.code = past->code;
    m->then.enhanced = keep(t, past->enhanced);
    m->then.text = keep(t, past->text);
    m->then.at = past->by.len ? keep(t, past->at) : STR("");
    m->then.by = keep(t, past->by);
    m->now.verdict = NOW_WORDS[is_refused ? outcome->refusal.verdict : POLICY_GO_ON];
    m->now.at = m->now.by = m->now.text = m->now.enhanced = STR("");
    if (!is_refused)
        return;
    m->now.code = outcome->refusal.code;
    m->now.enhanced = keep(t, str_of_z(outcome->refusal.enhanced));
    m->now.text = keep(t, outcome->refusal.text);
    m->now.at = str_of_z(phase_rows[outcome->refusal.at].word);
    m->now.by = keep(t, outcome->refusal.by);
}

/* ---- events ---- */

static enum tally_change change_of(bool passed_then, bool was_refused_by_us, const struct replay_outcome *outcome)
{
    if (outcome->fate == REPLAY_REFUSED)
        return passed_then ? TALLY_NEWLY_REFUSED : was_refused_by_us ? TALLY_STILL_REFUSED : TALLY_SAME;
    return outcome->fate == REPLAY_PASSED && was_refused_by_us ? TALLY_NEWLY_ACCEPTED : TALLY_SAME;
}

/* Whose doing it is: who refuses now, or who refused then. */
static struct str credited(enum tally_change change, const struct logged *past, const struct replay_outcome *outcome)
{
    struct str by = change == TALLY_NEWLY_ACCEPTED ? past->by : outcome->refusal.by;
    return by.len ? by : STR("(nobody)");
}

static struct str user_of(const struct logged *past)
{
    return past->user.len ? past->user : STR("(no login)");
}

static void count(struct tally *t, enum logged_kind kind, enum tally_change change, const struct logged *past,
                  const struct replay_outcome *outcome)
{
    uint64_t *all = kind == LOGGED_MAIL ? t->changes : kind == LOGGED_AUTH ? t->login_changes : t->connection_changes;
    struct tally_row *rows[] = {row_get(&t->by, credited(change, past, outcome)),
                                kind == LOGGED_CONNECT ? NULL : row_get(&t->users, user_of(past))};
    all[change]++;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (!rows[i]) {
            t->is_incomplete = t->is_incomplete || i == 0 || kind != LOGGED_CONNECT;
            continue;
        }
        uint64_t *of_row = kind == LOGGED_MAIL   ? rows[i]->mails
                           : kind == LOGGED_AUTH ? rows[i]->logins
                                                 : rows[i]->connections;
        of_row[change]++;
    }
}

static void count_mail(struct tally *t, const struct logged *past, const struct replay_outcome *outcome)
{
    bool passed_then = past->verdict == LOGGED_ACCEPT;
    t->mails++;
    if (outcome->fate == REPLAY_GIVEN_UP) {
        t->given_up++;
        return;
    }
    t->left += outcome->fate == REPLAY_LEFT;
    t->then_accepted += passed_then;
    t->then_recipients += passed_then ? past->accepted : 0;
    t->now_accepted += outcome->fate == REPLAY_PASSED;
    t->now_recipients += outcome->accepted;
    enum tally_change change = change_of(passed_then, past->by.len != 0, outcome);
    bool has_other_rcpts = passed_then && outcome->fate == REPLAY_PASSED && outcome->accepted != past->accepted;
    if (has_other_rcpts && outcome->accepted < past->accepted)
        t->fewer++;
    else if (has_other_rcpts)
        t->more++;
    if (change != TALLY_SAME)
        count(t, LOGGED_MAIL, change, past, outcome);
    if (has_other_rcpts || change == TALLY_NEWLY_REFUSED || change == TALLY_NEWLY_ACCEPTED)
        list(t, change, past, outcome);
}

static void count_login(struct tally *t, const struct logged *past, const struct replay_outcome *outcome)
{
    bool was_limited = past->login == LOGGED_LOGIN_LIMITED;
    t->logins++;
    enum tally_change change = change_of(!was_limited, was_limited, outcome);
    if (change != TALLY_SAME)
        count(t, LOGGED_AUTH, change, past, outcome);
}

/* One that was refused then has an event `connect`; one that is refused only now ends with its `close`. */
static void count_connection(struct tally *t, const struct logged *past, const struct replay_outcome *outcome)
{
    bool was_refused = past->kind == LOGGED_CONNECT;
    t->connections++;
    enum tally_change change = change_of(!was_refused, was_refused, outcome);
    if (change != TALLY_SAME)
        count(t, LOGGED_CONNECT, change, past, outcome);
}

void tally_on_event(void *arg, const struct logged *past, const struct replay_outcome *outcome)
{
    struct tally *t = arg;
    if (!t->first_us)
        t->first_us = past->time_us;
    t->last_us = MAX_OF(t->last_us, past->time_us);
    switch (past->kind) {
    case LOGGED_MAIL:
        count_mail(t, past, outcome);
        return;
    case LOGGED_AUTH:
        count_login(t, past, outcome);
        return;
    case LOGGED_CONNECT:
    case LOGGED_CLOSE:
        count_connection(t, past, outcome);
        return;
    }
}
