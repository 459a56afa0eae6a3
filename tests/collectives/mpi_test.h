/* cmocka under MPI: an assertion that fails on one rank fails on all, so no rank leaves early and hangs the others.
 *
 * Rank 0 runs the tests under cmocka and reports; the other ranks run the same functions in the same order and say nothing.
 * The first line of each test names the rank counts it is run with.
 */
#ifndef DMLBENCH_TESTS_COLLECTIVES_MPI_TEST_H
#define DMLBENCH_TESTS_COLLECTIVES_MPI_TEST_H

#include <mpi.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "collectives/job.h"

static struct job job;
static jmp_buf leave_test; /* of ranks > 0: cmocka has its own, and simulated ranks share that */

/* Collective; names the ranks on which the condition does not hold. */
#define assert_on_all_ranks(condition) assert_on_all_ranks_at((condition), #condition, __FILE__, __LINE__)

static inline void assert_on_all_ranks_at(bool holds, const char *text, const char *file, int line)
{
    int mine = holds, all;
    MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_MIN, job.world);
    if (!holds)
        fprintf(stderr, "rank %d of %d: %s:%d: does not hold: %s\n", job.rank, job.ranks, file, line, text);
    if (!all && job.rank)
        longjmp(leave_test, 1);
    if (!all)
        fail();
}

/* Collective: the rest of the test does not apply here. */
static inline void skip_on_all_ranks(const char *why)
{
    if (job.rank)
        longjmp(leave_test, 1);
    print_message("skipped: %s\n", why);
    skip();
}

static inline void run_silently(const struct CMUnitTest *tests, size_t count)
{
    for (volatile size_t i = 0; i < count; i++)
        if (!setjmp(leave_test))
            tests[i].test_func(NULL);
}

/* The body of main. Ranks > 0 leave the verdict to rank 0. */
#define RUN_ON_ALL_RANKS(argc, argv, tests)                                                                                        \
    do {                                                                                                                           \
        int failed_ = 0;                                                                                                           \
        job_open(&job, &argc, &argv);                                                                                              \
        if (job.rank)                                                                                                              \
            run_silently(tests, sizeof tests / sizeof *tests);                                                                     \
        else                                                                                                                       \
            failed_ = cmocka_run_group_tests(tests, NULL, NULL);                                                                   \
        job_close(&job);                                                                                                           \
        return failed_ != 0;                                                                                                       \
    } while (0)

#endif
