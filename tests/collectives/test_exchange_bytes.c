/* Bytes that exchanges say they send, for 2 to 64 ranks, against the table of formulas; where allgather stops to pay; and what is
 * refused, in which words. Nothing is sent here: that what is sent is what is said is for the tests with ranks. */
#include "collectives/parcel.h"
#include "tests/collectives/exchanges.h"

enum { P_MOST = 130 };

/* Of all ranks, and of the one that sends most. */
struct volume {
    uint64_t all, most;
};

static struct volume volume_of(const struct subject *s, int p, size_t n)
{
    struct volume v = { 0 };
    for (int rank = 0; rank < p; rank++) {
        const struct exchange_terms t = terms_of(s, n, p, rank, false);
        uint64_t B_to[P_MOST] = { 0 }, own = 0;
        assert_null(exchange_refuses(exchange_find(s->how), &t));
        assert_true(exchange_find(s->how)->sent(&t, B_to));
        assert_int_equal(B_to[rank], 0);
        for (int r = 0; r < p; r++)
            own += B_to[r];
        v.all += own;
        v.most = own > v.most ? own : v.most;
    }
    return v;
}

/* ---- formulas ------------------------------------------------------------------------------------------------------------ */

/* All ranks together send m (p-1) bytes so many times; 0: p times. Published: the volumes of Thakur et al. 2005 for rings. */
static const struct row {
    struct subject subject;
    double m_B; /* of a float of the vector */
    int times;
} rows[] = {
    { { "allreduce", "", "none", "" }, 4, 2 },
    { { "allreduce", "", "fp16", "" }, 2, 2 },
    { { "allreduce", "", "randk", "ratio=0.01 shared=true" }, 4 / 100.0, 2 },
    { { "allgather", "", "none", "" }, 4, 0 },
    { { "allgather", "", "sign", "" }, 1 / 8.0, 0 },
    { { "allgather", "", "topk", "ratio=0.01 index=list" }, 8 / 100.0, 0 },
    { { "allgather", "", "randk", "ratio=0.01" }, 4 / 100.0, 0 },
    { { "allgather", "", "permk", "" }, 4, 1 },
    { { "two-shot", "", "sign", "" }, 1 / 8.0, 2 },
    { { "two-shot", "", "topk", "ratio=0.01 index=list" }, 8 / 100.0, 2 },
    { { "ring-requantised", "", "sign", "" }, 1 / 8.0, 2 },
    { { "server", "reply=sum", "sign", "" }, 1 / 8.0 + 4, 1 },
    { { "server", "reply=code", "sign", "" }, 1 / 8.0, 2 },
};

static void exchanges_send_what_their_formulas_say(void **state)
{
    (void)state;
    for (int p = 2; p <= 64; p++)
        for (size_t i = 0; i < COUNT(rows); i++) {
            const size_t n = (size_t)p * 800 * 20; /* p divides it, and what is kept of it */
            const double times = rows[i].times ? rows[i].times : p;
            assert_true((double)volume_of(&rows[i].subject, p, n).all == rint(rows[i].m_B * (double)n) * times * (p - 1));
        }
}

/* Least bits for so many different numbers. */
static int bits_for(int count)
{
    int bits = 0;
    while (1 << bits < count)
        bits++;
    return bits;
}

/* Both rings send p - 1 times all blocks, each rounded up to bytes; scales go by doubling, log2 q rounds of the q ranks that are a
 * power of two, and to and from each of the rest. */
static void widened_integers_are_rounded_up_to_bytes_in_every_block(void **state)
{
    (void)state;
    const size_t lengths[] = { 0, 5, 1000003 };
    const struct subject s = { "ring-widened", "", "qsgd", "levels=16 bucket=all" };
    for (int p = 2; p <= 64; p++)
        for (size_t i = 0; i < COUNT(lengths); i++) {
            const size_t n = lengths[i], ranks = (size_t)p, bits = (size_t)(bits_for(33) + bits_for(p));
            const int q = 1 << (bits_for(p + 1) - 1);
            size_t blocks = 0;
            for (size_t b = 0; b < ranks; b++)
                blocks += ((n / ranks + (b < n % ranks)) * bits + 7) / 8;
            const size_t scales = n ? 4 * (size_t)(q * bits_for(q) + 2 * (p - q)) : 0;
            assert_int_equal(volume_of(&s, p, n).all, 2 * (ranks - 1) * blocks + scales);
        }
}

static void a_hierarchy_sends_dense_within_nodes_and_codes_between(void **state)
{
    (void)state;
    const size_t n = 8 * 16 * 1000;
    for (size_t g = 1; g <= 16; g *= 2)
        for (size_t nodes = 1; nodes <= 4; nodes++) {
            const char *options[] = { "node_ranks=1", "node_ranks=2", "node_ranks=4", "node_ranks=8", "node_ranks=16" };
            const struct subject s = { "hierarchical", options[bits_for((int)g)], "sign", "" };
            const size_t each = 2 * 4 * n * (g - 1) / g + n / 8 / g * (nodes - 1);
            const struct volume v = volume_of(&s, (int)(g * nodes), n);
            assert_int_equal(v.most, each);
            assert_int_equal(v.all, each * g * nodes);
        }
}

/* ---- where it pays ------------------------------------------------------------------------------------------------------- */

/* Bytes of an allgather beyond those of a dense ring. */
static double excess_B(const char *kind, const char *options, int p, size_t n)
{
    const struct subject gather = { "allgather", "", kind, options }, ring = { "allreduce", "", "none", "" };
    return (double)volume_of(&gather, p, n).all - (double)volume_of(&ring, p, n).all;
}

/* p = 2 * 4n / m (derived): the ring's 2 (p-1)/p 4n are m (p-1). */
static void allgather_beats_a_dense_ring_below_twice_the_compression_ratio(void **state)
{
    (void)state;
    const struct {
        const char *kind, *options;
        int p;
        size_t n, extra_B; /* bytes of a code beyond the ratio's */
    } crossings[] = { { "sign", "", 64, 6400, 0 },
                      { "qsgd", "levels=127 bucket=all", 8, 8000, 4 },
                      { "topk", "ratio=0.01 index=list", 100, 10000, 0 } };
    for (size_t i = 0; i < COUNT(crossings); i++) {
        const char *kind = crossings[i].kind, *options = crossings[i].options;
        const int p = crossings[i].p;
        assert_true(excess_B(kind, options, p - 1, crossings[i].n) < 0);
        assert_true(excess_B(kind, options, p, crossings[i].n) == (double)crossings[i].extra_B * p * (p - 1));
        assert_true(excess_B(kind, options, p + 1, crossings[i].n) > 0);
    }
}

/* ---- refusals ------------------------------------------------------------------------------------------------------------ */

static void what_cannot_ride_is_told_why(void **state)
{
    (void)state;
    const struct {
        struct subject subject;
        int p;
        bool feedback;
        const char *why;
    } refused[] = {
        { { "allreduce", "", "topk", "" }, 8, false, "its codes cannot be added on their way (fits: \"allgather\")" },
        { { "allgather", "", "powersgd", "" }, 8, false, "it needs several sums, one after the other" },
        { { "allgather", "", "dgc", "" },
          8,
          true,
          "it keeps what it does not send itself (fits: exchange.error_feedback = false)" },
        { { "two-shot", "", "dgc", "" }, 8, false, "it keeps something from step to step" },
        { { "two-shot", "", "atomo", "" }, 8, false, "it looks at rows and columns" },
        { { "two-shot", "", "topk", "k=126" }, 8, false, "k" },
        { { "ring-requantised", "", "dgc", "" }, 8, false, "it keeps something from step to step" },
        { { "ring-requantised", "", "atomo", "" }, 8, false, "it looks at rows and columns" },
        { { "ring-widened", "", "topk", "" }, 8, false, "its symbols are no integers that could be summed (fits: \"qsgd\"" },
        { { "ring-widened", "", "qsgd", "levels=32767" }, 2, false, "symbols of 16 bits summed over 2 ranks need 17 (fits: 16" },
        { { "hierarchical", "node_ranks=3", "sign", "" }, 8, false, "node_ranks is 3, which does not divide its 8 ranks" },
        { { "hierarchical", "node_ranks=2", "atomo", "" }, 8, false, "it looks at rows and columns" },
        { { "server", "reply=code", "dgc", "" }, 8, false, "it keeps something from step to step" },
        { { "server", "reply=sum", "powersgd", "" }, 8, false, "it needs several sums, one after the other" },
    };
    for (size_t i = 0; i < COUNT(refused); i++) {
        const struct exchange_terms t = terms_of(&refused[i].subject, 1000, refused[i].p, 0, refused[i].feedback);
        const char *why = exchange_refuses(exchange_find(refused[i].subject.how), &t);
        assert_non_null(why);
        if (strncmp(why, refused[i].why, strlen(refused[i].why)) != 0)
            fail_msg("%s by %s: %s", refused[i].subject.kind, refused[i].subject.how, why);
    }
}

static void a_length_that_cannot_be_is_cut_to_the_longest_code(void **state)
{
    (void)state;
    enum { N = 100 };
    const struct subject s = { "allgather", "", "threshold", "threshold=0" };
    const struct exchange_terms t = terms_of(&s, N, 2, 0, false);
    unsigned char message[sizeof(uint32_t) + 8 * N];
    const struct parcel p = { t.coding, message };
    assert_int_equal(parcel_most_B(&t, &p.coding), sizeof message);
    const uint32_t lengths[] = { 0, 8, 8 * N, 8 * N + 1, 1U << 31, UINT32_MAX };
    for (size_t i = 0; i < COUNT(lengths); i++) {
        memcpy(message, &lengths[i], sizeof lengths[i]);
        assert_int_equal(parcel_B(&t, &p), sizeof(uint32_t) + (lengths[i] < 8 * N ? lengths[i] : 8 * N));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchanges_send_what_their_formulas_say),
        cmocka_unit_test(widened_integers_are_rounded_up_to_bytes_in_every_block),
        cmocka_unit_test(a_hierarchy_sends_dense_within_nodes_and_codes_between),
        cmocka_unit_test(allgather_beats_a_dense_ring_below_twice_the_compression_ratio),
        cmocka_unit_test(what_cannot_ride_is_told_why),
        cmocka_unit_test(a_length_that_cannot_be_is_cut_to_the_longest_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
