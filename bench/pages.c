/* Anonymous private mappings; MADV_DONTNEED gives pages back and makes them zero (Linux, madvise(2)). */
#include "bench/pages.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

float *pages_open(size_t n, bool hollow)
{
    const int protection = hollow ? PROT_NONE : PROT_READ | PROT_WRITE;
    void *x = mmap(NULL, (n + 1) * sizeof(float), protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return x == MAP_FAILED ? NULL : x;
}

void pages_close(float *x, size_t n)
{
    if (x)
        munmap(x, (n + 1) * sizeof(float));
}

void pages_drop(float *x, size_t n)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)x, to = from + n * sizeof(float);
    const uintptr_t first = (from + page - 1) / page * page, last = to / page * page;
    if (first >= last || madvise((void *)first, last - first, MADV_DONTNEED)) {
        memset(x, 0, n * sizeof(float));
        return;
    }
    memset(x, 0, first - from);
    memset((void *)last, 0, to - last);
}
