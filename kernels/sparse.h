/* What the compressors that keep some of the floats share: how many, which, and how a code tells which. Of others only the
 * exchanges of lists of entries (collectives/stream.h) use it: to select.
 *
 *     x[n] --select--> index[k], ascending --index coding--> side information | value[k] (float)
 *
 * Floats compare by their magnitude, as integers of their bits without the sign: NaN is above infinity, so that it is not hidden.
 * n <= 2^32 - 1 everywhere.
 */
#ifndef DMLBENCH_KERNELS_SPARSE_H
#define DMLBENCH_KERNELS_SPARSE_H

#include "kernels/compressor.h"

/* ---- how many ---- */

struct share {
    double ratio;
    int64_t k; /* 0: by ratio */
};

#define SHARE_RATIO_KEY(at)                                                                                                        \
    {                                                                                                                              \
        "ratio", KEY_REAL, at, "0.01", 1e-9, 1, .help = "Share of the floats that is sent."                                        \
    }
#define SHARE_K_KEY(at)                                                                                                            \
    {                                                                                                                              \
        "k", KEY_INT, at, "\"by-ratio\"", 1, 4294967295, .word = "by-ratio", .unit = "floats",                                     \
                                                         .help = "Floats that are sent of every vector, in place of a ratio."      \
    }

/* ceil(ratio n), where a product that misses an integer by rounding alone is that integer; at least 1 of n > 0. */
size_t kept_by_ratio(double ratio, size_t n);
size_t kept(const struct share *s, size_t n);
double kept_frac(size_t k, size_t n); /* k / n; 1 where n is 0 */
const char *indices_refuse(const struct coding *c);
/* As compressor.refuses: more floats than indices can count, k > n, or k beside a ratio that is not the default. */
const char *share_refuses(const struct share *s, const struct coding *c);

/* ---- which ---- */

/* index[n]: the first k become the indices of the k largest, of equals the lowest. O(n) for any x. */
void select_largest(const float *x, size_t n, size_t k, uint32_t *index);
/* index[n]: the first become the indices of all |x| > threshold >= 0; returns their number. */
size_t select_above(const float *x, size_t n, float threshold, uint32_t *index);
size_t count_above(const float *x, size_t n, float threshold);
/* A threshold that only infinity and NaN exceed, where the estimate is not a number that can be compared with. */
float threshold_finite(double estimate);
/* The rank-th largest magnitude, 1 <= rank <= count, of `count` <= n floats at uneven distances. index[count]: scratch. */
float sampled_magnitude(const float *x, size_t n, size_t count, size_t rank, uint32_t *index);
/* index[k]: k of n without replacement, each set exactly as likely as any other. O(n), or O(n / 64 + k) for small k.
 * map: scratch of select_random_bytes(n). */
size_t select_random_bytes(size_t n);
void select_random(const struct random *r, size_t n, size_t k, uint32_t *index, void *map);
/* index[count ..] = first + i for every set bit i, ascending, while there are fewer than `most`; returns the new count. Places up
 * to index[most - 1] may be overwritten. */
size_t append_bits(uint32_t *index, size_t count, size_t most, uint32_t first, uint64_t bits);

/* ---- how a code tells which ---- */

struct index_coding {
    const char *name;
    size_t (*bytes)(size_t n, size_t k);
    void (*write)(const uint32_t *index, size_t n, size_t k, unsigned char *code);
    /* index[k], ascending and below n, or UINT32_MAX where a hostile code has none. NULL: the code is index[k] as it lies. */
    void (*read)(const unsigned char *code, size_t n, size_t k, uint32_t *index);
};
/* seed: nothing; whoever reads has drawn index[k] itself. list: 4 k bytes. bitmap: ceil(n / 8) bytes, float i is bit i % 8 of byte
 * i / 8. enumerative: log2 C(n, k) bits, 0.01 + k n 2^-53 more for rounding, in whole bytes; O(n), a division each. */
extern const struct index_coding index_seed, index_list, index_bitmap, index_enumerative;
const struct index_coding *index_coding_find(const char *name); /* NULL: none of these */

/* ---- entries ---- */

/* Entries as they lie, unaligned, not yet checked: index[k], value[k]. */
struct entries {
    size_t k;
    const unsigned char *index, *value;
};

/* The code's index[k] by a coding, value[k] after it; nothing where the bytes are fewer. room[k] is used where the indices have to
 * be decoded. */
struct entries entries_read(const struct index_coding *coding, const unsigned char *code, size_t bytes, size_t n, size_t k,
                            uint32_t *room);
/* Writes index[k] by a coding and scale * x at them as value[k]; returns the bytes of both. */
size_t entries_write(const struct index_coding *coding, const float *x, size_t n, const uint32_t *index, size_t k, float scale,
                     unsigned char *code);
/* y[index] += factor * value, without what is not ascending or not below n. */
void entries_add(struct entries e, size_t n, float factor, float *y);
/* The same entries as index[most], value[most] (which may be where they lie); returns their number. */
size_t entries_copy(struct entries e, size_t n, size_t most, uint32_t *index, float *value);

/* ---- members of variable size: a list of as many entries as there are; functions of struct compressor ---- */

struct entries list_read(const unsigned char *code, size_t bytes);
size_t list_most_entries(const struct coding *c);  /* n */
size_t list_code_bytes(const struct coding *c);    /* 8 n */
size_t list_scratch_bytes(const struct coding *c); /* 4 n */
void list_decode(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch);
size_t list_entries(const struct coding *c, const unsigned char *code, size_t bytes, uint32_t *index, float *value, void *scratch);
/* Encodes all |x| > threshold. */
size_t list_encode_above(const struct coding *c, const float *x, float threshold, unsigned char *code, void *scratch);
/* k / n where k floats are above: what is left is at most 1 - k / n of |x|^2, because those are the largest. */
double delta_above(const struct coding *c, const float *x, float threshold);

#endif
