/* Preloaded into a program: its monotonic clock gives a time that no clock has. Rust's standard library panics on it, so
 * that the real module panics in the middle of a login. */

#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time)
{
	int result = syscall(SYS_clock_gettime, clock, time);

	if (clock == CLOCK_MONOTONIC)
		time->tv_nsec = 2000000000;
	return result;
}
