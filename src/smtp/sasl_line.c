/* sasl_line.c - the lines of AUTH. See sasl_line.h. */
#include "smtp/sasl_line.h"

#include "base/base64.h"
#include "smtp/command.h"

static const struct str NAMES[] = {[SMTP_SASL_PLAIN] = {"PLAIN", 5}, [SMTP_SASL_LOGIN] = {"LOGIN", 5}};

bool smtp_auth_parse(struct str argument, struct smtp_auth *auth)
{
    *auth = (struct smtp_auth){0};
    auth->mechanism = str_split(argument, ' ', &auth->initial);
    auth->has_initial = auth->mechanism.len < argument.len;
    if (auth->mechanism.len < 1 || auth->mechanism.len > 20) /* RFC 4422 3.1 */
        return false;
    for (size_t i = 0; i < auth->mechanism.len; i++) {
        char c = auth->mechanism.ptr[i];
        if (!ascii_is_alnum(c) && c != '-' && c != '_')
            return false;
    }
    auth->initial = str_trim(auth->initial);
    if (auth->has_initial && (auth->initial.len == 0 || str_find(auth->initial, ' ') < auth->initial.len))
        return false;
    if (str_equal(auth->initial, STR("=")))
        auth->initial.len = 0;
    return true;
}

enum smtp_sasl_mechanism smtp_sasl_mechanism_find(struct str name)
{
    for (size_t i = 0; i < COUNT_OF(NAMES); i++)
        if (str_equal_nocase(name, NAMES[i]))
            return (enum smtp_sasl_mechanism)i;
    return SMTP_SASL_UNKNOWN;
}

const char *smtp_sasl_mechanism_name(enum smtp_sasl_mechanism mechanism)
{
    return mechanism < SMTP_SASL_UNKNOWN ? NAMES[mechanism].ptr : "unknown";
}

void smtp_sasl_init(struct smtp_sasl *sasl, enum smtp_sasl_mechanism mechanism)
{
    *sasl = (struct smtp_sasl){.mechanism = mechanism};
    /* LOGIN may take two lines; each of them is bounded by the session, and once more here */
    buf_init(&sasl->secret, 2 * BASE64_DECODED_MAX((size_t)SMTP_AUTH_LINE_MAX));
}

void smtp_sasl_fini(struct smtp_sasl *sasl)
{
    buf_wipe(&sasl->secret);
    sasl->login = sasl->password = STR_NONE;
}

bool smtp_login_is_valid(struct str login)
{
    return login.len > 0 && login.len <= SMTP_LOGIN_MAX && str_is_utf8(login) && !str_has_control(login) &&
           str_trim(login).len == login.len;
}

static bool is_password(struct str password)
{
    return password.len > 0 && password.len <= SMTP_PASSWORD_MAX;
}

enum smtp_sasl_result smtp_sasl_plain_parse(struct str message, struct str *login, struct str *password)
{
    struct str rest, authzid = str_split(message, '\0', &rest);
    *login = str_split(rest, '\0', password);
    if (authzid.len + 1 + login->len + 1 + password->len != message.len || str_find(*password, '\0') < password->len ||
        !str_is_utf8(message))
        return SMTP_SASL_BAD;
    if ((authzid.len && !str_equal(authzid, *login)) || !smtp_login_is_valid(*login) || !is_password(*password))
        return SMTP_SASL_REFUSED;
    return SMTP_SASL_READY;
}

/* Appends what the line holds to the secret. */
static enum smtp_sasl_result decode(struct smtp_sasl *sasl, struct str line)
{
    size_t len = 0;
    if (line.len == 0)
        return SMTP_SASL_READY;
    if (line.len > SMTP_AUTH_LINE_MAX || line.len % 4)
        return SMTP_SASL_BAD;
    char *to = buf_reserve(&sasl->secret, BASE64_DECODED_MAX(line.len));
    if (!to)
        return SMTP_SASL_NO_MEMORY;
    if (!base64_decode(to, &len, line))
        return SMTP_SASL_BAD;
    buf_commit(&sasl->secret, len);
    return SMTP_SASL_READY;
}

static enum smtp_sasl_result ask(struct smtp_sasl *sasl, struct str challenge)
{
    sasl->challenge = challenge;
    return SMTP_SASL_CHALLENGE;
}

static enum smtp_sasl_result read_plain(struct smtp_sasl *sasl, struct str line)
{
    enum smtp_sasl_result result = decode(sasl, line);
    return result == SMTP_SASL_READY ? smtp_sasl_plain_parse(buf_str(&sasl->secret), &sasl->login, &sasl->password)
                                     : result;
}

/* Name, then password. A name that nobody can have is refused after the password only, like one that nobody has. */
static enum smtp_sasl_result read_login(struct smtp_sasl *sasl, struct str line)
{
    size_t login_len = sasl->login.len;
    enum smtp_sasl_result result = decode(sasl, line);
    if (result != SMTP_SASL_READY)
        return result;
    struct str all = buf_str(&sasl->secret);
    if (sasl->step++ == 0) {
        sasl->login = all;
        return ask(sasl, STR("UGFzc3dvcmQ6")); /* "Password:" */
    }
    sasl->login = str_sub(all, 0, login_len); /* the buffer may have moved */
    sasl->password = str_from(all, login_len);
    if (!str_is_utf8(sasl->password) || str_find(sasl->password, '\0') < sasl->password.len)
        return SMTP_SASL_BAD;
    return smtp_login_is_valid(sasl->login) && is_password(sasl->password) ? SMTP_SASL_READY : SMTP_SASL_REFUSED;
}

static enum smtp_sasl_result read_response(struct smtp_sasl *sasl, struct str line)
{
    return sasl->mechanism == SMTP_SASL_PLAIN ? read_plain(sasl, line) : read_login(sasl, line);
}

enum smtp_sasl_result smtp_sasl_start(struct smtp_sasl *sasl, const struct smtp_auth *auth)
{
    if (auth->has_initial)
        return read_response(sasl, auth->initial);
    return ask(sasl, sasl->mechanism == SMTP_SASL_PLAIN ? STR("") : STR("VXNlcm5hbWU6")); /* "Username:" */
}

enum smtp_sasl_result smtp_sasl_feed(struct smtp_sasl *sasl, struct str line)
{
    return str_equal(line, STR("*")) ? SMTP_SASL_CANCELLED : read_response(sasl, line);
}
