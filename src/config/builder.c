/* builder.c - see builder.h. */
#include "config/builder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/machine.h"

static void no_memory(struct config_builder *b)
{
    diag_error(b->diagnostics, PLACE_NONE, "out of memory");
}

void *builder_alloc(struct config_builder *b, size_t bytes)
{
    void *p = arena_alloc(&b->config->arena, bytes);
    if (!p)
        no_memory(b);
    return p;
}

const char *builder_copy_text(struct config_builder *b, struct str text)
{
    struct str copy = arena_copy(&b->config->arena, text);
    if (!copy.ptr)
        no_memory(b);
    return copy.ptr;
}

const char *builder_file_name(struct config_builder *b, const struct value *v)
{
    struct str name = source_join(b->tree->sources, v->written_in, v->text, &b->config->arena);
    if (!name.ptr)
        no_memory(b);
    return name.ptr;
}

int64_t builder_whole_number(const struct value *v)
{
    return v->number / NUMBER_ONE;
}

const struct value *builder_option(const struct statement *st, enum option_kind kind)
{
    const struct option *o = options_get(&st->server.options, kind);
    return o ? values_arg(&o->values, 0) : NULL;
}

int builder_choice(const struct statement *st, enum option_kind kind, int otherwise)
{
    const struct value *v = builder_option(st, kind);
    return v ? v->choice : otherwise;
}

int64_t builder_ms(const struct statement *st, enum option_kind kind, int64_t otherwise)
{
    const struct value *v = builder_option(st, kind);
    return v ? v->ms : otherwise;
}

const struct value *builder_argument(const struct statement *st, unsigned arg)
{
    return values_arg(&st->server.values, arg);
}

void builder_missing(struct config_builder *b, struct place at, const char *text)
{
    b->config->missing_count++;
    if (b->options->purpose == CONFIG_CHECK)
        diag_warning(b->diagnostics, at, "%s", text);
    else
        diag_error(b->diagnostics, at, "%s", text);
}

void builder_hint_root(struct config_builder *b, int error)
{
    if (b->options->purpose == CONFIG_CHECK && geteuid() != 0 && (error == EACCES || error == EPERM))
        diag_hint(b->diagnostics, "the service may, if it is started as root: run `mailweir check` as root to see");
}

bool builder_can_read(struct config_builder *b, const struct value *v, const char *path)
{
    char text[1024];
    if (!path || access(path, R_OK) == 0)
        return path != NULL;
    int error = errno;
    snprintf(text, sizeof text, "cannot read \"%s\": %s", path, strerror(error));
    builder_missing(b, v->at, text);
    builder_hint_root(b, error);
    return false;
}

bool builder_can_use_ca(struct config_builder *b, const struct value *v, const char *path)
{
    struct err err = {0};
    const struct tls_client_options options = {.verify = true, .ca_file = path};
    if (!builder_can_read(b, v, path))
        return false;
    struct tls_context *ctx = tls_client_new(&options, &err);
    if (!ctx)
        builder_missing(b, v->at, err.text);
    tls_free(&ctx);
    return err.text[0] == '\0';
}

void builder_note_socket(struct config_builder *b, struct place at, const struct endpoint *e)
{
    if (e->kind == ENDPOINT_UNIX)
        machine_note(b, at, builder_copy_text(b, str_of_z(e->name)), MACHINE_CONNECTS);
}

const struct statement *builder_first_of(const struct config_builder *b, enum statement_kind kind)
{
    for (size_t i = 0; i < b->tree->count; i++)
        if (b->tree->statements[i]->kind == kind)
            return b->tree->statements[i];
    return NULL;
}
