/* ranks: 4 8 */
/* Every compressor by every exchange, and in every layout: a cell trains, with bytes that close, replicas that agree and bits that
 * do not depend on when the exchange begins; or it is refused at the start with one sentence.
 *
 * Which cell is which follows from what a code is:
 *   sums of numbers ride an allreduce          integers ride a ring that widens them          lists of entries are merged
 *   who sums codes anew needs a code of any vector, without a memory          only an exact top-k has Ok-Topk's thresholds
 */
#include "tests/bench/training.h"

#define CELL                                                                                                                       \
    "{\"model\":{\"name\":\"gpt\",\"layers\":4,\"hidden\":16,\"heads\":4,\"sequence\":8,\"vocabulary\":17}" REST                   \
    ",\"batch\":{\"global\":16,\"micro\":4},\"optimizer\":{\"learning_rate\":0.01}}"
#define COMPRESSOR(options) "exchange.compressor={\"name\":" options "}"
#define FEW                 ",\"ratio\":0.05"
#define COUNT(array)        (sizeof(array) / sizeof *(array))

static const struct {
    const char *name, *more;
} collectives[] = {
    { "allreduce", "" },    { "allgather", "" },
    { "two-shot", "" },     { "ring-requantised", "" },
    { "ring-widened", "" }, { "hierarchical", ",\"node_ranks\":2" },
    { "server", "" },       { "server", ",\"reply\":\"code\"" },
    { "gtopk", "" },        { "sparse-doubling", "" },
    { "sparse-split", "" }, { "oktopk", ",\"threshold_every\":2" },
};

/* A column for each of these: y it trains, . it is refused. */
enum { FEEDBACK = 1, MATRICES_ONLY = 2 };
struct row {
    const char *compressor, *rides;
    unsigned takes;
};

#define ANY     ".yyy.yyy...."
#define SUMS    "yyyy.yyy...."
#define LEVELS  ".yyyyyyy...."
#define ENTRIES ".yyy.yyyyyy."
static const struct row rows[] = {
    { COMPRESSOR("\"none\""), SUMS, 0 },
    { COMPRESSOR("\"fp16\""), SUMS, FEEDBACK },
    { COMPRESSOR("\"bf16\",\"rounding\":\"stochastic\""), SUMS, FEEDBACK },
    { COMPRESSOR("\"topk\"" FEW), ".yyy.yyyyyyy", FEEDBACK },
    { COMPRESSOR("\"randk\"" FEW), ENTRIES, FEEDBACK },
    { COMPRESSOR("\"randk\",\"index\":\"enumerative\"" FEW), ENTRIES, FEEDBACK },
    { COMPRESSOR("\"randk\",\"shared\":true" FEW), "yyyy.yyyyyy.", FEEDBACK },
    { COMPRESSOR("\"permk\""), ENTRIES, FEEDBACK },
    { COMPRESSOR("\"threshold\",\"threshold\":0.001"), ENTRIES, FEEDBACK },
    { COMPRESSOR("\"dgc\",\"warmup_steps\":1,\"clip\":1" FEW), ".y...yy..yy.", 0 },
    { COMPRESSOR("\"gaussiank\"" FEW), ENTRIES, FEEDBACK },
    { COMPRESSOR("\"sidco\"" FEW), ENTRIES, FEEDBACK },
    { COMPRESSOR("\"qsgd\""), LEVELS, FEEDBACK },
    { COMPRESSOR("\"qsgd\",\"coding\":\"elias\""), LEVELS, FEEDBACK },
    { COMPRESSOR("\"terngrad\""), LEVELS, FEEDBACK },
    { COMPRESSOR("\"natural\""), ANY, FEEDBACK },
    { COMPRESSOR("\"natural-dithering\""), ANY, FEEDBACK },
    { COMPRESSOR("\"sign\",\"scale\":0.001,\"vote\":true"), ANY, FEEDBACK },
    { COMPRESSOR("\"ef-sign\""), ANY, FEEDBACK },
    { COMPRESSOR("\"onebit\""), ANY, FEEDBACK },
    { COMPRESSOR("\"powersgd\",\"rank\":2"), "y...........", FEEDBACK | MATRICES_ONLY },
    { COMPRESSOR("\"atomo\",\"rank\":2"), ".y....yy....", FEEDBACK | MATRICES_ONLY },
    { COMPRESSOR("\"topk\"" FEW ",\"then\":{\"name\":\"qsgd\"}"), ENTRIES, FEEDBACK },
    { COMPRESSOR("\"threshold\",\"threshold\":0.001,\"then\":{\"name\":\"terngrad\"}"), ENTRIES, FEEDBACK },
};

/* All cells are for a machine that runs as it is; where it is slow, every 17th shows that nothing differs there. */
static bool is_due(size_t cell)
{
#ifdef __SANITIZE_ADDRESS__
    const bool slow = true;
#else
    const bool slow = job_is_simulated();
#endif
    return !slow || cell % 17 == 0;
}

/* ---- a cell -------------------------------------------------------------------------------------------------------------- */

static bool learns(const struct trained *r)
{
    bool finite = true;
    for (int i = 0; i < STEPS; i++)
        finite = finite && isfinite(r->loss[i]);
    return finite && r->loss[STEPS - 1] < r->loss[0];
}

/* Of every purpose; and of the gradients what was planned, where the data do not decide it. */
static bool bytes_close(const struct trained *r)
{
    const struct ledger_row *gradient = &r->ledger.rows[PURPOSE_GRADIENT];
    bool close = isnan(r->planned_B) || (double)gradient->wire_B_counted == r->planned_B;
    for (int p = 0; p < PURPOSE_COUNT; p++) {
        const struct ledger_row *row = &r->ledger.rows[p];
        close =
            close && (row->unpredictable ? isnan(r->planned_B) && row == gradient : row->wire_B_counted == row->wire_B_predicted);
    }
    return close;
}

static void assert_trains(int ranks, const char *const *sets)
{
    const char *late[SETS_MAX] = { "exchange.overlap=false" };
    for (int i = 0; sets[i]; i++)
        late[i + 1] = sets[i];
    const struct trained one = train(CELL, ranks, sets), other = train(CELL, ranks, late);
    const bool holds = job.rank >= ranks || (learns(&one) && bytes_close(&one) && bytes_close(&other) && same_bits(&one, &other));
    if (!holds)
        print_message("rank %d: %s %s %s %s: loss %g -> %g, bytes %s, %s bits late\n", job.rank, sets[0], sets[1], sets[2], sets[3],
                      one.loss[0], one.loss[STEPS - 1], bytes_close(&one) && bytes_close(&other) ? "close" : "do not close",
                      same_bits(&one, &other) ? "the same" : "other");
    assert_on_all_ranks(holds);
}

/* By the config's rules, or when the trainer opens. */
static status start(const char *const *sets)
{
    struct config c;
    struct trainer t;
    int n = 0;
    while (sets[n])
        n++;
    status s = config_parse(&c, "test", CELL, ".", sets, n);
    if (s != STATUS_OK)
        return s;
    s = config_settle(&c, job.ranks);
    if (s == STATUS_OK)
        s = trainer_open(&t, &c, job.world);
    if (s == STATUS_OK)
        trainer_close(&t);
    config_free(&c);
    return s;
}

static void assert_refused(const char *const *sets, const char *key, const char *value)
{
    const status s = start(sets);
    const char *said = status_message();
    const bool holds =
        s == STATUS_USAGE && strstr(said, key) && strstr(said, value) && strstr(said, "(fits: ") && !strchr(said, '\n');
    if (!holds)
        print_message("rank %d: %s %s %s %s: status %d, %s\n", job.rank, sets[0], sets[1], sets[2], sets[3], (int)s, said);
    assert_on_all_ranks(holds);
}

/* ---- compressors and exchanges ------------------------------------------------------------------------------------------- */

static const char *feedback(const struct row *row, bool wanted)
{
    return wanted && row->takes & FEEDBACK ? "exchange.error_feedback=true" : "exchange.error_feedback=false";
}

static void assert_rides(const struct row *row, size_t collective, bool tensors)
{
    char text[96];
    snprintf(text, sizeof text, "exchange.collective={\"name\":\"%s\"%s}", collectives[collective].name,
             collectives[collective].more);
    const char *const sets[] = { row->compressor, text, tensors ? "exchange.unit=tensor" : "exchange.unit=bucket",
                                 feedback(row, tensors), NULL };
    if (row->takes & MATRICES_ONLY && !tensors)
        assert_refused(sets, "exchange.unit", "bucket");
    else if (row->rides[collective] == 'y')
        assert_trains(job.ranks, sets);
    else
        assert_refused(sets, "exchange.collective.name", collectives[collective].name);
}

static void assert_all_ride(bool tensors)
{
    if (job.ranks != 4)
        skip_on_all_ranks("4 ranks do");
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t k = 0; k < COUNT(collectives); k++)
            if (is_due(i * COUNT(collectives) + k))
                assert_rides(&rows[i], k, tensors);
}

static void a_bucket_by_every_exchange_trains_or_is_refused(void **state)
{
    (void)state;
    assert_all_ride(false);
}

static void a_tensor_by_every_exchange_trains_with_feedback_or_is_refused(void **state)
{
    (void)state;
    assert_all_ride(true);
}

static void what_keeps_its_own_errors_takes_no_feedback(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (!(rows[i].takes & FEEDBACK))
            assert_refused((const char *const[]){ rows[i].compressor, "exchange.error_feedback=true",
                                                  "exchange.collective.name=allgather", "batch.global=29", NULL },
                           "exchange.error_feedback", "false");
}

/* ---- layouts ------------------------------------------------------------------------------------------------------------- */

static const struct {
    int ranks;
    const char *sets[3];
    const char *key; /* NULL: it trains */
} layouts[] = {
    { 4, { "batch.global=13", "exchange.bucket_B=5000", "exchange.segment_B=1000" }, NULL }, /* 4, 3, 3, 3 samples */
    { 4, { "parallel.pipeline=2", "parallel.data=2", "batch.global=13" }, NULL },            /* and a tied head */
    { 4, { "parallel.pipeline=2", "parallel.schedule.name=zb-h1", "model.tied=false" }, NULL },
    { 4, { "parallel.pipeline=2", "parallel.schedule.name=interleaved", "parallel.data=2" }, NULL },
    { 4, { "parallel.pipeline=4", "parallel.schedule.name=chimera", "parallel.data=1" }, NULL },
    { 4, { "parallel.tensor=2", "parallel.data=2", "seed=1" }, NULL },
    { 4, { "parallel.tensor=2", "parallel.sequence=true", "parallel.data=2" }, NULL },
    { 8, { "parallel.tensor=2", "parallel.pipeline=2", "parallel.data=2" }, NULL },
    { 4, { "parallel.pipeline=4", "parallel.data=1", "seed=1" }, NULL }, /* no replicas */
    { 4, { "parallel.zero=1", "parallel.data=4", "seed=1" }, NULL },
    { 4, { "parallel.zero=2", "parallel.data=4", "seed=1" }, "parallel.zero" },
    { 4, { "exchange.reduction=tree", "parallel.data=4", "seed=1" }, "exchange.reduction" },
};

static void assert_layout(size_t layout, const struct row *row)
{
    const char *const *more = layouts[layout].sets;
    const char *const sets[] = { row->compressor, more[0], more[1], more[2], feedback(row, true), NULL };
    if (layouts[layout].key)
        assert_refused(sets, layouts[layout].key, "exchange.compressor");
    else
        assert_trains(job.ranks, sets);
}

static void every_layout_trains_with_every_compressor_or_refuses_all(void **state)
{
    (void)state;
    for (size_t l = 0; l < COUNT(layouts); l++)
        for (size_t i = 1; layouts[l].ranks == job.ranks && i < COUNT(rows); i++)
            if (is_due(l * COUNT(rows) + i))
                assert_layout(l, &rows[i]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_by_every_exchange_trains_or_is_refused),
        cmocka_unit_test(a_tensor_by_every_exchange_trains_with_feedback_or_is_refused),
        cmocka_unit_test(what_keeps_its_own_errors_takes_no_feedback),
        cmocka_unit_test(every_layout_trains_with_every_compressor_or_refuses_all),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
