/*
 * log.h - a process's own words, for the administrator, on stderr: what it cannot do and what to do about it. What
 * happens to mail is said in events (stats/event.h), not here.
 *
 * One line a call, at most 2 KiB, control characters escaped. Where stderr is the journal, "<3>" … "<7>" stands before
 * the line (PROTOCOLS.md 9).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/defs.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
/* The process's name, said before every line ("worker 2"). Borrowed. */
void log_set_name(const char *name);
bool log_is_on(enum log_level level);

void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   (log_is_on(LOG_LEVEL_DEBUG) ? log_line(LOG_LEVEL_DEBUG, __VA_ARGS__) : (void)0)

#endif
