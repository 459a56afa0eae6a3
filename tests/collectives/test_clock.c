/* ranks: 1 2 3 8 */
/* One clock over hosts. Oracle: clocks that are wrong on purpose, over a real clock that all ranks share. */
#include "mpi_test.h"

#include <math.h>

#include "collectives/fabric.h"

/* Rank r is a host of its own, r seconds ahead and r thousandths faster. */
#define PER_RANK_S     1.0
#define PER_RANK_DRIFT 1e-3

static double wrong_s(struct fabric *f)
{
    return fabric_mpi.now_s(f) * (1 + PER_RANK_DRIFT * f->rank) + PER_RANK_S * f->rank;
}

static struct fabric open_wrong(struct fabric_ops *ops, const struct fabric_setup *setup)
{
    struct fabric f;
    *ops = fabric_mpi;
    ops->now_s = wrong_s;
    assert_on_all_ranks(fabric_open(&f, ops, setup, job.world) == STATUS_OK);
    return f;
}

/* By which a reading differs from the truth; the uncertainty promises a bound. */
static double error_s(const struct fabric *f, const struct clock_reading *r)
{
    const double real_s = (r->at_s - PER_RANK_S * f->rank) / (1 + PER_RANK_DRIFT * f->rank);
    return fabs(r->ahead_s - (r->at_s - real_s));
}

static void a_reading_is_as_right_as_it_says(void **state)
{
    (void)state;
    struct fabric_ops ops;
    struct fabric f = open_wrong(&ops, NULL);
    struct clock_reading r;
    clock_read(&r, &f, MPI_COMM_SELF);
    assert_on_all_ranks(error_s(&f, &r) <= r.uncertainty_s + 1e-9);
    assert_on_all_ranks(r.uncertainty_s < 0.1 && (r.uncertainty_s > 0) == (f.rank > 0));
    fabric_close(&f);
}

static void ranks_of_one_host_have_one_reading_and_rank_0_s_need_none(void **state)
{
    (void)state;
    struct fabric_ops ops;
    struct fabric f = open_wrong(&ops, NULL);
    struct clock_reading r;
    MPI_Comm host;
    MPI_Comm_split(job.world, job.rank / 2, job.rank, &host);
    clock_read(&r, &f, host);
    const double of_first_s = PER_RANK_S * (job.rank / 2 * 2); /* the first rank of the host speaks for both */
    assert_on_all_ranks(job.rank < 2 ? r.ahead_s == 0 && r.uncertainty_s == 0 : fabs(r.ahead_s - of_first_s) > 0);
    double same[2] = { r.ahead_s, r.at_s }, firsts[2] = { r.ahead_s, r.at_s };
    MPI_Bcast(firsts, 2, MPI_DOUBLE, 0, host);
    assert_on_all_ranks(same[0] == firsts[0] && same[1] == firsts[1]);
    MPI_Comm_free(&host);
    fabric_close(&f);
}

static void ranks_that_share_memory_are_one_host(void **state)
{
    (void)state;
    struct fabric_ops ops;
    struct fabric f = open_wrong(&ops, NULL);
    struct clock_reading r;
    if (job_is_simulated())
        skip_on_all_ranks("simulated ranks have hosts of their own");
    clock_read(&r, &f, MPI_COMM_NULL);
    assert_on_all_ranks(r.ahead_s == 0 && r.uncertainty_s == 0);
    fabric_close(&f);
}

/* Rank 0's clock is right. What two readings leave open grows with the time since, and that is the bound. */
static void the_fabric_s_clock_is_rank_0_s(void **state)
{
    (void)state;
    struct fabric_ops ops;
    struct clock_fit fit = { 0 };
    struct fabric f = open_wrong(&ops, &(struct fabric_setup){ .clock = &fit });
    struct clock_reading first, second, last;
    clock_read(&first, &f, MPI_COMM_SELF);
    fabric_sleep(&f, 0.3);
    clock_read(&second, &f, MPI_COMM_SELF);
    fit = clock_fit(&first, &second);
    fabric_sleep(&f, 0.3);
    clock_read(&last, &f, MPI_COMM_SELF);
    const double since = f.rank ? (last.at_s - second.at_s) / (second.at_s - first.at_s) : 0;
    const double bound_s = second.uncertainty_s + 2 * (first.uncertainty_s + second.uncertainty_s) * (since + 0.1) + 1e-6;
    const double before_s = fabric_mpi.now_s(&f), common_s = fabric_now_s(&f), after_s = fabric_mpi.now_s(&f);
    assert_on_all_ranks(before_s - bound_s <= common_s && common_s <= after_s + bound_s);
    assert_on_all_ranks(clock_error_s(&fit, &last) <= bound_s + 2 * last.uncertainty_s);
    fabric_close(&f);
}

static void a_drift_that_could_be_chance_is_none(void **state)
{
    (void)state;
    const struct clock_reading first = { 10, 5, 1e-3 }, near = { 20, 5.0019, 1e-3 }, far = { 20, 5.01, 1e-3 };
    struct clock_fit fit = clock_fit(&first, &near);
    assert_on_all_ranks(fit.drift == 0 && fit.ahead_s == 5.0019);
    fit = clock_fit(&first, &far);
    assert_on_all_ranks(fabs(fit.drift - 1e-3) < 1e-12);
    assert_on_all_ranks(fabs(clock_common_s(&fit, 30) - (30 - 5.02)) < 1e-9); /* on the line through both */
    const struct clock_reading later = { 30, 5.025, 2e-3 };
    assert_on_all_ranks(fabs(clock_error_s(&fit, &later) - (5e-3 + 2e-3)) < 1e-9);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reading_is_as_right_as_it_says),
        cmocka_unit_test(ranks_of_one_host_have_one_reading_and_rank_0_s_need_none),
        cmocka_unit_test(ranks_that_share_memory_are_one_host),
        cmocka_unit_test(the_fabric_s_clock_is_rank_0_s),
        cmocka_unit_test(a_drift_that_could_be_chance_is_none),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
