/* Two or three compressors one after the other: the values that one keeps are the vector of the next.
 *
 *     x[n] --topk--> which | value[k] --qsgd--> code of qsgd       on the wire: which | code of qsgd
 *
 *     code = for every stage but the last: k (uint32, only where a stage is not FIXED_SIZE), its code without the values;
 *            then the code of the last
 *
 * Every stage but the last is SPARSE, every stage but the first without state and without regard to rows and columns; others are
 * refused. FIXED_SIZE if all are; SPARSE, and FEEDBACK, if the first is: then what a later stage loses is not fed back. A chain's
 * own code does not end with its values as floats. UNBIASED if all are: 1 + omega is the product of the stages'. (Tight if all
 * are.) CONTRACTIVE if all are, and all but the last of fixed size: delta is the product of the stages', because what a stage
 * leaves out and what the next loses of the rest are at right angles. Chains are not in the table of compressors: bench/ makes them
 * from the config. finish_sum and levels of the parts are not used. Each stage has random numbers of its own. Source: the
 * combination is that of CocktailSGD (Wang et al., ICML 2023).
 */
#ifndef DMLBENCH_KERNELS_CHAIN_H
#define DMLBENCH_KERNELS_CHAIN_H

#include "kernels/compressor.h"

enum { CHAIN_MAX = 3 };

struct chain {
    int count; /* 2 .. CHAIN_MAX */
    const struct compressor *kind[CHAIN_MAX];
    const void *options[CHAIN_MAX];
};

extern const struct compressor compress_chain; /* options: a struct chain */

#endif
