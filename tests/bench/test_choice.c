/* exchange.allreduce "auto". Oracles: the rule as its header states it; and links of which only latency, or only bandwidth, or only
 * what is between nodes costs anything, where the textbook says which algorithm is best. */
#include "tests/kernels/check.h"

#include "bench/gradient_choice.h"
#include "bench/places.h"

enum { RANKS = 16, LARGE = 1 << 20 };

static void open_config(struct config *c, const char *first, const char *second)
{
    const char *const sets[] = { "exchange.allreduce=auto", "batch.micro=1", first, second };
    const int count = second ? 4 : first ? 3 : 2;
    if (config_parse(c, "x.json", "{}", ".", sets, count) != STATUS_OK || config_settle(c, RANKS) != STATUS_OK)
        fail_msg("%s", status_message());
}

static const char *choice(const struct config *c, size_t n)
{
    return gradient_allreduce(c, places_replicas(c, (int)c->parallel.data), n)->member.name;
}

static void without_links_there_is_a_rule_of_thumb(void **state)
{
    (void)state;
    static const struct {
        const char *set, *zero;
        int seen;
        const char *small, *large; /* 16 KiB, and one float more */
    } cases[] = {
        { NULL, NULL, 0, "doubling", "ring" },
        { NULL, NULL, RANKS, "doubling", "shm" },
        { NULL, NULL, 4, "doubling", "hierarchical" },
        { NULL, NULL, 1, "doubling", "ring" },
        { "network.node_ranks=4", NULL, 0, "doubling", "hierarchical" },
        { "network.node_ranks=4", NULL, RANKS, "doubling", "shm" }, /* one real host */
        { "network.node_ranks=4", "fabric.name=shaped", RANKS, "doubling", "hierarchical" },
        { "fabric.name=shaped", NULL, RANKS, "doubling", "ring" },
        { "parallel.tensor=4", NULL, 4, "doubling", "ring" },
        { "parallel.tensor=4", "parallel.order=dp-tp-pp", 4, "doubling", "shm" },
        { "parallel.zero=1", NULL, 4, "hierarchical", "hierarchical" },
        { "parallel.zero=3", NULL, 0, "ring", "ring" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config c;
        open_config(&c, cases[i].set, cases[i].zero);
        c.node_ranks_seen = cases[i].seen;
        assert_string_equal(choice(&c, 4096), cases[i].small);
        assert_string_equal(choice(&c, 4097), cases[i].large);
        assert_true(gradient_shares_memory(&c) == (strcmp(cases[i].large, "shm") == 0));
        config_free(&c);
    }
}

static void choose(struct config *c, struct cluster_link inside, struct cluster_link between)
{
    struct rates r = { .cluster = config_cluster(c, RANKS), .linked = true };
    r.cluster.inside = inside;
    r.cluster.between = between;
    assert_int_equal(gradient_choose_by(c, RANKS, &r), STATUS_OK);
}

static void with_links_it_is_the_one_of_least_cost(void **state)
{
    (void)state;
    const struct cluster_link late = { 1, 1e18 }, narrow = { 1e-12, 1e6 }, free_of_cost = { 1e-12, 1e18 }, mixed = { 1e-4, 1e8 };
    struct config c;
    open_config(&c, NULL, NULL); /* one node */
    choose(&c, late, late);
    assert_string_equal(choice(&c, 1), "doubling");
    assert_string_equal(choice(&c, 8192), "doubling"); /* one segment: as a longer vector, it would take turns */
    choose(&c, narrow, narrow);                        /* 2 (p-1)/p n, by ring or halving, log2 p n by the others */
    assert_true(strcmp(choice(&c, LARGE), "ring") == 0 || strcmp(choice(&c, LARGE), "halving") == 0);
    choose(&c, mixed, mixed); /* the two cross */
    assert_string_equal(choice(&c, 64), "doubling");
    assert_string_not_equal(choice(&c, LARGE), "doubling");
    config_free(&c);
    open_config(&c, "network.node_ranks=4", NULL); /* what crosses costs, and few rounds of little do so */
    choose(&c, free_of_cost, narrow);
    assert_string_equal(choice(&c, LARGE), "hierarchical");
    config_free(&c);
    open_config(&c, "parallel.zero=2", NULL);
    choose(&c, late, late);
    assert_non_null(gradient_allreduce(&c, places_replicas(&c, RANKS), 1)->scatter_rounds);
    config_free(&c);
}

static void a_named_algorithm_is_that_one_whatever_it_costs(void **state)
{
    (void)state;
    struct config c;
    open_config(&c, "exchange.allreduce=tree", NULL);
    choose(&c, (struct cluster_link){ 0, 1 }, (struct cluster_link){ 0, 1 });
    assert_string_equal(choice(&c, LARGE), "tree");
    config_free(&c);
}

static void unknown_links_leave_the_rule(void **state)
{
    (void)state;
    struct config c;
    open_config(&c, NULL, NULL);
    const struct rates unknown = { .cluster = config_cluster(&c, RANKS) };
    assert_int_equal(gradient_choose_by(&c, RANKS, &unknown), STATUS_OK);
    assert_string_equal(choice(&c, LARGE), "ring");
    config_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_links_there_is_a_rule_of_thumb),
        cmocka_unit_test(with_links_it_is_the_one_of_least_cost),
        cmocka_unit_test(a_named_algorithm_is_that_one_whatever_it_costs),
        cmocka_unit_test(unknown_links_leave_the_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
