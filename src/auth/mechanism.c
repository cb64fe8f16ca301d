/* mechanism.c - the table of SASL mechanisms. See mechanism.h. */
#include "auth/mechanism.h"

static const struct auth_mechanism MECHANISMS[] = {
    {SMTP_SASL_PLAIN, .shows_password = true},
    {SMTP_SASL_LOGIN, .shows_password = true},
};

const struct auth_mechanism *auth_mechanism_find(struct str name)
{
    enum smtp_sasl_mechanism sasl = smtp_sasl_mechanism_find(name);
    for (size_t i = 0; i < COUNT_OF(MECHANISMS); i++)
        if (MECHANISMS[i].sasl == sasl)
            return &MECHANISMS[i];
    return NULL;
}

bool auth_mechanism_may_be_used(const struct auth_mechanism *m, bool secret)
{
    return secret || !m->shows_password;
}

bool auth_mechanisms_offer(struct buf *to, bool secret)
{
    size_t before = buf_len(to);
    for (size_t i = 0; i < COUNT_OF(MECHANISMS); i++) {
        const struct auth_mechanism *m = &MECHANISMS[i];
        if (!auth_mechanism_may_be_used(m, secret))
            continue;
        bool is_first = buf_len(to) == before;
        if ((!is_first && !buf_append_char(to, ' ')) ||
            !buf_append_str(to, str_of_z(smtp_sasl_mechanism_name(m->sasl)))) {
            buf_truncate(to, before);
            return false;
        }
    }
    return true;
}
