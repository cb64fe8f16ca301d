/*
 * table_file.c - reads a table's file, a line at a time: it may have a million of them, and none is kept.
 *
 *   # comment
 *   example.org                              one item a line
 *   "bob smith"@example.org                  quotes where a space, or a #, is part of it
 *   info@example.org { alice, bob }          of a map: a key and its values
 *   192.0.2.0/24 "head office"               of a netmap: a network and its value
 *   ^ip-\d+-                                 of patterns: the whole line; '…' around it where it begins or ends with a
 *                                            space or holds " #"
 *
 * Only the lines that are wrong are kept, as many as are shown: they become a file of their own in the set of sources,
 * so that diagnostics show them as they show every other line.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "rules/table_inside.h"

enum { CHUNK_BYTES = 1 << 18, EXCERPT_MAX_BYTES = DIAG_MAX_SHOWN * (TABLE_LINE_MAX_BYTES + 1) };

struct fault {
    struct place place; /* offset: into the excerpt */
    char text[512];
};

struct reader {
    struct lookup *t;
    char *chunk; /* CHUNK_BYTES */
    size_t held; /* bytes in it */
    uint64_t read_bytes;
    uint32_t line_number;
    char *unquoted; /* TABLE_LINE_MAX_BYTES: texts of this line without their quotes and escapes */
    size_t unquoted_len;
    struct fault *faults;
    size_t fault_count;
    struct buf excerpt; /* the lines that are wrong */
};

/* One line, while it is read. */
struct scan {
    struct reader *r;
    struct str line, rest;
    struct str at; /* what an error speaks of */
};

/* ---- words ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_space(struct scan *s)
{
    while (s->rest.len && is_space(s->rest.ptr[0]))
        s->rest = str_from(s->rest, 1);
}

/* After the quote at s[0]: where the text ends; s.len: it does not. */
static size_t quoted_end(struct str s)
{
    for (size_t i = 1; i < s.len; i++) {
        if (s.ptr[i] == s.ptr[0])
            return i;
        if (s.ptr[i] == '\\' && s.ptr[0] == '"')
            i++;
    }
    return s.len;
}

/* The text between its quotes, escapes resolved (GRAMMAR.md 1). */
static bool unquote(struct scan *s, struct str quoted, struct str *text, struct err *err)
{
    struct reader *r = s->r;
    char *to = r->unquoted + r->unquoted_len;
    size_t n = 0;
    if (quoted.ptr[0] == '\'') {
        *text = str_sub(quoted, 1, quoted.len - 2);
        return true;
    }
    for (size_t i = 1; i + 1 < quoted.len; i++) {
        char c = quoted.ptr[i];
        if (c == '\\') {
            c = quoted.ptr[++i];
            if (c != '"' && c != '\\' && c != 'n' && c != 't') {
                bool is_valid;
                s->at = str_sub(quoted, i - 1, 1 + source_char_len(quoted, i, &is_valid));
                return err_set(err, "unknown escape " PRI_STR " in a text; patterns stand in '…'", STR_ARG(s->at));
            }
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        to[n++] = c;
    }
    r->unquoted_len += n;
    *text = str_of(to, n);
    return true;
}

/* The next word: up to a space, a comma, or one of `ends`; what stands in quotes inside belongs to it. Quoted as a
 * whole it loses its quotes. Empty: the line is at its end. */
static bool next_word(struct scan *s, const char *ends, struct str *word, struct err *err)
{
    skip_space(s);
    size_t n = 0;
    bool is_whole = false;
    while (n < s->rest.len && !is_space(s->rest.ptr[n]) && s->rest.ptr[n] != '#' && !strchr(ends, s->rest.ptr[n])) {
        char c = s->rest.ptr[n];
        size_t len = 1;
        if (c == '"' || (c == '\'' && n == 0)) {
            struct str quoted = str_from(s->rest, n);
            size_t end = quoted_end(quoted);
            if (end == quoted.len && c == '"') {
                s->at = quoted;
                return err_set(err, "this text is never closed");
            }
            len = end == quoted.len ? 1 : end + 1; /* an apostrophe alone is itself */
            is_whole = n == 0 && len > 1;
        } else {
            is_whole = false;
        }
        n += len;
    }
    if (n == 0 && s->rest.len && s->rest.ptr[0] != '#')
        n = 1; /* one of the ends */
    s->at = *word = str_sub(s->rest, 0, n);
    s->rest = str_from(s->rest, n);
    return !is_whole || n < 2 || unquote(s, s->at, word, err);
}

static bool expect_end(struct scan *s, struct err *err)
{
    skip_space(s);
    if (s->rest.len == 0 || s->rest.ptr[0] == '#')
        return true;
    struct str found;
    if (!next_word(s, ",", &found, err))
        return false;
    return err_set(err, "expected end of line, found \"" PRI_STR "\"", STR_ARG(s->at));
}

/* ---- lines ---- */

static bool is_sign(const struct scan *s, char sign)
{
    return s->at.len == 1 && s->at.ptr[0] == sign;
}

static bool add_value(struct scan *s, struct str key, struct str value, size_t count, struct err *err)
{
    if (s->r->t->type == TABLE_NETMAP && count > 0)
        return err_set(err, "a netmap gives one value");
    return lookup_add_value(s->r->t, key, value, err);
}

/* VALUE, or { V, V }. */
static bool read_values(struct scan *s, struct str key, struct err *err)
{
    struct str word, key_at = s->at, open_at = STR_NONE;
    size_t count = 0;
    if (s->r->t->type == TABLE_MAP && table_key_is_foreign(key_at))
        return err_set(err, TABLE_KEY_FOREIGN, STR_ARG(key_at));
    for (;;) {
        if (!next_word(s, "{},", &word, err))
            return false;
        if (s->at.len == 0)
            break;
        if (is_sign(s, '{') && !open_at.ptr && count == 0) {
            open_at = s->at;
        } else if (is_sign(s, '}') && open_at.ptr) {
            return count > 0 ? expect_end(s, err) : err_set(err, "expected a value, found \"}\"");
        } else if (is_sign(s, ',') && open_at.ptr && count > 0) {
            continue;
        } else if (is_sign(s, '{') || is_sign(s, '}') || is_sign(s, ',') || (count > 0 && !open_at.ptr)) {
            return err_set(err,
                           count > 0 && !open_at.ptr ? "expected end of line, found \"" PRI_STR "\""
                                                     : "expected a value, found \"" PRI_STR "\"",
                           STR_ARG(s->at));
        } else {
            struct str at = s->at;
            bool names_network = s->r->t->type == TABLE_NETMAP && count == 0;
            if (names_network)
                s->at = key_at; /* what may be wrong is the network */
            if (!add_value(s, key, word, count, err))
                return false;
            s->at = at;
            count++;
        }
    }
    if (open_at.ptr) {
        s->at = open_at;
        return err_set(err, "this { is never closed");
    }
    if (count > 0)
        return true;
    s->at = str_of(key_at.ptr + key_at.len, 0);
    return err_set(err, "expected a value, found end of line");
}

/* A pattern is its whole line, because it is made of what ends words elsewhere. */
static bool read_pattern(struct scan *s, struct err *err)
{
    struct str text = s->rest, pattern;
    size_t end = 0;
    if (text.ptr[0] == '\'' || text.ptr[0] == '"') {
        size_t close = quoted_end(text);
        struct str after = str_trim(str_from(text, close + 1));
        if (close < text.len && (after.len == 0 || after.ptr[0] == '#')) {
            s->at = str_sub(text, 0, close + 1);
            s->rest = str_from(text, close + 1);
            struct str quoted = s->at;
            return unquote(s, quoted, &pattern, err) && lookup_add(s->r->t, pattern, err);
        }
    }
    while (end < text.len && (text.ptr[end] != '#' || !is_space(text.ptr[end - 1])))
        end++;
    s->at = str_trim(str_sub(text, 0, end));
    return lookup_add(s->r->t, s->at, err);
}

/* GRAMMAR.md 1: control characters and invalid UTF-8 are errors. */
static bool check_characters(struct scan *s, struct err *err)
{
    if (str_is_utf8(s->line) && !str_has_control(s->line))
        return true;
    bool is_valid;
    for (size_t i = 0, len; i < s->line.len; i += len) {
        len = source_char_len(s->line, i, &is_valid);
        s->at = str_sub(s->line, i, len);
        if (!is_valid || (s->at.ptr[0] != '\t' && str_has_control(s->at)))
            return err_set(err, "unexpected character \"\\x%02X\"", (unsigned char)s->line.ptr[i]);
    }
    return true; /* a TAB */
}

static bool read_line(struct scan *s, struct err *err)
{
    struct str word;
    s->r->unquoted_len = 0;
    s->at = s->line;
    if (!check_characters(s, err))
        return false;
    skip_space(s);
    if (s->rest.len == 0 || s->rest.ptr[0] == '#')
        return true;
    if (s->r->t->type == TABLE_PATTERNS)
        return read_pattern(s, err);
    if (!next_word(s, ",", &word, err))
        return false;
    if (table_type_rows[s->r->t->type].pairs)
        return read_values(s, word, err);
    struct str at = s->at;
    if (!expect_end(s, err))
        return false;
    s->at = at;
    return lookup_add(s->r->t, word, err);
}

/* ---- mistakes ---- */

static uint32_t characters(struct str s)
{
    uint32_t n = 0;
    bool is_valid;
    for (size_t i = 0; i < s.len; n++)
        i += source_char_len(s, i, &is_valid);
    return n;
}

/* Keeps what is wrong, and the line. False: enough is wrong, or no memory. */
static bool note_fault(struct reader *r, const struct scan *s, const struct err *err)
{
    struct fault *fault = &r->faults[r->fault_count];
    size_t at = (size_t)(s->at.ptr - s->line.ptr);
    fault->place = (struct place){.line = r->line_number,
                                  .col = 1 + characters(str_sub(s->line, 0, at)),
                                  .len = characters(s->at),
                                  .offset = (uint32_t)(buf_len(&r->excerpt) + at)};
    str_copy_into(fault->text, sizeof fault->text, str_of_z(err->text));
    if (!buf_append_str(&r->excerpt, s->line) || !buf_append_char(&r->excerpt, '\n'))
        return false;
    return ++r->fault_count < DIAG_MAX_SHOWN;
}

/* Says all at once. */
static bool say_faults(struct reader *r, struct source_set *sources, struct str path, struct place named_at,
                       struct diagnostics *d)
{
    struct err err;
    uint32_t file;
    if (!source_add_text(sources, path, buf_str(&r->excerpt), &file, &err))
        return diag_error(d, named_at, "%s: %s", r->faults[0].text, err.text);
    for (size_t i = 0; i < r->fault_count; i++) {
        struct place at = r->faults[i].place;
        at.file = file;
        (void)diag_error(d, at, "%s", r->faults[i].text);
    }
    return false;
}

/* ---- the file ---- */

/* False: read no further. */
static bool take_line(struct reader *r, struct str line)
{
    struct err err;
    r->line_number++;
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    struct scan s = {.r = r, .line = line, .rest = line};
    return read_line(&s, &err) || note_fault(r, &s, &err);
}

static bool too_long(struct reader *r, struct str line)
{
    struct err err;
    r->line_number++;
    struct scan s = {.r = r, .line = str_sub(line, 0, TABLE_LINE_MAX_BYTES), .at = str_sub(line, 0, 1)};
    err_set(&err, "a line of more than %d bytes", TABLE_LINE_MAX_BYTES);
    (void)note_fault(r, &s, &err);
    return false;
}

/* All whole lines of the chunk; the rest moves to its front. */
static bool take_lines(struct reader *r, bool is_end)
{
    struct str text = str_of(r->chunk, r->held);
    if (r->line_number == 0 && str_starts(text, STR("\xEF\xBB\xBF")))
        text = str_from(text, 3);
    while (text.len) {
        size_t end = str_find(text, '\n');
        if (end > TABLE_LINE_MAX_BYTES)
            return too_long(r, text);
        if (end == text.len && !is_end)
            break;
        if (!take_line(r, str_sub(text, 0, end)))
            return false;
        text = str_from(text, end + 1);
    }
    memmove(r->chunk, text.ptr, text.len);
    r->held = text.len;
    return true;
}

/* False: err, if the file could not be read; else enough is wrong with it. */
static bool read_lines(struct reader *r, int fd, struct err *err)
{
    for (;;) {
        ssize_t got = read(fd, r->chunk + r->held, CHUNK_BYTES - r->held);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set(err, "%s", strerror(errno));
        r->read_bytes += (uint64_t)got;
        if (r->read_bytes > TABLE_FILE_MAX_BYTES)
            return err_set(err, "larger than %dM", TABLE_FILE_MAX_BYTES >> 20);
        r->held += (size_t)got;
        if (!take_lines(r, got == 0))
            return true;
        if (got == 0)
            return true;
    }
}

static bool reader_init(struct reader *r, struct lookup *t)
{
    *r = (struct reader){.t = t};
    buf_init(&r->excerpt, EXCERPT_MAX_BYTES);
    r->chunk = malloc(CHUNK_BYTES);
    r->unquoted = malloc(TABLE_LINE_MAX_BYTES);
    r->faults = calloc(DIAG_MAX_SHOWN, sizeof *r->faults);
    return r->chunk && r->unquoted && r->faults;
}

static void reader_fini(struct reader *r)
{
    buf_fini(&r->excerpt);
    free(r->chunk);
    free(r->unquoted);
    free(r->faults);
}

/* /dev/null is how one writes "no file": an empty table. Reading any other device might take for ever. */
static bool is_null_device(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

bool lookup_read_open(struct lookup *t, int fd, struct source_set *sources, struct str path, struct place named_at,
                      struct diagnostics *d)
{
    struct reader r;
    struct err err = {0};
    struct stat st;
    bool ok = reader_init(&r, t) || err_no_memory(&err);
    if (ok && fstat(fd, &st) != 0)
        ok = err_set(&err, "%s", strerror(errno));
    else if (ok && !S_ISREG(st.st_mode) && !is_null_device(&st))
        ok = err_set(&err, "%s", S_ISDIR(st.st_mode) ? strerror(EISDIR) : "not a regular file");
    if (ok)
        t->stamp = file_stamp_of(&st);
    ok = ok && read_lines(&r, fd, &err);
    if (ok && r.fault_count == 0)
        ok = lookup_seal(t, &err);
    if (!ok)
        diag_error(d, named_at, "cannot read \"" PRI_STR "\": %s", STR_ARG(path), err.text);
    else if (r.fault_count)
        ok = say_faults(&r, sources, path, named_at, d);
    reader_fini(&r);
    return ok;
}

bool lookup_read(struct lookup *t, struct source_set *sources, struct str path, struct place named_at,
                 struct diagnostics *d)
{
    char *name = str_copy_z(path);
    if (!name)
        return diag_error(d, named_at, "out of memory");
    /* not blocking: a name may turn out to be a pipe that nobody writes to */
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int reason = errno;
    free(name);
    if (fd < 0)
        return diag_error(d, named_at, "cannot read \"" PRI_STR "\": %s", STR_ARG(path), strerror(reason));
    bool ok = lookup_read_open(t, fd, sources, path, named_at, d);
    close(fd);
    return ok;
}
