/* log.c - see log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/escape.h"

static enum log_level level_now = LOG_LEVEL_INFO;
static const char *name_now;

void log_set_level(enum log_level level)
{
    level_now = level;
}

void log_set_name(const char *name)
{
    name_now = name;
}

bool log_is_on(enum log_level level)
{
    return level <= level_now;
}

/* systemd tells a service by JOURNAL_STREAM="dev:inode" that its stderr is the journal; the two must agree. */
static bool stderr_is_journal(void)
{
    static int known = -1;
    if (known < 0) {
        const char *stream = getenv("JOURNAL_STREAM");
        struct stat st;
        char own[64] = "";
        if (stream && fstat(STDERR_FILENO, &st) == 0)
            snprintf(own, sizeof own, "%lu:%lu", (unsigned long)st.st_dev, (unsigned long)st.st_ino);
        known = stream && str_equal(str_of_z(stream), str_of_z(own));
    }
    return known;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    static const char *const JOURNAL[] = {"<3>", "<4>", "<6>", "<7>"};
    static const char *const WORDS[] = {"error: ", "warning: ", "", "debug: "};
    if (!log_is_on(level))
        return;
    char text[2048];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0)
        return;
    struct buf line;
    buf_init(&line, 16384);
    bool ok = buf_printf(&line, "%s", stderr_is_journal() ? JOURNAL[level] : "mailweir: ") &&
              (!name_now || buf_printf(&line, "%s: ", name_now)) && buf_printf(&line, "%s", WORDS[level]) &&
              escape_text(&line, str_of(text, MIN_OF((size_t)n, sizeof text - 1))) && buf_append_char(&line, '\n');
    if (ok) {
        ssize_t ignored = write(STDERR_FILENO, buf_str(&line).ptr, buf_len(&line));
        (void)ignored;
    }
    buf_fini(&line);
}
