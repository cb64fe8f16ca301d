/* password_hash.c - kinds of hashes: a row each. See password_hash.h. */
#include "auth/password_hash.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <string.h>

#include "auth/password_argon2.h"
#include "base/hash.h"
#include "base/panic.h"

enum { NEW_MEMORY_KIB = 19 << 10, NEW_PASSES = 2, NEW_SALT_BYTES = 16, NEW_SUM_BYTES = 32 };

static const char SET_ANEW[] =
    "set the password anew with `mailweir passwd`, or put in what `mkpasswd` or `doveadm pw -s ARGON2ID` prints";

/* ---- is it whole, salted, and bearable? ---- */

static bool is_itoa64(char c)
{
    return ascii_is_alnum(c) || c == '.' || c == '/';
}

static bool all_itoa64(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_itoa64(s.ptr[i]))
            return false;
    return true;
}

static bool is_sum(struct str sum, size_t len)
{
    return sum.len == len && all_itoa64(sum);
}

static bool broken(struct err *err, const char *kind)
{
    return err_set(err, "the %s hash is broken: cut off, or with a character that cannot be in it", kind);
}

/* $2b$12$ + 22 characters of salt + 31 of hash */
static bool check_bcrypt(struct str hash, struct err *err)
{
    uint64_t cost;
    if (hash.len != 60 || hash.ptr[6] != '$' || !str_to_u64(str_sub(hash, 4, 2), 99, &cost) || cost < 4 ||
        !is_sum(str_from(hash, 7), 53))
        return broken(err, "bcrypt");
    if (cost > PASSWORD_HASH_MAX_BCRYPT_COST)
        return err_set(err, "the bcrypt hash has cost %u, at most %d is taken: each login would hash for seconds",
                       (unsigned)cost, PASSWORD_HASH_MAX_BCRYPT_COST);
    return true;
}

/* $6$ [ rounds=N$ ] salt $ sum */
static bool check_shacrypt(struct str hash, size_t sum_len, const char *kind, struct err *err)
{
    struct str rest = str_from(hash, 3);
    if (str_starts(rest, STR("rounds="))) {
        struct str digits = str_from(str_split(rest, '$', &rest), STR("rounds=").len);
        uint64_t rounds;
        if (!str_to_u64(digits, UINT32_MAX, &rounds) || rounds < 1000 || digits.ptr[0] == '0')
            return broken(err, kind);
        if (rounds > PASSWORD_HASH_MAX_SHA_ROUNDS)
            return err_set(err, "the %s hash has %u rounds, at most %d are taken: each login would hash for seconds",
                           kind, (unsigned)rounds, PASSWORD_HASH_MAX_SHA_ROUNDS);
    }
    struct str salt = str_split(rest, '$', &rest);
    if (salt.len == 0 && rest.len)
        return err_set(err, "the %s hash has no salt", kind);
    /* crypt(3) takes any of these in a salt; ':' and control characters cannot stand in the file anyway */
    for (size_t i = 0; i < salt.len; i++)
        if (salt.ptr[i] <= 32 || salt.ptr[i] >= 127 || strchr("!*:;\\", salt.ptr[i]))
            return broken(err, kind);
    return salt.len <= 16 && is_sum(rest, sum_len) ? true : broken(err, kind);
}

static bool check_sha512crypt(struct str hash, struct err *err)
{
    return check_shacrypt(hash, 86, "sha512crypt", err);
}

static bool check_sha256crypt(struct str hash, struct err *err)
{
    return check_shacrypt(hash, 43, "sha256crypt", err);
}

static unsigned itoa64_value(char c)
{
    static const char DIGITS[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    return (unsigned)(strchr(DIGITS, c) - DIGITS);
}

/* Six bits a digit, the lowest first: do they come out at whole bytes, nothing left over? crypt(3) takes no other. */
static bool is_whole_bytes(struct str s)
{
    static const unsigned LAST_DIGIT_BELOW[4] = {64, 0, 4, 16};
    return all_itoa64(s) && (s.len == 0 || itoa64_value(s.ptr[s.len - 1]) < LAST_DIGIT_BELOW[s.len % 4]);
}

/* $y$ j N r $ salt $ sum: N is 2 to the power of its digit plus 1, r its digit plus 1, memory 128 r N bytes. Digits
 * above 47 begin longer numbers, which no tool writes. */
static bool check_yescrypt(struct str hash, struct err *err)
{
    struct str rest = str_from(hash, 3);
    struct str costs = str_split(rest, '$', &rest);
    struct str salt = str_split(rest, '$', &rest);
    if (costs.len != 3 || costs.ptr[0] != 'j' || !all_itoa64(costs) || salt.len > 86 || !is_whole_bytes(salt) ||
        !is_sum(rest, 43))
        return broken(err, "yescrypt");
    if (salt.len == 0)
        return err_set(err, "the yescrypt hash has no salt");
    unsigned log2_n = itoa64_value(costs.ptr[1]) + 1, r = itoa64_value(costs.ptr[2]) + 1;
    if (log2_n > 30 || r > 48 || ((uint64_t)r << log2_n) / 8 > PASSWORD_HASH_MAX_MEMORY_KIB)
        return err_set(err, "the yescrypt hash takes too much memory, at most %d KiB are taken (cost 9)",
                       PASSWORD_HASH_MAX_MEMORY_KIB);
    return true;
}

static bool check_argon2(struct str hash, struct err *err)
{
    struct argon2_hash h;
    return argon2_hash_read(hash, &h, err);
}

/* ---- a password against it ---- */

static enum password_match verify_crypt(struct str hash, struct str password)
{
    char setting[PASSWORD_HASH_MAX_BYTES + 1], phrase[AUTH_PASSWORD_MAX_BYTES + 1];
    struct crypt_data scratch;
    memset(&scratch, 0, sizeof scratch);
    str_copy_into(setting, sizeof setting, hash);
    str_copy_into(phrase, sizeof phrase, password);
    const char *made = crypt_rn(phrase, setting, &scratch, (int)sizeof scratch);
    enum password_match match = PASSWORD_TROUBLE;
    if (made)
        match =
            strlen(made) == hash.len && CRYPTO_memcmp(made, hash.ptr, hash.len) == 0 ? PASSWORD_RIGHT : PASSWORD_WRONG;
    explicit_bzero(&scratch, sizeof scratch);
    explicit_bzero(phrase, sizeof phrase);
    return match;
}

static enum password_match verify_argon2(struct str hash, struct str password)
{
    struct argon2_hash h;
    struct err err;
    unsigned char sum[ARGON2_SUM_MAX];
    if (!argon2_hash_read(hash, &h, &err) || !argon2_hash_compute(&h, password, sum))
        return PASSWORD_TROUBLE;
    bool same = CRYPTO_memcmp(sum, h.sum, h.sum_len) == 0;
    explicit_bzero(sum, sizeof sum);
    return same ? PASSWORD_RIGHT : PASSWORD_WRONG;
}

/* ---- the kinds ---- */

struct hash_kind {
    const char *prefix;
    bool (*check)(struct str hash, struct err *err);
    enum password_match (*verify)(struct str hash, struct str password);
    const char *scheme; /* Dovecot's name for it, beside CRYPT */
    bool is_crypt;      /* {CRYPT} may stand before it */
};

static const struct hash_kind KINDS[] = {
    {"$y$", check_yescrypt, verify_crypt, "CRYPT", true},
    {"$2b$", check_bcrypt, verify_crypt, "BLF-CRYPT", true},
    {"$2y$", check_bcrypt, verify_crypt, "BLF-CRYPT", true},
    {"$2a$", check_bcrypt, verify_crypt, "BLF-CRYPT", true},
    {"$6$", check_sha512crypt, verify_crypt, "SHA512-CRYPT", true},
    {"$5$", check_sha256crypt, verify_crypt, "SHA256-CRYPT", true},
    {"$argon2id$", check_argon2, verify_argon2, "ARGON2ID", false},
    {"$argon2i$", check_argon2, verify_argon2, "ARGON2I", false},
};

/* What is often found in such files and is not taken, told by its name. */
static const struct {
    const char *begins;
    const char *what;
} REFUSED[] = {
    {"{PLAIN}", "the password stands in plain text"},
    {"{CLEARTEXT}", "the password stands in plain text"},
    {"{PLAIN-MD5}", "the hash is an unsalted MD5 sum"},
    {"{LDAP-MD5}", "the hash is an unsalted MD5 sum"},
    {"{MD5}", "the hash is an MD5 one, which is guessed too quickly"},
    {"{MD5-CRYPT}", "the hash is an MD5 one, which is guessed too quickly"},
    {"{SMD5}", "the hash is an MD5 one, which is guessed too quickly"},
    {"{CRAM-MD5}", "the hash is an unsalted MD5 sum"},
    {"{DIGEST-MD5}", "the hash is an MD5 one, which is guessed too quickly"},
    {"{SHA512-CRYPT.", "the hash is encoded once more (.B64, .HEX), which is not taken"},
    {"{SHA256-CRYPT.", "the hash is encoded once more (.B64, .HEX), which is not taken"},
    {"{SHA", "the hash is an unsalted SHA sum"},
    {"{SSHA", "the hash is a single SHA sum, which is guessed too quickly"},
    {"{DES-CRYPT}", "the hash is a DES one, which is guessed too quickly"},
    {"{NTLM}", "the hash is an unsalted MD4 sum"},
    {"{LANMAN}", "the hash is an unsalted DES sum"},
    {"{PBKDF2}", "the hash is of the kind PBKDF2, which is not taken"},
    {"{SCRAM-", "the hash is of the kind SCRAM, which is not taken"},
    {"{", "there is a scheme in braces that is not known"},
    {"$1$", "the hash is an MD5 one, which is guessed too quickly"},
    {"$apr1$", "the hash is an MD5 one, which is guessed too quickly"},
    {"$3$", "the hash is an unsalted MD4 sum"},
    {"$2x$", "the hash is one of the broken bcrypt, which is guessed more quickly"},
    {"$", "the hash is of a kind that is not known"},
    {"", "the password stands in plain text, or its hash is an unsalted one"},
};

static const struct hash_kind *kind_of(struct str hash)
{
    for (size_t i = 0; i < COUNT_OF(KINDS); i++)
        if (str_starts(hash, str_of_z(KINDS[i].prefix)))
            return &KINDS[i];
    return NULL;
}

/* Cuts "{SCHEME}" off. False: there is none, or none that is taken. */
static bool cut_scheme(struct str field, struct str *scheme, struct str *hash)
{
    struct str rest, inside = str_split(str_from(field, 1), '}', &rest);
    if (!str_starts(field, STR("{")) || !rest.ptr)
        return false;
    bool taken = str_equal_nocase(inside, STR("CRYPT"));
    for (size_t i = 0; i < COUNT_OF(KINDS) && !taken; i++)
        taken = str_equal_nocase(inside, str_of_z(KINDS[i].scheme));
    *scheme = inside;
    *hash = rest;
    return taken;
}

static bool refuse(struct str field, struct err *err)
{
    size_t i = 0;
    while (!str_starts_nocase(field, str_of_z(REFUSED[i].begins)))
        i++; /* the last row fits everything */
    err_set(err, "%s", REFUSED[i].what);
    err_set_hint(err, "%s", SET_ANEW);
    return false;
}

bool password_hash_read(struct str field, struct str *hash, struct err *err)
{
    struct str scheme = STR_NONE, text = field;
    bool has_scheme = cut_scheme(field, &scheme, &text);
    if (!has_scheme)
        text = field;
    const struct hash_kind *kind = kind_of(text);
    if (!kind)
        return refuse(text, err);
    bool fits = !has_scheme || str_equal_nocase(scheme, str_of_z(kind->scheme)) ||
                (kind->is_crypt && str_equal_nocase(scheme, STR("CRYPT")));
    if (!fits)
        err_set(err, "{" PRI_STR "} stands before a hash of another kind", STR_ARG(scheme));
    else if (text.len > PASSWORD_HASH_MAX_BYTES)
        err_set(err, "the hash has %zu bytes, at most %d are possible", text.len, PASSWORD_HASH_MAX_BYTES);
    else if (kind->check(text, err)) {
        *hash = text;
        return true;
    }
    return err_set_hint(err, "%s", SET_ANEW);
}

enum password_match password_hash_verify(struct str hash, struct str password)
{
    const struct hash_kind *kind = kind_of(hash);
    PANIC_IF(!kind, "a hash that password_hash_read did not give");
    bool possible =
        password.len > 0 && password.len <= AUTH_PASSWORD_MAX_BYTES && str_find(password, '\0') == password.len;
    enum password_match match = kind->verify(hash, str_sub(password, 0, AUTH_PASSWORD_MAX_BYTES));
    return match == PASSWORD_RIGHT && !possible ? PASSWORD_WRONG : match;
}

bool password_check(struct str password, struct err *err)
{
    if (password.len == 0)
        return err_set(err, "the password is empty");
    if (password.len > AUTH_PASSWORD_MAX_BYTES)
        return err_set(err, "the password is longer than %d bytes", AUTH_PASSWORD_MAX_BYTES);
    if (!str_is_utf8(password))
        return err_set(err, "the password is not valid UTF-8, as logins give it (RFC 4616 2)");
    if (str_has_control(password))
        return err_set(err, "the password has a control character in it");
    return true;
}

bool password_hash_make(struct str password, char *to, struct err *err)
{
    if (!password_check(password, err))
        return false;
    struct argon2_hash h = {.is_argon2id = true,
                            .version = 19,
                            .memory_kib = NEW_MEMORY_KIB,
                            .passes = NEW_PASSES,
                            .lanes = 1,
                            .salt_len = NEW_SALT_BYTES,
                            .sum_len = NEW_SUM_BYTES};
    random_bytes(h.salt, h.salt_len);
    return (argon2_hash_compute(&h, password, h.sum) && argon2_hash_write(&h, to)) || err_no_memory(err);
}

struct str password_hash_filler(void)
{
    /* its sum is 32 random bytes; the tests hold its costs against those of a new hash */
    return STR("$argon2id$v=19$m=19456,t=2,p=1$X7VRUyCBPutDhf14g+NCzA$xyWgVuVDyUhhmRuWfB9CyrbGtCHh0CZzCZHWt1hGdEA");
}
