/* Shared by the tests of compressed exchanges: a subject is a compressor and an exchange, each with options as text. */
#ifndef DMLBENCH_TESTS_COLLECTIVES_EXCHANGES_H
#define DMLBENCH_TESTS_COLLECTIVES_EXCHANGES_H

#include "collectives/exchange.h"
#include "tests/kernels/options.h"

struct subject {
    const char *how, *how_options, *kind, *kind_options;
};

enum { SUBJECT_SEGMENT_B = 4096 };

/* Of n floats, a matrix of 40 rows where that divides n. */
static inline struct exchange_terms terms_of(const struct subject *s, size_t n, int p, int rank, bool feedback)
{
    const struct compressor *kind = compressor_find(s->kind);
    const struct exchange *how = exchange_find(s->how);
    const size_t rows = n % 40 == 0 && n > 0 ? 40 : 1;
    assert_non_null(kind);
    assert_non_null(how);
    struct coding c = coding_of(options_of(kind, s->kind_options), n);
    c.rows = rows;
    c.columns = n / rows;
    c.worker = rank;
    c.workers = p;
    return (struct exchange_terms){ .kind = kind,
                                    .coding = c,
                                    .options = member_options(&how->member, s->how_options),
                                    .allreduce = &allreduce_ring,
                                    .purpose = PURPOSE_GRADIENT,
                                    .segment_B = SUBJECT_SEGMENT_B,
                                    .feedback = feedback };
}

#endif
