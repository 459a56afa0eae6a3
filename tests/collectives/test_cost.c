/* What collectives cost. Oracles: the textbook formulas on equal links, and small clusters worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collectives/engine.h"

enum { P = 8, N = 64000 };
static const double a = 2e-5, B = 1.25e9;
static const int eight[P] = { 0, 1, 2, 3, 4, 5, 6, 7 };

static struct cluster cluster(int nodes, int node_ranks, bool shared)
{
    return (struct cluster){ nodes, node_ranks, .inside = { 1e-6, 1e10 }, .between = { a, B }, .shared = shared };
}

static void assert_s(double got_s, double wanted_s)
{
    if (!(fabs(got_s - wanted_s) <= 1e-9 * wanted_s))
        fail_msg("%.12g s, not %.12g s", got_s, wanted_s);
}

static double seconds_of(const char *name, const struct cluster *c)
{
    return cluster_allreduce_s(c, allreduce_find(name), eight, P, N);
}

static void algorithms_cost_their_formulas_on_equal_links(void **state)
{
    (void)state;
    const struct cluster c = cluster(P, 1, true);
    const double n_s = 4.0 * N / B;
    assert_s(seconds_of("ring", &c), 2 * (P - 1) * (a + n_s / P));
    assert_s(seconds_of("doubling", &c), 3 * (a + n_s));
    assert_s(seconds_of("halving", &c), 6 * a + 2 * 7.0 / 8 * n_s);
    assert_s(seconds_of("tree", &c), 6 * (a + n_s));
}

static void the_library_s_own_has_no_cost(void **state)
{
    (void)state;
    const struct cluster c = cluster(P, 1, true);
    assert_true(isnan(seconds_of("mpi", &c)));
    assert_int_equal(cluster_allreduce_s(&c, &allreduce_ring, eight, 1, N), 0);
}

/* Over two nodes of four, the ring crosses each uplink once a round; doubling does so in one of its rounds with all four ranks. */
static void ranks_of_a_node_share_its_uplink(void **state)
{
    (void)state;
    const struct cluster shared = cluster(2, 4, true), own = cluster(2, 4, false);
    const double n_s = 4.0 * N / B, inside_s = 1e-6 + 4.0 * N / 1e10;
    assert_s(seconds_of("ring", &shared), 2 * (P - 1) * (a + n_s / P));
    assert_s(seconds_of("doubling", &shared), 2 * inside_s + a + 4 * n_s);
    assert_s(seconds_of("doubling", &own), 2 * inside_s + a + n_s);
}

/* Four rings of two, one rank of each on either node: they cross together. */
static void groups_that_cross_at_once_share_too(void **state)
{
    (void)state;
    const int pairs[P] = { 0, 4, 1, 5, 2, 6, 3, 7 };
    const struct cluster shared = cluster(2, 4, true), own = cluster(2, 4, false);
    const struct cost_groups all = { &shared, pairs, 2, 4 }, one = { &shared, pairs, 2, 1 }, apart = { &own, pairs, 2, 4 };
    const double half_s = 2.0 * N / B;
    assert_s(cost_of_rounds(&all, &allreduce_ring, 0, 2, N, 4).alone_s, 2 * (a + 4 * half_s));
    assert_s(cost_of_rounds(&all, &allreduce_ring, 0, 2, N, 4).busiest_s, 2 * 4 * half_s);
    assert_s(cost_of_rounds(&one, &allreduce_ring, 0, 2, N, 4).alone_s, 2 * (a + half_s));
    assert_s(cost_of_rounds(&apart, &allreduce_ring, 0, 2, N, 4).alone_s, 2 * (a + half_s));
}

/* A ring is as slow as its slowest link, round after round; a tree uses the link from 1 to 0 once only, and until then the sum of 2
 * and 3 has come, too. */
static void a_matrix_has_a_link_for_every_pair(void **state)
{
    (void)state;
    enum { M = 4, FLOATS = 400 };
    double latency_s[M * M], bandwidth_B_per_s[M * M];
    for (int i = 0; i < M * M; i++) {
        latency_s[i] = 1;
        bandwidth_B_per_s[i] = 1000;
    }
    latency_s[1 * M + 0] = 5;
    bandwidth_B_per_s[1 * M + 2] = 100;
    const struct cluster c = { M, 1, .shared = true, .latency_s = latency_s, .bandwidth_B_per_s = bandwidth_B_per_s };
    assert_s(cluster_allreduce_s(&c, &allreduce_ring, eight, M, FLOATS), 6 * (1 + 4 * 100 / 100.0));
    const double n_s = 4 * FLOATS / 1000.0;
    assert_s(cluster_allreduce_s(&c, &allreduce_tree, eight, M, FLOATS), (5 + n_s) + 2 * (1 + n_s));
}

/* Rank 1 is late for round 1 by its slow way in; so is rank 2 in round 2, but no sooner. */
static void a_round_waits_for_its_own_messages_only(void **state)
{
    (void)state;
    enum { M = 3 };
    double latency_s[M * M], bandwidth_B_per_s[M * M];
    for (int i = 0; i < M * M; i++) {
        latency_s[i] = 1;
        bandwidth_B_per_s[i] = INFINITY;
    }
    latency_s[0 * M + 1] = 10;
    const struct cluster c = { M, 1, .shared = true, .latency_s = latency_s, .bandwidth_B_per_s = bandwidth_B_per_s };
    const struct cost_groups g = { &c, eight, M, 1 };
    assert_s(cost_of_rounds(&g, &allreduce_ring, 0, 1, 3, 4).alone_s, 10);
    assert_s(cost_of_rounds(&g, &allreduce_ring, 1, 2, 3, 4).alone_s, 20);
}

static void codes_go_round_a_ring(void **state)
{
    (void)state;
    const struct cluster c = cluster(P, 1, true);
    const struct cost_groups g = { &c, eight, P, 1 };
    assert_s(cost_of_gather(&g, 1001).alone_s, (P - 1) * (a + 1001 / B));
}

/* Long latency: as many turns as slots allow. Little bandwidth: the busiest link never rests. */
static void segments_hide_each_other_s_latency(void **state)
{
    (void)state;
    struct cluster c = cluster(P, 1, true);
    const struct cost_groups g = { &c, eight, P, 1 };
    const size_t segment_B = 32768, n = 16 * P * segment_B / 4; /* 16 segments */
    const double message_s = (double)segment_B / B;
    c.between.latency_s = 1;
    assert_s(engine_sum_s(&allreduce_ring, SUM_ALLREDUCE, segment_B, &g, n), 4 * 14 * (1 + message_s));
    c.between.latency_s = 1e-6;
    assert_s(engine_sum_s(&allreduce_ring, SUM_ALLREDUCE, segment_B, &g, n), 16 * 14 * message_s + 1e-6);
    assert_s(engine_sum_s(&allreduce_ring, SUM_ALLGATHER, segment_B, &g, n), 16 * 7 * message_s + 1e-6);
    assert_int_equal(engine_sum_s(&allreduce_ring, SUM_ALLREDUCE, segment_B, &g, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(algorithms_cost_their_formulas_on_equal_links),
        cmocka_unit_test(the_library_s_own_has_no_cost),
        cmocka_unit_test(ranks_of_a_node_share_its_uplink),
        cmocka_unit_test(groups_that_cross_at_once_share_too),
        cmocka_unit_test(a_matrix_has_a_link_for_every_pair),
        cmocka_unit_test(a_round_waits_for_its_own_messages_only),
        cmocka_unit_test(codes_go_round_a_ring),
        cmocka_unit_test(segments_hide_each_other_s_latency),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
