/* replay_print.c - what a replay came to, as text and as JSON. See replay.h. */
#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "cli/replay.h"
#include "limits/limit.h"
#include "rules/print.h"

enum { ROWS_SHOWN = 40, TEXT_MAX_BYTES = 8192, NOTES_MAX = 32 };

/* ---- words ---- */

/* What a stranger chose is made fit for a terminal. */
static void put(struct str s)
{
    struct buf clean;
    buf_init(&clean, TEXT_MAX_BYTES);
    bool is_whole = print_clean(&clean, s); /* a longer one is cut */
    (void)is_whole;
    fwrite(buf_len(&clean) ? buf_str(&clean).ptr : "", 1, buf_len(&clean), stdout);
    buf_fini(&clean);
}

static const char *time_text(char *to, size_t size, int64_t us)
{
    time_t t = (time_t)(us / 1000000);
    struct tm tm;
    if (!gmtime_r(&t, &tm) || strftime(to, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        *to = '\0';
    return to;
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

#define U(n) ((unsigned long long)(n))

/* ---- notes ---- */

struct notes {
    char lines[NOTES_MAX][4096];
    size_t count;
};

static void note(void *arg, const char *text)
{
    struct notes *notes = arg;
    if (notes->count < NOTES_MAX)
        snprintf(notes->lines[notes->count++], sizeof notes->lines[0], "%s", text);
}

static void make_notes(const struct replay_report *r, struct notes *notes)
{
    char line[512], period[64];
    const struct tally *t = r->tally;
    uint32_t longest_s = replay_longest_period_s(r->policy);
    notes->count = 0;
    if (longest_s) {
        struct str words = limit_duration_text(period, sizeof period, longest_s);
        snprintf(line, sizeof line,
                 "counts begin at zero: in the first " PRI_STR " limits refuse less than the server would have",
                 STR_ARG(words));
        note(notes, line);
    }
    replay_notes(r->policy, note, notes);
    if (t->given_up) {
        snprintf(line, sizeof line, "%llu mail%s given up by the client: nothing came of it, and nothing would",
                 U(t->given_up), t->given_up == 1 ? " was" : "s were");
        note(notes, line);
    }
    if (r->wrong_lines) {
        snprintf(line, sizeof line, "%llu of %llu lines %s no event and passed over", U(r->wrong_lines), U(r->lines),
                 r->wrong_lines == 1 ? "was" : "were");
        note(notes, line);
    }
    if (r->lost_counts) {
        snprintf(line, sizeof line, "%llu counts had to be forgotten for lack of room: limits refused less for them",
                 U(r->lost_counts));
        note(notes, line);
    }
    if (t->is_incomplete)
        note(notes, "there was not enough memory: what is told by rule, by user and by mail is not all");
}

/* ---- text ---- */

static void print_totals(const struct tally *t)
{
    uint64_t decided = t->mails - t->given_up;
    printf("\n%28s %12s\n", "then", "now");
    printf("accepted mails  %12llu %12llu\n", U(t->then_accepted), U(t->now_accepted));
    printf("refused mails   %12llu %12llu\n", U(decided - t->then_accepted), U(decided - t->now_accepted));
    printf("their recipients%12llu %12llu\n", U(t->then_recipients), U(t->now_recipients));
    printf("\nnewly refused: %llu mail%s, %llu login%s, %llu connection%s\n", U(t->changes[TALLY_NEWLY_REFUSED]),
           plural(t->changes[TALLY_NEWLY_REFUSED]), U(t->login_changes[TALLY_NEWLY_REFUSED]),
           plural(t->login_changes[TALLY_NEWLY_REFUSED]), U(t->connection_changes[TALLY_NEWLY_REFUSED]),
           plural(t->connection_changes[TALLY_NEWLY_REFUSED]));
    printf("newly accepted: %llu mail%s, %llu login%s, %llu connection%s\n", U(t->changes[TALLY_NEWLY_ACCEPTED]),
           plural(t->changes[TALLY_NEWLY_ACCEPTED]), U(t->login_changes[TALLY_NEWLY_ACCEPTED]),
           plural(t->login_changes[TALLY_NEWLY_ACCEPTED]), U(t->connection_changes[TALLY_NEWLY_ACCEPTED]),
           plural(t->connection_changes[TALLY_NEWLY_ACCEPTED]));
    if (t->fewer || t->more)
        printf("accepted for fewer recipients: %llu mail%s, for more: %llu\n", U(t->fewer), plural(t->fewer),
               U(t->more));
}

static const char *kind_of(const struct replay_report *r, struct str name)
{
    return replay_is_limit(r->policy, name) ? "limit " : "";
}

static uint64_t sum(const struct tally_row *row, enum tally_change change)
{
    return row->mails[change] + row->logins[change] + row->connections[change];
}

static void print_rows(const struct replay_report *r, const char *head, const struct tally_rows *rows, size_t most,
                       bool is_by)
{
    size_t shown = 0, told = 0;
    for (size_t i = 0; i < rows->count; i++)
        told += is_by || tally_row_changes(rows->items[i]);
    if (told == 0)
        return;
    printf("\n%13s %14s %13s  %s\n", "newly refused", "newly accepted", "still refused", head);
    for (size_t i = 0; i < rows->count && shown < most; i++) {
        const struct tally_row *row = rows->items[i];
        if (!is_by && !tally_row_changes(row))
            continue;
        printf("%13llu %14llu %13llu  %s", U(sum(row, TALLY_NEWLY_REFUSED)), U(sum(row, TALLY_NEWLY_ACCEPTED)),
               U(sum(row, TALLY_STILL_REFUSED)), is_by ? kind_of(r, row->name) : "");
        put(row->name);
        putchar('\n');
        shown++;
    }
    if (shown < told)
        printf("%*s and %zu more%s\n", 44, "", told - shown, is_by ? "" : " (--all)");
}

static void print_verdict(const char *head, const char *verdict, int code, struct str enhanced, struct str text,
                          struct str at, struct str by, const char *recipients)
{
    printf("    %s %s", head, verdict);
    if (by.len) {
        if (code)
            printf(" %d ", code);
        put(enhanced);
        printf(" at ");
        put(at);
        printf(" by ");
        put(by);
        if (text.len) {
            printf(": ");
            put(text);
        }
    }
    printf("%s\n", recipients);
}

static void print_mail(const struct tally_mail *m)
{
    char when[32], then[64] = "", now[64] = "";
    printf("\n  ");
    put(m->id);
    printf(" of %s", time_text(when, sizeof when, m->time_us));
    if (m->user.len) {
        printf(", user ");
        put(m->user);
    }
    printf(", from ");
    put(m->sender.len ? m->sender : STR("<>"));
    putchar('\n');
    if (m->change == TALLY_SAME) {
        snprintf(then, sizeof then, " for %llu of %llu recipients", U(m->accepted_then), U(m->recipients));
        snprintf(now, sizeof now, " for %llu", U(m->accepted_now));
    }
    print_verdict("then:", m->then.verdict, m->then.code, m->then.enhanced, m->then.text, m->then.at, m->then.by, then);
    print_verdict("now: ", m->now.verdict, m->now.code, m->now.enhanced, m->now.text, m->now.at, m->now.by, now);
}

void replay_print(const struct replay_report *r)
{
    static struct notes notes;
    char first[32], last[32];
    struct tally *t = r->tally;
    printf("%llu mail%s", U(t->mails), plural(t->mails));
    if (t->first_us)
        printf(" from %s to %s", time_text(first, sizeof first, t->first_us), time_text(last, sizeof last, t->last_us));
    printf(", decided again by %s\n", r->rules);
    print_totals(t);
    tally_sort(&t->by);
    tally_sort(&t->users);
    print_rows(r, "by", &t->by, ROWS_SHOWN, true);
    print_rows(r, "user", &t->users, r->shows_all_users ? SIZE_MAX : REPLAY_USERS_SHOWN, false);
    if (t->list_count)
        printf("\n%llu mail%s fare%s differently", U(t->changed), plural(t->changed), t->changed == 1 ? "s" : "");
    if (t->list_count && t->list_count < t->changed)
        printf("; the first %zu of them (--list N)", t->list_count);
    if (t->list_count)
        printf(":\n");
    for (size_t i = 0; i < t->list_count; i++)
        print_mail(&t->list[i]);
    make_notes(r, &notes);
    if (notes.count)
        putchar('\n');
    for (size_t i = 0; i < notes.count; i++)
        printf("note: %s\n", notes.lines[i]);
}

/* ---- JSON: what there is no memory for is NULL, and makes all of it NULL ---- */

static json_t *text_json(struct str text)
{
    struct buf clean;
    buf_init(&clean, LOGGED_LINE_MAX_BYTES);
    json_t *made =
        print_clean(&clean, text) ? json_stringn(buf_len(&clean) ? buf_str(&clean).ptr : "", buf_len(&clean)) : NULL;
    buf_fini(&clean);
    return made;
}

static json_t *number_json(uint64_t n)
{
    return json_integer((json_int_t)MIN_OF(n, (uint64_t)INT64_MAX));
}

static json_t *time_json(int64_t us)
{
    char text[32];
    return us ? json_string(time_text(text, sizeof text, us)) : json_null();
}

static json_t *changes_json(const uint64_t changes[TALLY_CHANGES])
{
    return json_pack("{s:o, s:o, s:o}", "newly_refused", number_json(changes[TALLY_NEWLY_REFUSED]), "newly_accepted",
                     number_json(changes[TALLY_NEWLY_ACCEPTED]), "still_refused",
                     number_json(changes[TALLY_STILL_REFUSED]));
}

static json_t *rows_json(const struct tally_rows *rows)
{
    json_t *list = json_array();
    for (size_t i = 0; i < rows->count && list; i++) {
        const struct tally_row *row = rows->items[i];
        json_t *item =
            json_pack("{s:o, s:o, s:o, s:o}", "name", text_json(row->name), "mails", changes_json(row->mails), "logins",
                      changes_json(row->logins), "connections", changes_json(row->connections));
        if (json_array_append_new(list, item) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

#define VERDICT_JSON(v)                                                                                                \
    json_pack("{s:s, s:i, s:o, s:o, s:o, s:o}", "verdict", (v).verdict, "code", (v).code, "enhanced",                  \
              text_json((v).enhanced), "text", text_json((v).text), "at", text_json((v).at), "by", text_json((v).by))

static json_t *mails_json(const struct tally *t)
{
    static const char *const WORDS[] = {[TALLY_SAME] = "other recipients",
                                        [TALLY_NEWLY_REFUSED] = "newly refused",
                                        [TALLY_NEWLY_ACCEPTED] = "newly accepted"};
    json_t *list = json_array();
    for (size_t i = 0; i < t->list_count && list; i++) {
        const struct tally_mail *m = &t->list[i];
        json_t *item = json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "id", text_json(m->id), "time",
                                 time_json(m->time_us), "user", text_json(m->user), "sender", text_json(m->sender),
                                 "change", WORDS[m->change], "recipients", number_json(m->recipients), "accepted_then",
                                 number_json(m->accepted_then), "accepted_now", number_json(m->accepted_now), "then",
                                 VERDICT_JSON(m->then), "now", VERDICT_JSON(m->now));
        if (json_array_append_new(list, item) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *notes_json(const struct replay_report *r)
{
    static struct notes notes;
    json_t *list = json_array();
    make_notes(r, &notes);
    for (size_t i = 0; i < notes.count && list; i++)
        if (json_array_append_new(list, json_string(notes.lines[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

static json_t *totals_json(const struct tally *t, uint64_t accepted, uint64_t recipients)
{
    return json_pack("{s:o, s:o, s:o}", "accepted", number_json(accepted), "refused",
                     number_json(t->mails - t->given_up - accepted), "recipients", number_json(recipients));
}

bool replay_print_json(const struct replay_report *r)
{
    struct tally *t = r->tally;
    tally_sort(&t->by);
    tally_sort(&t->users);
    json_t *all = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "rules",
        text_json(str_of_z(r->rules)), "from", time_json(t->first_us), "to", time_json(t->last_us), "lines",
        number_json(r->lines), "wrong_lines", number_json(r->wrong_lines), "mails", number_json(t->mails), "given_up",
        number_json(t->given_up), "then", totals_json(t, t->then_accepted, t->then_recipients), "now",
        totals_json(t, t->now_accepted, t->now_recipients), "changed", number_json(t->changed), "fewer_recipients",
        number_json(t->fewer), "more_recipients", number_json(t->more), "of_mails", changes_json(t->changes),
        "of_logins", changes_json(t->login_changes), "of_connections", changes_json(t->connection_changes), "by",
        rows_json(&t->by), "users", rows_json(&t->users), "list", mails_json(t), "notes", notes_json(r));
    bool ok = all && json_dumpf(all, stdout, JSON_INDENT(2)) == 0;
    putchar('\n');
    json_decref(all);
    return ok;
}
