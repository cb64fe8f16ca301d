/* redis_slots_words.c - the words of commands on counters of slots. See redis_slots_inside.h. */
#include "limits/redis_slots_inside.h"

void command_say(struct command *c, struct str word)
{
    c->words[c->count++] = word;
}

/* n in digits, behind a sign. */
static void say_signed(struct command *c, char sign, uint64_t n)
{
    char *text = c->texts[c->count];
    struct str digits = str_of_u64(text + 1, n); /* it lies at the end of its room */
    size_t at = (size_t)(digits.ptr - text) - (sign != 0);
    if (sign)
        text[at] = sign;
    command_say(c, str_of(text + at, digits.len + (sign != 0)));
}

void command_say_number(struct command *c, int64_t n)
{
    say_signed(c, n < 0 ? '-' : 0, n < 0 ? (uint64_t)0 - (uint64_t)n : (uint64_t)n);
}

static void say_cell(struct command *c, uint64_t cell)
{
    say_signed(c, '#', cell);
}

void command_begin(struct command *c, struct str verb, struct str stem, uint64_t window)
{
    c->count = 0;
    command_say(c, verb);
    command_say(c, redis_key_of_window(stem, window, c->key, sizeof c->key));
}

void command_say_expiry(struct command *c, uint64_t window, uint32_t period_s)
{
    command_say_number(c, (int64_t)((window + 2) * period_s * 1000 + 5000));
}

void command_begin_bitfield(struct command *c, struct str stem, uint64_t window)
{
    command_begin(c, STR("BITFIELD"), stem, window);
    command_say(c, STR("OVERFLOW"));
    command_say(c, STR("SAT"));
}

void command_say_field(struct command *c, struct str verb, uint64_t cell)
{
    command_say(c, verb);
    command_say(c, STR("u32"));
    say_cell(c, cell);
}

void command_say_header(struct command *c, uint32_t period_s, uint32_t number)
{
    command_say_field(c, STR("SET"), SLOTS_HEADER_AT);
    command_say_number(c, period_s);
    command_say_field(c, STR("SET"), SLOTS_HEADER_AT + 1);
    command_say_number(c, number);
}
