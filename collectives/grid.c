/* Rank <-> coordinates in mixed radix, and one communicator per axis by MPI_Comm_split: the ranks of a group share the rank
 * number that they would have with their coordinate on that axis set to 0. */
#include "collectives/grid.h"

void grid_coordinates(const int degree[AXIS_COUNT], int rank, int at[AXIS_COUNT])
{
    for (int axis = 0; axis < AXIS_COUNT; axis++) {
        at[axis] = rank % degree[axis];
        rank /= degree[axis];
    }
}

void grid_open(struct grid *g, const int degree[AXIS_COUNT], MPI_Comm world)
{
    int rank, stride = 1;
    MPI_Comm_rank(world, &rank);
    grid_coordinates(degree, rank, g->at);
    g->world = world;
    for (int axis = 0; axis < AXIS_COUNT; axis++) {
        g->degree[axis] = degree[axis];
        MPI_Comm_split(world, rank - g->at[axis] * stride, g->at[axis], &g->along[axis]);
        stride *= degree[axis];
    }
}

void grid_close(struct grid *g)
{
    for (int axis = 0; axis < AXIS_COUNT; axis++)
        MPI_Comm_free(&g->along[axis]);
}
