/* Messages of entries or floats, without MPI: sums against whole vectors, fill-in 1 - (1 - rho)^P (derived), hostile messages. */
#include "tests/kernels/check.h"

#include "collectives/stream_gather.h"

enum { N = 20000 };

static uint32_t seed = 1;

static uint32_t draw(void)
{
    return seed = seed * 1664525u + 1013904223u;
}

/* Draws entries of random indices of an extent. */
static void draw_list(const struct extent *e, double rho, struct stream *to)
{
    static uint32_t index[N];
    static float value[N];
    size_t count = 0;
    for (size_t i = e->range.at; i < e->range.at + e->range.n; i++)
        if (draw() < rho * 4294967296.0) {
            index[count] = (uint32_t)i;
            value[count++] = (float)(draw() >> 24) - 127.5F;
        }
    stream_of(e, index, value, count, to);
}

/* Sparse, dense and becoming dense, at the beginning of a vector and in it. */
static void a_sum_of_lists_is_the_list_of_the_sums(void **state)
{
    (void)state;
    static struct stream a[N], b[N], ab[N], ba[N];
    static float want[N], got[N];
    const double rhos[] = { 0, 0.01, 0.3, 0.6, 1 };
    for (size_t i = 0; i < COUNT(rhos) * COUNT(rhos) * 3; i++) {
        const size_t n = 1000, limit = i % 3 == 0 ? n : n / 2;
        const struct extent e = extent_of((struct range){ i * 10, n }, n, limit);
        draw_list(&e, rhos[i / 3 % COUNT(rhos)], a);
        draw_list(&e, rhos[i / 3 / COUNT(rhos)], b);
        memset(want, 0, n * sizeof *want);
        memset(got, 0, n * sizeof *got);
        stream_add(e.range, a, want);
        stream_add(e.range, b, want);
        stream_merge(&e, a, b, ab);
        stream_merge(&e, b, a, ba);
        stream_add(e.range, ab, got);
        assert_memory_equal(want, got, n * sizeof *got);
        assert_memory_equal(ab, ba, stream_B(ab));
        assert_true(stream_B(ab) <= extent_room_B(&e));
        assert_int_equal(ab->form, ab->form == STREAM_FLOATS || ab->count > limit ? STREAM_FLOATS : STREAM_ENTRIES);
    }
}

/* Merging P lists of random indices, within five standard deviations (and the digits given). */
static void random_indices_fill_in_as_derived(void **state)
{
    (void)state;
    static const struct {
        int lists;
        double rho, filled;
    } rows[] = { { 8, 0.01, 0.077 }, { 32, 0.01, 0.275 }, { 64, 0.01, 0.474 }, { 64, 0.001, 0.062 }, { 8, 0.1, 0.57 } };
    static struct stream room[2][N + 1], list[N + 1];
    const struct extent extent = extent_of((struct range){ 0, N }, N, N);
    for (size_t row = 0; row < COUNT(rows); row++) {
        room[0][0] = (struct stream){ STREAM_ENTRIES, 0 };
        for (int r = 0; r < rows[row].lists; r++) {
            draw_list(&extent, rows[row].rho, list);
            stream_merge(&extent, room[r % 2], list, room[(r + 1) % 2]);
        }
        const double filled = (double)room[rows[row].lists % 2]->count / N;
        assert_true(fabs(filled - rows[row].filled) < 5 * sqrt(filled * (1 - filled) / N) + 0.0005);
    }
}

static void hostile_messages_never_write_outside(void **state)
{
    (void)state;
    enum { FLOATS = 50, ROOM = 64, RUNS = 20000 };
    static struct {
        struct stream a[ROOM], b[ROOM], to[2 * ROOM];
        float y[2 * FLOATS];
    } m;
    for (int run = 0; run < RUNS; run++) {
        const struct extent e = extent_of((struct range){ draw() >> 29, FLOATS }, draw() >> 26, draw() >> 26);
        const size_t room_B = extent_room_B(&e);
        assert_true(room_B <= sizeof m.a);
        for (uint32_t *word = (uint32_t *)&m; word < (uint32_t *)(&m + 1); word++)
            *word = draw() >> draw() % 31;
        m.a->form %= 2;
        memset(m.to, 0x5a, sizeof m.to);
        memset(m.y, 0x5a, sizeof m.y);
        stream_cut(m.a, room_B);
        stream_cut(m.b, room_B);
        stream_merge(&e, m.a, m.b, m.to);
        stream_add(e.range, m.a, m.y);
        for (size_t i = room_B; i < sizeof m.to; i++)
            assert_int_equal(((unsigned char *)m.to)[i], 0x5a);
        for (size_t i = FLOATS * sizeof(float); i < sizeof m.y; i++)
            assert_int_equal(((unsigned char *)m.y)[i], 0x5a);
    }
}

/* Heads that say more than there is room for. */
static void a_gathering_of_hostile_messages_stays_in_its_room(void **state)
{
    (void)state;
    enum { WORDS = 200, ROOM_B = 400 };
    static uint32_t words[WORDS];
    for (int run = 0; run < 20000; run++) {
        for (int i = 0; i < WORDS; i++)
            words[i] = draw() >> draw() % 31;
        struct gathering g = { .at = (unsigned char *)words, .room_B = ROOM_B, .ranks = 7, .rank = 3 };
        gathering_begin(&g);
        for (int t = 0; t < gathering_rounds(g.ranks); t++) {
            const struct step step = gathering_step(&g, t);
            assert_true(step.send_B <= g.end_B && g.end_B + step.recv_B == ROOM_B);
            gathering_landed(&g, t);
        }
        assert_true(g.end_B <= ROOM_B);
        for (int r = 0; r < g.ranks; r++) {
            const unsigned char *message = (const unsigned char *)gathering_message(&g, r);
            assert_true(!message || message + stream_B((const struct stream *)message) <= g.at + ROOM_B);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sum_of_lists_is_the_list_of_the_sums),
        cmocka_unit_test(random_indices_fill_in_as_derived),
        cmocka_unit_test(hostile_messages_never_write_outside),
        cmocka_unit_test(a_gathering_of_hostile_messages_stays_in_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
