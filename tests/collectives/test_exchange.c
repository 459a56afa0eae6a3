/* ranks: 1 2 3 4 5 7 8 16, simulated: 64 */
/* Every compressor on every exchange, two at once: the same bits on all ranks, bytes to each rank by formula, nothing lost with
 * feedback, the same again from a saved state. Oracles: exact integers, sums in double precision, a count of what is sent. */
#include "tests/collectives/mpi_test.h"

#include "tests/collectives/exchanges.h"

enum { RANKS_MOST = 64, RANKS_OF_ALL = 16, PAIR = 2, STEPS = 3 };

/* ---- what is sent, to whom ----------------------------------------------------------------------------------------------- */

static uint64_t sent_to[RANKS_MOST];
static struct fabric_ops counting;
static struct fabric fabric;
static struct engine *engine;

static void count_and_send(struct fabric *f, const void *data, size_t bytes, int to, int tag, fabric_request *r)
{
    sent_to[to] += bytes;
    fabric_mpi.start_send(f, data, bytes, to, tag, r);
}

static void open_engine(enum progress progress)
{
    counting = fabric_mpi;
    counting.start_send = count_and_send;
    assert_on_all_ranks(fabric_open(&fabric, &counting, NULL, job.world) == STATUS_OK);
    assert_on_all_ranks(engine_open(&engine, &fabric, progress, SUBJECT_SEGMENT_B) == STATUS_OK);
}

static void close_engine(void)
{
    engine_close(engine);
    fabric_close(&fabric);
}

/* ---- a pair of exchanges in flight together ------------------------------------------------------------------------------ */

struct one {
    struct exchange_terms terms;
    struct compressed *x;
    size_t n, state_B;
    float *vector, *sum, *saved_vector, *saved_sum;
    unsigned char *saved_state;
    double *owed, *owed_before, *saved_owed; /* to the sum by all ranks; [n] is a bound of what any of them holds */
};

struct pair {
    const struct subject *subject;
    struct one one[PAIR];
    const char *wrong; /* what does not hold on this rank */
};

static void expect(struct pair *p, bool holds, const char *what)
{
    if (!holds && !p->wrong)
        p->wrong = what;
}

static status open_one(struct pair *p, struct one *o, size_t n, bool feedback, enum purpose purpose)
{
    o->n = n;
    o->terms = terms_of(p->subject, n, job.ranks, job.rank, feedback);
    o->terms.purpose = purpose;
    TRY(compressed_open(&o->x, engine, exchange_find(p->subject->how), &o->terms));
    compressed_state(o->x, &o->state_B);
    o->vector = calloc(4 * n + 1, sizeof *o->vector);
    o->sum = o->vector + n;
    o->saved_vector = o->sum + n;
    o->saved_sum = o->saved_vector + n;
    o->saved_state = malloc(o->state_B + 1);
    o->owed = calloc(3 * (n + 1), sizeof *o->owed);
    o->owed_before = o->owed + n + 1;
    o->saved_owed = o->owed_before + n + 1;
    return STATUS_OK;
}

static void open_pair(struct pair *p, const struct subject *s, size_t n, bool feedback)
{
    *p = (struct pair){ .subject = s };
    memset(sent_to, 0, sizeof sent_to);
    memset(&fabric.ledger, 0, sizeof fabric.ledger);
    expect(p, open_one(p, &p->one[0], n, feedback, PURPOSE_GRADIENT) == STATUS_OK, "opened");
    expect(p, open_one(p, &p->one[1], n, feedback, PURPOSE_TENSOR) == STATUS_OK, "opened twice");
}

static void close_pair(struct pair *p)
{
    if (p->wrong)
        fprintf(stderr, "rank %d: \"%s\" (%s) by \"%s\" (%s), %zu floats: %s\n", job.rank, p->subject->kind,
                p->subject->kind_options, p->subject->how, p->subject->how_options, p->one[0].n, p->wrong);
    assert_on_all_ranks(!p->wrong);
    for (int i = 0; i < PAIR; i++) {
        compressed_close(p->one[i].x);
        free(p->one[i].vector);
        free(p->one[i].saved_state);
        free(p->one[i].owed);
    }
}

/* Integers, a few of them large. */
static float gradient(int rank, int64_t step, size_t k)
{
    const uint32_t mixed = ((uint32_t)k * 2654435761u + (uint32_t)rank * 40503u + (uint32_t)step * 69069u) * 2246822519u;
    const float value = (float)((int)(mixed >> 24) - 128);
    return mixed % 64 == 0 ? 100 * value : value;
}

static void add_gradients(struct pair *p, int64_t step)
{
    for (int i = 0; i < PAIR; i++) {
        struct one *o = &p->one[i];
        for (size_t k = 0; k < o->n; k++)
            o->vector[k] = gradient(job.rank, step, k + (size_t)i) + (o->terms.feedback ? o->vector[k] : 0);
    }
}

static void residuals(struct pair *p, enum exchange_moment now)
{
    for (int i = 0; i < PAIR; i++)
        compressed_residual(p->one[i].x, now);
}

static void play(struct pair *p, int64_t step)
{
    for (int i = 0; i < PAIR; i++) {
        compressed_encode(p->one[i].x, step, p->one[i].vector);
        compressed_pack(p->one[i].x);
    }
    residuals(p, BEFORE_START);
    for (int i = 0; i < PAIR; i++)
        compressed_start(p->one[i].x);
    residuals(p, AFTER_START);
    engine_poll(engine);
    for (int i = 0; i < PAIR; i++)
        compressed_wait(p->one[i].x);
    residuals(p, AFTER_WAIT);
    for (int i = 0; i < PAIR; i++)
        compressed_decode(p->one[i].x, p->one[i].sum);
}

/* ---- what holds for all -------------------------------------------------------------------------------------------------- */

static uint64_t hash(uint64_t h, const void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        h = (h ^ ((const unsigned char *)data)[i]) * 1099511628211u;
    return h;
}

static void expect_same_bits_everywhere(struct pair *p)
{
    uint64_t h = 14695981039346656037u;
    for (int i = 0; i < PAIR; i++)
        h = hash(h, p->one[i].sum, p->one[i].n * sizeof(float));
    expect(p, job_same(&job, h), "the sum has the same bits on all ranks");
}

/* What a rank owes to a sum besides its vector: where, and how many floats at the beginning of its state. */
static struct range kept_of(const struct subject *s, size_t n)
{
    const int p = job.ranks, g = strncmp(s->how_options, "node_ranks=", 11) == 0 ? atoi(s->how_options + 11) : 1;
    if (strcmp(s->how, "two-shot") == 0)
        return (struct range){ block_start(n, p, job.rank), block_length(n, p, job.rank) };
    if (strcmp(s->how, "hierarchical") == 0)
        return (struct range){ block_start(n, g, job.rank % g), block_length(n, g, job.rank % g) };
    return (struct range){ 0, strcmp(s->how_options, "reply=code") == 0 && job.rank == 0 ? n : 0 };
}

/* Collective: over ranks, the sum of vectors and of what else is kept. */
static void add_owed(const struct pair *p, struct one *o)
{
    const struct range kept = kept_of(p->subject, o->n);
    size_t bytes;
    const float *state = compressed_state(o->x, &bytes);
    memcpy(o->owed_before, o->owed, (o->n + 1) * sizeof *o->owed);
    o->owed[o->n] = 0;
    for (size_t k = 0; k < o->n; k++) {
        o->owed[k] = o->vector[k];
        o->owed[o->n] = fmax(o->owed[o->n], fmax(fabs((double)o->vector[k]), fabs((double)o->sum[k])));
    }
    for (size_t k = 0; k < kept.n; k++)
        o->owed[kept.at + k] += state[k];
    MPI_Allreduce(MPI_IN_PLACE, o->owed, (int)o->n + 1, MPI_DOUBLE, MPI_SUM, job.world);
}

static double sum_of_gradients(int64_t step, size_t k)
{
    double sum = 0;
    for (int r = 0; r < job.ranks; r++)
        sum += (double)gradient(r, step, k);
    return sum;
}

/* What was owed + gradients == sum + what is owed, to the rounding of floats. */
static bool conserves(const struct one *o, int64_t step, size_t first)
{
    double worst = 0;
    for (size_t k = 0; k < o->n; k++) {
        const double there = o->owed_before[k] + sum_of_gradients(step, k + first);
        worst = fmax(worst, fabs(there - (double)o->sum[k] - o->owed[k]));
    }
    return worst <= 4e-6 * (o->owed[o->n] + o->owed_before[o->n]);
}

/* Votes are no sums, and halfs are rounded on their way. */
static bool is_conserving(const struct pair *p)
{
    const struct exchange_terms *t = &p->one[0].terms;
    const bool rounded = strcmp(p->subject->how, "allreduce") == 0 && t->kind->linear->element != ELEMENT_FLOAT;
    return t->feedback && !t->kind->finish_sum && !rounded;
}

static void play_and_check(struct pair *p, int64_t step)
{
    const bool conserving = is_conserving(p);
    add_gradients(p, step);
    play(p, step);
    expect_same_bits_everywhere(p);
    for (int i = 0; conserving && i < PAIR; i++) {
        add_owed(p, &p->one[i]);
        expect(p, conserves(&p->one[i], step, (size_t)i), "what there was == sum + what is left");
    }
}

/* The formula before, the formula after, and what the fabric counted, to each rank. */
static void expect_bytes_by_formula(struct pair *p, int steps)
{
    uint64_t by_formula[RANKS_MOST] = { 0 };
    bool known = true;
    for (int i = 0; i < PAIR; i++) {
        const struct exchange_terms *t = &p->one[i].terms;
        const struct ledger_row *row = &fabric.ledger.rows[t->purpose];
        uint64_t B_to[RANKS_MOST] = { 0 };
        expect(p, !row->unpredictable && row->wire_B_predicted == row->wire_B_counted, "predicted == counted");
        known = exchange_find(p->subject->how)->sent(t, B_to) && known;
        for (int r = 0; r < job.ranks; r++)
            by_formula[r] += (uint64_t)steps * B_to[r];
    }
    for (int r = 0; r < job.ranks; r++)
        expect(p, !known || sent_to[r] == by_formula[r], "bytes sent to each rank == formula");
}

/* From what was saved before it, the step gives the same again. */
static void expect_restored_run_goes_on(struct pair *p, int64_t step)
{
    size_t bytes;
    for (int i = 0; i < PAIR; i++) {
        struct one *o = &p->one[i];
        memcpy(o->saved_state, compressed_state(o->x, &bytes), o->state_B);
        memcpy(o->saved_vector, o->vector, o->n * sizeof(float));
        memcpy(o->saved_owed, o->owed, (o->n + 1) * sizeof(double));
    }
    play_and_check(p, step);
    for (int i = 0; i < PAIR; i++) {
        struct one *o = &p->one[i];
        memcpy(compressed_state(o->x, &bytes), o->saved_state, o->state_B);
        memcpy(o->saved_sum, o->sum, o->n * sizeof(float));
        memcpy(o->vector, o->saved_vector, o->n * sizeof(float));
        memcpy(o->owed, o->saved_owed, (o->n + 1) * sizeof(double));
    }
    play_and_check(p, step);
    for (int i = 0; i < PAIR; i++)
        expect(p, memcmp(p->one[i].saved_sum, p->one[i].sum, p->one[i].n * sizeof(float)) == 0, "a restored state goes on");
}

/* ---- every compressor on every exchange ---------------------------------------------------------------------------------- */

static const char *refusal(const struct subject *s, size_t n, bool feedback)
{
    const struct exchange_terms t = terms_of(s, n, job.ranks, job.rank, feedback);
    return exchange_refuses(exchange_find(s->how), &t);
}

/* Returns whether it rides. */
static bool try_subject(const struct subject *s, size_t n)
{
    const bool feedback = !refusal(s, n, true);
    const char *why = feedback ? NULL : refusal(s, n, false);
    struct pair p;
    if (why)
        return false;
    open_pair(&p, s, n, feedback);
    for (int64_t step = 0; step < STEPS - 1; step++)
        play_and_check(&p, step);
    expect_restored_run_goes_on(&p, STEPS - 1);
    expect_bytes_by_formula(&p, STEPS + 1);
    close_pair(&p);
    return true;
}

/* An exchange's options that make a difference. */
static const struct {
    const char *how, *options;
} variants[] = {
    { "hierarchical", "node_ranks=1" }, { "hierarchical", "node_ranks=2" }, { "hierarchical", "node_ranks=4" },
    { "hierarchical", "node_ranks=5" }, { "server", "reply=sum" },          { "server", "reply=code" },
};
enum { VARIANTS = sizeof variants / sizeof *variants };

/* Of each exchange: its variants, or its defaults. */
static int try_exchanges(const char *kind, const char *kind_options, size_t n)
{
    int ridden = 0;
    for (int e = 0; exchanges[e]; e++) {
        struct subject s = { .how = exchanges[e]->member.name, .how_options = "", .kind = kind, .kind_options = kind_options };
        bool varied = false;
        for (int v = 0; v < VARIANTS; v++)
            if (strcmp(variants[v].how, s.how) == 0) {
                s.how_options = variants[v].options;
                ridden += try_subject(&s, n);
                varied = true;
            }
        ridden += !varied && try_subject(&s, n);
    }
    return ridden;
}

static const struct {
    const char *name, *options;
} kinds[] = {
    { "topk", "ratio=0.1" },
    { "topk", "k=3" },
    { "randk", "ratio=0.1 shared=true" },
    { "randk", "ratio=0.1 scaled=false" },
    { "threshold", "threshold=1000" },
    { "threshold", "threshold=1e9" },
    { "qsgd", "levels=127" },
    { "qsgd", "coding=elias" },
    { "terngrad", "bucket=100" },
    { "sign", "vote=true" },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void every_compressor_rides_every_exchange_or_is_refused_with_a_reason(void **state)
{
    (void)state;
    const size_t lengths[] = { 1000, (size_t)job.ranks - 1, 0, 1 };
    if (job.ranks > RANKS_OF_ALL)
        skip_on_all_ranks("too many messages");
    open_engine(PROGRESS_POLL);
    for (int i = 0; i < (job.ranks > 8 ? 2 : 4); i++) {
        for (int k = 0; compressors[k]; k++)
            assert_on_all_ranks(try_exchanges(compressors[k]->member.name, "", lengths[i]) > 0);
        for (int k = 0; k < KINDS; k++)
            try_exchanges(kinds[k].name, kinds[k].options, lengths[i]);
    }
    close_engine();
}

static void long_vectors_ride_by_any_progress(void **state)
{
    (void)state;
    static const char *const names[] = { [PROGRESS_NONE] = "topk", [PROGRESS_POLL] = "qsgd", [PROGRESS_THREAD] = "threshold" };
    const int last = job.ranks > RANKS_OF_ALL ? PROGRESS_NONE : job_is_simulated() ? PROGRESS_POLL : PROGRESS_THREAD;
    for (int progress = PROGRESS_NONE; progress <= last; progress++) {
        open_engine((enum progress)progress);
        assert_on_all_ranks(try_exchanges(names[progress], "", job.ranks > RANKS_OF_ALL ? 1000 : 70001) > 4);
        close_engine();
    }
}

/* ---- sums ---------------------------------------------------------------------------------------------------------------- */

/* Codes are the floats: of every rank's vector, and again of the sum where that is coded, too. */
static void sums_of_integers_are_exact_where_nothing_is_lost(void **state)
{
    (void)state;
    const size_t n = 1000;
    open_engine(PROGRESS_POLL);
    for (int e = 0; exchanges[e]; e++) {
        const char *options = exchanges[e] == &exchange_hierarchical ? "node_ranks=1" : "";
        const struct subject s = { exchanges[e]->member.name, options, "none", "" };
        struct pair p;
        if (refusal(&s, n, false))
            continue;
        open_pair(&p, &s, n, false);
        add_gradients(&p, 0);
        play(&p, 0);
        for (size_t k = 0; k < n; k++)
            expect(&p, (double)p.one[0].sum[k] == sum_of_gradients(0, k), "the sum is exact");
        const double code_B = compressed_code_B(p.one[0].x), codes = job.ranks + (exchanges[e] == &exchange_two_shot);
        expect(&p, job_sum(&job, code_B) == codes * 4 * (double)n, "bytes of codes");
        expect(&p, compressed_logical_bits(p.one[0].x) == 8 * code_B, "bits of codes");
        close_pair(&p);
    }
    close_engine();
}

static void what_cannot_ride_is_refused_in_one_sentence(void **state)
{
    (void)state;
    const struct subject s = { "ring-widened", "", "topk", "" };
    const struct exchange_terms t = terms_of(&s, 1000, job.ranks, job.rank, false);
    struct compressed *x = NULL;
    open_engine(PROGRESS_POLL);
    assert_on_all_ranks(compressed_open(&x, engine, &exchange_ring_widened, &t) == STATUS_USAGE && !x);
    assert_on_all_ranks(strncmp(status_message(), "\"topk\" by \"ring-widened\": its symbols are no integers", 50) == 0);
    close_engine();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_compressor_rides_every_exchange_or_is_refused_with_a_reason),
        cmocka_unit_test(long_vectors_ride_by_any_progress),
        cmocka_unit_test(sums_of_integers_are_exact_where_nothing_is_lost),
        cmocka_unit_test(what_cannot_ride_is_refused_in_one_sentence),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
