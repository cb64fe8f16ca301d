// uses: lookup
/*
 * fuzz_dns_message.c - DNS answers. Promises held: whatever comes, it is read within its bytes and the caller's room;
 * names are names of hosts, sorted, each once; texts are printable ASCII; what a DNS list's addresses mean is one of
 * four things, and "listed" never without a code that the filter takes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "lookup/dnsbl_inside.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_addresses(struct str message, enum dns_type type)
{
    struct ip found[DNS_MAX_ADDRESSES];
    struct dnsbl_answer a;
    size_t count;
    if (!dns_message_addresses(message, type, found, COUNT_OF(found), &count)) {
        PANIC_IF(count != 0, "addresses of a malformed answer");
        return;
    }
    PANIC_IF(count > COUNT_OF(found), "too many addresses");
    for (size_t i = 0; i < count; i++)
        PANIC_IF(found[i].family == ADDR_NONE || (type == DNS_A && found[i].family != ADDR_IPV4), "no address");
    enum dnsbl_meaning meaning = dnsbl_meaning_of(found, count, NULL, 0, &a);
    PANIC_IF((meaning == DNSBL_MEANS_LISTED) != (a.result == DNSBL_LISTED), "listed or not?");
    PANIC_IF(a.code_count > DNSBL_MAX_CODES || (a.result == DNSBL_NOT_LISTED) != (a.code_count == 0), "codes");
    for (size_t i = 0; meaning == DNSBL_MEANS_LISTED && i < a.code_count; i++)
        PANIC_IF(a.codes[i][0] != 127 || a.codes[i][1] != 0 || a.codes[i][2] != 0 || a.codes[i][3] < 2 ||
                     a.codes[i][3] == 10 || a.codes[i][3] == 11 || a.codes[i][3] == 255,
                 "a code that the default does not take");
}

static void check_names(struct str message)
{
    char names[4][DNS_NAME_MAX];
    size_t count;
    if (!dns_message_names(message, names, COUNT_OF(names), &count))
        PANIC_IF(count != 0, "names of a malformed answer");
    PANIC_IF(count > COUNT_OF(names), "too many names");
    for (size_t i = 0; i < count; i++) {
        PANIC_IF(!host_name_is_valid(str_of_z(names[i])), "no name of a host");
        PANIC_IF(i > 0 && strcmp(names[i - 1], names[i]) >= 0, "not in order");
    }
}

static void check_text(struct str message)
{
    char text[64];
    bool is_fine = dns_message_text(message, text, sizeof text);
    PANIC_IF(!is_fine && text[0], "text of a malformed answer");
    for (const char *at = text; *at; at++)
        PANIC_IF(*at < ' ' || *at > '~', "not printable");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *exact = malloc(size ? size : 1); /* so that a byte too far is seen */
    uint32_t seconds;
    PANIC_IF(!exact, "no memory");
    if (size)
        memcpy(exact, data, size);
    struct str message = str_of(exact, size);
    if (dns_message_ttl(message, &seconds))
        PANIC_IF(seconds >> 31, "a TTL beyond 31 bits");
    check_addresses(message, DNS_A);
    check_addresses(message, DNS_AAAA);
    check_names(message);
    check_text(message);
    free(exact);
    return 0;
}
