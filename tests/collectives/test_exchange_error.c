/* ranks: 2 3 4 5 7 8 16, simulated: 64 */
/* What coding sums anew does to them: errors as derived, and no bias. Oracles: formulas, sums in double precision. */
#include "tests/collectives/mpi_test.h"

#include "tests/collectives/exchanges.h"

enum { N_MOST = 65536 };

static struct fabric fabric;
static struct engine *engine;
static float vector[N_MOST], sum[N_MOST];
static double true_sum[N_MOST];

static struct compressed *opened(const struct subject *s, size_t n)
{
    const struct exchange_terms t = terms_of(s, n, job.ranks, job.rank, false);
    struct compressed *x = NULL;
    assert_on_all_ranks(fabric_open(&fabric, &fabric_mpi, NULL, job.world) == STATUS_OK);
    assert_on_all_ranks(engine_open(&engine, &fabric, PROGRESS_POLL, SUBJECT_SEGMENT_B) == STATUS_OK);
    assert_on_all_ranks(compressed_open(&x, engine, exchange_find(s->how), &t) == STATUS_OK);
    return x;
}

static void closed(struct compressed *x)
{
    compressed_close(x);
    engine_close(engine);
    fabric_close(&fabric);
}

enum vectors { DIFFERENT, EQUAL };

/* A step with Gaussian vectors, on all ranks. */
static void play(struct compressed *x, size_t n, uint32_t step, enum vectors vectors)
{
    const struct random r = { .seed = 7, .worker = vectors == DIFFERENT ? (uint32_t)job.rank : 0, .step = step };
    random_normal(&r, 1, 0, vector, n);
    widen(true_sum, vector, n);
    MPI_Allreduce(MPI_IN_PLACE, true_sum, (int)n, MPI_DOUBLE, MPI_SUM, job.world);
    compressed_encode(x, step, vector);
    compressed_pack(x);
    compressed_start(x);
    compressed_wait(x);
    compressed_decode(x, sum);
}

/* ---- error --------------------------------------------------------------------------------------------------------------- */

/* |sum - true sum|^2 of a step. */
static double squared_error(const struct subject *s, enum vectors vectors)
{
    struct compressed *x = opened(s, N_MOST);
    double all = 0;
    play(x, N_MOST, 0, vectors);
    for (size_t k = 0; k < N_MOST; k++)
        all += pow((double)sum[k] - true_sum[k], 2);
    closed(x);
    return all;
}

static double error_of_qsgd(const char *how, const char *options)
{
    const struct subject s = { how, "", "qsgd", options };
    return squared_error(&s, DIFFERENT);
}

/* A partial sum of j vectors has j times the square of one: the ring codes sums of 1 .. p where allgather codes p of 1; two-shot
 * codes p of 1 and one of p. That holds while errors are small against the sums, so the 8 bits reach to the largest float only. */
static void requantised_sums_have_the_errors_derived(void **state)
{
    (void)state;
    const char *const options = "levels=127 bucket=512 norm=max";
    const double once = error_of_qsgd("allgather", options);
    const double ring = error_of_qsgd("ring-requantised", options) / once, two_shot = error_of_qsgd("two-shot", options) / once;
    if (job.rank == 0)
        print_message("# %d ranks: ring-requantised %.3f, two-shot %.3f times allgather's error\n", job.ranks, ring, two_shot);
    assert_on_all_ranks(fabs(ring / (0.5 * (job.ranks + 1)) - 1) < 0.1);
    assert_on_all_ranks(fabs(two_shot / 2 - 1) < 0.1);
}

/* There is one rounding a rank, as in an allgather; the largest norm of 64 buckets is 1.1 times the mean one. */
static void integers_are_added_without_further_error(void **state)
{
    (void)state;
    const char *const options = "levels=127 bucket=512";
    const double ratio = error_of_qsgd("ring-widened", options) / error_of_qsgd("allgather", options);
    assert_on_all_ranks(ratio > 0.9 && ratio < 1.25);
}

/* omega = n/k - 1 of one code; of equal vectors x the error of p codes is p omega |x|^2 if their masks are independent, and
 * p^2 omega |x|^2 if they are one. A code of a sum adds omega times its square. Derived. */
static void masks_are_independent_or_shared_as_asked_for(void **state)
{
    (void)state;
    const double p = job.ranks, omega = 3, independent = p * omega, shared = p * p * omega;
    double ring = 0;
    for (int hop = 1; hop <= job.ranks; hop++)
        ring += omega * (hop * hop + ring); /* every hop has a mask of its own, shared or not */
    const struct {
        struct subject subject;
        double want;
    } rows[] = {
        { { "allgather", "", "randk", "ratio=0.25" }, independent },
        { { "allgather", "", "randk", "ratio=0.25 shared=true" }, shared },
        { { "hierarchical", "node_ranks=1", "randk", "ratio=0.25" }, independent },
        { { "hierarchical", "node_ranks=1", "randk", "ratio=0.25 shared=true" }, shared },
        { { "server", "reply=sum", "randk", "ratio=0.25" }, independent },
        { { "server", "reply=code", "randk", "ratio=0.25 shared=true" }, shared + omega * (p * p + shared) },
        { { "two-shot", "", "randk", "ratio=0.25" }, independent + omega * (p * p + independent) },
        { { "two-shot", "", "randk", "ratio=0.25 shared=true" }, shared + omega * (p * p + shared) },
        { { "ring-requantised", "", "randk", "ratio=0.25" }, ring },
        { { "ring-requantised", "", "randk", "ratio=0.25 shared=true" }, ring },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const double got = squared_error(&rows[i].subject, EQUAL);
        double square = 0;
        for (size_t k = 0; k < N_MOST; k++)
            square += pow(true_sum[k] / p, 2);
        if (rows[i].want != ring || job.ranks < 5) /* a float that is drawn p times is 4^p times itself: too rare for a mean */
            assert_on_all_ranks(fabs(got / (square * rows[i].want) - 1) < 0.1);
    }
}

/* Both masks of a block, 1/4 each, leave 1/16; what two blocks have in common is 1/256 of a block, and 1/16 if they draw alike. */
static void blocks_of_a_vector_have_masks_of_their_own(void **state)
{
    (void)state;
    const struct subject s = { "two-shot", "", "randk", "ratio=0.25 shared=true" };
    struct compressed *x = opened(&s, N_MOST);
    play(x, N_MOST, 0, EQUAL);
    closed(x);
    const size_t m = (size_t)(N_MOST / job.ranks), second = block_start(N_MOST, job.ranks, 1);
    size_t common = 0;
    for (size_t i = 0; i < m; i++)
        common += sum[i] != 0 && sum[second + i] != 0;
    assert_on_all_ranks(common > 0 && common < m / 64);
}

/* ---- bias ---------------------------------------------------------------------------------------------------------------- */

/* The sum's share of the true sum, over steps: its mean is 1, but not if a code of codes is made with the same random numbers. */
static void assert_unbiased(const char *how, const char *how_options, const char *kind, const char *options)
{
    enum { STEPS = 150, N = 200 };
    const struct subject s = { how, how_options, kind, options };
    struct compressed *x = opened(&s, N);
    double mean = 0, square = 0;
    for (uint32_t step = 0; step < STEPS; step++) {
        double share = 0, whole = 0;
        play(x, N, step, DIFFERENT);
        for (size_t k = 0; k < N; k++) {
            share += (double)sum[k] * true_sum[k];
            whole += true_sum[k] * true_sum[k];
        }
        mean += share / whole / STEPS;
        square += pow(share / whole, 2) / STEPS;
    }
    closed(x);
    assert_on_all_ranks(fabs(mean - 1) < 5 * sqrt(fmax(0, square - mean * mean) / STEPS) + 1e-6);
}

static void sums_of_unbiased_codes_are_unbiased_however_often_they_are_coded(void **state)
{
    (void)state;
    static const char *const masks[] = { "ratio=0.25 shared=true", "ratio=0.25" };
    if (job.ranks > 8)
        skip_on_all_ranks("many steps");
    assert_unbiased("two-shot", "", "permk", "");
    assert_unbiased("server", "reply=code", "permk", "");
    for (int i = 0; i < 2; i++) {
        assert_unbiased("two-shot", "", "randk", masks[i]);
        assert_unbiased("server", "reply=code", "randk", masks[i]);
        assert_unbiased("hierarchical", "node_ranks=1", "randk", masks[i]);
        if (job.ranks < 5) /* as above */
            assert_unbiased("ring-requantised", "", "randk", masks[i]);
    }
    assert_unbiased("ring-requantised", "", "qsgd", "levels=8");
    assert_unbiased("ring-widened", "", "qsgd", "levels=1");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requantised_sums_have_the_errors_derived),
        cmocka_unit_test(integers_are_added_without_further_error),
        cmocka_unit_test(masks_are_independent_or_shared_as_asked_for),
        cmocka_unit_test(blocks_of_a_vector_have_masks_of_their_own),
        cmocka_unit_test(sums_of_unbiased_codes_are_unbiased_however_often_they_are_coded),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
