// uses: policy
/*
 * fuzz_replay.c - event logs. Promises held: a line is read, ignored or wrong, whatever it holds; what was read decides
 * again without a fault, in whatever order lines come; every mail is told of exactly once; nothing that `explain
 * --event` shows of a line would move a terminal's cursor.
 *
 * The input is a log.
 */
#include <stdlib.h>

#include "../unit/policy_of_text.h"
#include "base/escape.h"
#include "base/json.h"
#include "base/panic.h"
#include "policy/past.h"
#include "policy/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES_MAX = 64 };

static const char RULES[] =
    "milter m 127.0.0.1:1\n"
    "table local domains { example.org }\n"
    "limit a per user count recipients { 3/1h, 9/1d }\n"
    "limit b per user, client count guesses { 2/1h }\n"
    "limit c per client count open-connections { 2 }\n"
    "limit d per client count connections { 5/1m }\n"
    "limit e per client count unknown-recipients { 2/1h  at 100% disconnect }\n"
    "limit f per user count distinct-recipients { 9/1h }\n"
    "limit g per rcpt count bytes { 50K/1h }\n"
    "limit h per client count refusals { 4/1h  at 100% ban client 1h }\n"
    "on connect {\n rule ca reject if client in 203.0.113.0/24\n}\n"
    "on helo {\n rule ha tag seen \"${helo}\", score 1 if helo like \"*.example\"\n}\n"
    "on login {\n rule la reject if user.domain under example.com\n}\n"
    "on mail {\n rule ma disconnect if sender.null and session.messages > 1\n}\n"
    "on rcpt {\n rule ra reject unless authenticated or rcpt.domain in local\n}\n"
    "on header {\n rule hb reject if header.from matches '^x' or header[\"Message-ID\"] is none\n}\n"
    "on message {\n rule mb defer if message.size > 100000 and milter[\"m\"] != \"accept\"\n}\n"
    "on result {\n rule rb log \"${result.text}\" if result.code >= 400 and now in 08:00-18:00\n}\n";

static const struct trial_listener LISTENERS[] = {{{"submission", 10}, false}};
static struct policy *policy;

static void compile(void)
{
    char why[256];
    policy = policy_of_text(RULES, why, sizeof why);
    PANIC_IF(!policy, "%s", why);
}

static size_t told;

static void on_event(void *arg, const struct logged *past, const struct replay_outcome *outcome)
{
    (void)arg;
    told += past->kind == LOGGED_MAIL;
    PANIC_IF(outcome->fate == REPLAY_REFUSED && outcome->refusal.verdict == POLICY_GO_ON, "refused by nothing");
    PANIC_IF(outcome->fate != REPLAY_PASSED && outcome->accepted, "not passed, and accepted");
}

/* What is written as our events are written is read as it was. */
static void check_text(struct str text)
{
    struct buf raw;
    buf_init(&raw, LOGGED_LINE_MAX_BYTES * 6);
    if (str_is_utf8(text) && text.len && escape_json(&raw, text)) {
        char *copy = str_copy_z(buf_str(&raw));
        PANIC_IF(copy && !str_equal(json_unescape(copy, buf_len(&raw)), text), "another text");
        free(copy);
    }
    buf_fini(&raw);
}

static struct logged *read_line(struct str line)
{
    struct logged *past = NULL;
    struct err err = {0};
    enum logged_result result = logged_read(line, &past, &err);
    PANIC_IF((result == LOGGED_READ) != (past != NULL), "read, and not there");
    PANIC_IF((result == LOGGED_WRONG) != (err.text[0] != '\0'), "wrong without a reason");
    if (past) {
        check_text(past->user);
        check_text(past->relay_text);
        PANIC_IF(past->opened_us > past->time_us, "it ends before it begins");
    }
    return past;
}

static void check_clean(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        PANIC_IF((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 127, "a control character");
}

/* As explain does. */
static void check_past(struct str line)
{
    struct logged *event;
    struct past p;
    if (logged_read(line, &event, NULL) != LOGGED_READ)
        return;
    PANIC_IF(!past_init(&p, event), "no memory");
    const struct str texts[] = {event->id,       event->at,         event->by,       event->text,
                                event->enhanced, event->helo,       event->user,     event->sender,
                                event->from,     event->message_id, event->listener, event->name};
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        check_clean(texts[i]);
    for (size_t i = 0; i < p.rcpt_count; i++)
        check_clean(p.rcpts[i]);
    for (size_t i = 0; i < p.limits.count; i++) {
        check_clean(p.limits.items[i].name);
        check_clean(p.limits.items[i].key);
    }
    past_fini(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!policy)
        compile();
    const struct trial_world world = {.policy = policy,
                                      .node = STR("mx"),
                                      .listeners = LISTENERS,
                                      .listener_count = 1,
                                      .ipv4_prefix = 24,
                                      .ipv6_prefix = 56};
    const struct replay_options options = {
        .world = &world, .store_entries = 1024, .longest_us = 3600000000, .on_event = on_event};
    struct replay *r = NULL;
    size_t mails = 0, lines = 0;
    told = 0;
    for (struct str rest = str_of((const char *)data, size); rest.len && lines < LINES_MAX; lines++) {
        struct str line = str_split(rest, '\n', &rest);
        check_past(line);
        struct logged *past = read_line(line);
        if (!past)
            continue;
        mails += past->kind == LOGGED_MAIL;
        r = r ? r : replay_new(&options);
        PANIC_IF(!r || !replay_add(r, past), "no memory");
    }
    if (r) {
        PANIC_IF(!replay_end(r), "no memory");
        PANIC_IF(told != mails, "a mail that nobody was told of");
    }
    replay_free(&r);
    return 0;
}
