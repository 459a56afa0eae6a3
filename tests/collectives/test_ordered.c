/* ranks: 1 2 3 4 5 7 8 */
/* Sums in a fixed tree. Oracle: the definition of the tree, recursive, over all leaves in one process; the addends are chosen so
 * that another order gives other bits. */
#include "mpi_test.h"

#include <math.h>
#include <string.h>

#include "collectives/ordered.h"
#include "kernels/layers.h"

enum { LEAVES_MOST = 65, SEGMENT_B = 1000 };

static const int64_t leaf_counts[] = { 1, 2, 5, 8, 12, 31 };
enum { LEAF_COUNTS = sizeof leaf_counts / sizeof *leaf_counts };

/* Of very different sizes, so that float addition is far from associative. */
static float leaf(int64_t i, size_t k)
{
    double u = fmod((double)(i * 7919 + (int64_t)k * 104729 + 13) * 0.6180339887498949, 1.0);
    return (float)((u - 0.5) * exp2(fmod(u * 1000, 20)));
}

/* The definition: node = left child + right child, or the left child alone. */
static float reference(int64_t leaves, int level, int64_t index, size_t k)
{
    if (level == 0)
        return leaf(index, k);
    float left = reference(leaves, level - 1, 2 * index, k);
    bool has_right = (2 * index + 1) << (level - 1) < leaves;
    return has_right ? left + reference(leaves, level - 1, 2 * index + 1, k) : left;
}

static int root_level(int64_t leaves)
{
    int level = 0;
    while ((int64_t)1 << level < leaves)
        level++;
    return level;
}

static void a_cover_holds_each_leaf_once_and_in_order(void **state)
{
    (void)state;
    struct tree_node nodes[TREE_DEPTH_MAX];
    for (int64_t leaves = 1; leaves <= LEAVES_MOST; leaves++)
        for (int64_t first = 0; first < leaves; first++)
            for (int64_t count = 0; first + count <= leaves; count++) {
                int n = tree_cover(leaves, first, count, nodes);
                int64_t at = first;
                for (int i = 0; i < n; i++) {
                    assert_int_equal(nodes[i].index << nodes[i].level, at);
                    at = (nodes[i].index + 1) << nodes[i].level;
                    at = at < leaves ? at : leaves;
                }
                assert_int_equal(at, first + count);
                assert_true(n <= 2 * root_level(leaves) + 1);
            }
}

static void folding_all_leaves_gives_the_root_in_the_buffers_promised(void **state)
{
    (void)state;
    for (int64_t leaves = 1; leaves <= LEAVES_MOST; leaves++)
        for (int back = 0; back < 2; back++) {
            struct tree_stack stack = { .leaves = leaves };
            float buffer[TREE_DEPTH_MAX];
            for (int64_t i = 0; i < leaves; i++) {
                const int64_t at = back ? leaves - 1 - i : i;
                assert_true(stack.depth < tree_buffers(leaves, 0, leaves));
                buffer[stack.depth] = leaf(at, 3);
                for (int merges = tree_push(&stack, (struct tree_node){ 0, at }), top = stack.depth; merges > 0; merges--)
                    buffer[top + merges - 2] += buffer[top + merges - 1];
            }
            assert_int_equal(stack.depth, 1);
            assert_true(buffer[0] == reference(leaves, root_level(leaves), 0, 3));
        }
}

static void the_order_matters_for_these_addends(void **state)
{
    (void)state;
    int differ = 0;
    for (size_t k = 0; k < 100; k++) {
        float chain = 0;
        for (int64_t i = 0; i < 12; i++)
            chain += leaf(i, k);
        differ += chain != reference(12, root_level(12), 0, k);
    }
    assert_true(differ > 10);
}

/* Folds this rank's leaves as a trainer does, from the left or from the right; buffers[i] becomes the i-th node of its cover. */
static void fold_own(const struct leaf_owners *o, bool back, float *const *buffers, size_t n)
{
    const int64_t first = leaf_start(o, job.ranks, job.rank), end = leaf_start(o, job.ranks, job.rank + 1);
    struct tree_node nodes[TREE_DEPTH_MAX];
    const int count = tree_cover(o->leaves, first, end - first, nodes);
    struct tree_stack stack = { .leaves = o->leaves };
    float *at[TREE_DEPTH_MAX];
    for (int i = 0; i < TREE_DEPTH_MAX; i++)
        at[i] = buffers[back && i < count ? count - 1 - i : i];
    for (int64_t i = first; i < end; i++) {
        const int64_t l = back ? first + end - 1 - i : i;
        for (size_t k = 0; k < n; k++)
            at[stack.depth][k] = leaf(l, k);
        for (int merges = tree_push(&stack, (struct tree_node){ 0, l }), top = stack.depth; merges > 0; merges--)
            add(at[top + merges - 2], at[top + merges - 1], n);
    }
}

struct bench {
    struct fabric fabric;
    struct engine *engine;
    float *x, *buffers[TREE_DEPTH_MAX];
};

static void open_bench(struct bench *b, enum progress progress, size_t n)
{
    assert_on_all_ranks(fabric_open(&b->fabric, &fabric_mpi, NULL, job.world) == STATUS_OK);
    assert_on_all_ranks(engine_open(&b->engine, &b->fabric, progress, SEGMENT_B) == STATUS_OK);
    bool ok = (b->x = malloc((n + 1) * sizeof *b->x)) != NULL;
    for (int i = 0; i < TREE_DEPTH_MAX; i++)
        ok = (b->buffers[i] = malloc((n + 1) * sizeof *b->x)) && ok;
    assert_on_all_ranks(ok);
}

static void close_bench(struct bench *b)
{
    for (int i = 0; i < TREE_DEPTH_MAX; i++)
        free(b->buffers[i]);
    free(b->x);
    engine_close(b->engine);
    fabric_close(&b->fabric);
}

static struct operation *planned(struct bench *b, enum sum_part part, enum purpose purpose, float *x, size_t n,
                                 const struct leaf_owners *o)
{
    struct operation *op = NULL;
    const float *const *partial = (const float *const *)b->buffers;
    assert_on_all_ranks(engine_plan_ordered(b->engine, part, purpose, partial, x, n, o, &op) == STATUS_OK);
    return op;
}

static void play(struct bench *b, struct operation *op)
{
    engine_start(b->engine, op);
    engine_wait(b->engine, op);
}

/* Counted = predicted by the engine = the formula known before. */
static bool sent(const struct bench *b, enum sum_part part, enum purpose purpose, size_t n, const struct leaf_owners *o)
{
    const struct ledger_row *row = &b->fabric.ledger.rows[purpose];
    const uint64_t formula = ordered_sent_floats(part, SEGMENT_B, job.ranks, job.rank, n, o) * sizeof(float);
    return row->wire_B_predicted == row->wire_B_counted && row->wire_B_counted == row->calls * formula &&
           row->logical_B == row->calls * n * sizeof(float);
}

static bool is_root(const float *x, struct range r, int64_t leaves)
{
    for (size_t k = r.at; k < r.at + r.n; k++)
        if (x[k] != reference(leaves, root_level(leaves), 0, k))
            return false;
    return true;
}

static void check_sum(struct bench *b, const struct leaf_owners *o, size_t n, bool back, bool in_place)
{
    bool ok = true;
    memset(&b->fabric.ledger, 0, sizeof b->fabric.ledger);
    float *result = in_place ? b->buffers[0] : b->x;
    struct operation *op = planned(b, SUM_ALLREDUCE, PURPOSE_GRADIENT, result, n, o);
    for (int repeat = 0; repeat < 2; repeat++) {
        fold_own(o, back, b->buffers, n);
        play(b, op);
        ok = ok && is_root(result, (struct range){ 0, n }, o->leaves);
    }
    assert_on_all_ranks(ok);
    assert_on_all_ranks(sent(b, SUM_ALLREDUCE, PURPOSE_GRADIENT, n, o));
}

static void any_number_of_ranks_gets_the_bits_of_the_serial_tree(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 3, 100, 3001 };
    for (int progress = PROGRESS_NONE; progress <= PROGRESS_POLL; progress++) {
        struct bench b;
        open_bench(&b, (enum progress)progress, 3001);
        for (size_t m = 0; m < LEAF_COUNTS; m++)
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
                const struct leaf_owners blocks = { .leaves = leaf_counts[m] };
                check_sum(&b, &blocks, sizes[s], progress, s % 2);
            }
        close_bench(&b);
    }
}

/* All ways to cut `leaves` into ranges of at least one, one for each rank: starts counts up like a clock. */
static bool next_cut(int64_t *starts, int p, int64_t leaves)
{
    for (int r = p - 1; r > 0; r--)
        if (starts[r] < leaves - (p - r)) {
            starts[r]++;
            for (int q = r + 1; q < p; q++)
                starts[q] = starts[q - 1] + 1;
            return true;
        }
    return false;
}

static void any_cut_of_the_leaves_in_either_order_gives_the_same_bits(void **state)
{
    (void)state;
    enum { MOST = 9, FLOATS = 7 };
    struct bench b;
    open_bench(&b, PROGRESS_NONE, FLOATS);
    for (int64_t leaves = job.ranks; leaves <= MOST; leaves++) {
        int64_t starts[MOST + 1];
        for (int r = 0; r <= job.ranks; r++)
            starts[r] = r < job.ranks ? r : leaves;
        const struct leaf_owners o = { leaves, starts };
        do {
            check_sum(&b, &o, FLOATS, false, true);
            check_sum(&b, &o, FLOATS, true, true);
        } while (next_cut(starts, job.ranks, leaves));
    }
    close_bench(&b);
}

static void the_two_parts_leave_own_pieces_and_spread_them(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 3, 100, 3001 };
    const struct leaf_owners o = { .leaves = 12 };
    struct bench b;
    open_bench(&b, PROGRESS_NONE, 3001);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const size_t n = sizes[s];
        memset(&b.fabric.ledger, 0, sizeof b.fabric.ledger);
        memset(b.x, 0, n * sizeof *b.x);
        struct operation *scatter = planned(&b, SUM_REDUCE_SCATTER, PURPOSE_GRADIENT, b.x, n, &o);
        struct operation *gather = planned(&b, SUM_ALLGATHER, PURPOSE_PARAMETERS, b.x, n, &o);
        fold_own(&o, false, b.buffers, n);
        play(&b, scatter);
        bool ok = true;
        size_t owned = 0;
        for (size_t i = 0; i < operation_pieces(scatter); i++) {
            const struct range r = operation_piece(scatter, i);
            ok = ok && is_root(b.x, r, o.leaves);
            owned += r.n;
        }
        assert_on_all_ranks(ok && owned == ordered_owned_floats(SEGMENT_B, job.ranks, job.rank, n));
        play(&b, gather);
        assert_on_all_ranks(is_root(b.x, (struct range){ 0, n }, o.leaves));
        assert_on_all_ranks(sent(&b, SUM_REDUCE_SCATTER, PURPOSE_GRADIENT, n, &o));
        assert_on_all_ranks(sent(&b, SUM_ALLGATHER, PURPOSE_PARAMETERS, n, &o));
    }
    close_bench(&b);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cover_holds_each_leaf_once_and_in_order),
        cmocka_unit_test(folding_all_leaves_gives_the_root_in_the_buffers_promised),
        cmocka_unit_test(the_order_matters_for_these_addends),
        cmocka_unit_test(any_number_of_ranks_gets_the_bits_of_the_serial_tree),
        cmocka_unit_test(any_cut_of_the_leaves_in_either_order_gives_the_same_bits),
        cmocka_unit_test(the_two_parts_leave_own_pieces_and_spread_them),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
