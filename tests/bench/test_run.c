/* ranks: 1 3 */
/* A run that finds something wrong with itself says so: the linker puts stand-ins around two checks (-Wl,--wrap=...), which lie
 * when told to. */
#include "tests/bench/training.h"

#include "bench/run.h"

static double false_error; /* of the gradients; 0: the true one */
static bool false_replica; /* the last rank's parameters are not the others' */
static bool false_infinity;

status __real_verify_gradients(struct trainer *t, double *worst);
status __real_verify_parameters(struct trainer *t, uint64_t *hash, bool *identical);
bool __real_verify_finite(const struct trainer *t);
status __wrap_verify_gradients(struct trainer *t, double *worst);
status __wrap_verify_parameters(struct trainer *t, uint64_t *hash, bool *identical);
bool __wrap_verify_finite(const struct trainer *t);

status __wrap_verify_gradients(struct trainer *t, double *worst)
{
    const status s = __real_verify_gradients(t, worst);
    if (false_error > 0 && job.rank == job.ranks - 1)
        *worst = false_error;
    return s;
}

status __wrap_verify_parameters(struct trainer *t, uint64_t *hash, bool *identical)
{
    if (false_replica && job.rank == job.ranks - 1)
        t->parts[0].params[7] += 1;
    return __real_verify_parameters(t, hash, identical);
}

bool __wrap_verify_finite(const struct trainer *t)
{
    return __real_verify_finite(t) && !(false_infinity && job.rank == job.ranks - 1);
}

static struct run run_it(struct config *c)
{
    const char *const sets[] = { "batch.global=12", "batch.micro=2", "measure.steps=3", "measure.warmup_steps=1", NULL };
    *c = config_for(MLP REST "}", job.ranks, sets);
    return (struct run){ .config = c, .job = &job, .quiet = true };
}

static void assert_outcome(status expected, const char *part)
{
    struct config c;
    struct run r = run_it(&c);
    const status outcome = run_experiment(&r);
    assert_on_all_ranks(outcome == expected);
    assert_on_all_ranks(!part || strstr(status_message(), part));
    if (expected == STATUS_OK) {
        assert_on_all_ranks(r.samples.steps == 4 && r.compared && r.replicas_identical && r.gradient_error < GRADIENT_TOLERANCE);
        for (int i = 0; i < 4; i++)
            assert_on_all_ranks(r.samples.step_s[i] > 0 && isfinite(r.samples.loss[i]));
    }
    run_finish(&r);
    run_free(&r);
    config_free(&c);
}

static void a_sound_run_is_ok(void **state)
{
    (void)state;
    assert_outcome(STATUS_OK, NULL);
}

static void a_wrong_gradient_on_one_rank_is_a_failed_check_of_all(void **state)
{
    (void)state;
    false_error = 0.25;
    assert_outcome(STATUS_CHECK, "differs from the difference quotient by 0.25");
    false_error = 0;
}

static void replicas_that_differ_are_a_failed_check(void **state)
{
    (void)state;
    false_replica = true;
    assert_outcome(job.ranks > 1 ? STATUS_CHECK : STATUS_OK, job.ranks > 1 ? "replicas' parameters differ" : NULL);
    false_replica = false;
}

static void parameters_that_are_not_finite_are_a_failure(void **state)
{
    (void)state;
    false_infinity = true;
    assert_outcome(STATUS_FAILED, "not finite after 4 steps");
    false_infinity = false;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_run_is_ok),
        cmocka_unit_test(a_wrong_gradient_on_one_rank_is_a_failed_check_of_all),
        cmocka_unit_test(replicas_that_differ_are_a_failed_check),
        cmocka_unit_test(parameters_that_are_not_finite_are_a_failure),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
