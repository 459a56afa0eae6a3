/* What the engine plays: an operation over a vector of elements, cut into segments that are played independently of each other,
 * each as a series of rounds. Only the collectives' own planners include this (sum.c, gather.c, ordered.c).
 *
 * A planner fills a struct that begins with a struct operation and hands it to engine_plan.
 */
#ifndef DMLBENCH_COLLECTIVES_OPERATION_H
#define DMLBENCH_COLLECTIVES_OPERATION_H

#include "collectives/engine.h"

enum landing {
    LANDING_REPLACE,     /* the message is received in its place; it may be shorter than there is room */
    LANDING_COMBINE,     /* op->combine joins it with what is there */
    LANDING_LIBRARY_SUM, /* no message: the floats at `recv` go through the fabric's own allreduce */
    LANDING_LOCAL        /* no message: op->local is called, and the round lasts until op->is_met */
};

struct segment {
    size_t at, n;    /* elements [at, at + n) of the vector */
    void *workspace; /* of the slot that plays it; nothing in it outlives the segment */
    int slot;
};

struct step {     /* what one rank does in one round; a message of 0 bytes is not sent */
    int to, from; /* -1: no message in that direction */
    const void *send;
    size_t send_B;
    void *recv;
    size_t recv_B;
    enum landing landing;
};

struct operation {
    /* The planner's part. step fills the i-th round of a segment, i < rounds. */
    enum purpose purpose;
    void *data; /* the vector, for those that operation_aim may point elsewhere */
    size_t n, element_B;
    size_t segment_n; /* largest number of elements of a segment */
    int rounds;       /* the same on every rank */
    void (*step)(const struct operation *op, const struct segment *segment, int i, struct step *out);
    void (*local)(const struct operation *op, const struct segment *segment, int i);
    bool (*is_met)(const struct operation *op, const struct segment *segment, int i); /* OPTIONAL: else at once */
    void (*combine)(void *to, const void *from, size_t bytes);
    /* The messages of round i are here, or there were none: what has to be done before round i + 1 can be filled, or at the end. Of
     * operations of one segment that are not combined. OPTIONAL. */
    void (*landed)(struct operation *op, int i);
    size_t workspace_B; /* that step and local use; combining uses it, too, so an operation does either */
    uint64_t (*sent_elements)(const struct operation *op, size_t n); /* by formula, for a segment of n; NULL: unknown */
    uint64_t (*sent_B)(const struct operation *op); /* instead: by formula, from what is known only when it is done. OPTIONAL. */
    struct range (*owned)(const struct operation *op, size_t n); /* of a segment of n, by this rank; NULL: all of it */
    void *storage;                                               /* malloced; freed with the operation */

    /* The engine's part. */
    struct operation *next_planned, *next_started;
    size_t segments, segments_begun, segments_done;
    size_t segment_most; /* segment_n as planned */
    uint64_t logical_B, predicted_B;
    bool heard;
    double heard_s;
};

/* Pure. Cuts into segments of nearly equal length, none empty, none where there are no rounds. */
void operation_cut(struct operation *op);
/* Pure. Elements that this rank sends in all segments, by formula; 0 where unknown. */
uint64_t operation_sent_elements(const struct operation *op);

/* Local. Keeps a copy of the struct of `bytes` bytes that begins with *planned. On failure its storage is still the caller's. */
status engine_plan(struct engine *e, const struct operation *planned, size_t bytes, struct operation **op);

size_t engine_segment_B(const struct engine *e);

/* Work since start_s on what came, between two operations: see engine_work_s. */
void engine_worked(struct engine *e, double start_s);

/* A way to combine: floats are added. */
void combine_add(void *to, const void *from, size_t bytes);

/* Local. Points an operation that is not in flight at another vector, of any length if it was planned for a whole segment at least.
 */
void operation_aim(struct operation *op, void *data, size_t n);

#endif
