/*
 * control.c - see control.h.
 *
 *   accept ─ who? ─▶ line ─▶ JSON ─▶ row ─▶ handler … answer ─▶ next line
 *              └ a stranger: one sentence, closed
 */
#include "admin/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/escape.h"

struct control {
    struct loop *loop;
    const struct control_options *options;
    struct acceptor acceptor;
    struct list peers; /* who was heard of last stands last */
    size_t peer_count;
    struct task tell_empty;
    bool is_listening, is_retiring;
};

/* One connection. */
struct peer {
    struct list node;
    struct control *control;
    struct conn conn;
    struct control_ask ask;
    struct timer ask_deadline;
    json_t *question; /* owned; NULL: nothing is asked */
    bool is_leaving;  /* its last answer is on its way */
};

/* ---- answers ---- */

static struct peer *peer_of(struct control_ask *ask)
{
    return CONTAINER_OF(ask, struct peer, ask);
}

static void peer_free(struct peer *p)
{
    struct control *c = p->control;
    conn_close(&p->conn);
    timer_cancel(&p->ask_deadline);
    if (p->question && p->ask.on_cancel)
        p->ask.on_cancel(&p->ask);
    json_decref(p->question);
    list_remove(&p->node);
    free(p);
    if (--c->peer_count == 0 && c->is_retiring)
        task_defer(c->loop, &c->tell_empty);
}

static void on_left(void *arg)
{
    peer_free(arg);
}

/* Closes as soon as what was said is on its way. */
static void peer_leave(struct peer *p)
{
    if (p->is_leaving)
        return;
    p->is_leaving = true;
    conn_close_when_sent(&p->conn, on_left, p);
}

static int append(const char *text, size_t len, void *arg)
{
    return buf_append(arg, text, len) ? 0 : -1;
}

/* False: it does not fit, or memory is out; nothing was added. */
static bool write_line(struct peer *p, const json_t *answer)
{
    struct buf *out = conn_output(&p->conn);
    size_t before = buf_len(out);
    if (answer && json_dump_callback(answer, append, out, JSON_COMPACT) == 0 && buf_append_char(out, '\n'))
        return true;
    buf_truncate(out, before);
    return false;
}

static void say(struct peer *p, const json_t *answer)
{
    static const struct str SHORT =
        STR("{\"ok\":false,\"error\":\"the answer could not be made: memory is short\",\"again\":true}\n");
    bool is_written = write_line(p, answer) || buf_append_str(conn_output(&p->conn), SHORT);
    conn_flush_later(&p->conn);
    conn_set_deadline(&p->conn, loop_now_ms(p->control->loop) + CONTROL_IDLE_MS);
    if (!is_written || p->control->is_retiring)
        peer_leave(p);
}

static json_t *refusal(const struct err *err, bool again)
{
    json_t *answer = json_pack("{s:b, s:o}", "ok", 0, "error", control_json_of(str_of_z(err->text)));
    bool ok = answer != NULL;
    if (ok && err->hint[0])
        ok = json_object_set_new(answer, "hint", control_json_of(str_of_z(err->hint))) == 0;
    if (ok && again)
        ok = json_object_set_new(answer, "again", json_true()) == 0;
    if (ok)
        return answer;
    json_decref(answer);
    return NULL;
}

static void finish(struct peer *p, json_t *answer)
{
    timer_cancel(&p->ask_deadline);
    json_decref(p->question);
    p->question = NULL;
    p->ask = (struct control_ask){.uid = p->ask.uid};
    say(p, answer);
    json_decref(answer);
    if (!p->is_leaving)
        conn_resume_input(&p->conn);
}

void control_answer(struct control_ask *ask, json_t *answer)
{
    if (answer && json_object_set_new(answer, "ok", json_true()) != 0) {
        json_decref(answer);
        answer = NULL;
    }
    finish(peer_of(ask), answer);
}

void control_answer_no(struct control_ask *ask, json_t *answer)
{
    finish(peer_of(ask), answer);
}

void control_refuse(struct control_ask *ask, const struct err *err, bool again)
{
    finish(peer_of(ask), refusal(err, again));
}

static int64_t ask_ms(const struct control *c)
{
    return c->options->ask_ms ? c->options->ask_ms : CONTROL_ASK_MS;
}

static void on_ask_due(void *arg)
{
    struct peer *p = arg;
    struct err err = {0};
    if (p->ask.on_cancel)
        p->ask.on_cancel(&p->ask);
    err_set(&err, "no answer came within %lld s", (long long)(ask_ms(p->control) / 1000));
    control_refuse(&p->ask, &err, true);
}

/* ---- questions ---- */

static const struct control_row *find_row(const struct control *c, const char *request)
{
    for (size_t i = 0; i < c->options->row_count; i++)
        if (strcmp(c->options->rows[i].request, request) == 0)
            return &c->options->rows[i];
    return NULL;
}

static const struct control_row *understand(struct peer *p, struct str line, struct err *err)
{
    json_error_t why;
    p->question = json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES, &why);
    const char *request = json_string_value(json_object_get(p->question, "request"));
    if (!p->question || !request) {
        err_set(err, p->question ? "that is no question: it has no \"request\"" : "that is no question: %s", why.text);
        err_set_hint(err, "one JSON object a line, such as {\"request\":\"status\"}");
        return NULL;
    }
    const struct control_row *row = find_row(p->control, request);
    if (!row)
        err_set(err, "there is no request \"%.64s\"", request);
    return row;
}

static void hear(struct peer *p, struct str line)
{
    struct control *c = p->control;
    struct err err = {0};
    list_remove(&p->node);
    list_add_last(&c->peers, &p->node);
    const struct control_row *row = understand(p, line, &err);
    p->ask.question = p->question;
    conn_set_deadline(&p->conn, 0);
    timer_start(&p->ask_deadline, loop_now_ms(c->loop) + ask_ms(c));
    conn_pause_input(&p->conn); /* one after the other */
    if (row)
        row->handle(c->options->arg, &p->ask);
    else
        control_refuse(&p->ask, &err, false);
}

static void on_input(struct conn *conn)
{
    struct peer *p = CONTAINER_OF(conn, struct peer, conn);
    struct str waits = conn_input(conn), rest;
    if (p->is_leaving)
        return;
    if (str_find(waits, '\n') < waits.len) {
        struct str line = str_split(waits, '\n', &rest);
        conn_consume(conn, line.len + 1); /* what follows comes again when input is resumed */
        hear(p, line);
    } else if (waits.len >= CONTROL_LINE_MAX_BYTES) {
        struct err err = {0};
        err_set(&err, "a question is one line of at most %d bytes", CONTROL_LINE_MAX_BYTES - 1);
        conn_consume(conn, waits.len);
        control_refuse(&p->ask, &err, false);
        peer_leave(p);
    }
}

static void on_end(struct conn *conn, enum conn_end why)
{
    struct peer *p = CONTAINER_OF(conn, struct peer, conn);
    if (why == CONN_PEER_CLOSED)
        peer_leave(p);
    else
        peer_free(p);
}

static const struct conn_ops OPS = {.on_input = on_input, .on_end = on_end};
static const struct conn_limits LIMITS = {.in_max_bytes = CONTROL_LINE_MAX_BYTES,
                                          .out_max_bytes = CONTROL_ANSWER_MAX_BYTES};

/* ---- who comes ---- */

static bool make_room(struct control *c)
{
    if (c->peer_count < CONTROL_CONNECTIONS_MAX)
        return true;
    LIST_EACH(node, &c->peers)
    {
        struct peer *p = CONTAINER_OF(node, struct peer, node);
        if (p->question)
            continue;
        peer_free(p);
        return true;
    }
    return false;
}

/* NULL: no memory, or too many are being answered. */
static struct peer *peer_new(struct control *c, uid_t uid)
{
    struct peer *p = make_room(c) ? calloc(1, sizeof *p) : NULL;
    if (!p)
        return NULL;
    p->control = c;
    p->ask.uid = uid;
    timer_init(&p->ask_deadline, c->loop, on_ask_due, p);
    list_add_last(&c->peers, &p->node);
    c->peer_count++;
    return p;
}

static bool may_ask(const struct control *c, uid_t uid)
{
    for (size_t i = 0; i < c->options->uid_count; i++)
        if (c->options->uids[i] == uid)
            return true;
    return false;
}

static void turn_away(struct peer *p)
{
    struct err err = {0};
    err_set(&err, "the control socket answers root and the user of the service, not uid %u", (unsigned)p->ask.uid);
    json_t *answer = refusal(&err, false);
    say(p, answer);
    json_decref(answer);
    peer_leave(p);
}

void control_add(struct control *c, int fd, uid_t uid)
{
    struct peer *p = peer_new(c, uid);
    if (!p) {
        close(fd);
        return;
    }
    conn_init_accepted(&p->conn, c->loop, fd, &OPS, &LIMITS);
    conn_set_deadline(&p->conn, loop_now_ms(c->loop) + CONTROL_IDLE_MS);
    if (!may_ask(c, uid))
        turn_away(p);
}

struct conn *control_add_memory(struct control *c)
{
    struct peer *p = peer_new(c, 0);
    if (!p)
        return NULL;
    conn_init_memory(&p->conn, c->loop, &OPS, &LIMITS);
    return &p->conn;
}

size_t control_count(const struct control *c)
{
    return c->peer_count;
}

static void on_accept(void *arg, int fd, const struct ip *peer, uint16_t port)
{
    struct ucred who;
    socklen_t len = sizeof who;
    (void)peer, (void)port; /* a Unix socket's peer has neither */
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0) {
        close(fd);
        return;
    }
    control_add(arg, fd, who.uid);
}

/* ---- life ---- */

static void tell_empty(void *arg)
{
    struct control *c = arg;
    if (c->peer_count == 0 && c->options->on_empty)
        c->options->on_empty(c->options->arg);
}

struct control *control_new(struct loop *l, const struct control_options *options)
{
    struct control *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->loop = l;
    c->options = options;
    list_init(&c->peers);
    task_init(&c->tell_empty, tell_empty, c);
    return c;
}

static void stop_listening(struct control *c)
{
    if (c->is_listening)
        acceptor_stop(&c->acceptor);
    c->is_listening = false;
}

void control_free(struct control **at)
{
    struct control *c = *at;
    if (!c)
        return;
    stop_listening(c);
    LIST_EACH(node, &c->peers)
    peer_free(CONTAINER_OF(node, struct peer, node));
    task_cancel(&c->tell_empty);
    free(c);
    *at = NULL;
}

void control_listen(struct control *c, int fd)
{
    stop_listening(c);
    acceptor_init(&c->acceptor, c->loop, fd, on_accept, c);
    c->is_listening = true;
}

void control_retire(struct control *c)
{
    stop_listening(c);
    c->is_retiring = true;
    if (c->peer_count == 0)
        task_defer(c->loop, &c->tell_empty);
}

/* ---- what a question says, and texts of answers ---- */

struct str control_text(const struct control_ask *ask, const char *member)
{
    const json_t *value = json_object_get(ask->question, member);
    return json_is_string(value) ? str_of(json_string_value(value), json_string_length(value)) : STR_NONE;
}

bool control_need_text(struct control_ask *ask, const char *member, struct str *text)
{
    struct err err = {0};
    *text = control_text(ask, member);
    if (text->len)
        return true;
    err_set(&err, "the request needs a text \"%s\"", member);
    control_refuse(ask, &err, false);
    return false;
}

bool control_flag(const struct control_ask *ask, const char *member)
{
    return json_is_true(json_object_get(ask->question, member));
}

static bool is_clean(struct str text)
{
    return str_is_utf8(text) && !str_has_control(text);
}

json_t *control_json_of(struct str text)
{
    struct buf clean;
    if (is_clean(text))
        return json_stringn(text.len ? text.ptr : "", text.len);
    buf_init(&clean, 4 * text.len + 1);
    json_t *made = escape_text(&clean, text) ? json_stringn(buf_str(&clean).ptr, buf_len(&clean)) : NULL;
    buf_fini(&clean);
    return made;
}

json_t *control_json_of_lines(struct str text)
{
    struct buf clean;
    bool ok = true;
    buf_init(&clean, 4 * text.len + 1);
    while (text.len && ok) {
        bool has_more = str_find(text, '\n') < text.len;
        struct str line = str_split(text, '\n', &text);
        ok = (is_clean(line) ? buf_append_str(&clean, line) : escape_text(&clean, line)) &&
             (!has_more || buf_append_char(&clean, '\n'));
    }
    json_t *made = ok ? json_stringn(buf_len(&clean) ? buf_str(&clean).ptr : "", buf_len(&clean)) : NULL;
    buf_fini(&clean);
    return made;
}

json_t *control_json_of_time(int64_t wall_us)
{
    char text[32];
    time_t t = (time_t)(wall_us / 1000000);
    struct tm tm;
    if (!gmtime_r(&t, &tm) || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        return json_null();
    return json_string(text);
}
