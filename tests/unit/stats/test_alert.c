/* test_alert.c - from alert_send to the other end of the channel; what does not fit is dropped, counted, and given
 * back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "stats/alert.h"

static const struct alert_target TARGETS[] = {{STR("hook"), 3600000}, {STR("often"), 1}};

struct fixture {
    int ends[2];
    struct alert_rates rates;
    struct counters counters;
    struct alert_sender sender;
    char space[ALERT_MESSAGE_MAX_BYTES];
};

static int setup(void **state)
{
    struct err err;
    size_t bytes = (sizeof(struct fixture) + 63) / 64 * 64;
    struct fixture *f = aligned_alloc(64, bytes);
    if (!f)
        return -1;
    memset(f, 0, bytes);
    *state = f;
    if (!alert_rates_init(&f->rates, &err) || !alert_channel_open(f->ends, &err))
        return -1;
    f->sender = (struct alert_sender){TARGETS, COUNT_OF(TARGETS), &f->rates, &f->counters, f->ends[0], false};
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    close(f->ends[0]);
    close(f->ends[1]);
    free(f);
    return 0;
}

static uint64_t dropped(struct fixture *f)
{
    return atomic_load(&f->counters.values[COUNTER_ALERTS_DROPPED]);
}

static enum io_result receive(struct fixture *f, struct alert_message *m)
{
    return alert_message_receive(f->ends[1], f->space, m);
}

static void test_sent(void **state)
{
    struct fixture *f = *state;
    struct alert_message m;
    alert_send(&f->sender, STR("hook"), STR("user:a"), STR("{\"event\":\"alert\"}"));
    alert_send(&f->sender, STR("hook"), STR("user:a"), STR("{\"event\":\"alert\"}"));
    assert_int_equal(receive(f, &m), IO_OK);
    assert_int_equal(m.target, 0);
    assert_int_equal(m.held_back, 0);
    assert_true(m.id == alert_rates_id(&f->rates, STR("hook"), STR("user:a")));
    assert_true(str_equal(m.key, STR("user:a")));
    assert_true(str_equal(m.event, STR("{\"event\":\"alert\"}")));
    assert_int_equal(receive(f, &m), IO_AGAIN);
    alert_send(&f->sender, STR("often"), STR_NONE, STR("{}"));
    assert_int_equal(receive(f, &m), IO_OK);
    assert_int_equal(m.target, 1);
    assert_int_equal(m.key.len, 0);
    assert_true(str_equal(m.event, STR("{}")));
    assert_int_equal(dropped(f), 0);
}

static void test_nobody(void **state)
{
    struct fixture *f = *state;
    struct alert_message m;
    alert_send(NULL, STR("hook"), STR("a"), STR("{}"));
    alert_send(&f->sender, STR("unknown"), STR("a"), STR("{}"));
    assert_int_equal(receive(f, &m), IO_AGAIN);
    assert_int_equal(dropped(f), 0);
}

/* Nobody reads: the sender goes on, and what did not fit is not taken for sent. */
static void test_full(void **state)
{
    struct fixture *f = *state;
    struct alert_message m;
    char key[24], event[1000];
    size_t sent = 0, taken = 0;
    memset(event, 'x', sizeof event);
    while (dropped(f) == 0 && sent < 100000)
        alert_send(&f->sender, STR("hook"), str_of_u64(key, sent++), str_of(event, sizeof event));
    assert_true(sent > 50 && sent < 100000);
    assert_true(f->sender.said_dropped);
    while (receive(f, &m) == IO_OK)
        taken++;
    assert_int_equal(taken, sent - 1);
    alert_send(&f->sender, STR("hook"), str_of_u64(key, sent - 1), STR("{}"));
    assert_int_equal(receive(f, &m), IO_OK);
    assert_int_equal(m.held_back, 1);
    assert_int_equal(dropped(f), 1);
    assert_false(f->sender.said_dropped);
}

static void test_bounds(void **state)
{
    static char event[ALERT_EVENT_MAX_BYTES + 1], key[ALERT_KEY_MAX_BYTES + 1];
    struct fixture *f = *state;
    struct alert_message m;
    memset(event, 'e', sizeof event);
    memset(key, 'k', sizeof key);
    alert_send(&f->sender, STR("hook"), STR("a"), str_of(event, sizeof event));
    assert_int_equal(dropped(f), 1);
    assert_int_equal(receive(f, &m), IO_AGAIN);
    alert_send(&f->sender, STR("hook"), str_of(key, sizeof key), str_of(event, sizeof event - 1));
    assert_int_equal(receive(f, &m), IO_OK);
    assert_int_equal(m.key.len, ALERT_KEY_MAX_BYTES);
    assert_int_equal(m.event.len, ALERT_EVENT_MAX_BYTES);
}

/* What no alert_message_send wrote is skipped. */
static void test_nonsense(void **state)
{
    struct fixture *f = *state;
    struct alert_message m;
    char nonsense[64];
    memset(nonsense, 0xff, sizeof nonsense);
    assert_int_equal(send(f->ends[0], "x", 1, 0), 1);
    assert_int_equal(send(f->ends[0], nonsense, sizeof nonsense, 0), sizeof nonsense);
    alert_send(&f->sender, STR("hook"), STR("a"), STR("{}"));
    assert_int_equal(receive(f, &m), IO_OK);
    assert_true(str_equal(m.key, STR("a")));
    close(f->ends[0]);
    f->ends[0] = dup(f->ends[1]);
    assert_int_equal(receive(f, &m), IO_EOF);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(sent), TEST(nobody), TEST(full), TEST(bounds), TEST(nonsense)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
