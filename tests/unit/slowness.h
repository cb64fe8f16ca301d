/* slowness.h - how many times slower than usual this program runs: 1, or what whoever runs it under a tool says by
 * MAILWEIR_SLOWNESS (tests/run.sh does, for valgrind). Tests that hash many passwords then take fewer, and wait longer.
 */
#ifndef TESTS_SLOWNESS_H
#define TESTS_SLOWNESS_H

#include <stdlib.h>

static inline unsigned tests_slowness(void)
{
    const char *text = getenv("MAILWEIR_SLOWNESS");
    unsigned long n = text ? strtoul(text, NULL, 10) : 1;
    return n >= 1 && n <= 100 ? (unsigned)n : 1;
}

#endif
