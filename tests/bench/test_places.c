/* ranks: 1 6 */
/* Who shares a host. Oracles: lists of hosts as launchers deal ranks to them, and tables made by hand. */
#include "tests/collectives/mpi_test.h"

#include <string.h>

#include "bench/places.h"

enum { HOSTS = 8, EACH = 32, RANKS = HOSTS * EACH };

static char names[HOSTS][4];

static void name_hosts(void)
{
    for (int h = 0; h < HOSTS; h++)
        snprintf(names[h], sizeof names[h], "n%d", h);
}

/* Rank r comes to be rank order[r]: all of them once, each host's next to each other, and within a host in the order they were in.
 */
static void assert_in_order(char *const *hosts, int ranks, char **sorted)
{
    int order[RANKS];
    places_order(hosts, ranks, order);
    memset(sorted, 0, (size_t)ranks * sizeof *sorted);
    for (int r = 0; r < ranks; r++) {
        assert_in_range(order[r], 0, ranks - 1);
        assert_null(sorted[order[r]]);
        sorted[order[r]] = hosts[r];
        for (int q = 0; q < r; q++)
            assert_true(strcmp(hosts[q], hosts[r]) || order[q] < order[r]);
    }
    assert_int_equal(order[0], 0);
}

static void ranks_dealt_round_robin_become_neighbours_on_their_host(void **state)
{
    (void)state;
    char *hosts[RANKS], *sorted[RANKS];
    name_hosts();
    for (int r = 0; r < RANKS; r++)
        hosts[r] = names[r % HOSTS];
    assert_int_equal(places_node_ranks(hosts, RANKS), 1);
    assert_in_order(hosts, RANKS, sorted);
    for (int r = 0; r < RANKS; r++)
        assert_string_equal(sorted[r], names[r / EACH]);
    assert_int_equal(places_node_ranks(sorted, RANKS), EACH);
}

static void ranks_dealt_in_blocks_stay_as_they_are(void **state)
{
    (void)state;
    char *hosts[RANKS], *sorted[RANKS];
    name_hosts();
    for (int r = 0; r < RANKS; r++)
        hosts[r] = names[r / EACH];
    assert_in_order(hosts, RANKS, sorted);
    for (int r = 0; r < RANKS; r++)
        assert_ptr_equal(sorted[r], hosts[r]);
}

/* Of 4 + 2 ranks every 2 are together, of 3 + 2 none. */
static void uneven_hosts_have_the_divisor_of_their_ranks(void **state)
{
    (void)state;
    char *a = "a", *b = "b", *sorted[RANKS];
    char *six[] = { a, b, a, b, a, a }, *five[] = { a, b, a, b, a };
    assert_in_order(six, 6, sorted);
    assert_int_equal(places_node_ranks(sorted, 6), 2);
    assert_in_order(five, 5, sorted);
    assert_int_equal(places_node_ranks(sorted, 5), 1);
    assert_int_equal(places_node_ranks(sorted, 3), 3);
}

/* Replicas that are neighbours fill nodes; those that are t x p apart have the nodes' ranks divided by that. */
static void replicas_are_together_as_often_as_every_group_of_them_is(void **state)
{
    (void)state;
    static const struct {
        const char *sets[4];
        int ranks, replicas, g;
    } cases[] = {
        { { NULL }, 16, 16, 16 },
        { { "network.node_ranks=4" }, 16, 16, 4 },
        { { "network.node_ranks=6" }, 16, 16, 2 },
        { { "network.node_ranks=8", "parallel.tensor=2" }, 16, 8, 4 },
        { { "network.node_ranks=8", "parallel.tensor=2", "parallel.pipeline=4" }, 16, 2, 1 },
        { { "network.node_ranks=8", "parallel.tensor=2", "parallel.order=dp-tp-pp" }, 16, 8, 8 },
        { { "network.node_ranks=3", "parallel.tensor=2" }, 12, 6, 1 },
        { { "network.node_ranks=4", "parallel.pipeline=2", "parallel.schedule.name=chimera" }, 8, 8, 1 },
        { { "parallel.pipeline=2", "parallel.schedule.name=chimera" }, 8, 8, 8 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config c;
        int n = 0;
        while (cases[i].sets[n])
            n++;
        assert_int_equal(config_parse(&c, "x.json", "{ \"batch\": { \"micro\": 1 } }", ".", cases[i].sets, n), STATUS_OK);
        if (config_settle(&c, cases[i].ranks) != STATUS_OK)
            fail_msg("%s", status_message());
        assert_int_equal(places_replicas(&c, cases[i].replicas).g, cases[i].g);
        assert_int_equal(places_replicas(&c, cases[i].replicas).p, cases[i].replicas);
        config_free(&c);
    }
}

/* Where nobody looked at hosts, on shaped links and on simulated hosts, what is stated counts; else what is seen. */
static void the_stated_network_counts_where_messages_cross_it(void **state)
{
    (void)state;
    struct config c;
    const char *const sets[] = { "network.node_ranks=4", "fabric.name=shaped" };
    const bool simulated = job_is_simulated();                              /* fabric shaped is refused there */
    const int fits[][2] = { { 8, 2 }, { 4, simulated ? 4 : 2 }, { 4, 4 } }; /* not seen, seen */
    for (int n = 0; n < 3 - simulated; n++)
        for (int seen = 0; seen < 2; seen++) {
            assert_int_equal(config_parse(&c, "x.json", "{}", ".", sets, n), STATUS_OK);
            assert_int_equal(config_settle(&c, 8), STATUS_OK);
            c.node_ranks_seen = 2 * seen;
            assert_int_equal(places_replicas(&c, 8).g, fits[n][seen]);
            assert_int_equal(config_cluster(&c, 8).nodes, 8 / fits[n][seen]);
            config_free(&c);
        }
}

/* Ranks go to hosts a and b in turn, both on one machine; rank 5 is on another. MPI itself says who has become whom. */
static void a_job_is_renumbered_by_host_and_every_rank_knows_its_seat(void **state)
{
    (void)state;
    static const char *const placements[] = { "parallel.placement=host", "parallel.placement=launcher" };
    for (int launcher = 0; launcher < 2; launcher++) {
        struct config c;
        struct job moved = job;
        assert_on_all_ranks(config_parse(&c, "x.json", "{}", ".", &placements[launcher], 1) == STATUS_OK);
        const bool last = job.rank == 5;
        const struct seat seat = places_take(&moved, &c, last ? "c" : job.rank % 2 ? "b" : "a", last ? "other" : "machine");
        static const int by_host[] = { 0, 3, 1, 4, 2, 5 };
        const int expected = launcher || job.ranks == 1 ? job.rank : by_host[job.rank], locals = job.ranks == 1 ? 1 : 5;
        int rank;
        MPI_Comm_rank(moved.world, &rank);
        assert_on_all_ranks(rank == expected && moved.rank == expected && seat.mpi_rank == job.rank);
        assert_on_all_ranks(seat.local == (last ? 0 : expected) && seat.locals == (last ? 1 : locals));
        assert_on_all_ranks(c.node_ranks_seen == 1);
        if (moved.world != job.world)
            MPI_Comm_free(&moved.world);
        config_free(&c);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_dealt_round_robin_become_neighbours_on_their_host),
        cmocka_unit_test(ranks_dealt_in_blocks_stay_as_they_are),
        cmocka_unit_test(uneven_hosts_have_the_divisor_of_their_ranks),
        cmocka_unit_test(replicas_are_together_as_often_as_every_group_of_them_is),
        cmocka_unit_test(the_stated_network_counts_where_messages_cross_it),
        cmocka_unit_test(a_job_is_renumbered_by_host_and_every_rank_knows_its_seat),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
