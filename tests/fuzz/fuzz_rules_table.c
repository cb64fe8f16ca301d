// uses: rules
/*
 * fuzz_rules_table.c - files of tables: whatever they hold, they are taken or refused with places that lie in them;
 * what is taken answers, the same after its image went through a file; and nobody waits for a pattern.
 *
 * The input: the table's type (its first byte), what is asked (up to the first LF), and the file.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/panic.h"
#include "rules/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t count_lines(struct str text)
{
    uint32_t n = 1;
    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == '\n';
    return n;
}

static void check_faults(struct diagnostics *d, struct str file)
{
    struct buf said;
    PANIC_IF(d->error_count == 0 || d->error_count > DIAG_MAX_SHOWN, "%zu errors", d->error_count);
    for (size_t i = 0; i < d->count; i++)
        PANIC_IF(!place_is_known(d->items[i].at) || d->items[i].at.line > count_lines(file), "a place that is none");
    buf_init(&said, 1 << 20);
    PANIC_IF(!diag_print(d, &said), "what is wrong cannot be printed");
    PANIC_IF(!str_is_utf8(buf_str(&said)), "what is printed is no UTF-8");
    buf_fini(&said);
}

/* All that can be asked, as one number. */
static uint64_t answers(const struct lookup *t, struct str asked)
{
    struct fact text = {.kind = FACT_TEXT, .text = asked}, ip = {.kind = FACT_IP}, none = {.kind = FACT_NONE};
    uint64_t sum = lookup_has(t, &text);
    if (t->type == TABLE_MAP) {
        const struct lookup_values *values = lookup_get(t, &text);
        PANIC_IF((values != NULL) != lookup_has(t, &text), "in it, and without values");
        for (struct str v = lookup_values_next(&values); v.ptr; v = lookup_values_next(&values))
            sum += v.len * 2;
    }
    if (ip_parse(asked, &ip.ip)) {
        struct str value = lookup_net_value(t, &ip);
        sum += lookup_has(t, &ip) ? 1000 : 0;
        PANIC_IF(t->type == TABLE_NETMAP && (value.ptr != NULL) != lookup_has(t, &ip), "in it, and without a value");
        sum += t->type == TABLE_NETMAP ? value.len * 1000000 : 0;
    }
    PANIC_IF(lookup_has(t, &none), "none is in it");
    return sum;
}

static void check_image(const struct lookup *t, struct str asked)
{
    struct lookup copy;
    struct err err;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    PANIC_IF(fd < 0 || !lookup_write_image(t, fd, &err), "no memory");
    PANIC_IF(!lookup_map_image(&copy, t, fd, &err), "its own image: %s", err.text);
    PANIC_IF(!lookup_compile_patterns(&copy, SIZE_MAX), "patterns that are never ready");
    close(fd);
    PANIC_IF(lookup_item_count(t) != lookup_item_count(&copy), "another count");
    PANIC_IF(answers(t, asked) != answers(&copy, asked), "another answer");
    lookup_fini(&copy);
}

/* Every key of a file of words is in it. */
static void check_words(const struct lookup *t, struct str file)
{
    for (struct str rest = file; rest.len;) {
        struct str line = str_split(rest, '\n', &rest);
        bool is_plain = line.len > 0 && line.len <= TABLE_ITEM_MAX_BYTES;
        for (size_t i = 0; i < line.len; i++)
            is_plain = is_plain && ascii_is_alnum(line.ptr[i]);
        struct fact x = {.kind = FACT_TEXT, .text = line};
        PANIC_IF(is_plain && !lookup_has(t, &x), "a word that is not found");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    log_set_level(LOG_LEVEL_ERROR); /* patterns that meet their limit would be told of, each */
    enum table_type type = (enum table_type)(data[0] % TABLE_TYPE_COUNT);
    struct str file, asked = str_split(str_of((const char *)data + 1, size - 1), '\n', &file);
    struct source_set sources;
    struct diagnostics d;
    struct lookup t;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    PANIC_IF(fd < 0 || (file.len && write(fd, file.ptr, file.len) != (ssize_t)file.len), "no memory");
    PANIC_IF(lseek(fd, 0, SEEK_SET) != 0, "no memory");
    source_set_init(&sources, NULL, 0);
    diag_init(&d, &sources);
    lookup_init(&t, type, STR("t"));
    if (lookup_read_open(&t, fd, &sources, STR("T"), PLACE_NONE, &d)) {
        (void)answers(&t, asked);
        check_image(&t, asked);
        if (type == TABLE_STRINGS)
            check_words(&t, file);
    } else {
        check_faults(&d, file);
    }
    lookup_fini(&t);
    diag_fini(&d);
    source_set_fini(&sources);
    close(fd);
    return 0;
}
