/*
 * rate.h - the rates of limits, where they stand in a table: `overrides quotas` (RULES.md "Limits").
 */
#ifndef RULES_RATE_H
#define RULES_RATE_H

#include "rules/tree.h"

/* GRAMMAR.md 6. */
enum { RATE_MAX_COUNT = 2147483647, RATE_MIN_PERIOD_MS = 1000 };
#define RATE_MAX_PERIOD_MS (INT64_C(366) * 86400000)
#define RATE_MIN_BYTES     INT64_C(1024)
#define RATE_MAX_BYTES     (INT64_C(1024) << 30)

/* Reads what a limit of that unit may have: COUNT/PERIOD, of open-connections a number. False: err, `"x" is not a
 * rate`. */
MUST_USE bool rate_read(enum unit unit, struct str text, struct value *v, struct err *err);
/* May it stand in a table that limits of those units (a mask of 1u << enum unit) take their rates from? `none` may,
 * too. */
MUST_USE bool rate_fits(unsigned units, struct str text, struct err *err);

#endif
