/* command.c - where a line ends, and which command it is. See command.h. */
#include "smtp/command.h"

#include <string.h>

/* The first byte of `s` that no line may hold: a NUL, or a CR. The last byte may be a CR, because its LF may follow. */
static size_t find_fault(struct str s)
{
    size_t nul = str_find(s, '\0');
    size_t cr = str_find(s, '\r');
    if (cr + 1 == s.len)
        cr = s.len;
    return MIN_OF(nul, cr);
}

enum smtp_line_result smtp_line_find(struct str in, size_t max, struct str *line, size_t *consumed)
{
    struct str window = str_sub(in, 0, max);
    size_t lf = str_find(window, '\n');
    struct str before = str_sub(window, 0, lf);
    bool has_lf = lf < window.len;
    bool ends_in_cr = before.len && before.ptr[before.len - 1] == '\r';
    size_t fault = find_fault(before);

    *consumed = 0;
    *line = str_sub(before, 0, before.len - ends_in_cr);
    if (fault < before.len || (has_lf && !ends_in_cr)) {
        *line = str_sub(before, 0, fault);
        *consumed = fault + 1;
        return SMTP_LINE_BAD;
    }
    if (has_lf) {
        *consumed = lf + 1;
        return SMTP_LINE_COMPLETE;
    }
    if (window.len < max)
        return SMTP_LINE_MORE;
    *consumed = line->len;
    return SMTP_LINE_TOO_LONG;
}

bool smtp_line_skip(struct str in, size_t *consumed)
{
    for (size_t from = 0; from < in.len;) {
        size_t lf = from + str_find(str_from(in, from), '\n');
        if (lf == in.len)
            break;
        if (lf > 0 && in.ptr[lf - 1] == '\r') {
            *consumed = lf + 1;
            return true;
        }
        from = lf + 1;
    }
    *consumed = in.len - (in.len && in.ptr[in.len - 1] == '\r');
    return false;
}

static const struct {
    struct str word;
    enum smtp_verb verb;
} VERB_ROWS[] = {
#define VERB(name) {STR(#name), SMTP_VERB_##name},
    SMTP_VERBS(VERB)
#undef VERB
        {STR("GET"), SMTP_VERB_FOREIGN},
    {STR("POST"), SMTP_VERB_FOREIGN},
    {STR("CONNECT"), SMTP_VERB_FOREIGN},
};

struct smtp_command smtp_command_split(struct str line)
{
    struct smtp_command command = {.verb = SMTP_VERB_UNKNOWN, .has_control = str_has_control(line)};
    command.word = str_split(line, ' ', &command.argument);
    command.argument = str_trim(command.argument);
    for (size_t i = 0; i < COUNT_OF(VERB_ROWS); i++)
        if (str_equal_nocase(command.word, VERB_ROWS[i].word))
            command.verb = VERB_ROWS[i].verb;
    return command;
}

const char *smtp_verb_name(enum smtp_verb verb)
{
    if (verb == SMTP_VERB_FOREIGN)
        return "foreign";
    for (size_t i = 0; i < COUNT_OF(VERB_ROWS); i++)
        if (VERB_ROWS[i].verb == verb)
            return VERB_ROWS[i].word.ptr;
    return "unknown";
}
