/* test_shape.c - what a word may be, and its value. */
#include "parse_cases.h"
#include "rules/shape.h"

struct guess_case {
    const char *word;
    enum shape shape;
    int64_t value; /* of those that have one number */
};

static const struct guess_case GUESSES[] = {
    {"on", SHAPE_TRUTH, 0},
    {"true", SHAPE_TRUTH, 0},
    {"off", SHAPE_TRUTH, 0},
    {"On", SHAPE_NAME, 0},
    {"0", SHAPE_NUMBER, 0},
    {"200", SHAPE_NUMBER, 200 * (int64_t)NUMBER_ONE},
    {"-2.5", SHAPE_NUMBER, -2500000},
    {"0.000001", SHAPE_NUMBER, 1},
    {"1.", SHAPE_WORD, 0},
    {".5", SHAPE_DOMAIN, 0},
    {"-", SHAPE_WORD, 0},
    {"--1", SHAPE_WORD, 0},
    {"+1", SHAPE_WORD, 0},
    {"64K", SHAPE_SIZE, 65536},
    {"10M", SHAPE_SIZE, 10485760},
    {"1G", SHAPE_SIZE, 1073741824},
    {"64k", SHAPE_WORD, 0},
    {"1T", SHAPE_WORD, 0},
    {"500ms", SHAPE_DURATION, 500},
    {"5s", SHAPE_DURATION, 5000},
    {"1m", SHAPE_DURATION, 60000},
    {"1h30m", SHAPE_DURATION, 5400000},
    {"1w2d3h4m5s6ms", SHAPE_DURATION, 788645006},
    {"0s", SHAPE_DURATION, 0},
    {"1s1m", SHAPE_WORD, 0},
    {"1h1h", SHAPE_WORD, 0},
    {"1H", SHAPE_WORD, 0},
    {"99999999999999999999w", SHAPE_DURATION, INT64_MAX},
    {"80%", SHAPE_PERCENT, 80},
    {"%", SHAPE_WORD, 0},
    {"8.5%", SHAPE_WORD, 0},
    {"200/1h", SHAPE_RATE, 0},
    {"500M/1d", SHAPE_RATE, 0},
    {"$a/1h", SHAPE_RATE, 0},
    {"$a/$b", SHAPE_RATE, 0},
    {"200/1", SHAPE_WORD, 0},
    {"200/h", SHAPE_WORD, 0},
    {"/1h", SHAPE_WORD, 0},
    {"1/1h/1d", SHAPE_WORD, 0},
    {"2026-11-24T08:00", SHAPE_DATE, 1795507200},
    {"1970-01-01T00:00:01", SHAPE_DATE, 1},
    {"2024-02-29T23:59:59", SHAPE_DATE, 1709251199},
    {"2026-02-29T00:00", SHAPE_WORD, 0},
    {"2026-13-01T00:00", SHAPE_WORD, 0},
    {"2026-00-01T00:00", SHAPE_WORD, 0},
    {"2026-01-01T24:00", SHAPE_WORD, 0},
    {"2026-01-01T00:00:", SHAPE_WORD, 0},
    {"2026-01-01", SHAPE_WORD, 0},
    {"08:30", SHAPE_TIME, 510},
    {"00:00", SHAPE_TIME, 0},
    {"24:00", SHAPE_TIME, 1440},
    {"24:01", SHAPE_WORD, 0},
    {"8:30", SHAPE_WORD, 0},
    {"08:60", SHAPE_WORD, 0},
    {"08:00-18:00", SHAPE_RANGE, 0},
    {"22:00-06:00", SHAPE_RANGE, 0},
    {"22:00-", SHAPE_WORD, 0},
    {"192.0.2.1", SHAPE_NETWORK, 32},
    {"192.0.2.0/24", SHAPE_NETWORK, 24},
    {"0.0.0.0/0", SHAPE_NETWORK, 0},
    {"2001:db8::/32", SHAPE_NETWORK, 32},
    {"::1", SHAPE_NETWORK, 128},
    {"192.0.2.1-192.0.2.9", SHAPE_NETWORK, -1},
    {"::1-::9", SHAPE_NETWORK, -1},
    {"192.0.2.256", SHAPE_DOMAIN, 0},
    {"192.0.2.0/33", SHAPE_WORD, 0},
    {"a@b.example", SHAPE_ADDRESS, 0},
    {"@b.example", SHAPE_ADDRESS, 0},
    {"a+t@b", SHAPE_ADDRESS, 0},
    {"a@", SHAPE_WORD, 0},
    {"a@.b", SHAPE_WORD, 0},
    {"a@b..c", SHAPE_WORD, 0},
    {"mta.example.org:25", SHAPE_ENDPOINT, 0},
    {"127.0.0.1:25", SHAPE_ENDPOINT, 0},
    {"[::1]:25", SHAPE_ENDPOINT, 0},
    {"unix:/run/x.sock", SHAPE_ENDPOINT, 0},
    {"mta:0", SHAPE_WORD, 0},
    {"mta:65536", SHAPE_WORD, 0},
    {"example.org", SHAPE_DOMAIN, 0},
    {".example.org", SHAPE_DOMAIN, 0},
    {"m\xC3\xBCller.example", SHAPE_DOMAIN, 0},
    {"a_b.example", SHAPE_DOMAIN, 0},
    {"example.org.", SHAPE_WORD, 0},
    {"..example", SHAPE_WORD, 0},
    {"-a.example", SHAPE_WORD, 0},
    {"a-.example", SHAPE_WORD, 0},
    {"alice", SHAPE_NAME, 0},
    {"a-b_c9", SHAPE_NAME, 0},
    {"_a", SHAPE_WORD, 0},
    {"9a", SHAPE_WORD, 0},
};

static int64_t number_of(const struct value *v)
{
    switch (v->shape) {
    case SHAPE_NUMBER:
        return v->number;
    case SHAPE_SIZE:
        return v->bytes;
    case SHAPE_DURATION:
        return v->ms;
    case SHAPE_PERCENT:
        return v->percent;
    case SHAPE_DATE:
        return v->seconds;
    case SHAPE_TIME:
        return v->minutes;
    case SHAPE_NETWORK:
        return v->network.prefix;
    default:
        return 0;
    }
}

static void test_guess(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < COUNT_OF(GUESSES); i++) {
        struct value v = {.shape = SHAPE_NONE};
        struct err err;
        if (shape_guess(str_of_z(GUESSES[i].word), &arena, &v, &err) != SHAPE_FITS || v.shape != GUESSES[i].shape)
            fail_msg("%s: taken for %s", GUESSES[i].word, shape_rows[v.shape].word);
        if (number_of(&v) != GUESSES[i].value)
            fail_msg("%s: its value is %lld", GUESSES[i].word, (long long)number_of(&v));
    }
    arena_fini(&arena);
}

/* The same word is what its place asks for. */
static const struct {
    const char *word;
    enum shape shape;
    enum shape_result result;
} READS[] = {
    {"10", SHAPE_SIZE, SHAPE_FITS},
    {"10", SHAPE_NUMBER, SHAPE_FITS},
    {"64K", SHAPE_NUMBER, SHAPE_FITS},
    {"10", SHAPE_DURATION, SHAPE_OTHER},
    {"10", SHAPE_NAME, SHAPE_OTHER},
    {"550", SHAPE_CODE, SHAPE_FITS},
    {"55", SHAPE_CODE, SHAPE_OTHER},
    {"5500", SHAPE_CODE, SHAPE_OTHER},
    {"mail", SHAPE_PHASE, SHAPE_FITS},
    {"Mail", SHAPE_PHASE, SHAPE_OTHER},
    {"if", SHAPE_NAME, SHAPE_OTHER},
    {"localhost", SHAPE_DOMAIN, SHAPE_FITS},
    {"192.0.2.0/24", SHAPE_IP, SHAPE_OTHER},
    {"192.0.2.1", SHAPE_IP, SHAPE_FITS},
    {"192.0.2.7/24", SHAPE_NETWORK, SHAPE_WRONG},
    {"2001:db8::1/32", SHAPE_NETWORK, SHAPE_WRONG},
    {"192.0.2.9-192.0.2.1", SHAPE_NETWORK, SHAPE_WRONG},
    {"192.0.2.9-::1", SHAPE_NETWORK, SHAPE_WRONG},
    {"example.org", SHAPE_NETWORK, SHAPE_OTHER},
    {"<>", SHAPE_SENDER, SHAPE_FITS},
    {"", SHAPE_WORD, SHAPE_OTHER},
    {"yes", SHAPE_TRUTH, SHAPE_OTHER},
    {"a b:25", SHAPE_ENDPOINT, SHAPE_OTHER},
};

static void test_read(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < COUNT_OF(READS); i++) {
        struct value v = {.shape = SHAPE_NONE};
        struct err err;
        if (shape_read(READS[i].shape, str_of_z(READS[i].word), &arena, &v, &err) != READS[i].result)
            fail_msg("%s as %s", READS[i].word, shape_rows[READS[i].shape].word);
    }
    arena_fini(&arena);
}

static void test_network_ends(void **state)
{
    static const struct {
        const char *word, *from, *to;
    } cases[] = {{"192.0.2.0/23", "192.0.2.0", "192.0.3.255"},
                 {"10.0.0.0/8", "10.0.0.0", "10.255.255.255"},
                 {"2001:db8::/33", "2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"},
                 {"192.0.2.3-192.0.2.5", "192.0.2.3", "192.0.2.5"},
                 {"0.0.0.0/0", "0.0.0.0", "255.255.255.255"}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct value v = {.shape = SHAPE_NONE};
        struct err err;
        struct ip from, to;
        assert_int_equal(shape_read(SHAPE_NETWORK, str_of_z(cases[i].word), NULL, &v, &err), SHAPE_FITS);
        assert_true(ip_parse(str_of_z(cases[i].from), &from) && ip_parse(str_of_z(cases[i].to), &to));
        if (!ip_equal(&from, &v.network.from) || !ip_equal(&to, &v.network.to))
            fail_msg("%s", cases[i].word);
    }
}

static void test_rates(void **state)
{
    struct value v = {.shape = SHAPE_NONE};
    struct err err;
    (void)state;
    assert_int_equal(shape_read(SHAPE_RATE, STR("500M/1d"), NULL, &v, &err), SHAPE_FITS);
    assert_int_equal(v.rate.count.shape, SHAPE_SIZE);
    assert_int_equal(v.rate.count.number, 500ll << 20);
    assert_int_equal(v.rate.period.number, 86400000);
    assert_int_equal(shape_read(SHAPE_RATE, STR("$n/$p"), NULL, &v, &err), SHAPE_FITS);
    assert_true(str_equal(v.rate.count.param, STR("n")) && str_equal(v.rate.period.param, STR("p")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_guess), cmocka_unit_test(test_read),
                                       cmocka_unit_test(test_network_ends), cmocka_unit_test(test_rates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
