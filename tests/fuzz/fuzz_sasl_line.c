// uses: smtp
/*
 * fuzz_sasl_line.c - AUTH from its argument to the credentials, each line of the input one of the client's. Promises
 * held: a login has no control character, no credential has a NUL, an exchange ends after three lines at most.
 */
#include "base/panic.h"
#include "smtp/sasl_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ready(const struct smtp_sasl *sasl)
{
    PANIC_IF(str_has_control(sasl->login) || !smtp_login_is_valid(sasl->login), "nobody is called so");
    PANIC_IF(str_find(sasl->password, '\0') < sasl->password.len || sasl->password.len == 0, "no password");
    PANIC_IF(!str_is_utf8(sasl->password), "not UTF-8");
}

static void check_message(struct str message)
{
    struct str login, password;
    if (smtp_sasl_plain_parse(message, &login, &password) == SMTP_SASL_READY)
        PANIC_IF(login.len + password.len + 2 > message.len || !smtp_login_is_valid(login),
                 "parts are more than the whole");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_of((const char *)data, size);
    struct smtp_auth auth;
    struct smtp_sasl sasl;
    check_message(rest);
    if (!smtp_auth_parse(str_split(rest, '\n', &rest), &auth))
        return 0;
    enum smtp_sasl_mechanism mechanism = smtp_sasl_mechanism_find(auth.mechanism);
    if (mechanism == SMTP_SASL_UNKNOWN)
        return 0;
    smtp_sasl_init(&sasl, mechanism);
    enum smtp_sasl_result result = smtp_sasl_start(&sasl, &auth);
    for (int lines = 0; result == SMTP_SASL_CHALLENGE; lines++) {
        PANIC_IF(lines == 3, "no end of challenges");
        result = smtp_sasl_feed(&sasl, str_split(rest, '\n', &rest));
    }
    if (result == SMTP_SASL_READY)
        check_ready(&sasl);
    smtp_sasl_fini(&sasl);
    return 0;
}
