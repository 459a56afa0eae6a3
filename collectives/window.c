/* Counts only grow, and each has a cache line of its own; writing is ordered before signalling, and seeing a signal before
 * reading (release, acquire). */
#include "collectives/window.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_B = 64, PATIENCE = 1000 /* some 20 us, in which a segment is written or summed */ };

struct window {
    MPI_Win win;
    int ranks, rank;
    size_t slot_B;
    uint64_t given_B;
    int patience;
    unsigned char *pieces[]; /* [ranks] */
};

#ifndef SMPI_H

static bool on_one_host(MPI_Comm comm)
{
    MPI_Comm here;
    int ranks, ranks_here, together;
    MPI_Comm_size(comm, &ranks);
    MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here);
    MPI_Comm_size(here, &ranks_here);
    MPI_Comm_free(&here);
    together = ranks_here == ranks;
    MPI_Allreduce(MPI_IN_PLACE, &together, 1, MPI_INT, MPI_MIN, comm);
    return together;
}

/* Its pages are zero: nobody has signalled. Nobody's piece needs to be next to another's. */
static bool allocate(struct window *w, MPI_Comm comm, size_t B)
{
    MPI_Info info;
    MPI_Errhandler handler;
    void *own;
    MPI_Info_create(&info);
    MPI_Info_set(info, "alloc_shared_noncontig", "true");
    MPI_Comm_get_errhandler(comm, &handler);
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    int made = MPI_Win_allocate_shared((MPI_Aint)B, 1, info, comm, &own, &w->win) == MPI_SUCCESS;
    MPI_Comm_set_errhandler(comm, handler);
    MPI_Errhandler_free(&handler);
    MPI_Info_free(&info);
    MPI_Allreduce(MPI_IN_PLACE, &made, 1, MPI_INT, MPI_MIN, comm);
    for (int r = 0; made && r < w->ranks; r++) {
        MPI_Aint size;
        int unit;
        MPI_Win_shared_query(w->win, r, &size, &unit, &w->pieces[r]);
    }
    return made;
}

struct window *window_open(MPI_Comm comm, struct window_size size, const char **why_not)
{
    int ranks;
    MPI_Comm_size(comm, &ranks);
    struct window *w = malloc(sizeof *w + (size_t)ranks * sizeof *w->pieces);
    int ready = w != NULL;
    MPI_Allreduce(MPI_IN_PLACE, &ready, 1, MPI_INT, MPI_MIN, comm);
    *why_not = !ready              ? "there is no memory for it"
               : on_one_host(comm) ? NULL
                                   : "its ranks are on several hosts (fits: \"hierarchical\", \"ring\")";
    if (*why_not) {
        free(w);
        return NULL;
    }
    *w = (struct window){ .ranks = ranks, .slot_B = (size.slot_B + LINE_B - 1) / LINE_B * LINE_B };
    MPI_Comm_rank(comm, &w->rank);
    w->patience = ranks <= sysconf(_SC_NPROCESSORS_ONLN) ? PATIENCE : 0;
    if (!allocate(w, comm, (size_t)size.slots * (LINE_B + w->slot_B))) {
        free(w);
        *why_not = "MPI could not allocate a window of shared memory (a smaller exchange.segment_B may fit)";
        return NULL;
    }
    MPI_Barrier(comm);
    return w;
}

void window_close(struct window *w)
{
    if (w)
        MPI_Win_free(&w->win);
    free(w);
}

#else

struct window *window_open(MPI_Comm comm, struct window_size size, const char **why_not)
{
    (void)comm;
    (void)size;
    *why_not = "simulated hosts share no memory";
    return NULL;
}

void window_close(struct window *w)
{
    free(w);
}

#endif

static unsigned char *piece_at(const struct window *w, int rank, int slot)
{
    return w->pieces[rank] + (size_t)slot * (LINE_B + w->slot_B);
}

static atomic_uint_least64_t *count_at(const struct window *w, int rank, int slot)
{
    return (atomic_uint_least64_t *)piece_at(w, rank, slot);
}

void window_write(struct window *w, int slot, size_t at, const void *from, size_t bytes, int readers)
{
    memcpy(piece_at(w, w->rank, slot) + LINE_B + at, from, bytes);
    w->given_B += bytes * (uint64_t)readers;
}

const void *window_read(const struct window *w, int rank, int slot, size_t at)
{
    return piece_at(w, rank, slot) + LINE_B + at;
}

size_t window_slot_B(const struct window *w)
{
    return w->slot_B;
}

void window_signal(struct window *w, int slot)
{
    atomic_fetch_add_explicit(count_at(w, w->rank, slot), 1, memory_order_release);
}

bool window_is_met(struct window *w, int slot)
{
    const uint64_t own = atomic_load_explicit(count_at(w, w->rank, slot), memory_order_relaxed);
    for (int r = 0; r < w->ranks; r++)
        if (atomic_load_explicit(count_at(w, r, slot), memory_order_acquire) < own)
            return false;
    return true;
}

int window_patience(const struct window *w)
{
    return w->patience;
}

uint64_t window_take_count(struct window *w)
{
    const uint64_t B = w->given_B;
    w->given_B = 0;
    return B;
}
