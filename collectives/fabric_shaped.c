/* Messages that MPI carries at once, and that are delivered when the stated cluster would deliver them.
 *
 *      sender      ports_send: left, due --> message (tag 2t), notice "due" of 8 bytes (tag 2t + 1)
 *      receiver    both are here, and then it sleeps until due
 *
 * MPI matches both in one order, so a message keeps its own notice. A send is done when its last byte is out of the port and MPI is
 * done with it, too. The ports' memory is of one host, so the ranks are. It shapes nothing that is not a message of the
 * fabric: the job's control traffic, and MPI's own allreduce, which therefore is not offered.
 *
 * What it cannot show: a message that MPI itself takes longer to carry, or a rank whose core is busy with another's work when its
 * message is due. A timer wakes some 30 us late; that much is spun instead.
 */
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "collectives/fabric.h"
#include "collectives/ports.h"

#define SPIN_S     40e-6
#define PROGRESS_S 1e-3 /* MPI is not left alone for longer, because others' messages may need this rank */

/* The host's own clock, which sleeps are by; fabric_now_s may be that of several hosts. */
static double now_s(struct fabric *f)
{
    return fabric_mpi.now_s(f);
}

static status open_shaped(struct fabric *f)
{
    int *const own = malloc((size_t)f->ranks * sizeof *own);
    f->places = malloc((size_t)f->ranks * sizeof *f->places);
    const bool there = own && f->places;
    if (there) {
        MPI_Group group;
        for (int r = 0; r < f->ranks; r++)
            own[r] = r;
        MPI_Comm_group(f->comm, &group);
        MPI_Group_translate_ranks(group, f->ranks, own, f->setup.ports->world, f->places);
        MPI_Group_free(&group);
    }
    free(own);
    prctl(PR_SET_TIMERSLACK, 1UL); /* the usual 50 us would be added to every sleep */
    return there ? STATUS_OK : status_fail(STATUS_FAILED, "no memory for the places of %d ranks", f->ranks);
}

/* Nothing can be due sooner after its start than its link's latency: looking twice as often misses nothing. */
static void hold(struct fabric *f, int from, int to, fabric_request *r)
{
    r->held = true;
    r->look_s = from == to || f->setup.ports->wide ? 0 : cluster_link(f->setup.ports->cluster, from, to).latency_s / 2;
}

static void start_send(struct fabric *f, const void *data, size_t bytes, int to, int tag, fabric_request *r)
{
    const double start_s = now_s(f);
    const int from_place = f->places[f->rank], to_place = f->places[to];
    const struct passage passage = ports_send(f->setup.ports, from_place, to_place, bytes, start_s);
    hold(f, from_place, to_place, r);
    r->incoming = false;
    r->due_s = passage.left_s;
    r->notice_s = passage.due_s;
    MPI_Isend(&r->notice_s, 1, MPI_DOUBLE, to, 2 * tag + 1, f->comm, &r->notice);
    fabric_mpi.start_send(f, data, bytes, to, 2 * tag, r);
}

static void start_recv(struct fabric *f, void *data, size_t bytes, int from, int tag, fabric_request *r)
{
    hold(f, f->places[from], f->places[f->rank], r);
    r->incoming = true;
    MPI_Irecv(&r->due_s, 1, MPI_DOUBLE, from, 2 * tag + 1, f->comm, &r->notice);
    fabric_mpi.start_recv(f, data, bytes, from, 2 * tag, r);
}

static bool is_here(const fabric_request *r)
{
    return r->mpi == MPI_REQUEST_NULL && r->notice == MPI_REQUEST_NULL;
}

static bool test(struct fabric *f, fabric_request *r)
{
    int done;
    MPI_Test(&r->notice, &done, MPI_STATUS_IGNORE);
    MPI_Test(&r->mpi, &done, MPI_STATUS_IGNORE);
    r->held = !is_here(r) || now_s(f) < r->due_s;
    return !r->held;
}

static void sleep_until(double s)
{
    const struct timespec end = { .tv_sec = (time_t)s, .tv_nsec = (long)(1e9 * (s - floor(s))) };
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
}

/* Until the next message is due, or the next look at those that are not here. Just before a message is due the core is kept. */
static void rest(struct fabric *f, double due_s, double look_s)
{
    int some;
    const double at_s = now_s(f), end_s = fmin(due_s, at_s + look_s) - SPIN_S;
    if (end_s > at_s)
        sleep_until(end_s);
    else if (due_s - SPIN_S > at_s)
        sched_yield();
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, f->comm, &some, MPI_STATUS_IGNORE);
}

/* A message that was due before the wait began is not late before that. */
static void record(struct ports *p, double began_s, double due_s, double end_s)
{
    p->lateness.waited_s += end_s - began_s;
    p->lateness.late_s += end_s - fmax(due_s, began_s);
}

static void wait_any(struct fabric *f, fabric_request *const *r, int n)
{
    const double began_s = now_s(f);
    for (bool any = false; !any;) {
        double due_s = INFINITY, came_s = INFINITY, look_s = PROGRESS_S;
        for (int i = 0; i < n; i++)
            if (test(f, r[i])) {
                any = true;
                came_s = r[i]->incoming ? fmin(came_s, r[i]->due_s) : came_s;
            } else if (is_here(r[i])) {
                due_s = fmin(due_s, r[i]->due_s);
            } else {
                look_s = fmin(look_s, r[i]->look_s);
            }
        if (!any)
            rest(f, due_s, look_s);
        else if (isfinite(came_s) && !f->setup.ports->wide)
            record(f->setup.ports, began_s, came_s, now_s(f));
    }
}

static void pause_s(struct fabric *f, double s)
{
    sleep_until(now_s(f) + s);
}

const struct fabric_ops fabric_shaped = {
    .member = { .name = "shaped",
                .help = "messages delivered when the network that network.* states would; all ranks on one host, no root needed" },
    .needs_ports = true,
    .notice_B = sizeof(double),
    .open = open_shaped,
    .start_send = start_send,
    .start_recv = start_recv,
    .test = test,
    .wait_any = wait_any,
    .now_s = now_s,
    .pause = pause_s,
};
