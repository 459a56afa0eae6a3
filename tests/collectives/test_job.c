/* ranks: 1 2 3 4 7 8 */
/* Gates, grid, gather and control traffic. Oracles: arithmetic by hand, and what one rank knows that the others cannot. */
#include "mpi_test.h"

#include <string.h>

#include "collectives/engine.h"
#include "collectives/grid.h"

static void a_failure_on_any_rank_ends_all_with_its_sentence(void **state)
{
    (void)state;
    for (int culprit = 0; culprit < job.ranks; culprit++) {
        char sentence[64];
        snprintf(sentence, sizeof sentence, "no memory on rank %d", culprit);
        status mine = job.rank == culprit ? status_fail(STATUS_FAILED, "no memory on rank %d", culprit) : STATUS_OK;
        assert_on_all_ranks(status_agree(mine, job.world) == STATUS_FAILED);
        assert_on_all_ranks(!strcmp(status_message(), sentence));
    }
    assert_on_all_ranks(status_agree(STATUS_OK, job.world) == STATUS_OK);
}

static void the_worst_failure_wins_and_of_equals_the_lowest_rank(void **state)
{
    (void)state;
    status mine = status_fail(job.rank >= job.ranks / 2 ? STATUS_USAGE : STATUS_FAILED, "rank %d", job.rank);
    char sentence[32];
    snprintf(sentence, sizeof sentence, "rank %d", job.ranks / 2);
    assert_on_all_ranks(status_agree(mine, job.world) == STATUS_USAGE);
    assert_on_all_ranks(!strcmp(status_message(), sentence));
}

static void a_long_sentence_is_cut(void **state)
{
    (void)state;
    char longer[2 * STATUS_MESSAGE_BYTES];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_on_all_ranks(status_fail(STATUS_CHECK, "%s", longer) == STATUS_CHECK);
    assert_on_all_ranks(strlen(status_message()) == STATUS_MESSAGE_BYTES - 1);
}

static void a_sentence_may_quote_the_one_before(void **state)
{
    (void)state;
    status_fail(STATUS_FAILED, "no such file");
    status_fail(STATUS_USAGE, "configs/a.json: %s", status_message());
    assert_on_all_ranks(!strcmp(status_message(), "configs/a.json: no such file"));
}

/* A fabric that fails to open on the last rank only; it counts what is open. */
static int open_count;

static status open_but_not_on_the_last(struct fabric *f)
{
    if (f->rank == f->ranks - 1)
        return status_fail(STATUS_FAILED, "rank %d has no link", f->rank);
    open_count++;
    return STATUS_OK;
}

static void close_one(struct fabric *f)
{
    (void)f;
    open_count--;
}

static void a_fabric_that_fails_on_one_rank_is_closed_on_all(void **state)
{
    (void)state;
    const struct fabric_ops lame = { .open = open_but_not_on_the_last, .close = close_one };
    char sentence[64];
    struct fabric f;
    snprintf(sentence, sizeof sentence, "rank %d has no link", job.ranks - 1);
    assert_on_all_ranks(fabric_open(&f, &lame, NULL, job.world) == STATUS_FAILED);
    assert_on_all_ranks(open_count == 0 && !strcmp(status_message(), sentence));
}

static const char *const orders[] = { "tp-pp-dp", "tp-dp-pp", "pp-tp-dp", "pp-dp-tp", "dp-tp-pp", "dp-pp-tp" };

static void coordinates_and_rank_are_each_others_inverse_in_every_order(void **state)
{
    (void)state;
    const int degree[AXIS_COUNT] = { [AXIS_TENSOR] = 2, [AXIS_PIPELINE] = 3, [AXIS_DATA] = 4 };
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        for (int rank = 0; rank < 24; rank++) {
            int at[AXIS_COUNT];
            grid_coordinates(degree, orders[i], rank, at);
            for (int axis = 0; axis < AXIS_COUNT; axis++)
                assert_true(at[axis] >= 0 && at[axis] < degree[axis]);
            assert_int_equal(grid_rank(degree, orders[i], at), rank);
        }
}

/* Published: the groups that Megatron-LM's parallel_state.py names for 16 ranks, tensor 2, pipeline 4, data 2, order tp-dp-pp; and
 * Varuna's launcher, which puts stage i of 4 on the ranks i, i + 4, ... */
static void groups_are_those_of_megatron_and_varuna(void **state)
{
    (void)state;
    static const struct {
        const char *order;
        int degree[AXIS_COUNT]; /* tensor, pipeline, data */
        enum axis axis;
        int members[4]; /* of one group, by coordinate */
    } rows[] = {
        { "tp-dp-pp", { 2, 4, 2 }, AXIS_TENSOR, { 0, 1 } },
        { "tp-dp-pp", { 2, 4, 2 }, AXIS_TENSOR, { 2, 3 } },
        { "tp-dp-pp", { 2, 4, 2 }, AXIS_DATA, { 0, 2 } },
        { "tp-dp-pp", { 2, 4, 2 }, AXIS_DATA, { 1, 3 } },
        { "tp-dp-pp", { 2, 4, 2 }, AXIS_DATA, { 4, 6 } },
        { "tp-dp-pp", { 2, 4, 2 }, AXIS_DATA, { 5, 7 } },
        { "tp-dp-pp", { 2, 4, 2 }, AXIS_PIPELINE, { 0, 4, 8, 12 } },
        { "tp-dp-pp", { 2, 4, 2 }, AXIS_PIPELINE, { 1, 5, 9, 13 } },
        { "tp-dp-pp", { 2, 4, 2 }, AXIS_PIPELINE, { 2, 6, 10, 14 } },
        { "tp-dp-pp", { 2, 4, 2 }, AXIS_PIPELINE, { 3, 7, 11, 15 } },
        { "pp-dp-tp", { 1, 4, 4 }, AXIS_PIPELINE, { 4, 5, 6, 7 } },
        { "pp-dp-tp", { 1, 4, 4 }, AXIS_DATA, { 3, 7, 11, 15 } },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int at[AXIS_COUNT];
        grid_coordinates(rows[i].degree, rows[i].order, rows[i].members[0], at);
        for (int k = 0; k < rows[i].degree[rows[i].axis]; k++) {
            at[rows[i].axis] = k;
            assert_int_equal(grid_rank(rows[i].degree, rows[i].order, at), rows[i].members[k]);
        }
    }
}

/* Each group has the ranks that agree in the other coordinates: known from the sum of their numbers and their order. */
static void check_group(const struct grid *g, int axis, int stride)
{
    int size, at, sum;
    MPI_Comm_size(g->along[axis], &size);
    MPI_Comm_rank(g->along[axis], &at);
    MPI_Allreduce(&job.rank, &sum, 1, MPI_INT, MPI_SUM, g->along[axis]);
    int lowest = job.rank - g->at[axis] * stride;
    assert_on_all_ranks(size == g->degree[axis] && at == g->at[axis]);
    assert_on_all_ranks(sum == size * lowest + stride * size * (size - 1) / 2);
}

static void groups_hold_the_ranks_that_differ_in_one_coordinate(void **state)
{
    (void)state;
    for (int tensor = 1; tensor <= job.ranks; tensor++)
        for (int pipeline = 1; tensor * pipeline <= job.ranks; pipeline++) {
            if (job.ranks % (tensor * pipeline))
                continue;
            struct grid g;
            grid_open(&g, (const int[AXIS_COUNT]){ tensor, pipeline, job.ranks / (tensor * pipeline) }, "tp-pp-dp", job.world);
            check_group(&g, AXIS_TENSOR, 1);
            check_group(&g, AXIS_PIPELINE, tensor);
            check_group(&g, AXIS_DATA, tensor * pipeline);
            grid_close(&g);
        }
}

static unsigned char code(int rank, size_t k)
{
    return (unsigned char)(k * 31 + (size_t)rank * 57);
}

static void check_gather(struct engine *e, struct fabric *f, size_t bytes)
{
    size_t all = (size_t)job.ranks * bytes;
    unsigned char *codes = calloc(all + 1, 1);
    struct operation *op;
    memset(&f->ledger, 0, sizeof f->ledger);
    assert_on_all_ranks(codes && engine_plan_gather(e, PURPOSE_GRADIENT, codes, bytes, &op) == STATUS_OK);
    for (size_t k = 0; k < bytes; k++)
        codes[(size_t)job.rank * bytes + k] = code(job.rank, k);
    engine_start(e, op);
    engine_wait(e, op);
    bool ok = codes[all] == 0;
    for (int r = 0; r < job.ranks; r++)
        for (size_t k = 0; k < bytes; k++)
            ok = ok && codes[(size_t)r * bytes + k] == code(r, k);
    assert_on_all_ranks(ok);
    const struct ledger_row *row = &f->ledger.rows[PURPOSE_GRADIENT];
    assert_on_all_ranks(row->wire_B_counted == (uint64_t)(job.ranks - 1) * bytes);
    assert_on_all_ranks(row->wire_B_predicted == row->wire_B_counted);
    free(codes);
}

static void gather_brings_every_code_to_every_rank(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 17, 4096, 70001 };
    for (int progress = PROGRESS_NONE; progress <= (job_is_simulated() ? PROGRESS_POLL : PROGRESS_THREAD); progress++) {
        struct fabric f;
        struct engine *e;
        assert_on_all_ranks(fabric_open(&f, &fabric_mpi, NULL, job.world) == STATUS_OK);
        assert_on_all_ranks(engine_open(&e, &f, (enum progress)progress, 1000) == STATUS_OK);
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            check_gather(e, &f, sizes[s]);
        engine_close(e);
        fabric_close(&f);
    }
}

static void a_fabric_that_cannot_sleep_is_asked_in_turn(void **state)
{
    (void)state;
    struct fabric_ops sleepless = fabric_mpi;
    struct fabric f;
    struct engine *e;
    if (job_is_simulated())
        skip_on_all_ranks("asking over and over needs not let virtual time pass");
    sleepless.wait_any = NULL;
    assert_on_all_ranks(fabric_open(&f, &sleepless, NULL, job.world) == STATUS_OK);
    assert_on_all_ranks(engine_open(&e, &f, PROGRESS_NONE, 1000) == STATUS_OK);
    check_gather(e, &f, 70001);
    engine_close(e);
    fabric_close(&f);
}

static void control_traffic_arrives_as_it_was_sent(void **state)
{
    (void)state;
    double mine[2] = { job.rank, job.rank * 0.5 }, all[2 * 8];
    char name[32];
    snprintf(name, sizeof name, "host%.*s%d", job.rank, "########", job.rank);
    job_gather_doubles(&job, mine, 2, all);
    char **names = job_gather_text(&job, name);
    bool ok = job.rank == 0 || !names;
    for (int r = 0; job.rank == 0 && r < job.ranks; r++) {
        snprintf(name, sizeof name, "host%.*s%d", r, "########", r);
        ok = ok && all[2 * r] == r && all[2 * r + 1] == r * 0.5 && !strcmp(names[r], name);
    }
    free(names);
    assert_on_all_ranks(ok);
}

static void a_text_is_known_to_all_and_so_is_that_there_is_none(void **state)
{
    (void)state;
    char read[] = "{ \"a\": 1 }\n", *text = job.rank ? NULL : read;
    ssize_t length = job_broadcast_text(&job, &text, job.rank ? 0 : (ssize_t)strlen(read));
    assert_on_all_ranks(length == (ssize_t)strlen(read) && !strcmp(text, read));
    if (job.rank)
        free(text);
    assert_on_all_ranks(job_broadcast_text(&job, &text, job.rank ? 0 : -1) == -1);
}

static void ranks_notice_that_they_differ(void **state)
{
    (void)state;
    assert_on_all_ranks(job_same(&job, 0xfedcba9876543210));
    assert_on_all_ranks(job_same(&job, job.rank == job.ranks - 1) == (job.ranks == 1));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_on_any_rank_ends_all_with_its_sentence),
        cmocka_unit_test(the_worst_failure_wins_and_of_equals_the_lowest_rank),
        cmocka_unit_test(a_long_sentence_is_cut),
        cmocka_unit_test(a_sentence_may_quote_the_one_before),
        cmocka_unit_test(a_fabric_that_fails_on_one_rank_is_closed_on_all),
        cmocka_unit_test(coordinates_and_rank_are_each_others_inverse_in_every_order),
        cmocka_unit_test(groups_are_those_of_megatron_and_varuna),
        cmocka_unit_test(groups_hold_the_ranks_that_differ_in_one_coordinate),
        cmocka_unit_test(gather_brings_every_code_to_every_rank),
        cmocka_unit_test(a_fabric_that_cannot_sleep_is_asked_in_turn),
        cmocka_unit_test(control_traffic_arrives_as_it_was_sent),
        cmocka_unit_test(a_text_is_known_to_all_and_so_is_that_there_is_none),
        cmocka_unit_test(ranks_notice_that_they_differ),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
