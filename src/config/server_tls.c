/* server_tls.c - `tls certificate`: its files, its options, and whether all of them can be used together. */
#include <stdio.h>
#include <unistd.h>

#include "config/server.h"

static void copy_names(struct config_builder *b, struct tls_certificate *c, const struct option *names)
{
    size_t count = names ? values_arg_count(&names->values, 0) : 0;
    const char **copy = builder_alloc(b, (count + 1) * sizeof *copy);
    if (!copy)
        return;
    for (size_t i = 0; i < count; i++) {
        copy[i] = builder_copy_text(b, values_arg(&names->values, 0)[i].text);
        if (!copy[i])
            return;
    }
    c->names = copy;
    c->name_count = count;
}

void server_tls_build(struct config_builder *b, const struct statement *st)
{
    struct config *cfg = b->config;
    struct tls_certificate *c = &cfg->certificates[cfg->certificate_count++];
    if (cfg->certificate_count == CONFIG_CERTIFICATES_MAX + 1)
        diag_error(b->diagnostics, st->at, "more than %d certificates", CONFIG_CERTIFICATES_MAX);
    c->certificate_file = builder_file_name(b, builder_argument(st, 0));
    c->key_file = builder_file_name(b, builder_argument(st, 1));
    bool is_there = builder_can_read(b, builder_argument(st, 0), c->certificate_file);
    b->lacks_certificates =
        !builder_can_read(b, builder_argument(st, 1), c->key_file) || !is_there || b->lacks_certificates;
    const struct value *client_ca = builder_option(st, OPTION_TLS_CLIENT_CA);
    if (client_ca) {
        c->client_ca_file = builder_file_name(b, client_ca);
        b->lacks_certificates = !builder_can_read(b, client_ca, c->client_ca_file) || b->lacks_certificates;
    }
    copy_names(b, c, options_get(&st->server.options, OPTION_TLS_NAMES));
    if (builder_choice(st, OPTION_TLS_MIN, 0) == 1)
        cfg->tls_min_version = TLS1_3_VERSION;
    const struct value *ciphers = builder_option(st, OPTION_TLS_CIPHERS);
    if (ciphers)
        cfg->tls_ciphers = builder_copy_text(b, ciphers->text);
}

/* --try without a certificate: one of its own, for localhost. */
static void make_certificate(struct config_builder *b)
{
    struct config *cfg = b->config;
    struct err err;
    char certificate[512], key[512];
    snprintf(certificate, sizeof certificate, "%s/certificate.pem", b->options->try_dir);
    snprintf(key, sizeof key, "%s/key.pem", b->options->try_dir);
    if (access(certificate, R_OK) != 0 && !tls_make_self_signed("localhost", certificate, key, &err)) {
        diag_error(b->diagnostics, PLACE_NONE, "%s", err.text);
        return;
    }
    cfg->certificates[0] = (struct tls_certificate){.certificate_file = builder_copy_text(b, str_of_z(certificate)),
                                                    .key_file = builder_copy_text(b, str_of_z(key))};
    cfg->certificate_count = 1;
}

static bool needs_certificate(const struct config *cfg)
{
    for (size_t i = 0; i < cfg->listener_count; i++)
        if (cfg->listeners[i].tls == LISTENER_TLS_IMPLICIT || cfg->listeners[i].tls == LISTENER_TLS_REQUIRED)
            return true;
    return false;
}

void server_tls_check(struct config_builder *b)
{
    struct config *cfg = b->config;
    if (cfg->certificate_count == 0 && b->options->purpose == CONFIG_TRY)
        make_certificate(b);
    if (cfg->certificate_count == 0) {
        const struct statement *listen = builder_first_of(b, STATEMENT_LISTEN);
        if (listen && needs_certificate(cfg) && !builder_first_of(b, STATEMENT_TLS_CERTIFICATE))
            builder_missing(b, listen->at,
                            "this listener needs a certificate: tls certificate \"chain.pem\" key \"key.pem\" "
                            "(`serve --try` makes one)");
        return;
    }
    if (b->lacks_certificates || cfg->certificate_count > CONFIG_CERTIFICATES_MAX) /* said, at their names */
        return;
    struct err err;
    struct tls_server_options options = {.certificates = cfg->certificates,
                                         .count = cfg->certificate_count,
                                         .min_version = cfg->tls_min_version,
                                         .ciphers = cfg->tls_ciphers};
    struct tls_context *ctx = tls_server_new(&options, &err);
    const struct statement *tls = builder_first_of(b, STATEMENT_TLS_CERTIFICATE);
    if (!ctx)
        builder_missing(b, tls ? tls->at : PLACE_NONE, err.text);
    tls_free(&ctx);
}
