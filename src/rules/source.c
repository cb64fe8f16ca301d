/* source.c - reads files and globs, and finds places in them again. See source.h. */
#include "rules/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/grow.h"

void source_set_init(struct source_set *set, const struct source_builtin *builtins, size_t count)
{
    *set = (struct source_set){.builtins = builtins, .builtin_count = builtins ? count : 0};
    /* texts, and a little for names */
    arena_init(&set->arena, (size_t)SOURCE_MAX_BYTES + (8u << 20));
}

void source_set_fini(struct source_set *set)
{
    arena_fini(&set->arena);
    free(set->files);
    *set = (struct source_set){0};
}

static struct str folder_of(struct str name)
{
    size_t slash = str_find_last(name, '/');
    return slash == name.len ? STR("") : str_sub(name, 0, slash + 1);
}

static struct source_file *file_add(struct source_set *set, struct str name, struct str text, struct err *err)
{
    if (set->count >= SOURCE_MAX_FILES) {
        err_set(err, "more than %d files", SOURCE_MAX_FILES);
        return NULL;
    }
    if (text.len > SOURCE_MAX_BYTES - set->bytes) {
        err_set(err, "all files together are larger than %dM", SOURCE_MAX_BYTES >> 20);
        return NULL;
    }
    if (!GROW(&set->files, set->count + 1, &set->cap, 16)) {
        err_no_memory(err);
        return NULL;
    }
    if (str_starts(text, STR("\xEF\xBB\xBF")))
        text = str_from(text, 3);
    struct source_file file = {.name = arena_copy(&set->arena, name), .text = arena_copy(&set->arena, text)};
    if (!file.name.ptr || !file.text.ptr) {
        err_no_memory(err);
        return NULL;
    }
    file.folder = folder_of(file.name);
    set->bytes += text.len;
    set->files[set->count] = file;
    return &set->files[set->count++];
}

/* All of an open file; its size is not believed, it may grow while it is read. */
static bool read_all(int fd, struct buf *to, struct err *err)
{
    for (;;) {
        char *room = buf_reserve(to, 16384);
        if (!room) {
            if (buf_len(to) > SOURCE_MAX_FILE_BYTES - 16384)
                return err_set(err, "larger than %dM", SOURCE_MAX_FILE_BYTES >> 20);
            return err_no_memory(err);
        }
        ssize_t got = read(fd, room, 16384);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set(err, "%s", strerror(errno));
        if (got == 0)
            return true;
        buf_commit(to, (size_t)got);
    }
}

static bool read_open_file(struct source_set *set, int fd, struct str name, uint32_t *index, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_set(err, "%s", strerror(errno));
    if (S_ISDIR(st.st_mode))
        return err_set(err, "%s", strerror(EISDIR));
    if (!S_ISREG(st.st_mode))
        return err_set(err, "not a regular file");
    for (uint32_t i = 0; i < set->count; i++) {
        const struct source_file *f = &set->files[i];
        if (!f->is_builtin && f->device == (uint64_t)st.st_dev && f->inode == (uint64_t)st.st_ino) {
            *index = i;
            return true;
        }
    }
    struct buf text;
    buf_init(&text, SOURCE_MAX_FILE_BYTES);
    struct source_file *file = NULL;
    if (read_all(fd, &text, err))
        file = file_add(set, name, buf_str(&text), err);
    buf_fini(&text);
    if (!file)
        return false;
    file->device = (uint64_t)st.st_dev;
    file->inode = (uint64_t)st.st_ino;
    *index = set->count - 1;
    return true;
}

bool source_read(struct source_set *set, struct str name, uint32_t *index, struct err *err)
{
    char *path = str_copy_z(name);
    if (!path)
        return err_no_memory(err);
    /* not blocking: a name may turn out to be a pipe that nobody writes to */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        err_set(err, "%s", strerror(errno));
    free(path);
    if (fd < 0)
        return false;
    bool read = read_open_file(set, fd, name, index, err);
    close(fd);
    return read;
}

bool source_find_builtin(struct source_set *set, struct str name, uint32_t *index, struct err *err)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->files[i].is_builtin && str_equal(set->files[i].name, name)) {
            *index = i;
            return true;
        }
    }
    for (size_t i = 0; i < set->builtin_count; i++) {
        const struct source_builtin *b = &set->builtins[i];
        if (str_equal(str_of_z(b->name), name))
            return source_add_text(set, name, str_of(b->text, b->len), index, err);
    }
    return err_set(err, "%s", strerror(ENOENT));
}

bool source_add_text(struct source_set *set, struct str name, struct str text, uint32_t *index, struct err *err)
{
    if (text.len > SOURCE_MAX_FILE_BYTES)
        return err_set(err, "larger than %dM", SOURCE_MAX_FILE_BYTES >> 20);
    struct source_file *file = file_add(set, name, text, err);
    if (!file)
        return false;
    file->is_builtin = true;
    *index = set->count - 1;
    return true;
}

struct str source_join(const struct source_set *set, uint32_t from, struct str name, struct arena *arena)
{
    if (str_starts(name, STR("/")))
        return arena_copy(arena, name);
    struct str folder = set->files[from].folder;
    char *to = arena_alloc(arena, folder.len + name.len + 1);
    if (!to)
        return STR_NONE;
    memcpy(to, folder.ptr, folder.len);
    memcpy(to + folder.len, name.ptr, name.len);
    return str_of(to, folder.len + name.len);
}

bool source_is_glob(struct str name)
{
    return str_find(name, '*') < name.len || str_find(name, '?') < name.len || str_find(name, '[') < name.len;
}

static bool glob_builtins(const struct source_set *set, struct str pattern, struct arena *arena, struct str **names,
                          size_t *count, struct err *err)
{
    *count = 0;
    *names = arena_alloc(arena, (set->builtin_count + 1) * sizeof **names);
    if (!*names)
        return err_no_memory(err);
    /* the table is written in order; no sorting */
    for (size_t i = 0; i < set->builtin_count; i++)
        if (fnmatch(pattern.ptr, set->builtins[i].name, FNM_PATHNAME | FNM_PERIOD) == 0)
            (*names)[(*count)++] = str_of_z(set->builtins[i].name);
    return true;
}

/* The pattern behind its includer's folder, whose own letters are no pattern: they are escaped. */
static struct str glob_join(const struct source_set *set, uint32_t from, struct str pattern, struct arena *arena)
{
    struct str folder = str_starts(pattern, STR("/")) ? STR("") : set->files[from].folder;
    char *to = arena_alloc(arena, folder.len * 2 + pattern.len + 1);
    if (!to)
        return STR_NONE;
    size_t len = 0;
    for (size_t i = 0; i < folder.len; i++) {
        if (strchr("*?[\\", folder.ptr[i]))
            to[len++] = '\\';
        to[len++] = folder.ptr[i];
    }
    memcpy(to + len, pattern.ptr, pattern.len);
    return str_of(to, len + pattern.len);
}

/* The folder in which a glob begins to look must be there: a misspelt one would silently match nothing. */
static bool glob_folder_is_there(const struct source_set *set, uint32_t from, struct str pattern, struct arena *arena,
                                 struct err *err)
{
    size_t fixed = 0;
    for (size_t i = 0; i < pattern.len && !strchr("*?[", pattern.ptr[i]); i++)
        if (pattern.ptr[i] == '/')
            fixed = i + 1;
    struct str folder = source_join(set, from, str_sub(pattern, 0, fixed), arena);
    if (!folder.ptr)
        return err_no_memory(err);
    DIR *dir = opendir(folder.len ? folder.ptr : ".");
    if (!dir)
        return err_set(err, "%s", strerror(errno));
    closedir(dir);
    return true;
}

bool source_glob(const struct source_set *set, uint32_t from, struct str pattern, struct arena *arena,
                 struct str **names, size_t *count, struct err *err)
{
    if (set->files[from].is_builtin) {
        struct str whole = source_join(set, from, pattern, arena);
        return whole.ptr ? glob_builtins(set, whole, arena, names, count, err) : err_no_memory(err);
    }
    if (!glob_folder_is_there(set, from, pattern, arena, err))
        return false;
    struct str whole = glob_join(set, from, pattern, arena);
    if (!whole.ptr)
        return err_no_memory(err);
    glob_t found = {0};
    int result = glob(whole.ptr, 0, NULL, &found);
    bool fine = result == 0 || result == GLOB_NOMATCH;
    *count = result == 0 ? found.gl_pathc : 0;
    *names = arena_alloc(arena, (*count + 1) * sizeof **names);
    for (size_t i = 0; *names && i < *count; i++) {
        (*names)[i] = arena_copy(arena, str_of_z(found.gl_pathv[i]));
        if (!(*names)[i].ptr)
            *names = NULL;
    }
    globfree(&found);
    if (!fine && result != GLOB_NOSPACE)
        return err_set(err, "its folders cannot be read");
    return *names && fine ? true : err_no_memory(err);
}

const struct source_file *source_file_get(const struct source_set *set, uint32_t index)
{
    return &set->files[index];
}

struct str source_line(const struct source_set *set, struct place at)
{
    struct str text = set->files[at.file].text;
    size_t from = MIN_OF((size_t)at.offset, text.len), to = from;
    while (from > 0 && text.ptr[from - 1] != '\n')
        from--;
    while (to < text.len && text.ptr[to] != '\n')
        to++;
    if (to > from && text.ptr[to - 1] == '\r')
        to--;
    return str_sub(text, from, to - from);
}

size_t source_char_len(struct str s, size_t at, bool *is_valid)
{
    unsigned char lead = (unsigned char)s.ptr[at];
    size_t len = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    *is_valid = at + len <= s.len && str_is_utf8(str_sub(s, at, len));
    return *is_valid ? len : 1;
}

int place_compare(struct place a, struct place b)
{
    if (a.file != b.file)
        return a.file < b.file ? -1 : 1;
    if (a.line != b.line)
        return a.line < b.line ? -1 : 1;
    return a.col == b.col ? 0 : a.col < b.col ? -1 : 1;
}
