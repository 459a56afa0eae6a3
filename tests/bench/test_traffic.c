/* The predicted bytes between ranks against the closed formulas of the field and sums by hand:
 *
 *   data       ring allreduce            2 (d-1)/d n floats from every rank, all to the next
 *   ZeRO       1 and 2: the same;  3: 3/2 of it with one micro-batch
 *   pipeline   a boundary carries every sample once forward and once back, and 8 bytes of stamp with each message
 *   tensor     8 (t-1)/t B T C floats per block and micro-batch, 12 (t-1)/t with recomputation
 * Sources: Patarasuk & Yuan 2009; Rajbhandari et al. 2020; Narayanan et al. 2021 (all published).
 */
#include "tests/kernels/check.h"

#include "bench/assignment.h"
#include "bench/traffic.h"
#include "collectives/allreduce.h"
#include "collectives/engine.h"
#include "collectives/ordered.h"

enum { SETS_MAX = 16, RANKS_MAX = 33 };

struct layout {
    int ranks;
    const char *sets[SETS_MAX];
};

static void open_config(struct config *c, const struct layout *s)
{
    int n = 0;
    while (n < SETS_MAX && s->sets[n])
        n++;
    if (config_parse(c, "x.json", "{}", ".", s->sets, n) != STATUS_OK || config_settle(c, s->ranks) != STATUS_OK)
        fail_msg("%s", status_message());
}

static struct traffic traffic_of(const struct layout *s)
{
    struct config c;
    struct traffic t;
    open_config(&c, s);
    assert_int_equal(traffic_open(&t, &c, s->ranks), STATUS_OK);
    config_free(&c);
    return t;
}
#define TRAFFIC(n, ...) traffic_of(&(const struct layout){ .ranks = n, .sets = { __VA_ARGS__ } })

static double all_B(const struct traffic *t, enum purpose p)
{
    double B = 0;
    for (int r = 0; r < t->ranks; r++)
        B += traffic_sent_B(t, p, r);
    return B;
}

static void assert_bytes(double got, double want)
{
    if (got != want)
        fail_msg("%.17g bytes, not %.17g", got, want);
}

/* A gpt of 8 blocks: C = 32, T = 16, 4 heads, 64 symbols; 64 samples in micro-batches of 4. */
#define GPT "model.layers=8", "model.hidden=32", "model.sequence=16", "model.vocabulary=64", "model.heads=4", "batch.micro=4"
static const double sample_floats = 16 * 32;
/* Derived: 8 (12 C^2 + 13 C) + (V + T) C + 2 C */
static const double gpt_floats = 8 * (12 * 32 * 32 + 13 * 32) + (64 + 16) * 32 + 2 * 32;

static void playing_an_algorithm_sends_what_its_formula_says(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 7, 1000, 70001 };
    for (size_t k = 0; allreduces[k]; k++)
        for (int p = 1; p <= RANKS_MAX && allreduces[k]->round; p++)
            for (size_t i = 0; i < COUNT(sizes); i++)
                for (int rank = 0; rank < p; rank++) {
                    const struct team t = team_of(p, p % 3 ? 1 : 3);
                    uint64_t to[RANKS_MAX] = { 0 }, sum = 0;
                    engine_sent_to(allreduces[k], SUM_ALLREDUCE, 4096, t, rank, sizes[i], to);
                    for (int r = 0; r < p; r++)
                        sum += to[r];
                    assert_int_equal(to[rank], 0);
                    assert_int_equal(sum, engine_sent_floats(allreduces[k], SUM_ALLREDUCE, 4096, t, rank, sizes[i]));
                }
}

static void the_ordered_sum_sends_what_its_formula_says(void **state)
{
    (void)state;
    for (int p = 1; p <= 9; p++)
        for (int rank = 0; rank < p; rank++)
            for (int part = SUM_ALLREDUCE; part <= SUM_ALLGATHER; part++) {
                const struct leaf_owners owners = { 11, NULL };
                uint64_t to[RANKS_MAX] = { 0 }, sum = 0;
                ordered_sent_to((enum sum_part)part, 4096, p, rank, 70001, &owners, to);
                for (int r = 0; r < p; r++)
                    sum += to[r];
                assert_int_equal(sum, ordered_sent_floats((enum sum_part)part, 4096, p, rank, 70001, &owners));
            }
}

static void data_parallel_is_one_ring(void **state)
{
    (void)state;
    struct traffic t = TRAFFIC(8, GPT);
    for (int r = 0; r < 8; r++) {
        assert_bytes(traffic_sent_B(&t, PURPOSE_GRADIENT, r), *traffic_at(&t, PURPOSE_GRADIENT, r, (r + 1) % 8));
        assert_bytes(traffic_sent_B(&t, PURPOSE_ACTIVATION, r), 0);
    }
    assert_bytes(all_B(&t, PURPOSE_GRADIENT), 2 * 7 * 4 * gpt_floats);
    traffic_close(&t);
}

static void zero_sends_what_its_paper_says(void **state)
{
    (void)state;
    const struct {
        const char *stage;
        double gradients, parameters; /* in units of (d-1) 4 n bytes over all ranks, one micro-batch */
    } rows[] = { { "parallel.zero=1", 1, 1 }, { "parallel.zero=2", 1, 1 }, { "parallel.zero=3", 1, 2 } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct traffic t = TRAFFIC(8, GPT, "batch.micro=8", "model.tied=false", rows[i].stage);
        const double unit = 7 * 4 * (gpt_floats + 64 * 32);
        assert_bytes(all_B(&t, PURPOSE_GRADIENT), rows[i].gradients * unit);
        assert_bytes(all_B(&t, PURPOSE_PARAMETERS), rows[i].parameters * unit);
        traffic_close(&t);
    }
}

static void a_boundary_carries_every_sample_once_each_way(void **state)
{
    (void)state;
    const struct {
        const char *schedule, *chunks;
        double boundaries, messages; /* of a replica; 8 micro-batches */
    } rows[] = {
        { "parallel.schedule.name=1f1b", NULL, 3, 3 * 8 },
        { "parallel.schedule.name=gpipe", NULL, 3, 3 * 8 },
        { "parallel.schedule.name=interleaved", "parallel.schedule.chunks=2", 7, 7 * 8 },
        { "parallel.schedule.name=chimera", NULL, 3, 3 * 8 },
        { "parallel.schedule.name=zb-h1", NULL, 3, 3 * 8 },
        { "parallel.schedule.name=varuna", NULL, 3, 3 * 8 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct traffic t = TRAFFIC(8, GPT, "parallel.pipeline=4", rows[i].schedule, rows[i].chunks);
        assert_bytes(all_B(&t, PURPOSE_ACTIVATION), rows[i].boundaries * 64 * 4 * sample_floats);
        assert_bytes(all_B(&t, PURPOSE_ACTIVATION_GRADIENT), rows[i].boundaries * 64 * 4 * sample_floats);
        assert_bytes(all_B(&t, PURPOSE_STAMP), 2 * rows[i].messages * 2 * 8);
        traffic_close(&t);
    }
}

static void a_batch_that_nothing_divides_is_whole_at_every_boundary(void **state)
{
    (void)state;
    struct traffic t = TRAFFIC(6, GPT, "model.layers=6", "batch.global=61", "batch.micro=7", "parallel.pipeline=3");
    assert_bytes(all_B(&t, PURPOSE_ACTIVATION), 2 * 61 * 4 * sample_floats);
    assert_bytes(all_B(&t, PURPOSE_STAMP), 2 * 9 * 2 * 8); /* ceil(61 / 7) = 9 micro-batches */
    traffic_close(&t);
}

/* Published: k values, their places drawn again by the receiver; rank r: r (rows + columns) floats, here of 64 x 32. */
static void a_boundary_carries_codes_of_its_messages(void **state)
{
    (void)state;
    const struct {
        const char *codes;
        double message_B; /* of 4 samples of 16 x 32 floats */
    } rows[] = { { "parallel.activation_compressor={\"name\":\"randk\",\"ratio\":0.25}", 4 * 16 * 32 },
                 { "parallel.activation_compressor={\"name\":\"powersgd\",\"rank\":4,\"warm_start\":false}", 4 * 4 * (64 + 32) } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct traffic t = TRAFFIC(8, GPT, "parallel.pipeline=4", rows[i].codes);
        assert_bytes(all_B(&t, PURPOSE_ACTIVATION), 3 * 16 * rows[i].message_B);
        assert_bytes(all_B(&t, PURPOSE_ACTIVATION_GRADIENT), 3 * 16 * rows[i].message_B);
        assert_bytes(*traffic_at(&t, PURPOSE_ACTIVATION, 1, 2), 8 * rows[i].message_B);
        assert_bytes(all_B(&t, PURPOSE_STAMP), 2 * 3 * 16 * 8);
        traffic_close(&t);
    }
}

static void tied_copies_are_on_the_first_and_the_last_stage(void **state)
{
    (void)state;
    struct traffic t = TRAFFIC(8, GPT, "parallel.pipeline=4"); /* ranks 0 .. 3 and 4 .. 7 */
    assert_bytes(all_B(&t, PURPOSE_TIED), 4 * 4 * 64 * 32);
    assert_bytes(*traffic_at(&t, PURPOSE_TIED, 0, 3), 4 * 64 * 32);
    assert_bytes(*traffic_at(&t, PURPOSE_TIED, 7, 4), 4 * 64 * 32);
    traffic_close(&t);
    t = TRAFFIC(8, GPT, "parallel.pipeline=4", "model.tied=false");
    assert_bytes(all_B(&t, PURPOSE_TIED), 0);
    traffic_close(&t);
}

/* Published: 8 (t-1)/t b S h per layer and micro-batch, 12 with recomputation, in elements per rank; the embedding one allreduce
 * forward, the head one backward, the loss three of b S. */
static void tensor_ranks_send_megatrons_volume(void **state)
{
    (void)state;
    const struct {
        const char *recompute, *last;
        double per_block, embedding, loss; /* allreduces of n floats, for the whole batch */
    } rows[] = { { "parallel.recompute=false", NULL, 4, 2, 3 },
                 { "parallel.recompute=true", "parallel.recompute_last_stage=true", 6, 3, 6 } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct traffic t = TRAFFIC(4, GPT, "parallel.tensor=4", "parallel.data=1", rows[i].recompute, rows[i].last);
        const double allreduces_n = 64 * (sample_floats * (8 * rows[i].per_block + rows[i].embedding) + 16 * rows[i].loss);
        assert_bytes(all_B(&t, PURPOSE_TENSOR), 2 * 3 * 4 * allreduces_n);
        assert_bytes(*traffic_at(&t, PURPOSE_TENSOR, 3, 0), traffic_sent_B(&t, PURPOSE_TENSOR, 3));
        traffic_close(&t);
    }
}

/* Two hosts of four ranks, 2 x 2 x 2: bytes that leave a host. */
static double between_hosts_B(const char *order)
{
    struct traffic t = TRAFFIC(8, GPT, "parallel.data=2", "parallel.pipeline=2", "parallel.tensor=2", order);
    double B = 0;
    for (int from = 0; from < 8; from++)
        for (int to = 0; to < 8; to++)
            B += from / 4 != to / 4 ? traffic_link_B(&t, from, to) : 0;
    traffic_close(&t);
    return B;
}

/* Derived: whichever axis is slowest crosses between the hosts. */
static void tensor_ranks_belong_on_one_host(void **state)
{
    (void)state;
    const double tensor_inside = between_hosts_B("parallel.order=tp-pp-dp"),
                 tensor_across = between_hosts_B("parallel.order=pp-dp-tp");
    assert_true(tensor_inside < tensor_across && between_hosts_B("parallel.order=tp-dp-pp") < tensor_across);
    assert_true(between_hosts_B("parallel.order=dp-pp-tp") == tensor_across);
    /* 2 stages x 2 tensor ranks x the ring of two replicas, and the loss, which every rank doubles over all. */
    struct traffic t = TRAFFIC(8, GPT, "parallel.data=2", "parallel.pipeline=2", "parallel.tensor=2");
    double loss_B = 0;
    for (int from = 0; from < 8; from++)
        loss_B += *traffic_at(&t, PURPOSE_LOSS, from, from ^ 4);
    assert_bytes(loss_B, 8 * 4 * 16);
    assert_bytes(tensor_inside, all_B(&t, PURPOSE_GRADIENT) + loss_B);
    traffic_close(&t);
}

/* The slowest axis is between the hosts, all of it and nothing else but the loss, whose last round of doubling is, too. */
static void what_crosses_between_hosts_is_the_slowest_axis(void **state)
{
    (void)state;
    const struct {
        const char *order;
        enum purpose crosses[3];
    } rows[] = {
        { "parallel.order=tp-pp-dp", { PURPOSE_GRADIENT } },
        { "parallel.order=pp-tp-dp", { PURPOSE_GRADIENT } },
        { "parallel.order=tp-dp-pp", { PURPOSE_ACTIVATION, PURPOSE_ACTIVATION_GRADIENT, PURPOSE_TIED } },
        { "parallel.order=dp-tp-pp", { PURPOSE_ACTIVATION, PURPOSE_ACTIVATION_GRADIENT, PURPOSE_TIED } },
        { "parallel.order=pp-dp-tp", { PURPOSE_TENSOR } },
        { "parallel.order=dp-pp-tp", { PURPOSE_TENSOR } },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct traffic t = TRAFFIC(8, GPT, "parallel.data=2", "parallel.pipeline=2", "parallel.tensor=2", rows[i].order);
        double B = 8 * 4 * 16;
        for (int k = 0; k < 3; k++)
            B += k && !rows[i].crosses[k] ? 0 : all_B(&t, rows[i].crosses[k]);
        B += rows[i].crosses[0] == PURPOSE_ACTIVATION ? all_B(&t, PURPOSE_STAMP) : 0;
        assert_bytes(between_hosts_B(rows[i].order), B);
        traffic_close(&t);
    }
}

/* Derived, for 8 replicas of n floats on two nodes of 4: a ring crosses on two of its links, each 2 * 7/8 n floats; hierarchical
 * sends 2 * 1/2 n from either node, 4/7 of that. */
static void nodes_exchange_less_when_sums_are_hierarchical(void **state)
{
    (void)state;
    const double n = 8 * (12 * 32 * 32 + 13 * 32) + (64 + 16) * 32 + 2 * 32;
    const struct {
        const char *algorithm;
        double floats;
    } rows[] = { { "exchange.allreduce=ring", 2 * 1.75 * n }, { "exchange.allreduce=hierarchical", 2 * n } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct traffic t = TRAFFIC(8, GPT, "network.node_ranks=4", rows[i].algorithm);
        double B = 0;
        for (int from = 0; from < 8; from++)
            for (int to = 0; to < 8; to++)
                B += from / 4 != to / 4 ? *traffic_at(&t, PURPOSE_GRADIENT, from, to) : 0;
        assert_bytes(B, 4 * rows[i].floats);
        traffic_close(&t);
    }
}

static void the_librarys_own_allreduce_is_unknown(void **state)
{
    (void)state;
    struct traffic t = TRAFFIC(4, GPT, "exchange.allreduce=mpi");
    assert_true(isnan(all_B(&t, PURPOSE_GRADIENT)) && all_B(&t, PURPOSE_LOSS) > 0);
    traffic_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(playing_an_algorithm_sends_what_its_formula_says),
        cmocka_unit_test(the_ordered_sum_sends_what_its_formula_says),
        cmocka_unit_test(data_parallel_is_one_ring),
        cmocka_unit_test(zero_sends_what_its_paper_says),
        cmocka_unit_test(a_boundary_carries_every_sample_once_each_way),
        cmocka_unit_test(a_batch_that_nothing_divides_is_whole_at_every_boundary),
        cmocka_unit_test(a_boundary_carries_codes_of_its_messages),
        cmocka_unit_test(tied_copies_are_on_the_first_and_the_last_stage),
        cmocka_unit_test(tensor_ranks_send_megatrons_volume),
        cmocka_unit_test(tensor_ranks_belong_on_one_host),
        cmocka_unit_test(what_crosses_between_hosts_is_the_slowest_axis),
        cmocka_unit_test(nodes_exchange_less_when_sums_are_hierarchical),
        cmocka_unit_test(the_librarys_own_allreduce_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
