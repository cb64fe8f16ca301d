/*
 * password_hash.h - one password against one hash, and new hashes.
 *
 * Taken: what mkpasswd, htpasswd -B, doveadm pw and /etc/shadow write in the kinds that are slow on purpose,
 *
 *   $y$ yescrypt   $2b$ $2y$ $2a$ bcrypt   $6$ sha512crypt   $5$ sha256crypt
 *   $argon2id$ $argon2i$ (versions 1.0 and 1.3)
 *
 * with or without Dovecot's prefix: {CRYPT} {BLF-CRYPT} {SHA512-CRYPT} {SHA256-CRYPT} {ARGON2ID} {ARGON2I}.
 *
 * Refused: plain text, unsalted hashes, and the fast salted ones (MD5, {SSHA} …): who copies such a file has the
 * passwords.
 *
 * Costs are bounded when the file is read, not when a login hashes: a line that would hold a thread for more than about
 * two seconds, or take more than PASSWORD_HASH_MAX_MEMORY_KIB, is refused with its place. So the auth process's memory
 * is threads times that, and no line of the users file can stall it.
 *
 * Errors never quote a hash or a password.
 */
#ifndef AUTH_PASSWORD_HASH_H
#define AUTH_PASSWORD_HASH_H

#include "auth/auth.h"

enum {
    PASSWORD_HASH_MAX_BYTES = 383,          /* crypt(3)'s CRYPT_OUTPUT_SIZE - 1 */
    PASSWORD_HASH_MAX_MEMORY_KIB = 1 << 18, /* 256 MiB */
    PASSWORD_HASH_MAX_ARGON2_KIB = 1 << 20, /* memory times passes */
    PASSWORD_HASH_MAX_ARGON2_LANES = 16,
    PASSWORD_HASH_MAX_BCRYPT_COST = 15,
    PASSWORD_HASH_MAX_SHA_ROUNDS = 1000000
};

enum password_match {
    PASSWORD_RIGHT,
    PASSWORD_WRONG,
    PASSWORD_TROUBLE /* no memory to find out */
};

/* A users file's second field: cuts off a {SCHEME}, checks that what is left is a whole, salted hash of a kind that is
 * taken, at a cost that is taken. *hash then borrows from field. False with what is wrong and, in the hint, what to do.
 */
MUST_USE bool password_hash_read(struct str field, struct str *hash, struct err *err);

/* hash: as password_hash_read gave it. Takes the time that the hash says (milliseconds to two seconds): for a thread,
 * not for a loop. Compares in constant time; a password that is empty, too long or holds a NUL is hashed all the same
 * and wrong. Any thread. */
enum password_match password_hash_verify(struct str hash, struct str password);

/* A new hash (argon2id, 19 MiB, 2 passes) of a password, into `to` of PASSWORD_HASH_MAX_BYTES + 1 bytes. False: a
 * password that no login could ever give (empty, too long, not UTF-8, with a control character), or no memory. */
MUST_USE bool password_hash_make(struct str password, char *to, struct err *err);

/* A hash that no password is known for, at the cost of a new one: something to spend time on where there are no users.
 */
struct str password_hash_filler(void);

/* May a password be this? As password_hash_make says. */
MUST_USE bool password_check(struct str password, struct err *err);

#endif
