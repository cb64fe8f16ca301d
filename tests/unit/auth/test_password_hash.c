/* Passwords against hashes that other tools wrote; what is refused, and with which words. */
#include "auth/password_hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "slowness.h"

/* All of the password "secret", each by the tool named. */
static const struct {
    const char *tool, *field;
} GOOD[] = {
    {"mkpasswd -m yescrypt", "$y$j9T$dC3AXRMHM0G4jPNFOeFSk/$UDYBBIm/n.IPtApg3Y8PIUB5r5vrENDnc10yUe6/xD6"},
    {"mkpasswd -m yescrypt -R 1", "$y$j75$1oapP5cnybM0cvjmISc9M1$xgiRorIiDcnD/plI0nO24Yojj0fRhPIxsv2J.mhw0xB"},
    {"mkpasswd -m bcrypt", "$2b$05$fx.Jg/A5ja3h.cQ7M.jEXuoqSsKUEPXZ5ohwzVKoHhvIFIZ./qaVm"},
    {"mkpasswd -m bcrypt-a", "$2a$05$Iq3qpfa.1uvW4voj8RQNkuiSxIffeq1C6isADFs4OFEbH6R0/HG4S"},
    {"htpasswd -nbB", "$2y$05$MTa0sSvbUcYcIgal0qcOYOUZYA4xh9AgcSl7rai3gekpcgrsWXX9W"},
    {"mkpasswd -m sha512crypt", "$6$nWBOlLBwPKzQON5e$nvxfEHeIj2n.IbwL.ArAUmixSzbsVy6c8YQ4bLprzuHKdmxwBzcqIa7Bonm/"
                                "Pt1LOn8udU7iGLBoTfRT/pL0U0"},
    {"mkpasswd -m sha512crypt -R 1000", "$6$rounds=1000$3P7WW1fGq8HhOakv$aPPmmQNpuMiVmDjB5SYViRGCI8Ef5A2ww0gv3wxlK3hy"
                                        "DFultuvEfxNGb3hrYV5iV4w1d.y9qZ4Jlf/jZxEvy1"},
    {"openssl passwd -6", "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/"
                          "O6IND4WQhG."},
    {"mkpasswd -m sha256crypt", "$5$YMhIXxNbE1C4jHl9$2ZmiUAnD/dPcKjjYVnmwRnkRQjhxO4yCrrEsNcaczZD"},
    {"doveadm pw -s BLF-CRYPT", "{BLF-CRYPT}$2y$05$3HdTJuTTjSQ7Hswg3NPc8OAWqz2e1dd4F.tz5./2LHe9UvEp6jnHG"},
    {"doveadm pw -s SHA512-CRYPT", "{SHA512-CRYPT}$6$vsLXI4jJ63GGxHwY$tDumhXfMJbKDbg.k962AC2FwBmUYa7fvU.Ld2BP0arTbRqpG"
                                   "Z5JALR6uLg3f3CGJGd53/FWRbVJP7xqpx64VN0"},
    {"doveadm pw -s SHA256-CRYPT", "{SHA256-CRYPT}$5$5E2NUPSC6nyfc8In$W7QwfNjLv9oZ10M15VnxpCfI1FuEh8O58yLPWQG1bBD"},
    {"doveadm pw -s ARGON2ID", "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$cVCHNffNjMMDCS9PNAEWPQ$9TB1DOBgqoWtk7oDO2ly0vB"
                               "zYDxu/vSyCLxNWApL7jk"},
    {"doveadm pw -s ARGON2I", "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$0ZAGgI9dD+yD1toP1lYO1w$TsdB7BJt00mYYQRfVQqJrDwSi3"
                              "XQlHmebIL8cZwRC5M"},
    {"doveadm pw -s CRYPT", "{CRYPT}$2y$05$IYMEHmRzmcsQH/1J.3.rfeKi07OkL5ZovnxDIncuJjbnbnGOxbIpS"},
    {"doveadm's prefix before mkpasswd's", "{crypt}$y$j75$1oapP5cnybM0cvjmISc9M1$xgiRorIiDcnD/plI0nO24Yojj0fRhPIxsv2J."
                                           "mhw0xB"},
    {"argon2 -id -p 2",
     "$argon2id$v=19$m=64,t=1,p=2$c29tZXNhbHQxMjM0NTY3OA$2FW/xROEmwNlhHPrl5hPHXAPkEm8GxVA3RE50HKIgFo"},
    {"argon2 -i -v 10",
     "$argon2i$v=16$m=64,t=3,p=1$c29tZXNhbHQxMjM0NTY3OA$DgxhggIx+wnJpWVqDU7Zugb2tBovLvtREbovM6Kegzc"},
    {"argon2i as once written, without v=",
     "$argon2i$m=64,t=3,p=1$c29tZXNhbHQxMjM0NTY3OA$DgxhggIx+wnJpWVqDU7Zugb2tBovLvt"
     "REbovM6Kegzc"},
};

static void known_hashes_verify(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(GOOD); i++) {
        struct err err;
        struct str hash;
        if (!password_hash_read(str_of_z(GOOD[i].field), &hash, &err))
            fail_msg("%s: %s", GOOD[i].tool, err.text);
        if (password_hash_verify(hash, STR("secret")) != PASSWORD_RIGHT)
            fail_msg("%s: the right password is wrong", GOOD[i].tool);
        if (tests_slowness() == 1 && password_hash_verify(hash, STR("secres")) != PASSWORD_WRONG)
            fail_msg("%s: a wrong password is right", GOOD[i].tool);
    }
}

/* A password that could not have been given is hashed, and wrong: even where the bytes crypt(3) looks at would be
 * right. */
static void impossible_passwords_are_wrong(void **state)
{
    (void)state;
    char longer[AUTH_PASSWORD_MAX_BYTES + 200];
    memset(longer, 'x', sizeof longer);
    static const char *const HASHES[] = {
        "$2b$05$fx.Jg/A5ja3h.cQ7M.jEXuoqSsKUEPXZ5ohwzVKoHhvIFIZ./qaVm",
        "$argon2id$v=19$m=64,t=1,p=2$c29tZXNhbHQxMjM0NTY3OA$2FW/xROEmwNlhHPrl5hPHXAPkEm8GxVA3RE50HKIgFo"};
    const struct str passwords[] = {
        STR(""), STR_NONE, STR("secret\0"), STR("secret\0more"), STR("\0secret"), str_of(longer, sizeof longer)};
    for (size_t i = 0; i < COUNT_OF(HASHES); i++)
        for (size_t k = 0; k < COUNT_OF(passwords); k++)
            assert_int_equal(password_hash_verify(str_of_z(HASHES[i]), passwords[k]), PASSWORD_WRONG);
}

static const struct {
    const char *field, *text; /* text: begins so */
} BAD[] = {
    {"secret", "the password stands in plain text, or its hash is an unsalted one"},
    {"MFsTtOD3AjkfM", "the password stands in plain text, or its hash is an unsalted one"},
    {"5ebe2294ecd0e0f08eab7690d2a6ee69", "the password stands in plain text, or its hash is an unsalted one"},
    {"{PLAIN}secret", "the password stands in plain text"},
    {"{plain}secret", "the password stands in plain text"},
    {"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "the hash is an unsalted SHA sum"},
    {"{SSHA256}9xdT13bNzFCxMkXsOL/Cbi7Z8W1nv1A2T7Nsj8WUUYZ3xrPf", "the hash is a single SHA sum"},
    {"{SHA512-CRYPT.B64}JDYkNHAzODlaS0JiekY2", "the hash is encoded once more"},
    {"{PBKDF2}$1$SXXA61nzMWp7CR49$5000$06af6cd7afec9ece02bddf37896bb13ac8d1e717", "the hash is of the kind PBKDF2"},
    {"{hunter2}$6$x", "there is a scheme in braces that is not known"},
    {"{", "there is a scheme in braces that is not known"},
    {"{CRYPT", "there is a scheme in braces that is not known"},
    {"{CRYPT}MFsTtOD3AjkfM", "the password stands in plain text, or its hash is an unsalted one"},
    {"$apr1$VgOOmwt0$m2sBkh1Avap3YztFLwiAN0", "the hash is an MD5 one"},
    {"$1$JW9dprH4$0QTIJMNyKLrDtu4STji0l1", "the hash is an MD5 one"},
    {"$argon2d$v=19$m=64,t=3,p=1$c29tZXNhbHQxMjM0NTY3OA$eBXXbLMLyypmGD4OLQpJdGXo+twNMHuFmpdqFa7C078",
     "the hash is of a kind that is not known"},
    {"{BLF-CRYPT}$5$YMhIXxNbE1C4jHl9$2ZmiUAnD/dPcKjjYVnmwRnkRQjhxO4yCrrEsNcaczZD",
     "{BLF-CRYPT} stands before a hash of another kind"},
    {"{CRYPT}$argon2id$v=19$m=64,t=1,p=2$c29tZXNhbHQxMjM0NTY3OA$2FW/xROEmwNlhHPrl5hPHXAPkEm8GxVA3RE50HKIgFo",
     "{CRYPT} stands before a hash of another kind"},
    /* broken */
    {"$2b$05$fx.Jg/A5ja3h.cQ7M.jEXuoqSsKUEPXZ5ohwzVKoHhvIFIZ./qaV", "the bcrypt hash is broken"},
    {"$2b$03$fx.Jg/A5ja3h.cQ7M.jEXuoqSsKUEPXZ5ohwzVKoHhvIFIZ./qaVm", "the bcrypt hash is broken"},
    {"$2b$5$", "the bcrypt hash is broken"},
    {"$5$YMhIXxNbE1C4jHl9$2ZmiUAnD/dPcKjjYVnmwRnkRQjhxO4yCrrEsNcaczZ", "the sha256crypt hash is broken"},
    {"$5$YMhIXxNbE1C4jHl9", "the sha256crypt hash is broken"},
    {"$5$0123456789abcdefg$2ZmiUAnD/dPcKjjYVnmwRnkRQjhxO4yCrrEsNcaczZD", "the sha256crypt hash is broken"},
    {"$5$$2ZmiUAnD/dPcKjjYVnmwRnkRQjhxO4yCrrEsNcaczZD", "the sha256crypt hash has no salt"},
    {"$5$rounds=999$YMhIXxNbE1C4jHl9$2ZmiUAnD/dPcKjjYVnmwRnkRQjhxO4yCrrEsNcaczZD", "the sha256crypt hash is broken"},
    {"$6$", "the sha512crypt hash is broken"},
    {"$y$j9T$dC3AXRMHM0G4jPNFOeFSk/$UDYBBIm/n.IPtApg3Y8PIUB5r5vrENDnc10yUe6/xD", "the yescrypt hash is broken"},
    {"$y$j9T$$UDYBBIm/n.IPtApg3Y8PIUB5r5vrENDnc10yUe6/xD6", "the yescrypt hash has no salt"},
    {"$y$", "the yescrypt hash is broken"},
    {"$y$j75$1oapP5cnybM0cvjmISc9M2$xgiRorIiDcnD/plI0nO24Yojj0fRhPIxsv2J.mhw0xB", "the yescrypt hash is broken"},
    {"$y$j75$1oapP5cnybM0cvjmISc9C$xgiRorIiDcnD/plI0nO24Yojj0fRhPIxsv2J.mhw0xB", "the yescrypt hash is broken"},
    {"$argon2id$", "the argon2 hash is broken"},
    {"$argon2id$v=20$m=64,t=1,p=2$c29tZXNhbHQxMjM0NTY3OA$2FW/xROEmwNlhHPrl5hPHXAPkEm8GxVA3RE50HKIgFo",
     "the argon2 hash is of a version that is not known"},
    {"$argon2id$v=19$m=64,t=1$c29tZXNhbHQxMjM0NTY3OA$2FW/xROEmwNlhHPrl5hPHXAPkEm8GxVA3RE50HKIgFo",
     "the argon2 hash is broken"},
    {"$argon2id$v=19$m=64,t=1,p=2$c29tZXNhbHQxMjM0NTY3OA$2FW/x", "the argon2 hash is broken"},
    {"$argon2id$v=19$m=64,t=1,p=2$c29tZXNhbHQxMjM0NTY3OA", "the argon2 hash is broken"},
    {"$argon2id$v=19$m=64,t=1,p=2$$2FW/xROEmwNlhHPrl5hPHXAPkEm8GxVA3RE50HKIgFo",
     "the argon2 hash has a salt of 0 bytes"},
    {"$argon2id$v=19$m=8,t=1,p=2$c29tZXNhbHQxMjM0NTY3OA$2FW/xROEmwNlhHPrl5hPHXAPkEm8GxVA3RE50HKIgFo",
     "the argon2 hash has impossible costs: m=8 t=1 p=2"},
    /* too dear */
    {"$2b$16$fx.Jg/A5ja3h.cQ7M.jEXuoqSsKUEPXZ5ohwzVKoHhvIFIZ./qaVm",
     "the bcrypt hash has cost 16, at most 15 is taken"},
    {"$5$rounds=1000001$YMhIXxNbE1C4jHl9$2ZmiUAnD/dPcKjjYVnmwRnkRQjhxO4yCrrEsNcaczZD",
     "the sha256crypt hash has 1000001 rounds, at most 1000000 are taken"},
    {"$y$jFT$aohWXaQ1m6xcEfrq7Blut0$MPJuD9b8azk.xx.B0x97uyF9Kq3TAlAh88Atq9SdB09",
     "the yescrypt hash takes too much memory, at most 262144 KiB"},
    {"$argon2id$v=19$m=262145,t=1,p=2$c29tZXNhbHQxMjM0NTY3OA$2FW/xROEmwNlhHPrl5hPHXAPkEm8GxVA3RE50HKIgFo",
     "the argon2 hash takes 262145 KiB of memory, at most 262144"},
    {"$argon2id$v=19$m=262144,t=5,p=2$c29tZXNhbHQxMjM0NTY3OA$2FW/xROEmwNlhHPrl5hPHXAPkEm8GxVA3RE50HKIgFo",
     "the argon2 hash costs 5 passes over 262144 KiB"},
    {"$argon2id$v=19$m=64,t=4294967295,p=1$c29tZXNhbHQxMjM0NTY3OA$2FW/xROEmwNlhHPrl5hPHXAPkEm8GxVA3RE50HKIgFo",
     "the argon2 hash costs 4294967295 passes"},
    {"$argon2id$v=19$m=4096,t=1,p=17$c29tZXNhbHQxMjM0NTY3OA$2FW/xROEmwNlhHPrl5hPHXAPkEm8GxVA3RE50HKIgFo",
     "the argon2 hash has 17 lanes"},
};

static void others_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(BAD); i++) {
        struct err err;
        struct str hash;
        if (password_hash_read(str_of_z(BAD[i].field), &hash, &err))
            fail_msg("%s is taken", BAD[i].field);
        if (!str_starts(str_of_z(err.text), str_of_z(BAD[i].text)))
            fail_msg("%s: \"%s\"", BAD[i].field, err.text);
        assert_true(str_contains_nocase(str_of_z(err.hint), STR("mailweir passwd")));
        /* whatever stands there may be a password */
        assert_false(str_contains_nocase(str_of_z(err.text), STR("secret")));
        assert_false(str_contains_nocase(str_of_z(err.text), STR("hunter2")));
    }
}

/* Every proper beginning of a good hash is refused: a file that was cut off never is taken for one that was not. */
static void beginnings_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(GOOD); i++) {
        struct str field = str_of_z(GOOD[i].field);
        bool is_argon2 = str_contains_nocase(field, STR("$argon2"));
        for (size_t len = 0; len < field.len; len++) {
            struct err err;
            struct str hash;
            /* the sum of argon2 may have any length from 16 bytes on: its end cannot be known */
            if (is_argon2 && field.len - len < 24)
                break;
            if (password_hash_read(str_sub(field, 0, len), &hash, &err))
                fail_msg("%s: its first %zu bytes are taken", GOOD[i].tool, len);
        }
    }
}

static void new_hashes_verify(void **state)
{
    (void)state;
    char one[PASSWORD_HASH_MAX_BYTES + 1], two[PASSWORD_HASH_MAX_BYTES + 1];
    struct err err;
    struct str hash, password = STR("pa\xc3\x9fwort 1");
    assert_true(password_hash_make(password, one, &err));
    assert_true(password_hash_make(password, two, &err));
    assert_string_not_equal(one, two);
    assert_true(password_hash_read(str_of_z(one), &hash, &err));
    assert_int_equal(password_hash_verify(hash, password), PASSWORD_RIGHT);
    assert_int_equal(password_hash_verify(hash, STR("pa\xc3\x9fwort 2")), PASSWORD_WRONG);
    /* what stands in for users that are not there costs the same */
    struct str filler = password_hash_filler();
    assert_true(password_hash_read(filler, &hash, &err));
    size_t costs = str_find_last(str_sub(filler, 0, str_find_last(filler, '$')), '$');
    assert_memory_equal(filler.ptr, one, costs + 1);
    assert_int_equal(filler.len, strlen(one));
}

static void passwords_that_no_login_gives_are_not_hashed(void **state)
{
    (void)state;
    char to[PASSWORD_HASH_MAX_BYTES + 1], longer[AUTH_PASSWORD_MAX_BYTES + 1];
    struct err err;
    memset(longer, 'x', sizeof longer);
    assert_false(password_hash_make(STR(""), to, &err));
    assert_string_equal(err.text, "the password is empty");
    assert_false(password_hash_make(str_of(longer, sizeof longer), to, &err));
    assert_string_equal(err.text, "the password is longer than 511 bytes");
    assert_false(password_hash_make(STR("pa\xdfwort"), to, &err));
    assert_string_equal(err.text, "the password is not valid UTF-8, as logins give it (RFC 4616 2)");
    assert_false(password_hash_make(STR("a\0b"), to, &err));
    assert_string_equal(err.text, "the password has a control character in it");
    assert_true(password_check(str_of(longer, AUTH_PASSWORD_MAX_BYTES), &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_hashes_verify), cmocka_unit_test(impossible_passwords_are_wrong),
        cmocka_unit_test(others_are_refused),  cmocka_unit_test(beginnings_are_refused),
        cmocka_unit_test(new_hashes_verify),   cmocka_unit_test(passwords_that_no_login_gives_are_not_hashed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
