/* The cut of layers into stages against every possible cut, tried one by one. */
#include "tests/kernels/check.h"

#include "bench/partition.h"

enum { LAYERS_MAX = 9 };

struct search {
    const double *cost;
    int n, parts;
    int first[LAYERS_MAX + 1], best[LAYERS_MAX + 1];
    double dearest, cheapest; /* of the best */
};

static void consider(struct search *s)
{
    double dearest = 0, cheapest = 1e9;
    for (int part = 0; part < s->parts; part++) {
        double sum = 0;
        for (int i = s->first[part]; i < s->first[part + 1]; i++)
            sum += s->cost[i];
        dearest = fmax(dearest, sum);
        cheapest = fmin(cheapest, sum);
    }
    if (dearest < s->dearest || (dearest == s->dearest && cheapest > s->cheapest)) { /* the earliest of equals comes first */
        s->dearest = dearest;
        s->cheapest = cheapest;
        memcpy(s->best, s->first, sizeof s->best);
    }
}

static void try_all(struct search *s, int part)
{
    if (part == s->parts) {
        consider(s);
        return;
    }
    for (int at = s->first[part - 1] + 1; at <= s->n - (s->parts - part); at++) {
        s->first[part] = at;
        try_all(s, part + 1);
    }
}

static void by_cost_is_the_best_of_all_cuts(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 300; seed++) {
        float noise[LAYERS_MAX];
        double cost[LAYERS_MAX];
        const int n = 1 + (int)seed % LAYERS_MAX;
        fill(noise, LAYERS_MAX, seed);
        for (int i = 0; i < n; i++)
            cost[i] = floor(3 + 3 * (double)noise[i]); /* 0 .. 5, so that there are ties */
        for (int parts = 1; parts <= n; parts++) {
            struct search s = { .cost = cost, .n = n, .parts = parts, .dearest = 1e9 };
            int first[LAYERS_MAX + 1];
            s.first[parts] = n;
            try_all(&s, 1);
            assert_int_equal(partition_by_cost(cost, n, parts, first), STATUS_OK);
            for (int part = 0; part <= parts; part++)
                assert_int_equal(first[part], s.best[part]);
        }
    }
}

static void evenly_counts_repeated_layers_only(void **state)
{
    (void)state;
    const bool gpt[] = { false, true, true, true, true, true, true, false }, mlp[] = { true, true, true, true };
    int first[5];
    partition_evenly(gpt, 8, 3, first); /* embedding and 2 | 2 | 2 and head */
    assert_memory_equal(first, ((int[]){ 0, 3, 5, 8 }), 4 * sizeof(int));
    partition_evenly(gpt, 8, 1, first);
    assert_memory_equal(first, ((int[]){ 0, 8 }), 2 * sizeof(int));
    partition_evenly(mlp, 4, 4, first);
    assert_memory_equal(first, ((int[]){ 0, 1, 2, 3, 4 }), 5 * sizeof(int));
}

static void a_heavy_last_layer_moves_the_cuts(void **state)
{
    (void)state;
    const double cost[] = { 0, 2, 2, 2, 2, 6 }; /* embedding, four blocks, head */
    int first[4];
    partition_by_cost(cost, 6, 3, first);
    assert_memory_equal(first, ((int[]){ 0, 3, 5, 6 }), 4 * sizeof(int));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_cost_is_the_best_of_all_cuts),
        cmocka_unit_test(evenly_counts_repeated_layers_only),
        cmocka_unit_test(a_heavy_last_layer_moves_the_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
