/* defs.h - the few words that every file uses. */
#ifndef BASE_DEFS_H
#define BASE_DEFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE            __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, a) __attribute__((format(printf, fmt, a)))
#define NORETURN            __attribute__((noreturn))
#define COUNT_OF(array)     (sizeof(array) / sizeof((array)[0]))

/* The struct that holds a member, from the member's address. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))
#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))

/* The one vocabulary of reads and writes. */
enum io_result { IO_OK, IO_AGAIN, IO_EOF, IO_FAILED };

/* Asynchronous work: DONE, the answer is there at once; STARTED, the callback comes exactly once, never from inside
 * start. */
enum started { DONE, STARTED };

#endif
