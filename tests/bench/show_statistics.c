/* Prints the statistics of the numbers on its input, one "name value" per line: tests/cli/test_statistics.py recomputes them. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/statistics.h"

enum { SAMPLES_MAX = 1000000 };

int main(void)
{
    double *x = malloc(2 * SAMPLES_MAX * sizeof *x);
    if (!x)
        return 1;
    size_t n = 0;
    while (n < SAMPLES_MAX && scanf("%lf", &x[n]) == 1)
        n++;
    struct statistic s = statistic_of(x, n, x + SAMPLES_MAX);
    const struct {
        const char *name;
        double value;
    } rows[] = { { "n", (double)s.n },
                 { "median", s.median },
                 { "ci95_low", s.ci95_low },
                 { "ci95_high", s.ci95_high },
                 { "ci_level", s.ci_level },
                 { "min", s.min },
                 { "max", s.max },
                 { "mean", s.mean },
                 { "sd", s.sd },
                 { "p5", s.p5 },
                 { "p95", s.p95 },
                 { "p99", s.p99 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("%s %.17g\n", rows[i].name, rows[i].value);
    free(x);
    return 0;
}
