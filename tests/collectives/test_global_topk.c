/* ranks: 1 2 3 4 5 7 8 16, simulated: 64 */
/* gtopk and oktopk against their definitions, played on one rank over whole vectors with a sort, and with feedback: nothing is
 * lost, and a saved state goes on bit for bit. */
#include "tests/collectives/sparse_runs.h"

enum { N_MOST = 1000 };

static struct player player;
static float vector[N_MOST], sum[N_MOST];

static const double *ranked; /* what by_magnitude compares */

static int by_magnitude(const void *a, const void *b)
{
    const size_t i = *(const size_t *)a, j = *(const size_t *)b;
    const double x = fabs(ranked[i]), y = fabs(ranked[j]);
    return x != y ? (x < y) - (x > y) : (i > j) - (i < j);
}

/* All but the k largest of x[n] become 0. */
static void keep_largest(double *x, size_t n, size_t k)
{
    static size_t order[N_MOST];
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    ranked = x;
    qsort(order, n, sizeof *order, by_magnitude);
    for (size_t i = k; i < n; i++)
        x[order[i]] = 0;
}

static double lists[RANKS_MOST][N_MOST], befores[RANKS_MOST][N_MOST], afters[RANKS_MOST][N_MOST];

static void gather_vectors(double (*all)[N_MOST], size_t n)
{
    static float flat[RANKS_MOST * N_MOST];
    MPI_Allgather(vector, (int)n, MPI_FLOAT, flat, (int)n, MPI_FLOAT, job.world);
    for (size_t r = 0; r < (size_t)job.ranks; r++)
        widen(all[r], flat + r * n, n);
}

/* What each rank has of its own that reached the root; lists[0] becomes the result. */
static void play_tree(size_t n, size_t k)
{
    for (int t = 1; t < job.ranks; t *= 2)
        for (int r = 0; r + t < job.ranks; r += 2 * t) {
            for (size_t i = 0; i < n; i++)
                lists[r][i] += lists[r + t][i];
            keep_largest(lists[r], n, k);
        }
}

static void open_topk(const char *how, const char *options, const char *kind_options, size_t n)
{
    const struct subject s = { how, options, "topk", kind_options };
    const struct exchange_terms t = terms_of(&s, n, job.ranks, job.rank, true);
    open_player(&player, how, &t);
    memset(vector, 0, sizeof vector);
}

static void play_topk(int64_t step, size_t n)
{
    for (size_t i = 0; i < n; i++)
        vector[i] += (float)(mixed(job.rank + 100 * (int)step, i) >> 8 & 1023) - 511.5F;
    gather_vectors(befores, n);
    play_one(player.x, step, vector, sum);
    gather_vectors(afters, n);
}

/* Every rank has all of a value or nothing, and all together have what is not in the sum. */
static bool nothing_is_lost(size_t n)
{
    bool right = true;
    for (size_t i = 0; i < n; i++) {
        double missing = sum[i];
        for (int r = 0; r < job.ranks; r++) {
            right = right && (afters[r][i] == 0 || afters[r][i] == befores[r][i]);
            missing += afters[r][i] - befores[r][i];
        }
        right = right && missing == 0;
    }
    return right;
}

static void gtopk_is_the_tree_of_its_definition_and_loses_nothing(void **state)
{
    (void)state;
    enum { N = 300, K = 40 };
    const int64_t steps = job.ranks > 16 ? 2 : 6;
    int came_back = 0;
    open_topk("gtopk", "", "k=40", N);
    for (int64_t step = 0; step < steps; step++) {
        bool right = true;
        play_topk(step, N);
        memcpy(lists, befores, sizeof lists);
        for (int r = 0; r < job.ranks; r++)
            keep_largest(lists[r], N, K);
        play_tree(N, K);
        for (size_t i = 0; i < N; i++)
            right = right && sum[i] == (float)lists[0][i];
        assert_on_all_ranks(right);
        assert_on_all_ranks(nothing_is_lost(N));
        memcpy(lists, befores, sizeof lists);
        keep_largest(lists[job.rank], N, K);
        for (size_t i = 0; i < N; i++)
            came_back += sum[i] != 0 && lists[job.rank][i] != 0 && vector[i] != 0;
    }
    MPI_Allreduce(MPI_IN_PLACE, &came_back, 1, MPI_INT, MPI_SUM, job.world);
    assert_on_all_ranks(job.ranks < 4 || came_back > 0); /* an index dropped in one subtree was brought by another */
    close_player(&player);
}

static void oktopk_begins_with_the_k_largest_of_the_sum_of_the_k_largest(void **state)
{
    (void)state;
    static const char *const options[] = { "", "balance=false", "boundaries_every=never", "threshold_every=1" };
    enum { N = 300, K = 20 };
    const int64_t steps = job.ranks > 16 ? 2 : 6;
    for (size_t o = 0; o < COUNT(options); o++) {
        bool right = true;
        open_topk("oktopk", options[o], "k=20", N);
        for (int64_t step = 0; step < steps; step++) {
            play_topk(step, N);
            assert_on_all_ranks(nothing_is_lost(N));
            if (step > 0 && strcmp(options[o], "threshold_every=1") != 0)
                continue; /* by thresholds */
            memcpy(lists, befores, sizeof lists);
            for (int r = 0; r < job.ranks; r++)
                keep_largest(lists[r], N, K);
            for (int r = 1; r < job.ranks; r++)
                for (size_t i = 0; i < N; i++)
                    lists[0][i] += lists[r][i];
            keep_largest(lists[0], N, K);
            for (size_t i = 0; i < N; i++)
                right = right && sum[i] == (float)lists[0][i];
        }
        assert_on_all_ranks(right);
        close_player(&player);
    }
}

static void oktopk_goes_on_bit_for_bit_from_a_saved_state(void **state)
{
    (void)state;
    enum { N = 1000, SAVED = 5, STEPS = 12 };
    static float saved[N], first[STEPS][N];
    size_t bytes;
    if (job.ranks > 16)
        skip_on_all_ranks("up to 16 ranks");
    open_topk("oktopk", "threshold_every=7 boundaries_every=3", "", N);
    for (int64_t step = 0; step < SAVED; step++)
        play_topk(step, N);
    memcpy(saved, vector, sizeof saved);
    void *kept = compressed_state(player.x, &bytes), *copy = malloc(bytes);
    memcpy(copy, kept, bytes);
    for (int64_t step = SAVED; step < STEPS; step++) {
        play_topk(step, N);
        memcpy(first[step], sum, sizeof saved);
    }
    memcpy(vector, saved, sizeof saved);
    memcpy(kept, copy, bytes);
    free(copy);
    bool same = true;
    for (int64_t step = SAVED; step < STEPS; step++) {
        play_topk(step, N);
        same = same && memcmp(first[step], sum, sizeof saved) == 0;
    }
    assert_on_all_ranks(same);
    close_player(&player);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gtopk_is_the_tree_of_its_definition_and_loses_nothing),
        cmocka_unit_test(oktopk_begins_with_the_k_largest_of_the_sum_of_the_k_largest),
        cmocka_unit_test(oktopk_goes_on_bit_for_bit_from_a_saved_state),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
