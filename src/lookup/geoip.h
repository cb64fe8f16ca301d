/*
 * geoip.h - `client.country` and `client.asn`: what a MaxMind DB file says of an address (the `geoip` statement).
 *
 *   geoip_get ─▶ still the same file? ─▶ libmaxminddb, mapped ─▶ country.iso_code or country_code,
 *                 └─ no: opened anew                            autonomous_system_number or asn
 *
 * The file may be replaced while mail flows: by rename, as geoipupdate does, the old one serves until the new one is
 * open, and stays in use if the new one is no good. A file that is written over in place is let go of before it is next
 * looked into, because a mapped file that shrinks kills who reads it; until it is whole again nothing is known. Either
 * is said once in the log. Looking takes no network and no waiting but for the disk: there is no start and no callback.
 */
#ifndef LOOKUP_GEOIP_H
#define LOOKUP_GEOIP_H

#include "net/addr.h"

struct geoip;

enum {
    GEOIP_LOOK_EVERY_MS = 10000, /* whether another file stands under the name */
    GEOIP_RETRY_MS = 1000,       /* while there is none that serves */
};
#define GEOIP_FILE_MAX_BYTES ((int64_t)1 << 30)

struct geoip_answer {
    char country[3]; /* ISO 3166-1, two upper-case letters, NUL-terminated; empty: not known */
    uint32_t asn;    /* 0: not known */
};

/* path: copied; it must stay readable for the process as it will be (its user, its sandbox). NULL with a reason: no
 * such file, too large, not in the format, no memory. */
struct geoip *geoip_open(const char *path, int64_t now_ms, struct err *err);
/* NULL is fine. */
void geoip_close(struct geoip **g);

void geoip_get(struct geoip *g, const struct ip *ip, int64_t now_ms, struct geoip_answer *answer);

/* "GeoLite2-Country", and when it was built (seconds since 1970), for who shows it; NULL: no file serves now. */
const char *geoip_describe(const struct geoip *g, uint64_t *built_s);

#endif
