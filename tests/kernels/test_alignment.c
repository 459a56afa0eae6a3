/* The bits of every layer depend on values and shapes alone: the same inputs, each buffer moved by one float, give the same bits.
 */
#include "tests/kernels/check.h"

#include "kernels/layers.h"

enum { ROOM = 8192, B = 2, T = 17, C = 36, H = 2, ROWS = B * T, ARRAYS = 6, OUTPUTS = 3 };

static _Alignas(64) float buffers[ARRAYS + OUTPUTS][ROOM + 16];
static int32_t targets[ROWS];

static void run_linear(float *const in[], float *const out[])
{
    linear_forward(out[0], in[0], in[1], in[2], ROWS, C, C);
    linear_input_grad(out[1], in[3], in[1], ROWS, C, C);
    linear_weight_grad(out[2], out[2] + C * C, in[0], in[3], ROWS, C, C);
}

static void run_linear_transposed(float *const in[], float *const out[])
{
    linear_transposed_forward(out[0], in[0], in[1], ROWS, C, C);
    linear_transposed_input_grad(out[1], in[3], in[1], ROWS, C, C);
    linear_transposed_weight_grad(out[2], in[0], in[3], ROWS, C, C);
}

static void run_layernorm(float *const in[], float *const out[])
{
    float *mean = out[2] + 2 * C, *rstd = mean + ROWS;
    layernorm_forward(out[0], mean, rstd, in[0], in[1], in[2], ROWS, C);
    layernorm_input_grad(out[1], in[3], in[0], in[1], mean, rstd, ROWS, C);
    layernorm_weight_grad(out[2], out[2] + C, in[3], in[0], mean, rstd, ROWS, C);
}

static void run_attention(float *const in[], float *const out[])
{
    attention_forward(out[0], out[1], in[0], B, T, C, H);
    attention_input_grad(out[2], in[3], in[0], out[1], in[4], B, T, C, H);
}

static void run_pointwise(float *const in[], float *const out[])
{
    gelu_forward(out[0], in[0], ROWS * C);
    gelu_input_grad(out[1], in[1], in[0], ROWS * C);
    residual_forward(out[2], in[0], in[1], ROWS * C);
}

static void run_loss(float *const in[], float *const out[])
{
    memcpy(out[0], in[0], ROWS * C * sizeof *out[0]);
    out[2][0] = (float)cross_entropy_forward(out[0], targets, ROWS, C);
    cross_entropy_input_grad(out[1], out[0], targets, 0.5f, 0, ROWS, C);
}

static void (*const layers[])(float *const in[], float *const out[]) = { run_linear,    run_linear_transposed, run_layernorm,
                                                                         run_attention, run_pointwise,         run_loss };

/* Runs a layer with array a moved by `shift[a]` floats; the outputs are then in buffers at those places. */
static void run(size_t layer, const size_t shift[ARRAYS + OUTPUTS])
{
    float *arrays[ARRAYS + OUTPUTS];
    for (size_t a = 0; a < COUNT(arrays); a++) {
        arrays[a] = buffers[a] + shift[a];
        fill(arrays[a], ROOM, a < ARRAYS ? (uint32_t)a : 99);
    }
    layers[layer](arrays, arrays + ARRAYS);
}

static void bits_do_not_depend_on_alignment(void **state)
{
    (void)state;
    static float want[OUTPUTS][ROOM];
    for (size_t layer = 0; layer < COUNT(layers); layer++) {
        size_t shift[ARRAYS + OUTPUTS] = { 0 };
        run(layer, shift);
        for (size_t o = 0; o < OUTPUTS; o++)
            memcpy(want[o], buffers[ARRAYS + o], sizeof want[o]);
        for (size_t moved = 0; moved < COUNT(shift); moved++) {
            shift[moved] = 1 + moved; /* one more buffer each time, each by its own distance */
            run(layer, shift);
            for (size_t o = 0; o < OUTPUTS; o++)
                assert_memory_equal(buffers[ARRAYS + o] + shift[ARRAYS + o], want[o], sizeof want[o]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(bits_do_not_depend_on_alignment) };
    for (int i = 0; i < ROWS; i++)
        targets[i] = i % C;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
