/* A part of a model: some consecutive layers with parameters of their own, cut out of the whole; what a stage of a pipeline holds.
 *
 * A matrix that layers of two parts read (a head tied to the token embedding) is in both, as a copy: each adds up its own gradient,
 * the two are added after the step's exchange, and so both copies take the same update.
 */
#ifndef DMLBENCH_BENCH_PART_H
#define DMLBENCH_BENCH_PART_H

#include "bench/model.h"
#include "collectives/allreduce.h"

/* A matrix that is in two parts, or twice in one, as seen from a part. */
struct tied_slice {
    int original, copy; /* slices of the part; -1: not in it */
};

/* Local. part becomes the layers [first, first + count) of `whole`, in the same order, their slices renumbered from offset 0.
 * own_copies: a matrix that two of these layers read is in the part twice as well (so that its bits do not depend on the cut).
 * Fails for lack of memory only. network_close frees part. */
status network_take(struct network *part, const struct network *whole, int first, int count, bool own_copies,
                    struct tied_slice *tied);
/* Pure. The parameters of layer i, copies included, and those that it reads of another layer of the part (n = 0: none). */
void part_layer_ranges(const struct network *part, int i, struct range *own, struct range *shared);
/* Pure. Whether a layer reads a slice that another owns. */
bool network_is_tied(const struct network *whole);

#endif
