/* ranks: 1 */
/* The gradients of both models against central differences of their forward pass, and what the models refuse. */
#include "tests/bench/training.h"

#include "kernels/layers.h"

static void open_trainer(struct trainer *t, struct config *c)
{
    const status s = trainer_open(t, c, job.world);
    if (s != STATUS_OK)
        fprintf(stderr, "%s\n", status_message());
    assert_on_all_ranks(s == STATUS_OK);
}

static double error_of(const char *text, const char *const *sets)
{
    struct config c = config_for(text, 1, sets);
    struct trainer t;
    open_trainer(&t, &c);
    double error = NAN;
    assert_on_all_ranks(verify_gradients(&t, &error) == STATUS_OK);
    trainer_close(&t);
    config_free(&c);
    return error;
}

#define ERROR_OF(text, ...) error_of(text, (const char *const[]){ __VA_ARGS__, NULL })
#define SMALL               "batch.global=3", "batch.micro=3"

static void gradients_of_gpt_are_difference_quotients(void **state)
{
    (void)state;
    const char *const shapes[][4] = {
        { "model.tied=true", "model.layers=2", "model.heads=3", "model.sequence=10" },
        { "model.tied=false", "model.layers=1", "model.heads=1", "model.sequence=1" },
        { "model.tied=true", "model.layers=3", "model.heads=8", "model.sequence=7" },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const double error = ERROR_OF(GPT REST "}", SMALL, shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3]);
        assert_true(error > 0 && error < GRADIENT_TOLERANCE);
    }
}

static void gradients_of_mlp_are_difference_quotients(void **state)
{
    (void)state;
    const char *const layers[] = { "model.layers=0", "model.layers=1", "model.layers=4" };
    for (int i = 0; i < 3 * 20; i++) { /* relu's kinks fall differently for each seed */
        char seed[32];
        snprintf(seed, sizeof seed, "seed=%d", i / 3);
        const double error = ERROR_OF(MLP REST "}", SMALL, layers[i % 3], seed);
        assert_true(error > 0 && error < GRADIENT_TOLERANCE);
    }
}

static const struct layer_kind *sound;

static void weight_grad_5_percent_too_large(const struct layer *l, struct pass *p)
{
    sound->weight_grad(l, p);
    scale(p->grads + l->at[2], 1.05F, (size_t)3 * 24 * 24);
}

static void weight_grad_without_the_norm(const struct layer *l, struct pass *p)
{
    sound->weight_grad(l, p);
    memset(p->grads + l->at[0], 0, 24 * sizeof(float));
}

static void weight_grad_without_half_of_the_values_bias(const struct layer *l, struct pass *p)
{
    sound->weight_grad(l, p);
    memset(p->grads + l->at[3] + 60, 0, 12 * sizeof(float));
}

static void input_grad_without_a_term(const struct layer *l, struct pass *p)
{
    sound->input_grad(l, p);
    for (size_t i = 0; i < (size_t)p->samples * l->in_floats; i++)
        p->din[i] -= p->dout[i]; /* the residual path */
}

static void the_check_finds_wrong_and_missing_gradients(void **state)
{
    (void)state;
    const char *const sets[] = { SMALL, NULL };
    struct config c = config_for(GPT REST "}", 1, sets);
    sound = NULL;
    for (int i = 0; i < 5; i++) {
        struct trainer t;
        open_trainer(&t, &c);
        sound = t.plan.parts[0].net.layers[1].kind;
        const struct layer_kind kinds[] = {
            *sound,
            { sound->forward, sound->input_grad, weight_grad_5_percent_too_large },
            { sound->forward, sound->input_grad, weight_grad_without_the_norm },
            { sound->forward, sound->input_grad, weight_grad_without_half_of_the_values_bias },
            { sound->forward, input_grad_without_a_term, sound->weight_grad },
        };
        double error = NAN;
        t.plan.parts[0].net.layers[1].kind = &kinds[i];
        assert_int_equal(verify_gradients(&t, &error), STATUS_OK);
        print_message("%d: %g\n", i, error);
        assert_true(i == 0 ? error < GRADIENT_TOLERANCE : error > GRADIENT_TOLERANCE * 3);
        trainer_close(&t);
    }
    config_free(&c);
}

/* The same counts by hand: GPT-2 small has 124 439 808 parameters with 50257 symbols and 1024 positions. */
static void parameters_are_as_many_as_published(void **state)
{
    (void)state;
    const char *const sets[] = { "model.layers=12",        "model.hidden=768", "model.heads=12", "model.sequence=1024",
                                 "model.vocabulary=50257", "batch.global=1",   "batch.micro=1",  NULL };
    struct config c = config_for(GPT REST "}", 1, sets);
    struct network net;
    assert_int_equal(network_open(&net, model_find("gpt"), c.model.options, &shard_whole), STATUS_OK);
    assert_int_equal(net.params.n, 124439808);
    network_close(&net);
    config_free(&c);
}

static void initial_values_have_the_stated_deviation_and_do_not_depend_on_other_slices(void **state)
{
    (void)state;
    struct params two, one;
    assert_int_equal(params_reserve(&two, 2), STATUS_OK);
    assert_int_equal(params_reserve(&one, 1), STATUS_OK);
    const struct slice_form weight = { "weight", 100, 100, 0, 0.5F, CUT_NONE }, bias = { "bias", 1, 7, 3, 0, CUT_NONE };
    params_add(&one, "layer", &weight, &shard_whole);
    params_add(&two, "layer", &weight, &shard_whole);
    params_add(&two, "layer", &bias, &shard_whole);
    float *x = malloc(two.n * sizeof *x), *y = malloc(one.n * sizeof *y);
    params_initialise(&two, 3, x);
    params_initialise(&one, 3, y);
    assert_memory_equal(x, y, one.n * sizeof *y);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < one.n; i++) {
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
    }
    assert_true(fabs(sum / 1e4) < 4 * 0.5 / 100);                /* 4 standard errors */
    assert_true(fabs(squares / 1e4 - 0.25) < 4 * 0.25 * 0.0142); /* variance of a variance: 2/n */
    for (size_t i = one.n; i < two.n; i++)
        assert_true(x[i] == 3.0F);
    params_free(&one);
    params_free(&two);
    free(x);
    free(y);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_gpt_are_difference_quotients),
        cmocka_unit_test(gradients_of_mlp_are_difference_quotients),
        cmocka_unit_test(the_check_finds_wrong_and_missing_gradients),
        cmocka_unit_test(parameters_are_as_many_as_published),
        cmocka_unit_test(initial_values_have_the_stated_deviation_and_do_not_depend_on_other_slices),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
