/* ranks: 1 3 */
/* Error feedback, on the small functions by which the literature showed that compression fails without it. Oracles: the closed
 * forms of these examples, and the numbers that they gave in double precision.
 *
 * Sources: Beznosikov, Horvath, Richtarik, Safaryan, "On biased compression for distributed learning" (example with three workers);
 * Karimireddy, Rebjock, Stich, Jaggi, "Error feedback fixes SignSGD and other gradient compression schemes", ICML 2019
 * (counterexamples 1 and 2).
 */
#include <math.h>
#include <string.h>

#include "kernels/random.h"
#include "tests/bench/gradients.h"

enum { MOST = 64 };

static const struct gradient_shape *shape_of(size_t n)
{
    static struct gradient_shape shape;
    shape = (struct gradient_shape){ .n = n, .leaves = job.ranks };
    return &shape;
}

#define WORKERS "batch.micro=1"

static void open_workers(struct bench *b, size_t n, const char *compressor, const char *feedback, const char *more)
{
    char global[32];
    snprintf(global, sizeof global, "batch.global=%d", job.ranks);
    open_bench(b, shape_of(n), (const char *const[]){ WORKERS, global, compressor, feedback, more, NULL });
}

/* One exchange: this rank's gradient in, the sum of all out. */
static void exchange(struct bench *b, int64_t step, const float *gradient, size_t n, float *sum)
{
    gradient_begin(b->gradient, step);
    float *x = gradient_leaf(b->gradient, job.rank, &b->watch);
    memcpy(x, gradient, n * sizeof *x);
    gradient_ready(b->gradient, 0, &b->watch);
    for (int i = 0; i < gradient_buckets(b->gradient); i++)
        gradient_wait(b->gradient, i, &b->watch);
    memcpy(sum, gradient_piece(b->gradient, 0, 0).sum, n * sizeof *sum);
}

/* ---- three workers, top-1 ---------------------------------------------------------------------------------------------------- */

#define TOP_1       "exchange.compressor={\"name\":\"topk\",\"k\":1}"
#define FEEDBACK    "exchange.error_feedback=true"
#define NO_FEEDBACK "exchange.error_feedback=false"
static const double rate = 0.02;

/* f_i(x) = <a_i, x>^2 + |x|^2 / 4, f their mean; a_i has a -3 in place i and 2 elsewhere. */
static double three_workers(const double x[3], float gradient[3])
{
    double f = 0;
    for (int i = 0; i < 3; i++) {
        double product = 0, square = 0;
        for (int k = 0; k < 3; k++) {
            product += (k == i ? -3 : 2) * x[k];
            square += x[k] * x[k];
        }
        f += (product * product + square / 4) / 3;
        for (int k = 0; i == job.rank && k < 3; k++)
            gradient[k] = (float)((2 * product * (k == i ? -3 : 2) + x[k] / 2) / 3);
    }
    return f;
}

/* f after so many steps from (1, 1, 1). */
static double descend(struct bench *b, int steps)
{
    double x[3] = { 1, 1, 1 };
    float gradient[3], sum[3];
    for (int step = 0; step < steps; step++) {
        three_workers(x, gradient);
        exchange(b, step, gradient, 3, sum);
        for (int k = 0; k < 3; k++)
            x[k] -= rate * (double)sum[k];
    }
    return three_workers(x, gradient);
}

static void top_1_without_feedback_grows_by_a_known_factor(void **state)
{
    (void)state;
    if (job.ranks != 3)
        skip_on_all_ranks("the example has three workers");
    struct bench b;
    open_workers(&b, 3, TOP_1, NO_FEEDBACK, "seed=1");
    const struct {
        int steps;
        double f;
    } rows[] = { { 0, 1.75 }, { 1, 1.881 }, { 10, 3.596 }, { 100, 2349 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_on_all_ranks(fabs(descend(&b, rows[i].steps) / rows[i].f - 1) < 3e-4);
    /* In one step from where the gradient is exact in floats, the factor is, too. */
    const double x[3] = { 6, 6, 6 };
    float gradient[3], sum[3];
    three_workers(x, gradient);
    exchange(&b, 0, gradient, 3, sum);
    for (int k = 0; k < 3; k++)
        assert_on_all_ranks(fabs((x[k] - rate * (double)sum[k]) / (x[k] * (1 + 11 * rate / 6)) - 1) < 1e-12);
    close_bench(&b, 3);
}

static void top_1_with_feedback_goes_to_the_minimum(void **state)
{
    (void)state;
    if (job.ranks != 3)
        skip_on_all_ranks("the example has three workers");
    struct bench b;
    open_workers(&b, 3, TOP_1, FEEDBACK, "seed=1");
    assert_on_all_ranks(fabs(descend(&b, 100) / 1.69e-2 - 1) < 0.01);
    close_bench(&b, 3);
    open_workers(&b, 3, TOP_1, FEEDBACK, "seed=1");
    assert_on_all_ranks(descend(&b, 1000) < 1e-15);
    close_bench(&b, 3);
}

/* ---- signs ------------------------------------------------------------------------------------------------------------------- */

#define SIGN    "exchange.compressor={\"name\":\"sign\"}"
#define EF_SIGN "exchange.compressor={\"name\":\"ef-sign\"}"

/* On [-1, 1], f = x / 4; a gradient of 4 with probability 1/4, else -1. Returns the mean of x at the end of some runs. */
static double rare_large_gradients(struct bench *b)
{
    enum { LENGTH = 4000 };
    static float uniform[LENGTH];
    const uint32_t runs = job_is_simulated() ? 5 : 200; /* a simulated message costs more */
    double mean = 0;
    for (uint32_t run = 0; run < runs; run++) {
        double x = 0;
        random_uniform(&(struct random){ .seed = 5, .step = run }, uniform, LENGTH);
        for (int step = 0; step < LENGTH; step++) {
            const float gradient = uniform[step] < 0.25F ? 4 : -1;
            float sum;
            exchange(b, step, &gradient, 1, &sum);
            x = fmax(-1, fmin(1, x - 0.01 * (double)sum));
        }
        mean += x / runs;
    }
    return mean;
}

static void the_sign_of_rare_large_gradients_leads_up(void **state)
{
    (void)state;
    if (job.ranks != 1)
        skip_on_all_ranks("the example has one worker");
    struct bench b;
    open_workers(&b, 1, SIGN, NO_FEEDBACK, "seed=1");
    assert_on_all_ranks(rare_large_gradients(&b) > 0.9);
    close_bench(&b, 1);
    open_workers(&b, 1, EF_SIGN, FEEDBACK, "seed=1");
    assert_on_all_ranks(rare_large_gradients(&b) < -0.8);
    close_bench(&b, 1);
}

static double sign_of(double x)
{
    return (x > 0) - (x < 0);
}

/* f = |x + y| / 2 + |x - y|, not smooth; after 2000 steps. */
static double along_the_line(struct bench *b)
{
    double x[2] = { 1, 1 + 1e-7 };
    for (int step = 0; step < 2000; step++) {
        const double plus = sign_of(x[0] + x[1]) / 2, minus = sign_of(x[0] - x[1]);
        const float gradient[2] = { (float)(plus + minus), (float)(plus - minus) };
        float sum[2];
        exchange(b, step, gradient, 2, sum);
        for (int k = 0; k < 2; k++)
            x[k] -= 0.01 * (double)sum[k];
    }
    return fabs(x[0] + x[1]) / 2 + fabs(x[0] - x[1]);
}

static void signs_cannot_leave_a_line_on_which_they_cancel(void **state)
{
    (void)state;
    if (job.ranks != 1)
        skip_on_all_ranks("the example has one worker");
    struct bench b;
    open_workers(&b, 2, SIGN, NO_FEEDBACK, "seed=1");
    assert_on_all_ranks(along_the_line(&b) >= 0.99);
    close_bench(&b, 2);
    open_workers(&b, 2, EF_SIGN, FEEDBACK, "seed=1");
    assert_on_all_ranks(along_the_line(&b) <= 0.1);
    close_bench(&b, 2);
}

/* ---- what is kept --------------------------------------------------------------------------------------------------------------
 */

static void make_gradient(int64_t step, float *x)
{
    random_normal(&(struct random){ .seed = 3, .worker = (uint32_t)job.rank, .step = (uint32_t)step }, 1, 0, x, MOST);
}

/* What was not sent is sent later: the sums of all steps and what is left make what went in, each times its step's weight, which
 * rises for `rising` steps. */
static void assert_nothing_is_lost(struct bench *b, int rising)
{
    enum { STEPS_OF_ALL = 20 };
    float x[MOST], sum[MOST], given[MOST] = { 0 }, got[MOST] = { 0 }, all[MOST], left[MOST], weight = 1;
    for (int step = 0; step < STEPS_OF_ALL; step++) {
        weight = step + 1 < rising ? (float)(step + 1) / (float)rising : 1;
        make_gradient(step, x);
        exchange(b, step, x, MOST, sum);
        for (int k = 0; k < MOST; k++)
            given[k] += weight * x[k], got[k] += weight * sum[k];
    }
    assert_on_all_ranks(gradient_state_B(b->gradient) == sizeof left);
    gradient_save(b->gradient, left);
    for (int k = 0; k < MOST; k++)
        given[k] -= weight * left[k];
    MPI_Allreduce(given, all, MOST, MPI_FLOAT, MPI_SUM, job.world);
    for (int k = 0; k < MOST; k++)
        assert_on_all_ranks(fabsf(all[k] - got[k]) < 1e-4F);
}

static void nothing_is_lost(void **state)
{
    (void)state;
    struct bench b;
    open_workers(&b, MOST, "exchange.compressor={\"name\":\"topk\",\"k\":3}", FEEDBACK, "seed=1");
    assert_nothing_is_lost(&b, 0);
    close_bench(&b, MOST);
}

/* Of what the parameters move by: the gradient times the learning rate of its step. */
static void nothing_is_lost_of_updates_while_the_learning_rate_rises(void **state)
{
    (void)state;
    struct bench b;
    char global[32];
    snprintf(global, sizeof global, "batch.global=%d", job.ranks);
    OPEN(&b, shape_of(MOST), WORKERS, global, "exchange.compressor={\"name\":\"topk\",\"k\":3}", FEEDBACK,
         "exchange.error_units=update", "optimizer={\"name\":\"sgd\",\"warmup_steps\":30}");
    assert_nothing_is_lost(&b, 30);
    close_bench(&b, MOST);
}

static void errors_that_decay_are_forgotten(void **state)
{
    (void)state;
    struct bench b;
    float x[MOST], sum[MOST];
    const float zeros[MOST] = { 0 };
    open_workers(&b, MOST, "exchange.compressor={\"name\":\"topk\",\"k\":1}", FEEDBACK, "exchange.error_decay=0.5");
    make_gradient(0, x);
    exchange(&b, 0, x, MOST, sum);
    exchange(&b, 1, zeros, MOST, sum);
    if (job.ranks == 1) { /* half of the second largest */
        float first = 0, second = 0;
        for (int k = 0; k < MOST; k++) {
            const float m = fabsf(x[k]);
            second = m > first ? first : m > second ? m : second;
            first = m > first ? m : first;
        }
        float sent = 0;
        for (int k = 0; k < MOST; k++)
            sent += fabsf(sum[k]);
        assert_on_all_ranks(sent == second / 2);
    }
    close_bench(&b, MOST);
}

static void with_its_state_restored_a_run_goes_on_bit_for_bit(void **state)
{
    (void)state;
    static const char *const kinds[] = { TOP_1, "exchange.compressor={\"name\":\"topk\",\"ratio\":0.1}" };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct bench b;
        float x[MOST], sum[MOST], first[MOST];
        open_workers(&b, MOST, kinds[i], FEEDBACK, "seed=1");
        const size_t bytes = gradient_state_B(b.gradient);
        unsigned char *kept = malloc(bytes);
        for (int step = 0; step < 5; step++) {
            make_gradient(step, x);
            exchange(&b, step, x, MOST, sum);
        }
        gradient_save(b.gradient, kept);
        make_gradient(5, x);
        exchange(&b, 5, x, MOST, first);
        exchange(&b, 5, x, MOST, sum);
        assert_on_all_ranks(memcmp(first, sum, sizeof sum) != 0);
        assert_on_all_ranks(gradient_restore(b.gradient, kept, bytes) == STATUS_OK);
        exchange(&b, 5, x, MOST, sum);
        assert_on_all_ranks(memcmp(first, sum, sizeof sum) == 0);
        assert_on_all_ranks(gradient_restore(b.gradient, kept, bytes - 1) == STATUS_USAGE &&
                            strstr(status_message(), "keeps") != NULL);
        free(kept);
        close_bench(&b, MOST);
    }
}

static void a_gradient_that_is_not_finite_is_found(void **state)
{
    (void)state;
    static const float bad[] = { NAN, INFINITY, -INFINITY };
    struct bench b;
    float x[MOST], sum[MOST];
    open_workers(&b, MOST, "exchange.compressor={\"name\":\"topk\",\"ratio\":0.1}", FEEDBACK, "seed=1");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        make_gradient(0, x);
        exchange(&b, 0, x, MOST, sum);
        assert_on_all_ranks(gradient_fault(b.gradient) == MOST);
        const int at = 17 + (int)i;
        if (job.rank == job.ranks - 1)
            x[at] = bad[i];
        exchange(&b, 1, x, MOST, sum);
        assert_on_all_ranks(gradient_fault(b.gradient) == (size_t)(job.rank == job.ranks - 1 ? at : MOST));
        for (int k = 0; k < MOST; k++)
            assert_on_all_ranks(isfinite(sum[k]));
    }
    close_bench(&b, MOST);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(top_1_without_feedback_grows_by_a_known_factor),
        cmocka_unit_test(top_1_with_feedback_goes_to_the_minimum),
        cmocka_unit_test(the_sign_of_rare_large_gradients_leads_up),
        cmocka_unit_test(signs_cannot_leave_a_line_on_which_they_cancel),
        cmocka_unit_test(nothing_is_lost),
        cmocka_unit_test(nothing_is_lost_of_updates_while_the_learning_rate_rises),
        cmocka_unit_test(errors_that_decay_are_forgotten),
        cmocka_unit_test(with_its_state_restored_a_run_goes_on_bit_for_bit),
        cmocka_unit_test(a_gradient_that_is_not_finite_is_found),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
