/* ranks: 1 2 4 8 */
/* Split layers against the whole network, which every rank has too: values, losses, gradients, and bytes against the formulas. */
#include <math.h>
#include <string.h>

#include "bench/config.h"
#include "bench/tensor.h"
#include "kernels/random.h"
#include "tests/collectives/mpi_test.h"

enum { SAMPLES = 3, LAYERS_MOST = 8, SEGMENT_B = 2048, ANY_SEED = 5 };
/* Of the largest element of the same slice or activation: sums of some hundred floats in another order. */
static const double tolerance = 2e-5;

#define GPT   "{\"model\":{\"name\":\"gpt\",\"layers\":2,\"hidden\":32,\"heads\":8,\"sequence\":8,\"vocabulary\":19,\"tied\":"
#define MLP   "{\"model\":{\"name\":\"mlp\",\"inputs\":20,\"hidden\":32,\"classes\":9,\"layers\":"
#define CLOSE "}}"

static const struct example {
    const char *text;
    bool sequence;
} examples[] = {
    { GPT "true" CLOSE, false }, { GPT "true" CLOSE, true }, { GPT "false" CLOSE, false }, { GPT "false" CLOSE, true },
    { MLP "0" CLOSE, false },    { MLP "1" CLOSE, false },   { MLP "2" CLOSE, false },     { MLP "3" CLOSE, false },
};
enum { EXAMPLES = sizeof examples / sizeof *examples };

/* A network with all that a forward and a backward pass need. */
struct rig {
    struct network net;
    struct tensor *tensor;
    float *params, *grads, *scratch, *out[LAYERS_MOST], *saved[LAYERS_MOST], *kept[LAYERS_MOST], *dout[LAYERS_MOST + 1];
    double loss;
};

static struct config config;
static struct fabric fabric;
static struct engine *engine;
static struct tensor tensor;
static struct rig whole, part;
static int32_t symbols[SAMPLES * 8], targets[SAMPLES * 8];
static float features[SAMPLES * 20];

static float *floats(size_t n)
{
    float *x = calloc(n + 1, sizeof *x);
    assert_on_all_ranks(x != NULL);
    return x;
}

static void rig_open(struct rig *r, const struct shard *shard, struct tensor *t)
{
    *r = (struct rig){ .tensor = t };
    const status s = network_open(&r->net, model_find(config.model.name), config.model.options, shard);
    assert_on_all_ranks(s == STATUS_OK && r->net.count <= LAYERS_MOST);
    r->params = floats(r->net.params.n);
    r->grads = floats(r->net.params.n);
    r->scratch = floats(SAMPLES * r->net.scratch_floats);
    for (int i = 0; i < r->net.count; i++) {
        const struct layer *l = &r->net.layers[i];
        r->out[i] = floats(SAMPLES * l->out_floats);
        r->saved[i] = floats(SAMPLES * l->saved_floats);
        r->kept[i] = floats(SAMPLES * l->kept_floats);
        r->dout[i + 1] = floats(SAMPLES * l->out_floats);
    }
    params_initialise(&r->net.params, ANY_SEED, r->params);
}

static void rig_close(struct rig *r)
{
    for (int i = 0; i < r->net.count; i++)
        free(r->out[i]), free(r->saved[i]), free(r->kept[i]), free(r->dout[i + 1]);
    free(r->params), free(r->grads), free(r->scratch);
    network_close(&r->net);
}

static struct pass pass_of(struct rig *r, int i)
{
    return (struct pass){
        .samples = SAMPLES,
        .symbols = symbols,
        .features = features,
        .targets = targets,
        .params = r->params,
        .grads = r->grads,
        .in = i ? r->out[i - 1] : features,
        .out = r->out[i],
        .saved = r->saved[i],
        .kept = r->kept[i],
        .dout = r->dout[i + 1],
        .din = i ? r->dout[i] : NULL,
        .scratch = r->scratch,
        .tensor = r->tensor,
        .weight = 1.0F / (float)(SAMPLES * r->net.rows_per_sample),
    };
}

static void forward(struct rig *r, int layers)
{
    for (int i = 0; i < layers; i++) {
        struct pass p = pass_of(r, i);
        r->net.layers[i].kind->forward(&r->net.layers[i], &p);
        r->loss = p.loss;
    }
}

static void backward(struct rig *r, int layers)
{
    memset(r->grads, 0, r->net.params.n * sizeof *r->grads);
    for (int i = layers - 1; i >= 0; i--) {
        struct pass p = pass_of(r, i);
        r->net.layers[i].kind->input_grad(&r->net.layers[i], &p);
        r->net.layers[i].kind->weight_grad(&r->net.layers[i], &p);
    }
    for (int i = 0; i < r->net.params.count; i++)
        if (r->net.params.slices[i].partial)
            tensor_sum_partial(r->tensor, r->grads + r->net.params.slices[i].at, r->net.params.slices[i].n);
}

static void set_up(const struct example *example)
{
    status s = config_parse(&config, "test", example->text, ".", NULL, 0);
    const struct shard shard = { job.ranks, job.rank, example->sequence };
    assert_on_all_ranks(s == STATUS_OK);
    assert_on_all_ranks(fabric_open(&fabric, &fabric_mpi, NULL, job.world) == STATUS_OK);
    assert_on_all_ranks(engine_open(&engine, &fabric, PROGRESS_NONE, SEGMENT_B) == STATUS_OK);
    assert_on_all_ranks(tensor_open(&tensor, engine, &shard) == STATUS_OK);
    rig_open(&whole, &shard_whole, NULL);
    rig_open(&part, &shard, &tensor);
    const int most = whole.net.shape.classes;
    for (int i = 0; i < SAMPLES * 8; i++) {
        symbols[i] = i * 7 % most;
        targets[i] = (i * 5 + 3) % most;
    }
    random_normal(&(struct random){ .seed = ANY_SEED, .stream = RANDOM_SAMPLES }, 1, 0, features, SAMPLES * 20);
}

static void tear_down(void)
{
    rig_close(&part);
    rig_close(&whole);
    engine_close(engine);
    fabric_close(&fabric);
    config_free(&config);
}

/* ---- comparing --------------------------------------------------------------------------------------------------------------- */

/* Where element k of slice i here is in an array of the whole network's layout. */
static size_t place(int i, size_t k)
{
    const struct slice *s = &part.net.params.slices[i];
    const size_t columns = (size_t)s->columns, run = columns / (size_t)s->groups, row = k / columns, column = k % columns;
    return whole.net.params.slices[i].at + slice_place(s, (int)row, (int)(column / run)) + column % run;
}

/* The largest difference of an element of a slice here from the same in the whole slice. */
static double slice_difference(const float *x, const float *all, int i)
{
    const struct slice *s = &part.net.params.slices[i];
    double difference = 0;
    for (size_t k = 0; k < s->n; k++)
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
            for (size_t k = 0; k < s->n && !(slice_is_whole(s) && job.rank); k++)
                covered[place(i, k)]++;
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
        for (int i = 0; i < part.net.params.count; i++) {
            const struct slice *s = &part.net.params.slices[i];
            for (size_t k = 0; k < s->n; k++)
                part.params[s->at + k] = whole.params[place(i, k)];
        }
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
    for (double h = fmin(1e-2, 3e-3 / norm); h > 5e-5; h /= 4)
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
            assert_on_all_ranks(quotient_error(i) < 5e-3);
        tear_down();
    }
}

static uint64_t sent_B(void)
{
    return fabric.ledger.rows[PURPOSE_TENSOR].wire_B_counted;
}

static void bytes_are_those_of_the_formulas(void **state)
{
    (void)state;
    for (int e = 0; e < EXAMPLES; e++) {
        set_up(&examples[e]);
        const int layers = part.net.count;
        forward(&part, layers);
        assert_on_all_ranks(sent_B() == tensor_sent_B(&part.net, TENSOR_FORWARD, SAMPLES, SEGMENT_B));
        const uint64_t forward_B = sent_B();
        backward(&part, layers);
        uint64_t partial_B = 0;
        for (int i = 0; i < part.net.params.count; i++)
            if (part.net.params.slices[i].partial)
                partial_B += sizeof(float) * blocking_sum_sent_floats(SEGMENT_B, job.ranks, job.rank, part.net.params.slices[i].n);
        assert_on_all_ranks(sent_B() == forward_B + tensor_sent_B(&part.net, TENSOR_BACKWARD, SAMPLES, SEGMENT_B) + partial_B);
        assert_on_all_ranks(fabric.ledger.rows[PURPOSE_TENSOR].wire_B_predicted == sent_B());
        tear_down();
    }
}

/* Bytes of a rank, by hand: t divides all sizes. */
static void a_transformer_sends_what_megatron_states(void **state)
{
    (void)state;
    for (int e = 0; e < 4; e++) {
        set_up(&examples[e]);
        const uint64_t t = (uint64_t)job.ranks, b = 16, activation = b * 8 * 32, layers = 2, rows = b * 8;
        const uint64_t blocks = layers * 8 * (t - 1) * activation / t, ends = 2 * 2 * (t - 1) * activation / t;
        const uint64_t loss = 3 * 2 * (t - 1) * rows / t;
        const uint64_t forward_B = tensor_sent_B(&part.net, TENSOR_FORWARD, (int)b, 1 << 20);
        const uint64_t backward_B = tensor_sent_B(&part.net, TENSOR_BACKWARD, (int)b, 1 << 20);
        assert_on_all_ranks(forward_B + backward_B == 4 * (blocks + ends + loss));
        assert_on_all_ranks(forward_B - 4 * loss == backward_B);
        tear_down();
    }
}

static void flop_of_all_ranks_are_those_of_the_whole(void **state)
{
    (void)state;
    for (int e = 0; e < EXAMPLES; e++) {
        set_up(&examples[e]);
        assert_on_all_ranks(network_flop_forward(&part.net) * job.ranks == network_flop_forward(&whole.net));
        assert_on_all_ranks(network_flop_backward(&part.net) * job.ranks == network_flop_backward(&whole.net));
        tear_down();
    }
}

/* What sequence parallelism is for: but for the gathered inputs of the two split products, all of a block is a share. */
static void saved_activations_are_shares(void **state)
{
    (void)state;
    for (int e = 0; e < 2; e++) {
        set_up(&examples[e]);
        const size_t T = 8, C = 32, H = 8, t = (size_t)job.ranks, s = examples[e].sequence ? t : 1;
        assert_on_all_ranks(part.net.layers[1].saved_floats == T * (2 * C + C / s + 12 * C / t + H * T / t) + 4 * T / s);
        assert_on_all_ranks(part.net.layers[1].out_floats == T * C / s);
        tear_down();
    }
}

static void what_cannot_be_shared_is_refused_with_what_fits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int tensor;
        bool sequence;
        const char *names, *fits;
    } cases[] = {
        { GPT "true" CLOSE, 3, false, "model.heads = 8", "(fits: parallel.tensor = 2)" },
        { "{\"model\":{\"heads\":8,\"hidden\":64,\"sequence\":6}}", 4, true, "model.sequence = 6", "(fits: parallel.tensor = 2)" },
        { "{\"model\":{\"heads\":8,\"hidden\":64,\"vocabulary\":5}}", 8, false, "model.vocabulary = 5",
          "(fits: parallel.tensor = 4)" },
        { MLP "1" CLOSE, 5, false, "model.hidden = 32", "(fits: parallel.tensor = 4)" },
        { MLP "0" CLOSE, 16, false, "model.classes = 9", "(fits: parallel.tensor = 9)" },
        { MLP "2" CLOSE, 16, false, "model.classes = 9", "(fits: parallel.tensor = 8)" },
        { MLP "2" CLOSE, 2, true, "mlp", "(fits: parallel.sequence = false)" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config c;
        assert_on_all_ranks(config_parse(&c, "test", cases[i].text, ".", NULL, 0) == STATUS_OK);
        const char *why = model_find(c.model.name)->refuses_shard(c.model.options, cases[i].tensor, cases[i].sequence);
        assert_on_all_ranks(why && strstr(why, cases[i].names) && strstr(why, cases[i].fits));
        config_free(&c);
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
        cmocka_unit_test(bytes_are_those_of_the_formulas),
        cmocka_unit_test(a_transformer_sends_what_megatron_states),
        cmocka_unit_test(flop_of_all_ranks_are_those_of_the_whole),
        cmocka_unit_test(saved_activations_are_shares),
        cmocka_unit_test(what_cannot_be_shared_is_refused_with_what_fits),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
