/* What no module that asks a daemon can be faster than: a byte there and back on a Unix socket, and 512 bytes made durable
 * before the answer, one fdatasync for all callers that wait at the moment.
 *
 *   floors CALLERS ROUNDS SOCKET FILE
 *
 * Each caller connects, sends, and reads the answer, so many times. Without a FILE (-) nothing is made durable. Prints the
 * seconds of all, then the nanoseconds of each round.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SERVERS = 80, RECORD = 512, FILE_SIZE = 64 << 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t asked = PTHREAD_COND_INITIALIZER, durable = PTHREAD_COND_INITIALIZER;
static long waiting, written;
static int file = -1, listener;

static void check(int good, const char *what)
{
	if (!good) {
		perror(what);
		_exit(2);
	}
}

static long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000L + time.tv_nsec;
}

/* One thread writes what has been asked for, and wakes those that asked. */
static void *committer(void *nothing)
{
	static char records[SERVERS * RECORD];
	off_t at = 0;

	pthread_mutex_lock(&lock);
	for (;;) {
		while (waiting == written)
			pthread_cond_wait(&asked, &lock);
		long group = waiting;
		size_t size = (group - written) * RECORD;
		pthread_mutex_unlock(&lock);
		at = at + (off_t)size > FILE_SIZE ? 0 : at;
		check(pwrite(file, records, size, at) == (ssize_t)size && fdatasync(file) == 0, "the file");
		at += size;
		pthread_mutex_lock(&lock);
		written = group;
		pthread_cond_broadcast(&durable);
	}
	return nothing;
}

static void commit(void)
{
	pthread_mutex_lock(&lock);
	long mine = ++waiting;
	pthread_cond_signal(&asked);
	while (written < mine)
		pthread_cond_wait(&durable, &lock);
	pthread_mutex_unlock(&lock);
}

static void *serve(void *nothing)
{
	char byte;

	for (;;) {
		int connection = accept(listener, NULL, NULL);
		check(connection >= 0, "accept");
		if (read(connection, &byte, 1) == 1) {
			if (file >= 0)
				commit();
			check(write(connection, &byte, 1) == 1, "the answer");
		}
		close(connection);
	}
	return nothing;
}

static void server(const char *path)
{
	static char zeros[1 << 20];
	pthread_t thread;

	if (strcmp(path, "-") != 0) {
		file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		for (off_t at = 0; at < FILE_SIZE; at += sizeof zeros)
			check(pwrite(file, zeros, sizeof zeros, at) == sizeof zeros, "the file");
		check(fsync(file) == 0, "the file");
		pthread_create(&thread, NULL, committer, NULL);
	}
	for (int n = 1; n < SERVERS; n++)
		pthread_create(&thread, NULL, serve, NULL);
	serve(NULL);
}

static long asked_once(const struct sockaddr_un *address)
{
	char byte = 1;
	long begun = now();
	int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	check(connect(connection, (const struct sockaddr *)address, sizeof *address) == 0, "connect");
	check(write(connection, &byte, 1) == 1 && read(connection, &byte, 1) == 1, "the answer");
	close(connection);
	return now() - begun;
}

int main(int count, char **arguments)
{
	if (count != 5)
		return 2;
	int callers = atoi(arguments[1]), rounds = atoi(arguments[2]), status, failed = 0;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%s", arguments[3]);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(bind(listener, (const struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 128) == 0, "bind");
	long *times = mmap(NULL, sizeof *times * callers * rounds, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t daemon = fork();
	if (daemon == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		server(arguments[4]);
	}
	/* The first answer comes when the file is there. */
	asked_once(&address);
	long begun = now();
	for (int n = 0; n < callers; n++)
		if (fork() == 0) {
			for (int round = 0; round < rounds; round++)
				times[n * rounds + round] = asked_once(&address);
			_exit(0);
		}
	for (int n = 0; n < callers; n++) {
		wait(&status);
		failed |= status;
	}
	printf("%.6f\n", (now() - begun) / 1e9);
	for (int n = 0; n < callers * rounds; n++)
		printf("%ld\n", times[n]);
	return failed != 0;
}
