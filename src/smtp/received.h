/*
 * received.h - the trace field that is put on top of every mail (RFC 5321 4.4; RFC 3848, 6531 for the protocol's name).
 *
 *   Received: from laptop (host.example.net [192.0.2.7])
 *           by mail.example.org with ESMTPSA id 6N2-1
 *           (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)
 *           (Authenticated sender: alice@example.org);
 *           Tue, 24 Nov 2026 08:15:30 +0000
 *
 * No "for": of several recipients it would disclose one that may be a Bcc. Whatever the client calls itself, a line
 * keeps to 998 bytes (RFC 5322 2.1.1) and nothing in it can end a comment, a field or a line.
 */
#ifndef SMTP_RECEIVED_H
#define SMTP_RECEIVED_H

#include "base/buf.h"

/* A field is never longer than this. */
enum { SMTP_RECEIVED_BYTES_MAX = 4096 };

enum smtp_trace {
    SMTP_TRACE_ON,
    SMTP_TRACE_MINIMAL, /* nothing about the client: no address, no name, no login */
    SMTP_TRACE_OFF
};

struct smtp_received {
    struct str client;      /* its address as text: 192.0.2.7, 2001:db8::1 */
    struct str client_name; /* its reverse name, or empty */
    struct str helo;        /* as the client said it, or empty */
    struct str by;          /* our name */
    struct str id;
    struct str login;       /* empty: not authenticated */
    struct str tls_version; /* empty: no TLS */
    struct str tls_cipher;
    bool is_authenticated;
    bool is_esmtp;    /* EHLO was said, not HELO */
    bool is_smtputf8; /* the mail may hold UTF-8 in its header: ours may too */
    int64_t time_s;   /* since 1970 */
    int utc_offset_s; /* of local time, east of Greenwich positive */
};

/* Appends the field with its last CRLF; nothing with SMTP_TRACE_OFF. False: the buffer is full. */
MUST_USE bool smtp_received_write(struct buf *to, enum smtp_trace trace, const struct smtp_received *received);

/* "SMTP", "ESMTPSA", "UTF8SMTPS" …: also the protocol of events and XFORWARD's cousin. A literal. */
const char *smtp_protocol_name(bool is_esmtp, bool is_smtputf8, bool has_tls, bool is_authenticated);

/* Appends a date (RFC 5322 3.3): "Tue, 24 Nov 2026 08:15:30 +0000". */
MUST_USE bool smtp_date_write(struct buf *to, int64_t time_s, int utc_offset_s);

#endif
