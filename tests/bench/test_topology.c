/* bench/topology.c against machines described in words, whose counts are products, and against the kernel's view of this one. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

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
        cmocka_unit_test(this_machine_has_the_processors_that_the_kernel_allows),
        cmocka_unit_test(a_thread_bound_to_one_processor_has_one_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
