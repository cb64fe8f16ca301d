/* language.c - `mailweir language [WORD]`: rules/language.h, printed. */
#include <stdio.h>

#include "cli/cli.h"
#include "rules/language.h"

enum { WORD_MAX_BYTES = 256, TEXT_MAX_BYTES = 1 << 20 };

/* "store redis" is a word, however it was quoted. */
static struct str join(int argc, char **argv, struct buf *word)
{
    for (int i = 1; i < argc; i++) {
        bool fits = (i == 1 || buf_append_char(word, ' ')) && buf_append_str(word, str_of_z(argv[i]));
        if (!fits)
            break; /* no word of the language is that long */
    }
    return buf_str(word);
}

static int unknown(struct str word, struct str nearest)
{
    fprintf(stderr, "mailweir language: there is no word \"" PRI_STR "\"", STR_ARG(word));
    if (nearest.len)
        fprintf(stderr, "; did you mean \"" PRI_STR "\"?", STR_ARG(nearest));
    fputc('\n', stderr);
    return CLI_NO;
}

bool cli_print_word(int argc, char **argv)
{
    struct buf word, text;
    struct str nearest = STR_NONE;
    size_t count = 0;
    buf_init(&word, WORD_MAX_BYTES);
    buf_init(&text, TEXT_MAX_BYTES);
    bool is_there = language_print_word(join(argc, argv, &word), &text, &count, &nearest) && count > 0;
    if (is_there)
        fwrite(buf_str(&text).ptr, 1, buf_len(&text), stdout);
    buf_fini(&text);
    buf_fini(&word);
    return is_there;
}

int cli_language(int argc, char **argv)
{
    struct buf word, text;
    struct str nearest = STR_NONE;
    size_t count = 1;
    buf_init(&word, WORD_MAX_BYTES);
    buf_init(&text, TEXT_MAX_BYTES);
    struct str asked = join(argc, argv, &word);
    bool fits = argc > 1 ? language_print_word(asked, &text, &count, &nearest) : language_print_overview(&text);
    int code = CLI_DONE;
    if (!fits) {
        fprintf(stderr, "mailweir language: no memory for what there is to say\n");
        code = CLI_INTERNAL;
    } else if (!count) {
        code = unknown(asked, nearest);
    } else {
        fwrite(buf_str(&text).ptr, 1, buf_len(&text), stdout);
    }
    buf_fini(&text);
    buf_fini(&word);
    return code;
}
