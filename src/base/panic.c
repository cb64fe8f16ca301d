/* panic.c - see panic.h. */
#include "base/panic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *context_now;

void panic_set_context(const char *context)
{
    context_now = context;
}

void panic_at(const char *file, int line, const char *fmt, ...)
{
    char text[1024];
    int n = snprintf(text, sizeof text, "<2>mailweir: broken promise at %s:%d%s%s: ", file, line,
                     context_now ? " while working on " : "", context_now ? context_now : "");
    va_list args;
    va_start(args, fmt);
    if (n > 0 && (size_t)n < sizeof text)
        n += vsnprintf(text + n, sizeof text - (size_t)n, fmt, args);
    va_end(args);
    size_t len = n < 0 ? 0 : MIN_OF((size_t)n, sizeof text - 2);
    text[len++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, text, len);
    (void)ignored;
    abort();
}
