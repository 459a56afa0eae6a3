/* The ranks as a grid data x pipeline x tensor; degree 1 means absent. */
#ifndef DMLBENCH_COLLECTIVES_GRID_H
#define DMLBENCH_COLLECTIVES_GRID_H

#include <mpi.h>

#include "collectives/status.h"

enum axis { AXIS_TENSOR, AXIS_PIPELINE, AXIS_DATA, AXIS_COUNT };

struct grid {
    int degree[AXIS_COUNT]; /* their product is the number of ranks */
    int at[AXIS_COUNT];     /* this rank's coordinates */
    MPI_Comm world;
    MPI_Comm along[AXIS_COUNT]; /* ranks that differ from this one in that coordinate only, ordered by it */
};

/* Pure: coordinates of `rank`, tensor fastest, then pipeline, then data ("tp-pp-dp"). */
void grid_coordinates(const int degree[AXIS_COUNT], int rank, int at[AXIS_COUNT]);

/* Collective over world. The product of the degrees must be its size (checked before, with a sentence, by the config rules). */
void grid_open(struct grid *g, const int degree[AXIS_COUNT], MPI_Comm world);
void grid_close(struct grid *g);

#endif
