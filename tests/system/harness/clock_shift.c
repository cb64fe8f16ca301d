/*
 * clock_shift.c - a wall clock that a test may move under a running program: preloaded into it.
 *
 *     cc -shared -fPIC -O2 -o clock_shift.so clock_shift.c
 *     CLOCK_SHIFT=FILE LD_PRELOAD=clock_shift.so PROGRAM
 *
 * FILE holds one int64_t: by how many microseconds the wall clock is ahead. It is mapped once, when the program starts:
 * afterwards no system call is made for it, so a sandbox does not mind. The monotonic clock stays as it is, as it does
 * when an administrator sets the time or NTP steps it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift_us;

/* How the true clock is read: the C library's own function, which asks the kernel's page in user space. */
static int (*true_clock)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("CLOCK_SHIFT");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    *(void **)&true_clock = dlsym(RTLD_NEXT, "clock_gettime");
    if (fd < 0)
        return;
    void *page = mmap(NULL, sizeof *shift_us, PROT_READ, MAP_SHARED, fd, 0);
    shift_us = page == MAP_FAILED ? NULL : page;
    close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    /* Before the constructor has run, somebody else's may ask. */
    int result = true_clock ? true_clock(clock, t) : (int)syscall(SYS_clock_gettime, clock, t);

    if (result == 0 && shift_us && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t us = (int64_t)t->tv_sec * 1000000 + t->tv_nsec / 1000 + *shift_us;
        t->tv_nsec = (us % 1000000) * 1000 + t->tv_nsec % 1000;
        t->tv_sec = us / 1000000;
    }
    return result;
}

int gettimeofday(struct timeval *t, void *zone)
{
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *t)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (t)
        *t = now.tv_sec;
    return now.tv_sec;
}
