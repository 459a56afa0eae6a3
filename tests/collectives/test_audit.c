/* ranks: 1 2 7 */
/* Bytes measured by Open MPI's own monitoring component: an oracle for the ledger that knows nothing of this program. */
#include "mpi_test.h"

#include <math.h>
#include <string.h>

#include "collectives/audit.h"
#include "collectives/engine.h"

static uint64_t counted_B; /* rank 0: by all ranks' ledgers */

static void exchange_something(struct fabric *f)
{
    static float x[10007];
    static unsigned char codes[64 * 801];
    struct engine *e;
    struct operation *op[8];
    int n = 0;
    assert_on_all_ranks(engine_open(&e, f, PROGRESS_POLL, 5000) == STATUS_OK);
    for (size_t a = 0; allreduces[a]; a++)
        if (allreduces[a] != &allreduce_mpi && !allreduces[a]->share)
            assert_on_all_ranks(engine_plan_sum(e, allreduces[a], PURPOSE_GRADIENT, x, 10007, &op[n++]) == STATUS_OK);
    assert_on_all_ranks(engine_plan_gather(e, PURPOSE_LOSS, codes, 801, &op[n++]) == STATUS_OK);
    for (int i = 0; i < n; i++) {
        engine_start(e, op[i]);
        engine_wait(e, op[i]);
    }
    engine_close(e);
}

static void ranks_talk_while_they_are_watched(void **state)
{
    (void)state;
    struct fabric f;
    assert_on_all_ranks(fabric_open(&f, &fabric_mpi, NULL, job.world) == STATUS_OK);
    exchange_something(&f);
    uint64_t mine = f.ledger.rows[PURPOSE_GRADIENT].wire_B_counted + f.ledger.rows[PURPOSE_LOSS].wire_B_counted;
    MPI_Reduce(&mine, &counted_B, 1, MPI_UINT64_T, MPI_SUM, 0, job.world);
    assert_on_all_ranks(job.ranks == 1 || mine > 0);
    fabric_close(&f);
}

static void what_was_measured_is_what_was_counted(void **state)
{
    (void)state;
    const char *why = NULL;
    double measured_B = audit_collect(job.ranks, &why);
    if (job_is_simulated()) {
        assert_true(isnan(measured_B) && why);
        skip();
    }
    assert_null(why);
    assert_true(measured_B == (double)counted_B);
}

static void a_rank_without_a_record_gives_a_reason(void **state)
{
    (void)state;
    const char *why = NULL;
    if (job_is_simulated() || job.ranks > 1) /* it waits for seconds: once is enough */
        skip();
    assert_true(isnan(audit_collect(job.ranks + 1, &why))); /* the records are collected and removed: rank 0's is missing */
    assert_non_null(strstr(why, "rank 0 left no record"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest while_watched[] = { cmocka_unit_test(ranks_talk_while_they_are_watched) };
    const struct CMUnitTest afterwards[] = { cmocka_unit_test(what_was_measured_is_what_was_counted),
                                             cmocka_unit_test(a_rank_without_a_record_gives_a_reason) };
    audit_prepare();
    job_open(&job, &argc, &argv);
    int failed = 0;
    if (job.rank)
        run_silently(while_watched, 1);
    else
        failed = cmocka_run_group_tests(while_watched, NULL, NULL);
    job_close(&job);
    if (!job.rank)
        failed += cmocka_run_group_tests(afterwards, NULL, NULL);
    return failed != 0;
}
