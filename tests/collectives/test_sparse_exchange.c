/* ranks: 1 2 3 4 5 7 8 16, simulated: 64 */
/* Exchanges of entries: sums of integers, bytes from unions of all ranks' indices, what Ok-Topk costs against its bound, 6k (p-1)/p
 * numbers (published: Li & Hoefler 2022). What holds for all exchanges is in test_exchange.c. */
#include "tests/collectives/sparse_runs.h"

enum { N_MOST = 1000 };

/* ---- a compressor that keeps what is not 0, for indices of any choice ---------------------------------------------------- */

static size_t listed_most(const struct coding *c)
{
    return *(const size_t *)c->options < c->n ? *(const size_t *)c->options : c->n;
}

static size_t listed_bytes(const struct coding *c)
{
    return 8 * listed_most(c);
}

static size_t listed_encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    (void)state, (void)scratch;
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->n; i++)
        if (x[i] != 0) {
            memcpy(code + (size_t)8 * count, &i, 4);
            memcpy(code + (size_t)8 * count++ + 4, x + i, 4);
        }
    return (size_t)8 * count;
}

static size_t listed_entries(const struct coding *c, const unsigned char *code, size_t bytes, uint32_t *index, float *value,
                             void *scratch)
{
    (void)c, (void)scratch;
    for (size_t i = 0; i < bytes / 8; i++) {
        memcpy(index + i, code + 8 * i, 4);
        memcpy(value + i, code + 8 * i + 4, 4);
    }
    return bytes / 8;
}

static void listed_decode(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    (void)c, (void)scratch;
    for (size_t i = 0; i < bytes; i += 8) {
        uint32_t index;
        float value;
        memcpy(&index, code + i, 4);
        memcpy(&value, code + i + 4, 4);
        y[index] += factor * value;
    }
}

static const struct compressor listed = { .member = { .name = "listed" },
                                          .traits = COMPRESSOR_SPARSE,
                                          .code_bytes = listed_bytes,
                                          .encode = listed_encode,
                                          .decode = listed_decode,
                                          .entries = listed_entries,
                                          .most_entries = listed_most };

/* ---- indices ------------------------------------------------------------------------------------------------------------- */

enum support { EQUAL, DISJOINT, ONE_PART, EVERY_OTHER_RANK, NONE, ALL, RANDOM, SUPPORTS };

static bool has(enum support s, size_t n, int rank, size_t i)
{
    switch (s) {
    case EQUAL:
        return i % 7 == 0;
    case DISJOINT:
        return i % (size_t)job.ranks == (size_t)rank;
    case ONE_PART:
        return i < n / (size_t)job.ranks && mixed(rank, i) % 2;
    case EVERY_OTHER_RANK:
        return rank % 2 && i % 3 == 0;
    case ALL:
        return true;
    case RANDOM:
        return mixed(rank, i) % 16 == 0;
    default:
        return false;
    }
}

static float value(enum support s, size_t n, int rank, size_t i)
{
    return has(s, n, rank, i) ? (float)(mixed(rank, i) >> 8 & 1023) - 512.5F : 0;
}

static size_t most_of(enum support s, size_t n)
{
    size_t most = 0;
    for (int r = 0; r < job.ranks; r++) {
        size_t count = 0;
        for (size_t i = 0; i < n; i++)
            count += has(s, n, r, i);
        most = count > most ? count : most;
    }
    return most;
}

/* Indices in [at, at + count) that any of the ranks first .. first + ranks - 1 has, or of ranks below p that are these modulo q. */
static size_t union_of(enum support s, size_t n, struct range range, int first, int ranks, int q)
{
    size_t all = 0;
    for (size_t i = range.at; i < range.at + range.n; i++) {
        bool any = false;
        for (int r = 0; r < job.ranks; r++)
            any = any || (r % q >= first && r % q < first + ranks && has(s, n, r, i));
        all += any;
    }
    return all;
}

/* ---- one exchange -------------------------------------------------------------------------------------------------------- */

static struct player player;
static float vector[N_MOST], sum[N_MOST];

static void open_listed(const char *how, const char *options, enum support s, size_t n)
{
    static size_t most;
    most = most_of(s, n);
    struct exchange_terms t = { .kind = &listed,
                                .coding = coding_of(&most, n),
                                .options = member_options(&exchange_find(how)->member, options),
                                .purpose = PURPOSE_GRADIENT };
    t.coding.worker = job.rank;
    t.coding.workers = job.ranks;
    open_player(&player, how, &t);
    for (size_t i = 0; i < n; i++)
        vector[i] = value(s, n, job.rank, i);
}

/* Returns the bytes that this rank sent. */
static uint64_t play_and_close(void)
{
    play_one(player.x, 0, vector, sum);
    return close_player(&player);
}

static const struct {
    const char *how, *options;
} exact[] = {
    { "sparse-doubling", "" }, { "sparse-doubling", "dense_from=0" }, { "sparse-doubling", "dense_from=1" }, { "sparse-split", "" },
    { "gtopk", "" },
};

static void entries_are_added_exactly_wherever_they_are(void **state)
{
    (void)state;
    const size_t lengths[] = { 0, 1, (size_t)job.ranks - 1, N_MOST };
    for (size_t e = 0; e < COUNT(exact); e++)
        for (int s = 0; s < SUPPORTS; s++)
            for (size_t l = 0; l < COUNT(lengths); l++) {
                const size_t n = lengths[l];
                bool right = true;
                if (strcmp(exact[e].how, "gtopk") == 0 && s != EQUAL && s != ALL)
                    continue; /* more indices than it may keep */
                open_listed(exact[e].how, exact[e].options, (enum support)s, n);
                play_and_close();
                for (size_t i = 0; i < n; i++) {
                    float all = 0;
                    for (int r = 0; r < job.ranks; r++)
                        all += value((enum support)s, n, r, i);
                    right = right && sum[i] == all;
                }
                assert_on_all_ranks(right);
            }
}

/* ---- bytes --------------------------------------------------------------------------------------------------------------- */

static uint64_t message_B(size_t entries, size_t floats, size_t limit)
{
    return 8 + (entries > limit ? 4 * floats : 8 * entries);
}

/* Of recursive doubling: below q = 2^levels ranks, each with the entries of those that are folded into it. */
static uint64_t doubling_B(enum support s, size_t n)
{
    int levels = 0;
    while (2 << levels <= job.ranks)
        levels++;
    const int q = 1 << levels, at = job.rank % q;
    const struct range all = { 0, n };
    if (job.rank >= q) {
        size_t own = 0;
        for (size_t i = 0; i < n; i++)
            own += has(s, n, job.rank, i);
        return message_B(own, n, n / 2);
    }
    uint64_t B = job.rank < job.ranks - q ? message_B(union_of(s, n, all, 0, q, q), n, n / 2) : 0;
    for (int t = 0; t < levels; t++)
        B += message_B(union_of(s, n, all, at >> t << t, 1 << t, q), n, n / 2);
    return B;
}

static uint64_t split_B(enum support s, size_t n)
{
    uint64_t B = 0;
    for (int r = 0; r < job.ranks; r++) {
        const size_t at = block_start(n, job.ranks, r), length = block_length(n, job.ranks, r);
        size_t own = 0, sends = 0;
        for (size_t i = at; i < at + length; i++)
            own += has(s, n, job.rank, i);
        for (int t = 0; 1 << t < job.ranks; t++) /* part r is among the first 2^t of p parts from this rank's on */
            sends += (r - job.rank + job.ranks) % job.ranks < ((2 << t) <= job.ranks ? 1 << t : job.ranks - (1 << t));
        B += (r != job.rank) * message_B(own, length, length / 2) +
             sends * message_B(union_of(s, n, (struct range){ at, length }, 0, job.ranks, job.ranks), length, length / 2);
    }
    return B;
}

static void bytes_are_those_of_the_unions_of_all_ranks_indices(void **state)
{
    (void)state;
    for (int s = 0; s < SUPPORTS; s++) {
        open_listed("sparse-doubling", "", (enum support)s, N_MOST);
        assert_on_all_ranks(play_and_close() == (job.ranks > 1 ? doubling_B((enum support)s, N_MOST) : 0));
        open_listed("sparse-split", "", (enum support)s, N_MOST);
        assert_on_all_ranks(play_and_close() == split_B((enum support)s, N_MOST));
    }
}

/* ---- what Ok-Topk costs -------------------------------------------------------------------------------------------------- */

static struct sparse_outcome run_oktopk(const char *options, bool clustered)
{
    const struct sparse_run run = { .how = "oktopk",
                                    .how_options = options,
                                    .kind_options = "",
                                    .clustered = clustered,
                                    .feedback = true,
                                    .n = 50000,
                                    .steps = 250,
                                    .warmup = 140,
                                    .measured_every = 128 };
    return run_sparse(&run);
}

static void oktopk_sends_at_most_6_k_numbers_on_any_number_of_ranks(void **state)
{
    (void)state;
    if (job.ranks == 1 || job.ranks > 16)
        skip_on_all_ranks("2 to 16 ranks");
    const double p = job.ranks;
    for (int clustered = 0; clustered < 2; clustered++) {
        const struct sparse_outcome o = run_oktopk("", clustered);
        assert_on_all_ranks(o.numbers_most <= 6);
        assert_on_all_ranks(o.numbers <= 6 * (p - 1) / p);
        assert_on_all_ranks(o.aimed_frac >= 0.95);
    }
}

static void oktopk_sends_a_15th_of_an_allgather_on_64_ranks(void **state)
{
    (void)state;
    if (job.ranks < 64)
        skip_on_all_ranks("64 ranks");
    struct sparse_run run = { .how = "oktopk", .how_options = "", .kind_options = "", .n = 100000, .steps = 8, .warmup = 1 };
    const struct sparse_outcome o = run_sparse(&run);
    run.how = "allgather";
    run.steps = 2;
    assert_on_all_ranks(o.numbers_most <= 6);
    assert_on_all_ranks(o.aimed_frac >= 0.95);
    assert_on_all_ranks(run_sparse(&run).numbers >= 15 * o.numbers);
}

static void oktopk_balances_what_crowds(void **state)
{
    (void)state;
    if (job.ranks < 4 || job.ranks > 8)
        skip_on_all_ranks("4 to 8 ranks");
    const struct sparse_outcome cut = run_oktopk("", true), equal = run_oktopk("boundaries_every=never", true);
    const struct sparse_outcome neither = run_oktopk("boundaries_every=never balance=false", true);
    assert_on_all_ranks(cut.imbalance < 1.3);
    assert_on_all_ranks(equal.imbalance > 1.6);
    assert_on_all_ranks(neither.numbers > 1.1 * cut.numbers);
}

/* ---- refusals ----------------------------------------------------------------------------------------------------------- */

static void codes_that_are_no_entries_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const sparse[] = { "sparse-doubling", "sparse-split", "gtopk", "oktopk" };
    for (size_t i = 0; i < COUNT(sparse); i++) {
        const struct subject s = { sparse[i], "", "none", "" };
        const struct exchange_terms t = terms_of(&s, 100, job.ranks, job.rank, false);
        assert_non_null(strstr(exchange_refuses(exchange_find(sparse[i]), &t), "fits: \""));
    }
    const struct subject s = { "oktopk", "", "threshold", "" };
    const struct exchange_terms t = terms_of(&s, 100, job.ranks, job.rank, false);
    assert_non_null(strstr(exchange_refuses(&exchange_oktopk, &t), "fits: \"topk\""));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_added_exactly_wherever_they_are),
        cmocka_unit_test(bytes_are_those_of_the_unions_of_all_ranks_indices),
        cmocka_unit_test(oktopk_sends_at_most_6_k_numbers_on_any_number_of_ranks),
        cmocka_unit_test(oktopk_sends_a_15th_of_an_allgather_on_64_ranks),
        cmocka_unit_test(oktopk_balances_what_crowds),
        cmocka_unit_test(codes_that_are_no_entries_are_refused_with_a_sentence),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
