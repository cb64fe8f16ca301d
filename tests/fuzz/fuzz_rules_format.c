// uses: rules
/*
 * fuzz_rules_format.c - `mailweir fmt`. Promises held: what has no error gets a layout, and that is found to say the
 * same; laid out twice is laid out once; what has errors gets none. No line ends with a space.
 */
#include "base/panic.h"
#include "rules/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum format_result format(struct str text, struct buf *to)
{
    struct source_set sources;
    struct diagnostics d;
    struct err err;
    uint32_t file;
    source_set_init(&sources, NULL, 0);
    diag_init(&d, &sources);
    buf_init(to, 256u << 20);
    PANIC_IF(!source_add_text(&sources, STR("fuzz.rules"), text, &file, &err), "%s", err.text);
    enum format_result result = rules_format(&sources, file, &d, to);
    PANIC_IF((result == FORMAT_HAS_ERRORS) != diag_has_errors(&d), "errors, and none said");
    PANIC_IF(result != FORMAT_DONE && buf_len(to), "no layout, and a text");
    diag_fini(&d);
    source_set_fini(&sources);
    return result;
}

static void check_lines(struct str text)
{
    while (text.len) {
        struct str line = str_split(text, '\n', &text);
        PANIC_IF(line.len && line.ptr[line.len - 1] == ' ', "a line ends with a space");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf once, twice;
    enum format_result result = format(str_of((const char *)data, size), &once);
    PANIC_IF(result == FORMAT_FAULT, "it would not say the same");
    if (result == FORMAT_DONE) {
        check_lines(buf_str(&once));
        PANIC_IF(format(buf_str(&once), &twice) != FORMAT_DONE, "what came out has no layout");
        PANIC_IF(!str_equal(buf_str(&once), buf_str(&twice)), "not laid out for good");
        buf_fini(&twice);
    }
    buf_fini(&once);
    return 0;
}
