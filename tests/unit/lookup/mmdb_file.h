/* mmdb_file.h - writes small files in MaxMind DB format, version 2.0, for tests. */
#ifndef TEST_MMDB_FILE_H
#define TEST_MMDB_FILE_H

#include "net/addr.h"

/* What the file says of a network. Members that are NULL or 0 are left out. */
struct mmdb_entry {
    const char *network;      /* none inside of another */
    const char *iso_code;     /* {"country": {"iso_code": …}} */
    const char *country;      /* {"country": …} */
    const char *country_code; /* {"country_code": …} */
    uint32_t number;          /* {"autonomous_system_number": …} */
    const char *asn;          /* {"asn": …} */
};

/* ip_version 6: IPv4 networks lie in ::/96. Written in place, over what is there. */
void mmdb_file_write(const char *path, unsigned ip_version, const char *type, const struct mmdb_entry *entries,
                     size_t count);

#endif
