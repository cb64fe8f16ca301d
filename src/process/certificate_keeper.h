/*
 * certificate_keeper.h - certificates are renewed while the service runs: their files are looked at every ten seconds.
 *
 *   supervisor: stat ─ changed ─ read, as who it is, and used for a try
 *                  ├─ it can be used ─▶ memfd ─▶ to all workers (CHANNEL_CERTIFICATE)
 *                  └─ it cannot: the old one stays, said once
 *
 * Keys are mostly for root's eyes alone, and workers have given that up: so the supervisor reads, and passes on what it
 * read. The last good one is kept for workers that are still to be born, for the files may be broken by then.
 *
 * The CA of `client-ca` belongs to its certificate and is read with it: a new one is a new certificate.
 *
 * Chain and key are two files, written one after the other: between both they do not fit, and are tried again at the
 * next look before that is said.
 */
#ifndef PROCESS_CERTIFICATE_KEEPER_H
#define PROCESS_CERTIFICATE_KEEPER_H

#include "net/loop.h"
#include "net/tls.h"

struct certificate_keeper;

/* Begins to look. files: borrowed. send: to those who live; false: somebody could not take it now, it is sent again at
 * the next look. NULL: no memory. */
struct certificate_keeper *certificate_keeper_new(struct loop *l, const struct tls_certificate *files, size_t count,
                                                  int64_t look_ms, bool (*send)(void *arg, size_t index, int image),
                                                  void *arg);
/* What was read since, one a certificate; -1: nothing was. For who is forked now. */
const int *certificate_keeper_images(const struct certificate_keeper *k);
/* From now on it says nothing any more: its configuration is the old one. */
void certificate_keeper_hush(struct certificate_keeper *k);
void certificate_keeper_free(struct certificate_keeper **k);

#endif
