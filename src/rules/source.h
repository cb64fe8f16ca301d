/*
 * source.h - the files of a configuration, and places in them.
 *
 *   mailweir.conf ──include──▶ policy files         read from disk, each name joined to its includer's folder
 *   built-in starter policy ──include──▶ …          read from a table of texts: never from disk, and disk never from it
 *
 * A place is what every error, event and `explain` line speaks of: FILE:LINE:COL, both from 1, columns counted in
 * characters (GRAMMAR.md 1). Texts stay as they were read for as long as the set lives: the tree's words point into
 * them, error printing shows their lines, `fmt` lexes them again for their comments.
 *
 * Bounds: a file SOURCE_MAX_FILE_BYTES, all files together SOURCE_MAX_BYTES, SOURCE_MAX_FILES of them, and includes
 * nest SOURCE_MAX_DEPTH deep.
 */
#ifndef RULES_SOURCE_H
#define RULES_SOURCE_H

#include "base/arena.h"
#include "base/err.h"

enum {
    SOURCE_MAX_FILE_BYTES = 16 << 20,
    SOURCE_MAX_BYTES = 64 << 20,
    SOURCE_MAX_FILES = 1000,
    SOURCE_MAX_DEPTH = 16,
};

/* Where a word stands. line 0: nowhere (what the program itself added). */
struct place {
    uint32_t file;   /* index into the set */
    uint32_t line;   /* from 1 */
    uint32_t col;    /* from 1, in characters */
    uint32_t len;    /* in characters; 0 at an end of line */
    uint32_t offset; /* in bytes, into the file's text */
};

#define PLACE_NONE ((struct place){0, 0, 0, 0, 0})

struct source_file {
    struct str name;        /* as it was given; an include: joined to its includer's folder */
    struct str folder;      /* name up to and with its last '/', else empty: relative names in the file belong to it */
    struct str text;        /* without BOM; with a NUL behind it */
    bool is_builtin;        /* a text in memory: its includes are looked for among the built-in ones only */
    uint64_t device, inode; /* of a file on disk: the same file under two names is still a cycle */
};

/* A text in memory that stands for a file: the starter policy, tests. */
struct source_builtin {
    const char *name;
    const char *text;
    size_t len;
};

struct source_set {
    struct arena arena;
    struct source_file *files;
    uint32_t count;
    size_t cap;
    size_t bytes;
    const struct source_builtin *builtins; /* borrowed */
    size_t builtin_count;
};

/* builtins: borrowed for the life of the set; may be NULL. */
void source_set_init(struct source_set *set, const struct source_builtin *builtins, size_t count);
void source_set_fini(struct source_set *set);

/* Reads a file from disk (source_read), or finds a built-in one (source_find_builtin), or takes a copy of a text
 * (source_add_text); *index is its place in the set. A file read twice is kept once. False: err says why ("No such file
 * or directory", "is a directory", "larger than 16M", no memory …), without the file's name. */
MUST_USE bool source_read(struct source_set *set, struct str name, uint32_t *index, struct err *err);
MUST_USE bool source_find_builtin(struct source_set *set, struct str name, uint32_t *index, struct err *err);
MUST_USE bool source_add_text(struct source_set *set, struct str name, struct str text, uint32_t *index,
                              struct err *err);

/* `name` as written in file `from`: itself when absolute, else behind that file's folder. Lies in `arena`; ptr NULL: no
 * memory. Files of tables, certificates and users are named by it, too. */
MUST_USE struct str source_join(const struct source_set *set, uint32_t from, struct str name, struct arena *arena);

/* The names a glob stands for, sorted, in `arena`; from: the including file (built-in ones look among built-ins). A
 * pattern that matches nothing is no error as long as its folder is there. */
MUST_USE bool source_glob(const struct source_set *set, uint32_t from, struct str pattern, struct arena *arena,
                          struct str **names, size_t *count, struct err *err);
bool source_is_glob(struct str name);

/* Valid until the next file is read. */
const struct source_file *source_file_get(const struct source_set *set, uint32_t index);
/* The text of the line in which the place stands, without its end. */
struct str source_line(const struct source_set *set, struct place at);

/* The bytes of the character at s.ptr[at]; 1 and not valid where there is no well-formed one: such a byte counts as a
 * column of its own. */
size_t source_char_len(struct str s, size_t at, bool *is_valid);

/* By file (in the order they were read), line, column: <0, 0, >0. */
int place_compare(struct place a, struct place b);
static inline bool place_is_known(struct place at)
{
    return at.line != 0;
}

#endif
