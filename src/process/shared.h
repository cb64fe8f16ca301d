/*
 * shared.h - the memory that all processes of the service share: seats, counters, ticket keys, times of alerts.
 *
 * Made by the supervisor before the first fork and never moved. Each process has a seat: its row of counters, its
 * heartbeat, who it is. A seat outlives the process in it, so a crash takes no number along; when the process is gone
 * the supervisor gives the seat to the next one. Every word has one writer, the process in the seat or the supervisor;
 * readers lock nobody.
 *
 * The embedded store of the limits lies in a mapping of its own (serve.c): its size comes from the configuration.
 */
#ifndef PROCESS_SHARED_H
#define PROCESS_SHARED_H

#include "base/err.h"
#include "net/tls.h"
#include "stats/alert_rates.h"
#include "stats/counters.h"

/* Of so many servers of the MTA, in the order of the configuration, a worker says how it sees them. */
enum { SHARED_SERVERS_MAX = 256 };

enum process_role { ROLE_NONE, ROLE_SUPERVISOR, ROLE_EVENT_WRITER, ROLE_AUTH, ROLE_ALERTS, ROLE_ADMIN, ROLE_WORKER };

struct shared_seat {
    _Alignas(64) _Atomic uint32_t role; /* enum process_role; ROLE_NONE: free */
    _Atomic uint32_t slot;              /* a worker's number in its generation, from 0 */
    _Atomic uint32_t generation;        /* 0: belongs to none */
    _Atomic uint32_t worker_id;         /* a worker's: see process_context */
    _Atomic int32_t pid;                /* 0: not running now */
    _Atomic uint32_t restarts;
    _Atomic int64_t started_wall_us;
    _Atomic uint64_t heartbeat;                  /* a worker adds one every second */
    _Atomic uint8_t servers[SHARED_SERVERS_MAX]; /* a worker's, enum mta_health; written every second */
};

struct shared {
    _Atomic uint32_t generation;     /* the one in force; 0: none yet */
    _Atomic int64_t loaded_wall_us;  /* when it came into force */
    _Atomic int64_t started_wall_us; /* the service */
    _Atomic bool is_stopping;
    struct tls_ticket_keys ticket_keys;
    struct alert_rates alert_rates; /* over reloads and crashes */
    struct shared_seat seats[COUNTER_SLOTS];
    struct counters counters[COUNTER_SLOTS]; /* [i] belongs to seats[i] */
};

/* NULL with a reason. Lives as long as any process that inherited it. */
struct shared *shared_new(struct err *err);
void shared_free(struct shared **shared);

/* A free seat, now taken by role; -1: all are taken. The supervisor's only. */
int shared_take_seat(struct shared *shared, enum process_role role);
void shared_leave_seat(struct shared *shared, int seat);
/* The process in the seat is gone: it counts nothing any more. The seat stays taken, for the next one. */
void shared_seat_died(struct shared *shared, int seat);

/* "supervisor", "event writer", "auth", "alerts", "admin", "worker". */
const char *process_role_name(enum process_role role);

#endif
