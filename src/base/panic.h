/*
 * panic.h - a broken promise of our own. Says what, and ends the process by SIGABRT: the supervisor restarts the
 * worker, and nothing but its own connections is lost. Never for what comes from outside, nor for lack of memory.
 */
#ifndef BASE_PANIC_H
#define BASE_PANIC_H

#include "base/defs.h"

NORETURN void panic_at(const char *file, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* What the process is working on (a session's id), said by a panic. Borrowed; NULL: nothing. */
void panic_set_context(const char *context);

#define PANIC(...)          panic_at(__FILE__, __LINE__, __VA_ARGS__)
#define PANIC_IF(cond, ...) ((cond) ? panic_at(__FILE__, __LINE__, __VA_ARGS__) : (void)0)

#endif
