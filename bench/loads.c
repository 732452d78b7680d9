/* Loads and unloads modules as libpam does, in turn, in a program of C, and prints the median nanoseconds of each.
 *
 *   loads ROUNDS MODULE...
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000L + time.tv_nsec;
}

static long loaded(const char *path)
{
	long begun = now();
	void *module = dlopen(path, RTLD_NOW);

	if (module == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		exit(2);
	}
	dlclose(module);
	return now() - begun;
}

static int by_size(const void *a, const void *b)
{
	long left = *(const long *)a, right = *(const long *)b;

	return (left > right) - (left < right);
}

int main(int count, char **arguments)
{
	if (count < 3)
		return 2;
	int rounds = atoi(arguments[1]), modules = count - 2;
	long *times = calloc((size_t)rounds * modules, sizeof *times);
	if (times == NULL)
		return 2;
	for (int round = 0; round < rounds; round++)
		for (int n = 0; n < modules; n++)
			times[n * rounds + round] = loaded(arguments[n + 2]);
	for (int n = 0; n < modules; n++) {
		qsort(&times[n * rounds], rounds, sizeof *times, by_size);
		printf("%ld\n", times[n * rounds + rounds / 2]);
	}
	return 0;
}
