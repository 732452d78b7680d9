/* Applications that are not written like ours: what they do with signals, threads and processes around a login.
 *
 *   application SITUATION CONFDIR SERVICE USER CODE [USER CODE]...
 *
 * Each login prints a line "USER: NUMBER", libpam's return code; what else a situation has to say comes after it. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_LOGINS 4

struct login {
    const char *confdir, *service, *user, *code;
    pam_handle_t *handle;
};

static void no_delay(int status, unsigned microseconds, void *data) {
    (void)status, (void)microseconds, (void)data;
}

static int answer(int count, const struct pam_message **messages, struct pam_response **responses, void *data) {
    const struct login *login = data;
    struct pam_response *array = calloc(count, sizeof *array);
    for (int n = 0; n < count; n++)
        if (messages[n]->msg_style == PAM_PROMPT_ECHO_OFF || messages[n]->msg_style == PAM_PROMPT_ECHO_ON)
            array[n].resp = strdup(login->code);
    *responses = array;
    return PAM_SUCCESS;
}

static void start(struct login *login, int (*converse)(int, const struct pam_message **, struct pam_response **, void *)) {
    struct pam_conv conversation = {converse, login};
    if (pam_start_confdir(login->service, login->user, &conversation, login->confdir, &login->handle) != PAM_SUCCESS)
        abort();
    pam_set_item(login->handle, PAM_FAIL_DELAY, (const void *)no_delay);
}

static void *authenticate(void *data) {
    struct login *login = data;
    int code = pam_authenticate(login->handle, PAM_DISALLOW_NULL_AUTHTOK);
    printf("%s: %d\n", login->user, code);
    fflush(stdout);
    return NULL;
}

static void end(struct login *login) {
    pam_end(login->handle, PAM_SUCCESS);
}

/* A thousand alarms a second interrupt it, child and pipe signals have handlers, one signal is ignored and one blocked. */
static volatile sig_atomic_t alarms;

static void count_alarm(int signal) {
    (void)signal;
    alarms++;
}

static void nothing(int signal) {
    (void)signal;
}

static void set(int signal, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler};
    sigaction(signal, &action, NULL);
}

/* A line of text for everything that a program may have set about its signals. */
static void describe(char *text) {
    struct itimerval timer;
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    getitimer(ITIMER_REAL, &timer);
    text += sprintf(text, "%ld ", (long)timer.it_interval.tv_usec);
    for (int n = 1; n < NSIG; n++) {
        struct sigaction action;
        if (sigaction(n, NULL, &action) == 0)
            text += sprintf(text, "%p %x ", (void *)action.sa_handler, (unsigned)action.sa_flags);
        text += sprintf(text, "%d ", sigismember(&mask, n));
    }
}

static void interrupted(struct login *login) {
    static char before[8192], after[8192];
    sigset_t blocked;
    set(SIGALRM, count_alarm);
    set(SIGCHLD, nothing);
    set(SIGPIPE, nothing);
    set(SIGUSR2, SIG_IGN);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    struct itimerval often = {{0, 1000}, {0, 1000}};
    start(login, answer);
    setitimer(ITIMER_REAL, &often, NULL);
    describe(before);
    authenticate(login);
    describe(after);
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &never, NULL);
    printf("signals: %s\n", strcmp(before, after) == 0 ? "as they were" : "changed");
    printf("alarms: %d\n", (int)alarms);
    end(login);
}

/* Two handles in two threads. */
static void in_threads(struct login logins[2]) {
    pthread_t threads[2];
    for (int n = 0; n < 2; n++)
        start(&logins[n], answer);
    for (int n = 0; n < 2; n++)
        pthread_create(&threads[n], NULL, authenticate, &logins[n]);
    for (int n = 0; n < 2; n++)
        pthread_join(threads[n], NULL);
    for (int n = 0; n < 2; n++)
        end(&logins[n]);
}

/* A process is forked between pam_start and pam_authenticate, which both of them call. */
static void in_a_child(struct login *login) {
    start(login, answer);
    pid_t child = fork();
    if (child == 0) {
        authenticate(login);
        exit(0);
    }
    waitpid(child, NULL, 0);
    authenticate(login);
    end(login);
}

/* At the prompt it closes what it does not know, as programs do before they start others, and opens sockets of its own. */
#define FIRST 3
#define PAIRS 16

static int answer_with_sockets(int count, const struct pam_message **messages, struct pam_response **responses, void *data) {
    static int pairs[PAIRS][2];
    static int asked;
    for (int n = FIRST; asked == 0 && n < FIRST + 2 * PAIRS; n++)
        close(n);
    for (int n = 0; asked == 0 && n < PAIRS; n++)
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[n]) != 0)
            abort();
    asked = 1;
    return answer(count, messages, responses, data);
}

static void with_sockets(struct login *login) {
    int open = 0, received = 0;
    char byte;
    start(login, answer_with_sockets);
    authenticate(login);
    for (int n = FIRST; n < FIRST + 2 * PAIRS; n++) {
        received += recv(n, &byte, 1, MSG_DONTWAIT) == 1;
        open += fcntl(n, F_GETFD) >= 0;
    }
    printf("sockets: %d open, %d with something in them\n", open, received);
    end(login);
}

int main(int count, char **arguments) {
    if (count < 6)
        return 2;
    const char *situation = arguments[1], *confdir = arguments[2], *service = arguments[3];
    struct login logins[MOST_LOGINS];
    int number = 0;
    for (char **argument = arguments + 4; number < MOST_LOGINS && argument + 1 < arguments + count; argument += 2)
        logins[number++] = (struct login){confdir, service, argument[0], argument[1], NULL};
    if (strcmp(situation, "plain") == 0) {
        for (int n = 0; n < number; n++) {
            start(&logins[n], answer);
            authenticate(&logins[n]);
            end(&logins[n]);
        }
    } else if (strcmp(situation, "no-conversation") == 0) {
        start(logins, NULL);
        authenticate(logins);
        end(logins);
    } else if (strcmp(situation, "interrupted") == 0) {
        interrupted(logins);
    } else if (strcmp(situation, "threads") == 0) {
        in_threads(logins);
    } else if (strcmp(situation, "sockets") == 0) {
        with_sockets(logins);
    } else if (strcmp(situation, "child") == 0) {
        in_a_child(logins);
    } else {
        return 2;
    }
    return 0;
}
