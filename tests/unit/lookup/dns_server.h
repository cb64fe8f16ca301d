/*
 * dns_server.h - a DNS server of the tests' own, UDP and TCP on one port of loopback, in the loop of the test.
 *
 * It knows the records it was given, says of all other names that they do not exist, and behaves as badly as it is
 * told.
 */
#ifndef TEST_DNS_SERVER_H
#define TEST_DNS_SERVER_H

#include "lookup/dns.h"
#include "net/loop.h"

enum manner {
    POLITE,
    SILENT,
    SERVFAIL,
    REFUSED,
    TRUNCATED,   /* over UDP: no records, "ask by TCP" */
    FORGED_ID,   /* first an answer "127.0.0.2" with another id, then the true one */
    FORGED_NAME, /* first an answer "127.0.0.2" to another question, then the true one */
    GARBAGE,     /* the header of a good answer, then noise */
    WITHOUT_SOA, /* negative answers do not say for how long */
};

/* Takes a free port; `at` is where it listens, until the next start. */
void dns_server_start(struct loop *l);
void dns_server_stop(void);
extern char dns_server_at[32];

/* A record: A and AAAA in their text form, PTR a name, TXT a text (255 bytes at most). */
void dns_server_add(const char *name, enum dns_type type, uint32_t ttl, const char *text);
void dns_server_remove(const char *name);
void dns_server_forget_all(void);
/* For questions for this name; "": for all that have no manner of their own. */
void dns_server_set(const char *name, enum manner manner);
/* The SOA's TTL and minimum in negative answers. */
void dns_server_set_negative(uint32_t ttl, uint32_t minimum);
/* Questions for a name so far; "": all. */
unsigned dns_server_asked(const char *name);

#endif
