/* password_argon2.c - argon2 in its encoded form. See password_argon2.h. */
#include "auth/password_argon2.h"

#include <argon2.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/panic.h"

enum { SALT_MIN = 8, SUM_MIN = 16 };

/* Base64 without padding, as argon2 writes it: what is missing is put back for the strict decoder. */
static bool decode_unpadded(struct str text, unsigned char *to, size_t max, size_t *len)
{
    char padded[BASE64_ENCODED_LEN(ARGON2_SUM_MAX) + 4];
    unsigned char bytes[BASE64_DECODED_MAX(sizeof padded)];
    size_t padded_len = (text.len + 3) / 4 * 4;
    if (text.len % 4 == 1 || padded_len > sizeof padded || str_find(text, '=') < text.len)
        return false;
    memset(padded, '=', sizeof padded);
    if (text.len)
        memcpy(padded, text.ptr, text.len);
    if (!base64_decode(bytes, len, str_of(padded, padded_len)) || *len > max)
        return false;
    memcpy(to, bytes, *len);
    return true;
}

/* "m=65536" with its letter. */
static bool read_number(struct str text, struct str name, uint32_t *value)
{
    uint64_t number;
    if (!str_starts(text, name) || !str_to_u64(str_from(text, name.len), UINT32_MAX, &number))
        return false;
    *value = (uint32_t)number;
    return true;
}

static bool read_costs(struct str costs, struct argon2_hash *h, struct err *err)
{
    struct str rest;
    struct str memory = str_split(costs, ',', &rest);
    struct str passes = str_split(rest, ',', &rest);
    if (!read_number(memory, STR("m="), &h->memory_kib) || !read_number(passes, STR("t="), &h->passes) ||
        !read_number(rest, STR("p="), &h->lanes))
        return err_set(err, "the argon2 hash is broken: no `m=…,t=…,p=…` in it");
    if (h->lanes < 1 || h->lanes > PASSWORD_HASH_MAX_ARGON2_LANES)
        return err_set(err, "the argon2 hash has %u lanes, 1 to %d are taken", h->lanes,
                       PASSWORD_HASH_MAX_ARGON2_LANES);
    if (h->memory_kib < 8 * h->lanes || h->passes < 1)
        return err_set(err, "the argon2 hash has impossible costs: m=%u t=%u p=%u", h->memory_kib, h->passes, h->lanes);
    if (h->memory_kib > PASSWORD_HASH_MAX_MEMORY_KIB)
        return err_set(err, "the argon2 hash takes %u KiB of memory, at most %d are taken", h->memory_kib,
                       PASSWORD_HASH_MAX_MEMORY_KIB);
    if ((uint64_t)h->memory_kib * h->passes > PASSWORD_HASH_MAX_ARGON2_KIB)
        return err_set(err, "the argon2 hash costs %u passes over %u KiB, at most %d KiB in all are taken", h->passes,
                       h->memory_kib, PASSWORD_HASH_MAX_ARGON2_KIB);
    return true;
}

bool argon2_hash_read(struct str text, struct argon2_hash *h, struct err *err)
{
    *h = (struct argon2_hash){.version = ARGON2_VERSION_10};
    struct str rest;
    if (str_starts(text, STR("$argon2id$")))
        h->is_argon2id = true;
    else if (!str_starts(text, STR("$argon2i$")))
        return err_set(err, "not an argon2 hash");
    rest = str_from(text, h->is_argon2id ? STR("$argon2id$").len : STR("$argon2i$").len);
    if (str_starts(rest, STR("v="))) {
        if (!read_number(str_split(rest, '$', &rest), STR("v="), &h->version) ||
            (h->version != ARGON2_VERSION_10 && h->version != ARGON2_VERSION_13))
            return err_set(err, "the argon2 hash is of a version that is not known (v=16 and v=19 are)");
    }
    if (!read_costs(str_split(rest, '$', &rest), h, err))
        return false;
    struct str salt = str_split(rest, '$', &rest);
    if (!decode_unpadded(salt, h->salt, sizeof h->salt, &h->salt_len) ||
        !decode_unpadded(rest, h->sum, sizeof h->sum, &h->sum_len) || h->sum_len < SUM_MIN)
        return err_set(err, "the argon2 hash is broken: cut off, or not base64");
    if (h->salt_len < SALT_MIN)
        return err_set(err, "the argon2 hash has a salt of %zu bytes, at least %d are needed", h->salt_len, SALT_MIN);
    return true;
}

bool argon2_hash_compute(const struct argon2_hash *h, struct str password, unsigned char *sum)
{
    unsigned char salt[ARGON2_SALT_MAX], bytes[AUTH_PASSWORD_MAX_BYTES + 1];
    PANIC_IF(password.len > sizeof bytes, "a password of %zu bytes", password.len);
    memcpy(salt, h->salt, h->salt_len);
    if (password.len)
        memcpy(bytes, password.ptr, password.len);
    argon2_context context = {.out = sum,
                              .outlen = (uint32_t)h->sum_len,
                              .pwd = bytes,
                              .pwdlen = (uint32_t)password.len,
                              .salt = salt,
                              .saltlen = (uint32_t)h->salt_len,
                              .t_cost = h->passes,
                              .m_cost = h->memory_kib,
                              .lanes = h->lanes,
                              .threads = 1,
                              .version = h->version,
                              .flags = ARGON2_DEFAULT_FLAGS};
    int rc = argon2_ctx(&context, h->is_argon2id ? Argon2_id : Argon2_i);
    explicit_bzero(bytes, sizeof bytes);
    /* everything else argon2_ctx can object to was excluded by argon2_hash_read */
    PANIC_IF(rc != ARGON2_OK && rc != ARGON2_MEMORY_ALLOCATION_ERROR, "argon2: %s", argon2_error_message(rc));
    return rc == ARGON2_OK;
}

/* Into `to` of max bytes, NUL-terminated. 0: no memory. */ static size_t encode_unpadded(const unsigned char *bytes,
                                                                                          size_t len, char *to,
                                                                                          size_t max)
{
    struct buf encoded;
    buf_init(&encoded, max);
    size_t written = 0;
    if (base64_encode(&encoded, str_of((const char *)bytes, len))) {
        struct str text = buf_str(&encoded);
        written = str_copy_into(to, max, str_sub(text, 0, str_find(text, '='))).len;
    }
    buf_fini(&encoded);
    return written;
}

bool argon2_hash_write(const struct argon2_hash *h, char *to)
{
    char salt[BASE64_ENCODED_LEN(ARGON2_SALT_MAX) + 1], sum[BASE64_ENCODED_LEN(ARGON2_SUM_MAX) + 1];
    size_t salt_len = encode_unpadded(h->salt, h->salt_len, salt, sizeof salt);
    size_t sum_len = encode_unpadded(h->sum, h->sum_len, sum, sizeof sum);
    if (!salt_len || !sum_len)
        return false;
    snprintf(to, PASSWORD_HASH_MAX_BYTES + 1, "$argon2%s$v=%u$m=%u,t=%u,p=%u$%.*s$%.*s", h->is_argon2id ? "id" : "i",
             h->version, h->memory_kib, h->passes, h->lanes, (int)salt_len, salt, (int)sum_len, sum);
    return true;
}
