// uses: smtp
/*
 * fuzz_address.c - paths and keys. Promises held: what is accepted has no control character, keeps its lengths, is
 * well-formed UTF-8, is read again as the same address; the key of a key is the key.
 */
#include "base/panic.h"
#include "smtp/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const struct smtp_path *path)
{
    struct smtp_path again;
    struct str local, domain;
    PANIC_IF(str_has_control(path->whole), "a control character got through");
    PANIC_IF(path->whole.len > SMTP_ADDRESS_MAX || path->local.len > SMTP_LOCAL_MAX, "too long");
    PANIC_IF(!str_is_utf8(path->whole) || path->needs_utf8 == str_is_ascii(path->whole), "not UTF-8, or not said so");
    PANIC_IF(path->null && path->whole.len, "null, but an address");
    if (path->domain.len == 0)
        return;
    PANIC_IF(!smtp_address_parse(path->whole, &again), "not read again");
    smtp_address_split(path->whole, &local, &domain);
    PANIC_IF(!str_equal(local, path->local) || !str_equal(domain, path->domain), "two ways to read it");
}

static void check_key(struct str address, bool strips_tag)
{
    struct buf once, twice;
    buf_init(&once, 65536);
    buf_init(&twice, 65536);
    PANIC_IF(!smtp_address_key(&once, address, strips_tag), "no room for a key");
    PANIC_IF(!smtp_address_key(&twice, buf_str(&once), strips_tag), "no room for a key");
    PANIC_IF(!str_equal(buf_str(&once), buf_str(&twice)), "the key of a key is another");
    buf_fini(&once);
    buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_of((const char *)data, size), rest;
    struct smtp_path path;
    if (size > 2048)
        return 0;
    if (smtp_path_parse(in, SMTP_REVERSE_PATH, &path, &rest) == SMTP_PATH_OK)
        check_path(&path);
    if (smtp_path_parse(in, SMTP_FORWARD_PATH, &path, &rest) == SMTP_PATH_OK)
        check_path(&path);
    if (smtp_address_parse(in, &path)) {
        check_path(&path);
        check_key(in, false);
        check_key(in, true);
    }
    smtp_address_tag(in);
    return 0;
}
