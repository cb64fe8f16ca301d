/* geoip.c - a MaxMind DB file, and the changes of it. See geoip.h. */
#include "lookup/geoip.h"

#include <errno.h>
#include <fcntl.h>
#include <maxminddb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

struct geoip {
    char *path;
    bool is_open;
    MMDB_s db;        /* while open */
    int fd;           /* the same file, to see what becomes of it */
    struct stat seen; /* as it was when it was opened */
    int64_t look_at_ms;
    bool has_complained; /* since a file was last opened */
};

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void let_go(struct geoip *g)
{
    if (!g->is_open)
        return;
    MMDB_close(&g->db);
    close(g->fd);
    g->is_open = false;
}

/* ---- opening ---- */

static bool refuse(const struct geoip *g, struct err *err, const char *why)
{
    return err_set(err, "geoip %s: %s", g->path, why);
}

static bool check_file(const struct geoip *g, const struct stat *file, struct err *err)
{
    if (!S_ISREG(file->st_mode))
        return refuse(g, err, "it is no regular file");
    if (file->st_size > GEOIP_FILE_MAX_BYTES)
        return err_set(err, "geoip %s: it has %lld bytes; at most %lld are taken", g->path, (long long)file->st_size,
                       (long long)GEOIP_FILE_MAX_BYTES);
    return true;
}

static bool open_db(const struct geoip *g, const struct stat *file, MMDB_s *db, struct err *err)
{
    struct stat now;
    int status = MMDB_open(g->path, MMDB_MODE_MMAP, db);
    if (status == MMDB_OUT_OF_MEMORY_ERROR)
        return err_no_memory(err) || err_prefix(err, "geoip %s", g->path);
    if (status != MMDB_SUCCESS) {
        refuse(g, err, MMDB_strerror(status));
        return err_set_hint(err, "it takes a file in MaxMind DB format (.mmdb), as of GeoLite2-Country");
    }
    if (stat(g->path, &now) == 0 && is_same_file(&now, file) && db->file_size == file->st_size)
        return true;
    MMDB_close(db);
    return refuse(g, err, "it was replaced while it was being opened");
}

/* The file under the name becomes the one in use; if it is no good, all stays as it was. */
static bool open_file(struct geoip *g, struct err *err)
{
    struct stat file;
    MMDB_s db;
    int fd = open(g->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return refuse(g, err, strerror(errno));
    if (fstat(fd, &file) != 0) {
        refuse(g, err, strerror(errno));
        close(fd);
        return false;
    }
    if (!check_file(g, &file, err) || !open_db(g, &file, &db, err)) {
        close(fd);
        return false;
    }
    let_go(g);
    g->db = db;
    g->fd = fd;
    g->seen = file;
    g->is_open = true;
    return true;
}

struct geoip *geoip_open(const char *path, int64_t now_ms, struct err *err)
{
    struct geoip *g = calloc(1, sizeof *g);
    if (g)
        g->path = strdup(path);
    if (!g || !g->path) {
        free(g);
        err_no_memory(err);
        return NULL;
    }
    g->look_at_ms = now_ms + GEOIP_LOOK_EVERY_MS;
    if (!open_file(g, err))
        geoip_close(&g);
    return g;
}

void geoip_close(struct geoip **geoip)
{
    struct geoip *g = *geoip;
    if (!g)
        return;
    let_go(g);
    free(g->path);
    free(g);
    *geoip = NULL;
}

/* ---- changes ---- */

static void open_anew(struct geoip *g)
{
    struct err err;
    if (open_file(g, &err)) {
        log_info("geoip %s: the new file is in use (%s)", g->path, g->db.metadata.database_type);
        g->has_complained = false;
    } else if (!g->has_complained) {
        log_warning("%s; %s", err.text,
                    g->is_open ? "the old file stays in use" : "no country and no ASN is known until it can be read");
        g->has_complained = true;
    }
}

/* Two looks: at the file that is mapped, each time, since reading beyond its end would be our death; and at the name,
 * now and then. Between the first and the reading lie microseconds, in which somebody would have to truncate it. */
static void look(struct geoip *g, int64_t now_ms)
{
    struct stat now;
    if (g->is_open &&
        (fstat(g->fd, &now) != 0 || now.st_size != g->seen.st_size || now.st_mtim.tv_sec != g->seen.st_mtim.tv_sec ||
         now.st_mtim.tv_nsec != g->seen.st_mtim.tv_nsec)) {
        let_go(g);
        g->look_at_ms = now_ms;
    }
    if (now_ms < g->look_at_ms)
        return;
    bool is_there = stat(g->path, &now) == 0;
    if (!g->is_open || (is_there && !is_same_file(&now, &g->seen)))
        open_anew(g);
    g->look_at_ms = now_ms + (g->is_open ? GEOIP_LOOK_EVERY_MS : GEOIP_RETRY_MS);
}

/* ---- answers ---- */

/* A text of the entry; STR_NONE: there is none under that path. */
static struct str text_at(MMDB_entry_s *entry, const char *const *path)
{
    MMDB_entry_data_s data;
    if (MMDB_aget_value(entry, &data, path) != MMDB_SUCCESS || !data.has_data ||
        data.type != MMDB_DATA_TYPE_UTF8_STRING)
        return STR_NONE;
    return str_of(data.utf8_string, data.data_size);
}

static bool take_country(struct str code, struct geoip_answer *answer)
{
    if (code.len != 2 || !ascii_is_alpha(code.ptr[0]) || !ascii_is_alpha(code.ptr[1]))
        return false;
    answer->country[0] = ascii_upper(code.ptr[0]);
    answer->country[1] = ascii_upper(code.ptr[1]);
    return true;
}

/* MaxMind and DB-IP nest it, IPinfo does not, and had it under "country" once. */
static void get_country(MMDB_entry_s *entry, struct geoip_answer *answer)
{
    static const char *const PATHS[][3] = {{"country", "iso_code", NULL}, {"country_code", NULL}, {"country", NULL}};
    for (size_t i = 0; i < COUNT_OF(PATHS); i++)
        if (take_country(text_at(entry, PATHS[i]), answer))
            return;
}

/* A number (MaxMind, DB-IP), or "AS64496" (IPinfo). */
static void get_asn(MMDB_entry_s *entry, struct geoip_answer *answer)
{
    static const char *const NUMBER[] = {"autonomous_system_number", NULL}, *const TEXT[] = {"asn", NULL};
    MMDB_entry_data_s data;
    uint64_t asn;
    if (MMDB_aget_value(entry, &data, NUMBER) == MMDB_SUCCESS && data.has_data && data.type == MMDB_DATA_TYPE_UINT32) {
        answer->asn = data.uint32;
        return;
    }
    struct str text = text_at(entry, TEXT);
    if (str_starts_nocase(text, STR("AS")) && str_to_u64(str_from(text, 2), UINT32_MAX, &asn))
        answer->asn = (uint32_t)asn;
}

void geoip_get(struct geoip *g, const struct ip *ip, int64_t now_ms, struct geoip_answer *answer)
{
    struct endpoint at = {.kind = ENDPOINT_IP, .ip = *ip};
    struct sockaddr_storage address;
    int status;
    *answer = (struct geoip_answer){.asn = 0};
    look(g, now_ms);
    if (!g->is_open || endpoint_to_sockaddr(&at, &address) == 0)
        return;
    MMDB_lookup_result_s found = MMDB_lookup_sockaddr(&g->db, (const struct sockaddr *)&address, &status);
    if (status != MMDB_SUCCESS || !found.found_entry)
        return; /* also: IPv6 in a file of IPv4 */
    get_country(&found.entry, answer);
    get_asn(&found.entry, answer);
}

const char *geoip_describe(const struct geoip *g, uint64_t *built_s)
{
    if (!g->is_open)
        return NULL;
    *built_s = g->db.metadata.build_epoch;
    return g->db.metadata.database_type;
}
