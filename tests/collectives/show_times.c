/* What messages and ring allreduces take on simulated hosts, in virtual time; tests/cli/test_launch.py compares with formulas.
 * Prints "message FROM TO BYTES SECONDS" for rank 0 and each other, both ways, and "ring BYTES SECONDS". */
#include <stdio.h>

#include "collectives/engine.h"
#include "collectives/job.h"

enum { FLOATS = 1 << 18, BUFFER_B = FLOATS * sizeof(float) };

static float x[FLOATS];

/* The receiver waits long before the message is sent. */
static void show_message(struct fabric *f, int from, int to, size_t bytes)
{
    fabric_request r = { .mpi = MPI_REQUEST_NULL };
    const size_t payload_B = bytes - FABRIC_STAMP_B;
    if (f->rank == from) {
        fabric_sleep(f, 1);
        fabric_send_stamped(f, PURPOSE_GRADIENT, x, payload_B, to, 1, &r);
        fabric_wait(f, &r);
    } else if (f->rank == to) {
        fabric_recv(f, x, bytes, from, 1, &r);
        fabric_wait(f, &r);
        printf("message %d %d %zu %.15g\n", from, to, bytes, fabric_now_s(f) - fabric_stamp_s(f, x, payload_B, from, 1));
    }
}

static void show_ring(struct fabric *f, const struct job *job, size_t bytes)
{
    struct engine *e;
    struct operation *op;
    if (engine_open(&e, f, PROGRESS_NONE, BUFFER_B) != STATUS_OK ||
        engine_plan_sum(e, &allreduce_ring, PURPOSE_GRADIENT, x, bytes / sizeof(float), &op) != STATUS_OK)
        MPI_Abort(job->world, 1);
    engine_start(e, op); /* whenever they began, all ranks end it at the same time */
    engine_wait(e, op);
    const double start_s = fabric_now_s(f);
    engine_start(e, op);
    engine_wait(e, op);
    const double took_s = job_max(job, fabric_now_s(f) - start_s);
    if (f->rank == 0)
        printf("ring %zu %.15g\n", bytes, took_s);
    engine_close(e);
}

int main(int argc, char **argv)
{
    static const size_t sizes_B[] = { 64, 1 << 10, 1 << 16, BUFFER_B };
    struct job job;
    struct fabric f;
    job_open(&job, &argc, &argv);
    if (fabric_open(&f, &fabric_mpi, NULL, job.world) != STATUS_OK)
        return 2;
    for (size_t i = 0; i < sizeof sizes_B / sizeof *sizes_B; i++) {
        for (int other = 1; other < job.ranks; other++) {
            show_message(&f, 0, other, sizes_B[i]);
            show_message(&f, other, 0, sizes_B[i]);
        }
        show_ring(&f, &job, sizes_B[i]);
    }
    fabric_close(&f);
    job_close(&job);
    return 0;
}
