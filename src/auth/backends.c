/* backends.c - a row per kind of backend. See backend.h. */
#include "auth/backend.h"
#include "auth/backend_file.h"

static const struct auth_backend_kind *const KINDS[] = {
    &auth_backend_file, /* `auth file "…"` */
};

const struct auth_backend_kind *auth_backend_kind_find(struct str name)
{
    for (size_t i = 0; i < COUNT_OF(KINDS); i++)
        if (str_equal(KINDS[i]->name, name))
            return KINDS[i];
    return NULL;
}
