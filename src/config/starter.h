/* starter.h - the policy that is in force where a configuration has none of its own: lua-free-rules/submission.rules,
 * built in when mailweir is compiled. */
#ifndef CONFIG_STARTER_H
#define CONFIG_STARTER_H

#include "rules/source.h"

#define STARTER_RULES "built-in/submission.rules"

extern const struct source_builtin starter_builtins[];
extern const size_t starter_builtin_count;

#endif
