/* test_control.c - the control socket: lines in, lines out, who may ask, and what ends a connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/control.h"
#include "net/conn_memory.h"

struct fixture {
    struct loop loop;
    struct control_options options;
    struct control *control;
    struct control_ask *waiting; /* of "later" */
    unsigned cancelled, emptied;
};

/* ---- requests ---- */

static void say_hello(void *arg, struct control_ask *ask)
{
    struct str name;
    (void)arg;
    if (control_need_text(ask, "name", &name))
        control_answer(ask, json_pack("{s:o, s:b}", "hello", control_json_of(name), "flag", control_flag(ask, "flag")));
}

static void on_cancel(struct control_ask *ask)
{
    struct fixture *f = ask->state;
    f->waiting = NULL;
    f->cancelled++;
}

static void answer_later(void *arg, struct control_ask *ask)
{
    struct fixture *f = arg;
    f->waiting = ask;
    ask->on_cancel = on_cancel;
    ask->state = f;
}

static void refuse(void *arg, struct control_ask *ask)
{
    struct err err = {0};
    (void)arg;
    err_set(&err, "no \"%d\"", 7);
    err_set_hint(&err, "try another");
    control_refuse(ask, &err, control_flag(ask, "again"));
}

static void answer_nothing(void *arg, struct control_ask *ask)
{
    (void)arg;
    control_answer(ask, NULL);
}

static const struct control_row ROWS[] = {
    {"hello", say_hello}, {"later", answer_later}, {"no", refuse}, {"nothing", answer_nothing}};

static void on_empty(void *arg)
{
    struct fixture *f = arg;
    f->emptied++;
}

static int setup(void **state)
{
    static const uid_t ROOT[] = {0};
    struct fixture *f = calloc(1, sizeof *f);
    struct err err;
    assert_non_null(f);
    assert_true(loop_init(&f->loop, &err));
    f->options = (struct control_options){.rows = ROWS,
                                          .row_count = COUNT_OF(ROWS),
                                          .uids = ROOT,
                                          .uid_count = 1,
                                          .ask_ms = 1,
                                          .on_empty = on_empty,
                                          .arg = f};
    f->control = control_new(&f->loop, &f->options);
    assert_non_null(f->control);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    control_free(&f->control);
    loop_fini(&f->loop);
    free(f);
    return 0;
}

/* ---- the far end ---- */

static void deliver(struct fixture *f, struct conn *c, const char *text)
{
    assert_int_equal(conn_memory_deliver(c, str_of_z(text)), strlen(text));
    loop_run_tasks(&f->loop);
}

/* Takes what was said so far; a static buffer. */
static const char *said(struct fixture *f, struct conn *c)
{
    static char text[65536];
    str_copy_into(text, sizeof text, conn_memory_sent(c));
    conn_memory_take(c, strlen(text));
    loop_run_tasks(&f->loop);
    return text;
}

#define HELLO(name) "{\"hello\":\"" name "\",\"flag\":false,\"ok\":true}\n"

static const struct {
    const char *name, *in, *out;
} CONVERSATIONS[] = {
    {"one question", "{\"request\":\"hello\",\"name\":\"a\"}\n", HELLO("a")},
    {"CR before LF", "{\"request\":\"hello\",\"name\":\"a\"}\r\n", HELLO("a")},
    {"two at once", "{\"request\":\"hello\",\"name\":\"a\"}\n{\"request\":\"hello\",\"name\":\"b\"}\n",
     HELLO("a") HELLO("b")},
    {"a flag", "{\"request\":\"hello\",\"name\":\"a\",\"flag\":true}\n",
     "{\"hello\":\"a\",\"flag\":true,\"ok\":true}\n"},
    {"half a line is no question", "{\"request\":\"hello\",\"name\":\"a\"}", ""},
    {"a text is missing", "{\"request\":\"hello\"}\n",
     "{\"ok\":false,\"error\":\"the request needs a text \\\"name\\\"\"}\n"},
    {"a text is a number", "{\"request\":\"hello\",\"name\":7}\n",
     "{\"ok\":false,\"error\":\"the request needs a text \\\"name\\\"\"}\n"},
    {"controls are escaped", "{\"request\":\"hello\",\"name\":\"a\\u001b[1m\"}\n", HELLO("a\\\\x1b[1m")},
    {"a refusal", "{\"request\":\"no\"}\n", "{\"ok\":false,\"error\":\"no \\\"7\\\"\",\"hint\":\"try another\"}\n"},
    {"a refusal for now", "{\"request\":\"no\",\"again\":true}\n",
     "{\"ok\":false,\"error\":\"no \\\"7\\\"\",\"hint\":\"try another\",\"again\":true}\n"},
    {"no memory", "{\"request\":\"nothing\"}\n",
     "{\"ok\":false,\"error\":\"the answer could not be made: memory is short\",\"again\":true}\n"},
    {"unknown", "{\"request\":\"shutdown\"}\n", "{\"ok\":false,\"error\":\"there is no request \\\"shutdown\\\"\"}\n"},
    {"no request", "{}\n",
     "{\"ok\":false,\"error\":\"that is no question: it has no \\\"request\\\"\",\"hint\":\"one JSON object a line, "
     "such "
     "as {\\\"request\\\":\\\"status\\\"}\"}\n"},
    {"a list", "[1]\n",
     "{\"ok\":false,\"error\":\"that is no question: it has no \\\"request\\\"\",\"hint\":\"one JSON object a line, "
     "such "
     "as {\\\"request\\\":\\\"status\\\"}\"}\n"},
    {"a request that is no text", "{\"request\":{}}\n",
     "{\"ok\":false,\"error\":\"that is no question: it has no \\\"request\\\"\",\"hint\":\"one JSON object a line, "
     "such "
     "as {\\\"request\\\":\\\"status\\\"}\"}\n"},
};

static void test_conversations(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(CONVERSATIONS); i++) {
        struct conn *whole = control_add_memory(f->control), *split = control_add_memory(f->control);
        deliver(f, whole, CONVERSATIONS[i].in);
        const char *answer = said(f, whole);
        if (strcmp(answer, CONVERSATIONS[i].out) != 0)
            fail_msg("%s: %s", CONVERSATIONS[i].name, answer);
        for (const char *at = CONVERSATIONS[i].in; *at; at++)
            deliver(f, split, (char[]){*at, '\0'});
        assert_string_equal(said(f, split), CONVERSATIONS[i].out);
    }
}

static void test_garbage_is_told_so(void **state)
{
    static const char *const LINES[] = {"\n",
                                        "GET / HTTP/1.1\r\n",
                                        "{\"request\":\"hello\"",
                                        "\xff\xfe\n",
                                        "{\"request\":\"hello\",\"request\":\"no\"}\n",
                                        "{\"a\":\"\\u0000\"}\n"};
    struct fixture *f = *state;
    struct conn *c = control_add_memory(f->control);
    for (size_t i = 0; i < COUNT_OF(LINES); i++) {
        deliver(f, c, LINES[i]);
        if (!strchr(LINES[i], '\n'))
            deliver(f, c, "\n");
        const char *answer = said(f, c);
        assert_ptr_equal(strstr(answer, "{\"ok\":false,\"error\":\"that is no question: "), answer);
    }
    deliver(f, c, "{\"request\":\"hello\",\"name\":\"a\"}\n");
    assert_string_equal(said(f, c), HELLO("a"));
}

static void test_a_line_without_end(void **state)
{
    struct fixture *f = *state;
    struct conn *c = control_add_memory(f->control);
    static char long_line[CONTROL_LINE_MAX_BYTES + 1];
    memset(long_line, 'x', sizeof long_line - 1);
    assert_int_equal(conn_memory_deliver(c, str_of_z(long_line)), CONTROL_LINE_MAX_BYTES);
    loop_run_tasks(&f->loop);
    assert_string_equal(said(f, c), "{\"ok\":false,\"error\":\"a question is one line of at most 16383 bytes\"}\n");
    assert_int_equal(control_count(f->control), 0); /* it is closed */
}

/* ---- answers that come later ---- */

static void test_later(void **state)
{
    struct fixture *f = *state;
    struct conn *c = control_add_memory(f->control);
    deliver(f, c, "{\"request\":\"later\"}\n{\"request\":\"hello\",\"name\":\"b\"}\n");
    assert_string_equal(said(f, c), "");
    assert_non_null(f->waiting);
    control_answer(f->waiting, json_pack("{s:i}", "n", 1));
    loop_run_tasks(&f->loop);
    assert_string_equal(said(f, c), "{\"n\":1,\"ok\":true}\n" HELLO("b")); /* in order */
    assert_int_equal(f->cancelled, 0);
}

static void test_later_than_anybody_waits(void **state)
{
    struct fixture *f = *state;
    struct conn *c = control_add_memory(f->control);
    deliver(f, c, "{\"request\":\"later\"}\n");
    while (f->cancelled == 0)
        loop_run_once(&f->loop, 100);
    assert_string_equal(said(f, c), "{\"ok\":false,\"error\":\"no answer came within 0 s\",\"again\":true}\n");
    assert_null(f->waiting);
    deliver(f, c, "{\"request\":\"hello\",\"name\":\"b\"}\n");
    assert_string_equal(said(f, c), HELLO("b"));
}

static void test_the_end_cancels(void **state)
{
    struct fixture *f = *state;
    struct conn *c = control_add_memory(f->control);
    deliver(f, c, "{\"request\":\"later\"}\n");
    control_free(&f->control);
    assert_int_equal(f->cancelled, 1);
}

static void test_who_closes_still_gets_his_answer(void **state)
{
    struct fixture *f = *state;
    struct conn *c = control_add_memory(f->control);
    deliver(f, c, "{\"request\":\"later\"}\n");
    conn_memory_close(c);
    loop_run_tasks(&f->loop);
    assert_non_null(f->waiting);
    control_answer(f->waiting, json_object());
    loop_run_tasks(&f->loop);
    assert_string_equal(said(f, c), "{\"ok\":true}\n");
}

/* ---- ends ---- */

static void test_idle_ones_are_closed(void **state)
{
    struct fixture *f = *state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    loop_run_once(&f->loop, 0);
    control_add(f->control, pair[0], 0);
    control_retire(f->control);
    loop_run_tasks(&f->loop);
    assert_int_equal(f->emptied, 0); /* he may still ask */
    close(pair[1]);
    while (f->emptied == 0)
        loop_run_once(&f->loop, 100);
    assert_int_equal(f->emptied, 1);
}

static void test_retired_answers_once_more(void **state)
{
    struct fixture *f = *state;
    struct conn *c = control_add_memory(f->control);
    deliver(f, c, "{\"request\":\"later\"}\n");
    control_retire(f->control);
    control_answer(f->waiting, json_object());
    loop_run_tasks(&f->loop);
    assert_string_equal(said(f, c), "{\"ok\":true}\n");
    loop_run_tasks(&f->loop);
    assert_int_equal(f->emptied, 1);
}

static void test_retired_without_anybody(void **state)
{
    struct fixture *f = *state;
    control_retire(f->control);
    assert_int_equal(f->emptied, 0); /* never from inside */
    loop_run_tasks(&f->loop);
    assert_int_equal(f->emptied, 1);
}

static void test_strangers_read_why(void **state)
{
    struct fixture *f = *state;
    char text[256];
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(write(pair[1], "{\"request\":\"later\"}\n", 20), 20);
    control_add(f->control, pair[0], 4711);
    ssize_t n;
    while ((n = read(pair[1], text, sizeof text - 1)) < 0)
        loop_run_once(&f->loop, 100);
    text[MAX_OF(n, 0)] = '\0';
    assert_string_equal(text, "{\"ok\":false,\"error\":\"the control socket answers root and the user of the service, "
                              "not uid 4711\"}\n");
    while ((n = read(pair[1], text, sizeof text)) < 0)
        loop_run_once(&f->loop, 100);
    assert_int_equal(n, 0);
    assert_null(f->waiting);
    close(pair[1]);
}

static void test_the_idle_give_way(void **state)
{
    struct fixture *f = *state;
    struct conn *busy = control_add_memory(f->control), *idle = control_add_memory(f->control);
    deliver(f, busy, "{\"request\":\"later\"}\n");
    (void)idle;
    for (int i = 2; i < CONTROL_CONNECTIONS_MAX + 50; i++) { /* busy is the oldest, but is being answered */
        struct conn *c = control_add_memory(f->control);
        assert_non_null(c);
        deliver(f, c, "{\"request\":\"hello\",\"name\":\"a\"}\n");
        assert_string_equal(said(f, c), HELLO("a"));
    }
    assert_int_equal(f->cancelled, 0);
    control_answer(f->waiting, json_object());
    assert_string_equal(said(f, busy), "{\"ok\":true}\n");
}

static void test_too_many_at_once(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < CONTROL_CONNECTIONS_MAX; i++)
        deliver(f, control_add_memory(f->control), "{\"request\":\"later\"}\n");
    assert_null(control_add_memory(f->control));
}

/* ---- texts ---- */

static void test_texts(void **state)
{
    static const struct {
        struct str in;
        const char *out, *lines;
    } CASES[] = {
        {STR("plain \\ text"), "plain \\ text", "plain \\ text"},
        {STR("a\nb"), "a\\x0ab", "a\nb"},
        {STR("a\n\n"), "a\\x0a\\x0a", "a\n\n"},
        {STR("\x1b[1m\xff"), "\\x1b[1m\\xff", "\\x1b[1m\\xff"},
        {STR("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {STR(""), "", ""},
        {STR_NONE, "", ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        json_t *text = control_json_of(CASES[i].in), *lines = control_json_of_lines(CASES[i].in);
        assert_string_equal(json_string_value(text), CASES[i].out);
        assert_string_equal(json_string_value(lines), CASES[i].lines);
        json_decref(text);
        json_decref(lines);
    }
    json_t *time = control_json_of_time(INT64_C(1764145045123456));
    assert_string_equal(json_string_value(time), "2025-11-26T08:17:25Z");
    json_decref(time);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_conversations),
        CASE(test_garbage_is_told_so),
        CASE(test_a_line_without_end),
        CASE(test_later),
        CASE(test_later_than_anybody_waits),
        CASE(test_the_end_cancels),
        CASE(test_who_closes_still_gets_his_answer),
        CASE(test_idle_ones_are_closed),
        CASE(test_retired_answers_once_more),
        CASE(test_retired_without_anybody),
        CASE(test_strangers_read_why),
        CASE(test_the_idle_give_way),
        CASE(test_too_many_at_once),
        CASE(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
