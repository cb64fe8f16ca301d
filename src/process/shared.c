/* shared.c - see shared.h. */
#include "process/shared.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

struct shared *shared_new(struct err *err)
{
    void *p = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        err_set(err, "cannot get %zu KiB of shared memory: %s", sizeof(struct shared) / 1024, strerror(errno));
        return NULL;
    }
    struct shared *shared = p; /* all zero: every seat free, every counter 0 */
    if (alert_rates_init(&shared->alert_rates, err))
        return shared;
    munmap(p, sizeof *shared);
    return NULL;
}

void shared_free(struct shared **shared)
{
    if (!*shared)
        return;
    alert_rates_fini(&(*shared)->alert_rates);
    munmap(*shared, sizeof **shared);
    *shared = NULL;
}

int shared_take_seat(struct shared *shared, enum process_role role)
{
    for (int i = 0; i < COUNTER_SLOTS; i++) {
        if (atomic_load(&shared->seats[i].role) != ROLE_NONE)
            continue;
        atomic_store(&shared->seats[i].restarts, 0);
        atomic_store(&shared->seats[i].heartbeat, 0);
        atomic_store(&shared->seats[i].role, role);
        return i;
    }
    return -1;
}

void shared_leave_seat(struct shared *shared, int seat)
{
    shared_seat_died(shared, seat);
    atomic_store(&shared->seats[seat].role, ROLE_NONE);
}

void shared_seat_died(struct shared *shared, int seat)
{
    atomic_store(&shared->seats[seat].pid, 0);
    for (size_t i = 0; i < SHARED_SERVERS_MAX; i++)
        atomic_store_explicit(&shared->seats[seat].servers[i], 0, memory_order_relaxed);
    counters_slot_died(&shared->counters[seat]);
}

const char *process_role_name(enum process_role role)
{
    static const char *const NAMES[] = {"nobody", "supervisor", "event writer", "auth", "alerts", "admin", "worker"};
    return NAMES[role];
}
