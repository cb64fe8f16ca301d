// uses: auth
/*
 * fuzz_auth_message.c - datagrams between workers and the auth process. Promises held: what is read keeps the bounds of
 * auth.h, an answer's name is fit to be passed on, and what is read is written as the same bytes.
 */
#include <string.h>

#include "auth/auth_message.h"
#include "base/panic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct auth_message m;
    char again[AUTH_MESSAGE_MAX_BYTES];
    if (!auth_message_read(str_of((const char *)data, size), &m))
        return 0;
    PANIC_IF(m.user.len > AUTH_NAME_MAX_BYTES || m.password.len > AUTH_PASSWORD_MAX_BYTES, "too long");
    PANIC_IF(m.result >= AUTH_RESULT_COUNT, "no such result");
    PANIC_IF(m.kind == AUTH_MESSAGE_ANSWER && str_has_control(m.user), "a control character got through");
    PANIC_IF(m.kind == AUTH_MESSAGE_ANSWER && (m.result == AUTH_OK) != (m.user.len > 0), "a name without a login");
    size_t len = auth_message_write(&m, again);
    PANIC_IF(len != size || memcmp(again, data, size) != 0, "written otherwise than read");
    return 0;
}
