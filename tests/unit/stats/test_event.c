/* test_event.c - event lines: to the letter, always JSON whatever a stranger sends, and never a wait. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "stats/event.h"

#define WALL_US INT64_C(1795508130123456) /* 2026-11-24T08:15:30.123456Z */
#define HEAD    "{\"time\":\"2026-11-24T08:15:30.123456Z\",\"event\":\"mail\",\"node\":\"mx1\""

struct fixture {
    struct event_log log;
    struct counters counters;
    int read_fd, write_fd;
};

static int setup(void **state)
{
    struct fixture *f = aligned_alloc(64, (sizeof *f + 63) / 64 * 64);
    int fds[2];
    if (!f || pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0)
        return -1;
    memset(f, 0, sizeof *f);
    f->read_fd = fds[0];
    f->write_fd = fds[1];
    event_log_init(&f->log, f->write_fd, "mx1", &f->counters);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    event_log_fini(&f->log);
    close(f->read_fd);
    close(f->write_fd);
    free(f);
    return 0;
}

static uint64_t dropped(const struct fixture *f)
{
    return atomic_load(&f->counters.values[COUNTER_EVENTS_DROPPED]);
}

/* What is in the pipe, NUL-terminated, in a buffer of the test's. */
static char *drain(struct fixture *f, size_t *len)
{
    static char text[4 << 20];
    *len = 0;
    for (;;) {
        ssize_t n = read(f->read_fd, text + *len, sizeof text - 1 - *len);
        if (n <= 0)
            break;
        *len += (size_t)n;
    }
    text[*len] = '\0';
    return text;
}

/* ---- a strict reader of RFC 8259, to judge by ---- */

enum { DEPTH_MAX = 8 };
static bool is_value(const char **at, int depth);

static bool is_string(const char **at)
{
    if (*(*at)++ != '"')
        return false;
    while (**at != '"') {
        unsigned char c = (unsigned char)*(*at)++;
        if (c < ' ')
            return false;
        if (c != '\\')
            continue;
        c = (unsigned char)*(*at)++;
        if (c == 'u') {
            if (strspn(*at, "0123456789abcdefABCDEF") < 4)
                return false;
            *at += 4;
        } else if (c == 0 || !strchr("\"\\/bfnrt", c)) {
            return false;
        }
    }
    ++*at;
    return true;
}

static bool is_list(const char **at, char end, bool named, int depth)
{
    ++*at;
    if (**at == end)
        return ++*at, true;
    for (;;) {
        if (named && (!is_string(at) || *(*at)++ != ':'))
            return false;
        if (!is_value(at, depth + 1))
            return false;
        char c = *(*at)++;
        if (c == end)
            return true;
        if (c != ',')
            return false;
    }
}

static bool is_number(const char **at)
{
    char *end;
    size_t digits = strspn(*at, "0123456789");
    if (digits == 0 || (digits > 1 && **at == '0'))
        return false;
    strtod(*at, &end);
    *at = end;
    return true;
}

static bool is_value(const char **at, int depth)
{
    if (depth > DEPTH_MAX)
        return false;
    if (**at == '{')
        return is_list(at, '}', true, depth);
    if (**at == '[')
        return is_list(at, ']', false, depth);
    if (**at == '"')
        return is_string(at);
    for (const char *const *word = (const char *const[]){"true", "false", NULL}; *word; word++)
        if (strncmp(*at, *word, strlen(*word)) == 0)
            return *at += strlen(*word), true;
    return is_number(at);
}

/* One object, one LF, no more; all of it UTF-8. */
static void check_is_line(const char *text, size_t len)
{
    const char *at = text;
    assert_int_equal(*text, '{');
    assert_true(is_value(&at, 0));
    assert_int_equal(*at, '\n');
    assert_int_equal(at + 1 - text, len);
    assert_true(str_is_utf8(str_of(text, len)));
}

/* ---- the tests ---- */

static void test_a_line_to_the_letter(void **state)
{
    struct fixture *f = *state;
    size_t len;
    event_begin(&f->log, "mail", WALL_US);
    event_str(&f->log, "sender", STR("a@example.org"));
    event_str(&f->log, "user", STR_NONE); /* not known: left out */
    event_str(&f->log, "empty", STR(""));
    event_z(&f->log, "none", NULL);
    event_uint(&f->log, "size", 0);
    event_uint(&f->log, "largest", UINT64_MAX);
    event_bool(&f->log, "yes", true);
    event_bool(&f->log, "no", false);
    event_open_array(&f->log, "recipients");
    event_str(&f->log, NULL, STR("b@example.net"));
    event_str(&f->log, NULL, STR("c@example.net"));
    event_close_array(&f->log);
    event_open_array(&f->log, "would");
    event_open_object(&f->log, NULL);
    event_z(&f->log, "by", "x");
    event_close_object(&f->log);
    event_open_object(&f->log, NULL);
    event_close_object(&f->log);
    event_close_array(&f->log);
    event_open_object(&f->log, "ms");
    event_ms(&f->log, "tls", 1249);
    event_ms(&f->log, "auth", 1250);
    event_ms(&f->log, "none", 0);
    event_ms(&f->log, "backwards", -5);
    event_ms(&f->log, "total", 999999);
    event_close_object(&f->log);
    event_end(&f->log);
    char *text = drain(f, &len);
    assert_string_equal(text,
                        HEAD ",\"sender\":\"a@example.org\",\"empty\":\"\",\"size\":0,"
                             "\"largest\":18446744073709551615,\"yes\":true,\"no\":false,"
                             "\"recipients\":[\"b@example.net\",\"c@example.net\"],\"would\":[{\"by\":\"x\"},{}],"
                             "\"ms\":{\"tls\":1.2,\"auth\":1.3,\"none\":0.0,\"backwards\":0.0,\"total\":1000.0}}\n");
    check_is_line(text, len);
}

static void test_times(void **state)
{
    static const struct {
        int64_t wall_us;
        const char *text;
    } CASES[] = {
        {0, "1970-01-01T00:00:00.000000Z"},       {1, "1970-01-01T00:00:00.000001Z"},
        {999999, "1970-01-01T00:00:00.999999Z"},  {1000000, "1970-01-01T00:00:01.000000Z"},
        {WALL_US, "2026-11-24T08:15:30.123456Z"}, {INT64_C(1709210096789012), "2024-02-29T12:34:56.789012Z"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        size_t len;
        event_begin(&f->log, "x", CASES[i].wall_us);
        event_end(&f->log);
        char *text = drain(f, &len);
        check_is_line(text, len);
        assert_memory_equal(text + strlen("{\"time\":\""), CASES[i].text, strlen(CASES[i].text));
    }
}

static void test_hostile_bytes_stay_inside_their_string(void **state)
{
    static const struct str CASES[] = {
        {"\"},{\"user\":\"root", 16},
        {"a\nb\r\n{\"time\":\"", 14},
        {"\\", 1},
        {"\\\"", 2},
        {"\0\1\2\x1f\x7f", 5},
        {"\xff\xfe\x80", 3},
        {"\xc3", 1},
        {"\xed\xa0\x80", 3},
        {"\xe2\x80\xa8\xc2\x85", 5},
        {"\x1b[2J", 4},
        {"\xf4\x90", 2},
        {"\xf0\x9f\x93\xa7", 4},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        size_t len;
        event_begin(&f->log, "mail", WALL_US);
        event_str(&f->log, "helo", CASES[i]);
        event_open_array(&f->log, "recipients");
        event_str(&f->log, NULL, CASES[i]);
        event_close_array(&f->log);
        event_end(&f->log);
        char *text = drain(f, &len);
        check_is_line(text, len);
        assert_null(strstr(text, ",\"user\":"));
    }
}

static void test_every_byte_alone(void **state)
{
    struct fixture *f = *state;
    for (int b = 0; b < 256; b++) {
        char byte = (char)b;
        size_t len;
        event_begin(&f->log, "mail", WALL_US);
        event_str(&f->log, "text", str_of(&byte, 1));
        event_end(&f->log);
        char *text = drain(f, &len);
        check_is_line(text, len);
    }
}

static void test_a_line_that_is_too_long_is_dropped_whole(void **state)
{
    struct fixture *f = *state;
    static char big[EVENT_LINE_MAX_BYTES];
    size_t len;
    memset(big, 'x', sizeof big);
    event_begin(&f->log, "mail", WALL_US);
    event_str(&f->log, "text", str_of(big, sizeof big));
    event_end(&f->log);
    assert_int_equal(dropped(f), 1);
    event_begin(&f->log, "mail", WALL_US); /* the next is not touched by it */
    event_end(&f->log);
    char *text = drain(f, &len);
    assert_string_equal(text, HEAD "}\n");
    assert_int_equal(dropped(f), 1);
}

static void write_line(struct fixture *f, uint64_t number)
{
    static char filler[6000]; /* more than PIPE_BUF: a pipe may take half of it */
    memset(filler, 'f', sizeof filler);
    event_begin(&f->log, "mail", WALL_US);
    event_uint(&f->log, "n", number);
    event_str(&f->log, "text", str_of(filler, sizeof filler));
    event_end(&f->log);
}

/* Each line of text is whole, and their numbers ascend. Returns how many. */
static uint64_t check_lines(char *text)
{
    uint64_t count = 0, last = 0;
    for (char *line = text, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        assert_non_null(end);
        check_is_line(line, (size_t)(end + 1 - line));
        uint64_t n = strtoull(strstr(line, "\"n\":") + 4, NULL, 10);
        assert_true(n > last);
        last = n;
        count++;
    }
    return count;
}

static void test_a_full_pipe_keeps_what_fits_then_drops_and_counts(void **state)
{
    struct fixture *f = *state;
    static char all[4 << 20];
    enum { LINES = 500 }; /* 3 MB: more than pipe and backlog together */
    size_t len, total = 0;
    for (uint64_t n = 1; n <= LINES; n++)
        write_line(f, n);
    uint64_t lost = dropped(f);
    assert_in_range(lost, 1, LINES - 1);
    assert_true(f->log.said_dropped);
    assert_true(buf_len(&f->log.backlog) <= EVENT_BACKLOG_BYTES);
    for (bool done = false; !done;) {
        done = event_log_flush(&f->log);
        char *text = drain(f, &len);
        memcpy(all + total, text, len);
        total += len;
    }
    all[total] = '\0';
    assert_int_equal(check_lines(all) + lost, LINES);
    assert_false(f->log.said_dropped); /* it works again: the next trouble is news */
    assert_null(f->log.backlog.data);
}

static void test_order_survives_a_backlog(void **state)
{
    struct fixture *f = *state;
    size_t len;
    uint64_t n = 0;
    while (buf_len(&f->log.backlog) == 0 && n < 1000)
        write_line(f, ++n);
    assert_true(buf_len(&f->log.backlog) > 0);
    drain(f, &len);
    write_line(f, ++n); /* goes out behind what waited */
    assert_true(event_log_flush(&f->log));
    char *text = strchr(drain(f, &len), '\n') + 1; /* the first may be the rest of a line */
    assert_int_equal(check_lines(text), 1);
    assert_int_equal(dropped(f), 0);
}

static void count_call(void *arg)
{
    ++*(unsigned *)arg;
}

/* Lines of a turn wait for its end, but never more of them than the bound; none is lost or overtaken when the pipe is
 * full. */
static void test_lines_are_gathered(void **state)
{
    struct fixture *f = *state;
    unsigned calls = 0;
    size_t len;
    event_log_gather(&f->log, count_call, &calls);
    write_line(f, 1);
    write_line(f, 2);
    assert_int_equal(calls, 2);
    drain(f, &len);
    assert_int_equal(len, 0);
    assert_true(event_log_flush(&f->log));
    assert_int_equal(check_lines(drain(f, &len)), 2);

    for (uint64_t n = 3; n <= 12; n++) /* 60 KB */
        write_line(f, n);
    uint64_t at_once = check_lines(drain(f, &len));
    assert_in_range(at_once, 1, 9);
    assert_true(event_log_flush(&f->log));
    assert_int_equal(at_once + check_lines(drain(f, &len)), 10);

    for (uint64_t n = 13; n <= 100; n++) /* 500 KB: more than the pipe, less than the backlog */
        write_line(f, n);
    static char all[1 << 20];
    size_t total = 0;
    for (bool done = false; !done; total += len) {
        done = event_log_flush(&f->log);
        char *text = drain(f, &len);
        memcpy(all + total, text, len);
    }
    all[total] = '\0';
    assert_int_equal(check_lines(all), 88);
    assert_int_equal(dropped(f), 0);
}

static void test_half_a_line_is_marked_and_swallows_nothing(void **state)
{
    struct fixture *f = *state;
    size_t len;
    uint64_t n = 0;
    buf_init(&f->log.backlog, 16); /* no room for any rest */
    while (!f->log.torn && n < 1000)
        write_line(f, ++n);
    assert_true(f->log.torn);
    assert_int_equal(dropped(f), 1);
    drain(f, &len);
    write_line(f, ++n);
    char *text = drain(f, &len);
    assert_memory_equal(text, "\x18\n{", 3);
    assert_int_equal(check_lines(text + 2), 1);
    assert_false(f->log.torn);
}

static void test_nowhere(void **state)
{
    (void)state;
    struct event_log log;
    event_log_init(&log, -1, "mx1", NULL);
    event_begin(&log, "mail", WALL_US);
    event_end(&log);
    assert_true(event_log_flush(&log));
    event_log_fini(&log);
}

/* What was closed last, for who sends it elsewhere too: also when nobody reads the pipe. */
static void test_line_at_hand(void **state)
{
    struct fixture *f = *state;
    static char much[EVENT_LINE_MAX_BYTES];
    assert_null(event_log_line(&f->log).ptr);
    event_begin(&f->log, "mail", WALL_US);
    event_end(&f->log);
    assert_true(str_equal(event_log_line(&f->log), STR(HEAD "}")));
    memset(much, 'x', sizeof much);
    event_begin(&f->log, "mail", WALL_US);
    event_str(&f->log, "text", str_of(much, sizeof much));
    event_end(&f->log);
    assert_null(event_log_line(&f->log).ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        TEST(test_a_line_to_the_letter),
        TEST(test_times),
        TEST(test_hostile_bytes_stay_inside_their_string),
        TEST(test_every_byte_alone),
        TEST(test_a_line_that_is_too_long_is_dropped_whole),
        TEST(test_a_full_pipe_keeps_what_fits_then_drops_and_counts),
        TEST(test_order_survives_a_backlog),
        TEST(test_lines_are_gathered),
        TEST(test_half_a_line_is_marked_and_swallows_nothing),
        TEST(test_nowhere),
        TEST(test_line_at_hand),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
