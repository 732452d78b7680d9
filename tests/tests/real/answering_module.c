/* A PAM module whose answer is its first argument, a number. It says its second argument, so that the application sees
 * which lines were called, in which order. */
#include <stdlib.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>

int pam_sm_authenticate(pam_handle_t *pam, int flags, int count, const char **arguments) {
    (void)flags;
    if (count < 2)
        return PAM_SERVICE_ERR;
    pam_info(pam, "%s", arguments[1]);
    return atoi(arguments[0]);
}

int pam_sm_setcred(pam_handle_t *pam, int flags, int count, const char **arguments) {
    (void)pam, (void)flags, (void)count, (void)arguments;
    return PAM_SUCCESS;
}
