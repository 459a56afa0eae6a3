/* ranks: 1 3 */
/* A run that finds something wrong with itself says so: the linker puts stand-ins around two checks (-Wl,--wrap=...), which lie
 * when told to. */
#include "tests/bench/training.h"

#include "bench/run.h"

static double false_error; /* of the gradients; 0: the true one */
static bool false_replica; /* the last rank's parameters are not the others' */
static bool false_infinity;
static bool spoiled_error; /* one float of what the last rank's compressor lost */
static const char *exchange = "exchange.compressor.name=none";

status __real_verify_gradients(struct trainer *t, double *worst);
status __real_verify_parameters(struct trainer *t, uint64_t *hash, bool *identical);
bool __real_verify_finite(const struct trainer *t);
status __wrap_verify_gradients(struct trainer *t, double *worst);
status __wrap_verify_parameters(struct trainer *t, uint64_t *hash, bool *identical);
bool __wrap_verify_finite(const struct trainer *t);

static void spoil_error(struct trainer *t, size_t at)
{
    struct gradient *g = t->parts[0].gradient;
    const size_t bytes = gradient_state_B(g);
    float *state = malloc(bytes);
    gradient_save(g, state);
    state[at] = NAN;
    gradient_restore(g, state, bytes);
    free(state);
}

status __wrap_verify_gradients(struct trainer *t, double *worst)
{
    const status s = __real_verify_gradients(t, worst);
    if (false_error > 0 && job.rank == job.ranks - 1)
        *worst = false_error;
    if (spoiled_error && job.rank == job.ranks - 1)
        spoil_error(t, t->parts[0].plan->net.params.n - 1);
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
    const char *const sets[] = { "batch.global=12", "batch.micro=2", "measure.steps=3", "measure.warmup_steps=1", exchange, NULL };
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

static void a_gradient_that_cannot_be_compressed_on_one_rank_stops_all(void **state)
{
    (void)state;
    char part[64];
    snprintf(part, sizeof part, "\"last.bias\" is not finite at step 0 on rank %d", job.ranks - 1);
    exchange = "exchange={\"compressor\":{\"name\":\"topk\"},\"error_feedback\":true}";
    assert_outcome(STATUS_OK, NULL);
    spoiled_error = true;
    assert_outcome(STATUS_FAILED, part);
    spoiled_error = false;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_run_is_ok),
        cmocka_unit_test(a_wrong_gradient_on_one_rank_is_a_failed_check_of_all),
        cmocka_unit_test(replicas_that_differ_are_a_failed_check),
        cmocka_unit_test(parameters_that_are_not_finite_are_a_failure),
        cmocka_unit_test(a_gradient_that_cannot_be_compressed_on_one_rank_stops_all),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
