/* Preloaded into an application: inside pam_authenticate, one allocation fails, or all from one on.
 *
 * FAIL_ALLOCATION=K    the K-th fails
 * FAIL_ALLOCATION=K+   the K-th and all after it
 * What the application's own program allocates neither counts nor fails. The count is said on standard error. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static int counting, and_after;
static unsigned long count, wanted;
static char *program_begin, *program_end;

static int first_object(struct dl_phdr_info *object, size_t size, void *data)
{
	for (int n = 0; n < object->dlpi_phnum; n++) {
		char *begin = (char *)object->dlpi_addr + object->dlpi_phdr[n].p_vaddr;
		char *end = begin + object->dlpi_phdr[n].p_memsz;

		if (object->dlpi_phdr[n].p_type != PT_LOAD)
			continue;
		if (!program_begin || begin < program_begin)
			program_begin = begin;
		if (end > program_end)
			program_end = end;
	}
	return 1; /* the program itself comes first */
}

__attribute__((constructor)) static void prepare(void)
{
	const char *fail = getenv("FAIL_ALLOCATION");
	char *rest = NULL;

	wanted = fail ? strtoul(fail, &rest, 10) : 0;
	and_after = rest && *rest == '+';
	dl_iterate_phdr(first_object, NULL);
}

static int fails(void *caller)
{
	if (!counting || ((char *)caller >= program_begin && (char *)caller < program_end))
		return 0;
	count++;
	if (!wanted || count < wanted || (count > wanted && !and_after))
		return 0;
	errno = ENOMEM;
	return 1;
}

#define FAILS fails(__builtin_return_address(0))

void *malloc(size_t size)
{
	return FAILS ? NULL : __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
	return FAILS ? NULL : __libc_calloc(number, size);
}

void *realloc(void *old, size_t size)
{
	return FAILS ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return FAILS ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
	if (FAILS)
		return ENOMEM;
	*memory = __libc_memalign(alignment, size);
	return *memory ? 0 : ENOMEM;
}

int pam_authenticate(void *handle, int flags)
{
	int (*real)(void *, int) = (int (*)(void *, int))dlsym(RTLD_NEXT, "pam_authenticate");
	int code;

	counting = 1;
	code = real(handle, flags);
	counting = 0;
	dprintf(STDERR_FILENO, "allocations: %lu\n", count);
	return code;
}
