/*
 * fmt.c - `mailweir fmt [-w] FILE…`: rules/format.h, for files.
 *
 * A file is written only when it changes, and only after the result was found to mean the same.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/replace.h"
#include "cli/cli.h"
#include "rules/format.h"

enum { TEXT_MAX_BYTES = 1 << 30 };

/* A byte order mark is no part of the text, but of the file. */
static bool is_unchanged(const char *path, struct str before, struct str after)
{
    struct stat st;
    return str_equal(before, after) && stat(path, &st) == 0 && (uint64_t)st.st_size == after.len;
}

static int write_back(const char *path, struct str before, struct str after)
{
    struct err err = {0};
    if (is_unchanged(path, before, after) || file_replace(path, after, &err))
        return CLI_DONE;
    fprintf(stderr, "mailweir fmt: %s\n", err.text);
    if (err.hint[0])
        fprintf(stderr, "  %s\n", err.hint);
    return CLI_NO;
}

/* Whether it got out is main's to say. */
static int print(struct str text)
{
    if (text.len)
        fwrite(text.ptr, 1, text.len, stdout);
    return CLI_DONE;
}

static int format_source(struct source_set *sources, uint32_t file, const char *path, bool writes)
{
    struct diagnostics d;
    struct buf text;
    int code = CLI_NO;
    diag_init(&d, sources);
    buf_init(&text, TEXT_MAX_BYTES);
    switch (rules_format(sources, file, &d, &text)) {
    case FORMAT_HAS_ERRORS:
        cli_print_diagnostics(&d);
        break;
    case FORMAT_FAULT:
        fprintf(stderr,
                "mailweir fmt: %s: what came out would not mean the same; the file stays as it is. Please report "
                "this as a fault.\n",
                path);
        code = CLI_INTERNAL;
        break;
    case FORMAT_DONE:
        code = writes ? write_back(path, source_file_get(sources, file)->text, buf_str(&text)) : print(buf_str(&text));
        break;
    }
    buf_fini(&text);
    diag_fini(&d);
    return code;
}

static int format_file(const char *path, bool writes)
{
    struct source_set sources;
    struct err err;
    uint32_t file;
    int code = CLI_NO;
    source_set_init(&sources, NULL, 0);
    if (source_read(&sources, str_of_z(path), &file, &err))
        code = format_source(&sources, file, path, writes);
    else
        fprintf(stderr, "mailweir fmt: cannot read \"%s\": %s\n", path, err.text);
    source_set_fini(&sources);
    return code;
}

int cli_fmt(int argc, char **argv)
{
    bool writes = false;
    int first = 1, code = CLI_DONE;
    for (; first < argc && argv[first][0] == '-'; first++) {
        if (strcmp(argv[first], "-w") != 0)
            return cli_usage("fmt", "unknown option %s", argv[first]);
        writes = true;
    }
    if (first == argc)
        return cli_usage("fmt", "which file?");
    for (int i = first; i < argc; i++) {
        int one = format_file(argv[i], writes);
        code = one > code ? one : code;
    }
    return code;
}
