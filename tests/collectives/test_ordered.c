/* ranks: 1 2 3 4 7 8 */
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
    for (int64_t leaves = 1; leaves <= LEAVES_MOST; leaves++) {
        struct tree_stack stack = { .leaves = leaves };
        float buffer[TREE_DEPTH_MAX];
        for (int64_t i = 0; i < leaves; i++) {
            assert_true(stack.depth < tree_buffers(leaves, 0, leaves));
            buffer[stack.depth] = leaf(i, 3);
            for (int merges = tree_push(&stack, (struct tree_node){ 0, i }), top = stack.depth; merges > 0; merges--)
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

/* Folds this rank's leaves as a trainer does; buffers[i] becomes the i-th node of its cover. */
static void fold_own(int64_t leaves, float **buffers, size_t n)
{
    int64_t first = (int64_t)block_start((size_t)leaves, job.ranks, job.rank);
    int64_t count = (int64_t)block_length((size_t)leaves, job.ranks, job.rank);
    struct tree_stack stack = { .leaves = leaves };
    for (int64_t i = first; i < first + count; i++) {
        for (size_t k = 0; k < n; k++)
            buffers[stack.depth][k] = leaf(i, k);
        for (int merges = tree_push(&stack, (struct tree_node){ 0, i }), top = stack.depth; merges > 0; merges--)
            add(buffers[top + merges - 2], buffers[top + merges - 1], n);
    }
}

static void check_sum(struct engine *e, struct fabric *f, int64_t leaves, size_t n, bool in_place)
{
    float *buffers[TREE_DEPTH_MAX], *x = malloc((n + 1) * sizeof *x);
    struct operation *op;
    bool ok = x != NULL;
    for (int i = 0; i < TREE_DEPTH_MAX; i++)
        ok = (buffers[i] = malloc((n + 1) * sizeof *x)) && ok;
    assert_on_all_ranks(ok);
    memset(&f->ledger, 0, sizeof f->ledger);
    float *result = in_place ? buffers[0] : x;
    status planned = engine_plan_ordered(e, PURPOSE_GRADIENT, (const float *const *)buffers, result, n, leaves, &op);
    assert_on_all_ranks(planned == STATUS_OK);
    for (int repeat = 0; repeat < 2; repeat++) {
        fold_own(leaves, buffers, n);
        engine_start(e, op);
        engine_wait(e, op);
        for (size_t k = 0; k < n; k++)
            ok = ok && result[k] == reference(leaves, root_level(leaves), 0, k);
    }
    assert_on_all_ranks(ok);
    const struct ledger_row *row = &f->ledger.rows[PURPOSE_GRADIENT];
    assert_on_all_ranks(row->wire_B_predicted == row->wire_B_counted && row->logical_B == 2 * n * sizeof *x);
    uint64_t formula = ordered_sent_floats(SEGMENT_B, job.ranks, job.rank, n, leaves);
    assert_on_all_ranks(row->wire_B_counted == 2 * formula * sizeof *x);
    for (int i = 0; i < TREE_DEPTH_MAX; i++)
        free(buffers[i]);
    free(x);
}

static void any_number_of_ranks_gets_the_bits_of_the_serial_tree(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 3, 100, 3001 };
    struct fabric f;
    assert_on_all_ranks(fabric_open(&f, &fabric_mpi, NULL, job.world) == STATUS_OK);
    for (int progress = PROGRESS_NONE; progress <= PROGRESS_POLL; progress++) {
        struct engine *e;
        assert_on_all_ranks(engine_open(&e, &f, (enum progress)progress, SEGMENT_B) == STATUS_OK);
        for (size_t m = 0; m < LEAF_COUNTS; m++)
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
                check_sum(e, &f, leaf_counts[m], sizes[s], s % 2);
        engine_close(e);
    }
    fabric_close(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cover_holds_each_leaf_once_and_in_order),
        cmocka_unit_test(folding_all_leaves_gives_the_root_in_the_buffers_promised),
        cmocka_unit_test(the_order_matters_for_these_addends),
        cmocka_unit_test(any_number_of_ranks_gets_the_bits_of_the_serial_tree),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
