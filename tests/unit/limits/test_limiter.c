/* test_limiter.c - what a mail's limits say, together and in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "limiter_fixture.h"
#include "limits/lease.h"

static const struct limit USER_RECIPIENTS = {
    .name = STR("user-recipients"), .unit = UNIT_RECIPIENTS, RATES({200, HOUR}, {1000, DAY}), AT_100_DEFER};
static const struct limit USER_MESSAGES = {
    .name = STR("user-messages"), .unit = UNIT_MESSAGES, RATES({50, HOUR}), AT_100_DEFER};
static const struct limit USER_BYTES = {
    .name = STR("user-bytes"), .unit = UNIT_BYTES, RATES({10240, HOUR}), AT_100_DEFER};
static const struct limit CLIENT_CONNECTIONS = {
    .name = STR("client-connections"), .unit = UNIT_CONNECTIONS, RATES({3, 60}), AT_100_DEFER};
static const struct limit CLIENT_OPEN = {
    .name = STR("client-open"), .unit = UNIT_OPEN_CONNECTIONS, RATES({2, 0}), AT_100_DEFER};

static void settle(struct limiter_fixture *f, struct reservation *r, uint64_t bytes, int64_t now_us)
{
    assert_int_equal(limiter_settle_start(&f->limiter, r, bytes, now_us, 1000, NULL, NULL), DONE);
}

/* What one limit has used, by reserving nothing on it. */
static uint64_t used(struct limiter_fixture *f, const struct limit *limit, const char *entity, int64_t now_us)
{
    const struct charge nothing = {.limit = limit, .entity = str_of_z(entity)};
    struct reservation *r = reserve(f, &nothing, 1, now_us);
    limiter_give_back(&f->limiter, r);
    return r->readings[0].used;
}

/* ---- Refusals and their words ---- */

static void test_200_pass_and_the_201st_is_told_when(void **state)
{
    struct limiter_fixture *f = *state;
    const struct charge c = mail_charge(&USER_RECIPIENTS, "u:alice", 10, 1);
    for (int i = 0; i < 20; i++)
        send_mails(f, &c, 1, 1, NOW + i * 60 * S);
    const struct charge one = mail_charge(&USER_RECIPIENTS, "u:alice", 1, 1);
    struct reservation *r = reserve(f, &one, 1, NOW + 1800 * S);
    /* The first 40 went in one slot of 225 s, which leaves at 1h3m45s; 30m of it have passed. */
    assert_refusal(r, "user-recipients: 200 per 1h used up, 201 with this mail; try again in 33m45s");
    assert_int_equal(r->retry_after_ms, 2025 * 1000);
    assert_false(r->permanent);
    assert_ptr_equal(r->refused_by->limit, &USER_RECIPIENTS);
    assert_int_equal(r->refused_by->rate.period_s, HOUR);
    assert_int_equal(r->refused_at->percent, 100);
    assert_int_equal(reserve(f, &one, 1, NOW + (1800 + 2025) * S - 1)->verdict, VERDICT_REFUSED);
    assert_int_equal(reserve(f, &one, 1, NOW + (1800 + 2025) * S)->verdict, VERDICT_RESERVED);
}

static void test_a_second_window_is_told_too(void **state)
{
    struct limiter_fixture *f = *state;
    const struct charge c = mail_charge(&USER_RECIPIENTS, "u:alice", 200, 1);
    for (int i = 0; i < 5; i++)
        send_mails(f, &c, 1, 1, NOW + i * 2 * HOUR * S);
    struct reservation *r = reserve(f, &c, 1, NOW + 10 * HOUR * S);
    assert_refusal(r, "user-recipients: 1000 per 1d used up, 1200 with this mail; try again in 15h30m");
    assert_int_equal(r->reading_count, 2);
    assert_int_equal(r->readings[0].used, 200);
    assert_false(r->readings[0].refuses);
    assert_int_equal(r->readings[1].used, 1200);
    assert_true(r->readings[1].refuses);
    /* Both refuse: what is told is when neither does. */
    send_mails(f, &c, 1, 1, NOW + 26 * HOUR * S);
    r = reserve(f, &c, 1, NOW + 26 * HOUR * S);
    assert_int_equal(r->refused_by->rate.period_s, HOUR);
    int64_t at = NOW + 26 * HOUR * S + r->retry_after_ms * 1000;
    assert_int_equal(reserve(f, &c, 1, at - 1)->verdict, VERDICT_REFUSED);
    assert_int_equal(reserve(f, &c, 1, at)->verdict, VERDICT_RESERVED);
}

static void test_too_much_for_ever(void **state)
{
    struct limiter_fixture *f = *state;
    const struct charge c = mail_charge(&USER_RECIPIENTS, "u:fresh", 300, 1);
    struct reservation *r = reserve(f, &c, 1, NOW);
    assert_refusal(r, "user-recipients: 200 per 1h allowed, 300 in this mail; send it in parts of at most 200");
    assert_true(r->permanent);
    assert_int_equal(r->retry_after_ms, 0);
    const struct charge big = mail_charge(&USER_BYTES, "u:fresh", 1, 10241);
    assert_refusal(reserve(f, &big, 1, NOW),
                   "user-bytes: 10M per 1h allowed, 10241K in this mail; send it in parts of at most 10M");
    /* Not for a threshold that rejects anyway. */
    const struct limit REJECTS = {
        .name = STR("r"), .unit = UNIT_RECIPIENTS, RATES({5, HOUR}), THRESHOLDS({100, REFUSAL_REJECT})};
    const struct charge rejected = mail_charge(&REJECTS, "u:fresh", 6, 1);
    r = reserve(f, &rejected, 1, NOW);
    assert_refusal(r, "r: 5 per 1h used up, 6 with this mail; try again later");
    assert_false(r->permanent);
}

/* The first read is named, but what can never pass comes before what passes later: or the mail would be deferred for
 * ever. */
static void test_who_is_named(void **state)
{
    struct limiter_fixture *f = *state;
    const struct charge messages = mail_charge(&USER_MESSAGES, "u:a", 1, 1);
    send_mails(f, &messages, 1, 50, NOW);
    const struct charge both[] = {mail_charge(&USER_MESSAGES, "u:a", 199, 1),
                                  mail_charge(&USER_RECIPIENTS, "u:a", 199, 1)};
    struct reservation *r = reserve(f, both, 2, NOW);
    assert_ptr_equal(r->refused_by->limit, &USER_MESSAGES);
    assert_true(r->readings[1].refuses); /* 50 + 199 */
    const struct charge swapped[] = {both[1], both[0]};
    assert_ptr_equal(reserve(f, swapped, 2, NOW)->refused_by->limit, &USER_RECIPIENTS);
    const struct charge never[] = {mail_charge(&USER_MESSAGES, "u:a", 201, 1),
                                   mail_charge(&USER_RECIPIENTS, "u:a", 201, 1)};
    r = reserve(f, never, 2, NOW);
    assert_ptr_equal(r->refused_by->limit, &USER_RECIPIENTS);
    assert_true(r->permanent);
}

static void test_connections(void **state)
{
    struct limiter_fixture *f = *state;
    const struct charge c[] = {one_charge(&CLIENT_CONNECTIONS, "i:192.0.2.7"), one_charge(&CLIENT_OPEN, "i:192.0.2.7")};
    struct lease leases[2];
    for (int i = 0; i < 2; i++) {
        struct reservation *r = reserve(f, c, 2, NOW);
        assert_int_equal(r->verdict, VERDICT_RESERVED);
        limiter_keep(&f->limiter, r, NOW);
        assert_int_equal(lease_count(r), 1);
        lease_take(r, &leases[i]);
        assert_int_equal(lease_count(r), 0);
        limiter_give_back(&f->limiter, r); /* nothing is left to give back */
    }
    struct reservation *r = reserve(f, c, 2, NOW);
    assert_refusal(r, "client-open: 2 at once used up, 3 with this connection; try again later");
    assert_int_equal(r->retry_after_ms, 0);
    lease_drop(&f->store, &leases[0], 1);
    r = reserve(f, c, 2, NOW); /* the third in the minute: the refused one was not counted */
    assert_int_equal(r->verdict, VERDICT_RESERVED);
    limiter_keep(&f->limiter, r, NOW);
    limiter_give_back(&f->limiter, r); /* kept: only the lease goes */
    r = reserve(f, c, 2, NOW);
    assert_refusal(r, "client-connections: 3 per 1m used up, 4 with this connection; try again in 1m4s");
    lease_release_owner(&f->store, 1);
    assert_int_equal(used(f, &CLIENT_OPEN, "i:192.0.2.7", NOW), 0);
    assert_int_equal(used(f, &CLIENT_CONNECTIONS, "i:192.0.2.7", NOW), 3);
}

static void test_words_of_readings(void **state)
{
    struct limiter_fixture *f = *state;
    char text[128];
    const struct charge c[] = {mail_charge(&USER_RECIPIENTS, "u:a", 7, 2048), mail_charge(&USER_BYTES, "u:a", 7, 2048)};
    struct reservation *r = reserve(f, c, 2, NOW);
    limiter_reading_text(&r->readings[0], text, sizeof text);
    assert_string_equal(text, "7 of 200 per 1h");
    limiter_reading_text(&r->readings[2], text, sizeof text);
    assert_string_equal(text, "2M of 10M per 1h");
    assert_int_equal(limiter_reading_text(&r->readings[2], text, 6).len, 5);
    assert_string_equal(text, "2M of");
}

/* ---- All or nothing, and who shares what ---- */

static void test_a_refused_mail_is_charged_to_none(void **state)
{
    struct limiter_fixture *f = *state;
    const struct charge full = mail_charge(&USER_MESSAGES, "i:full", 1, 1);
    send_mails(f, &full, 1, 50, NOW);
    for (int i = 0; i < 30; i++) {
        char name[16];
        snprintf(name, sizeof name, "u:%d", i);
        const struct charge c[] = {mail_charge(&USER_RECIPIENTS, name, 3, 1), full};
        struct reservation *r = reserve(f, c, 2, NOW);
        assert_int_equal(r->verdict, VERDICT_REFUSED);
        assert_int_equal(r->reading_count, 3); /* all values seen are told */
        assert_int_equal(r->readings[0].used, 3);
        assert_int_equal(r->readings[2].used, 51);
        assert_int_equal(used(f, &USER_RECIPIENTS, name, NOW), 0);
    }
    assert_int_equal(used(f, &USER_MESSAGES, "i:full", NOW), 50);
}

/* A second limit on the same counter: charged once, the stricter one holds. */
static void test_limits_that_share_a_counter(void **state)
{
    struct limiter_fixture *f = *state;
    const struct limit WARN = {
        .name = STR("warn"), .unit = UNIT_MESSAGES, RATES({30, HOUR}), THRESHOLDS({.percent = 100, .logs = true})};
    const struct limit STRICT = {.name = STR("strict"), .unit = UNIT_MESSAGES, RATES({40, HOUR}), AT_100_DEFER};
    const struct charge c[] = {mail_charge(&USER_MESSAGES, "u:a", 2, 1), mail_charge(&WARN, "u:a", 2, 1),
                               mail_charge(&STRICT, "u:a", 2, 1), mail_charge(&USER_RECIPIENTS, "u:a", 2, 1)};
    send_mails(f, c, 4, 40, NOW);
    struct reservation *r = reserve(f, c, 4, NOW);
    assert_int_equal(r->take_count, 2); /* an hour's and a day's */
    assert_refusal(r, "strict: 40 per 1h used up, 41 with this mail; try again in 1h4m");
    for (int i = 0; i < 3; i++)
        assert_int_equal(r->readings[i].used, 41);
    assert_int_equal(r->readings[3].used, 82);
    /* A limit that a reload adds finds its count there. */
    const struct limit ADDED = {.name = STR("added"), .unit = UNIT_BYTES, RATES({100, DAY}), AT_100_DEFER};
    assert_int_equal(used(f, &ADDED, "u:a", NOW), 40);
}

static void test_a_limit_with_a_condition_counts_for_itself(void **state)
{
    struct limiter_fixture *f = *state;
    const struct limit EXTERNAL = {
        .name = STR("external"), .unit = UNIT_RECIPIENTS, .counts_for_itself = true, RATES({10, HOUR}), AT_100_DEFER};
    const struct limit OTHER = {
        .name = STR("other"), .unit = UNIT_RECIPIENTS, .counts_for_itself = true, RATES({10, HOUR}), AT_100_DEFER};
    const struct charge c[] = {mail_charge(&USER_RECIPIENTS, "u:a", 5, 1), mail_charge(&EXTERNAL, "u:a", 2, 1)};
    send_mails(f, c, 2, 5, NOW);
    struct reservation *r = reserve(f, c, 2, NOW);
    assert_refusal(r, "external: 10 per 1h used up, 12 with this mail; try again in 1h4m");
    assert_int_equal(used(f, &USER_RECIPIENTS, "u:a", NOW), 25);
    assert_int_equal(used(f, &OTHER, "u:a", NOW), 0);
}

static void test_an_override_changes_the_rates_and_not_the_count(void **state)
{
    struct limiter_fixture *f = *state;
    static const struct rate BULK[] = {{5000, HOUR}, {20000, DAY}}, TIGHT[] = {{10, HOUR}};
    struct charge c = mail_charge(&USER_RECIPIENTS, "u:bulk", 150, 1);
    send_mails(f, &c, 1, 1, NOW);
    assert_int_equal(reserve(f, &c, 1, NOW)->verdict, VERDICT_REFUSED);
    c.rates = BULK;
    c.rate_count = COUNT_OF(BULK);
    struct reservation *r = reserve(f, &c, 1, NOW);
    assert_int_equal(r->verdict, VERDICT_RESERVED);
    assert_int_equal(r->readings[0].used, 300);
    assert_int_equal(r->readings[0].allowed, 5000);
    c.rates = TIGHT;
    c.rate_count = COUNT_OF(TIGHT);
    c.cost[COLUMN_RECIPIENTS] = 1;
    assert_refusal(reserve(f, &c, 1, NOW), "user-recipients: 10 per 1h used up, 301 with this mail; try again in 1h4m");
    /* `none`: no limit, and nothing counted. */
    c.rate_count = 0;
    c.cost[COLUMN_RECIPIENTS] = 100000;
    r = reserve(f, &c, 1, NOW);
    assert_int_equal(r->verdict, VERDICT_RESERVED);
    assert_int_equal(r->reading_count, 0);
    limiter_keep(&f->limiter, r, NOW);
    assert_int_equal(used(f, &USER_RECIPIENTS, "u:bulk", NOW), 300);
}

/* A thousand recipients with a limit each: sorted, united, charged and given back. */
static void test_very_many_charges(void **state)
{
    enum { COUNT = 1000 };
    static char names[COUNT][16];
    static struct charge c[COUNT * 2];
    struct limiter_fixture *f = *state;
    const struct limit PER_RCPT = {.name = STR("per-rcpt"), .unit = UNIT_MESSAGES, RATES({5, HOUR}), AT_100_DEFER};
    const struct limit SAME = {.name = STR("same"), .unit = UNIT_MESSAGES, RATES({7, HOUR}), AT_100_DEFER};
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "r:%d", i);
        c[2 * i] = mail_charge(&PER_RCPT, names[i], 1, 1);
        c[2 * i + 1] = mail_charge(&SAME, names[i], 1, 1);
    }
    for (int i = 0; i < 5; i++) {
        struct reservation *r = reserve(f, c, COUNT * 2, NOW);
        assert_int_equal(r->verdict, VERDICT_RESERVED);
        assert_int_equal(r->take_count, COUNT);
        for (size_t k = 1; k < r->take_count; k++)
            assert_true(r->sorted[k - 1]->counter.id.lo < r->sorted[k]->counter.id.lo);
        for (size_t k = 0; k < r->reading_count; k++)
            assert_int_equal(r->readings[k].used, i + 1);
        limiter_keep(&f->limiter, r, NOW);
    }
    struct reservation *r = reserve(f, c, COUNT * 2, NOW);
    assert_int_equal(r->verdict, VERDICT_REFUSED);
    assert_ptr_equal(r->refused_by, &r->readings[0]);
}

static void test_nothing_to_charge(void **state)
{
    struct limiter_fixture *f = *state;
    struct reservation *r = reserve(f, NULL, 0, NOW);
    assert_int_equal(r->verdict, VERDICT_RESERVED);
    settle(f, r, 5000, NOW);
    assert_int_equal(r->verdict, VERDICT_RESERVED);
    limiter_keep(&f->limiter, r, NOW);
    limiter_give_back(&f->limiter, r);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct arena small;
    struct reservation r;
    const struct charge c = mail_charge(&USER_RECIPIENTS, "u:a", 1, 1);
    arena_init(&small, 300);
    assert_false(reservation_init(&r, &small, &c, 1));
    arena_fini(&small);
}

/* ---- Giving back, settling, keeping ---- */

static void test_given_back_exactly(void **state)
{
    struct limiter_fixture *f = *state;
    const struct charge c[] = {mail_charge(&USER_RECIPIENTS, "u:a", 3, 7), mail_charge(&USER_MESSAGES, "i:b", 3, 7)};
    send_mails(f, c, 2, 2, NOW);
    struct reservation *r = reserve(f, c, 2, NOW);
    limiter_give_back(&f->limiter, r);
    limiter_give_back(&f->limiter, r);
    assert_int_equal(used(f, &USER_RECIPIENTS, "u:a", NOW), 6);
    assert_int_equal(used(f, &USER_BYTES, "u:a", NOW), 14);
    assert_int_equal(used(f, &USER_MESSAGES, "i:b", NOW), 2);
    r = reserve(f, c, 2, NOW);
    limiter_keep(&f->limiter, r, NOW);
    limiter_give_back(&f->limiter, r); /* harmless after keep */
    assert_int_equal(used(f, &USER_RECIPIENTS, "u:a", NOW), 9);
}

static void test_settled_by_the_real_size(void **state)
{
    struct limiter_fixture *f = *state;
    const struct limit OWN_BYTES = {
        .name = STR("own"), .unit = UNIT_BYTES, .counts_for_itself = true, RATES({20480, HOUR}), AT_100_DEFER};
    const struct charge c[] = {mail_charge(&USER_BYTES, "u:a", 2, 1000), mail_charge(&OWN_BYTES, "u:a", 2, 1000)};
    struct reservation *r = reserve(f, c, 2, NOW);
    settle(f, r, 1025, NOW); /* smaller than declared: 2 KiB begun */
    assert_int_equal(r->verdict, VERDICT_RESERVED);
    assert_int_equal(r->readings[0].cost, 2);
    assert_int_equal(r->readings[0].used, 2);
    limiter_keep(&f->limiter, r, NOW);
    r = reserve(f, c, 2, NOW);
    settle(f, r, 10238 * 1024, NOW); /* larger, but just fits */
    assert_int_equal(r->verdict, VERDICT_RESERVED);
    limiter_keep(&f->limiter, r, NOW);
    assert_int_equal(used(f, &USER_BYTES, "u:a", NOW), 10240);
    assert_int_equal(used(f, &OWN_BYTES, "u:a", NOW), 10240);
    assert_int_equal(used(f, &USER_MESSAGES, "u:a", NOW), 2);
    assert_int_equal(used(f, &USER_RECIPIENTS, "u:a", NOW), 4);
}

static void test_larger_than_declared_and_too_large(void **state)
{
    struct limiter_fixture *f = *state;
    const struct charge c[] = {mail_charge(&USER_BYTES, "u:a", 1, 1), mail_charge(&USER_RECIPIENTS, "i:b", 1, 1)};
    const struct charge before = mail_charge(&USER_BYTES, "u:a", 1, 10000);
    send_mails(f, &before, 1, 1, NOW);
    struct reservation *r = reserve(f, c, 2, NOW);
    settle(f, r, 241 * 1024, NOW);
    assert_refusal(r, "user-bytes: 10M per 1h used up, 10241K with this mail; try again in 1h4m");
    /* All of it is given back, by all limits. */
    assert_int_equal(used(f, &USER_BYTES, "u:a", NOW), 10000);
    assert_int_equal(used(f, &USER_MESSAGES, "u:a", NOW), 1);
    assert_int_equal(used(f, &USER_RECIPIENTS, "i:b", NOW), 0);
    r = reserve(f, c, 2, NOW);
    settle(f, r, 10241 * 1024, NOW);
    assert_refusal(r, "user-bytes: 10M per 1h allowed, 10241K in this mail; send it in parts of at most 10M");
}

/* Mails that drip until their reservations have left the window gain nothing: in no minute are more than 10 taken. */
static void test_dripping_mails_gain_nothing(void **state)
{
    enum { ROUNDS = 4 };
    struct limiter_fixture *f = *state;
    const struct limit BURST = {.name = STR("burst"), .unit = UNIT_MESSAGES, RATES({10, 60}), AT_100_DEFER};
    const struct charge c = mail_charge(&BURST, "u:a", 1, 1);
    struct reservation *open[ROUNDS * 10];
    int64_t now = NOW;
    for (int i = 0; i < ROUNDS; i++, now += 65 * S)
        for (int k = 0; k < 10; k++) {
            open[i * 10 + k] = reserve(f, &c, 1, now);
            assert_int_equal(open[i * 10 + k]->verdict, VERDICT_RESERVED);
        }
    int taken = 0;
    for (int i = 0; i < ROUNDS * 10; i++) {
        settle(f, open[i], 100, now);
        if (open[i]->verdict != VERDICT_RESERVED)
            continue;
        limiter_keep(&f->limiter, open[i], now);
        taken++;
    }
    assert_int_equal(taken, 10);
}

/* A mail that took long counts from when it passed. */
static void test_kept_in_the_slot_in_which_it_passed(void **state)
{
    struct limiter_fixture *f = *state;
    const struct charge c = mail_charge(&USER_MESSAGES, "u:a", 1, 1);
    struct reservation *r = reserve(f, &c, 1, NOW);
    settle(f, r, 100, NOW + 1000 * S);
    limiter_keep(&f->limiter, r, NOW + 1700 * S);
    assert_int_equal(used(f, &USER_MESSAGES, "u:a", NOW + (1700 + HOUR) * S), 1);
    assert_int_equal(used(f, &USER_MESSAGES, "u:a", NOW + (1700 + HOUR + 225) * S), 0);
}

/* ---- Refused early ---- */

static void test_peek_says_the_same_words(void **state)
{
    struct limiter_fixture *f = *state;
    const struct charge c = mail_charge(&USER_RECIPIENTS, "u:a", 1, 1);
    struct reservation peek;
    assert_true(reservation_init(&peek, &f->arena, &c, 1));
    for (int i = 0; i < 200; i++) {
        limiter_peek(&f->limiter, &peek, &c, 1, NOW);
        assert_int_equal(peek.verdict, VERDICT_RESERVED);
        assert_int_equal(peek.readings[0].used, i + 1); /* it charged nothing */
        assert_int_equal(peek.passed_count, 0);
        send_mails(f, &c, 1, 1, NOW);
    }
    struct reservation *r = reserve(f, &c, 1, NOW + 5 * S);
    char wanted[256];
    limiter_refusal_text(r, wanted, sizeof wanted);
    limiter_peek(&f->limiter, &peek, &c, 1, NOW + 5 * S);
    assert_refusal(&peek, wanted);
    assert_int_equal(peek.retry_after_ms, r->retry_after_ms);
    limiter_peek(&f->limiter, &peek, &c, 1, NOW + 5 * S + r->retry_after_ms * 1000);
    assert_int_equal(peek.verdict, VERDICT_RESERVED);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, limiter_setup, limiter_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_200_pass_and_the_201st_is_told_when),
        CASE(test_a_second_window_is_told_too),
        CASE(test_too_much_for_ever),
        CASE(test_who_is_named),
        CASE(test_connections),
        CASE(test_words_of_readings),
        CASE(test_a_refused_mail_is_charged_to_none),
        CASE(test_limits_that_share_a_counter),
        CASE(test_a_limit_with_a_condition_counts_for_itself),
        CASE(test_an_override_changes_the_rates_and_not_the_count),
        CASE(test_very_many_charges),
        CASE(test_nothing_to_charge),
        CASE(test_no_memory),
        CASE(test_given_back_exactly),
        CASE(test_settled_by_the_real_size),
        CASE(test_larger_than_declared_and_too_large),
        CASE(test_dripping_mails_gain_nothing),
        CASE(test_kept_in_the_slot_in_which_it_passed),
        CASE(test_peek_says_the_same_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
