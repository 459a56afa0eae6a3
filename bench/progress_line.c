/* Rewrites one line of a terminal: carriage return, text, erase to the end of the line (ECMA-48 EL).
 *
 * mpirun gives a rank a pipe for its standard error and copies it to its own, so the rank asks what its parent's is: then a live
 * line works under mpirun too, and never gets into a file. It is no log: what matters goes into the result.
 */
#include "bench/progress_line.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const double INTERVAL_S = 0.1;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool stderr_ends_at_a_terminal(void)
{
    if (isatty(STDERR_FILENO))
        return true;
    char path[64], target[64] = "", own[64] = "";
    snprintf(path, sizeof path, "/proc/%ld/fd/2", (long)getppid());
    if (readlink(path, target, sizeof target - 1) < 0 || readlink("/proc/self/fd/2", own, sizeof own - 1) < 0)
        return false;
    return strncmp(own, "pipe:", 5) == 0 && (strncmp(target, "/dev/pts/", 9) == 0 || strncmp(target, "/dev/tty", 8) == 0);
}

void progress_line_start(struct progress_line *p, int64_t steps, bool wanted)
{
    *p = (struct progress_line){ .live = wanted && stderr_ends_at_a_terminal(), .steps = steps, .start_s = now_s() };
}

void progress_line_update(struct progress_line *p, int64_t done, double loss, double samples_per_s)
{
    if (!p->live)
        return;
    const double now = now_s();
    if (now - p->shown_s < INTERVAL_S && done < p->steps)
        return;
    p->shown_s = now;
    const double left_s = (now - p->start_s) / (double)done * (double)(p->steps - done);
    fprintf(stderr, "\rstep %lld/%lld  loss %.4f  %.4g samples/s  %.0f s to go\033[K", (long long)done, (long long)p->steps, loss,
            samples_per_s, left_s);
    fflush(stderr);
}

void progress_line_end(struct progress_line *p)
{
    if (!p->live)
        return;
    p->live = false;
    fputs("\r\033[K", stderr);
    fflush(stderr);
}
