/* bench/topology.c against machines described in words, whose counts are products, and against the kernel's view of this one. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bench/topology.h"

static void a_described_machine_has_the_product_of_its_words(void **state)
{
    (void)state;
    struct topology t;
    assert_true(topology_read(&t, "pack:2 numa:2 l3:1(size=33554432) core:8 l1d:1(size=49152) pu:2"));
    assert_int_equal(t.packages, 2);
    assert_int_equal(t.numa_nodes, 4);
    assert_int_equal(t.cores, 32);
    assert_int_equal(t.pus, 64);
    assert_int_equal(t.l3_B, 32 << 20);
    assert_int_equal(t.l1d_B, 48 << 10);
    assert_int_equal(t.bound_cores, 32);
    assert_string_equal(t.cpuset, "0-63");
}

static void what_a_machine_does_not_have_is_zero(void **state)
{
    (void)state;
    struct topology t;
    assert_true(topology_read(&t, "core:3 pu:1"));
    assert_int_equal(t.packages, 0);
    assert_int_equal(t.l2_B, 0);
    assert_string_equal(t.cpu_model, "");
}

static void words_that_hwloc_does_not_understand_are_refused(void **state)
{
    (void)state;
    struct topology t;
    assert_false(topology_read(&t, "two big packages"));
}

static const char two_packages[] = "pack:2 numa:2 core:8 pu:2";

/* cores[g]: of ranks 0 .. g-1 in groups of `together`. */
static void assert_cores(const char *machine, int g, int together, const int *cores)
{
    for (int i = 0; i < g; i++)
        assert_int_equal(topology_core(machine, &(struct seating){ i, g, together }), cores[i]);
}

static void a_core_for_every_rank_is_that_of_its_number(void **state)
{
    (void)state;
    int all[32];
    for (int i = 0; i < 32; i++)
        all[i] = i;
    for (int together = 1; together <= 32; together *= 2)
        assert_cores(two_packages, 32, together, all); /* groups of 8 fill a NUMA node of 8, of 16 a package of 16 */
}

/* NUMA nodes begin at cores 0, 8, 16, 24, packages at 0 and 16. */
static void groups_are_packed_and_spread_over_the_machine(void **state)
{
    (void)state;
    assert_cores(two_packages, 4, 1, (const int[]){ 0, 8, 16, 24 });
    assert_cores(two_packages, 4, 2, (const int[]){ 0, 1, 16, 17 });
    assert_cores(two_packages, 8, 2, (const int[]){ 0, 1, 8, 9, 16, 17, 24, 25 });
    assert_cores(two_packages, 8, 8, (const int[]){ 0, 1, 2, 3, 4, 5, 6, 7 });
    assert_cores(two_packages, 6, 1, (const int[]){ 0, 1, 8, 16, 17, 24 });
    assert_cores(two_packages, 12, 6, (const int[]){ 0, 1, 2, 3, 4, 5, 16, 17, 18, 19, 20, 21 });
    assert_cores(two_packages, 3, 2, (const int[]){ 0, 1, 16 });
    int sixteen[16];
    for (int i = 0; i < 16; i++)
        sixteen[i] = i;
    assert_cores(two_packages, 16, 16, sixteen);
    assert_cores("pack:1 core:4 pu:1", 3, 2, (const int[]){ 0, 1, 2 });
}

static void no_two_ranks_have_the_same_core(void **state)
{
    (void)state;
    for (int g = 1; g <= 32; g++)
        for (int together = 1; together <= 20; together += 3) {
            bool taken[32] = { false };
            for (int i = 0; i < g; i++) {
                const int core = topology_core(two_packages, &(struct seating){ i, g, together });
                assert_in_range(core, 0, 31);
                assert_false(taken[core]);
                taken[core] = true;
            }
        }
}

static void ranks_without_a_core_each_have_none(void **state)
{
    (void)state;
    assert_int_equal(topology_core(two_packages, &(struct seating){ 0, 33, 1 }), -1);
}

/* Whatever the launcher of this test has bound stays bound; a thread that may run anywhere is bound where it was said. */
static void a_thread_is_bound_only_if_nobody_has_bound_it(void **state)
{
    (void)state;
    cpu_set_t before, all, one;
    struct topology t;
    enum binder by;
    const struct seating first = { 0, 2, 1 }, crowd = { 0, 1 << 20, 1 };
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    memset(&all, 0xff, sizeof all);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    assert_true(topology_read(&t, NULL));
    assert_int_equal(topology_bind("none", &first, &by), STATUS_OK);
    assert_int_equal(by, BOUND_BY_NOBODY);
    assert_int_equal(topology_bind("auto", &crowd, &by), STATUS_OK);
    assert_int_equal(by, BOUND_BY_NOBODY);
    assert_int_equal(topology_bind("core", &crowd, &by), STATUS_USAGE);
    assert_non_null(strstr(status_message(), "1048576 ranks are on a machine of"));
    if (t.cores > 1) {
        assert_int_equal(topology_bind("auto", &(struct seating){ 1, 2, 2 }, &by), STATUS_OK);
        assert_int_equal(by, BOUND_BY_PROGRAM);
        assert_true(topology_read(&t, NULL));
        assert_int_equal(t.core, 1);
        assert_int_equal(sched_getaffinity(0, sizeof one, &one), 0);
        assert_int_equal(topology_bind("core", &first, &by), STATUS_OK); /* as if by the launcher */
        assert_int_equal(by, BOUND_BY_LAUNCHER);
        assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
        assert_true(CPU_EQUAL(&all, &one));
    }
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

static void this_machine_has_the_processors_that_the_kernel_allows(void **state)
{
    (void)state;
    struct topology t;
    assert_true(topology_read(&t, NULL));
    cpu_set_t allowed;
    assert_int_equal(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    assert_true(t.pus >= CPU_COUNT(&allowed));
    assert_in_range(t.cores, 1, (uintmax_t)t.pus);
}

static void a_thread_bound_to_one_processor_has_one_core(void **state)
{
    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &before))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    struct topology t;
    const bool read = topology_read(&t, NULL);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);

    char expected[16];
    snprintf(expected, sizeof expected, "%zu", cpu);
    assert_true(read);
    assert_int_equal(t.bound_cores, 1);
    assert_string_equal(t.cpuset, expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_described_machine_has_the_product_of_its_words),
        cmocka_unit_test(what_a_machine_does_not_have_is_zero),
        cmocka_unit_test(words_that_hwloc_does_not_understand_are_refused),
        cmocka_unit_test(a_core_for_every_rank_is_that_of_its_number),
        cmocka_unit_test(groups_are_packed_and_spread_over_the_machine),
        cmocka_unit_test(no_two_ranks_have_the_same_core),
        cmocka_unit_test(ranks_without_a_core_each_have_none),
        cmocka_unit_test(a_thread_is_bound_only_if_nobody_has_bound_it),
        cmocka_unit_test(this_machine_has_the_processors_that_the_kernel_allows),
        cmocka_unit_test(a_thread_bound_to_one_processor_has_one_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
