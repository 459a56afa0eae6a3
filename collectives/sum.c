/* Allreduce as an operation: the algorithm's rounds on each segment of the vector; of a reduce-scatter the first of them, of an
 * allgather the rest. */
#include "collectives/operation.h"
#include "collectives/window.h"
#include "kernels/half.h"
#include "kernels/layers.h"

struct sum {
    struct operation op; /* first: the engine knows only this */
    const struct allreduce *algorithm;
    enum sum_part part;
    struct team team;
    int rank, first_round;
    struct window *window;
};

static void sum_step(const struct operation *op, const struct segment *segment, int i, struct step *out)
{
    const struct sum *s = (const struct sum *)op;
    unsigned char *const x = (unsigned char *)op->data + segment->at * op->element_B;
    struct round r;
    s->algorithm->round(s->team, s->rank, segment->n, s->first_round + i, &r);
    *out = (struct step){
        .to = r.to,
        .from = r.from,
        .send = x + r.send_at * op->element_B,
        .send_B = r.send_n * op->element_B,
        .recv = x + r.recv_at * op->element_B,
        .recv_B = r.recv_n * op->element_B,
        .landing = r.add ? LANDING_COMBINE : LANDING_REPLACE,
    };
}

static void library_step(const struct operation *op, const struct segment *segment, int i, struct step *out)
{
    float *const x = (float *)op->data + segment->at;
    (void)i;
    *out = (struct step){ .to = -1, .from = -1, .recv = x, .recv_B = segment->n * sizeof(float), .landing = LANDING_LIBRARY_SUM };
}

/* ---- through shared memory ----------------------------------------------------------------------------------------------- */

enum { WINDOW_ALIGNMENT_B = 64 };

/* A segment of p blocks, and the sum of one. */
struct window_size engine_window(size_t segment_B, int p)
{
    const size_t block_B = (segment_B + WINDOW_ALIGNMENT_B - 1) / WINDOW_ALIGNMENT_B * WINDOW_ALIGNMENT_B;
    return (struct window_size){ ENGINE_SEGMENTS, ((size_t)p + 1) * block_B };
}

static void shared_step(const struct operation *op, const struct segment *segment, int i, struct step *out)
{
    (void)op;
    (void)segment;
    (void)i;
    *out = (struct step){ .to = -1, .from = -1, .landing = LANDING_LOCAL };
}

static void shared_local(const struct operation *op, const struct segment *segment, int i)
{
    const struct sum *s = (const struct sum *)op;
    const struct sharing sharing = { .window = s->window,
                                     .slot = segment->slot,
                                     .team = s->team,
                                     .rank = s->rank,
                                     .scatters = s->part != SUM_ALLGATHER,
                                     .gathers = s->part != SUM_REDUCE_SCATTER,
                                     .x = (unsigned char *)op->data + segment->at * op->element_B,
                                     .n = segment->n,
                                     .element_B = op->element_B,
                                     .combine = op->combine };
    s->algorithm->share(&sharing, i);
    if (i + 1 < SHARE_PHASES)
        window_signal(s->window, segment->slot);
}

static bool shared_is_met(const struct operation *op, const struct segment *segment, int i)
{
    return i + 1 == SHARE_PHASES || window_is_met(((const struct sum *)op)->window, segment->slot);
}

static void play_shared(struct sum *s, struct window *w)
{
    s->window = w;
    s->op.rounds = s->part == SUM_REDUCE_SCATTER ? SHARE_PHASES - 1 : SHARE_PHASES;
    s->op.step = shared_step;
    s->op.local = shared_local;
    s->op.is_met = shared_is_met;
}

/* ---- by messages --------------------------------------------------------------------------------------------------------- */

static uint64_t sum_sent(const struct operation *op, size_t n)
{
    const struct sum *s = (const struct sum *)op;
    const struct allreduce *a = s->algorithm;
    const uint64_t scattering = s->part == SUM_ALLREDUCE ? 0 : a->scatter_sent_floats(s->team, s->rank, n);
    return s->part == SUM_REDUCE_SCATTER ? scattering : a->sent_floats(s->team, s->rank, n) - scattering;
}

static struct range sum_owned(const struct operation *op, size_t n)
{
    const struct sum *s = (const struct sum *)op;
    return s->algorithm->owned(s->team, s->rank, n);
}

static struct sum sum_of(const struct allreduce *a, enum sum_part part, size_t segment_B, struct team t, int rank, size_t n)
{
    const size_t blocks = a->blocks ? (size_t)a->blocks(t) : 1;
    const int rounds = a->rounds ? a->rounds(t) : t.p > 1, scattering = part == SUM_ALLREDUCE ? 0 : a->scatter_rounds(t);
    return (struct sum){
        .op = { .n = n,
                .element_B = sizeof(float),
                .segment_n = a->rounds ? segment_B / sizeof(float) * blocks : n,
                .rounds = part == SUM_REDUCE_SCATTER ? scattering : rounds - scattering,
                .step = a->rounds ? sum_step : library_step,
                .sent_elements = a->sent_floats ? sum_sent : NULL,
                .owned = a->owned ? sum_owned : NULL },
        .algorithm = a,
        .part = part,
        .team = t,
        .rank = rank,
        .first_round = part == SUM_ALLGATHER ? scattering : 0,
    };
}

uint64_t engine_sent_floats(const struct allreduce *a, enum sum_part part, size_t segment_B, struct team t, int rank, size_t n)
{
    struct sum s = sum_of(a, part, segment_B, t, rank, n);
    operation_cut(&s.op);
    return operation_sent_elements(&s.op);
}

/* So many segments of n floats. */
static void play(const struct sum *s, size_t n, size_t segments, uint64_t *floats_to)
{
    for (int i = 0; i < s->op.rounds; i++) {
        struct round r;
        s->algorithm->round(s->team, s->rank, n, s->first_round + i, &r);
        if (r.to >= 0)
            floats_to[r.to] += segments * r.send_n;
    }
}

void engine_sent_to(const struct allreduce *a, enum sum_part part, size_t segment_B, struct team t, int rank, size_t n,
                    uint64_t *floats_to)
{
    struct sum s = sum_of(a, part, segment_B, t, rank, n);
    operation_cut(&s.op);
    if (!s.op.segments || !a->round)
        return;
    play(&s, s.op.segment_n, s.op.segments - 1, floats_to);
    play(&s, n - (s.op.segments - 1) * s.op.segment_n, 1, floats_to);
}

size_t engine_owned_floats(const struct allreduce *a, size_t segment_B, struct team t, int rank, size_t n)
{
    struct sum s = sum_of(a, SUM_REDUCE_SCATTER, segment_B, t, rank, n);
    operation_cut(&s.op);
    return operation_owned_elements(&s.op);
}

double engine_sum_s(const struct allreduce *a, enum sum_part part, size_t segment_B, const struct cost_groups *g, size_t n)
{
    struct sum s = sum_of(a, part, segment_B, cost_team(g), 0, n);
    operation_cut(&s.op);
    if (s.op.segments == 0)
        return 0;
    const struct rounds_cost one = cost_of_rounds(g, a, s.first_round, s.op.rounds, s.op.segment_n, sizeof(float));
    return cost_of_many_s(&one, s.op.segments, ENGINE_SEGMENTS);
}

void combine_add(void *to, const void *from, size_t bytes)
{
    add(to, from, bytes / sizeof(float));
}

static void keep_larger(void *to, const void *from, size_t bytes)
{
    maximum(to, from, bytes / sizeof(float));
}

static void add_halves(void *to, const void *from, size_t bytes)
{
    add_half(to, from, bytes / sizeof(uint16_t));
}

static void add_bfloats(void *to, const void *from, size_t bytes)
{
    add_bfloat(to, from, bytes / sizeof(uint16_t));
}

/* How elements are joined. */
struct joining {
    void (*combine)(void *to, const void *from, size_t bytes);
    size_t element_B;
};

static struct team engine_team(const struct engine *e)
{
    const struct fabric *f = engine_fabric(e);
    return team_of(f->ranks, f->setup.node_ranks);
}

static const char *refuses(const struct engine *e, enum sum_part part, const struct allreduce *a, const struct joining *j, size_t n)
{
    const struct fabric *f = engine_fabric(e);
    const char *why = a->refuses ? a->refuses(engine_team(e), n) : NULL;
    if (!why && !a->rounds && !f->ops->start_sum)
        why = "the fabric has no allreduce of its own";
    if (!why && a->share && f->ranks > 1 && !f->window)
        why = f->no_window;
    if (!why && a->share && f->ranks > 1 && window_slot_B(f->window) < engine_window(engine_segment_B(e), f->ranks).slot_B)
        why = "the window that its ranks share is too small for exchange.segment_B";
    if (!why && (!a->rounds || a->share) && f->setup.hollow)
        why = "it reads what it sums, and nothing is computed (fits: \"ring\")";
    if (!why && part != SUM_ALLREDUCE && !a->scatter_rounds)
        why = "it is not a reduce-scatter followed by an allgather";
    if (!why && j->combine != combine_add && !a->rounds)
        why = "it can only add floats";
    return why;
}

static status plan(struct engine *e, enum sum_part part, const struct joining *j, const struct allreduce *algorithm,
                   enum purpose purpose, void *x, size_t n, struct operation **op)
{
    const struct fabric *f = engine_fabric(e);
    const char *why = refuses(e, part, algorithm, j, n);
    if (why)
        return status_fail(STATUS_USAGE, "allreduce \"%s\" cannot sum %zu numbers over %d ranks: %s", algorithm->member.name, n,
                           f->ranks, why);
    struct sum s = sum_of(algorithm, part, engine_segment_B(e) * sizeof(float) / j->element_B, engine_team(e), f->rank, n);
    s.op.purpose = purpose;
    s.op.data = x;
    s.op.element_B = j->element_B;
    s.op.combine = j->combine;
    if (algorithm->share && f->window)
        play_shared(&s, f->window);
    return engine_plan(e, &s.op, sizeof s, op);
}

static const struct joining floats = { combine_add, sizeof(float) }, larger = { keep_larger, sizeof(float) };

status engine_plan_part(struct engine *e, enum sum_part part, const struct allreduce *algorithm, enum purpose purpose, float *x,
                        size_t n, struct operation **op)
{
    return plan(e, part, &floats, algorithm, purpose, x, n, op);
}

status engine_plan_sum(struct engine *e, const struct allreduce *algorithm, enum purpose purpose, float *x, size_t n,
                       struct operation **op)
{
    return plan(e, SUM_ALLREDUCE, &floats, algorithm, purpose, x, n, op);
}

status engine_plan_sum_of(struct engine *e, const struct allreduce *algorithm, enum purpose purpose, enum element element, void *x,
                          size_t n, struct operation **op)
{
    static const struct joining joinings[] = { [ELEMENT_FLOAT] = { combine_add, sizeof(float) },
                                               [ELEMENT_HALF] = { add_halves, sizeof(uint16_t) },
                                               [ELEMENT_BFLOAT] = { add_bfloats, sizeof(uint16_t) } };
    return plan(e, SUM_ALLREDUCE, &joinings[element], algorithm, purpose, x, n, op);
}

status engine_plan_max(struct engine *e, const struct allreduce *algorithm, enum purpose purpose, float *x, size_t n,
                       struct operation **op)
{
    return plan(e, SUM_ALLREDUCE, &larger, algorithm, purpose, x, n, op);
}
