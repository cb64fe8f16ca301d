/*
 * users_file.c - the users file in memory. See users_file.h; users_write.c changes it on the disk.
 *
 * The whole text is kept as it was read, entries borrow their hashes from it; only names are copied, because the realm
 * completes them. A hundred thousand users are some 25 MB of which half is the file.
 */
#include "auth/users_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/users_line.h"
#include "base/arena.h"
#include "base/map.h"

struct users_file {
    char *text;
    size_t text_len;
    struct arena names;
    struct map by_name; /* -> struct user_entry, ignoring case */
    struct user_entry *entries;
    size_t count, cap;
    uint32_t *with_hash; /* indexes into entries, for stand-ins */
    size_t with_hash_count;
    struct str realm;
    bool open_to_all;
};

/* What reading a file has found to complain about: the first, and how many. */
struct complaints {
    const char *path;
    struct err *first;
    size_t count;
};

static void complain(struct complaints *c, uint32_t line, const struct err *err)
{
    if (c->count++ == 0) {
        *c->first = *err;
        err_prefix(c->first, "%s:%u", c->path, line);
    }
}

static bool entry_add(struct users_file *f, const struct users_line *line, struct str name, uint32_t number)
{
    if (f->count == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 16;
        struct user_entry *entries = reallocarray(f->entries, cap, sizeof *entries);
        if (!entries)
            return false;
        f->entries = entries;
        f->cap = cap;
    }
    f->entries[f->count++] = (struct user_entry){
        .name = name, .hash = line->hash, .disabled = line->disabled, .ends_on_day = line->ends_on_day, .line = number};
    return true;
}

/* False only without memory: what is wrong with the line is a complaint. */
static bool line_read(struct users_file *f, struct str text, uint32_t number, struct complaints *complaints)
{
    struct users_line line;
    struct err err;
    if (text.len > USERS_FILE_MAX_LINE_BYTES) {
        err_set(&err, "the line has %zu bytes, at most %d are taken", text.len, USERS_FILE_MAX_LINE_BYTES);
        complain(complaints, number, &err);
        return true;
    }
    enum users_line_kind kind = users_line_parse(text, &line, &err);
    if (kind == USERS_LINE_EMPTY)
        return true;
    char completed[AUTH_NAME_MAX_BYTES + 1];
    struct str name = STR_NONE;
    if (kind == USERS_LINE_USER) {
        name = auth_name_complete(line.name, f->realm, completed);
        if (!name.ptr)
            err_set(&err, PRI_STR ": the name with its realm has more than %d bytes", STR_ARG(line.name),
                    AUTH_NAME_MAX_BYTES);
    }
    if (!name.ptr) {
        complain(complaints, number, &err);
        return true;
    }
    name = arena_copy(&f->names, name);
    return name.ptr && entry_add(f, &line, name, number);
}

/* Entries no longer move: names can point to them, and the same name twice is found. */
static bool index_names(struct users_file *f, struct complaints *complaints)
{
    f->with_hash = malloc(MAX_OF(f->count, (size_t)1) * sizeof *f->with_hash);
    if (!f->with_hash)
        return false;
    for (size_t i = 0; i < f->count; i++) {
        struct user_entry *entry = &f->entries[i];
        const struct user_entry *before = map_get(&f->by_name, entry->name);
        if (before) {
            struct err err;
            err_set(&err, PRI_STR ": this user is in line %u already", STR_ARG(entry->name), before->line);
            err_set_hint(&err, "remove one of the two: which of the passwords would be right?");
            complain(complaints, entry->line, &err);
        } else if (!map_set(&f->by_name, entry->name, entry)) {
            return false;
        }
        if (entry->hash.len)
            f->with_hash[f->with_hash_count++] = (uint32_t)i;
    }
    return true;
}

static void err_count_more(struct err *err, size_t more)
{
    size_t len = strlen(err->text);
    snprintf(err->text + len, sizeof err->text - len, " (and %zu more %s)", more,
             more == 1 ? "line is wrong" : "lines are wrong");
}

/* Takes text, which is heap memory. NULL: something is wrong. */
static struct users_file *file_build(char *text, size_t len, const char *path, struct str realm, struct err *err)
{
    struct users_file *f = calloc(1, sizeof *f);
    if (!f) {
        explicit_bzero(text, len);
        free(text);
        err_no_memory(err);
        return NULL;
    }
    f->text = text;
    f->text_len = len;
    arena_init(&f->names, (size_t)4 * USERS_FILE_MAX_BYTES);
    map_init(&f->by_name, true, true);
    f->realm = arena_copy(&f->names, realm);
    struct complaints complaints = {.path = path, .first = err};
    bool memory = f->realm.ptr;
    uint32_t number = 0;
    struct str rest = str_of(text, len);
    if (str_starts(rest, STR("\xef\xbb\xbf"))) /* some editors begin a UTF-8 file with U+FEFF */
        rest = str_from(rest, 3);
    while (rest.len && memory)
        memory = line_read(f, str_split(rest, '\n', &rest), ++number, &complaints);
    memory = memory && index_names(f, &complaints);
    if (memory && complaints.count == 0)
        return f;
    if (!memory)
        err_no_memory(err);
    else if (complaints.count > 1)
        err_count_more(err, complaints.count - 1);
    users_file_free(&f);
    return NULL;
}

bool users_file_parse(struct str text, const char *path, struct str realm, struct users_file **file, struct err *err)
{
    *file = NULL;
    char *copy = malloc(MAX_OF(text.len, (size_t)1));
    if (!copy)
        return err_no_memory(err);
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    *file = file_build(copy, text.len, path, realm, err);
    return *file != NULL;
}

/* ---- from the disk ---- */

void file_stamp_of(const struct stat *st, struct file_stamp *stamp)
{
    *stamp = (struct file_stamp){.device = st->st_dev,
                                 .inode = st->st_ino,
                                 .size = (uint64_t)st->st_size,
                                 .modified_ns = st->st_mtim.tv_sec * INT64_C(1000000000) + st->st_mtim.tv_nsec,
                                 .changed_ns = st->st_ctim.tv_sec * INT64_C(1000000000) + st->st_ctim.tv_nsec};
}

bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size && a->modified_ns == b->modified_ns &&
           a->changed_ns == b->changed_ns;
}

/* Exactly what fstat(2) said is there; a byte more or less means that somebody writes. */
static bool read_whole(int fd, char *to, size_t size)
{
    size_t got = 0;
    while (got <= size) {
        ssize_t n = read(fd, to + got, size + 1 - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return got == size;
}

static bool load_open(int fd, const char *path, struct str realm, struct users_file **file, struct file_stamp *stamp,
                      struct err *err)
{
    struct stat st, after;
    struct file_stamp now;
    if (fstat(fd, &st) < 0)
        return err_set(err, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(err, "%s: is no plain file", path);
    if (st.st_size > USERS_FILE_MAX_BYTES)
        return err_set(err, "%s: has %lld bytes, at most %d are read", path, (long long)st.st_size,
                       USERS_FILE_MAX_BYTES);
    size_t size = (size_t)st.st_size;
    char *text = malloc(size + 1);
    if (!text)
        return err_no_memory(err);
    file_stamp_of(&st, stamp);
    bool whole = read_whole(fd, text, size) && fstat(fd, &after) == 0;
    if (whole)
        file_stamp_of(&after, &now);
    if (!whole || !file_stamp_equal(&now, stamp)) {
        explicit_bzero(text, size + 1);
        free(text);
        return err_set(err, "%s: is being written while it is read", path);
    }
    struct users_file *f = file_build(text, size, path, realm, err);
    if (f)
        f->open_to_all = st.st_mode & S_IROTH;
    *file = f;
    return f != NULL;
}

bool users_file_load(const char *path, struct str realm, struct users_file **file, struct file_stamp *stamp,
                     struct err *err)
{
    struct file_stamp unused;
    *file = NULL;
    /* O_NONBLOCK: a FIFO in its place must not hang us */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        err_set(err, "%s: %s", path, strerror(errno));
        if (errno == ENOENT)
            err_set_hint(err, "`mailweir passwd USER --file %s` creates it", path);
        else if (errno == EACCES)
            err_set_hint(err, "the server's own user must be able to read it: chown root:mailweir, chmod 640");
        return false;
    }
    bool ok = load_open(fd, path, realm, file, stamp ? stamp : &unused, err);
    close(fd);
    return ok;
}

void users_file_free(struct users_file **file)
{
    struct users_file *f = *file;
    *file = NULL;
    if (!f)
        return;
    map_fini(&f->by_name);
    arena_fini(&f->names);
    free(f->entries);
    free(f->with_hash);
    explicit_bzero(f->text, f->text_len);
    free(f->text);
    free(f);
}

/* ---- queries ---- */

size_t users_file_count(const struct users_file *f)
{
    return f->count;
}

bool users_file_is_open_to_all(const struct users_file *f)
{
    return f->open_to_all;
}

const struct user_entry *users_file_find(const struct users_file *f, struct str name)
{
    char completed[AUTH_NAME_MAX_BYTES + 1];
    struct str full = auth_name_complete(name, f->realm, completed);
    return full.len ? map_get(&f->by_name, full) : NULL;
}

bool user_entry_is_disabled(const struct user_entry *u, int64_t today)
{
    return u->disabled || (u->ends_on_day >= 0 && today >= u->ends_on_day);
}

const struct user_entry *users_file_stand_in(const struct users_file *f, struct str name, const struct hash_key *key)
{
    char completed[AUTH_NAME_MAX_BYTES + 1];
    struct str full = auth_name_complete(name, f->realm, completed);
    if (f->with_hash_count == 0)
        return NULL;
    for (size_t i = 0; i < full.len; i++)
        completed[i] = ascii_lower(completed[i]);
    return &f->entries[f->with_hash[hash64(key, full) % f->with_hash_count]];
}
