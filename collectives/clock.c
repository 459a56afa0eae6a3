/* Rank 0 asks the first rank of one host after the other. A question is a broadcast between the two, and so is the answer: of two
 * ranks that is one message, and MPI's monitoring does not take it for one of the program's. */
#include "collectives/clock.h"

#include <math.h>
#include <string.h>

#include "collectives/fabric.h"

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

/* first: the first ranks of all hosts. Splitting sends nothing that monitoring takes for the program's; making a group would. */
static void read_hosts(struct clock_reading *r, struct fabric *f, MPI_Comm first)
{
    int me, hosts;
    MPI_Comm pair;
    MPI_Comm_rank(first, &me);
    MPI_Comm_size(first, &hosts);
    for (int other = 1; other < hosts; other++) {
        MPI_Comm_split(first, me == 0 || me == other ? 0 : MPI_UNDEFINED, me, &pair);
        if (pair == MPI_COMM_NULL)
            continue;
        const struct clock_reading answer = ask(f, pair);
        if (me == other)
            *r = answer;
        MPI_Comm_free(&pair);
    }
}

void clock_read(struct clock_reading *r, struct fabric *f, MPI_Comm host)
{
    MPI_Comm mine = host, first;
    int among;
    if (host == MPI_COMM_NULL)
        MPI_Comm_split_type(f->comm, MPI_COMM_TYPE_SHARED, f->rank, MPI_INFO_NULL, &mine);
    MPI_Comm_rank(mine, &among);
    MPI_Comm_split(f->comm, among == 0 ? 0 : MPI_UNDEFINED, f->rank, &first);
    *r = (struct clock_reading){ 0 };
    if (first != MPI_COMM_NULL) {
        read_hosts(r, f, first);
        MPI_Comm_free(&first);
    }
    MPI_Bcast(r, sizeof *r, MPI_BYTE, 0, mine);
    if (host == MPI_COMM_NULL)
        MPI_Comm_free(&mine);
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
