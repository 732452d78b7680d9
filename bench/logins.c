/* Logs users in through libpam from several processes at once, and measures each login: pam_start, pam_authenticate with
 * a code at the prompt, pam_end. It is a C program, like those that log users in: a driver that has loaded more libraries
 * than they have would hide what a module loads.
 *
 *   logins MODE PROCESSES CONFDIR SERVICE <LOGINS
 *
 * Each line of standard input is a user and a code. MODE is
 *   each       the processes share the lines, one login a line;
 *   exec       the same, and each login is a program of its own, as with sshd;
 *   together   all processes use the same line at the same moment.
 * Before the clock starts, the processes are there, and each has looked the first user up and has logged in once through
 * the service `permit`, so that libc and libpam have loaded what they keep. Prints numbers: logins, accepted, seconds, CPU
 * seconds, then the nanoseconds of each login.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_LINES 200000

struct line {
	char user[32], code[16];
};

struct result {
	long nanoseconds;
	int accepted;
};

static struct line lines[MOST_LINES];
static int count;
static const char *confdir, *service;

static void *checked(void *pointer)
{
	if (pointer == NULL || pointer == MAP_FAILED) {
		perror("logins");
		exit(2);
	}
	return pointer;
}

static void no_delay(int status, unsigned microseconds, void *data)
{
	(void)status, (void)microseconds, (void)data;
}

static int converse(int number, const struct pam_message **messages, struct pam_response **replies, void *code)
{
	struct pam_response *array = checked(calloc(number, sizeof *array));

	for (int n = 0; n < number; n++)
		if (messages[n]->msg_style == PAM_PROMPT_ECHO_OFF || messages[n]->msg_style == PAM_PROMPT_ECHO_ON)
			array[n].resp = strdup(code);
	*replies = array;
	return PAM_SUCCESS;
}

static int login(const char *service, const char *user, char *code)
{
	struct pam_conv conversation = {converse, code};
	pam_handle_t *handle;

	if (pam_start_confdir(service, user, &conversation, confdir, &handle) != PAM_SUCCESS)
		exit(2);
	pam_set_item(handle, PAM_FAIL_DELAY, (const void *)no_delay);
	pam_set_item(handle, PAM_RHOST, "192.0.2.1");
	int outcome = pam_authenticate(handle, 0);
	pam_end(handle, outcome);
	return outcome == PAM_SUCCESS;
}

static int login_in_a_program_of_its_own(struct line *line)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		execl("/proc/self/exe", "logins", "once", confdir, service, line->user, line->code, NULL);
		_exit(2);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000L + time.tv_nsec;
}

static struct result measured(struct line *line, int exec)
{
	long begun = now();
	int accepted = exec ? login_in_a_program_of_its_own(line) : login(service, line->user, line->code);

	return (struct result){now() - begun, accepted};
}

/* One process. What stands at `barrier` leaves together. */
static void work(int number, int processes, const char *mode, pthread_barrier_t *barrier, struct result *results)
{
	char nothing[] = "";
	int together = strcmp(mode, "together") == 0, exec = strcmp(mode, "exec") == 0;

	getpwnam(lines[0].user);
	login("permit", lines[0].user, nothing);
	pthread_barrier_wait(barrier);
	for (int n = together ? 0 : number; n < count; n += together ? 1 : processes) {
		if (together)
			pthread_barrier_wait(barrier);
		results[together ? n * processes + number : n] = measured(&lines[n], exec);
	}
	_exit(0);
}

static void *shared(size_t size)
{
	return checked(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}

static double cpu_of_children(void)
{
	struct rusage usage;

	getrusage(RUSAGE_CHILDREN, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int all(const char *mode, int processes)
{
	int logins = strcmp(mode, "together") == 0 ? count * processes : count, accepted = 0, failed = 0, status;
	struct result *results = shared(logins * sizeof *results);
	pthread_barrier_t *barrier = shared(sizeof *barrier);
	pthread_barrierattr_t attributes;

	pthread_barrierattr_init(&attributes);
	pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(barrier, &attributes, processes + (strcmp(mode, "together") != 0));
	for (int n = 0; n < processes; n++)
		if (fork() == 0)
			work(n, processes, mode, barrier, results);
	if (strcmp(mode, "together") != 0)
		pthread_barrier_wait(barrier);
	long begun = now();
	while (wait(&status) > 0)
		failed |= status;
	long took = now() - begun;
	for (int n = 0; n < logins; n++)
		accepted += results[n].accepted;
	printf("%d %d %.6f %.6f\n", logins, accepted, took / 1e9, cpu_of_children());
	for (int n = 0; n < logins; n++)
		printf("%ld\n", results[n].nanoseconds);
	return failed != 0;
}

int main(int number, char **arguments)
{
	if (number == 6 && strcmp(arguments[1], "once") == 0) {
		confdir = arguments[2], service = arguments[3];
		return !login(service, arguments[4], arguments[5]);
	}
	if (number != 5)
		return 2;
	confdir = arguments[3], service = arguments[4];
	while (count < MOST_LINES && scanf("%31s %15s", lines[count].user, lines[count].code) == 2)
		count++;
	return all(arguments[1], atoi(arguments[2]));
}
