/* Optimizers against PyTorch's formulas, written here in double precision, over five steps. */
#include "tests/kernels/check.h"

#include <stdlib.h>

#include "kernels/optimizer.h"

enum { N = 37, STEPS = 5, STATES = 2, OPTIONS_BYTES = 256 };

static float param[N], grad[N], state_[STATES * N];
static double w[N], m[N], v[N];

/* Options as the config makes them: the defaults of the member's rows, then the named ones. */
static const void *options(const struct optimizer *o, const char *const names[], const double values[])
{
    static _Alignas(16) unsigned char bytes[OPTIONS_BYTES];
    assert_true(o->member.options_bytes <= sizeof bytes);
    for (const struct key *key = o->member.keys; key->name; key++) {
        double value = strcmp(key->fallback, "false") == 0 ? 0 : strtod(key->fallback, NULL);
        for (int i = 0; names[i]; i++)
            if (strcmp(names[i], key->name) == 0)
                value = values[i];
        if (key->kind == KEY_BOOL)
            memcpy(bytes + key->offset, &(bool){ value != 0 }, sizeof(bool));
        else if (key->kind == KEY_INT)
            memcpy(bytes + key->offset, &(int64_t){ (int64_t)value }, sizeof(int64_t));
        else
            memcpy(bytes + key->offset, &value, sizeof value);
    }
    return bytes;
}

static void start(void)
{
    fill(param, N, 1);
    memset(state_, 0, sizeof state_);
    widen(w, param, N);
    memset(m, 0, sizeof m);
    memset(v, 0, sizeof v);
}

/* Five steps with changing gradients, each followed by the reference's; 1e-6: about ten roundings of 6e-8. */
static void compare(const struct optimizer *o, const void *opts, bool decays, void (*reference)(int step, bool decays))
{
    start();
    for (int step = 1; step <= STEPS; step++) {
        fill(grad, N, (uint32_t)step);
        o->step(opts, step, param, grad, state_, N, decays, N);
        reference(step, decays);
        assert_close(param, w, N, 1e-6);
    }
}

static void sgd_reference(int step, bool decays)
{
    (void)step;
    for (int i = 0; i < N; i++)
        w[i] -= 0.05 * (grad[i] + (decays ? 0.3 : 0) * w[i]);
}

static void sgd_follows_the_gradient_and_its_penalty(void **state)
{
    (void)state;
    const char *const names[] = { "learning_rate", "weight_decay", NULL };
    const void *opts = options(&optimizer_sgd, names, (double[]){ 0.05, 0.3 });
    compare(&optimizer_sgd, opts, true, sgd_reference);
    compare(&optimizer_sgd, opts, false, sgd_reference);
}

static bool nesterov;

static void momentum_reference(int step, bool decays)
{
    for (int i = 0; i < N; i++) {
        const double d = grad[i] + (decays ? 0.3 : 0) * w[i];
        m[i] = step == 1 ? d : 0.8 * m[i] + d;
        w[i] -= 0.05 * (nesterov ? d + 0.8 * m[i] : m[i]);
    }
}

static void momentum_keeps_a_velocity_with_and_without_nesterov(void **state)
{
    (void)state;
    const char *const names[] = { "learning_rate", "weight_decay", "momentum", "nesterov", NULL };
    for (int i = 0; i < 4; i++) {
        nesterov = i & 1;
        const void *opts = options(&optimizer_momentum, names, (double[]){ 0.05, 0.3, 0.8, nesterov });
        compare(&optimizer_momentum, opts, i & 2, momentum_reference);
    }
}

static void adamw_reference(int step, bool decays)
{
    for (int i = 0; i < N; i++) {
        w[i] -= decays ? 0.01 * 0.3 * w[i] : 0;
        m[i] = 0.8 * m[i] + 0.2 * grad[i];
        v[i] = 0.95 * v[i] + 0.05 * grad[i] * grad[i];
        const double m_hat = m[i] / (1 - pow(0.8, step)), v_hat = v[i] / (1 - pow(0.95, step));
        w[i] -= 0.01 * m_hat / (sqrt(v_hat) + 1e-3);
    }
}

static void adamw_corrects_its_moments_and_decays_apart_from_them(void **state)
{
    (void)state;
    const char *const names[] = { "learning_rate", "weight_decay", "beta1", "beta2", "epsilon", NULL };
    const void *opts = options(&optimizer_adamw, names, (double[]){ 0.01, 0.3, 0.8, 0.95, 1e-3 });
    compare(&optimizer_adamw, opts, true, adamw_reference);
    compare(&optimizer_adamw, opts, false, adamw_reference);
}

static void five_steps_on_slices_give_the_bits_of_five_steps_on_the_whole(void **state)
{
    (void)state;
    for (int o = 0; optimizers[o]; o++) {
        const void *opts = options(optimizers[o], (const char *const[]){ NULL }, NULL);
        static float whole[N];
        for (size_t cut = 0; cut <= N; cut++) {
            start();
            for (int step = 1; step <= STEPS; step++) {
                fill(grad, N, (uint32_t)step);
                optimizers[o]->step(opts, step, param, grad, state_, N, true, cut);
                optimizers[o]->step(opts, step, param + cut, grad + cut, state_ + cut, N, true, N - cut);
            }
            if (cut == 0)
                memcpy(whole, param, sizeof whole);
            assert_memory_equal(param, whole, sizeof whole);
        }
    }
}

/* Of one gradient, so that steps differ in the learning rate alone; decay scales with it, too. By hand: 1/4, 2/4, 3/4, 1, 1. */
static void the_learning_rate_rises_linearly_to_its_full_value(void **state)
{
    (void)state;
    static const double frac[] = { 0.25, 0.5, 0.75, 1, 1 };
    static const char *const names[] = { "learning_rate", "warmup_steps", "weight_decay", NULL };
    for (int o = 0; optimizers[o]; o++)
        for (int step = 0; step < STEPS; step++) {
            float moved[2];
            for (int warm = 0; warm < 2; warm++) {
                const double rate = warm ? 0.5 : 0.5 * frac[step];
                start();
                fill(grad, N, 1);
                optimizers[o]->step(options(optimizers[o], names, (double[]){ rate, warm ? 4 : 0, 0.25 }), step + 1, param, grad,
                                    state_, N, true, N);
                moved[warm] = param[7];
            }
            assert_true(moved[0] == moved[1] && moved[0] != (float)w[7]);
        }
}

static void members_are_found_by_name(void **state)
{
    (void)state;
    for (int o = 0; optimizers[o]; o++)
        assert_ptr_equal(optimizer_find(optimizers[o]->member.name), optimizers[o]);
    assert_null(optimizer_find("adam"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_follows_the_gradient_and_its_penalty),
        cmocka_unit_test(momentum_keeps_a_velocity_with_and_without_nesterov),
        cmocka_unit_test(adamw_corrects_its_moments_and_decays_apart_from_them),
        cmocka_unit_test(five_steps_on_slices_give_the_bits_of_five_steps_on_the_whole),
        cmocka_unit_test(the_learning_rate_rises_linearly_to_its_full_value),
        cmocka_unit_test(members_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
