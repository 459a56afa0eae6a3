/* One thread in sigwait; a mutex for the right to speak. */
#include "bench/interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { NOTICE_S = 5 }; /* a SIGTERM later than this after SIGCONT is not about the same thing */

static struct last_words words;
static pthread_mutex_t speaking = PTHREAD_MUTEX_INITIALIZER;

static sigset_t signals(void)
{
    const int some[] = { SIGINT, SIGTERM, SIGCONT };
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        sigaddset(&set, some[i]);
    return set;
}

void interrupt_block(void)
{
    const sigset_t set = signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void interrupt_unblock(void)
{
    const sigset_t set = signals();
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void *wait_for_signal(void *unused)
{
    const sigset_t set = signals();
    const struct timespec notice = { .tv_sec = NOTICE_S };
    for (;;) {
        int signal = 0;
        sigwait(&set, &signal);
        pthread_mutex_lock(&speaking);
        words.speak(words.context);
        if (signal == SIGCONT)
            signal = sigtimedwait(&set, NULL, &notice);
        if (signal == SIGINT || signal == SIGTERM)
            _exit(STATUS_FAILED);
        words.take_back(words.context);
        pthread_mutex_unlock(&speaking);
    }
    return unused;
}

status interrupt_watch(struct last_words given)
{
    pthread_t thread;
    words = given;
    const int error = pthread_create(&thread, NULL, wait_for_signal, NULL);
    if (error)
        return status_fail(STATUS_FAILED, "cannot start the thread that waits for signals (%s)", strerror(error));
    pthread_detach(thread);
    return STATUS_OK;
}

void interrupt_end(void)
{
    pthread_mutex_lock(&speaking);
}
