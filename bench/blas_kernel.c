/* Chooses the OpenBLAS kernel by processor features. Timing the candidates would choose by noise, and differ between ranks.
 * A given OPENBLAS_CORETYPE is always left alone, also where it is slower: the reason then says so.
 */
#include "bench/blas_kernel.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "collectives/job.h"
#include "kernels/matmul.h"

static const char CORETYPE[] = "OPENBLAS_CORETYPE", RESTARTED[] = "DMLBENCH_CHOSE_BLAS_KERNEL";

/* What OpenBLAS's SkylakeX kernels are compiled for; __builtin_cpu_supports also asks whether the system saves the registers. */
static bool cpu_has_avx512(void)
{
#ifdef __x86_64__
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#else
    return false;
#endif
}

static bool is_avx512_kernel(const char *name)
{
    static const char *const names[] = { "SkylakeX", "Cooperlake", "SapphireRapids" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static struct blas_facts facts(void)
{
    const bool restarted = getenv(RESTARTED);
    return (struct blas_facts){ .given = getenv(CORETYPE) && !restarted,
                                .restarted = restarted,
                                .cpu_avx512 = cpu_has_avx512(),
                                .kernel_avx512 = is_avx512_kernel(matmul_kernel_name()),
                                .can_be_changed = !job_is_simulated() };
}

bool blas_kernel_wants_restart(struct blas_facts f)
{
    return f.cpu_avx512 && !f.kernel_avx512 && !f.given && !f.restarted && f.can_be_changed;
}

void blas_kernel_choose(char **argv)
{
    if (!blas_kernel_wants_restart(facts()))
        return;
    if (setenv(CORETYPE, "SkylakeX", 1) == 0 && setenv(RESTARTED, "1", 1) == 0)
        execv("/proc/self/exe", argv);
    unsetenv(CORETYPE); /* there is no starting again here: go on with what there is */
    unsetenv(RESTARTED);
}

const char *blas_kernel_reason_for(struct blas_facts f)
{
    if (f.restarted)
        return f.kernel_avx512 ? "OpenBLAS had left the processor's AVX-512 unused, so OPENBLAS_CORETYPE was set to SkylakeX"
                               : "OPENBLAS_CORETYPE was set to SkylakeX for the processor's AVX-512, but OpenBLAS did not follow";
    if (f.given)
        return f.cpu_avx512 && !f.kernel_avx512
                   ? "OPENBLAS_CORETYPE was given, and leaves the processor's AVX-512 unused: unset it for more speed"
                   : "OPENBLAS_CORETYPE was given";
    if (!f.cpu_avx512)
        return "OpenBLAS's own choice; the processor has no AVX-512";
    return f.kernel_avx512 ? "OpenBLAS's own choice, which uses the processor's AVX-512"
                           : "OpenBLAS's own choice, which leaves the processor's AVX-512 unused: set OPENBLAS_CORETYPE=SkylakeX";
}

const char *blas_kernel_reason(void)
{
    return blas_kernel_reason_for(facts());
}
