/*
 * escape.h - bytes from outside made fit to be seen: in a log line, in JSON, in a counter's key.
 *
 * Whatever a stranger sends, what comes out of here holds no control character and is valid UTF-8.
 */
#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include "base/buf.h"

/* For a person: control characters, DEL and invalid UTF-8 as \xHH, the backslash as \\. False: the buffer is full. */
MUST_USE bool escape_text(struct buf *to, struct str s);
/* Between the quotes of a JSON string (RFC 8259 7); an invalid byte becomes the four characters \xHH (as text, so
 * \\xHH). */
MUST_USE bool escape_json(struct buf *to, struct str s);
/* For keys (LIMITS.md "Keys"): lower-case ASCII letters, digits and !$&'*+,-./:;=?@_~ and UTF-8 as they are,
 * upper case lowered, all else %HH. */
MUST_USE bool escape_key(struct buf *to, struct str s);

#endif
