/* Two queues of expected messages, one ring of sends per direction, one pool of buffers. */
#include "bench/links.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Receives posted, and sends on their way, in each direction: a send is waited for after its task, so one more than a task needs
 * before it. */
enum { AHEAD = 2, SENDS = PIPELINE_MESSAGES + 1 };

struct expected {
    int part, micro;
};

/* What comes in from one direction, in the order of the list. */
struct inbox {
    struct expected *messages;
    int count, posted, taken;
    fabric_request request[AHEAD];
    float *buffer[AHEAD];
};

struct outbox {
    int begun; /* messages sent; message k is in place k % SENDS */
    fabric_request request[SENDS];
    float *buffer[SENDS];
    bool owned[SENDS]; /* to be returned to the pool when it is sent */
};

struct links {
    struct fabric *fabric;
    const struct assignment *plan;
    int (*samples_of)(const void *who, int micro);
    const void *who;
    float *storage, **pool;
    int free;
    struct inbox in[DIRECTIONS];
    struct outbox out[DIRECTIONS];
};

static bool drops_outputs(const struct assignment *a, const struct part_plan *p)
{
    bool drops = false;
    for (int i = 0; i < a->micro_batches; i++)
        drops = drops || p->recomputes[i];
    return drops;
}

/* Beside what is kept: messages that may be here before they are needed, and those that wait to be sent (one is taken before the
 * place of the one before it is clear). An output that is kept has its buffer already. */
static int buffers(const struct assignment *a)
{
    bool receives[DIRECTIONS] = { false }, sends[DIRECTIONS] = { false };
    for (int c = 0; c < a->count; c++) {
        const struct part_plan *p = &a->parts[c];
        receives[TO_NEXT] |= !part_is_first(p);
        receives[TO_PREVIOUS] |= !part_is_last(a, p);
        sends[TO_NEXT] |= !part_is_last(a, p) && drops_outputs(a, p);
        sends[TO_PREVIOUS] |= !part_is_first(p);
    }
    int count = a->boundaries;
    for (int d = 0; d < DIRECTIONS; d++)
        count += (receives[d] ? AHEAD : 0) + (sends[d] ? SENDS + 1 : 0);
    return count;
}

double links_B(const struct assignment *a)
{
    return 4.0 * (double)a->boundary_floats * buffers(a);
}

status links_open(struct links **out, struct fabric *f, const struct assignment *a)
{
    const size_t room = (size_t)a->tasks.count + 1;
    const int count = buffers(a);
    struct links *l = calloc(1, sizeof *l);
    if (!l)
        return status_fail(STATUS_FAILED, "no memory for the messages of a pipeline");
    *l = (struct links){ .fabric = f, .plan = a, .free = count };
    l->storage = calloc((size_t)count * a->boundary_floats + 1, sizeof(float));
    l->pool = calloc((size_t)count + 1, sizeof *l->pool);
    bool all = l->storage && l->pool;
    for (int d = 0; d < DIRECTIONS; d++) {
        l->in[d].messages = calloc(room, sizeof *l->in[d].messages);
        all = all && l->in[d].messages;
        for (int i = 0; i < AHEAD; i++)
            l->in[d].request[i].mpi = MPI_REQUEST_NULL;
        for (int i = 0; i < SENDS; i++)
            l->out[d].request[i].mpi = MPI_REQUEST_NULL;
    }
    if (!all) {
        links_close(l);
        return status_fail(STATUS_FAILED, "no memory for %d messages of %zu floats between stages", count, a->boundary_floats);
    }
    for (int i = 0; i < count; i++)
        l->pool[i] = l->storage + (size_t)i * a->boundary_floats;
    *out = l;
    return STATUS_OK;
}

void links_close(struct links *l)
{
    if (!l)
        return;
    for (int d = 0; d < DIRECTIONS; d++)
        free(l->in[d].messages);
    free(l->storage);
    free(l->pool);
    free(l);
}

float *links_take(struct links *l)
{
    assert(l->free > 0);
    return l->pool[--l->free];
}

void links_return(struct links *l, float *buffer)
{
    if (!buffer)
        return;
    for (int d = 0; d < DIRECTIONS; d++)
        for (int i = 0; i < SENDS; i++)
            if (l->out[d].buffer[i] == buffer)
                fabric_wait(l->fabric, &l->out[d].request[i]);
    l->pool[l->free++] = buffer;
}

/* ---- who and what -------------------------------------------------------------------------------------------------------- */

/* The place that a part's messages in a direction go to. */
static struct place neighbour(const struct links *l, enum direction d, int part)
{
    const struct place here = { l->plan->at[AXIS_PIPELINE], part };
    return d == TO_NEXT ? pipeline_next(&l->plan->pipeline, here) : pipeline_previous(&l->plan->pipeline, here);
}

static enum direction opposite(enum direction d)
{
    return d == TO_NEXT ? TO_PREVIOUS : TO_NEXT;
}

/* A message is named by the part that receives it. */
static int tag_of(const struct links *l, enum direction d, int receiver, int micro)
{
    return (micro * l->plan->count + receiver) * DIRECTIONS + (int)d;
}

static size_t sent_B(const struct links *l, enum direction d, int part, int micro)
{
    const struct part_plan *p = &l->plan->parts[part];
    const size_t floats = d == TO_NEXT ? part_out_floats(l->plan, p) : part_in_floats(p);
    return floats * (size_t)l->samples_of(l->who, micro) * sizeof(float);
}

static size_t received_B(const struct links *l, enum direction d, int part, int micro)
{
    return sent_B(l, opposite(d), part, micro);
}

void links_predict(struct links *l, int part, int64_t samples, int64_t micro_batches)
{
    const struct part_plan *p = &l->plan->parts[part];
    struct ledger_row *rows = l->fabric->ledger.rows;
    const uint64_t out = part_out_floats(l->plan, p), in = part_in_floats(p);
    rows[PURPOSE_ACTIVATION].wire_B_predicted += (uint64_t)samples * out * sizeof(float);
    rows[PURPOSE_ACTIVATION_GRADIENT].wire_B_predicted += (uint64_t)samples * in * sizeof(float);
    rows[PURPOSE_STAMP].wire_B_predicted += (uint64_t)micro_batches * ((out ? 1U : 0U) + (in ? 1U : 0U)) * FABRIC_STAMP_B;
}

/* ---- receiving ----------------------------------------------------------------------------------------------------------- */

static void post(struct links *l, enum direction d)
{
    struct inbox *in = &l->in[d];
    while (in->posted < in->count && in->posted < in->taken + AHEAD) {
        const struct expected m = in->messages[in->posted];
        const int place = in->posted++ % AHEAD;
        in->buffer[place] = links_take(l);
        fabric_recv(l->fabric, in->buffer[place], received_B(l, d, m.part, m.micro) + FABRIC_STAMP_B,
                    neighbour(l, opposite(d), m.part).stage, tag_of(l, d, m.part, m.micro), &in->request[place]);
    }
}

void links_begin(struct links *l, const struct task_list *tasks, int (*samples_of)(const void *who, int micro), const void *who)
{
    l->samples_of = samples_of;
    l->who = who;
    for (int d = 0; d < DIRECTIONS; d++)
        l->in[d].count = l->in[d].posted = l->in[d].taken = l->out[d].begun = 0;
    for (int i = 0; i < tasks->count; i++) {
        const struct task *t = &tasks->tasks[i];
        const bool forward = t->kind == TASK_FORWARD, backward = t->kind == TASK_BACKWARD || t->kind == TASK_INPUT_GRAD;
        const enum direction d = forward ? TO_NEXT : TO_PREVIOUS;
        if ((forward || backward) && neighbour(l, opposite(d), t->chunk).stage >= 0)
            l->in[d].messages[l->in[d].count++] = (struct expected){ t->chunk, t->micro };
    }
    for (int d = 0; d < DIRECTIONS; d++)
        post(l, (enum direction)d);
}

/* The wait ended now; until it was sent it was idleness. Clocks of ranks on one host are one. */
static void charge(struct stopwatch *w, enum phase idle, double began_s, double sent_s)
{
    const double waited_s = w->since_s - began_s, unsent_s = sent_s - began_s;
    stopwatch_move(w, PHASE_TRANSFER, idle, unsent_s < 0 ? 0 : unsent_s < waited_s ? unsent_s : waited_s);
}

float *links_receive(struct links *l, enum direction d, int part, int micro, struct stopwatch *w)
{
    struct inbox *in = &l->in[d];
    const struct expected m = in->messages[in->taken];
    const int place = in->taken % AHEAD;
    assert(m.part == part && m.micro == micro);
    float *buffer = in->buffer[place];
    if (!fabric_test(l->fabric, &in->request[place])) {
        const enum phase was = stopwatch_switch(w, PHASE_TRANSFER);
        const double began_s = w->since_s;
        fabric_wait(l->fabric, &in->request[place]);
        stopwatch_switch(w, was);
        charge(w, d == TO_NEXT ? PHASE_IDLE_ACTIVATION : PHASE_IDLE_GRADIENT, began_s,
               fabric_stamp_s(buffer, received_B(l, d, m.part, m.micro)));
    }
    in->taken++;
    post(l, d);
    return buffer;
}

bool links_has_arrived(struct links *l, enum direction d)
{
    struct inbox *in = &l->in[d];
    return in->taken == in->count || fabric_test(l->fabric, &in->request[in->taken % AHEAD]);
}

/* ---- sending ------------------------------------------------------------------------------------------------------------- */

/* Waits until the place is free again. */
static void clear(struct links *l, struct outbox *out, int place, struct stopwatch *w)
{
    if (!fabric_test(l->fabric, &out->request[place])) {
        const enum phase was = stopwatch_switch(w, PHASE_TRANSFER);
        fabric_wait(l->fabric, &out->request[place]);
        stopwatch_switch(w, was);
    }
    if (out->owned[place])
        l->pool[l->free++] = out->buffer[place];
    out->owned[place] = false;
    out->buffer[place] = NULL;
}

void links_send(struct links *l, enum direction d, int part, int micro, float *buffer, bool owned, struct stopwatch *w)
{
    struct outbox *out = &l->out[d];
    const int place = out->begun++ % SENDS;
    const struct place to = neighbour(l, d, part);
    const enum purpose purpose = d == TO_NEXT ? PURPOSE_ACTIVATION : PURPOSE_ACTIVATION_GRADIENT;
    clear(l, out, place, w);
    out->buffer[place] = buffer;
    out->owned[place] = owned;
    fabric_send_stamped(l->fabric, purpose, buffer, sent_B(l, d, part, micro), to.stage, tag_of(l, d, to.chunk, micro),
                        &out->request[place]);
}

void links_poll(struct links *l)
{
    for (int d = 0; d < DIRECTIONS; d++) {
        struct inbox *in = &l->in[d];
        if (in->taken < in->posted && !fabric_is_done(&in->request[in->taken % AHEAD])) {
            fabric_test(l->fabric, &in->request[in->taken % AHEAD]);
            return;
        }
    }
}

void links_finish(struct links *l, struct stopwatch *w)
{
    for (int d = 0; d < DIRECTIONS; d++)
        for (int i = 0; i < SENDS; i++)
            clear(l, &l->out[d], i, w);
}
