/* When a server is left alone, and when it is believed again. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "redis/circuit.h"

/* What happens, a letter each: A an answer in time, L a late call, F a failure, G a good probe; capitals of the second
 * line are what the circuit is after each: C closed, O open; in lower case if it did not just turn. */
static void test_turns(void **state)
{
    (void)state;
    static const struct {
        const char *name, *happens, *is;
    } CASES[] = {
        {"answers change nothing", "AAAA", "cccc"},
        {"three late calls in a row", "LLL", "ccO"},
        {"late calls that are not in a row", "LLALLALL", "cccccccc"},
        {"an answer makes them begin anew", "LALLL", "ccccO"},
        {"late calls of an open circuit", "LLLLLLL", "ccOoooo"},
        {"a failure", "F", "O"},
        {"failures of an open circuit", "FFF", "Ooo"},
        {"two good probes", "FGG", "OoC"},
        {"good probes that are not in a row", "FGFGFGG", "OoooooC"},
        {"a late call between probes is none", "FGLG", "OooC"},
        {"an answer between probes is none", "FGAAAG", "OooooC"},
        {"opens again, and closes", "FGGLLLGG", "OoCccOoC"},
        {"late calls before it opened do not count after", "LLFGGLL", "ccOoCcc"},
        {"a good probe of a closed circuit", "GGG", "ccc"},
        {"which is an answer too", "LLGL", "cccc"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct redis_circuit c;
        char is[16] = "";
        redis_circuit_init(&c);
        for (size_t n = 0; CASES[i].happens[n]; n++) {
            int64_t now_ms = 1000 + (int64_t)n;
            bool turned = false;
            switch (CASES[i].happens[n]) {
            case 'A':
                redis_circuit_on_answer(&c);
                break;
            case 'L':
                turned = redis_circuit_on_late(&c, now_ms, 0);
                break;
            case 'F':
                turned = redis_circuit_on_failure(&c, now_ms, 0);
                break;
            default:
                turned = redis_circuit_on_good_probe(&c, now_ms, 0);
                break;
            }
            is[n] = c.is_open ? (turned ? 'O' : 'o') : (turned ? 'C' : 'c');
        }
        if (strcmp(is, CASES[i].is) != 0)
            print_error("%s\n", CASES[i].name);
        assert_string_equal(is, CASES[i].is);
    }
}

/* The pauses before probes that all fail, by the least and the greatest chance. */
static void test_probes_become_rare(void **state)
{
    (void)state;
    static const struct {
        int64_t least_ms, most_ms;
    } PAUSES[] = {{500, 750}, {1000, 1500}, {2000, 3000}, {4000, 5000}, {4000, 5000}, {4000, 5000}};
    for (uint32_t random = 0; random < 20000; random += 7) {
        struct redis_circuit c;
        int64_t now_ms = 70000;
        redis_circuit_init(&c);
        for (size_t i = 0; i < sizeof PAUSES / sizeof PAUSES[0]; i++) {
            redis_circuit_on_failure(&c, now_ms, random);
            assert_in_range(c.probe_at_ms - now_ms, PAUSES[i].least_ms, PAUSES[i].most_ms);
            now_ms = c.probe_at_ms;
        }
    }
}

static void test_chance_is_used(void **state)
{
    (void)state;
    struct redis_circuit a, b;
    redis_circuit_init(&a);
    redis_circuit_init(&b);
    redis_circuit_on_failure(&a, 1000, 0);
    redis_circuit_on_failure(&b, 1000, 250);
    assert_int_equal(a.probe_at_ms, 1500);
    assert_int_equal(b.probe_at_ms, 1750);
}

/* The probe that decides comes soon, however long the pause had become; if it is bad, the pause goes on. */
static void test_second_probe_comes_soon(void **state)
{
    (void)state;
    struct redis_circuit c;
    redis_circuit_init(&c);
    for (int i = 0; i < 4; i++)
        redis_circuit_on_failure(&c, 1000, 0);
    assert_int_equal(c.probe_at_ms, 5000);
    redis_circuit_on_good_probe(&c, 5000, 0);
    assert_int_equal(c.probe_at_ms, 5500);
    redis_circuit_on_failure(&c, 5500, 0);
    assert_int_equal(c.probe_at_ms, 9500);
}

/* What fails as soon as it is used again is not asked twice a second for ever. */
static void test_fails_as_soon_as_it_is_used(void **state)
{
    (void)state;
    static const int64_t PAUSES_MS[] = {500, 1000, 2000, 4000, 4000};
    struct redis_circuit c;
    int64_t now_ms = 1000;
    redis_circuit_init(&c);
    for (size_t i = 0; i < sizeof PAUSES_MS / sizeof PAUSES_MS[0]; i++) {
        assert_true(redis_circuit_on_failure(&c, now_ms, 0));
        assert_int_equal(c.probe_at_ms - now_ms, PAUSES_MS[i]);
        redis_circuit_on_good_probe(&c, now_ms + 5000, 0);
        assert_true(redis_circuit_on_good_probe(&c, now_ms + 5500, 0));
        now_ms += 5500 + CIRCUIT_STEADY_MS - 1;
    }
    now_ms++; /* it was steady for long enough */
    assert_true(redis_circuit_on_failure(&c, now_ms, 0));
    assert_int_equal(c.probe_at_ms - now_ms, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_probes_become_rare),
        cmocka_unit_test(test_chance_is_used),
        cmocka_unit_test(test_second_probe_comes_soon),
        cmocka_unit_test(test_fails_as_soon_as_it_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
