/* bench/environment.c: what must be told is told, what must not is not; and the rule of bench/blas_kernel.c as a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/blas_kernel.h"
#include "bench/environment.h"

static const char *value_of(const struct environment *e, const char *name)
{
    for (size_t i = 0; i < e->n_variables; i++)
        if (strcmp(e->variables[i].name, name) == 0)
            return e->variables[i].value;
    return NULL;
}

static void only_variables_of_the_allow_list_are_shown(void **state)
{
    (void)state;
    setenv("SECRET_TOKEN", "hunter2", 1);
    setenv("OMP_NUM_THREADS", "3", 1);
    setenv("OMPI_MCA_btl_vader_eager_limit", "a=b", 1);
    setenv("OMPI_MCA_orte_precondition_transports", "0123-4567", 1);
    setenv("SLURM_JOB_ID", "42", 1);
    setenv("SLURM_JOB_ID_SECRET", "hunter2", 1);
    struct environment e;
    assert_int_equal(environment_read(&e), STATUS_OK);
    assert_string_equal(value_of(&e, "OMP_NUM_THREADS"), "3");
    assert_string_equal(value_of(&e, "OMPI_MCA_btl_vader_eager_limit"), "a=b");
    assert_string_equal(value_of(&e, "SLURM_JOB_ID"), "42");
    assert_null(value_of(&e, "OMPI_MCA_orte_precondition_transports"));
    for (size_t i = 0; i < e.n_variables; i++) {
        assert_null(strstr(e.variables[i].name, "SECRET"));
        assert_null(strstr(e.variables[i].value, "hunter2"));
        assert_true(i == 0 || strcmp(e.variables[i - 1].name, e.variables[i].name) < 0);
    }
    environment_free(&e);
}

static void the_machine_and_the_build_have_names(void **state)
{
    (void)state;
    struct environment e;
    assert_int_equal(environment_read(&e), STATUS_OK);
    char host[256];
    assert_int_equal(gethostname(host, sizeof host), 0);
    assert_string_equal(e.host, host);
    assert_non_null(strstr(e.mpi_library, "Open MPI"));
    assert_non_null(strstr(e.blas_library, "OpenBLAS"));
    assert_non_null(strstr(e.cflags, "-std="));
    assert_string_equal(e.build, "mpi");
    assert_true(e.clock_resolution_s > 0 && e.clock_resolution_s < 1e-3);
    assert_true(e.cores >= 1 && e.bound_cores <= e.cores);
    double memory_kB = 0;
    FILE *meminfo = fopen("/proc/meminfo", "r");
    assert_non_null(meminfo);
    assert_int_equal(fscanf(meminfo, "MemTotal: %lf", &memory_kB), 1);
    fclose(meminfo);
    assert_true(e.memory_B == 1024 * memory_kB);
    environment_free(&e);
}

static void usage_counts_what_the_process_does(void **state)
{
    (void)state;
    const size_t bytes = 64 << 20;
    const struct usage before = usage_now();
    char *touched = malloc(bytes);
    assert_non_null(touched);
    memset(touched, 1, bytes);
    assert_int_equal(touched[bytes - 1], 1);
    usleep(1000); /* gives the core away */
    const struct usage after = usage_now();
    free(touched);
    assert_true(after.peak_rss_B >= before.peak_rss_B);
    assert_true(after.peak_rss_B > (double)bytes);
    assert_true(after.minor_faults > before.minor_faults);
    assert_true(after.voluntary > before.voluntary);
    assert_true(after.load >= 0);
}

static void only_an_unasked_kernel_without_avx512_is_replaced_and_only_once(void **state)
{
    (void)state;
    const struct blas_facts replaced = { .cpu_avx512 = true, .can_be_changed = true };
    assert_true(blas_kernel_wants_restart(replaced));
    struct blas_facts f = replaced;
    f.given = true;
    assert_false(blas_kernel_wants_restart(f));
    f = replaced;
    f.restarted = true;
    assert_false(blas_kernel_wants_restart(f));
    f = replaced;
    f.cpu_avx512 = false;
    assert_false(blas_kernel_wants_restart(f));
    f = replaced;
    f.kernel_avx512 = true;
    assert_false(blas_kernel_wants_restart(f));
    f = replaced;
    f.can_be_changed = false;
    assert_false(blas_kernel_wants_restart(f));
}

static void the_reason_says_who_chose_and_what_stays_unused(void **state)
{
    (void)state;
    const struct {
        struct blas_facts facts;
        const char *says;
    } rows[] = {
        { { .given = true, .cpu_avx512 = true }, "was given, and leaves the processor's AVX-512 unused" },
        { { .given = true }, "was given" },
        { { .restarted = true, .cpu_avx512 = true, .kernel_avx512 = true }, "was set to SkylakeX" },
        { { .restarted = true, .cpu_avx512 = true }, "did not follow" },
        { { .cpu_avx512 = true, .kernel_avx512 = true }, "own choice, which uses" },
        { { .cpu_avx512 = true }, "own choice, which leaves" },
        { { .cpu_avx512 = false }, "has no AVX-512" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_non_null(strstr(blas_kernel_reason_for(rows[i].facts), rows[i].says));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_variables_of_the_allow_list_are_shown),
        cmocka_unit_test(the_machine_and_the_build_have_names),
        cmocka_unit_test(usage_counts_what_the_process_does),
        cmocka_unit_test(only_an_unasked_kernel_without_avx512_is_replaced_and_only_once),
        cmocka_unit_test(the_reason_says_who_chose_and_what_stays_unused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
