/*
 * builder.h - a checked tree on its way to struct config: what the functions of server statements need to take a value
 * out of the one and put it into the other.
 *
 * Whatever they allocate lies in the arena of the configuration. What goes wrong is told to the diagnostics, at its
 * place, and building goes on: all errors of a file are seen at once. Nobody uses a configuration that has one.
 */
#ifndef CONFIG_BUILDER_H
#define CONFIG_BUILDER_H

#include "config/config.h"
#include "rules/print.h"

struct config_builder {
    struct config *config;
    const struct tree *tree;
    const struct config_options *options;
    struct diagnostics *diagnostics;
    bool lacks_certificates;    /* a file of theirs cannot be read: said */
    struct machine_file *files; /* machine.h: what the service uses when it is root no more */
    size_t file_count;
    size_t endpoint_count; /* to listen at, so far */
};

/* ---- memory: NULL, and it is said, if there is none ---- */

void *builder_alloc(struct config_builder *b, size_t bytes);
const char *builder_copy_text(struct config_builder *b, struct str text);
/* A file's name: relative ones belong to the folder of the file in which they are written (GRAMMAR.md 2). */
const char *builder_file_name(struct config_builder *b, const struct value *v);

/* ---- values ---- */

int64_t builder_whole_number(const struct value *v);
/* The first value of an argument, of an option; NULL: it was not given. */
const struct value *builder_argument(const struct statement *st, unsigned arg);
const struct value *builder_option(const struct statement *st, enum option_kind kind);
int builder_choice(const struct statement *st, enum option_kind kind, int otherwise);
int64_t builder_ms(const struct statement *st, enum option_kind kind, int64_t otherwise);
/* NULL: there is none in the tree. */
const struct statement *builder_first_of(const struct config_builder *b, enum statement_kind kind);

/* ---- what a configuration needs of its machine ---- */

/* What is missing on this machine: an error for who is to run with it, a warning for who only checks, and counted
 * (config->missing_count). */
void builder_missing(struct config_builder *b, struct place at, const char *text);
/* Behind it, where somebody who is not root only checks, and was not let (error is EACCES or EPERM): a hint that root
 * may see more. */
void builder_hint_root(struct config_builder *b, int error);
/* `cannot read "FILE": REASON`, at its name: of who reads it at the start, root (machine.h: those that are read later).
 * True: it can be. path: NULL, no memory, was said. */
bool builder_can_read(struct config_builder *b, const struct value *v, const char *path);
/* A file of certificates that those of servers are held against: read, and looked into. */
bool builder_can_use_ca(struct config_builder *b, const struct value *v, const char *path);
/* A server that is reached by a socket's file: may the service connect to it? (MACHINE_CONNECTS) */
void builder_note_socket(struct config_builder *b, struct place at, const struct endpoint *e);

#endif
