/*
 * mmdb_file.c - see mmdb_file.h.
 *
 *   search tree: nodes of two 24-bit records – another node, "nothing" (the number of nodes), or beyond: data
 *   sixteen zero bytes · data: maps · "\xab\xcd\xefMaxMind.com" · a map about the file
 */
#include "mmdb_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_NODES = 4096, DATA_BYTES = 8192, NONE = 0xffffff, IS_DATA = 0x800000 };
enum { STRING = 2, UINT16 = 5, UINT32 = 6, MAP = 7, UINT64 = 9, ARRAY = 11 };

struct file {
    uint32_t nodes[MAX_NODES][2]; /* NONE, a node, or IS_DATA and its place */
    uint32_t node_count;
    uint8_t data[DATA_BYTES];
    size_t data_len;
};

/* ---- data ---- */

static void put(struct file *f, const void *bytes, size_t len)
{
    assert_true(f->data_len + len <= DATA_BYTES);
    memcpy(f->data + f->data_len, bytes, len);
    f->data_len += len;
}

static void put_head(struct file *f, unsigned type, size_t size)
{
    assert_true(size < 29);
    const uint8_t head[2] = {(uint8_t)((type > 7 ? 0 : type) << 5 | size), (uint8_t)(type - 7)};
    put(f, head, type > 7 ? 2 : 1);
}

static void put_text(struct file *f, const char *text)
{
    put_head(f, STRING, strlen(text));
    put(f, text, strlen(text));
}

static void put_number(struct file *f, const char *name, unsigned type, size_t bytes, uint64_t n)
{
    put_text(f, name);
    put_head(f, type, bytes);
    while (bytes-- > 0)
        put(f, &(uint8_t){(uint8_t)(n >> 8 * bytes)}, 1);
}

static void put_pair(struct file *f, const char *name, const char *text)
{
    if (!text)
        return;
    put_text(f, name);
    put_text(f, text);
}

static void put_entry(struct file *f, const struct mmdb_entry *e)
{
    put_head(f, MAP,
             (size_t)(e->iso_code != NULL) + (e->country != NULL) + (e->country_code != NULL) + (e->number != 0) +
                 (e->asn != NULL));
    if (e->iso_code) {
        put_text(f, "country");
        put_head(f, MAP, 1);
        put_pair(f, "iso_code", e->iso_code);
    }
    put_pair(f, "country", e->country);
    put_pair(f, "country_code", e->country_code);
    if (e->number)
        put_number(f, "autonomous_system_number", UINT32, 4, e->number);
    put_pair(f, "asn", e->asn);
}

/* ---- tree ---- */

static uint32_t add_node(struct file *f)
{
    assert_true(f->node_count < MAX_NODES);
    f->nodes[f->node_count][0] = f->nodes[f->node_count][1] = NONE;
    return f->node_count++;
}

static void add_network(struct file *f, unsigned ip_version, const char *text, uint32_t data)
{
    struct ip_net net;
    struct err err;
    uint8_t bits[16] = {0};
    assert_true(ip_net_parse(str_of_z(text), &net, &err));
    bool is_v4_in_v6 = ip_version == 6 && net.ip.family == ADDR_IPV4;
    unsigned len = net.prefix + (is_v4_in_v6 ? 96u : 0u);
    memcpy(bits + (is_v4_in_v6 ? 12 : 0), net.ip.bytes, net.ip.family == ADDR_IPV4 ? 4 : 16);
    uint32_t node = 0;
    for (unsigned i = 0; i < len; i++) {
        uint32_t *record = &f->nodes[node][bits[i / 8] >> (7 - i % 8) & 1];
        if (i + 1 == len)
            *record = data | IS_DATA;
        else if (*record == NONE)
            *record = add_node(f);
        node = *record;
    }
}

static void write_record(FILE *to, const struct file *f, uint32_t record)
{
    if (record == NONE)
        record = f->node_count;
    else if (record & IS_DATA)
        record = (record & ~(uint32_t)IS_DATA) + f->node_count + 16;
    const uint8_t bytes[3] = {(uint8_t)(record >> 16), (uint8_t)(record >> 8), (uint8_t)record};
    assert_int_equal(fwrite(bytes, 1, 3, to), 3);
}

void mmdb_file_write(const char *path, unsigned ip_version, const char *type, const struct mmdb_entry *entries,
                     size_t count)
{
    static const char SEPARATOR[16], MARKER[] = "\xab\xcd\xefMaxMind.com";
    static struct file f;
    memset(&f, 0, sizeof f);
    add_node(&f);
    for (size_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)f.data_len;
        put_entry(&f, &entries[i]);
        add_network(&f, ip_version, entries[i].network, at);
    }
    FILE *to = fopen(path, "w");
    assert_non_null(to);
    for (uint32_t i = 0; i < f.node_count; i++) {
        write_record(to, &f, f.nodes[i][0]);
        write_record(to, &f, f.nodes[i][1]);
    }
    fwrite(SEPARATOR, 1, sizeof SEPARATOR, to);
    fwrite(f.data, 1, f.data_len, to);
    fwrite(MARKER, 1, sizeof MARKER - 1, to);
    f.data_len = 0;
    put_head(&f, MAP, 9);
    put_number(&f, "node_count", UINT32, 4, f.node_count);
    put_number(&f, "record_size", UINT16, 2, 24);
    put_number(&f, "ip_version", UINT16, 2, ip_version);
    put_pair(&f, "database_type", type);
    put_number(&f, "binary_format_major_version", UINT16, 2, 2);
    put_number(&f, "binary_format_minor_version", UINT16, 2, 0);
    put_text(&f, "languages");
    put_head(&f, ARRAY, 0);
    put_text(&f, "description");
    put_head(&f, MAP, 0);
    put_number(&f, "build_epoch", UINT64, 8, 1750000000);
    fwrite(f.data, 1, f.data_len, to);
    assert_int_equal(fclose(to), 0);
}
