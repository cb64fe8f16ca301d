/*
 * machine.h - what a configuration needs of the machine that it is to run on: the user of the service, files that this
 * user must be able to use once root's privileges are gone, folders, addresses to listen at.
 *
 * `check`, `serve` and `reload` ask this one place, so whatever would stop a start, or the service later, is said by
 * the check, at its place in the file. What is missing is an error for who is to run, a warning for who only checks
 * (builder_missing).
 *
 *   statements ─ machine_note ─▶ list ─ machine_check ─▶ [a child that becomes `user`] ─ access(2) ─▶ diagnostics
 *
 * Only root can become the user: a check that is run by anybody else leaves that out, and its summary says so. A file
 * that the service reads while it is root (certificates, keys, passwords of Redis, tables) need not be noted:
 * builder_can_read suffices.
 */
#ifndef CONFIG_MACHINE_H
#define CONFIG_MACHINE_H

#include "config/builder.h"

/* What the service does with a file when it is root no more. */
enum machine_need {
    MACHINE_READS,
    MACHINE_RUNS,
    MACHINE_APPENDS,  /* or makes it, where it is not there */
    MACHINE_ROTATES,  /* makes and renames others beside it; that it cannot is only a warning */
    MACHINE_CONNECTS, /* a socket; one that is not there may come later. Likewise */
};

enum {
    MACHINE_FILES_MAX = 4096, /* more are not looked at */
    MACHINE_LOOK_MS = 5000,   /* what looking at all of them may take: a network's file system may not answer */
};

/* Borrows path for as long as the builder lives; NULL: no memory, was said. */
void machine_note(struct config_builder *b, struct place at, const char *path, enum machine_need need);
/* Can anybody listen there? */
void machine_check_address(struct config_builder *b, struct place at, const struct endpoint *endpoint);
/* Is there a log of the system (EVENT_SINK_SYSLOG, EVENT_SINK_JOURNAL)? */
void machine_check_log(struct config_builder *b, struct place at, enum event_sink sink);
/* When all statements were read: the user, what was noted, and where the service itself makes files. */
void machine_check(struct config_builder *b);

#endif
