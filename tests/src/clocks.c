/* Preloaded into a program: its clocks stand still, and move when the file CLOCKS says so.
 *
 * The file holds numbers of 8 bytes: CLOCK_REALTIME and CLOCK_BOOTTIME in milliseconds, whether the kernel holds the clock for
 * synchronised (1), does not (0) or does not say (-1), and the number of the boot.
 * A process that waits for a timer of CLOCK_REALTIME is told that the clock was set, once for each byte in the pipe
 * CLOCKS_BELL. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

struct clocks {
	int64_t wall, running, synchronised, boot;
};

static volatile struct clocks *clocks;
static int bell = -1, timer = -1;

/* Before the program gives up the right to open them. */
__attribute__((constructor)) static void begin(void)
{
	int file = open(getenv("CLOCKS"), O_RDONLY | O_CLOEXEC);

	clocks = mmap(NULL, sizeof *clocks, PROT_READ, MAP_SHARED, file, 0);
	bell = open(getenv("CLOCKS_BELL"), O_RDWR | O_CLOEXEC);
	if (file < 0 || clocks == MAP_FAILED || bell < 0)
		abort();
	close(file);
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	int64_t millis = clock == CLOCK_REALTIME ? clocks->wall : clocks->running;

	if (clock != CLOCK_REALTIME && clock != CLOCK_BOOTTIME)
		return syscall(SYS_clock_gettime, clock, time);
	time->tv_sec = millis / 1000;
	time->tv_nsec = millis % 1000 * 1000000;
	return 0;
}

int adjtimex(struct timex *state)
{
	if (clocks->synchronised < 0) {
		errno = EPERM;
		return -1;
	}
	return clocks->synchronised ? TIME_OK : TIME_ERROR;
}

int timerfd_create(int clock, int flags)
{
	int made = syscall(SYS_timerfd_create, clock, flags);

	if (clock == CLOCK_REALTIME)
		timer = made;
	return made;
}

ssize_t read(int file, void *to, size_t count)
{
	if (file < 0 || file != timer)
		return syscall(SYS_read, file, to, count);
	if (syscall(SYS_read, bell, to, 1) == 1)
		errno = ECANCELED;
	return -1;
}

int open64(const char *path, int flags, ...)
{
	va_list rest;
	int mode, file;

	va_start(rest, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
	va_end(rest);
	if (strcmp(path, "/proc/sys/kernel/random/boot_id") != 0)
		return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	file = memfd_create("boot_id", MFD_CLOEXEC);
	dprintf(file, "%032llx\n", (unsigned long long)clocks->boot);
	lseek(file, 0, SEEK_SET);
	return file;
}
