/* The links of a stated cluster without time or MPI. Oracles: cases worked out by hand (links of 1 and 10 s, 100 and 10 B/s,
 * messages of 100 B), and a port as a row of slots, of which a message takes the first that are free.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collectives/ports.h"

enum { RANKS = 8 };
#define assert_near(a, b) assert_true(fabs((a) - (b)) < 1e-9)

/* 2 nodes of 4: inside 1 s + 1 s for 100 B, between 10 s + 10 s. */
static const struct cluster two_nodes = {
    .nodes = 2, .node_ranks = 4, .inside = { 1, 100 }, .between = { 10, 10 }, .shared = true, .seed = 7
};

struct sent {
    int from, to;
    double B, now_s, left_s, due_s;
};

static void check_case(const struct cluster *c, const struct sent *messages, size_t n)
{
    void *memory = calloc(1, ports_B(c, RANKS));
    assert_non_null(memory);
    struct ports p = ports_in(memory, c, RANKS);
    for (size_t i = 0; i < n; i++) {
        const struct sent *m = &messages[i];
        const struct passage passage = ports_send(&p, m->from, m->to, (size_t)m->B, m->now_s);
        assert_near(passage.left_s, m->left_s);
        assert_near(passage.due_s, m->due_s);
    }
    free(memory);
}
#define CHECK(cluster, ...)                                                                                                        \
    check_case(cluster, (const struct sent[]){ __VA_ARGS__ }, sizeof((const struct sent[]){ __VA_ARGS__ }) / sizeof(struct sent))

static void an_idle_path_costs_latency_and_length_once(void **state)
{
    (void)state;
    CHECK(&two_nodes, { 0, 1, 100, 5, 6, 7 });
    CHECK(&two_nodes, { 0, 4, 100, 5, 15, 25 });
    CHECK(&two_nodes, { 0, 4, 0, 5, 5, 15 });
    CHECK(&two_nodes, { 3, 3, 100, 5, 5, 5 });
}

static void messages_of_one_rank_leave_one_after_the_other(void **state)
{
    (void)state;
    CHECK(&two_nodes, { 0, 1, 100, 0, 1, 2 }, { 0, 2, 100, 0, 2, 3 }, { 0, 1, 0, 0, 2, 3 }, { 0, 3, 100, 10, 11, 12 });
}

static void two_senders_share_their_receivers_port(void **state)
{
    (void)state;
    CHECK(&two_nodes, { 1, 0, 100, 0, 1, 2 }, { 2, 0, 100, 0, 1, 3 }, { 3, 0, 50, 0, 0.5, 3.5 }, { 1, 0, 0, 1, 1, 3.5 });
}

static void a_shared_uplink_congests_and_one_for_each_rank_does_not(void **state)
{
    (void)state;
    struct cluster apart = two_nodes;
    apart.shared = false;
    CHECK(&two_nodes, { 0, 4, 100, 0, 10, 20 }, { 1, 5, 100, 0, 20, 30 }, { 2, 6, 100, 0, 30, 40 }, { 3, 7, 100, 0, 40, 50 });
    CHECK(&apart, { 0, 4, 100, 0, 10, 20 }, { 1, 5, 100, 0, 10, 20 }, { 2, 6, 100, 0, 10, 20 }, { 3, 6, 100, 0, 10, 30 });
}

static void directions_and_links_leave_each_other_alone(void **state)
{
    (void)state;
    CHECK(&two_nodes, { 0, 4, 100, 0, 10, 20 }, { 4, 0, 100, 0, 10, 20 }, { 0, 1, 100, 0, 1, 2 }, { 1, 0, 100, 0, 1, 2 });
}

static void a_matrix_has_a_link_for_every_ordered_pair(void **state)
{
    (void)state;
    static const double latency_s[] = { 0, 1, 2, 3, 0, 4, 5, 6, 0 }, bandwidth[] = { 0, 10, 20, 100, 0, 1, 1, 1, 0 };
    struct cluster c = {
        .nodes = 3, .node_ranks = 3, .inside = { 1, 100 }, .shared = true, .latency_s = latency_s, .bandwidth_B_per_s = bandwidth
    };
    CHECK(&c, { 0, 3, 100, 0, 10, 11 }, { 0, 6, 100, 0, 5, 7 }, { 3, 0, 100, 0, 1, 4 }, { 2, 5, 100, 0, 20, 21 },
          { 6, 3, 100, 0, 100, 106 });
    c.shared = false;
    CHECK(&c, { 0, 3, 100, 0, 10, 11 }, { 2, 5, 100, 0, 10, 11 }, { 0, 4, 100, 0, 10, 11 }, { 0, 3, 100, 0, 20, 21 });
}

/* Rank 1's fourth message reaches rank 0 late; rank 3's passes before it, or around it, but does not make it later. */
static void what_was_promised_is_kept_and_the_time_before_it_is_used(void **state)
{
    (void)state;
    CHECK(&two_nodes, { 1, 2, 300, 0, 3, 4 }, { 1, 0, 100, 0, 4, 5 }, { 3, 0, 100, 0, 1, 2 }, { 2, 0, 300, 0, 3, 6 });
}

/* Slots of 1 s: a message takes the first free ones from its head on, and so does the port. */
static void a_port_never_idles_while_a_message_waits(void **state)
{
    (void)state;
    enum { SLOTS = 4000 };
    static bool busy[SLOTS];
    struct port port = { .count = 0 };
    unsigned x = 1;
    for (int now = 0; now < SLOTS / 4; now++) {
        for (int i = 0; i < 3; i++) {
            x = x * 1103515245u + 12345u;
            int left = (int)(x >> 16) % 3, at = now + (int)(x >> 20) % 50;
            const double done_s = port_carry(&port, now, at, left);
            while (left == 0 && busy[at])
                at++;
            for (; left; at++) {
                left -= !busy[at];
                busy[at] = true;
            }
            assert_true(port.count <= PORT_PROMISES);
            assert_near(done_s, at);
        }
    }
}

static void a_port_with_too_many_promises_puts_messages_behind_the_last(void **state)
{
    (void)state;
    struct port port = { .count = 0 };
    for (int i = 0; i < PORT_PROMISES; i++)
        assert_near(port_carry(&port, 0, 2 * i, 1), 2 * i + 1);
    assert_near(port_carry(&port, 0, 0.5, 1), 2 * PORT_PROMISES);
    assert_near(port_carry(&port, 0, 1e3, 1), 1001);
    assert_near(port_carry(&port, 0, 0.5, 1), 1002);
    assert_near(port_carry(&port, 2, 2, 1), 4); /* the first promise is past: there is room for one again */
    assert_near(port_carry(&port, 5, 5.5, 0.5), 6);
}

static void fill_delays(const struct cluster *c, bool beside, double *delay_s, int n)
{
    void *memory = calloc(1, ports_B(c, RANKS));
    assert_non_null(memory);
    struct ports p = ports_in(memory, c, RANKS);
    for (int i = 0; i < n; i++) {
        delay_s[i] = ports_send(&p, 0, 4, 100, 1000 * i).due_s - 1000 * i - 20;
        if (beside)
            ports_send(&p, 1, 4, 100, 1000 * i + 500);
    }
    free(memory);
}

static void jitter_repeats_with_its_seed_whatever_other_links_carry(void **state)
{
    (void)state;
    enum { N = 400 };
    static double one[N], same[N], other[N];
    struct cluster c = two_nodes;
    double sum_s = 0;
    c.jitter_s = 0.5;
    fill_delays(&c, false, one, N);
    fill_delays(&c, true, same, N);
    assert_memory_equal(one, same, sizeof one);
    for (int i = 0; i < N; i++)
        sum_s += one[i];
    assert_true(fabs(sum_s / N - 0.5 * sqrt(2 / 3.14159265)) < 0.06); /* mean of |N(0, d)|; 4 deviations of the mean */
    c.seed++;
    fill_delays(&c, false, other, N);
    assert_memory_not_equal(one, other, sizeof one);
}

static void wide_ports_delay_nothing(void **state)
{
    (void)state;
    void *memory = calloc(1, ports_B(&two_nodes, RANKS));
    struct ports p = ports_in(memory, &two_nodes, RANKS);
    ports_set_wide(&p, true);
    assert_near(ports_send(&p, 0, 4, 100, 3).due_s, 3);
    ports_set_wide(&p, false);
    assert_near(ports_send(&p, 0, 4, 100, 3).due_s, 23);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_path_costs_latency_and_length_once),
        cmocka_unit_test(messages_of_one_rank_leave_one_after_the_other),
        cmocka_unit_test(two_senders_share_their_receivers_port),
        cmocka_unit_test(a_shared_uplink_congests_and_one_for_each_rank_does_not),
        cmocka_unit_test(directions_and_links_leave_each_other_alone),
        cmocka_unit_test(a_matrix_has_a_link_for_every_ordered_pair),
        cmocka_unit_test(what_was_promised_is_kept_and_the_time_before_it_is_used),
        cmocka_unit_test(a_port_never_idles_while_a_message_waits),
        cmocka_unit_test(a_port_with_too_many_promises_puts_messages_behind_the_last),
        cmocka_unit_test(jitter_repeats_with_its_seed_whatever_other_links_carry),
        cmocka_unit_test(wide_ports_delay_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
