/* What a missed meeting looks like: every rank but the last waits for the sum of all. Under mpirun that hangs; under smpirun it
 * must be reported at once, which is why every MPI test is also run there. tests/cli/test_sim.py looks at the report. */
#include "collectives/engine.h"
#include "collectives/job.h"

int main(int argc, char **argv)
{
    struct job job;
    struct fabric f;
    struct engine *e;
    struct operation *op;
    float x[4] = { 1, 2, 3, 4 };
    job_open(&job, &argc, &argv);
    if (fabric_open(&f, &fabric_mpi, NULL, job.world) != STATUS_OK || engine_open(&e, &f, PROGRESS_POLL, 1024) != STATUS_OK ||
        engine_plan_sum(e, &allreduce_ring, PURPOSE_GRADIENT, x, 4, &op) != STATUS_OK)
        return 2;
    if (job.rank < job.ranks - 1) {
        engine_start(e, op);
        engine_wait(e, op);
    }
    engine_close(e);
    fabric_close(&f);
    job_close(&job);
    return 0;
}
