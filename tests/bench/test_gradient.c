/* ranks: 1 2 3 4 5 8 */
/* The exchange without a model. Oracles: sums by the definition of the tree, or of small integers, which are exact in any order;
 * byte formulas where p divides; the parameters that were put in. */
#include <math.h>

#include "collectives/ordered.h"
#include "tests/bench/gradients.h"

enum { N = 5003 };
#define BATCH "batch.global=240", "batch.micro=2"                       /* shared equally by these numbers of ranks */
#define SMALL BATCH, "exchange.bucket_B=4800", "exchange.segment_B=400" /* 5 buckets, each of some segments on few ranks */

/* ---- sums -------------------------------------------------------------------------------------------------------------------- */

static float value(int64_t leaf, size_t k)
{
    static const float scale[] = { 1, 1e3F, 1e-3F, 1e6F };
    return (float)((leaf * 31 + (int64_t)k) % 17 + 1) / 7 * scale[((size_t)leaf + k) % 4];
}

static float reference(int64_t leaves, int level, int64_t index, size_t k)
{
    if (level == 0)
        return value(index, k);
    const float left = reference(leaves, level - 1, 2 * index, k);
    return (2 * index + 1) << (level - 1) < leaves ? left + reference(leaves, level - 1, 2 * index + 1, k) : left;
}

static int root_level(int64_t leaves)
{
    int level = 0;
    while ((int64_t)1 << level < leaves)
        level++;
    return level;
}

/* A backward pass of three layers. */
static void compute_leaf(struct bench *b, int64_t leaf)
{
    static const size_t at[] = { N, 3100, 1207, 0 };
    float *x = gradient_leaf(b->gradient, leaf, &b->watch);
    for (int layer = 0; layer < 3; layer++) {
        for (size_t k = at[layer + 1]; k < at[layer]; k++)
            x[k] += value(leaf, k);
        gradient_poll(b->gradient, &b->watch);
        gradient_ready(b->gradient, at[layer + 1], &b->watch);
    }
}

/* Every rank's pieces have the sum by the tree, and cover the parameters once (without ZeRO, on every rank). */
static void check_step(struct bench *b, const struct gradient_shape *s, int64_t step, bool back)
{
    const struct leaf_owners o = { s->leaves, s->starts };
    const int64_t count = leaf_start(&o, job.ranks, job.rank + 1) - leaf_start(&o, job.ranks, job.rank);
    gradient_begin(b->gradient, step);
    for (int64_t i = 0; i < count; i++)
        compute_leaf(b, gradient_own_leaf(&b->config, s, job.rank, job.ranks, back ? count - 1 - i : i));
    int owned = 0;
    bool same = true;
    for (int bucket = 0; bucket < gradient_buckets(b->gradient); bucket++) {
        gradient_wait(b->gradient, bucket, &b->watch);
        for (size_t i = 0; i < gradient_pieces(b->gradient, bucket); i++) {
            const struct gradient_piece p = gradient_piece(b->gradient, bucket, i);
            for (size_t k = 0; k < p.n; k++)
                same = same && p.sum[k] == reference(s->leaves, root_level(s->leaves), 0, p.at + k);
            same = same && p.state_at + p.n <= gradient_state_floats(b->gradient);
            owned += (int)p.n;
        }
    }
    assert_on_all_ranks(same && (size_t)owned == gradient_state_floats(b->gradient));
    int all = owned;
    MPI_Allreduce(&owned, &all, 1, MPI_INT, MPI_SUM, job.world);
    assert_on_all_ranks(all == (b->config.parallel.zero ? N : N * job.ranks));
}

static void unequal_shares_in_either_order_give_the_bits_of_the_tree(void **state)
{
    (void)state;
    int64_t starts[16] = { 0 };
    for (int r = 0; r < job.ranks; r++)
        starts[r + 1] = starts[r] + 1 + (r * 5 + 2) % 4;
    const struct gradient_shape shape = { .n = N, .leaves = starts[job.ranks], .starts = starts };
    const char *const zero[] = { "parallel.zero=0", "parallel.zero=1" };
    for (int z = 0; z < 2; z++)
        for (int overlap = 0; overlap < 2; overlap++) {
            struct bench b;
            OPEN(&b, &shape, SMALL, "exchange.reduction=tree", zero[z],
                 overlap ? "exchange.overlap=true" : "exchange.overlap=false");
            for (int step = 0; step < 4; step++)
                check_step(&b, &shape, step, step / 2);
            close_bench(&b, N);
        }
}

static void micro_batches_dealt_by_turns_give_the_bits_of_the_tree(void **state)
{
    (void)state;
    if (job.ranks & (job.ranks - 1))
        skip_on_all_ranks("the replicas' micro-batches are no node of the tree");
    const char *const zero[] = { "parallel.zero=2", "parallel.zero=3" };
    for (int64_t turns = 1; turns <= 6; turns++)
        for (int z = 0; z < 4; z++) {
            const struct gradient_shape shape = { .n = N, .leaves = turns * job.ranks };
            struct bench b;
            OPEN(&b, &shape, SMALL, "exchange.reduction=tree", zero[z % 2],
                 z / 2 ? "exchange.overlap=true" : "exchange.overlap=false");
            for (int step = 0; step < 3; step++)
                check_step(&b, &shape, step, step == 2);
            close_bench(&b, N);
        }
}

/* ---- parameters -------------------------------------------------------------------------------------------------------------- */

static bool all_equal(const float *x, struct range r, float factor)
{
    for (size_t k = r.at; k < r.at + r.n; k++)
        if (x[k] != factor * (float)k)
            return false;
    return true;
}

static void update_pieces(struct bench *b, float factor)
{
    for (int bucket = 0; bucket < gradient_buckets(b->gradient); bucket++) {
        for (size_t i = 0; i < gradient_pieces(b->gradient, bucket); i++) {
            const struct gradient_piece p = gradient_piece(b->gradient, bucket, i);
            for (size_t k = 0; k < p.n; k++)
                p.params[k] *= factor;
        }
        gradient_publish(b->gradient, bucket);
    }
    gradient_finish(b->gradient, &b->watch);
}

static void open_with_parameters(struct bench *b, const char *zero)
{
    static const struct range halves[] = { { 0, 2000 }, { 2000, N - 2000 } };
    const struct gradient_shape shape = { .n = N, .leaves = job.ranks };
    OPEN(b, &shape, SMALL, zero);
    for (int h = 0; h < 2; h++) {
        for (size_t k = halves[h].at; k < halves[h].at + halves[h].n; k++)
            b->params[k] = (float)k;
        gradient_adopt(b->gradient, halves[h]);
    }
}

static void updated_pieces_reach_every_rank_in_every_stage(void **state)
{
    (void)state;
    const char *const zero[] = { "parallel.zero=0", "parallel.zero=1", "parallel.zero=2", "parallel.zero=3" };
    for (int z = 0; z < 4; z++) {
        const struct range all = { 0, N };
        struct bench b;
        open_with_parameters(&b, zero[z]);
        for (int step = 1; step <= 2; step++) {
            update_pieces(&b, 3);
            gradient_hold(b.gradient, all, &b.watch);
            assert_on_all_ranks(all_equal(b.params, all, step == 1 ? 3 : 9));
            gradient_release(b.gradient, all);
        }
        close_bench(&b, N);
    }
}

static void stage_3_has_parameters_while_they_are_held_and_sends_each_bucket_once(void **state)
{
    (void)state;
    static const struct range layers[] = { { 0, 1207 }, { 1207, 1893 }, { 3100, N - 3100 }, { 100, 0 } };
    struct bench b;
    open_with_parameters(&b, "parallel.zero=3");
    const struct ledger_row *row = &b.fabric.ledger.rows[PURPOSE_PARAMETERS];
    assert_on_all_ranks(all_equal(b.params, (struct range){ 0, N }, 0) && row->calls == 0);
    for (int i = 0; i < 4; i++) {
        gradient_hold(b.gradient, layers[i], &b.watch);
        assert_on_all_ranks(all_equal(b.params, layers[i], 1));
        if (i)
            gradient_release(b.gradient, layers[i - 1]);
        assert_on_all_ranks(all_equal(b.params, layers[i], 1));
    }
    gradient_release(b.gradient, layers[3]);
    assert_on_all_ranks(all_equal(b.params, (struct range){ 0, N }, 0));
    assert_on_all_ranks((int)row->calls == gradient_buckets(b.gradient) && row->wire_B_predicted == row->wire_B_counted);
    close_bench(&b, N);
}

/* ---- the plan ---------------------------------------------------------------------------------------------------------------- */

static void where_ranks_divide_the_plan_is_the_textbook_formula(void **state)
{
    (void)state;
    const double floats = 65536 * 3;
    for (int zero = 0; zero < 4; zero++)
        for (int m = 1; m <= 4; m *= 2) {
            char stage[32];
            snprintf(stage, sizeof stage, "parallel.zero=%d", zero);
            const char *const sets[] = { BATCH, "exchange.bucket_B=262144", "exchange.segment_B=4096", stage, NULL };
            struct config c = config_for(MLP REST "}", job.ranks, sets);
            for (int p = 1; p <= 16; p *= 2) {
                const struct gradient_shape shape = { .n = (size_t)floats, .leaves = m * p };
                const struct gradient_plan plan = gradient_plan(&c, &shape, p - 1, p);
                const double share = 4 * floats * (p - 1) / p;
                assert_true(plan.sent_B == (zero == 0 ? 2 : zero == 1 ? 1 : m) * share);
                assert_true(plan.parameters_sent_B == (zero == 0 ? 0 : zero < 3 ? 1 : 2 * m) * share);
                assert_true((double)plan.state_floats == (zero ? floats / p : floats));
                if (m == 1 && zero == 3)
                    assert_true(plan.sent_B + plan.parameters_sent_B == 1.5 * (2 * share)); /* against plain data parallel */
            }
            config_free(&c);
        }
}

static void what_zero_cannot_do_is_refused_with_what_fits(void **state)
{
    (void)state;
    static const struct {
        const char *zero, *set;
        int replicas;
        int64_t leaves, pipeline;
        const char *why; /* NULL: it can */
    } cases[] = {
        { "parallel.zero=0", "exchange.allreduce=tree", 4, 6, 4, NULL },
        { "parallel.zero=1", "exchange.allreduce=halving", 4, 6, 4, NULL },
        { "parallel.zero=1", "exchange.allreduce=tree", 4, 8, 1,
          "exchange.allreduce = \"tree\" does not (fits: ring, halving, hierarchical, shm)" },
        { "parallel.zero=1", "exchange.reduction=tree", 3, 6, 1, NULL },
        { "parallel.zero=1", "exchange.compressor={\"name\":\"topk\"}", 4, 8, 1, NULL },
        { "parallel.zero=2", "exchange.compressor={\"name\":\"topk\"}", 4, 8, 1,
          "the whole sum of a step (fits: parallel.zero = 0 or 1)" },
        { "parallel.zero=2", "seed=1", 4, 8, 2, "2 stages of a pipeline busy (fits: parallel.zero = 0 or 1)" },
        { "parallel.zero=3", "seed=1", 4, 6, 1, "4 replicas (fits: batch.global = 64)" },
        { "parallel.zero=3", "seed=1", 3, 6, 1, NULL },
        { "parallel.zero=2", "exchange.reduction=tree", 3, 6, 1, "parallel.data = 3 replicas do not make (fits: a power of two" },
        { "parallel.zero=2", "exchange.reduction=tree", 4, 12, 1, NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config c;
        const char *const sets[] = { cases[i].zero, cases[i].set };
        assert_int_equal(config_parse(&c, "test", MLP REST "}", ".", sets, 2), STATUS_OK);
        c.parallel.pipeline = cases[i].pipeline;
        const char *why = gradient_refuses(&c, cases[i].replicas, cases[i].leaves);
        assert_true(cases[i].why ? why && strstr(why, cases[i].why) : !why);
        config_free(&c);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unequal_shares_in_either_order_give_the_bits_of_the_tree),
        cmocka_unit_test(micro_batches_dealt_by_turns_give_the_bits_of_the_tree),
        cmocka_unit_test(updated_pieces_reach_every_rank_in_every_stage),
        cmocka_unit_test(stage_3_has_parameters_while_they_are_held_and_sends_each_bucket_once),
        cmocka_unit_test(where_ranks_divide_the_plan_is_the_textbook_formula),
        cmocka_unit_test(what_zero_cannot_do_is_refused_with_what_fits),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
