/* table_image.c - images between processes, and the patterns that each process makes of one for itself. See table.h. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "rules/table_inside.h"

/* A lookup in a large table is two or three looks at memory that no cache holds. In pages of 4 KiB each costs as much
 * again to find out where it lies; so large images lie in large pages where the system has them. */
enum { LARGE_PAGE_BYTES = 2 << 20, LARGE_IMAGE_BYTES = 8 << 20, RELEASED_PATTERNS = 100 };

struct table_image *table_image_alloc(size_t bytes, size_t *mapped_bytes)
{
    *mapped_bytes = 0;
    if (bytes < LARGE_IMAGE_BYTES)
        return calloc(1, bytes);
    size_t whole = (bytes + LARGE_PAGE_BYTES - 1) / LARGE_PAGE_BYTES * LARGE_PAGE_BYTES;
    char *at = mmap(NULL, whole + LARGE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    /* it begins where a large page can; what is too much at both ends goes */
    size_t before = -(uintptr_t)at % LARGE_PAGE_BYTES;
    if (before)
        munmap(at, before);
    munmap(at + before + whole, LARGE_PAGE_BYTES - before);
    madvise(at + before, whole, MADV_HUGEPAGE); /* or it is only slower */
    *mapped_bytes = whole;
    return (void *)(at + before);
}

/* An empty table has an image, too, where it travels. */
static const struct table_image *image_or_empty(const struct lookup *t, struct table_image *empty)
{
    if (t->image)
        return t->image;
    *empty = (struct table_image){.magic = "mwtable", .type = t->type, .bytes = sizeof *empty};
    return empty;
}

bool lookup_write_image(const struct lookup *t, int fd, struct err *err)
{
    struct table_image empty;
    const struct table_image *image = image_or_empty(t, &empty);
    const char *from = (const char *)image;
    size_t left = image->bytes;
    while (left > 0) {
        ssize_t n = write(fd, from, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(err, "cannot hold the table in memory: %s", strerror(n < 0 ? errno : ENOSPC));
        from += n;
        left -= (size_t)n;
    }
    return true;
}

static bool segments_fit(const struct table_image *image, const struct table_segments *s, size_t key_bytes)
{
    uint64_t sample_count = ((uint64_t)s->count + TABLE_SAMPLE_STEP - 1) / TABLE_SAMPLE_STEP;
    return s->sample_count == sample_count && s->samples_at <= image->bytes && s->keys_at <= image->bytes &&
           s->values_at <= image->bytes && s->sample_count * key_bytes <= image->bytes - s->samples_at &&
           s->count * key_bytes <= image->bytes - s->keys_at &&
           (s->values_at == 0 || s->count * sizeof(uint32_t) <= image->bytes - s->values_at) &&
           s->keys_at % TABLE_ALIGN == 0 && s->samples_at % TABLE_ALIGN == 0 && s->values_at % TABLE_ALIGN == 0;
}

/* Do its parts lie inside? Their contents are believed: who made it is of our house. */
static bool image_is_whole(const struct table_image *image, size_t bytes, enum table_type type)
{
    return memcmp(image->magic, "mwtable", sizeof image->magic) == 0 && image->type == type && image->bytes == bytes &&
           image->slots_at <= bytes && image->slot_count <= (bytes - image->slots_at) / sizeof(struct table_slot) &&
           image->slots_at % TABLE_ALIGN == 0 && image->blob_at <= bytes &&
           image->blob_bytes <= bytes - image->blob_at && segments_fit(image, &image->v4, sizeof(uint32_t)) &&
           segments_fit(image, &image->v6, sizeof(u128));
}

bool lookup_map_image(struct lookup *t, const struct lookup *like, int fd, struct err *err)
{
    struct stat st;
    lookup_init(t, like->type, like->name);
    t->path = like->path;
    t->rate_units = like->rate_units;
    if (fstat(fd, &st) != 0 || st.st_size < (off_t)sizeof(struct table_image))
        return err_set(err, "no table came");
    size_t bytes = (size_t)st.st_size;
    void *image = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (image == MAP_FAILED)
        return err_set(err, "cannot map a table: %s", strerror(errno));
    if (!image_is_whole(image, bytes, t->type)) {
        munmap(image, bytes);
        return err_set(err, "what came is no table");
    }
    t->image = image;
    t->mapped_bytes = bytes;
    return true;
}

/* The n-th pattern begins where the one before it ends. */
static struct str pattern_text(const struct table_image *image, size_t *at)
{
    struct table_record r;
    memcpy(&r, image_at(image, image->blob_at + *at), sizeof r);
    struct str text = str_of(image_at(image, image->blob_at + *at + sizeof r), r.key_len);
    *at += sizeof r + r.key_len;
    return text;
}

static size_t skip_patterns(const struct table_image *image, size_t count)
{
    size_t at = 0;
    while (count-- > 0)
        (void)pattern_text(image, &at);
    return at;
}

static struct pattern *compile(const struct lookup *t, struct str text)
{
    char where[128];
    struct err err;
    struct buf said;
    buf_init(&said, sizeof where);
    bool ok = buf_printf(&said, "table \"" PRI_STR "\"", STR_ARG(str_sub(t->name, 0, 64)));
    struct str name = ok ? str_copy_into(where, sizeof where, buf_str(&said)) : STR("a table");
    struct pattern *p = pattern_new(text, name, &err);
    buf_fini(&said);
    if (!p)
        log_warning("a pattern of table \"" PRI_STR "\" is left out: %s", STR_ARG(t->name), err.text);
    return p;
}

bool lookup_compile_patterns(struct lookup *t, size_t count)
{
    if (t->type != TABLE_PATTERNS || !t->image || t->pattern_count == t->image->count)
        return true;
    if (!t->patterns) {
        t->patterns = calloc(t->image->count, sizeof(struct pattern *));
        if (!t->patterns) {
            log_warning("no memory for the patterns of table \"" PRI_STR "\": none matches", STR_ARG(t->name));
            return true;
        }
    }
    size_t at = skip_patterns(t->image, t->pattern_count);
    for (; count > 0 && t->pattern_count < t->image->count; count--)
        t->patterns[t->pattern_count++] = compile(t, pattern_text(t->image, &at));
    return t->pattern_count == t->image->count;
}

void lookup_exchange(struct lookup *t, struct lookup *with)
{
    struct lookup other = *with;
    *with = *t;
    *t = other;
    t->name = with->name;
    t->path = with->path;
}

bool lookup_release(struct lookup *t)
{
    for (unsigned i = 0; i < RELEASED_PATTERNS && t->pattern_count > 0; i++)
        pattern_free(&t->patterns[--t->pattern_count]);
    if (t->pattern_count > 0)
        return false;
    if (!t->is_released)
        t->kept_bytes = t->mapped_bytes;
    t->is_released = true;
    if (t->kept_bytes > 0) {
        size_t from = (t->kept_bytes - 1) / LARGE_PAGE_BYTES * LARGE_PAGE_BYTES;
        madvise((char *)(uintptr_t)t->image + from, t->kept_bytes - from, MADV_DONTNEED);
        t->kept_bytes = from;
        return false;
    }
    lookup_fini(t);
    return true;
}

void table_image_free(struct lookup *t)
{
    for (size_t i = 0; i < t->pattern_count; i++)
        pattern_free(&t->patterns[i]);
    free(t->patterns);
    if (t->mapped_bytes)
        munmap((void *)(uintptr_t)t->image, t->mapped_bytes);
    else
        free((void *)(uintptr_t)t->image);
    t->patterns = NULL;
    t->pattern_count = 0;
    t->image = NULL;
    t->mapped_bytes = t->kept_bytes = 0;
    t->is_released = false;
}
