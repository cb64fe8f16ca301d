// uses: lookup
/*
 * fuzz_socketmap.c - answers of socketmap servers. Promises held: whatever comes, it is read within its bytes; an
 * answer takes as many bytes as it says and at most SOCKETMAP_REPLY_MAX_BYTES and its frame; what is read piece by
 * piece is what is read whole; and what was once broken stays broken.
 */
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "lookup/socketmap_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reply(struct str input, const struct socketmap_reply *r)
{
    PANIC_IF(r->bytes < 4 || r->bytes > input.len || r->bytes > SOCKETMAP_REPLY_MAX_BYTES + 8, "bytes of a reply");
    PANIC_IF(input.ptr[r->bytes - 1] != ',', "the end of a reply");
    if (r->text.len)
        PANIC_IF(r->text.ptr < input.ptr || r->text.ptr + r->text.len >= input.ptr + r->bytes, "a text outside");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_of((const char *)data, size);
    for (;;) {
        struct socketmap_reply whole, piece;
        enum socketmap_read read = socketmap_reply_read(input, &whole);
        size_t looked_at = MIN_OF(input.len, (size_t)64);
        for (size_t n = 0; n <= looked_at; n++) {
            char *own = malloc(n ? n : 1); /* what is read beyond it is found */
            PANIC_IF(!own, "no memory");
            memcpy(own, input.ptr ? input.ptr : "", n);
            enum socketmap_read part = socketmap_reply_read(str_of(own, n), &piece);
            PANIC_IF(part == SOCKETMAP_READ_BROKEN && read != SOCKETMAP_READ_BROKEN, "broken only in part");
            PANIC_IF(part == SOCKETMAP_READ_REPLY && (read != SOCKETMAP_READ_REPLY || piece.bytes != whole.bytes),
                     "another reply in part");
            free(own);
        }
        if (read != SOCKETMAP_READ_REPLY)
            return 0;
        check_reply(input, &whole);
        input = str_from(input, whole.bytes);
    }
}
