/* Adding up micro-batches. Oracle: each node of the tree by its definition, recursively; the addends are powers of ten apart, so
 * that another order gives other bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench/accumulator.h"

enum { LEAVES_MOST = 17, FLOATS = 3 };

static float value(int64_t leaf, size_t k)
{
    static const float scale[] = { 1, 1e3F, 1e-3F, 1e6F };
    return (float)(leaf * 31 % 17 + 1) / 7 * scale[((size_t)leaf + k) % 4];
}

static float reference(int64_t leaves, int level, int64_t index, size_t k)
{
    if (level == 0)
        return value(index, k);
    const float left = reference(leaves, level - 1, 2 * index, k);
    return (2 * index + 1) << (level - 1) < leaves ? left + reference(leaves, level - 1, 2 * index + 1, k) : left;
}

/* The leaves [first, first + count), merged in two pieces each. */
static void accumulate(struct accumulator *a, int64_t first, int64_t count, bool back)
{
    accumulator_begin(a);
    for (int64_t i = 0; i < count; i++) {
        const int64_t leaf = back ? first + count - 1 - i : first + i;
        bool fresh;
        float *x = accumulator_leaf(a, leaf, &fresh);
        for (size_t k = 0; k < FLOATS; k++)
            x[k] = value(leaf, k) + (fresh ? 0 : x[k]);
        accumulator_merge(a, (struct range){ 1, FLOATS - 1 });
        accumulator_merge(a, (struct range){ 0, 1 });
    }
}

static void buffers_end_as_the_nodes_from_left_to_right_in_either_order_of_leaves(void **state)
{
    (void)state;
    for (int64_t leaves = 1; leaves <= LEAVES_MOST; leaves++)
        for (int64_t first = 0; first < leaves; first++)
            for (int64_t count = 1; first + count <= leaves; count++)
                for (int back = 0; back < 4; back++) { /* each order twice: nothing is left of the step before */
                    struct accumulator a = accumulator_of(true, FLOATS, leaves, first, count);
                    struct tree_node nodes[TREE_DEPTH_MAX];
                    a.buffers = malloc((size_t)a.count * FLOATS * sizeof(float));
                    assert_non_null(a.buffers);
                    accumulate(&a, first, count, back / 2);
                    accumulate(&a, first, count, back % 2);
                    const int n = tree_cover(leaves, first, count, nodes);
                    for (int i = 0; i < n; i++)
                        for (size_t k = 0; k < FLOATS; k++)
                            assert_true(a.buffers[(size_t)i * FLOATS + k] == reference(leaves, nodes[i].level, nodes[i].index, k));
                    free(a.buffers);
                }
}

static void a_plain_one_is_the_sum_in_the_order_of_coming(void **state)
{
    (void)state;
    float x[FLOATS];
    struct accumulator a = accumulator_of(false, FLOATS, LEAVES_MOST, 2, 9);
    a.buffers = x;
    assert_int_equal(a.count, 1);
    accumulate(&a, 2, 9, true);
    for (size_t k = 0; k < FLOATS; k++) {
        float sum = 0;
        for (int64_t leaf = 10; leaf >= 2; leaf--)
            sum = value(leaf, k) + sum;
        assert_true(x[k] == sum);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffers_end_as_the_nodes_from_left_to_right_in_either_order_of_leaves),
        cmocka_unit_test(a_plain_one_is_the_sum_in_the_order_of_coming),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
