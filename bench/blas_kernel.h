/* OpenBLAS picks its kernel for the processor when it is loaded, and old versions do not know new processors: the kernel without
 * AVX-512 that they fall back to is half as fast as it could be. OPENBLAS_CORETYPE decides, but only before the library loads.
 */
#ifndef DMLBENCH_BENCH_BLAS_KERNEL_H
#define DMLBENCH_BENCH_BLAS_KERNEL_H

#include <stdbool.h>

struct blas_facts {
    bool given;          /* the user, or whoever started the program, set OPENBLAS_CORETYPE */
    bool restarted;      /* this program set it and started itself again */
    bool cpu_avx512;     /* processor and system have what the AVX-512 kernels need */
    bool kernel_avx512;  /* OpenBLAS uses such a kernel */
    bool can_be_changed; /* false in simulation, where the simulator owns the process */
};

/* Local; call first in main, before MPI starts. Where OpenBLAS leaves AVX-512 unused and nobody said so, sets
 * OPENBLAS_CORETYPE=SkylakeX and starts the program again in its place, once; else returns.
 * A rule by processor features and not by a timing, so that all ranks and all runs choose alike. */
void blas_kernel_choose(char **argv);

/* What was chosen and why, in one sentence; lives for ever. */
const char *blas_kernel_reason(void);

/* Pure; the two decisions above. */
bool blas_kernel_wants_restart(struct blas_facts f);
const char *blas_kernel_reason_for(struct blas_facts f);

#endif
