/* Each rank's MPI_Finalize writes <folder>/sent.<rank>.prof, of which these lines matter:
 *
 *   E <rank> <peer> <bytes> bytes <count> msgs sent ...      user messages ("I ...": internal ones, of collectives)
 *   # OSC                                                    the next section: all E lines are above
 *
 * The folder is private, and named after the job, so that all ranks know it before they can talk to each other.
 * Source: Bosilca, Foyer, Jeannot, Mercier, Papaure 2018, "Online dynamic monitoring of MPI communications"; Open MPI's
 * test/monitoring.
 */
#include "collectives/audit.h"

#include <errno.h>
#include <math.h>
#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef OPEN_MPI

enum { PATH_BYTES = 512, PATIENCE_S = 5, LOOK_NS = 10000000 };

static char folder[PATH_BYTES]; /* "": none could be made */
static char reason[2 * PATH_BYTES];

static void record_path(char *path, const char *rank)
{
    snprintf(path, PATH_BYTES + 64, "%s/sent.%s.prof", folder, rank);
}

static bool is_own_folder(const char *path)
{
    struct stat s;
    return !lstat(path, &s) && S_ISDIR(s.st_mode) && s.st_uid == getuid();
}

void audit_prepare(void)
{
    const char *place = getenv("TMPDIR"), *job = getenv("PMIX_NAMESPACE"), *rank = getenv("PMIX_RANK");
    char own[32], path[PATH_BYTES + 64];
    snprintf(own, sizeof own, "alone-%ld", (long)getpid());
    int length = snprintf(folder, sizeof folder, "%s/dmlbench-audit-%s", place ? place : "/tmp", job ? job : own);
    bool made = length < PATH_BYTES && (!mkdir(folder, 0700) || errno == EEXIST) && is_own_folder(folder);
    if (!made) {
        snprintf(reason, sizeof reason, "cannot make the private folder %s for the records of sent bytes", folder);
        folder[0] = '\0';
        return;
    }
    record_path(path, rank ? rank : "0");
    unlink(path); /* of a job of the same name that died */
    snprintf(path, sizeof path, "%s/sent", folder);
    setenv("OMPI_MCA_pml_monitoring_enable", "2", 1);        /* user and internal messages apart */
    setenv("OMPI_MCA_pml_monitoring_enable_output", "3", 1); /* one file per rank */
    setenv("OMPI_MCA_pml_monitoring_filename", path, 1);
    setenv("OMPI_MCA_osc", "^monitoring", 1); /* windows are not counted, and with it shared ones cannot be asked for their place */
}

/* Adds the user bytes in a rank's record; false: not there, or not yet whole. */
static bool add_record(const char *path, uint64_t *bytes)
{
    char *line = NULL;
    size_t room = 0;
    bool whole = false;
    uint64_t sent, sum = 0;
    FILE *in = fopen(path, "r");
    while (in && !whole && getline(&line, &room, in) > 0) {
        whole = !strncmp(line, "# OSC", 5);
        if (sscanf(line, "E %*d %*d %lu bytes", &sent) == 1)
            sum += sent;
    }
    free(line);
    if (in)
        fclose(in);
    *bytes += whole ? sum : 0;
    return whole;
}

void audit_discard(int ranks)
{
    char path[PATH_BYTES + 64], number[16];
    for (int r = 0; r < ranks; r++) {
        snprintf(number, sizeof number, "%d", r);
        record_path(path, number);
        unlink(path);
    }
    rmdir(folder);
}

double audit_collect(int ranks, const char **why)
{
    char path[PATH_BYTES + 64], number[16];
    const struct timespec pause = { .tv_nsec = LOOK_NS };
    long looks_left = PATIENCE_S * (1000000000L / LOOK_NS);
    uint64_t sum = 0;
    *why = reason[0] ? reason : "the monitoring of Open MPI was not switched on";
    if (!folder[0])
        return NAN;
    for (int r = 0; r < ranks; r++) {
        snprintf(number, sizeof number, "%d", r);
        record_path(path, number);
        while (!add_record(path, &sum)) {
            if (looks_left-- == 0) {
                snprintf(reason, sizeof reason, "rank %d left no record of sent bytes in %s (is it on another host?)", r, folder);
                *why = reason;
                audit_discard(ranks);
                return NAN;
            }
            nanosleep(&pause, NULL);
        }
    }
    audit_discard(ranks);
    *why = NULL;
    return (double)sum;
}

#else

void audit_prepare(void) {}

void audit_discard(int ranks)
{
    (void)ranks;
}

double audit_collect(int ranks, const char **why)
{
    (void)ranks;
    *why = "only Open MPI has a component that measures sent bytes from outside";
    return NAN;
}

#endif
