/* Lists of tasks against lists written down from the sources, and what must hold for every member, depth and number of
 * micro-batches. That no list waits for itself is shown by running the lists without a clock, in random order, with few messages on
 * their way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kernels/random.h"
#include "tests/bench/pipelines.h"

enum { CHUNKS_MAX = 4, MICRO_MAX = 16, TASKS_MAX = 3 * CHUNKS_MAX * MICRO_MAX };

static struct task_list lists[TEST_STAGES_MAX];

static void make_lists(const struct pipeline *p)
{
    assert_int_equal(pipeline_lists(p, lists), STATUS_OK);
}

enum { SPELLED_BYTES = 1024 };

/* "F0 f0 b0 B0" */
static void spell(const struct task_list *list, char text[SPELLED_BYTES])
{
    size_t used = 0;
    for (int i = 0; i < list->count; i++) {
        const struct task t = list->tasks[i];
        const char letter = (t.chunk ? "frbbw" : "FRBBW")[t.kind];
        used += (size_t)snprintf(text + used, SPELLED_BYTES - used, "%s%c%d", i ? " " : "", letter, t.micro);
    }
}

static void lists_are_those_of_the_sources(void **state)
{
    (void)state;
    FILE *table = fopen("tests/oracles/lists.csv", "r");
    assert_non_null(table);
    char *cell[7], text[SPELLED_BYTES];
    int rows = 0;
    for (; read_row(table, cell, 7) == 7; rows++) {
        const struct pipeline p = pipeline_of((struct variant){ cell[3], atoi(cell[4]) }, atoi(cell[0]), atoi(cell[1]),
                                              strcmp(cell[5], "on") ? SETTING_OFF : SETTING_ON, SETTING_AUTO);
        make_lists(&p);
        spell(&lists[atoi(cell[2])], text);
        assert_string_equal(text, cell[6]);
        pipeline_free_lists(&p, lists);
    }
    assert_int_equal(rows, 27);
    fclose(table);
}

/* ---- for every pipeline -------------------------------------------------------------------------------------------------- */

/* Index of a task in its stage's list; -1: it is not there exactly once. */
static int find_once(const struct task_list *list, enum task_kind kind, int chunk, int micro)
{
    int found = -1;
    for (int i = 0; i < list->count; i++)
        if (list->tasks[i].kind == kind && list->tasks[i].chunk == chunk && list->tasks[i].micro == micro) {
            if (found >= 0)
                return -1;
            found = i;
        }
    return found;
}

/* A looped route takes all micro-batches; of two routes the first takes the larger half. */
static bool visits(const struct pipeline *p, int chunk, int micro)
{
    return p->schedule->placement == PLACEMENT_LOOPED || (micro < (p->micro_batches + 1) / 2) == (chunk == 0);
}

static bool recomputes(const struct pipeline *p, int stage, int chunk, int micro)
{
    const bool last = pipeline_next(p, (struct place){ stage, chunk }).stage < 0;
    const bool kept = strcmp(p->schedule->member.name, "gpipe") == 0 && micro == p->micro_batches - 1;
    return p->recompute && (p->recompute_last || !last) && !kept;
}

static int check_micro_batch(const struct pipeline *p, int stage, int chunk, int micro)
{
    const bool split = strncmp(p->schedule->member.name, "zb", 2) == 0;
    const struct task_list *list = &lists[stage];
    const int forward = find_once(list, TASK_FORWARD, chunk, micro), recompute = find_once(list, TASK_RECOMPUTE, chunk, micro);
    const int backward = find_once(list, split ? TASK_INPUT_GRAD : TASK_BACKWARD, chunk, micro);
    const int weight = find_once(list, TASK_WEIGHT_GRAD, chunk, micro);
    assert_true(forward >= 0 && backward > forward);
    assert_int_equal(recompute >= 0, recomputes(p, stage, chunk, micro));
    assert_true(recompute < 0 || (forward < recompute && recompute < backward));
    assert_true(split ? weight > backward : weight < 0);
    return 2 + (recompute >= 0) + split;
}

static void check_stages(const struct pipeline *p)
{
    make_lists(p);
    for (int s = 0; s < p->stages; s++) {
        int tasks = 0;
        for (int chunk = 0; chunk < pipeline_chunks(p); chunk++)
            for (int j = 0; j < p->micro_batches; j++)
                if (visits(p, chunk, j))
                    tasks += check_micro_batch(p, s, chunk, j);
        assert_int_equal(lists[s].count, tasks);
    }
    pipeline_free_lists(p, lists);
}

static void every_micro_batch_passes_every_position_once_forward_before_backward(void **state)
{
    (void)state;
    assert_true(each_pipeline(check_stages) > 2500);
}

/* Most micro-batches that a list holds, chunks as their share. */
static double held(const struct pipeline *p, const struct task_list *list)
{
    int now = 0, most = 0;
    for (int i = 0; i < list->count; i++) {
        const enum task_kind kind = list->tasks[i].kind;
        now += (kind == TASK_FORWARD) - (kind == TASK_BACKWARD || kind == TASK_WEIGHT_GRAD);
        most = now > most ? now : most;
    }
    return (double)most * p->stages / pipeline_positions(p);
}

static void check_memory(const struct pipeline *p)
{
    const bool exact = p->schedule->placement == PLACEMENT_LOOPED || p->micro_batches >= p->stages;
    make_lists(p);
    for (int s = 0; s < p->stages; s++) {
        const double most = held(p, &lists[s]), formula = p->schedule->memory(p, s);
        assert_true(exact ? most == formula : most <= formula);
    }
    pipeline_free_lists(p, lists);
}

static void every_stage_holds_what_its_formula_says(void **state)
{
    (void)state;
    each_pipeline(check_memory);
}

/* peak of stages 0, 1, ...; -1 ends */
static void memory_is_that_of_the_papers(void **state)
{
    (void)state;
    static const struct {
        struct variant v;
        int stages, micro_batches;
        enum setting recompute;
        double peaks[9];
    } rows[] = {
        { { "1f1b", 0 }, 4, 8, SETTING_OFF, { 4, 3, 2, 1, -1 } }, /* min(m, p - s) */
        { { "1f1b", 0 }, 4, 2, SETTING_OFF, { 2, 2, 2, 1, -1 } },
        { { "gpipe", 0 }, 2, 8, SETTING_ON, { 8, 8, -1 } },
        { { "interleaved", 2 }, 4, 16, SETTING_OFF, { 5.5, 4.5, 3.5, 2.5, -1 } }, /* p (1 + (p - 1) / (p v)) - 2 r / v */
        { { "interleaved", 4 }, 4, 16, SETTING_OFF, { 4.75, 4.25, 3.75, 3.25, -1 } },
        { { "varuna", 0 }, 4, 16, SETTING_ON, { 9, 6, 3, 1, -1 } }, /* min(m, 3 (p - 1 - s)), the last 1 */
        { { "varuna", 0 }, 8, 64, SETTING_ON, { 21, 18, 15, 12, 9, 6, 3, 1, -1 } },
        { { "zb-h1", 0 }, 4, 16, SETTING_OFF, { 4, 4, 4, 4, -1 } },
        { { "zb-h2", 0 }, 4, 16, SETTING_OFF, { 7, 7, 7, 7, -1 } }, /* 2 p - 1 */
        { { "chimera", 0 }, 6, 6, SETTING_OFF, { 4, 5, 6, 6, 5, 4, -1 } },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct pipeline p = pipeline_of(rows[i].v, rows[i].stages, rows[i].micro_batches, rows[i].recompute, SETTING_AUTO);
        for (int s = 0; rows[i].peaks[s] >= 0; s++)
            assert_true(p.schedule->memory(&p, s) == rows[i].peaks[s]);
    }
}

static void check_route(const struct pipeline *p)
{
    for (int s = 0; s < p->stages; s++)
        for (int chunk = 0; chunk < pipeline_chunks(p); chunk++) {
            const struct place at = { s, chunk }, next = pipeline_next(p, at);
            if (next.stage < 0) {
                assert_int_equal(pipeline_position(p, at), pipeline_positions(p) - 1);
                continue;
            }
            const struct place back = pipeline_previous(p, next);
            assert_true(back.stage == s && back.chunk == chunk);
            assert_int_equal(pipeline_position(p, next), pipeline_position(p, at) + 1);
            assert_true(p->stages == 1 || next.stage != s);
        }
}

static void a_route_goes_from_neighbour_to_neighbour_and_back(void **state)
{
    (void)state;
    each_pipeline(check_route);
    const struct pipeline looped = pipeline_of((struct variant){ "interleaved", 2 }, 3, 3, SETTING_AUTO, SETTING_AUTO);
    const struct place wrapped = pipeline_next(&looped, (struct place){ 2, 0 });
    assert_true(wrapped.stage == 0 && wrapped.chunk == 1);
    const struct pipeline both = pipeline_of((struct variant){ "chimera", 0 }, 4, 4, SETTING_AUTO, SETTING_AUTO);
    assert_int_equal(pipeline_next(&both, (struct place){ 3, 1 }).stage, 2);
}

/* ---- no list waits for itself -------------------------------------------------------------------------------------------- */

enum way { ACTIVATIONS, GRADIENTS };

/* Stages run their lists in random order; a stage may have `messages` unreceived messages each way. */
static struct {
    const struct pipeline *p;
    int messages;
    bool blind; /* a stage may overlook a gradient that is there: it may be on its way */
    struct random random;
    uint32_t draws;
    bool done[TEST_STAGES_MAX][TASKS_MAX];
    bool sent[2][TEST_STAGES_MAX][CHUNKS_MAX][MICRO_MAX]; /* to this place */
    int unreceived[2][TEST_STAGES_MAX];                   /* from this stage */
} game;

static uint32_t draw(uint32_t below)
{
    return (uint32_t)random_below(&game.random, game.draws++, below);
}

static bool *message(enum way way, struct place to, int micro)
{
    return &game.sent[way][to.stage][to.chunk][micro];
}

static bool try_task(int stage, int i)
{
    const struct task t = lists[stage].tasks[i];
    const struct place at = { stage, t.chunk }, next = pipeline_next(game.p, at), previous = pipeline_previous(game.p, at);
    const enum way way = t.kind == TASK_FORWARD ? ACTIVATIONS : GRADIENTS;
    const struct place from = way == ACTIVATIONS ? previous : next, to = way == ACTIVATIONS ? next : previous;
    game.done[stage][i] = t.kind == TASK_RECOMPUTE || t.kind == TASK_WEIGHT_GRAD;
    if (game.done[stage][i])
        return true;
    const bool travels = to.stage >= 0 && to.stage != stage;
    if ((from.stage >= 0 && !*message(way, at, t.micro)) || (travels && game.unreceived[way][stage] == game.messages))
        return false;
    if (from.stage >= 0 && from.stage != stage)
        game.unreceived[way][from.stage]--;
    if (to.stage >= 0)
        *message(way, to, t.micro) = true;
    game.unreceived[way][stage] += travels;
    return game.done[stage][i] = true;
}

/* The first task that is not done, of this kind if it is not -1; `count` if there is none. */
static int first_left(int stage, int kind)
{
    int i = 0;
    while (i < lists[stage].count && (game.done[stage][i] || (kind >= 0 && (int)lists[stage].tasks[i].kind != kind)))
        i++;
    return i;
}

static bool try_stage(int stage)
{
    const int i = first_left(stage, -1), forward = first_left(stage, TASK_FORWARD);
    if (i == lists[stage].count)
        return false;
    const struct task t = lists[stage].tasks[i];
    const struct place at = { stage, t.chunk };
    const bool there = *message(GRADIENTS, at, t.micro) || pipeline_next(game.p, at).stage < 0;
    if (t.kind != TASK_RECOMPUTE || !pipeline_reorders(game.p) || forward == lists[stage].count ||
        (there && !(game.blind && draw(2))))
        return try_task(stage, i);
    return try_task(stage, forward);
}

/* Whether the lists end: a stage that can go on is found among all of them before they are said to wait for each other. */
static bool ends(const struct pipeline *p, int messages, bool blind, uint32_t seed)
{
    memset(&game, 0, sizeof game);
    game.p = p;
    game.messages = messages;
    game.blind = blind;
    game.random = (struct random){ seed, RANDOM_CHECK, 0, 0 };
    int left = 0, idle = 0;
    for (int s = 0; s < p->stages; s++)
        left += lists[s].count;
    for (int s = 0; left > 0 && idle < 64 * p->stages;) { /* 64: a blind stage looks again */
        s = idle ? (s + 1) % p->stages : (int)draw((uint32_t)p->stages);
        const bool went = try_stage(s);
        left -= went;
        idle = went ? 0 : idle + 1;
    }
    return left == 0;
}

static void check_messages(const struct pipeline *p)
{
    make_lists(p);
    const uint32_t seeds = pipeline_reorders(p) ? 4 : 1; /* without a choice the order of stages cannot matter */
    for (uint32_t seed = 0; seed < seeds; seed++)
        for (int blind = 0; blind < 2; blind++)
            assert_true(ends(p, PIPELINE_MESSAGES, blind, seed));
    pipeline_free_lists(p, lists);
}

static void no_lists_wait_for_each_other_with_few_messages_on_their_way(void **state)
{
    (void)state;
    each_pipeline(check_messages);
}

static void one_message_less_is_too_few(void **state)
{
    (void)state;
    const struct pipeline p = pipeline_of((struct variant){ "varuna", 0 }, 8, 16, SETTING_ON, SETTING_OFF);
    make_lists(&p);
    assert_false(ends(&p, PIPELINE_MESSAGES - 1, false, 0));
    pipeline_free_lists(&p, lists);
}

/* ---- what is asked for --------------------------------------------------------------------------------------------------- */

static void what_cannot_be_is_refused_with_what_would_fit(void **state)
{
    (void)state;
    static const struct {
        struct variant v;
        int stages, micro_batches;
        enum setting recompute, recompute_last;
        const char *fits; /* NULL: it can be */
    } rows[] = {
        { { "interleaved", 2 }, 4, 10, SETTING_AUTO, SETTING_AUTO, "(fits: key = 16 or 24)" },
        { { "interleaved", 2 }, 4, 3, SETTING_AUTO, SETTING_AUTO, "(fits: key = 8)" },
        { { "interleaved", 1 }, 4, 3, SETTING_AUTO, SETTING_AUTO, NULL },
        { { "chimera", 0 }, 5, 4, SETTING_AUTO, SETTING_AUTO, "4 or 6" },
        { { "chimera", 0 }, 1, 4, SETTING_AUTO, SETTING_AUTO, "fits: 2" },
        { { "chimera", 0 }, 4, 7, SETTING_ON, SETTING_AUTO, NULL },
        { { "zb-h1", 0 }, 4, 8, SETTING_ON, SETTING_AUTO, "1f1b" },
        { { "zb-h2", 0 }, 4, 8, SETTING_ON, SETTING_AUTO, "1f1b" },
        { { "1f1b", 0 }, 4, 1, SETTING_OFF, SETTING_ON, "fits: recompute = true" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct pipeline p =
            pipeline_of(rows[i].v, rows[i].stages, rows[i].micro_batches, rows[i].recompute, rows[i].recompute_last);
        char text[PIPELINE_MISFIT_BYTES];
        const char *why = pipeline_misfit(&p, "key", 2, text);
        assert_int_equal(why == NULL, rows[i].fits == NULL);
        assert_int_equal(pipeline_refuses(&p) == NULL, rows[i].fits == NULL);
        assert_true(!why || strstr(why, rows[i].fits) != NULL);
    }
}

static void recomputation_left_open_is_that_of_the_source(void **state)
{
    (void)state;
    const struct pipeline gpipe = pipeline_of((struct variant){ "gpipe", 0 }, 2, 2, SETTING_AUTO, SETTING_AUTO);
    const struct pipeline varuna = pipeline_of((struct variant){ "varuna", 0 }, 2, 2, SETTING_AUTO, SETTING_AUTO);
    const struct pipeline plain = pipeline_of((struct variant){ "1f1b", 0 }, 2, 2, SETTING_AUTO, SETTING_AUTO);
    assert_true(gpipe.recompute && gpipe.recompute_last);
    assert_true(varuna.recompute && !varuna.recompute_last);
    assert_true(!plain.recompute && !plain.recompute_last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_those_of_the_sources),
        cmocka_unit_test(every_micro_batch_passes_every_position_once_forward_before_backward),
        cmocka_unit_test(every_stage_holds_what_its_formula_says),
        cmocka_unit_test(memory_is_that_of_the_papers),
        cmocka_unit_test(a_route_goes_from_neighbour_to_neighbour_and_back),
        cmocka_unit_test(no_lists_wait_for_each_other_with_few_messages_on_their_way),
        cmocka_unit_test(one_message_less_is_too_few),
        cmocka_unit_test(what_cannot_be_is_refused_with_what_would_fit),
        cmocka_unit_test(recomputation_left_open_is_that_of_the_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
