/* Rank 0 asks the first rank of one host after the other. A question is a broadcast between the two, and so is the answer: of two
 * ranks that is one message, and MPI's monitoring does not take it for one of the program's. */
#include "collectives/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/fabric.h"
#include "collectives/job.h"

enum { QUESTIONS = 100 };

static double raw_s(struct fabric *f)
{
    return f->ops->now_s(f);
}

/* Between rank 0 of pair, which asks, and rank 1. The same result on both. */
static struct clock_reading ask(struct fabric *f, MPI_Comm pair)
{
    double told[3] = { 0, 0, INFINITY };
    for (int i = 0; i < QUESTIONS; i++) {
        double asked_s = raw_s(f), there_s;
        MPI_Bcast(&asked_s, 1, MPI_DOUBLE, 0, pair);
        there_s = raw_s(f);
        MPI_Bcast(&there_s, 1, MPI_DOUBLE, 1, pair);
        const double half_s = (raw_s(f) - asked_s) / 2;
        if (half_s < told[2])
            memcpy(told, (const double[]){ there_s, there_s - (asked_s + half_s), half_s }, sizeof told);
    }
    MPI_Bcast(told, 3, MPI_DOUBLE, 0, pair);
    return (struct clock_reading){ told[0], told[1], told[2] };
}

/* Rank 0 and `other` alone. */
static MPI_Comm pair_with(struct fabric *f, int other)
{
    MPI_Group all, two;
    MPI_Comm pair;
    MPI_Comm_group(f->comm, &all);
    MPI_Group_incl(all, 2, (const int[]){ 0, other }, &two);
    MPI_Comm_create_group(f->comm, two, other, &pair);
    MPI_Group_free(&all);
    MPI_Group_free(&two);
    return pair;
}

static struct clock_reading ask_pair(struct fabric *f, int other)
{
    MPI_Comm pair = pair_with(f, other);
    const struct clock_reading r = ask(f, pair);
    MPI_Comm_free(&pair);
    return r;
}

/* Where every host but rank 0's has a first rank. */
static void read_hosts(struct clock_reading *r, struct fabric *f, int *first_of_host, int first)
{
    MPI_Allgather(&first, 1, MPI_INT, first_of_host, 1, MPI_INT, f->comm);
    for (int other = 1; other < f->ranks; other++)
        if (first_of_host[other] && f->rank == 0)
            ask_pair(f, other);
        else if (first_of_host[other] && f->rank == other)
            *r = ask_pair(f, other);
}

void clock_read(struct clock_reading *r, struct fabric *f, MPI_Comm host)
{
    const struct job job = job_of(f->comm);
    MPI_Comm mine = host;
    int *first_of_host = job_allocate(&job, (size_t)f->ranks * sizeof *first_of_host), among;
    if (host == MPI_COMM_NULL)
        MPI_Comm_split_type(f->comm, MPI_COMM_TYPE_SHARED, f->rank, MPI_INFO_NULL, &mine);
    MPI_Comm_rank(mine, &among);
    *r = (struct clock_reading){ 0 };
    read_hosts(r, f, first_of_host, among == 0);
    MPI_Bcast(r, sizeof *r, MPI_BYTE, 0, mine);
    if (host == MPI_COMM_NULL)
        MPI_Comm_free(&mine);
    free(first_of_host);
}

struct clock_fit clock_fit(const struct clock_reading *first, const struct clock_reading *second)
{
    const double apart_s = second->ahead_s - first->ahead_s, unknown_s = first->uncertainty_s + second->uncertainty_s;
    return (struct clock_fit){
        .at_s = second->at_s,
        .ahead_s = second->ahead_s,
        .drift = fabs(apart_s) > unknown_s ? apart_s / (second->at_s - first->at_s) : 0,
    };
}

double clock_common_s(const struct clock_fit *fit, double now_s)
{
    return now_s - fit->ahead_s - fit->drift * (now_s - fit->at_s);
}

double clock_error_s(const struct clock_fit *fit, const struct clock_reading *later)
{
    const double expected_s = fit->ahead_s + fit->drift * (later->at_s - fit->at_s);
    return fabs(later->ahead_s - expected_s) + later->uncertainty_s;
}
