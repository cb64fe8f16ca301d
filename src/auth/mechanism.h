/*
 * mechanism.h - the SASL mechanisms that are offered: a row each. What their lines look like is smtp/sasl_line.h's;
 * which one may be used when is decided here, in one place, for the EHLO reply and for the AUTH command alike.
 *
 * PLAIN and LOGIN show the password to whoever reads along: they are offered under TLS, or where the listener says `tls
 * off` (which the configuration allows on loopback addresses only).
 */
#ifndef AUTH_MECHANISM_H
#define AUTH_MECHANISM_H

#include "base/buf.h"
#include "smtp/sasl_line.h"

struct auth_mechanism {
    enum smtp_sasl_mechanism sasl; /* how its lines are read */
    bool shows_password;           /* needs a connection that nobody reads along */
};

/* By its name, ignoring case (RFC 4954 3). NULL: not known, 504 5.5.4. */
const struct auth_mechanism *auth_mechanism_find(struct str name);
/* False: 538 5.7.11, TLS first. secret: the connection is encrypted, or its listener says that it need not be. */
bool auth_mechanism_may_be_used(const struct auth_mechanism *m, bool secret);
/* Appends "PLAIN LOGIN", what AUTH in EHLO offers on such a connection; nothing: AUTH is not offered. False: buffer
 * full. */
MUST_USE bool auth_mechanisms_offer(struct buf *to, bool secret);

#endif
