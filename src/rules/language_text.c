/* language_text.c - columns, and lines that are not too long. See language_internal.h. */
#include "rules/language_internal.h"

enum { FACT_INDENT = 4, FACT_TEXT = 16 };

static unsigned width_of(struct str text)
{
    unsigned width = 0;
    for (size_t i = 0; i < text.len; i++)
        width += ((unsigned char)text.ptr[i] & 0xC0) != 0x80; /* every character but its continuation bytes */
    return width;
}

void write_str(struct writer *w, struct str text)
{
    w->fits = w->fits && buf_append_str(w->to, text);
    w->col += width_of(text);
}

void write_z(struct writer *w, const char *text)
{
    write_str(w, str_of_z(text));
}

void write_line_end(struct writer *w)
{
    write_str(w, STR("\n"));
    w->col = 0;
}

void write_to_column(struct writer *w, unsigned col)
{
    do
        if (w->col || col)
            write_str(w, STR(" "));
    while (w->col < col);
}

void write_wrapped(struct writer *w, struct str text, unsigned indent)
{
    bool first = true;
    while (text.len) {
        struct str word = str_split(text, ' ', &text);
        if (!first && w->col + 1 + width_of(word) > LANGUAGE_WIDTH) {
            write_line_end(w);
            write_to_column(w, indent);
        } else if (!first) {
            write_str(w, STR(" "));
        }
        write_str(w, word);
        first = false;
    }
}

void write_fact(struct writer *w, const char *name, const char *text)
{
    write_to_column(w, FACT_INDENT);
    write_z(w, name);
    write_to_column(w, FACT_TEXT);
    write_wrapped(w, str_of_z(text), FACT_TEXT);
    write_line_end(w);
}
