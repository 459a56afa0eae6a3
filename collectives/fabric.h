/* The one place where bytes leave a rank: non-blocking point-to-point messages, counted by purpose.
 *
 * Collectives are built on these few calls, so counting, shaped links and virtual time come for free to all of them.
 * Calls cannot fail: an MPI error aborts the job (MPI_ERRORS_ARE_FATAL), a mismatch is a bug.
 */
#ifndef DMLBENCH_COLLECTIVES_FABRIC_H
#define DMLBENCH_COLLECTIVES_FABRIC_H

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>

#include "collectives/clock.h"
#include "collectives/cluster.h"
#include "collectives/ledger.h"
#include "collectives/status.h"
#include "collectives/window.h"
#include "kernels/key.h"

typedef struct {
    MPI_Request mpi; /* null: MPI is done with it, and known to be */
    bool held;       /* and still it is not done. The rest is for fabrics that hold messages back: */
    bool incoming;
    MPI_Request notice;
    double notice_s, due_s, look_s; /* what the notice says; done no earlier; how long nobody has to look */
} fabric_request;

enum { FABRIC_WAIT_MAX = 16, FABRIC_STAMP_B = sizeof(double) };

struct fabric;
struct ports;

/* What the fabrics of a job have in common; NULL members: the fabric needs none. */
struct fabric_setup {
    const struct cluster *cluster;         /* as stated */
    struct ports *ports;                   /* and what is under way on it: fabric shaped */
    struct window_size window;             /* memory that the ranks share; the fabric does without if they cannot */
    int node_ranks;                        /* every so many consecutive ranks of this fabric share a node; 0: all do */
    bool hollow;                           /* messages have their sizes and nothing in them, and no float is read or written */
    const struct clock_fit *clock;         /* this host's against rank 0's */
    double encode_B_per_s, decode_B_per_s; /* at which coding floats takes virtual time; 0: it takes none */
};

struct fabric_ops {
    struct member member;
    bool needs_ports;                 /* fabric_setup.ports */
    size_t notice_B;                  /* sent beside every message, and in no count */
    bool shares_memory;               /* whether ranks of a host may pass messages by */
    status (*open)(struct fabric *f); /* local; OPTIONAL */
    void (*close)(struct fabric *f);  /* OPTIONAL */
    void (*start_send)(struct fabric *f, const void *data, size_t bytes, int to, int tag, fabric_request *r);
    void (*start_recv)(struct fabric *f, void *data, size_t bytes, int from, int tag, fabric_request *r);
    /* x[n] summed over all ranks in place by the library's own algorithm; every rank starts these in the same order. OPTIONAL. */
    void (*start_sum)(struct fabric *f, float *x, size_t n, fabric_request *r);
    bool (*test)(struct fabric *f, fabric_request *r); /* true: done, *r is null again */
    /* Sleeps until one or more of r[0..n) are done, which are null afterwards. OPTIONAL: else they are tested in turn. */
    void (*wait_any)(struct fabric *f, fabric_request *const *r, int n);
    double (*now_s)(struct fabric *f); /* wall or virtual clock, seconds; one for all ranks of a host */
    void (*pause)(struct fabric *f, double s);
};

struct fabric {
    const struct fabric_ops *ops;
    struct fabric_setup setup;
    MPI_Comm comm; /* a communicator of its own, so that no tag can meet another's */
    int rank, ranks;
    struct ledger ledger;
    struct window *window; /* NULL: there is none, and why */
    const char *no_window;
    int *places;                 /* [ranks] of each in setup.ports; NULL: not shaped */
    bool charged;                /* job_is_charged */
    double *stamps, **stamps_of; /* see fabric_share_stamps; else NULL */
};

extern const struct fabric_ops fabric_mpi, fabric_shaped;
extern const struct fabric_ops *const fabrics[]; /* NULL-ended; the first is the default */
const struct fabric_ops *fabric_find(const char *name);

/* Collective over comm (duplicates it). setup: the same on every rank, NULL for zeros; what it points to must stay. If it failed on
 * any rank there is nothing to close. */
status fabric_open(struct fabric *f, const struct fabric_ops *ops, const struct fabric_setup *setup, MPI_Comm comm);
void fabric_close(struct fabric *f);

/* Local. Send `bytes` to rank `to`; counted under `purpose`. `data` must stay untouched until the request is done. */
void fabric_send(struct fabric *f, enum purpose purpose, const void *data, size_t bytes, int to, int tag, fabric_request *r);
/* Local. Likewise, with the time of sending (now_s) written into the 8 bytes behind `bytes`, counted as PURPOSE_STAMP; the receiver
 * receives bytes + FABRIC_STAMP_B. */
void fabric_send_stamped(struct fabric *f, enum purpose purpose, void *data, size_t bytes, int to, int tag, fabric_request *r);
/* As received behind `bytes` of a message. */
double fabric_stamp_s(const struct fabric *f, const void *data, size_t bytes, int from, int tag);
/* Collective. For hollow messages, which have no room for a stamp: stamps of messages with tags below `tags` are left in a table of
 * the sender, where the receiver looks, as all simulated ranks are in one process. A message must have come before the next of its
 * sender and tag is sent. */
void fabric_share_stamps(struct fabric *f, int tags);
void fabric_recv(struct fabric *f, void *data, size_t bytes, int from, int tag, fabric_request *r);
/* Local. Counts what was written to the window for others, as if it had been sent. */
void fabric_count_window(struct fabric *f, enum purpose purpose);
/* Local. The library's own allreduce of x[n] in place, n <= INT_MAX; not counted: nobody knows what it sends. Only if
 * ops->start_sum. */
void fabric_sum(struct fabric *f, float *x, size_t n, fabric_request *r);
bool fabric_test(struct fabric *f, fabric_request *r);
/* Without asking: whether a test or wait has already found it done. */
bool fabric_is_done(const fabric_request *r);
void fabric_wait(struct fabric *f, fabric_request *r);
/* Returns when at least one of the requests (1 <= n <= FABRIC_WAIT_MAX, none of them null) is done. */
void fabric_wait_any(struct fabric *f, fabric_request *const *r, int n);
/* By rank 0's clock, as far as setup.clock knows it; else by this host's. */
double fabric_now_s(struct fabric *f);
/* Lets that much of the fabric's time pass; nothing if it is not positive. */
void fabric_sleep(struct fabric *f, double s);
/* Local. So many floats are coded, or decoded: as much of the fabric's time passes as the setup says. False: they are not there,
 * and their sizes are all there is. */
bool fabric_encodes(struct fabric *f, size_t floats);
bool fabric_decodes(struct fabric *f, size_t floats);

#endif
