/* redis_suite.h - the suite that every store passes, on real Redis that the test starts. After each case every key
 * there must have an expiry. */
#ifndef TESTS_LIMITS_REDIS_SUITE_H
#define TESTS_LIMITS_REDIS_SUITE_H

#include "redis/redis.h"

/* All a program does: `PROGRAM [CASE]`. */
int redis_suite_main(enum redis_shape shape, const char *name, int argc, char **argv);

#endif
