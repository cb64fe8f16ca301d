/* explain_past.c - `mailweir explain --event ID`: the event in the log, and what it says beside what is so now. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/explain.h"

/* ---- finding it ---- */

enum { MAILS_SHOWN = 5, PATH_MAX_BYTES = 4096 };

struct search {
    const char *id;
    char exact[128], prefix[128]; /* "id":"6N2-1" and "id":"6N2-1- : how an event line has it (stats/event.c) */
    struct past *past;            /* has its event once it is found */
    bool is_other;                /* the id is that of something else */
    char mails[MAILS_SHOWN][64];
    size_t mail_count;
    struct err *err;
};

static bool contains(struct str line, const char *part)
{
    return memmem(line.ptr, line.len, part, strlen(part)) != NULL;
}

/* The id of a connection was given: which mails has it? */
static void note_mail(struct search *s, struct str line)
{
    const char *at = memmem(line.ptr, line.len, s->prefix, strlen(s->prefix));
    struct str id = str_from(line, (size_t)(at - line.ptr) + strlen("\"id\":\""));
    id.len = str_find(id, '"');
    if (s->mail_count && str_equal(str_of_z(s->mails[s->mail_count - 1]), id))
        return;
    if (s->mail_count < MAILS_SHOWN)
        str_copy_into(s->mails[s->mail_count++], sizeof s->mails[0], id);
}

/* False: err. */
static bool look_at(struct search *s, struct str line, const char *path, size_t number)
{
    struct err err = {0};
    if (contains(line, s->prefix))
        note_mail(s, line);
    if (s->past->event || !contains(line, s->exact))
        return true;
    struct logged *event;
    enum logged_result result = logged_read(line, &event, &err);
    bool is_decided = event && (event->kind == LOGGED_MAIL || event->kind == LOGGED_CONNECT);
    if (is_decided && str_equal(event->id, str_of_z(s->id)))
        return past_init(s->past, event) || err_no_memory(s->err);
    s->is_other |= !is_decided;
    free(event);
    if (result == LOGGED_NO_MEMORY)
        return err_no_memory(s->err);
    return result != LOGGED_WRONG || err_set(s->err, "%s:%zu: %s", path, number, err.text);
}

/* False: err; or there is no such file, and it may be missing. */
static bool search_file(struct search *s, const char *path, bool may_be_missing, bool *is_there)
{
    char *line = NULL;
    size_t cap = 0, number = 0;
    ssize_t len;
    bool ok = true;
    FILE *f = fopen(path, "re");
    *is_there = f != NULL;
    if (!f)
        return (may_be_missing && errno == ENOENT) || err_set(s->err, "cannot read \"%s\": %s", path, strerror(errno));
    while (ok && (len = getline(&line, &cap, f)) > 0)
        ok = look_at(s, str_of(line, (size_t)len), path, ++number);
    if (ok && ferror(f))
        ok = err_set(s->err, "cannot read \"%s\": %s", path, strerror(EIO));
    free(line);
    fclose(f);
    return ok;
}

static bool say_absent(const struct search *s, const char *path, unsigned files)
{
    char list[MAILS_SHOWN * 66] = "";
    size_t len = 0;
    for (size_t i = 0; i < s->mail_count; i++)
        len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", i ? ", " : "", s->mails[i]);
    if (s->mail_count)
        return err_set(s->err, "\"%s\" is a connection; its mails: %s", s->id, list);
    if (s->is_other) {
        err_set(s->err, "\"%s\" is neither a mail nor a connection that was refused", s->id);
        return err_set_hint(s->err, "of a login or a ban the events themselves say all: grep %s %s", s->id, path);
    }
    err_set(s->err, "no event has the id \"%s\" in \"%s\"%s", s->id, path, files > 1 ? " and its older files" : "");
    return err_set_hint(
        s->err,
        "the id of a mail stands in the event log, in its Received line and, if it was taken, in the reply to it; "
        "each node has a log of its own");
}

bool explain_find_past(const struct config *cfg, const char *events, const char *id, struct past *past, struct err *err)
{
    struct search s = {.id = id, .past = past, .err = err};
    const char *first = events ? events : cfg->events.file;
    unsigned n = 0;
    bool is_there = true;
    if (!first) {
        err_set(err, "%s does not write events to a file", cfg->path);
        return err_set_hint(err, "name the file that holds them: --events FILE");
    }
    snprintf(s.exact, sizeof s.exact, "\"id\":\"%s\"", id);
    snprintf(s.prefix, sizeof s.prefix, "\"id\":\"%s-", id);
    for (; is_there && !past->event; n++) {
        char path[PATH_MAX_BYTES];
        int len = n ? snprintf(path, sizeof path, "%s.%u", first, n) : snprintf(path, sizeof path, "%s", first);
        if (len < 0 || (size_t)len >= sizeof path)
            return err_set(err, "the name of the file of events is too long");
        if (!search_file(&s, path, n > 0, &is_there))
            return false;
        if (events) /* this one, and no other */
            break;
    }
    return past->event || say_absent(&s, first, n);
}

/* ---- comparing ---- */

static const enum logged_verdict VERDICTS[] = {
    [POLICY_GO_ON] = LOGGED_ACCEPT,          [POLICY_REJECT] = LOGGED_REJECT, [POLICY_DEFER] = LOGGED_DEFER,
    [POLICY_DISCONNECT] = LOGGED_DISCONNECT, [POLICY_DROP] = LOGGED_DROP,     [POLICY_BAN] = LOGGED_BAN,
};

static void print_then(const struct past *past)
{
    const struct logged *p = past->event;
    printf("then:    %s", logged_verdict_words[p->verdict]);
    if (p->code)
        printf(" %d", p->code);
    if (p->at.len && p->verdict != LOGGED_ACCEPT)
        printf(" at " PRI_STR, STR_ARG(p->at));
    if (p->by.len)
        printf(" by " PRI_STR, STR_ARG(p->by));
    else if (p->relay_code >= 400)
        printf(" by the server behind");
    if (p->kind == LOGGED_MAIL && p->refused && p->accepted)
        printf(", for %llu of %llu recipients", (unsigned long long)p->accepted,
               (unsigned long long)(p->accepted + p->refused));
    putchar('\n');
    if (p->text.len)
        printf("         %d " PRI_STR "%s" PRI_STR "\n", p->code, STR_ARG(p->enhanced), p->enhanced.len ? " " : "",
               STR_ARG(p->text));
    if (p->share_of)
        printf("         Redis was away: the node's share of the limit, one of %llu, was used up, not the limit\n",
               (unsigned long long)p->share_of);
    for (size_t i = 0; i < past->limits.count; i++) {
        const struct logged_limit *c = &past->limits.items[i];
        char period[64];
        struct str words = limit_duration_text(period, sizeof period, c->period_s);
        printf("         limit " PRI_STR " (" PRI_STR "): %llu of %llu per " PRI_STR ", this mail included\n",
               STR_ARG(c->name), STR_ARG(c->key), (unsigned long long)c->used, (unsigned long long)c->limit,
               STR_ARG(words));
    }
}

/* A mail that goes on to some of its recipients is accepted; what is said early at MAIL or RCPT (450) a trial says at
 * data (451). */
static bool is_same(const struct logged *p, const struct trial *t)
{
    const struct trial_result *r = &t->outcome.last;
    enum policy_verdict now = t->was_taken ? POLICY_GO_ON : r->verdict;
    bool is_early = p->code == 450 && r->code == 451 && r->by_what == TRIAL_BY_LIMIT;
    if (p->verdict != VERDICTS[now])
        return false;
    return now == POLICY_GO_ON || ((p->code == r->code || is_early) && str_equal(p->by, r->by));
}

static void print_now(const struct trial *t)
{
    const struct trial_result *r = &t->outcome.last;
    printf("now:     %s", logged_verdict_words[VERDICTS[t->was_taken ? POLICY_GO_ON : r->verdict]]);
    if (!t->was_taken && r->code)
        printf(" %d", r->code);
    if (!t->was_taken && r->verdict != POLICY_GO_ON)
        printf(" at %s%s" PRI_STR, phase_rows[r->at].word, r->by.len ? " by " : "", STR_ARG(r->by));
    putchar('\n');
}

void explain_compare(const struct past *past, const struct trial *t)
{
    const struct logged *p = past->event;
    print_then(past);
    if (is_same(p, t))
        printf("now:     the same\n");
    else if (p->relay_code >= 400 && !p->by.len)
        printf("note:    what the server behind answers is not asked here\n");
    else
        print_now(t);
    if (p->kind == LOGGED_MAIL && past->rcpt_count == 0)
        printf("note:    the log names no recipient; r1@example.net stands for one\n");
    if (p->kind == LOGGED_MAIL && past->rcpt_count < p->accepted + p->refused && past->rcpt_count)
        printf("note:    the log names %zu of its %llu recipients\n", past->rcpt_count,
               (unsigned long long)(p->accepted + p->refused));
    if (!str_equal(t->settings.listener, p->listener))
        printf("note:    there is no listener \"" PRI_STR "\" any more; " PRI_STR " is asked\n", STR_ARG(p->listener),
               STR_ARG(t->settings.listener));
}
