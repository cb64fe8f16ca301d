/* table_forms.c - see table_forms.h. */
#include "rules/table_forms.h"

#include "rules/table_inside.h"

/* The whole, without its tag if it bears one, its domain. */
static bool address_form(struct str address, unsigned n, char *to, struct str *form)
{
    struct str whole = address_normal(address, false, to, TABLE_FORM_MAX_BYTES);
    bool has_tag = str_find(address, '+') < str_find_last(address, '@');
    size_t at = str_find_last(whole, '@');
    *form = n == 0              ? whole
            : n == 1 && has_tag ? address_normal(address, true, to, TABLE_FORM_MAX_BYTES)
                                : str_from(whole, at);
    return n <= 1u + has_tag && (n == 0 || at < whole.len);
}

/* The domain, then all above it, each with its dot. */
static bool domain_form(struct str domain, unsigned n, char *to, struct str *form)
{
    *form = domain_normal(domain, to, TABLE_FORM_MAX_BYTES);
    for (size_t i = 0; n > 0; i++) {
        if (i >= form->len)
            return false;
        if (form->ptr[i] != '.' || (i == 0 && domain.ptr[0] == '.'))
            continue;
        *form = str_from(*form, i);
        i = 0;
        n--;
    }
    return true;
}

bool table_form(enum table_type type, struct str text, unsigned n, char *to, struct str *form)
{
    if (text.len == 0 || text.len > TABLE_ITEM_MAX_BYTES || n >= TABLE_FORMS_MAX)
        return false;
    if (type == TABLE_DOMAINS)
        return domain_form(text, n, to, form);
    if (type != TABLE_STRINGS && text_is_address(text))
        return address_form(text, n, to, form);
    *form = text_lower(text, to, TABLE_FORM_MAX_BYTES);
    return n == 0;
}
