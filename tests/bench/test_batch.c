/* The cut of the batch against its definition: every sample once, in order, in pieces that differ by at most one. */
#include "tests/kernels/check.h"

#include "bench/batch.h"

static struct config batch_of(int64_t global, int64_t micro, int64_t data)
{
    return (struct config){ .batch = { global, micro }, .parallel = { .data = data } };
}

static void every_sample_is_in_one_micro_batch_and_sizes_differ_by_at_most_one(void **state)
{
    (void)state;
    for (int64_t global = 1; global <= 40; global++)
        for (int64_t micro = 1; micro <= 41; micro++) {
            const struct config c = batch_of(global, micro, 1);
            int64_t next = 0, leaves = 0, least = global, most = 0;
            for (; next < global; leaves++) {
                assert_int_equal(batch_first_sample(&c, leaves), next);
                const int64_t samples = batch_samples(&c, leaves);
                least = samples < least ? samples : least;
                most = samples > most ? samples : most;
                next += samples;
            }
            assert_int_equal(next, global);
            assert_int_equal(leaves, batch_leaves(&c));
            assert_true(most - least <= 1 && least >= 1 && most <= micro && (leaves - 1) * micro < global);
            assert_int_equal(most, batch_most_samples(&c));
        }
}

static void replicas_take_contiguous_blocks_of_nearly_equal_length(void **state)
{
    (void)state;
    for (int64_t leaves = 1; leaves <= 20; leaves++)
        for (int data = 1; data <= leaves; data++) {
            const struct config c = batch_of(leaves, 1, data);
            int64_t next = 0;
            for (int r = 0; r < data; r++) {
                assert_int_equal(batch_first_leaf(&c, r), next);
                next += batch_leaves_of(&c, r);
                assert_true(batch_leaves_of(&c, r) == leaves / data || batch_leaves_of(&c, r) == leaves / data + 1);
            }
            assert_int_equal(next, leaves);
        }
}

static void ten_samples_in_fours_are_three_three_four(void **state)
{
    (void)state;
    const struct config c = batch_of(10, 4, 2);
    assert_int_equal(batch_leaves(&c), 3);
    assert_int_equal(batch_samples(&c, 0), 3);
    assert_int_equal(batch_samples(&c, 1), 3);
    assert_int_equal(batch_samples(&c, 2), 4);
    assert_int_equal(batch_leaves_of(&c, 0), 2); /* the first replica takes what is over */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sample_is_in_one_micro_batch_and_sizes_differ_by_at_most_one),
        cmocka_unit_test(replicas_take_contiguous_blocks_of_nearly_equal_length),
        cmocka_unit_test(ten_samples_in_fours_are_three_three_four),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
