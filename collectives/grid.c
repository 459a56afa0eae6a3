/* Rank <-> coordinates in mixed radix, and one communicator per axis by MPI_Comm_split: the ranks of a group share the rank
 * number that they would have with their coordinate on that axis set to 0. */
#include "collectives/grid.h"

#include <string.h>

static const char *const names[AXIS_COUNT] = { [AXIS_TENSOR] = "tensor", [AXIS_PIPELINE] = "pipeline", [AXIS_DATA] = "data" };

const char *axis_name(enum axis a)
{
    return names[a];
}

/* Of "tp-pp-dp": place 0 is tensor, the fastest. */
static enum axis axis_at(const char *order, int place)
{
    static const char initials[] = { [AXIS_TENSOR] = 't', [AXIS_PIPELINE] = 'p', [AXIS_DATA] = 'd' };
    return (enum axis)((const char *)memchr(initials, order[3 * place], sizeof initials) - initials);
}

void grid_coordinates(const int degree[AXIS_COUNT], const char *order, int rank, int at[AXIS_COUNT])
{
    for (int place = 0; place < AXIS_COUNT; place++) {
        const enum axis a = axis_at(order, place);
        at[a] = rank % degree[a];
        rank /= degree[a];
    }
}

int grid_rank(const int degree[AXIS_COUNT], const char *order, const int at[AXIS_COUNT])
{
    int rank = 0;
    for (int place = AXIS_COUNT - 1; place >= 0; place--) {
        const enum axis a = axis_at(order, place);
        rank = rank * degree[a] + at[a];
    }
    return rank;
}

void grid_open(struct grid *g, const int degree[AXIS_COUNT], const char *order, MPI_Comm world)
{
    int rank;
    MPI_Comm_rank(world, &rank);
    memcpy(g->degree, degree, sizeof g->degree);
    grid_coordinates(degree, order, rank, g->at);
    g->world = world;
    for (int axis = 0; axis < AXIS_COUNT; axis++) {
        int first[AXIS_COUNT];
        memcpy(first, g->at, sizeof first);
        first[axis] = 0;
        MPI_Comm_split(world, grid_rank(degree, order, first), g->at[axis], &g->along[axis]);
    }
}

void grid_close(struct grid *g)
{
    for (int axis = 0; axis < AXIS_COUNT; axis++)
        MPI_Comm_free(&g->along[axis]);
}
