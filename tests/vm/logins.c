/* Logins without end through libpam, until standard input closes. A user's codes stand in a file of its name, one a line, and
 * each is used once (HOTP). Each user logs in once a second; if the machine is too slow for so many, half of them go, and
 * half of the rest, until 99 of 100 logins take less than a second. Then a line says how many are steady, and the count begins.
 * At the end one line says what came of it. It fails if a user was refused, was not asked for a code, or waited for too long:
 *
 *   logins SERVICE FOLDER INTRUDER REPLAYER USER...
 *   steady: 20 logins a second
 *   342 logins, 19.8 a second, 0 refused, 0 without a code, the slowest took 812 ms; ...
 *
 * There are two attackers: the codes of the intruder are wrong, and the replayer uses each of its codes twice.
 *
 * The bound is one of the machine's own time: while an emulated processor stands still, because its host has other work, no
 * program could be faster. On each processor a thread that goes before all others sleeps for two milliseconds, again and
 * again; the time by which it wakes too late is not counted, and printed. Module and daemon give up by the clock, so that
 * a login during which the machine stood still for half a second may be refused. That is printed, and may happen to one
 * login of twenty.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <security/pam_appl.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSORS = 2, TICK = 2000, SECOND = 1000000, ROUNDS = 10, MEASURED = 200, LEAST = 2, BOUND = 3000, STILL = 500 };

static const char *service, *folder;
static char **users;
/* The first so many of the users log in. */
static atomic_int active;
static atomic_bool ended;
static atomic_int measured, logins, refused, refused_while_still, unasked, slowest, intrusions, replays, let_in;
/* Milliseconds that the first logins took, by the clock. */
static int took[MEASURED];
static sem_t logged_in;
/* Microseconds that each processor stood still. */
static atomic_long stood_still[PROCESSORS];

struct moment {
    long now, stood_still[PROCESSORS];
};

struct answer {
    char code[32];
    int prompts;
};

static long microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec / 1000;
}

static void sleep_until(long moment)
{
    struct timespec end = {.tv_sec = moment / SECOND, .tv_nsec = moment % SECOND * 1000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
}

static struct moment this_moment(void)
{
    struct moment moment = {.now = microseconds()};
    for (int i = 0; i < PROCESSORS; i++)
        moment.stood_still[i] = stood_still[i];
    return moment;
}

static long by_the_clock(const struct moment *start)
{
    return (microseconds() - start->now) / 1000;
}

/* A login is on one processor at a time, and on either. */
static long standing_still(const struct moment *start)
{
    long longest = 0;
    for (int i = 0; i < PROCESSORS; i++) {
        long still = stood_still[i] - start->stood_still[i];
        longest = still > longest ? still : longest;
    }
    return longest / 1000;
}

static void fail(const char *what)
{
    perror(what);
    exit(2);
}

static void *watch(void *still)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((atomic_long *)still - stood_still, &one);
    struct sched_param first = {.sched_priority = 50};
    if (pthread_setaffinity_np(pthread_self(), sizeof one, &one) != 0 ||
        pthread_setschedparam(pthread_self(), SCHED_FIFO, &first) != 0)
        fail("a thread that goes before the others");
    for (;;) {
        long end = microseconds() + TICK;
        sleep_until(end);
        long late = microseconds() - end;
        /* Less is what any wake-up takes. */
        if (late > TICK / 2)
            *(atomic_long *)still += late;
    }
    return NULL;
}

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

static int log_in(const char *user, struct answer *answer)
{
    struct pam_conv conversation = {converse, answer};
    pam_handle_t *handle = NULL;
    answer->prompts = 0;
    int result = pam_start(service, user, &conversation, &handle);
    if (result == PAM_SUCCESS)
        result = pam_authenticate(handle, 0);
    pam_end(handle, result);
    return result;
}

/* Whether the code of the answer opened a login. */
static bool user_logs_in(const char *user, struct answer *answer)
{
    struct moment start = this_moment();
    int result = log_in(user, answer);
    long clock = by_the_clock(&start), still = standing_still(&start), own = clock - still;
    int number = measured++;
    if (number < MEASURED)
        took[number] = (int)clock;
    logins++;
    for (int seen = slowest; own > seen && !atomic_compare_exchange_weak(&slowest, &seen, (int)own);) {
    }
    if (result != PAM_SUCCESS) {
        atomic_int *count = still >= STILL ? &refused_while_still : &refused;
        (*count)++;
        printf("%s: %s after %ld ms (%ld by the clock) and %d prompts\n", user, pam_strerror(NULL, result), own, clock,
               answer->prompts);
    } else if (answer->prompts == 0) {
        unasked++;
    }
    sem_post(&logged_in);
    return result == PAM_SUCCESS;
}

static void attacker_logs_in(const char *user, struct answer *answer, atomic_int *attempts)
{
    if (log_in(user, answer) == PAM_SUCCESS) {
        let_in++;
        printf("%s was let in\n", user);
    }
    (*attempts)++;
}

static FILE *codes_of(const char *user)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, user);
    FILE *codes = fopen(path, "r");
    if (codes == NULL)
        fail(path);
    return codes;
}

static bool next_code(FILE *codes, struct answer *answer)
{
    return !ended && fscanf(codes, "%31s", answer->code) == 1;
}

/* The active users come evenly over the second. A second that a user missed is not made up for: on a slow machine that would
 * be a flood. */
static void *user_comes(void *user)
{
    long number = (char **)user - users;
    FILE *codes = codes_of(users[number]);
    struct answer answer;
    while (!ended) {
        sleep_until((microseconds() / SECOND + 1) * SECOND + number * SECOND / active);
        if (number < active && next_code(codes, &answer))
            user_logs_in(users[number], &answer);
    }
    return NULL;
}

static void *intruder_comes(void *user)
{
    FILE *codes = codes_of(user);
    struct answer answer;
    for (; next_code(codes, &answer); sleep_until(microseconds() + SECOND))
        attacker_logs_in(user, &answer, &intrusions);
    return NULL;
}

static void *replayer_comes(void *user)
{
    FILE *codes = codes_of(user);
    struct answer answer;
    for (; next_code(codes, &answer); sleep_until(microseconds() + SECOND))
        if (user_logs_in(user, &answer))
            attacker_logs_in(user, &answer, &replays);
    return NULL;
}

static int ascending(const void *one, const void *other)
{
    return *(const int *)one - *(const int *)other;
}

/* The milliseconds by the clock within which 99 of 100 logins are done, of ten rounds from now on. */
static int measure(void)
{
    int count = active * ROUNDS, sorted[MEASURED];
    logins = measured = 0;
    while (logins < count)
        sem_wait(&logged_in);
    memcpy(sorted, took, sizeof sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, ascending);
    return sorted[(count * 99 + 99) / 100 - 1];
}

static void find_a_steady_rate(void)
{
    for (int within; (within = measure()) >= SECOND / 1000; active = active / 2) {
        printf("too many for this machine: %d logins a second, 99 of 100 within %d ms\n", active, within);
        if (active / 2 < LEAST) {
            puts("This machine is too slow or too busy for two logins a second: give it less to do.");
            exit(2);
        }
    }
}

static pthread_t start(void *(*comes)(void *), void *user)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, comes, user) != 0)
        fail("a thread");
    return thread;
}

int main(int count, char **arguments)
{
    if (count < 5 + LEAST || count > 5 + MEASURED / ROUNDS)
        return 2;
    service = arguments[1];
    folder = arguments[2];
    users = arguments + 5;
    active = count - 5;
    sem_init(&logged_in, 0, 0);
    for (int i = 0; i < PROCESSORS; i++)
        start(watch, &stood_still[i]);
    pthread_t attackers[] = {start(intruder_comes, arguments[3]), start(replayer_comes, arguments[4])};
    pthread_t *threads = calloc((size_t)count, sizeof *threads);
    for (int i = 5; i < count; i++)
        threads[i] = start(user_comes, &arguments[i]);
    find_a_steady_rate();
    logins = refused = refused_while_still = slowest = 0;
    struct moment began = this_moment();
    printf("steady: %d logins a second\n", active);
    fflush(stdout);
    while (getchar() != EOF) {
    }
    ended = true;
    for (int i = 0; i < 2; i++)
        pthread_join(attackers[i], NULL);
    for (int i = 5; i < count; i++)
        pthread_join(threads[i], NULL);
    printf("%d logins, %.1f a second, %d refused, %d without a code, the slowest took %d ms; %d of the intruder and %d replays, "
           "%d let in; the machine stood still for %ld of %ld ms, and %d logins were refused meanwhile\n", logins,
           1000.0 * logins / by_the_clock(&began), refused, unasked, slowest, intrusions, replays, let_in,
           standing_still(&began), by_the_clock(&began), refused_while_still);
    return refused || refused_while_still * 20 > logins || unasked || let_in || slowest > BOUND || !intrusions || !replays;
}
