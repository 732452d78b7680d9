/* Preloaded into a program: its CLOCK_REALTIME is CLOCK_AHEAD seconds ahead of the machine's. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long ahead;

__attribute__((constructor)) static void begin(void)
{
	ahead = atol(getenv("CLOCK_AHEAD"));
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	int told = syscall(SYS_clock_gettime, clock, time);

	if (told == 0 && clock == CLOCK_REALTIME)
		time->tv_sec += ahead;
	return told;
}
