/* A wall clock that jumps, for the program that LD_PRELOAD loads this into, and its children. */
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { MOST_SECONDS = 6 * 3600, NANOSECONDS_PER_JUMP = 700000000 };

/* Seconds before or after the true time: others after every jump, and the same in all processes. */
static int64_t offset(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    uint64_t jumps = ((uint64_t)now.tv_sec * 1000000000 + now.tv_nsec) / NANOSECONDS_PER_JUMP;
    return (int64_t)(jumps * 0x9E3779B97F4A7C15 >> 33) % (2 * MOST_SECONDS) - MOST_SECONDS;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int status = (int)syscall(SYS_clock_gettime, clock, time);
    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += offset();
    return status;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *seconds) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (seconds) *seconds = now.tv_sec;
    return now.tv_sec;
}
