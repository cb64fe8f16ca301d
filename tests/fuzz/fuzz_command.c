// uses: smtp
/*
 * fuzz_command.c - lines and verbs. Promises held: the verdict on a line does not depend on how its bytes were cut, a
 * complete line holds no CR, LF or NUL, and skipping a refused one ends at a CRLF and nowhere else.
 */
#include <string.h>

#include "base/panic.h"
#include "smtp/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_split(struct str in, size_t max)
{
    struct str whole_line, line;
    size_t whole_consumed, consumed;
    enum smtp_line_result whole = smtp_line_find(in, max, &whole_line, &whole_consumed);
    enum smtp_line_result result = SMTP_LINE_MORE;
    for (size_t len = 0; len <= in.len && result == SMTP_LINE_MORE; len++)
        result = smtp_line_find(str_sub(in, 0, len), max, &line, &consumed);
    PANIC_IF(result != whole || consumed != whole_consumed || !str_equal(line, whole_line), "the cuts matter");
}

static void check_skip(struct str in, size_t from)
{
    size_t consumed;
    bool found = smtp_line_skip(str_from(in, from), &consumed);
    PANIC_IF(consumed > in.len - from, "skipped beyond the end");
    PANIC_IF(found && (consumed < 2 || memcmp(in.ptr + from + consumed - 2, "\r\n", 2) != 0), "skipped to no CRLF");
    PANIC_IF(!found && in.len - from - consumed > 1, "skipping stopped early");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_of((const char *)data, size), line;
    size_t max = size > 600 ? 512 : 64, from = 0, consumed;
    check_split(in, max);
    for (;;) {
        enum smtp_line_result result = smtp_line_find(str_from(in, from), max, &line, &consumed);
        if (result == SMTP_LINE_MORE)
            return 0;
        PANIC_IF(consumed == 0, "no progress");
        from += consumed;
        if (result != SMTP_LINE_COMPLETE) {
            check_skip(in, from);
            continue;
        }
        struct smtp_command command = smtp_command_split(line);
        PANIC_IF(line.len + 2 > max, "a line longer than allowed");
        PANIC_IF(str_find(line, '\r') + str_find(line, '\n') + str_find(line, '\0') != 3 * line.len,
                 "a line with a break");
        PANIC_IF(command.verb != SMTP_VERB_UNKNOWN && command.word.len < 3, "no such verb");
        PANIC_IF(!command.has_control && str_has_control(command.argument), "a control character got through");
    }
}
