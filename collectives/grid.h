/* The ranks as a grid data x pipeline x tensor; degree 1 means absent.
 *
 * The order of ranks is a string of three axes, the leftmost varying fastest:
 *   "tp-pp-dp"    rank = tensor + T (pipeline + P data)       tensor ranks are neighbours, then stages
 *   "pp-dp-tp"    rank = pipeline + P (data + D tensor)       stages are neighbours (Varuna's placement, where T = 1)
 * Hosts are filled with consecutive ranks, so it says which traffic stays within a host.
 * Source of the notation: Megatron-LM.
 */
#ifndef DMLBENCH_COLLECTIVES_GRID_H
#define DMLBENCH_COLLECTIVES_GRID_H

#include <mpi.h>

#include "collectives/status.h"

enum axis { AXIS_TENSOR, AXIS_PIPELINE, AXIS_DATA, AXIS_COUNT };
const char *axis_name(enum axis a); /* "tensor", "pipeline", "data" */

struct grid {
    int degree[AXIS_COUNT]; /* their product is the number of ranks */
    int at[AXIS_COUNT];     /* this rank's coordinates */
    MPI_Comm world;
    MPI_Comm along[AXIS_COUNT]; /* ranks that differ from this one in that coordinate only, ordered by it */
};

/* Pure: rank -> coordinates and back. `order` is one of the six. */
void grid_coordinates(const int degree[AXIS_COUNT], const char *order, int rank, int at[AXIS_COUNT]);
int grid_rank(const int degree[AXIS_COUNT], const char *order, const int at[AXIS_COUNT]);

/* Collective over world. The product of the degrees must be its size (checked before, with a sentence, by the config rules). */
void grid_open(struct grid *g, const int degree[AXIS_COUNT], const char *order, MPI_Comm world);
void grid_close(struct grid *g);

#endif
