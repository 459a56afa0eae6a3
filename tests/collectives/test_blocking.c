/* ranks: 1 2 3 4 8 */
/* Blocking collectives over many lengths in turn: integers that floats hold exactly, bytes by formula and by the ledger. */
#include "tests/collectives/mpi_test.h"

#include "collectives/blocking.h"

enum { LENGTH_MOST = 6000, SEGMENT_B = 1000 };

static float x[LENGTH_MOST * 8];
static struct fabric fabric;
static struct engine *engine;
static struct blocking group;

/* Below 2^20, and of both signs. */
static float value(int rank, size_t k)
{
    return (float)((k * 7919 + (size_t)rank * 131071) % 1048573) - 500000;
}

static void fill(size_t n)
{
    for (size_t k = 0; k < n; k++)
        x[k] = value(job.rank, k);
}

static float sum_at(size_t k)
{
    float sum = 0;
    for (int r = 0; r < job.ranks; r++)
        sum += value(r, k);
    return sum;
}

static float largest_at(size_t k)
{
    float largest = value(0, k);
    for (int r = 1; r < job.ranks; r++)
        largest = value(r, k) > largest ? value(r, k) : largest;
    return largest;
}

/* Neither divisible by the ranks nor growing, so that an operation is aimed at more and at less than before. */
static const size_t lengths[] = { 5, LENGTH_MOST, 0, 1, 2, 1000, 999, 251, 4097 };
enum { LENGTHS = sizeof lengths / sizeof *lengths };

static void set_up(void)
{
    assert_on_all_ranks(fabric_open(&fabric, &fabric_mpi, NULL, job.world) == STATUS_OK);
    assert_on_all_ranks(engine_open(&engine, &fabric, PROGRESS_NONE, SEGMENT_B) == STATUS_OK);
    assert_on_all_ranks(blocking_open(&group, engine, PURPOSE_TENSOR) == STATUS_OK);
}

static void tear_down(uint64_t sent_floats, uint64_t calls)
{
    const struct ledger_row row = fabric.ledger.rows[PURPOSE_TENSOR];
    assert_on_all_ranks(row.calls == calls);
    assert_on_all_ranks(row.wire_B_counted == sent_floats * sizeof(float));
    assert_on_all_ranks(row.wire_B_predicted == sent_floats * sizeof(float));
    engine_close(engine);
    fabric_close(&fabric);
}

static void sums_and_maxima_are_exact_for_any_length(void **state)
{
    (void)state;
    uint64_t sent = 0;
    set_up();
    for (int i = 0; i < LENGTHS; i++) {
        const size_t n = lengths[i];
        bool right = true;
        fill(n);
        blocking_sum(&group, x, n);
        for (size_t k = 0; k < n; k++)
            right = right && x[k] == sum_at(k);
        fill(n);
        blocking_max(&group, x, n);
        for (size_t k = 0; k < n; k++)
            right = right && x[k] == largest_at(k);
        assert_on_all_ranks(right);
        sent += 2 * blocking_sum_sent_floats(SEGMENT_B, job.ranks, job.rank, n);
    }
    tear_down(sent, 2 * LENGTHS);
}

static void gathered_and_scattered_blocks_are_in_rank_order(void **state)
{
    (void)state;
    uint64_t sent = 0;
    set_up();
    for (int i = 0; i < LENGTHS; i++) {
        const size_t block = lengths[i], n = block * (size_t)job.ranks, own = block * (size_t)job.rank;
        bool right = true;
        for (size_t k = 0; k < n; k++)
            x[k] = k / (block + !block) == (size_t)job.rank ? value(0, k) : -1;
        blocking_gather(&group, x, n);
        for (size_t k = 0; k < n; k++)
            right = right && x[k] == value(0, k);
        fill(n);
        blocking_scatter(&group, x, n);
        for (size_t k = own; k < own + block; k++)
            right = right && x[k] == sum_at(k);
        assert_on_all_ranks(right);
        sent += 2 * blocking_gather_sent_floats(job.ranks, n);
    }
    tear_down(sent, 2 * LENGTHS);
}

/* 2 (p-1)/p n and (p-1)/p n where p divides n. */
static void volumes_are_those_of_the_ring(void **state)
{
    (void)state;
    for (int p = 1; p <= 8; p++)
        for (int rank = 0; rank < p; rank++) {
            const size_t n = 840 * 1000, ranks = (size_t)p;
            assert_int_equal(blocking_sum_sent_floats((size_t)1 << 20, p, rank, n), 2 * (ranks - 1) * n / ranks);
            assert_int_equal(blocking_gather_sent_floats(p, n), (ranks - 1) * n / ranks);
        }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_maxima_are_exact_for_any_length),
        cmocka_unit_test(gathered_and_scattered_blocks_are_in_rank_order),
        cmocka_unit_test(volumes_are_those_of_the_ring),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
