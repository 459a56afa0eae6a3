/* Two queues of expected messages, one ring of sends per direction, one pool of buffers. */
#include "bench/links.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bench/links_early.h"
#include "bench/pages.h"

/* Receives that may always be posted, and sends on their way, in each direction: a send is waited for after its task, so one more
 * than a task needs before it. */
enum { AHEAD = 2, SENDS = PIPELINE_MESSAGES + 1 };

struct expected {
    int part, micro;
};

/* What comes in from one direction, in the order of the list. */
struct inbox {
    struct expected *messages;
    int count, posted, taken;
    fabric_request *request;
    float **buffer;
};

struct outbox {
    int begun; /* messages sent; message k is in place k % SENDS */
    fabric_request request[SENDS];
    float *buffer[SENDS];
    bool owned[SENDS]; /* to be returned to the pool when it is sent */
};

struct links {
    struct fabric *fabric;
    struct message_coder coder;
    const struct assignment *plan;
    struct links_batch batch;
    float *storage, **pool;
    size_t storage_floats;
    int free;
    int task;                  /* of the list that is run */
    int *early;                /* [activations] from which task on there is room to post each, beside what is kept */
    bool planned;              /* the list is the assignment's, for which that is known */
    double awaited, awaited_s; /* messages that came while they were waited for, and the time that they took */
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
 * place of the one before it is clear; until then there is room to decode in). An output that is kept has its buffer already, but
 * its code has not. */
static int buffers(const struct config *c, const struct assignment *a)
{
    const bool coded = message_is_coded(c);
    bool receives[DIRECTIONS] = { false }, sends[DIRECTIONS] = { false };
    for (int i = 0; i < a->count; i++) {
        const struct part_plan *p = &a->parts[i];
        receives[TO_NEXT] |= !part_is_first(p);
        receives[TO_PREVIOUS] |= !part_is_last(a, p);
        sends[TO_NEXT] |= !part_is_last(a, p) && (coded || drops_outputs(a, p));
        sends[TO_PREVIOUS] |= !part_is_first(p);
    }
    int count = a->boundaries;
    for (int d = 0; d < DIRECTIONS; d++)
        count += (receives[d] ? AHEAD : 0) + (sends[d] ? SENDS + 1 : 0);
    return count;
}

/* Of a buffer, the stamp included. */
static size_t buffer_floats(const struct assignment *a, const struct message_room *codes)
{
    const size_t coded = (codes->code_B + FABRIC_STAMP_B + sizeof(float) - 1) / sizeof(float);
    return coded > a->boundary_floats ? coded : a->boundary_floats;
}

double links_B(const struct config *c, const struct assignment *a)
{
    const struct message_room codes = message_room(c, a);
    return 4.0 * (double)buffer_floats(a, &codes) * buffers(c, a) + (double)codes.scratch_B;
}

/* ---- set-up -------------------------------------------------------------------------------------------------------------- */

static status allocate(struct links *l, int count, size_t room)
{
    const struct message_room codes = message_room(l->coder.config, l->plan);
    const size_t floats = buffer_floats(l->plan, &codes);
    l->coder.scratch = aligned_alloc(64, (codes.scratch_B + 64) / 64 * 64);
    l->storage_floats = (size_t)count * floats;
    l->storage = pages_open(l->storage_floats, l->fabric->setup.hollow);
    l->pool = calloc((size_t)count + 1, sizeof *l->pool);
    l->early = calloc(room, sizeof *l->early);
    bool all = l->coder.scratch && l->storage && l->pool && l->early;
    for (int d = 0; d < DIRECTIONS; d++) {
        struct inbox *in = &l->in[d];
        in->messages = calloc(room, sizeof *in->messages);
        in->request = calloc(room, sizeof *in->request);
        in->buffer = calloc(room, sizeof *in->buffer);
        all = all && in->messages && in->request && in->buffer;
        for (int i = 0; i < SENDS; i++)
            l->out[d].request[i].mpi = MPI_REQUEST_NULL;
    }
    if (!all)
        return status_fail(STATUS_FAILED, "no memory for %d messages of %zu floats between stages", count, floats);
    for (int i = 0; i < count; i++)
        l->pool[i] = l->storage + (size_t)i * floats;
    l->free = count;
    return STATUS_OK;
}

status links_open(struct links **out, struct fabric *f, const struct config *c, const struct assignment *a)
{
    const size_t room = (size_t)a->tasks.count + 1;
    struct links *l = calloc(1, sizeof *l);
    if (!l)
        return status_fail(STATUS_FAILED, "no memory for the messages of a pipeline");
    *l = (struct links){ .fabric = f, .plan = a, .coder = { .config = c, .plan = a, .fabric = f } };
    status s = allocate(l, buffers(c, a), room);
    if (s == STATUS_OK)
        s = links_early(a, AHEAD, l->early);
    if (s == STATUS_OK)
        *out = l;
    else
        links_close(l);
    return s;
}

void links_close(struct links *l)
{
    if (!l)
        return;
    for (int d = 0; d < DIRECTIONS; d++) {
        free(l->in[d].messages);
        free(l->in[d].request);
        free(l->in[d].buffer);
    }
    free(l->early);
    free(l->coder.scratch);
    pages_close(l->storage, l->storage_floats);
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

int links_tags(const struct assignment *a)
{
    return a->micro_batches * a->count * DIRECTIONS;
}

/* A message is named by the part that receives it. */
static int tag_of(const struct links *l, enum direction d, int receiver, int micro)
{
    return (micro * l->plan->count + receiver) * DIRECTIONS + (int)d;
}

/* A message that crosses a part's end: on the side of the next part or of the one before. */
static struct message message_at(const struct links *l, enum direction d, enum direction side, int part, int micro)
{
    const struct part_plan *p = &l->plan->parts[part];
    return (struct message){
        .direction = d,
        .floats = side == TO_NEXT ? part_out_floats(l->plan, p) : part_in_floats(p),
        .samples = l->batch.samples_of(l->batch.who, micro),
        .boundary = side == TO_NEXT ? p->position : p->position - 1,
        .leaf = l->batch.leaf_of(l->batch.who, micro),
        .step = l->batch.step,
    };
}

static size_t wire_B(const struct links *l, struct message m)
{
    return l->batch.coded ? message_B(l->coder.config, l->plan, m.floats, m.samples) : m.floats * (size_t)m.samples * sizeof(float);
}

static size_t received_B(const struct links *l, enum direction d, int part, int micro)
{
    return wire_B(l, message_at(l, d, opposite(d), part, micro));
}

void links_predict(struct links *l, int part, int64_t samples, int64_t micro_batches)
{
    const struct part_plan *p = &l->plan->parts[part];
    struct ledger_row *rows = l->fabric->ledger.rows;
    const size_t out = part_out_floats(l->plan, p), in = part_in_floats(p);
    rows[PURPOSE_ACTIVATION].wire_B_predicted += message_batch_B(l->coder.config, l->plan, out, samples, micro_batches);
    rows[PURPOSE_ACTIVATION_GRADIENT].wire_B_predicted += message_batch_B(l->coder.config, l->plan, in, samples, micro_batches);
    rows[PURPOSE_STAMP].wire_B_predicted += (uint64_t)micro_batches * ((out ? 1U : 0U) + (in ? 1U : 0U)) * FABRIC_STAMP_B;
}

/* ---- receiving ----------------------------------------------------------------------------------------------------------- */

static bool may_post(const struct links *l, enum direction d)
{
    const struct inbox *in = &l->in[d];
    return in->posted < in->taken + AHEAD || (d == TO_NEXT && l->planned && l->early[in->posted] <= l->task);
}

static void post(struct links *l, enum direction d)
{
    struct inbox *in = &l->in[d];
    while (in->posted < in->count && may_post(l, d)) {
        const int i = in->posted++;
        const struct expected m = in->messages[i];
        in->buffer[i] = links_take(l);
        fabric_recv(l->fabric, in->buffer[i], received_B(l, d, m.part, m.micro) + FABRIC_STAMP_B,
                    neighbour(l, opposite(d), m.part).stage, tag_of(l, d, m.part, m.micro), &in->request[i]);
    }
}

/* Whether a task begins with a message from there. */
static bool receives_at(const struct links *l, const struct task *task, enum direction d)
{
    const bool forward = task->kind == TASK_FORWARD, backward = task->kind == TASK_BACKWARD || task->kind == TASK_INPUT_GRAD;
    return (d == TO_NEXT ? forward : backward) && neighbour(l, opposite(d), task->chunk).stage >= 0;
}

void links_begin(struct links *l, const struct task_list *tasks, const struct links_batch *batch)
{
    l->batch = *batch;
    l->batch.coded = batch->coded && message_is_coded(l->coder.config);
    l->planned = tasks->tasks == l->plan->tasks.tasks;
    for (int d = 0; d < DIRECTIONS; d++) {
        struct inbox *in = &l->in[d];
        in->count = in->posted = in->taken = l->out[d].begun = 0;
        for (int i = 0; i < tasks->count; i++)
            if (receives_at(l, &tasks->tasks[i], (enum direction)d))
                in->messages[in->count++] = (struct expected){ tasks->tasks[i].chunk, tasks->tasks[i].micro };
    }
    links_advance(l, 0);
}

void links_advance(struct links *l, int task)
{
    l->task = task;
    for (int d = 0; d < DIRECTIONS; d++)
        post(l, (enum direction)d);
}

/* The wait ended now; until it was sent it was idleness. The fabric's clock is one for all ranks. */
static void charge(struct stopwatch *w, enum phase idle, double began_s, double sent_s)
{
    const double waited_s = w->since_s - began_s, unsent_s = sent_s - began_s;
    stopwatch_move(w, PHASE_TRANSFER, idle, unsent_s < 0 ? 0 : unsent_s < waited_s ? unsent_s : waited_s);
}

/* Where a message of direction d came, for which waiting began at began_s. */
static void charge_arrival(struct links *l, enum direction d, double began_s, struct stopwatch *w)
{
    const struct inbox *in = &l->in[d];
    const struct expected m = in->messages[in->taken];
    const enum phase idle = d == TO_NEXT ? PHASE_IDLE_ACTIVATION : PHASE_IDLE_GRADIENT;
    const double sent_s = fabric_stamp_s(l->fabric, in->buffer[in->taken], received_B(l, d, m.part, m.micro),
                                         neighbour(l, opposite(d), m.part).stage, tag_of(l, d, m.part, m.micro));
    charge(w, idle, began_s, sent_s);
    l->awaited++;
    l->awaited_s += w->since_s - sent_s;
}

/* What a code that was received says. */
static float *decoded(struct links *l, enum direction d, int part, int micro, float *code, struct stopwatch *w)
{
    const struct message m = message_at(l, d, opposite(d), part, micro);
    float *x = links_take(l);
    message_decode(&l->coder, &m, code, x, w);
    links_return(l, code);
    return x;
}

float *links_receive(struct links *l, enum direction d, int part, int micro, struct stopwatch *w)
{
    struct inbox *in = &l->in[d];
    assert(in->messages[in->taken].part == part && in->messages[in->taken].micro == micro);
    if (!fabric_test(l->fabric, &in->request[in->taken])) {
        const enum phase was = stopwatch_switch(w, PHASE_TRANSFER);
        const double began_s = w->since_s;
        fabric_wait(l->fabric, &in->request[in->taken]);
        stopwatch_switch(w, was);
        charge_arrival(l, d, began_s, w);
    }
    float *buffer = in->buffer[in->taken++];
    if (l->batch.coded)
        buffer = decoded(l, d, part, micro, buffer, w);
    post(l, d);
    return buffer;
}

bool links_has_arrived(struct links *l, enum direction d)
{
    struct inbox *in = &l->in[d];
    return in->taken == in->count || fabric_test(l->fabric, &in->request[in->taken]);
}

void links_wait_for_either(struct links *l, struct stopwatch *w)
{
    fabric_request *next[DIRECTIONS];
    for (int d = 0; d < DIRECTIONS; d++)
        next[d] = &l->in[d].request[l->in[d].taken];
    const enum phase was = stopwatch_switch(w, PHASE_TRANSFER);
    const double began_s = w->since_s;
    fabric_wait_any(l->fabric, next, DIRECTIONS);
    stopwatch_switch(w, was);
    charge_arrival(l, fabric_is_done(next[TO_PREVIOUS]) ? TO_PREVIOUS : TO_NEXT, began_s, w);
}

/* ---- sending ------------------------------------------------------------------------------------------------------------- */

/* Waits until the place is free again. */
static void clear(struct links *l, struct outbox *out, int place, struct stopwatch *w)
{
    if (!fabric_test(l->fabric, &out->request[place])) {
        const enum phase was = stopwatch_switch(w, PHASE_IDLE_SEND);
        fabric_wait(l->fabric, &out->request[place]);
        stopwatch_switch(w, was);
    }
    if (out->owned[place])
        l->pool[l->free++] = out->buffer[place];
    out->owned[place] = false;
    out->buffer[place] = NULL;
}

/* The code of what is sent. It is on its way by itself. */
static float *encoded(struct links *l, const struct message *m, float *x, bool owned, struct stopwatch *w)
{
    float *code = links_take(l);
    message_encode(&l->coder, m, x, code, w);
    links_return(l, owned ? x : NULL);
    return code;
}

void links_send(struct links *l, enum direction d, int part, int micro, float *buffer, bool owned, struct stopwatch *w)
{
    struct outbox *out = &l->out[d];
    const int place = out->begun++ % SENDS;
    const struct place to = neighbour(l, d, part);
    const enum purpose purpose = d == TO_NEXT ? PURPOSE_ACTIVATION : PURPOSE_ACTIVATION_GRADIENT;
    const struct message m = message_at(l, d, d, part, micro);
    clear(l, out, place, w);
    if (l->batch.coded)
        buffer = encoded(l, &m, buffer, owned, w);
    out->buffer[place] = buffer;
    out->owned[place] = owned || l->batch.coded;
    fabric_send_stamped(l->fabric, purpose, buffer, wire_B(l, m), to.stage, tag_of(l, d, to.chunk, micro), &out->request[place]);
}

void links_awaited(const struct links *l, double *count, double *s)
{
    *count = l->awaited;
    *s = l->awaited_s;
}

void links_forget_awaited(struct links *l)
{
    l->awaited = l->awaited_s = 0;
}

void links_poll(struct links *l)
{
    for (int d = 0; d < DIRECTIONS; d++) {
        struct inbox *in = &l->in[d];
        if (in->taken < in->posted && !fabric_is_done(&in->request[in->taken])) {
            fabric_test(l->fabric, &in->request[in->taken]);
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
