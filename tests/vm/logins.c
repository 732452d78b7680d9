/* Logins without end through libpam, each user once a second, until standard input closes. A user's codes stand in a file
 * of its name, one a line, and each is used once (HOTP). The intruder's codes are wrong. At the end one line tells what came
 * of them:
 *
 *   logins SERVICE FOLDER INTRUDER USER...
 *   342 logins, 19.8 a second, 0 refused, 0 unasked, the slowest took 812 ms; 17 of the intruder, 0 let in
 */
#include <pthread.h>
#include <security/pam_appl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *service, *folder, *intruder;
static atomic_int ended, begun, logins, refused, unasked, slowest, intrusions, let_in;

struct answer {
    char code[32];
    int prompts;
};

static int converse(int count, const struct pam_message **messages, struct pam_response **replies, void *data)
{
    struct answer *answer = data;
    *replies = calloc((size_t)count, sizeof **replies);
    if (*replies == NULL)
        return PAM_BUF_ERR;
    for (int i = 0; i < count; i++) {
        int style = messages[i]->msg_style;
        if (style != PAM_PROMPT_ECHO_OFF && style != PAM_PROMPT_ECHO_ON)
            continue;
        /* A second prompt means that the code was refused: nothing more is typed. */
        (*replies)[i].resp = strdup(answer->prompts++ == 0 ? answer->code : "");
    }
    return PAM_SUCCESS;
}

static int milliseconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int)((now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000);
}

static void log_in(const char *user, struct answer *answer)
{
    struct pam_conv conversation = {converse, answer};
    struct timespec start;
    pam_handle_t *handle = NULL;
    clock_gettime(CLOCK_MONOTONIC, &start);
    int result = pam_start(service, user, &conversation, &handle);
    if (result == PAM_SUCCESS)
        result = pam_authenticate(handle, 0);
    int took = milliseconds_since(&start);
    pam_end(handle, result);
    if (user == intruder) {
        intrusions++;
        let_in += result == PAM_SUCCESS;
        return;
    }
    logins++;
    if (result != PAM_SUCCESS) {
        refused++;
        printf("%s: %s after %d ms and %d prompts\n", user, pam_strerror(NULL, result), took, answer->prompts);
    } else if (answer->prompts == 0) {
        unasked++;
    }
    for (int seen = slowest; took > seen && !atomic_compare_exchange_weak(&slowest, &seen, took);) {
    }
}

static void *once_a_second(void *user)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, (const char *)user);
    FILE *codes = fopen(path, "r");
    if (codes == NULL) {
        perror(path);
        exit(2);
    }
    /* The users come evenly over the second. */
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    next.tv_nsec = begun++ * 50000000L % 1000000000L;
    for (;;) {
        struct answer answer = {.prompts = 0};
        next.tv_sec++;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
        if (ended || fscanf(codes, "%31s", answer.code) != 1)
            return NULL;
        log_in(user, &answer);
        /* A second that was missed is not made up for: on a slow machine that would be a flood. */
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > next.tv_sec)
            next.tv_sec = now.tv_sec;
    }
}

int main(int count, char **arguments)
{
    if (count < 5)
        return 2;
    service = arguments[1];
    folder = arguments[2];
    intruder = arguments[3];
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    pthread_t *threads = calloc((size_t)count, sizeof *threads);
    for (int i = 3; i < count; i++)
        pthread_create(&threads[i], NULL, once_a_second, arguments[i]);
    puts("logging in");
    fflush(stdout);
    while (getchar() != EOF) {
    }
    ended = 1;
    for (int i = 3; i < count; i++)
        pthread_join(threads[i], NULL);
    printf("%d logins, %.1f a second, %d refused, %d unasked, the slowest took %d ms; %d of the intruder, %d let in\n", logins,
           1000.0 * logins / milliseconds_since(&start), refused, unasked, slowest, intrusions, let_in);
    return refused || unasked || let_in || intrusions == 0;
}
