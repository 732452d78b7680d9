/* A name service (NSS module) with as many accounts as are wanted: user0, user1 and so on, with uids from 200000, and one
 * primary group. A directory of a million users answers at once; a million lines of /etc/passwd would be read for each login.
 *
 * Built as libnss_bench.so.2, found in LD_LIBRARY_PATH, and named in /etc/nsswitch.conf.
 */
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#define FIRST 200000
#define MOST 100000000

static enum nss_status account(unsigned number, struct passwd *found, char *buffer, size_t size, int *error)
{
	int length = snprintf(buffer, size, "user%u", number);

	if (length < 0 || (size_t)length + sizeof "*" + sizeof "/" >= size) {
		*error = ERANGE;
		return NSS_STATUS_TRYAGAIN;
	}
	char *password = buffer + length + 1, *slash = password + sizeof "*";

	strcpy(password, "*");
	strcpy(slash, "/");
	*found = (struct passwd){buffer, password, FIRST + number, FIRST - 1, slash, slash, slash};
	return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_bench_getpwnam_r(const char *name, struct passwd *found, char *buffer, size_t size, int *error)
{
	unsigned number;
	char rest;

	if (sscanf(name, "user%9u%c", &number, &rest) != 1 || number >= MOST)
		return NSS_STATUS_NOTFOUND;
	return account(number, found, buffer, size, error);
}

enum nss_status _nss_bench_getpwuid_r(uid_t uid, struct passwd *found, char *buffer, size_t size, int *error)
{
	if (uid < FIRST || uid >= FIRST + MOST)
		return NSS_STATUS_NOTFOUND;
	return account(uid - FIRST, found, buffer, size, error);
}
