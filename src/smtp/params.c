/* params.c - the parameters of MAIL and RCPT. See params.h. */
#include "smtp/params.h"

#include <inttypes.h>

static bool is_xchar(char c)
{
    return c >= 33 && c <= 126 && c != '+' && c != '=';
}

/* RFC 3461 4 wants upper case. -1: no hex digit. */
static int hex_value(char c)
{
    if (ascii_is_digit(c))
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte at *at, which moves behind it; -1: no xtext. */
static int xtext_next(struct str s, size_t *at)
{
    char c = s.ptr[*at];
    if (is_xchar(c)) {
        *at += 1;
        return (unsigned char)c;
    }
    if (c != '+' || s.len - *at < 3)
        return -1;
    int high = hex_value(s.ptr[*at + 1]), low = hex_value(s.ptr[*at + 2]);
    *at += 3;
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

bool smtp_xtext_encode(struct buf *to, struct str s)
{
    static const char HEX[] = "0123456789ABCDEF";
    bool ok = true;
    while (ok && s.len) {
        size_t n = 0;
        while (n < s.len && is_xchar(s.ptr[n]))
            n++;
        ok = buf_append(to, s.ptr, n);
        if (ok && n < s.len) {
            unsigned char c = (unsigned char)s.ptr[n++];
            char escaped[3] = {'+', HEX[c >> 4], HEX[c & 15]};
            ok = buf_append(to, escaped, sizeof escaped);
        }
        s = str_from(s, n);
    }
    return ok;
}

bool smtp_xtext_decode(struct buf *to, struct str s)
{
    for (size_t i = 0; i < s.len;) {
        int c = xtext_next(s, &i);
        if (c < 0 || !buf_append_char(to, (char)c))
            return false;
    }
    return true;
}

/* xtext of printable characters: RFC 3461 4.2 and 4.4 ask for them, and what is hidden in a +0D would reach others'
 * headers. */
static bool is_printable_xtext(struct str s, bool allows_8bit)
{
    for (size_t i = 0; i < s.len;) {
        int c = xtext_next(s, &i);
        if (c < 32 || c == 127 || (c > 127 && !allows_8bit))
            return false;
    }
    return s.len > 0;
}

/* type;address. A utf-8 address (RFC 6533 3) may come raw where SMTPUTF8 is spoken. */
static bool is_orcpt(struct str s, unsigned extensions)
{
    struct str address, type = str_split(s, ';', &address);
    if (s.len > SMTP_ORCPT_MAX || type.len == 0 || address.len == 0)
        return false;
    for (size_t i = 0; i < type.len; i++)
        if (!ascii_is_alnum(type.ptr[i]) && type.ptr[i] != '-')
            return false;
    if (str_equal_nocase(type, STR("utf-8")) && (extensions & SMTP_EXT_SMTPUTF8) && !str_is_ascii(address))
        return str_is_utf8(address) && !str_has_control(address) && str_find(address, '=') == address.len;
    return is_printable_xtext(address, false);
}

static bool parse_size(struct str value, uint64_t *size)
{
    if (value.len == 0 || value.len > 20)
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (!ascii_is_digit(value.ptr[i]))
            return false;
    if (!str_to_u64(value, UINT64_MAX, size))
        *size = UINT64_MAX; /* 20 digits may be more than 64 bits: in any case too large */
    return true;
}

static bool parse_notify(struct str value, unsigned *notify)
{
    static const struct {
        struct str word;
        unsigned bit;
    } WORDS[] = {{STR("SUCCESS"), SMTP_NOTIFY_SUCCESS},
                 {STR("FAILURE"), SMTP_NOTIFY_FAILURE},
                 {STR("DELAY"), SMTP_NOTIFY_DELAY}};
    *notify = 0;
    if (str_equal_nocase(value, STR("NEVER"))) {
        *notify = SMTP_NOTIFY_NEVER;
        return true;
    }
    if (value.len == 0 || value.ptr[value.len - 1] == ',')
        return false;
    while (value.len) {
        struct str word = str_split(value, ',', &value);
        unsigned bit = 0;
        for (size_t i = 0; i < COUNT_OF(WORDS); i++)
            if (str_equal_nocase(word, WORDS[i].word))
                bit = WORDS[i].bit;
        if (bit == 0 || (*notify & bit))
            return false;
        *notify |= bit;
    }
    return true;
}

/* One parameter as it stands: KEYWORD or KEYWORD=value. */
struct param {
    struct str token, keyword, value;
    bool has_value;
};

static bool next_param(struct str *text, struct param *param)
{
    *text = str_trim(*text);
    if (text->len == 0)
        return false;
    param->token = str_split(*text, ' ', text);
    param->keyword = str_split(param->token, '=', &param->value);
    param->has_value = param->keyword.len < param->token.len;
    return true;
}

static bool is_offered(const struct param *param, const char *keyword, unsigned extension, unsigned extensions)
{
    return (extensions & extension) && str_equal_nocase(param->keyword, str_of_z(keyword));
}

/* RFC 6152 2. BINARYMIME is a value that exists and that nobody offered here. */
static enum smtp_params_result parse_body(struct param *param, struct smtp_mail_params *params)
{
    if (str_equal_nocase(param->value, STR("BINARYMIME"))) {
        param->keyword = param->token;
        return SMTP_PARAMS_UNKNOWN;
    }
    if (params->body != SMTP_BODY_UNSAID)
        return SMTP_PARAMS_TWICE;
    if (str_equal_nocase(param->value, STR("7BIT")))
        params->body = SMTP_BODY_7BIT;
    else if (str_equal_nocase(param->value, STR("8BITMIME")))
        params->body = SMTP_BODY_8BITMIME;
    return params->body == SMTP_BODY_UNSAID ? SMTP_PARAMS_BAD : SMTP_PARAMS_OK;
}

static enum smtp_params_result parse_ret(const struct param *param, struct smtp_mail_params *params)
{
    if (params->ret != SMTP_RET_UNSAID)
        return SMTP_PARAMS_TWICE;
    if (str_equal_nocase(param->value, STR("FULL")))
        params->ret = SMTP_RET_FULL;
    else if (str_equal_nocase(param->value, STR("HDRS")))
        params->ret = SMTP_RET_HDRS;
    return params->ret == SMTP_RET_UNSAID ? SMTP_PARAMS_BAD : SMTP_PARAMS_OK;
}

static enum smtp_params_result checked(bool is_second, bool is_good)
{
    return is_second ? SMTP_PARAMS_TWICE : is_good ? SMTP_PARAMS_OK : SMTP_PARAMS_BAD;
}

static enum smtp_params_result parse_mail_param(struct param *param, unsigned extensions,
                                                struct smtp_mail_params *params)
{
    struct str value = param->value;
    if (is_offered(param, "SIZE", SMTP_EXT_SIZE, extensions)) {
        enum smtp_params_result result = checked(params->has_size, parse_size(value, &params->size_bytes));
        params->has_size = true;
        return result;
    }
    if (is_offered(param, "BODY", SMTP_EXT_8BITMIME, extensions))
        return parse_body(param, params);
    if (is_offered(param, "SMTPUTF8", SMTP_EXT_SMTPUTF8, extensions)) {
        enum smtp_params_result result = checked(params->smtputf8, !param->has_value);
        params->smtputf8 = true;
        return result;
    }
    if (is_offered(param, "RET", SMTP_EXT_DSN, extensions))
        return parse_ret(param, params);
    if (is_offered(param, "ENVID", SMTP_EXT_DSN, extensions)) {
        bool is_second = params->envid.ptr != NULL;
        params->envid = value;
        return checked(is_second, value.len <= SMTP_ENVID_MAX && is_printable_xtext(value, false));
    }
    if (is_offered(param, "AUTH", SMTP_EXT_AUTH, extensions)) {
        bool is_second = params->has_auth;
        params->has_auth = true;
        params->auth = value;
        return checked(is_second, str_equal(value, STR("<>")) ||
                                      (value.len <= SMTP_AUTH_PARAM_MAX && is_printable_xtext(value, true)));
    }
    return SMTP_PARAMS_UNKNOWN;
}

enum smtp_params_result smtp_mail_params_parse(struct str text, unsigned extensions, struct smtp_mail_params *params,
                                               struct str *name)
{
    struct param param;
    *params = (struct smtp_mail_params){0};
    while (next_param(&text, &param)) {
        enum smtp_params_result result = parse_mail_param(&param, extensions, params);
        *name = param.keyword;
        if (result != SMTP_PARAMS_OK)
            return result;
    }
    *name = STR_NONE;
    return SMTP_PARAMS_OK;
}

static enum smtp_params_result parse_rcpt_param(const struct param *param, unsigned extensions,
                                                struct smtp_rcpt_params *params)
{
    if (is_offered(param, "NOTIFY", SMTP_EXT_DSN, extensions))
        return params->notify ? SMTP_PARAMS_TWICE : checked(false, parse_notify(param->value, &params->notify));
    if (is_offered(param, "ORCPT", SMTP_EXT_DSN, extensions)) {
        bool is_second = params->orcpt.ptr != NULL;
        params->orcpt = param->value;
        return checked(is_second, is_orcpt(param->value, extensions));
    }
    return SMTP_PARAMS_UNKNOWN;
}

enum smtp_params_result smtp_rcpt_params_parse(struct str text, unsigned extensions, struct smtp_rcpt_params *params,
                                               struct str *name)
{
    struct param param;
    *params = (struct smtp_rcpt_params){0};
    while (next_param(&text, &param)) {
        enum smtp_params_result result = parse_rcpt_param(&param, extensions, params);
        *name = param.keyword;
        if (result != SMTP_PARAMS_OK)
            return result;
    }
    *name = STR_NONE;
    return SMTP_PARAMS_OK;
}

unsigned smtp_mail_params_need(const struct smtp_mail_params *params)
{
    unsigned need = 0;
    if (params->body == SMTP_BODY_8BITMIME)
        need |= SMTP_EXT_8BITMIME;
    if (params->smtputf8)
        need |= SMTP_EXT_SMTPUTF8;
    if (params->ret != SMTP_RET_UNSAID || params->envid.len)
        need |= SMTP_EXT_DSN;
    return need;
}

unsigned smtp_rcpt_params_need(const struct smtp_rcpt_params *params)
{
    unsigned need = params->notify || params->orcpt.len ? SMTP_EXT_DSN : 0;
    return str_is_ascii(params->orcpt) ? need : need | SMTP_EXT_SMTPUTF8;
}

static bool write_text(struct buf *to, bool is_said, const char *before, struct str value)
{
    return !is_said || (buf_append_str(to, str_of_z(before)) && buf_append_str(to, value));
}

bool smtp_mail_params_write(struct buf *to, const struct smtp_mail_params *params, unsigned extensions,
                            const struct str *auth)
{
    static const char *const BODY[] = {"", "7BIT", "8BITMIME"};
    static const char *const RET[] = {"", "FULL", "HDRS"};
    bool dsn = extensions & SMTP_EXT_DSN;
    if (params->has_size && (extensions & SMTP_EXT_SIZE) && !buf_printf(to, " SIZE=%" PRIu64, params->size_bytes))
        return false;
    if (!write_text(to, params->body && (extensions & SMTP_EXT_8BITMIME), " BODY=", str_of_z(BODY[params->body])) ||
        !write_text(to, params->smtputf8 && (extensions & SMTP_EXT_SMTPUTF8), " SMTPUTF8", STR("")) ||
        !write_text(to, params->ret && dsn, " RET=", str_of_z(RET[params->ret])) ||
        !write_text(to, params->envid.len && dsn, " ENVID=", params->envid))
        return false;
    if (!auth || !(extensions & SMTP_EXT_AUTH))
        return true;
    return buf_append_str(to, STR(" AUTH=")) &&
           (auth->len ? smtp_xtext_encode(to, *auth) : buf_append_str(to, STR("<>")));
}

bool smtp_rcpt_params_write(struct buf *to, const struct smtp_rcpt_params *params, unsigned extensions)
{
    static const struct {
        unsigned bit;
        const char *word;
    } NOTIFY[] = {{SMTP_NOTIFY_NEVER, "NEVER"},
                  {SMTP_NOTIFY_SUCCESS, "SUCCESS"},
                  {SMTP_NOTIFY_FAILURE, "FAILURE"},
                  {SMTP_NOTIFY_DELAY, "DELAY"}};
    const char *before = " NOTIFY=";
    if (!(extensions & SMTP_EXT_DSN))
        return true;
    for (size_t i = 0; i < COUNT_OF(NOTIFY); i++) {
        if (!(params->notify & NOTIFY[i].bit))
            continue;
        if (!buf_append_str(to, str_of_z(before)) || !buf_append_str(to, str_of_z(NOTIFY[i].word)))
            return false;
        before = ",";
    }
    return write_text(to, params->orcpt.len, " ORCPT=", params->orcpt);
}
