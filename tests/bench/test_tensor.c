/* ranks: 1 2 4 8 */
/* Split layers against the whole network: initial values, activations, losses and gradients. */
#include "tests/bench/shards.h"

/* Of the largest element of the same slice or activation: sums of some hundred floats in another order. */
static const double tolerance = 2e-5;
#define QUOTIENT_ERROR 5e-3

/* ---- comparing --------------------------------------------------------------------------------------------------------------- */

/* Where element k of slice i here is in an array of the whole network's layout. */
static size_t place(int i, size_t k)
{
    const struct slice *s = &part.net.params.slices[i];
    const size_t columns = (size_t)s->columns, run = columns / (size_t)s->groups, row = k / columns, column = k % columns;
    return whole.net.params.slices[i].at + slice_place(s, (int)row, (int)(column / run)) + column % run;
}

/* Of a slice: what stands behind it is there for its layout to be every rank's. */
static size_t real_floats(const struct slice *s)
{
    return (size_t)s->rows * (size_t)s->columns;
}

static void share_params(void)
{
    for (int i = 0; i < part.net.params.count; i++) {
        const struct slice *s = &part.net.params.slices[i];
        for (size_t k = 0; k < real_floats(s); k++)
            part.params[s->at + k] = whole.params[place(i, k)];
    }
}

/* The largest difference of an element of a slice here from the same in the whole slice. */
static double slice_difference(const float *x, const float *all, int i)
{
    const struct slice *s = &part.net.params.slices[i];
    double difference = 0;
    for (size_t k = 0; k < real_floats(s); k++)
        difference = fmax(difference, fabs((double)x[s->at + k] - (double)all[place(i, k)]));
    return difference;
}

static double largest(const float *x, size_t n)
{
    double most = 0;
    for (size_t k = 0; k < n; k++)
        most = fmax(most, fabs((double)x[k]));
    return most;
}

/* Of every slice, relative to its largest element. */
static bool slices_agree(const float *x, const float *all, double within)
{
    bool agree = part.net.params.count == whole.net.params.count;
    for (int i = 0; agree && i < part.net.params.count; i++) {
        const struct slice *s = &whole.net.params.slices[i];
        const double difference = slice_difference(x, all, i), most = largest(all + s->at, s->n);
        if (!(difference <= within * most)) {
            fprintf(stderr, "%s: %g, largest %g\n", s->name, difference, most);
            agree = false;
        }
    }
    return agree;
}

/* Where element k of layer i's output here is in the whole output: the same place, or in a block of the rows of all samples, or of
 * each sample's columns. */
static size_t output_place(int i, size_t k)
{
    const size_t by_rows = tensor.shard.sequence ? SAMPLES : 1;
    const size_t here = part.net.layers[i].out_floats * by_rows, wide = whole.net.layers[i].out_floats * by_rows;
    return k / here * wide + (here == wide ? 0 : (size_t)job.rank * here) + k % here;
}

static bool activations_agree(const float *x, const float *all, int i, double within)
{
    const double most = largest(all, SAMPLES * whole.net.layers[i].out_floats);
    bool agree = true;
    for (size_t k = 0; k < SAMPLES * part.net.layers[i].out_floats; k++)
        agree = agree && fabs((double)x[k] - (double)all[output_place(i, k)]) <= within * most;
    return agree;
}

static bool outputs_and_their_gradients_agree(int layers, double within)
{
    bool agree = true;
    for (int i = 0; i < layers; i++)
        agree = agree && activations_agree(part.out[i], whole.out[i], i, within) &&
                activations_agree(part.dout[i + 1], whole.dout[i + 1], i, within);
    return agree;
}

static bool same_bits_everywhere(const float *x, size_t n)
{
    float *first = floats(n);
    memcpy(first, x, n * sizeof *x);
    MPI_Bcast(first, (int)n, MPI_FLOAT, 0, job.world);
    const bool same = !memcmp(first, x, n * sizeof *x);
    free(first);
    return same;
}

/* ---- tests ------------------------------------------------------------------------------------------------------------------- */

static void shards_have_the_bits_of_the_whole_and_cover_it_once(void **state)
{
    (void)state;
    for (int e = 0; e < EXAMPLES; e++) {
        set_up(&examples[e]);
        assert_on_all_ranks(slices_agree(part.params, whole.params, 0));
        float *covered = floats(whole.net.params.n);
        for (int i = 0; i < part.net.params.count; i++) {
            const struct slice *s = &part.net.params.slices[i];
            assert_on_all_ranks(s->index == i && s->decays == whole.net.params.slices[i].decays);
            for (size_t k = 0; k < real_floats(s) && !(slice_is_whole(s) && job.rank); k++)
                covered[place(i, k)]++;
            assert_on_all_ranks(job_same(&job, s->n) && job_same(&job, s->at)); /* one layout on all */
            assert_on_all_ranks(largest(part.params + s->at + real_floats(s), s->n - real_floats(s)) == 0);
        }
        MPI_Allreduce(MPI_IN_PLACE, covered, (int)whole.net.params.n, MPI_FLOAT, MPI_SUM, job.world);
        bool once = true;
        for (size_t k = 0; k < whole.net.params.n; k++)
            once = once && covered[k] == 1;
        free(covered);
        assert_on_all_ranks(once);
        tear_down();
    }
}

static void losses_activations_and_gradients_are_those_of_the_whole(void **state)
{
    (void)state;
    for (int e = 0; e < EXAMPLES; e++) {
        set_up(&examples[e]);
        const int layers = whole.net.count;
        random_normal(&(struct random){ .seed = ANY_SEED }, 0.2F, 0, whole.params, whole.net.params.n); /* biases and gains too */
        share_params();
        forward(&whole, layers), backward(&whole, layers);
        forward(&part, layers), backward(&part, layers);
        assert_on_all_ranks(fabs(part.loss - whole.loss) <= tolerance * whole.loss);
        assert_on_all_ranks(outputs_and_their_gradients_agree(layers, tolerance));
        assert_on_all_ranks(slices_agree(part.grads, whole.grads, tolerance));
        tear_down();
    }
}

static void what_all_ranks_hold_gets_the_same_bits_on_all(void **state)
{
    (void)state;
    for (int e = 0; e < EXAMPLES; e++) {
        set_up(&examples[e]);
        forward(&part, part.net.count), backward(&part, part.net.count);
        const float halves[2] = { (float)part.loss, (float)(part.loss - (double)(float)part.loss) };
        assert_on_all_ranks(same_bits_everywhere(halves, 2));
        for (int i = 0; i < part.net.params.count; i++) {
            const struct slice *s = &part.net.params.slices[i];
            assert_on_all_ranks(!s->partial || slice_is_whole(s));
            if (slice_is_whole(s))
                assert_on_all_ranks(same_bits_everywhere(part.grads + s->at, s->n));
        }
        tear_down();
    }
}

static void make_small_integers(float *x, size_t n, size_t seed)
{
    for (size_t k = 0; k < n; k++)
        x[k] = (float)((k + seed) * 7919 % 5) - 2;
}

/* The gradient of layer i's output, in whole and in part. */
static void make_output_gradient(int i)
{
    make_small_integers(whole.dout[i + 1], SAMPLES * whole.net.layers[i].out_floats, 2);
    for (size_t k = 0; k < SAMPLES * part.net.layers[i].out_floats; k++)
        part.dout[i + 1][k] = whole.dout[i + 1][output_place(i, k)];
}

static bool exact(int layers)
{
    forward(&whole, layers), backward(&whole, layers);
    forward(&part, layers), backward(&part, layers);
    return outputs_and_their_gradients_agree(layers, 0) && slices_agree(part.grads, whole.grads, 0) &&
           largest(whole.grads, whole.net.params.n) >= 2;
}

/* Whole numbers below 2^24 have no rounding: hidden layers (linear and relu), both ways, to the last bit. */
static void hidden_layers_are_exact_on_integers(void **state)
{
    (void)state;
    for (int e = 0; e < EXAMPLES; e++) {
        if (!strstr(examples[e].text, "mlp") || strstr(examples[e].text, "\"layers\":0"))
            continue;
        set_up(&examples[e]);
        const int layers = whole.net.count - 1;
        make_small_integers(features, SAMPLES * 20, 3);
        make_small_integers(whole.params, whole.net.params.n, 1);
        share_params();
        make_output_gradient(layers - 1);
        assert_on_all_ranks(exact(layers));
        tear_down();
    }
}

/* One rank has a symbol's row and the others 0, and whole gradients have no rounding. */
static void the_embedding_is_exact(void **state)
{
    (void)state;
    for (int e = 0; e < 2; e++) {
        set_up(&examples[e]);
        make_output_gradient(0);
        assert_on_all_ranks(exact(1));
        tear_down();
    }
}

/* Mean loss with slice i moved by h along the direction d, which has the layout of the shards. */
static double loss_at(const float *d, int i, double h)
{
    const struct slice *s = &part.net.params.slices[i];
    float *x = part.params + s->at;
    float *before = floats(s->n);
    memcpy(before, x, s->n * sizeof *x);
    for (size_t k = 0; k < s->n; k++)
        x[k] = (float)((double)x[k] + h * (double)d[k]);
    forward(&part, part.net.count);
    memcpy(x, before, s->n * sizeof *x);
    free(before);
    return part.loss / (SAMPLES * part.net.rows_per_sample);
}

/* The derivative along the gradient of slice i, of which each rank moves its share, is the gradient's length. A kink of relu spoils
 * long steps, rounding short ones. */
static double quotient_error(int i)
{
    const struct slice *s = &part.net.params.slices[i];
    const float *g = part.grads + s->at;
    float *d = floats(s->n);
    double squares = 0, least = INFINITY;
    for (size_t k = 0; k < s->n; k++)
        squares += (double)g[k] * (double)g[k];
    const double norm = sqrt(slice_is_whole(s) ? squares : job_sum(&job, squares));
    for (size_t k = 0; k < s->n; k++)
        d[k] = (float)((double)g[k] / norm);
    for (double h = fmin(1e-2, 3e-3 / norm); h > 5e-5 && least > QUOTIENT_ERROR; h /= 4)
        least = fmin(least, fabs((loss_at(d, i, h) - loss_at(d, i, -h)) / (2 * h) - norm) / norm);
    free(d);
    return least;
}

static void gradients_are_difference_quotients_of_the_split_forward_pass(void **state)
{
    (void)state;
    for (int e = 0; e < EXAMPLES; e++) {
        set_up(&examples[e]);
        forward(&part, part.net.count), backward(&part, part.net.count);
        for (int i = 0; i < part.net.params.count; i++)
            assert_on_all_ranks(quotient_error(i) < QUOTIENT_ERROR);
        tear_down();
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_have_the_bits_of_the_whole_and_cover_it_once),
        cmocka_unit_test(losses_activations_and_gradients_are_those_of_the_whole),
        cmocka_unit_test(what_all_ranks_hold_gets_the_same_bits_on_all),
        cmocka_unit_test(hidden_layers_are_exact_on_integers),
        cmocka_unit_test(the_embedding_is_exact),
        cmocka_unit_test(gradients_are_difference_quotients_of_the_split_forward_pass),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
