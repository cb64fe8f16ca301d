/* Countries and networks' numbers out of a file; files that change, shrink, vanish, or are no such files. */
#include "lookup_test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "lookup/geoip.h"
#include "mmdb_file.h"

static char path[64], other[64];
static int64_t tick; /* every file written has a time of its own */

static int set_up(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/mailweir-test-geoip-%d", (int)getpid());
    snprintf(other, sizeof other, "%s.new", path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    unlink(other);
    return 0;
}

static void stamp(const char *file)
{
    tick++;
    struct timespec times[2] = {{.tv_sec = 1000000000 + tick}, {.tv_sec = 1000000000 + tick}};
    assert_int_equal(utimensat(AT_FDCWD, file, times, 0), 0);
}

static void write_one(const char *file, const char *iso_code)
{
    struct mmdb_entry entry = {.network = "192.0.2.0/24", .iso_code = iso_code, .number = 64496};
    mmdb_file_write(file, 6, "Test", &entry, 1);
    stamp(file);
}

static void write_text(const char *file, const char *text)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    stamp(file);
}

static struct geoip *open_it(void)
{
    struct err err;
    struct geoip *g = geoip_open(path, 0, &err);
    if (!g)
        fail_msg("%s", err.text);
    return g;
}

/* "DE 64496", "- 0" */
static const char *get(struct geoip *g, const char *client, int64_t now_ms)
{
    static char text[32];
    struct ip ip = ip_of(client);
    struct geoip_answer a;
    geoip_get(g, &ip, now_ms, &a);
    snprintf(text, sizeof text, "%s %u", a.country[0] ? a.country : "-", a.asn);
    return text;
}

static void answers(void **state)
{
    (void)state;
    static const struct mmdb_entry entries[] = {
        {.network = "192.0.2.0/25", .iso_code = "DE"},
        {.network = "192.0.2.128/25", .number = 64496},
        {.network = "198.51.100.0/24", .iso_code = "fr", .number = 4294967295},
        {.network = "203.0.113.0/26", .country = "Utopia", .country_code = "UT", .asn = "AS64497"},
        {.network = "203.0.113.64/26", .country = "NL", .asn = "as64498"},
        {.network = "203.0.113.128/26", .country = "Utopia", .asn = "64499"},
        {.network = "203.0.113.192/26", .iso_code = "D3", .asn = "AS99999999999"},
        {.network = "2001:db8::/32", .iso_code = "JP", .number = 64500},
        {.network = "10.0.0.0/8"},
    };
    static const struct {
        const char *client, *answer;
    } cases[] = {
        {"192.0.2.1", "DE 0"},
        {"192.0.2.127", "DE 0"},
        {"192.0.2.128", "- 64496"},
        {"192.0.3.1", "- 0"},
        {"198.51.100.9", "FR 4294967295"},
        {"203.0.113.1", "UT 64497"},
        {"203.0.113.65", "NL 64498"},
        {"203.0.113.130", "- 0"},
        {"203.0.113.200", "- 0"},
        {"2001:db8::1", "JP 64500"},
        {"2001:db9::1", "- 0"},
        {"::ffff:192.0.2.1", "DE 0"},
        {"10.1.2.3", "- 0"},
        {"0.0.0.0", "- 0"},
    };
    mmdb_file_write(path, 6, "Test-Country-ASN", entries, COUNT_OF(entries));
    struct geoip *g = open_it();
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (strcmp(get(g, cases[i].client, 0), cases[i].answer) != 0)
            fail_msg("%s: %s", cases[i].client, get(g, cases[i].client, 0));
    uint64_t built;
    assert_string_equal(geoip_describe(g, &built), "Test-Country-ASN");
    assert_int_equal(built, 1750000000);
    struct geoip_answer a;
    geoip_get(g, &(struct ip){.family = ADDR_NONE}, 0, &a);
    assert_int_equal(a.asn, 0);
    geoip_close(&g);
    geoip_close(&g); /* harmless */
}

static void a_file_of_ipv4(void **state)
{
    (void)state;
    static const struct mmdb_entry entries[] = {{.network = "192.0.2.0/24", .iso_code = "DE"}};
    mmdb_file_write(path, 4, "Test", entries, 1);
    struct geoip *g = open_it();
    assert_string_equal(get(g, "192.0.2.1", 0), "DE 0");
    assert_string_equal(get(g, "2001:db8::1", 0), "- 0");
    geoip_close(&g);
}

static void what_cannot_be_opened(void **state)
{
    (void)state;
    struct err err;
    char expected[128];
    assert_null(geoip_open(path, 0, &err));
    snprintf(expected, sizeof expected, "geoip %s: No such file or directory", path);
    assert_string_equal(err.text, expected);

    write_text(path, "these are no addresses");
    assert_null(geoip_open(path, 0, &err));
    snprintf(expected, sizeof expected, "geoip %s: The MaxMind DB file contains invalid metadata", path);
    assert_string_equal(err.text, expected);
    assert_non_null(strstr(err.hint, "MaxMind DB format"));

    write_text(path, "");
    assert_null(geoip_open(path, 0, &err));

    assert_null(geoip_open("/tmp", 0, &err));
    assert_string_equal(err.text, "geoip /tmp: it is no regular file");

    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* nor does it wait for a writer */
    assert_null(geoip_open(path, 0, &err));
    assert_non_null(strstr(err.text, "it is no regular file"));
    unlink(path);

    write_text(path, "x");
    assert_int_equal(truncate(path, GEOIP_FILE_MAX_BYTES + 1), 0); /* without blocks: it takes no room */
    assert_null(geoip_open(path, 0, &err));
    assert_non_null(strstr(err.text, "it has 1073741825 bytes; at most 1073741824 are taken"));
}

static void replaced_by_rename(void **state)
{
    (void)state;
    write_one(path, "DE");
    struct geoip *g = open_it();
    write_one(other, "FR");
    assert_int_equal(rename(other, path), 0);
    assert_string_equal(get(g, "192.0.2.1", 9999), "DE 64496"); /* not looked at yet */
    assert_string_equal(get(g, "192.0.2.1", 10000), "FR 64496");

    write_text(other, "broken");
    assert_int_equal(rename(other, path), 0);
    assert_string_equal(get(g, "192.0.2.1", 20000), "FR 64496"); /* the old one stays */
    assert_string_equal(get(g, "192.0.2.1", 30000), "FR 64496");
    write_one(other, "IT");
    assert_int_equal(rename(other, path), 0);
    assert_string_equal(get(g, "192.0.2.1", 40000), "IT 64496");

    unlink(path);
    assert_string_equal(get(g, "192.0.2.1", 50000), "IT 64496");
    write_one(path, "ES");
    assert_string_equal(get(g, "192.0.2.1", 60000), "ES 64496");
    geoip_close(&g);
}

static void written_over_in_place(void **state)
{
    (void)state;
    write_one(path, "DE");
    struct geoip *g = open_it();
    uint64_t built;
    assert_string_equal(get(g, "192.0.2.1", 0), "DE 64496");
    write_text(path, "half a fi"); /* whoever reads the old mapping now dies */
    assert_string_equal(get(g, "192.0.2.1", 1), "- 0");
    assert_null(geoip_describe(g, &built));
    assert_string_equal(get(g, "192.0.2.1", 2), "- 0");
    write_one(path, "FR");
    assert_string_equal(get(g, "192.0.2.1", 500), "- 0"); /* looked at once a second */
    assert_string_equal(get(g, "192.0.2.1", 1001), "FR 64496");
    assert_int_equal(truncate(path, 0), 0);
    unlink(path);
    assert_string_equal(get(g, "192.0.2.1", 1002), "- 0");
    assert_string_equal(get(g, "192.0.2.1", 2500), "- 0");
    write_one(path, "IT");
    assert_string_equal(get(g, "192.0.2.1", 5000), "IT 64496");
    geoip_close(&g);
}

/* Bytes of a file flipped, the file cut: it is refused, or answers something; it never harms (ASan looks).
 */
static void damaged_files(void **state)
{
    (void)state;
    static char bytes[65536], damaged[65536];
    struct err err;
    write_one(path, "DE");
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t len = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    assert_true(len > 600 && len < sizeof bytes);
    unsigned opened = 0;
    for (size_t i = 0; i < 2 * len; i += 7) {
        memcpy(damaged, bytes, len);
        damaged[i % len] ^= (char)(i < len ? 0xff : 0x01);
        f = fopen(other, "w");
        assert_int_equal(fwrite(damaged, 1, i < len ? len : i - len, f), i < len ? len : i - len);
        fclose(f);
        struct geoip *g = geoip_open(other, 0, &err);
        if (!g)
            continue;
        opened++;
        get(g, "192.0.2.1", 0);
        get(g, "2001:db8::1", 0);
        geoip_close(&g);
    }
    assert_true(opened > 40);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(answers),
        TEST(a_file_of_ipv4),
        TEST(what_cannot_be_opened),
        TEST(replaced_by_rename),
        TEST(written_over_in_place),
        TEST(damaged_files),
    };
    return cmocka_run_group_tests_name("lookup/geoip", tests, NULL, NULL);
}
