// uses: smtp
/*
 * fuzz_params.c - parameters of MAIL and RCPT. Promises held: what was accepted and written anew is accepted again with
 * the same meaning, and holds no control character. The first byte chooses the extensions and the command.
 */
#include "base/panic.h"
#include "smtp/params.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_mail(struct str in, unsigned extensions)
{
    struct smtp_mail_params params, again;
    struct str name;
    struct buf first, second;
    if (smtp_mail_params_parse(in, extensions, &params, &name) != SMTP_PARAMS_OK)
        return;
    PANIC_IF(smtp_mail_params_need(&params) & ~extensions, "needs what was not offered");
    buf_init(&first, 65536);
    buf_init(&second, 65536);
    PANIC_IF(!smtp_mail_params_write(&first, &params, extensions, &in), "no room");
    PANIC_IF(str_has_control(buf_str(&first)), "a control character got through");
    buf_clear(&first);
    PANIC_IF(!smtp_mail_params_write(&first, &params, extensions, NULL), "no room");
    PANIC_IF(smtp_mail_params_parse(buf_str(&first), extensions, &again, &name) != SMTP_PARAMS_OK, "not read again");
    PANIC_IF(!smtp_mail_params_write(&second, &again, extensions, NULL), "no room");
    PANIC_IF(!str_equal(buf_str(&first), buf_str(&second)), "read again as another");
    buf_fini(&first);
    buf_fini(&second);
}

static void check_rcpt(struct str in, unsigned extensions)
{
    struct smtp_rcpt_params params, again;
    struct str name;
    struct buf first, second;
    if (smtp_rcpt_params_parse(in, extensions, &params, &name) != SMTP_PARAMS_OK)
        return;
    PANIC_IF(smtp_rcpt_params_need(&params) & ~extensions, "needs what was not offered");
    buf_init(&first, 65536);
    buf_init(&second, 65536);
    PANIC_IF(!smtp_rcpt_params_write(&first, &params, extensions), "no room");
    PANIC_IF(str_has_control(buf_str(&first)), "a control character got through");
    PANIC_IF(smtp_rcpt_params_parse(buf_str(&first), extensions, &again, &name) != SMTP_PARAMS_OK, "not read again");
    PANIC_IF(!smtp_rcpt_params_write(&second, &again, extensions), "no room");
    PANIC_IF(!str_equal(buf_str(&first), buf_str(&second)), "read again as another");
    buf_fini(&first);
    buf_fini(&second);
}

static void check_xtext(struct str in)
{
    struct buf encoded, decoded;
    buf_init(&encoded, 65536);
    buf_init(&decoded, 65536);
    PANIC_IF(!smtp_xtext_encode(&encoded, in) || !smtp_xtext_decode(&decoded, buf_str(&encoded)), "no way back");
    PANIC_IF(!str_equal(buf_str(&decoded), in), "another came back");
    buf_fini(&encoded);
    buf_fini(&decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 4096)
        return 0;
    struct str in = str_of((const char *)data + 1, size - 1);
    unsigned extensions = ~(unsigned)data[0] & 31; /* most inputs: all */
    if (data[0] & 32)
        check_rcpt(in, extensions);
    else
        check_mail(in, extensions);
    check_xtext(in);
    return 0;
}
