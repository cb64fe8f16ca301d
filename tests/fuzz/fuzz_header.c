// uses: smtp
/*
 * fuzz_header.c - the header block and the address of From:. Promises held: scanned in pieces the same end is found,
 * every field lies within the block and is counted once, an address found is an address, what is unfolded has no line
 * end in it. The first byte chooses the pieces.
 */
#include "base/panic.h"
#include "smtp/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_fields(struct str block, const struct smtp_header *header)
{
    struct smtp_header_field field;
    struct buf text;
    struct str value;
    unsigned count = 0, received = 0;
    buf_init(&text, 1 << 24);
    for (size_t at = 0; smtp_header_next(block, &at, &field); count++) {
        PANIC_IF(at > block.len || field.name.len == 0, "a field outside the block");
        PANIC_IF(field.value.ptr < block.ptr || field.value.ptr + field.value.len > block.ptr + block.len,
                 "a value outside the block");
        PANIC_IF(!smtp_header_first(block, field.name, &value) || !smtp_header_count(block, field.name),
                 "a field not found");
        received += str_equal_nocase(field.name, STR("Received"));
        buf_clear(&text);
        PANIC_IF(!smtp_header_unfold(&text, field.value), "no room");
        PANIC_IF(str_find(buf_str(&text), '\n') < buf_len(&text) || str_find(buf_str(&text), '\r') < buf_len(&text),
                 "a line end got through");
    }
    PANIC_IF(count != header->field_count || received != header->received_count, "fields are counted otherwise");
    PANIC_IF(str_has_control(smtp_header_message_id(block)), "a control character got through");
    buf_fini(&text);
}

static void check_address(struct str value)
{
    struct buf address;
    struct smtp_path path;
    unsigned count;
    buf_init(&address, 1 << 16);
    if (smtp_header_single_address(value, &address, &count))
        PANIC_IF(count != 1 || !smtp_address_parse(buf_str(&address), &path), "that is no address");
    else
        PANIC_IF(buf_len(&address) != 0, "an address that is none");
    buf_clear(&address);
    if (smtp_header_from(value, &address))
        PANIC_IF(!smtp_address_parse(buf_str(&address), &path), "that is no address");
    buf_fini(&address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct str in = str_of((const char *)data + 1, size - 1);
    struct smtp_header whole, pieces;
    smtp_header_init(&whole, 4096);
    smtp_header_init(&pieces, 4096);
    enum smtp_header_result want = smtp_header_scan(&whole, in, true), got = SMTP_HEADER_MORE;
    for (size_t len = 0; len < in.len && got == SMTP_HEADER_MORE; len += (size_t)data[0] + 1)
        got = smtp_header_scan(&pieces, str_sub(in, 0, len), false);
    if (got == SMTP_HEADER_MORE)
        got = smtp_header_scan(&pieces, in, true);
    PANIC_IF(want == SMTP_HEADER_MORE, "no verdict on a whole message");
    if (got != want) /* a line longer than the maximum may yet be seen to be body */
        PANIC_IF(got != SMTP_HEADER_TOO_LARGE || in.len <= 4096, "the cuts matter");
    else if (want == SMTP_HEADER_END)
        PANIC_IF(whole.fields_end != pieces.fields_end || whole.body_start != pieces.body_start ||
                     whole.line_count != pieces.line_count || whole.received_count != pieces.received_count,
                 "the cuts matter");
    if (want == SMTP_HEADER_END) {
        PANIC_IF(whole.fields_end > whole.body_start || whole.body_start > in.len, "the end is outside");
        check_fields(str_sub(in, 0, whole.fields_end), &whole);
    }
    check_address(in);
    return 0;
}
