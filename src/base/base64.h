/* base64.h - RFC 4648 section 4, strict: no white space, padding where it belongs, no bits left over. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buf.h"

#define BASE64_ENCODED_LEN(n) (((n) + 2) / 3 * 4)
#define BASE64_DECODED_MAX(n) ((n) / 4 * 3)

/* Appends. False: the buffer is full. */
MUST_USE bool base64_encode(struct buf *to, struct str s);
/* Into `to` of at least BASE64_DECODED_MAX(s.len) bytes. False: not base64; *len then says nothing. */
MUST_USE bool base64_decode(void *to, size_t *len, struct str s);

#endif
