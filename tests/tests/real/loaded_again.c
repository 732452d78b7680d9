/* Loads a module, calls it once and unloads it, so many times: what a server does that ends a PAM handle for each login.
 *
 *   loaded-again MODULE TIMES
 *
 * Prints what is left of it afterwards. The first rounds do not count: libc and libpam keep what they make once. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef int entry(void *, int, int, const char **);

static void once(const char *path)
{
	void *module = dlopen(path, RTLD_NOW);
	entry *authenticate = module ? (entry *)dlsym(module, "pam_sm_authenticate") : NULL;

	/* Without a handle the module gives up at once: a conversation error (19). */
	if (!authenticate || authenticate(NULL, 0, 0, NULL) != 19)
		abort();
	dlclose(module);
}

static long resident_pages(void)
{
	long all, resident;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%ld %ld", &all, &resident) != 2)
		abort();
	fclose(file);
	return resident;
}

static int mappings(void)
{
	int c, lines = 0;
	FILE *file = fopen("/proc/self/maps", "r");

	while ((c = fgetc(file)) != EOF)
		lines += c == '\n';
	fclose(file);
	return lines;
}

int main(int count, char **arguments)
{
	long pages;
	int maps;

	if (count != 3)
		return 2;
	for (int n = 0; n < 10; n++)
		once(arguments[1]);
	pages = resident_pages(), maps = mappings();
	for (int n = atoi(arguments[2]); n > 0; n--)
		once(arguments[1]);
	printf("still loaded: %s\n", dlopen(arguments[1], RTLD_NOW | RTLD_NOLOAD) ? "yes" : "no");
	printf("more mappings: %d\n", mappings() - maps);
	printf("more pages: %ld\n", resident_pages() - pages);
	return 0;
}
