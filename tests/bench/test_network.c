/* The stated network: what is refused and with which sentence, and the cluster that the keys become. Oracle: the keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "bench/compute.h"

enum { RANKS = 8 };

static status settle(struct config *c, const char *text)
{
    const status s = config_parse(c, "x.json", text, ".", NULL, 0);
    return s == STATUS_OK ? config_settle(c, RANKS) : s;
}

static void check_refused(const char *text, const char *sentence)
{
    struct config c;
    assert_int_equal(settle(&c, text), STATUS_USAGE);
    assert_string_equal(status_message(), sentence);
    config_free(&c);
}

static void a_network_has_a_place_for_every_rank(void **state)
{
    (void)state;
    check_refused("{\"network\": {\"nodes\": 3, \"node_ranks\": 2}}",
                  "x.json: a network of 3 nodes of 2 ranks is too small for 8 ranks (fits: 4 nodes, or network.node_ranks = 3)");
    check_refused("{\"network\": {\"node_ranks\": 3, \"matrix\": {\"latency_s\": [[0, 1], [1, 0]], "
                  "\"bandwidth_B_per_s\": [[0, 1], [1, 0]]}}}",
                  "x.json: a network of 2 nodes of 3 ranks is too small for 8 ranks (fits: 3 nodes, or network.node_ranks = 4)");
}

static void a_matrix_is_square_and_there_are_two(void **state)
{
    (void)state;
    check_refused("{\"network\": {\"node_ranks\": 4, \"matrix\": {\"latency_s\": [[0, 1, 2], [1, 0, 2]]}}}",
                  "x.json: network.matrix.latency_s has 2 rows of 3 numbers (a row and a column for each node)");
    check_refused("{\"network\": {\"node_ranks\": 4, \"matrix\": {\"latency_s\": [[0, 1], [1, 0]]}}}",
                  "x.json: network.matrix.latency_s is of 2 nodes, network.matrix.bandwidth_B_per_s of 0 (both are needed, of the "
                  "same nodes)");
    check_refused("{\"network\": {\"nodes\": 4, \"node_ranks\": 4, \"matrix\": {\"latency_s\": [[0, 1], [1, 0]], "
                  "\"bandwidth_B_per_s\": [[0, 1], [1, 0]]}}}",
                  "x.json: network.nodes = 4, but network.matrix.latency_s is of 2");
}

static void a_matrix_s_nodes_have_ranks(void **state)
{
    (void)state;
    check_refused(
        "{\"network\": {\"matrix\": {\"latency_s\": [[0, 1, 1], [1, 0, 1], [1, 1, 0]], "
        "\"bandwidth_B_per_s\": [[0, 1, 1], [1, 0, 1], [1, 1, 0]]}}}",
        "x.json: network.matrix.latency_s is of 3 nodes, but network.node_ranks = \"all\" puts all ranks on the first (fits "
        "8 ranks: network.node_ranks = 3)");
}

static void a_link_carries_something(void **state)
{
    (void)state;
    check_refused("{\"network\": {\"node_ranks\": 4, \"matrix\": {\"latency_s\": [[0, 1], [1, 0]], "
                  "\"bandwidth_B_per_s\": [[0, 1], [0, 0]]}}}",
                  "x.json: network.matrix.bandwidth_B_per_s is 0 from node 1 to node 0, which no message would ever cross (a "
                  "positive number fits)");
    struct config c;
    assert_int_equal(settle(&c, "{\"network\": {\"between\": {\"bandwidth_B_per_s\": 0}}}"), STATUS_USAGE);
    assert_non_null(strstr(status_message(), "network.between.bandwidth_B_per_s"));
}

static void stragglers_are_ranks_of_the_job_and_slower(void **state)
{
    (void)state;
    check_refused("{\"compute\": {\"slowdown\": [[0, 2], [99, 2]]}}", "x.json: compute.slowdown names rank 99 (ranks are 0 .. 7)");
    check_refused("{\"compute\": {\"slowdown\": [[1.5, 2]]}}", "x.json: compute.slowdown names rank 1.5 (ranks are 0 .. 7)");
    check_refused("{\"compute\": {\"slowdown\": [[1, 0.5]]}}",
                  "x.json: compute.slowdown of rank 1 is 0.5 (1 or more: a rank can only be made slower)");
    check_refused("{\"compute\": {\"slowdown\": [[1, 2, 3]]}}",
                  "x.json: compute.slowdown has rows of 3 numbers (must be [rank, factor])");
    check_refused("{\"compute\": {\"slowdown\": [[1, 2], [3, 2], [1, 4]]}}",
                  "x.json: compute.slowdown names rank 1 twice (one row for each straggler)");
}

static void shaped_links_carry_sums_by_messages_only(void **state)
{
    (void)state;
    check_refused(
        "{\"fabric\": {\"name\": \"shaped\"}, \"exchange\": {\"allreduce\": \"mpi\"}}",
        "x.json: exchange.allreduce = \"mpi\" does not sum by messages that fabric.name = \"shaped\" sees and could delay "
        "(fits: another allreduce, or fabric.name = \"mpi\")");
    check_refused(
        "{\"fabric\": {\"name\": \"shaped\"}, \"exchange\": {\"allreduce\": \"shm\"}}",
        "x.json: exchange.allreduce = \"shm\" does not sum by messages that fabric.name = \"shaped\" sees and could delay "
        "(fits: another allreduce, or fabric.name = \"mpi\")");
}

static void a_straggler_is_slower_by_its_own_factor(void **state)
{
    (void)state;
    struct config c;
    assert_int_equal(settle(&c, "{\"compute\": {\"slowdown\": [[5, 2.5], [0, 4]]}}"), STATUS_OK);
    for (int r = 0; r < RANKS; r++)
        assert_true(compute_slowdown(&c, r) == (r == 5 ? 2.5 : r == 0 ? 4 : 1));
    config_free(&c);
}

static void a_cluster_says_what_the_keys_say(void **state)
{
    (void)state;
    struct config c;
    assert_int_equal(settle(&c, "{\"network\": {\"node_ranks\": 3, \"inside\": {\"latency_s\": 2, \"bandwidth_B_per_s\": 3}, "
                                "\"between\": {\"latency_s\": 4, \"bandwidth_B_per_s\": 5, \"shared\": false}, "
                                "\"jitter_s\": 6, \"seed\": 7}}"),
                     STATUS_OK);
    struct cluster k = config_cluster(&c, RANKS);
    assert_true(k.nodes == 3 && k.node_ranks == 3 && !k.shared && k.jitter_s == 6 && k.seed == 7);
    assert_true(cluster_node(&k, 2) == 0 && cluster_node(&k, 7) == 2);
    assert_true(cluster_link(&k, 0, 2).latency_s == 2 && cluster_link(&k, 0, 2).bandwidth_B_per_s == 3);
    assert_true(cluster_link(&k, 2, 3).latency_s == 4 && cluster_link(&k, 2, 3).bandwidth_B_per_s == 5);
    config_free(&c);
    assert_int_equal(settle(&c, "{\"network\": {\"node_ranks\": 4, \"matrix\": {\"latency_s\": [[0, 1], [2, 0]], "
                                "\"bandwidth_B_per_s\": [[0, 3], [4, 0]]}}}"),
                     STATUS_OK);
    k = config_cluster(&c, RANKS);
    assert_true(cluster_link(&k, 1, 5).latency_s == 1 && cluster_link(&k, 5, 1).latency_s == 2);
    assert_true(cluster_link(&k, 1, 5).bandwidth_B_per_s == 3 && cluster_link(&k, 5, 1).bandwidth_B_per_s == 4);
    config_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_has_a_place_for_every_rank),
        cmocka_unit_test(a_matrix_is_square_and_there_are_two),
        cmocka_unit_test(a_matrix_s_nodes_have_ranks),
        cmocka_unit_test(a_link_carries_something),
        cmocka_unit_test(stragglers_are_ranks_of_the_job_and_slower),
        cmocka_unit_test(shaped_links_carry_sums_by_messages_only),
        cmocka_unit_test(a_straggler_is_slower_by_its_own_factor),
        cmocka_unit_test(a_cluster_says_what_the_keys_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
