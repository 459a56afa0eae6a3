/* What the files conformance*.c share. */
#ifndef DMLBENCH_BENCH_CONFORMANCE_PARTS_H
#define DMLBENCH_BENCH_CONFORMANCE_PARTS_H

#include "bench/conformance.h"

enum { WORKERS = 4, STEP = 1 << 20 /* behind any warm-up */ };

/* One compressor on one vector. Buffers are of one worker each, and end in a guard. */
struct subject {
    const struct compressor *kind;
    unsigned traits;
    const void *options;
    size_t n, rows, columns, code_B, state_B, scratch_B, guard_B;
    const char *input; /* the kind of vector */
    int draws;
    float *x[WORKERS], *y, *z; /* [n] */
    unsigned char *code[WORKERS], *spare, *state[WORKERS], *saved, *scratch;
    uint32_t *index[2]; /* [n] */
    double *mean;       /* [n] */
    struct conformance_row *row;
};

/* What `worker` codes in draw t. */
struct coding subject_coding(const struct subject *s, int worker, uint32_t t);
/* Encodes x[input] with a new state, the coding's worker's; returns the bytes. */
size_t subject_encode(const struct subject *s, const struct coding *c, int input, unsigned char *code);
/* y = the decoded code. */
void subject_decode(const struct subject *s, const struct coding *c, const unsigned char *code, size_t bytes, float *y);

double square_of(const float *v, size_t n);
double distance2(const float *v, const float *w, size_t n);

/* Mean and standard error of numbers, one by one. */
struct sample {
    double sum, sum2;
    int count;
};
void sample_add(struct sample *s, double v);
double sample_mean(const struct sample *s);
double sample_error(const struct sample *s);

/* Standard errors that are allowed; relative to a norm: what single precision rounds, and a bias that may come of events rarer than
 * the draws. */
#define Z_ALLOWED   4.
#define ROUNDING    1e-5
#define BIAS_UNSEEN 1e-4

/* deviation / allowed; 0 where the deviation is none, INFINITY where it is no number or nothing is allowed. */
double of_allowed(double deviation, double allowed);
/* Keeps the result if it is nearer to failing than those before. */
void judge(const struct subject *s, enum conformance_check check, double measured, double stated, double of_allowed_ratio);

/* conformance_rules.c: what an exchange relies on; and of vectors that differ from step to step, that a state goes on from where it
 * was saved, and does not where it was not. */
void check_rules(const struct subject *s);
void check_state(const struct subject *s);

#endif
