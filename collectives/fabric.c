/* Counting and waiting, the same for every fabric: the only place that adds to messages and wire_B_counted.
 *
 * Waiting costs a core. A fabric that cannot sleep is tested in turn, and the core is offered to other ranks after every
 * fruitless turn, because more ranks than cores is the normal case on a laptop.
 */
#include "collectives/fabric.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/job.h"

const struct fabric_ops *const fabrics[] = { &fabric_mpi, &fabric_shaped, NULL };

const struct fabric_ops *fabric_find(const char *name)
{
    for (size_t i = 0; fabrics[i]; i++)
        if (!strcmp(fabrics[i]->member.name, name))
            return fabrics[i];
    return NULL;
}

status fabric_open(struct fabric *f, const struct fabric_ops *ops, const struct fabric_setup *setup, MPI_Comm comm)
{
    *f = (struct fabric){ .ops = ops, .setup = setup ? *setup : (struct fabric_setup){ 0 } };
    MPI_Comm_dup(comm, &f->comm);
    MPI_Comm_set_errhandler(f->comm, MPI_ERRORS_ARE_FATAL);
    MPI_Comm_rank(f->comm, &f->rank);
    MPI_Comm_size(f->comm, &f->ranks);
    status mine = ops->open ? ops->open(f) : STATUS_OK;
    status all = status_agree(mine, f->comm);
    if (all != STATUS_OK) {
        if (mine == STATUS_OK && ops->close)
            ops->close(f);
        MPI_Comm_free(&f->comm);
        free(f->places);
        *f = (struct fabric){ 0 };
        return all;
    }
    f->no_window =
        ops->shares_memory ? "no window was asked for" : "the fabric carries messages alone (fits: fabric.name = \"mpi\")";
    if (ops->shares_memory && f->setup.window.slots)
        f->window = window_open(f->comm, f->setup.window, &f->no_window);
    return STATUS_OK;
}

void fabric_close(struct fabric *f)
{
    window_close(f->window);
    if (f->ops->close)
        f->ops->close(f);
    MPI_Comm_free(&f->comm);
    free(f->places);
    free(f->stamps);
    free(f->stamps_of);
}

void fabric_send(struct fabric *f, enum purpose purpose, const void *data, size_t bytes, int to, int tag, fabric_request *r)
{
    struct ledger_row *row = &f->ledger.rows[purpose];
    row->messages++;
    row->wire_B_counted += bytes;
    f->ops->start_send(f, data, bytes, to, tag, r);
}

void fabric_send_stamped(struct fabric *f, enum purpose purpose, void *data, size_t bytes, int to, int tag, fabric_request *r)
{
    const double sent_s = fabric_now_s(f);
    struct ledger_row *row = &f->ledger.rows[purpose];
    if (f->stamps)
        f->stamps[tag] = sent_s;
    else
        memcpy((char *)data + bytes, &sent_s, sizeof sent_s);
    row->calls++;
    row->messages++;
    row->logical_B += bytes;
    row->wire_B_counted += bytes;
    row = &f->ledger.rows[PURPOSE_STAMP];
    row->calls++;
    row->logical_B += sizeof sent_s;
    row->wire_B_counted += sizeof sent_s;
    f->ops->start_send(f, data, bytes + sizeof sent_s, to, tag, r);
}

double fabric_stamp_s(const struct fabric *f, const void *data, size_t bytes, int from, int tag)
{
    double sent_s;
    if (f->stamps)
        return f->stamps_of[from][tag];
    memcpy(&sent_s, (const char *)data + bytes, sizeof sent_s);
    return sent_s;
}

void fabric_share_stamps(struct fabric *f, int tags)
{
    const struct job job = job_of(f->comm);
    f->stamps = job_allocate(&job, (size_t)tags * sizeof *f->stamps);
    f->stamps_of = job_allocate(&job, (size_t)f->ranks * sizeof *f->stamps_of);
    MPI_Allgather(&f->stamps, sizeof f->stamps, MPI_BYTE, f->stamps_of, sizeof f->stamps, MPI_BYTE, f->comm);
}

void fabric_recv(struct fabric *f, void *data, size_t bytes, int from, int tag, fabric_request *r)
{
    f->ops->start_recv(f, data, bytes, from, tag, r);
}

void fabric_count_window(struct fabric *f, enum purpose purpose)
{
    if (f->window)
        f->ledger.rows[purpose].wire_B_counted += window_take_count(f->window);
}

void fabric_sum(struct fabric *f, float *x, size_t n, fabric_request *r)
{
    f->ops->start_sum(f, x, n, r);
}

bool fabric_is_done(const fabric_request *r)
{
    return r->mpi == MPI_REQUEST_NULL && !r->held;
}

bool fabric_test(struct fabric *f, fabric_request *r)
{
    return fabric_is_done(r) || f->ops->test(f, r);
}

void fabric_wait(struct fabric *f, fabric_request *r)
{
    if (!fabric_is_done(r))
        fabric_wait_any(f, &r, 1);
}

void fabric_wait_any(struct fabric *f, fabric_request *const *r, int n)
{
    if (f->ops->wait_any) {
        f->ops->wait_any(f, r, n);
        return;
    }
    for (int i = 0; !f->ops->test(f, r[i]);)
        if (++i == n) {
            i = 0;
            sched_yield();
        }
}

double fabric_now_s(struct fabric *f)
{
    const double now_s = f->ops->now_s(f);
    return f->setup.clock ? clock_common_s(f->setup.clock, now_s) : now_s;
}

static bool codes(struct fabric *f, size_t floats, double B_per_s)
{
    fabric_sleep(f, B_per_s > 0 ? (double)floats * sizeof(float) / B_per_s : 0);
    return !f->setup.hollow;
}

bool fabric_encodes(struct fabric *f, size_t floats)
{
    return codes(f, floats, f->setup.encode_B_per_s);
}

bool fabric_decodes(struct fabric *f, size_t floats)
{
    return codes(f, floats, f->setup.decode_B_per_s);
}

void fabric_sleep(struct fabric *f, double s)
{
    if (s > 0)
        f->ops->pause(f, s);
}
