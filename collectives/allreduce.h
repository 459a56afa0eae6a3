/* Allreduce algorithms as data: each is a pure function from (team, rank, n, i) to its i-th round, and a byte formula of its own.
 *
 * A round is: send a piece of the vector, receive a piece, and add it to the vector or put it in its place. The engine
 * (collectives/engine.h) plays rounds: blocking, polled between layers, or on a thread. So overlap, segmenting and byte counting
 * are written once, and the tests can play an algorithm for any number of ranks without MPI.
 */
#ifndef DMLBENCH_COLLECTIVES_ALLREDUCE_H
#define DMLBENCH_COLLECTIVES_ALLREDUCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/key.h"

struct round {
    int to, from;           /* ranks; -1: no message in that direction */
    size_t send_at, send_n; /* floats of the vector; a piece of 0 floats is not sent */
    size_t recv_at, recv_n;
    bool add; /* received floats are added to the vector; else they replace */
};

/* Floats [at, at + n) of a vector. */
struct range {
    size_t at, n;
};

/* Who sums: p ranks, of which every g consecutive ones, from rank 0 on, share a node. g divides p. */
struct team {
    int p, g;
};

struct window;

/* One rank's part of a sum through a window: of what it works on. */
struct sharing {
    struct window *window;
    int slot;
    struct team team;
    int rank;
    bool scatters, gathers; /* one of the two parts, or both */
    unsigned char *x;       /* [n * element_B] */
    size_t n, element_B;
    void (*combine)(void *to, const void *from, size_t bytes);
};
enum { SHARE_PHASES = 3 }; /* without a gather, the first two */

struct allreduce {
    struct member member;
    /* Why a team or n floats cannot be summed by this member; NULL: they can. OPTIONAL. */
    const char *(*refuses)(struct team t, size_t n);
    /* Rounds of one allreduce, the same on every rank (a rank that idles in a round has to = from = -1).
     * NULL: not played by rounds; the library's own. */
    int (*rounds)(struct team t);
    /* How many messages the vector is cut into: the algorithm's own messages are at most about n / blocks(t) floats. Sizes
     * segments.
     */
    int (*blocks)(struct team t);
    void (*round)(struct team t, int rank, size_t n, int i, struct round *out);
    /* Floats that `rank` sends, by the algorithm's closed formula (not by playing the rounds); NULL: unknown. */
    uint64_t (*sent_floats)(struct team t, int rank, size_t n);
    /* An allreduce that is a reduce-scatter followed by an allgather: after so many rounds every rank has the sum of what it owns,
     * and has sent so many floats; the rounds that are left spread what is owned. What the ranks own covers the vector once. All
     * three OPTIONAL; NULL: the algorithm has no such moment. */
    int (*scatter_rounds)(struct team t);
    struct range (*owned)(struct team t, int rank, size_t n);
    uint64_t (*scatter_sent_floats)(struct team t, int rank, size_t n);
    /* Instead of messages: phase i of SHARE_PHASES, through memory that all ranks share (window.h); between two phases they wait
     * for each other. The rounds then say who reads what from whom. OPTIONAL. */
    void (*share)(const struct sharing *s, int i);
};

extern const struct allreduce allreduce_ring, allreduce_doubling, allreduce_halving, allreduce_tree, allreduce_hierarchical,
    allreduce_shm, allreduce_mpi;
extern const struct allreduce *const allreduces[]; /* NULL-ended; the first is the default */
const struct allreduce *allreduce_find(const char *name);

/* Pure. p ranks, node_ranks of them on a node; 0: all. */
struct team team_of(int p, int node_ranks);
/* Pure. A node ends before rank `at`, too. */
void team_part(struct team *t, int at);

/* Block b of n floats cut into p blocks that differ by at most one float. */
size_t block_start(size_t n, int p, int b);
size_t block_length(size_t n, int p, int b);

#endif
