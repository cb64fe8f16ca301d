/* backend_file.h - the row of `auth file "…"` for backends.c. */
#ifndef AUTH_BACKEND_FILE_H
#define AUTH_BACKEND_FILE_H

#include "auth/backend.h"

extern const struct auth_backend_kind auth_backend_file;

#endif
