/* ranks: 1 2 3 4 7 8 */
/* Allreduce algorithms. Oracles: sums of small integers, which floats hold exactly in any order; the rounds themselves, played in
 * one process for any number of ranks; MPI's profiling interface, which sees every byte handed to MPI_Isend. */
#include "mpi_test.h"

#include <math.h>
#include <string.h>

#include "collectives/engine.h"

enum { RANKS_PLAYED = 33 };

/* ---- PMPI: what MPI itself was given ----------------------------------------------------------------------------------------- */

static uint64_t isend_B, isend_count;

int MPI_Isend(const void *data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request)
{
    int size;
    MPI_Type_size(type, &size);
    isend_B += (uint64_t)count * (uint64_t)size;
    isend_count++;
    return PMPI_Isend(data, count, type, to, tag, comm, request);
}

/* ---- played without MPI ------------------------------------------------------------------------------------------------------ */

struct play {
    const struct allreduce *a;
    struct team team;
    int p;
    size_t n;
    double *x[RANKS_PLAYED], *before[RANKS_PLAYED]; /* vectors after and before the round */
    uint64_t sent[RANKS_PLAYED];
};

static void play_round(struct play *play, int i)
{
    struct round r[RANKS_PLAYED];
    for (int rank = 0; rank < play->p; rank++) {
        play->a->round(play->team, rank, play->n, i, &r[rank]);
        memcpy(play->before[rank], play->x[rank], play->n * sizeof(double));
        play->sent[rank] += r[rank].to >= 0 ? r[rank].send_n : 0;
    }
    for (int rank = 0; rank < play->p; rank++) {
        int to = r[rank].to, from = r[rank].from;
        if (to >= 0) /* the partner expects this very message in this very round: nobody waits for ever */
            assert_true(r[to].from == rank && r[to].recv_n == r[rank].send_n && r[to].recv_at == r[rank].send_at);
        if (from < 0)
            continue;
        assert_int_equal(r[from].to, rank);
        for (size_t k = 0; k < r[rank].recv_n; k++) {
            double *own = &play->x[rank][r[rank].recv_at + k], sent = play->before[from][r[from].send_at + k];
            *own = r[rank].add ? *own + sent : sent;
        }
    }
}

/* Each rank's bit says: added once. */
static double addend(int rank, size_t k)
{
    return ldexp(1.0, rank) + (double)k * ldexp(1.0, RANKS_PLAYED + 1);
}

static double total(int p, size_t k)
{
    return ldexp(1.0, p) - 1 + p * (double)k * ldexp(1.0, RANKS_PLAYED + 1);
}

/* Between the two parts: own blocks are summed, cover the vector once, and the formula says what was sent so far. */
static void check_scattered(const struct play *play)
{
    size_t owned = 0;
    for (int r = 0; r < play->p; r++) {
        const struct range own = play->a->owned(play->team, r, play->n);
        for (size_t k = own.at; k < own.at + own.n; k++) {
            assert_true(play->x[r][k] == total(play->p, k));
            for (int other = 0; other < r; other++) {
                const struct range theirs = play->a->owned(play->team, other, play->n);
                assert_true(k < theirs.at || k >= theirs.at + theirs.n);
            }
        }
        owned += own.n;
        assert_int_equal(play->sent[r], play->a->scatter_sent_floats(play->team, r, play->n));
    }
    assert_int_equal(owned, play->n);
}

static void check_played(const struct allreduce *a, struct team t, size_t n)
{
    const int p = t.p;
    struct play play = { .a = a, .team = t, .p = p, .n = n };
    for (int r = 0; r < p; r++) {
        play.x[r] = calloc(2 * n + 1, sizeof(double));
        assert_non_null(play.x[r]);
        play.before[r] = play.x[r] + n;
        for (size_t k = 0; k < n; k++)
            play.x[r][k] = addend(r, k);
    }
    for (int i = 0; i < a->rounds(t); i++) {
        if (a->scatter_rounds && i == a->scatter_rounds(t))
            check_scattered(&play);
        play_round(&play, i);
    }
    for (int r = 0; r < p; r++) {
        for (size_t k = 0; k < n; k++)
            assert_true(play.x[r][k] == total(p, k));
        assert_int_equal(play.sent[r], a->sent_floats(t, r, n));
        free(play.x[r]);
    }
}

static void rounds_sum_each_rank_once_and_send_what_the_formula_says(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 2, 5, 31, 32, 64, 101 };
    for (size_t a = 0; allreduces[a]; a++)
        for (int p = 1; allreduces[a]->rounds && p <= RANKS_PLAYED; p++)
            for (int g = 1; g <= p; g++)
                for (size_t s = 0; p % g == 0 && s < sizeof sizes / sizeof *sizes; s++)
                    check_played(allreduces[a], (struct team){ p, g }, sizes[s]);
}

static void messages_are_no_longer_than_the_blocks_promise(void **state)
{
    (void)state;
    const size_t n = 10007;
    for (size_t a = 0; allreduces[a]; a++)
        for (int p = 2; allreduces[a]->blocks && p <= 32; p *= 2)
            for (int g = 1; g <= p; g *= 2)
                for (int rank = 0; rank < p; rank++)
                    for (int i = 0; i < allreduces[a]->rounds((struct team){ p, g }); i++) {
                        struct round r;
                        allreduces[a]->round((struct team){ p, g }, rank, n, i, &r);
                        assert_true(r.send_n <= n / (size_t)allreduces[a]->blocks((struct team){ p, g }) + (size_t)p);
                    }
}

/* A node of g ranks sends no more than one rank of a ring of nodes would, and all of it to the next. */
static void between_nodes_goes_the_volume_of_a_ring_of_nodes(void **state)
{
    (void)state;
    const struct team t = { 24, 6 };
    const size_t n = 24 * 5;
    size_t sent[4] = { 0 };
    for (int rank = 0; rank < t.p; rank++)
        for (int i = 0; i < allreduce_hierarchical.rounds(t); i++) {
            struct round r;
            allreduce_hierarchical.round(t, rank, n, i, &r);
            const int node = rank / t.g;
            assert_true(r.to / t.g == node || r.to == (rank + t.g) % t.p);
            sent[node] += r.to / t.g == node ? 0 : r.send_n;
        }
    for (int node = 0; node < 4; node++)
        assert_int_equal(sent[node], 2 * n * 3 / 4);
}

/* Of the numbers of ranks after which a node ends, and of all ranks, the greatest common divisor. */
static void ranks_are_together_where_every_group_of_them_is(void **state)
{
    (void)state;
    const struct {
        int p, ends[3], g;
    } cases[] = { { 8, { 4 }, 4 }, { 8, { 8 }, 8 }, { 12, { 4, 8 }, 4 }, { 12, { 8 }, 4 }, { 7, { 4 }, 1 }, { 10, { 4, 6 }, 2 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct team t = team_of(cases[i].p, 0);
        for (int k = 0; k < 3 && cases[i].ends[k]; k++)
            team_part(&t, cases[i].ends[k]);
        assert_int_equal(t.g, cases[i].g);
    }
}

static void blocks_cover_the_vector_and_differ_by_one_at_most(void **state)
{
    (void)state;
    for (int p = 1; p <= 9; p++)
        for (size_t n = 0; n < 40; n++) {
            size_t at = 0;
            for (int b = 0; b < p; b++) {
                assert_int_equal(block_start(n, p, b), at);
                assert_true(block_length(n, p, b) == n / (size_t)p || block_length(n, p, b) == n / (size_t)p + 1);
                at += block_length(n, p, b);
            }
            assert_int_equal(at, n);
        }
}

/* ---- played by the engine ---------------------------------------------------------------------------------------------------- */

enum { VECTORS = 3, REPEATS = 2 };

/* Integers below 2^20, different for every rank, vector and position; their sum over 8 ranks is exact. */
static float value(int rank, int vector, size_t k)
{
    return (float)((k * 7919 + (size_t)(rank * 131 + vector * 17)) % 1048573);
}

static bool sums_are_exact(const float *x, int vector, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        float sum = 0;
        for (int r = 0; r < job.ranks; r++)
            sum += value(r, vector, k);
        if (x[k] != sum)
            return false;
    }
    return true;
}

static void fill(float *x, int vector, size_t n)
{
    for (size_t k = 0; k < n; k++)
        x[k] = value(job.rank, vector, k);
}

/* Several vectors in flight at once, waited for in another order, twice. */
static bool engine_sums(struct engine *e, const struct allreduce *a, size_t n)
{
    bool ok = true;
    float *x[VECTORS];
    struct operation *op[VECTORS];
    for (int v = 0; v < VECTORS; v++) {
        x[v] = malloc((n + (size_t)v + 1) * sizeof(float));
        ok = ok && x[v] && engine_plan_sum(e, a, v ? PURPOSE_GRADIENT : PURPOSE_LOSS, x[v], n + (size_t)v, &op[v]) == STATUS_OK;
    }
    assert_on_all_ranks(ok);
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        for (int v = 0; v < VECTORS; v++) {
            fill(x[v], v, n + (size_t)v);
            engine_start(e, op[v]);
            engine_poll(e);
        }
        for (int v = VECTORS - 1; v >= 0; v--) {
            engine_wait(e, op[v]);
            ok = ok && sums_are_exact(x[v], v, n + (size_t)v);
        }
    }
    for (int v = 0; v < VECTORS; v++)
        free(x[v]);
    return ok;
}

static uint64_t ledger_messages(const struct ledger *l)
{
    return l->rows[PURPOSE_GRADIENT].messages + l->rows[PURPOSE_LOSS].messages;
}

static uint64_t ledger_counted(const struct ledger *l)
{
    return l->rows[PURPOSE_GRADIENT].wire_B_counted + l->rows[PURPOSE_LOSS].wire_B_counted;
}

/* Nodes of two or three ranks, where that divides. */
static struct team team(void)
{
    return team_of(job.ranks, job.ranks % 2 == 0 ? 2 : job.ranks % 3 == 0 ? 3 : 1);
}

/* Simulated hosts share no memory. */
static bool runs_here(const struct allreduce *a)
{
    return !a->share || job.ranks == 1 || !job_is_simulated();
}

static bool open_fabric(struct fabric *f, size_t segment_B)
{
    const struct fabric_setup setup = { .node_ranks = team().g, .window = engine_window(segment_B, job.ranks) };
    return fabric_open(f, &fabric_mpi, &setup, job.world) == STATUS_OK;
}

static void check_engine(const struct allreduce *a, enum progress progress, size_t n, size_t segment_B)
{
    struct fabric f;
    struct engine *e;
    assert_on_all_ranks(open_fabric(&f, segment_B));
    assert_on_all_ranks(engine_open(&e, &f, progress, segment_B) == STATUS_OK);
    isend_B = isend_count = 0;
    bool exact = engine_sums(e, a, n);
    uint64_t seen_B = isend_B, seen = isend_count;
    assert_on_all_ranks(exact);
    assert_on_all_ranks(ledger_messages(&f.ledger) == seen && (a->share ? seen == 0 : ledger_counted(&f.ledger) == seen_B));
    for (int purpose = 0; purpose < PURPOSE_COUNT; purpose++) {
        const struct ledger_row *row = &f.ledger.rows[purpose];
        bool unknown = !a->sent_floats && job.ranks > 1 && row->logical_B > 0;
        assert_on_all_ranks(row->unpredictable == unknown);
        assert_on_all_ranks(row->wire_B_predicted == row->wire_B_counted);
        assert_on_all_ranks(row->calls == (purpose == PURPOSE_LOSS ? 1 : purpose == PURPOSE_GRADIENT ? VECTORS - 1 : 0) * REPEATS);
    }
    uint64_t before_run = engine_sent_floats(a, SUM_ALLREDUCE, segment_B, team(), job.rank, n);
    assert_on_all_ranks(f.ledger.rows[PURPOSE_LOSS].wire_B_predicted == REPEATS * before_run * sizeof(float));
    assert_on_all_ranks(f.ledger.rows[PURPOSE_LOSS].logical_B == REPEATS * n * sizeof(float));
    engine_close(e);
    fabric_close(&f);
}

static void every_algorithm_sums_exactly_and_sends_what_was_predicted(void **state)
{
    (void)state;
    static const struct {
        size_t n, segment_B;
    } cases[] = { { 0, 64 },    { 1, 64 },     { 2, 64 },      { 5, 4 },         { 5, 64 },         { 64, 100 },
                  { 1000, 40 }, { 4097, 996 }, { 4097, 8192 }, { 100003, 9996 }, { 100003, 65536 }, { 100003, 1 << 20 } };
    for (size_t a = 0; allreduces[a]; a++)
        for (int progress = PROGRESS_NONE; progress <= PROGRESS_THREAD; progress++)
            for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
                if (runs_here(allreduces[a]) && (progress != PROGRESS_THREAD || !job_is_simulated()))
                    check_engine(allreduces[a], (enum progress)progress, cases[c].n, cases[c].segment_B);
}

/* What is read through memory MPI does not see. */
static uint64_t sent_so_far(const struct allreduce *a, const struct fabric *f)
{
    const struct ledger_row *rows = f->ledger.rows;
    return a->share ? rows[PURPOSE_GRADIENT].wire_B_counted + rows[PURPOSE_PARAMETERS].wire_B_counted : isend_B;
}

/* Reduce-scatter, then allgather, of one vector; between them what is not this rank's own is spoilt. */
static void check_parts(const struct allreduce *a, size_t n, size_t segment_B)
{
    struct fabric f;
    struct engine *e;
    struct operation *scatter, *gather;
    float *x = malloc((n + 1) * sizeof *x), *own = malloc((n + 1) * sizeof *x);
    assert_on_all_ranks(x && own && open_fabric(&f, segment_B));
    assert_on_all_ranks(engine_open(&e, &f, PROGRESS_POLL, segment_B) == STATUS_OK);
    assert_on_all_ranks(engine_plan_part(e, SUM_REDUCE_SCATTER, a, PURPOSE_GRADIENT, x, n, &scatter) == STATUS_OK);
    assert_on_all_ranks(engine_plan_part(e, SUM_ALLGATHER, a, PURPOSE_PARAMETERS, x, n, &gather) == STATUS_OK);
    isend_B = 0;
    fill(x, 0, n);
    engine_start(e, scatter);
    engine_wait(e, scatter);
    const uint64_t scatter_B = sent_so_far(a, &f);
    memset(own, 0xff, n * sizeof *x);
    size_t owned = 0;
    bool alike = true;
    for (size_t i = 0; i < operation_pieces(scatter); i++) {
        const struct range r = operation_piece(scatter, i), same = operation_piece(gather, i);
        alike = alike && r.at == same.at && r.n == same.n;
        memcpy(own + r.at, x + r.at, r.n * sizeof *x);
        owned += r.n;
    }
    memcpy(x, own, n * sizeof *x);
    engine_start(e, gather);
    engine_wait(e, gather);
    const uint64_t gather_B = sent_so_far(a, &f) - scatter_B;
    assert_on_all_ranks(alike && sums_are_exact(x, 0, n));
    assert_on_all_ranks(owned == engine_owned_floats(a, segment_B, team(), job.rank, n));
    assert_on_all_ranks(scatter_B == 4 * engine_sent_floats(a, SUM_REDUCE_SCATTER, segment_B, team(), job.rank, n));
    assert_on_all_ranks(gather_B == 4 * engine_sent_floats(a, SUM_ALLGATHER, segment_B, team(), job.rank, n));
    assert_on_all_ranks(scatter_B + gather_B == 4 * engine_sent_floats(a, SUM_ALLREDUCE, segment_B, team(), job.rank, n));
    assert_on_all_ranks(f.ledger.rows[PURPOSE_GRADIENT].wire_B_predicted == scatter_B);
    assert_on_all_ranks(f.ledger.rows[PURPOSE_PARAMETERS].wire_B_predicted == gather_B);
    free(x), free(own);
    engine_close(e);
    fabric_close(&f);
}

static void the_two_parts_of_an_allreduce_are_the_allreduce(void **state)
{
    (void)state;
    static const struct {
        size_t n, segment_B;
    } cases[] = { { 1, 64 }, { 5, 4 }, { 1000, 40 }, { 4097, 996 }, { 100003, 9996 }, { 100003, 1 << 20 } };
    for (size_t a = 0; allreduces[a]; a++)
        for (size_t c = 0; allreduces[a]->scatter_rounds && runs_here(allreduces[a]) && c < sizeof cases / sizeof *cases; c++)
            check_parts(allreduces[a], cases[c].n, cases[c].segment_B);
}

static void where_p_divides_each_part_sends_all_but_its_own_share(void **state)
{
    (void)state;
    const enum sum_part parts[] = { SUM_REDUCE_SCATTER, SUM_ALLGATHER };
    const size_t share = 16384;
    for (size_t a = 0; allreduces[a]; a++)
        for (int p = 1; allreduces[a]->scatter_rounds && p <= 32; p *= 2)
            for (int rank = 0; rank < p; rank++)
                for (int k = 0; k < 2; k++)
                    assert_int_equal(engine_sent_floats(allreduces[a], parts[k], 4096, team_of(p, 0), rank, share * (size_t)p),
                                     share * (size_t)(p - 1));
}

static void all_ranks_get_the_same_bits(void **state)
{
    (void)state;
    const size_t n = 4099;
    struct fabric f;
    struct engine *e;
    assert_on_all_ranks(open_fabric(&f, 4096));
    assert_on_all_ranks(engine_open(&e, &f, PROGRESS_NONE, 4096) == STATUS_OK);
    float *x = malloc(n * sizeof(float)), *low = malloc(n * sizeof(float)), *high = malloc(n * sizeof(float));
    assert_on_all_ranks(x && low && high);
    for (size_t a = 0; allreduces[a]; a++) {
        struct operation *op;
        if (!runs_here(allreduces[a]))
            continue;
        for (size_t k = 0; k < n; k++)
            x[k] = sinf((float)(k * 37 + (size_t)job.rank * 1001)) * expf((float)((k + (size_t)job.rank * 5) % 23));
        assert_on_all_ranks(engine_plan_sum(e, allreduces[a], PURPOSE_GRADIENT, x, n, &op) == STATUS_OK);
        engine_start(e, op);
        engine_wait(e, op);
        MPI_Allreduce(x, low, (int)n, MPI_FLOAT, MPI_MIN, job.world);
        MPI_Allreduce(x, high, (int)n, MPI_FLOAT, MPI_MAX, job.world);
        assert_on_all_ranks(!memcmp(low, high, n * sizeof(float)));
    }
    free(x), free(low), free(high);
    engine_close(e);
    fabric_close(&f);
}

static void what_does_not_fit_is_refused_with_a_reason(void **state)
{
    (void)state;
    struct fabric f;
    struct engine *e;
    struct operation *op;
    assert_on_all_ranks(open_fabric(&f, 4));
    assert_on_all_ranks(engine_open(&e, &f, PROGRESS_NONE, 3) == STATUS_USAGE);
    assert_non_null(strstr(status_message(), "exchange.segment_B is 3"));
    assert_on_all_ranks(engine_open(&e, &f, PROGRESS_NONE, 4) == STATUS_OK);
    assert_on_all_ranks(engine_plan_sum(e, &allreduce_mpi, PURPOSE_GRADIENT, NULL, (size_t)1 << 31, &op) == STATUS_USAGE);
    assert_non_null(strstr(status_message(), "2147483648"));
    assert_on_all_ranks(engine_plan_part(e, SUM_ALLGATHER, &allreduce_tree, PURPOSE_LOSS, NULL, 5, &op) == STATUS_USAGE);
    assert_non_null(strstr(status_message(), "not a reduce-scatter followed by an allgather"));
    engine_close(e);
    fabric_close(&f);
}

static void algorithms_are_found_by_name(void **state)
{
    (void)state;
    assert_ptr_equal(allreduce_find("halving"), &allreduce_halving);
    assert_null(allreduce_find("Ring"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(between_nodes_goes_the_volume_of_a_ring_of_nodes),
        cmocka_unit_test(ranks_are_together_where_every_group_of_them_is),
        cmocka_unit_test(blocks_cover_the_vector_and_differ_by_one_at_most),
        cmocka_unit_test(rounds_sum_each_rank_once_and_send_what_the_formula_says),
        cmocka_unit_test(messages_are_no_longer_than_the_blocks_promise),
        cmocka_unit_test(every_algorithm_sums_exactly_and_sends_what_was_predicted),
        cmocka_unit_test(the_two_parts_of_an_allreduce_are_the_allreduce),
        cmocka_unit_test(where_p_divides_each_part_sends_all_but_its_own_share),
        cmocka_unit_test(all_ranks_get_the_same_bits),
        cmocka_unit_test(what_does_not_fit_is_refused_with_a_reason),
        cmocka_unit_test(algorithms_are_found_by_name),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
