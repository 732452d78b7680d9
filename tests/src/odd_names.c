/* A module of the name service, as directory servers have them, for names that begin with `odd`:
 *   ODD-ALICE        another spelling of /etc/passwd's `alice`; also OdD-Alice, and so on
 *   odd-hung...      no answer, ever
 *   odd-broken...    the server cannot be reached
 *   odd-here...      the accounts of /etc/odd-passwd, in its form; while there is no such file, the server
 *                    cannot be reached
 * and for uids: no answer, ever, about 4,600,000 and the hundred thousand after it.
 * Of everything else it knows nothing. */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static int begins(const char *name, const char *with) {
    return strncasecmp(name, with, strlen(with)) == 0;
}

static enum nss_status odd(const char *name, int *errnop) {
    if (begins(name, "odd-hung"))
        for (;;) pause();
    if (begins(name, "odd-broken")) {
        *errnop = ECONNREFUSED;
        return NSS_STATUS_UNAVAIL;
    }
    *errnop = ENOENT;
    return NSS_STATUS_NOTFOUND;
}

enum nss_status _nss_odd_getpwnam_r(const char *name, struct passwd *entry, char *buffer, size_t size, int *errnop) {
    if (!begins(name, "odd-") || begins(name, "odd-hung") || begins(name, "odd-broken"))
        return odd(name, errnop);
    int here = begins(name, "odd-here");
    FILE *accounts = fopen(here ? "/etc/odd-passwd" : "/etc/passwd", "re");
    if (!accounts) {
        *errnop = errno;
        return NSS_STATUS_UNAVAIL;
    }
    struct passwd *found;
    int failed;
    while (!(failed = fgetpwent_r(accounts, entry, buffer, size, &found)))
        if (!strcasecmp(found->pw_name, here ? name : name + strlen("odd-"))) break;
    fclose(accounts);
    if (!failed) return NSS_STATUS_SUCCESS;
    *errnop = failed;
    return failed == ERANGE ? NSS_STATUS_TRYAGAIN : NSS_STATUS_NOTFOUND;
}

enum nss_status _nss_odd_getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t size, int *errnop) {
    (void)entry, (void)buffer, (void)size;
    return odd(uid / 100000 == 46 ? "odd-hung" : "", errnop);
}

enum nss_status _nss_odd_getgrnam_r(const char *name, struct group *entry, char *buffer, size_t size, int *errnop) {
    (void)entry, (void)buffer, (void)size;
    return odd(name, errnop);
}
