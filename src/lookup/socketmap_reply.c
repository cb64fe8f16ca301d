/* socketmap_reply.c - see socketmap_reply.h. */
#include "lookup/socketmap_reply.h"

enum { LENGTH_MAX_DIGITS = 6 };

/* How many digits of a length stand there; *length is what they say. */
static size_t read_length(struct str input, size_t *length)
{
    size_t n = 0;
    *length = 0;
    while (n < input.len && n <= LENGTH_MAX_DIGITS && input.ptr[n] >= '0' && input.ptr[n] <= '9')
        *length = *length * 10 + (size_t)(input.ptr[n++] - '0');
    return n;
}

static bool read_result(struct str data, struct socketmap_reply *reply)
{
    struct str rest, word = str_split(data, ' ', &rest);
    if (str_equal(word, STR("OK"))) {
        reply->result = REMOTE_FOUND;
        reply->text = rest.ptr ? rest : STR("");
        return true;
    }
    reply->text = data;
    reply->result = str_equal(word, STR("NOTFOUND")) ? REMOTE_NOT_FOUND : REMOTE_FAILED;
    return reply->result == REMOTE_NOT_FOUND || str_equal(word, STR("TEMP")) || str_equal(word, STR("TIMEOUT")) ||
           str_equal(word, STR("PERM"));
}

enum socketmap_read socketmap_reply_read(struct str input, struct socketmap_reply *reply)
{
    size_t length, digits = read_length(input, &length);
    if (digits > LENGTH_MAX_DIGITS || length > SOCKETMAP_REPLY_MAX_BYTES)
        return SOCKETMAP_READ_BROKEN;
    if (digits == input.len)
        return SOCKETMAP_READ_MORE;
    if (digits == 0 || input.ptr[digits] != ':' || (digits > 1 && input.ptr[0] == '0'))
        return SOCKETMAP_READ_BROKEN;
    reply->bytes = digits + 1 + length + 1;
    if (input.len < reply->bytes)
        return SOCKETMAP_READ_MORE;
    if (input.ptr[reply->bytes - 1] != ',' || !read_result(str_sub(input, digits + 1, length), reply))
        return SOCKETMAP_READ_BROKEN;
    return SOCKETMAP_READ_REPLY;
}
