/* The engine: segments of the operations, in the order in which they were started, dealt in turn to a few slots.
 *
 *   started     A: a0 a1 a2   B: b0 b1          slot 0: a0 b0      a slot plays one segment at a time, round after round:
 *   segments    0  1  2       3  4   -> k % 3   slot 1: a1 b1        post receive and send -> both done -> add -> next round
 *                                               slot 2: a2
 *
 * Every rank deals the same segments to the same slots in the same order. So the slot's number is tag enough: between two ranks,
 * messages of one slot are sent and received in the order of its segments and rounds, however far the ranks drift apart; and
 * the earliest unfinished segment can always move, so there is no deadlock. A slot's workspace is one message, small
 * enough to stay in the cache.
 *
 * With progress `thread`, every call into MPI is made under one mutex (MPI_THREAD_SERIALIZED); a rank that waits plays itself.
 */
#include "collectives/engine.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/job.h"
#include "collectives/operation.h"
#include "kernels/layers.h"

enum { SLOTS = ENGINE_SEGMENTS, ALIGNMENT_B = 64, SEGMENT_MAX_B = 1 << 30 };
_Static_assert((int)SLOTS <= (int)FABRIC_WAIT_MAX, "a message of every slot can be waited for");

/* Whether to ask the fabric about each message, which costs, and costs virtual time too; after sleeping it is known, and of what
 * has just been posted there is nothing to know. (SMPI 3.32 keeps what was asked about in vain and then waited for in a list of the
 * rank's for good, and searches that at every message: time quadratic in their number.) */
enum asking { DO_NOT_ASK, ASK };

struct slot {
    struct operation *op; /* NULL: free */
    struct segment segment;
    int round;
    struct step step;
    bool sending, receiving, adding, meeting; /* what is left to do in this round */
    fabric_request send, recv;
};

struct engine {
    struct fabric *fabric;
    enum progress progress;
    size_t segment_B, workspace_B;
    struct operation *planned;
    struct operation *first, *last; /* queue of started operations that have segments to begin */
    int in_flight;                  /* operations started and not done */
    unsigned dealt;                 /* segments begun so far */
    double work_s;                  /* see engine_work_s */
    struct slot slots[SLOTS];
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    atomic_int callers; /* wait for the mutex: the thread stands back */
    bool quit;
};

/* ---- playing: under the mutex ------------------------------------------------------------------------------------------------ */

/* Messages have nothing in them, and what is done to floats takes no time. */
static bool is_hollow(const struct engine *e)
{
    return e->fabric->setup.hollow;
}

static bool combines(const struct step *step)
{
    return step->landing == LANDING_COMBINE;
}

static void begin_round(struct engine *e, struct slot *s)
{
    struct step *step = &s->step;
    int tag = (int)(s - e->slots);
    s->op->step(s->op, &s->segment, s->round, step);
    s->sending = step->to >= 0 && step->send_B > 0;
    s->receiving = step->from >= 0 && step->recv_B > 0;
    s->adding = s->receiving && combines(step);
    if (s->sending) /* first: the other rank waits for it */
        fabric_send(e->fabric, s->op->purpose, step->send, step->send_B, step->to, tag, &s->send);
    if (s->receiving)
        fabric_recv(e->fabric, s->adding ? s->segment.workspace : step->recv, step->recv_B, step->from, tag, &s->recv);
    if (step->landing == LANDING_LIBRARY_SUM) {
        fabric_sum(e->fabric, step->recv, step->recv_B / sizeof(float), &s->recv);
        s->receiving = true;
    } else if (step->landing == LANDING_LOCAL) {
        if (!is_hollow(e))
            s->op->local(s->op, &s->segment, s->round);
        fabric_count_window(e->fabric, s->op->purpose);
        s->meeting = s->op->is_met != NULL;
    }
}

static bool overlap(const struct step *step)
{
    const unsigned char *send = step->send, *recv = step->recv;
    return send < recv + step->recv_B && recv < send + step->send_B;
}

static bool is_done(struct engine *e, fabric_request *r, enum asking asking)
{
    return asking == ASK ? fabric_test(e->fabric, r) : fabric_is_done(r);
}

/* One look at the round's messages; true if something changed. */
static bool look(struct engine *e, struct slot *s, enum asking asking)
{
    bool received = s->receiving && is_done(e, &s->recv, asking);
    bool sent = s->sending && is_done(e, &s->send, asking);
    bool met = s->meeting && s->op->is_met(s->op, &s->segment, s->round);
    if ((received || met) && !s->op->heard) {
        s->op->heard = true;
        s->op->heard_s = fabric_now_s(e->fabric);
    }
    s->receiving &= !received;
    s->sending &= !sent;
    s->meeting &= !met;
    if (s->adding && !s->receiving && !(s->sending && overlap(&s->step))) { /* the message being sent must stay as it is */
        if (!is_hollow(e))
            s->op->combine(s->step.recv, s->segment.workspace, s->step.recv_B);
        s->adding = false;
    }
    return received || sent || met;
}

static void work(struct engine *e, struct slot *s, double *work_s)
{
    const double start_s = fabric_now_s(e->fabric);
    s->op->landed(s->op, s->round);
    *work_s += fabric_now_s(e->fabric) - start_s;
}

static void finish(struct engine *e, struct operation *op)
{
    if (op->sent_B)
        e->fabric->ledger.rows[op->purpose].wire_B_predicted += op->sent_B(op);
    e->in_flight--;
}

/* Plays the slot's segment as far as it goes; true if something changed. */
static bool advance(struct engine *e, struct slot *s, enum asking asking, double *work_s)
{
    struct operation *op = s->op;
    bool moved = look(e, s, asking);
    while (!s->receiving && !s->sending && !s->meeting) {
        if (op->landed)
            work(e, s, work_s);
        if (++s->round == op->rounds) {
            s->op = NULL;
            if (++op->segments_done == op->segments)
                finish(e, op);
            return true;
        }
        begin_round(e, s);
        moved |= look(e, s, asking);
    }
    return moved;
}

/* Gives the next segment to the next slot, if that one is free. */
static bool deal(struct engine *e)
{
    struct operation *op = e->first;
    struct slot *s = &e->slots[e->dealt % SLOTS];
    if (!op || s->op)
        return false;
    s->op = op;
    s->segment.slot = (int)(s - e->slots);
    size_t at = op->segments_begun * op->segment_n;
    s->segment.at = at;
    s->segment.n = op->n - at < op->segment_n ? op->n - at : op->segment_n;
    s->round = 0;
    e->dealt++;
    if (++op->segments_begun == op->segments)
        e->first = op->next_started;
    begin_round(e, s);
    return true;
}

/* Adds the seconds of work on what came to *work_s. */
static bool play(struct engine *e, enum asking asking, double *work_s)
{
    bool moved = false;
    while (deal(e))
        moved = true;
    for (int i = 0; i < SLOTS; i++)
        if (e->slots[i].op)
            moved |= advance(e, &e->slots[i], asking, work_s);
    return moved;
}

static void wait_a_while(const struct engine *e, const struct slot *s)
{
    for (int i = window_patience(e->fabric->window); i > 0; i--)
        if (s->op->is_met(s->op, &s->segment, s->round))
            return;
    sched_yield();
}

/* A slot moves only when its message has come, and then only when its own is gone: that one is worth waking up for. Nobody wakes
 * up who waits for ranks to meet in memory: then the core is offered to others, and what is asked must be asked of all. */
static enum asking sleep_until_message(struct engine *e)
{
    fabric_request *requests[SLOTS];
    int n = 0;
    for (struct slot *s = e->slots; s < e->slots + SLOTS; s++) {
        if (s->op && s->meeting) {
            wait_a_while(e, s);
            return ASK;
        }
        if (s->op)
            requests[n++] = s->receiving ? &s->recv : &s->send;
    }
    fabric_wait_any(e->fabric, requests, n);
    return DO_NOT_ASK;
}

/* ---- the thread -------------------------------------------------------------------------------------------------------------- */

static void lock(struct engine *e)
{
    if (e->progress != PROGRESS_THREAD)
        return;
    atomic_fetch_add(&e->callers, 1);
    pthread_mutex_lock(&e->mutex);
    atomic_fetch_sub(&e->callers, 1);
}

static void unlock(struct engine *e)
{
    if (e->progress == PROGRESS_THREAD)
        pthread_mutex_unlock(&e->mutex);
}

static void *thread_main(void *engine)
{
    struct engine *e = engine;
    double beside_s = 0;
    pthread_mutex_lock(&e->mutex);
    while (!e->quit) {
        if (!e->in_flight) {
            pthread_cond_wait(&e->wake, &e->mutex);
            continue;
        }
        play(e, ASK, &beside_s);
        pthread_mutex_unlock(&e->mutex);
        do
            sched_yield();
        while (atomic_load(&e->callers));
        pthread_mutex_lock(&e->mutex);
    }
    pthread_mutex_unlock(&e->mutex);
    return NULL;
}

static status start_thread(struct engine *e)
{
    int level;
    MPI_Query_thread(&level);
    if (job_is_simulated())
        return status_fail(STATUS_USAGE, "exchange.progress \"thread\" has no meaning on simulated hosts; \"poll\" fits");
    if (level < MPI_THREAD_SERIALIZED)
        return status_fail(STATUS_USAGE, "exchange.progress \"thread\" needs an MPI with MPI_THREAD_SERIALIZED; \"poll\" fits");
    pthread_mutex_init(&e->mutex, NULL);
    pthread_cond_init(&e->wake, NULL);
    if (pthread_create(&e->thread, NULL, thread_main, e))
        return status_fail(STATUS_FAILED, "cannot start the thread of exchange.progress \"thread\"");
    return STATUS_OK;
}

static void stop_thread(struct engine *e)
{
    lock(e);
    e->quit = true;
    pthread_cond_signal(&e->wake);
    unlock(e);
    pthread_join(e->thread, NULL);
    pthread_cond_destroy(&e->wake);
    pthread_mutex_destroy(&e->mutex);
}

/* ---- public ------------------------------------------------------------------------------------------------------------------ */

status engine_open(struct engine **engine, struct fabric *f, enum progress progress, size_t segment_B)
{
    if (segment_B < sizeof(float) || segment_B > SEGMENT_MAX_B)
        return status_fail(STATUS_USAGE, "exchange.segment_B is %zu; 4 to %d fit", segment_B, SEGMENT_MAX_B);
    struct engine *e = calloc(1, sizeof *e);
    if (!e)
        return status_fail(STATUS_FAILED, "no memory for the collective engine");
    e->fabric = f;
    e->progress = progress;
    e->segment_B = segment_B;
    status s = progress == PROGRESS_THREAD ? start_thread(e) : STATUS_OK;
    if (s != STATUS_OK)
        free(e);
    else
        *engine = e;
    return s;
}

void engine_close(struct engine *e)
{
    if (e->progress == PROGRESS_THREAD)
        stop_thread(e);
    for (struct operation *op = e->planned, *next; op; op = next) {
        next = op->next_planned;
        free(op->storage);
        free(op);
    }
    for (int i = 0; i < SLOTS; i++)
        free(e->slots[i].segment.workspace);
    free(e);
}

const struct fabric *engine_fabric(const struct engine *e)
{
    return e->fabric;
}

double engine_now_s(const struct engine *e)
{
    return fabric_now_s(e->fabric);
}

struct fabric *engine_clock(struct engine *e)
{
    return e->fabric;
}

size_t engine_segment_B(const struct engine *e)
{
    return e->segment_B;
}

static status reserve_workspace(struct engine *e, size_t bytes)
{
    bytes = (bytes + ALIGNMENT_B - 1) / ALIGNMENT_B * ALIGNMENT_B;
    if (bytes <= e->workspace_B)
        return STATUS_OK;
    void *fresh[SLOTS];
    for (int i = 0; i < SLOTS; i++) {
        fresh[i] = aligned_alloc(ALIGNMENT_B, bytes);
        if (fresh[i])
            continue;
        while (i > 0)
            free(fresh[--i]);
        return status_fail(STATUS_FAILED, "no memory for the collective engine's %d buffers of %zu bytes", SLOTS, bytes);
    }
    for (int i = 0; i < SLOTS; i++) {
        free(e->slots[i].segment.workspace);
        e->slots[i].segment.workspace = fresh[i];
    }
    e->workspace_B = bytes;
    return STATUS_OK;
}

/* What a slot needs: the planner's own wish, or the largest message that is added, say, in the longest segment. */
static size_t needed_workspace_B(const struct operation *op)
{
    const struct segment segment = { .n = op->segment_n };
    size_t longest = op->workspace_B;
    for (int i = 0; op->combine && i < op->rounds; i++) {
        struct step step;
        op->step(op, &segment, i, &step);
        if (combines(&step) && step.recv_B > longest)
            longest = step.recv_B;
    }
    return longest;
}

status engine_plan(struct engine *e, const struct operation *planned, size_t bytes, struct operation **out)
{
    struct operation *op = malloc(bytes);
    if (!op)
        return status_fail(STATUS_FAILED, "no memory for a collective operation");
    memcpy(op, planned, bytes);
    op->segment_most = op->segment_n;
    operation_aim(op, op->data, op->n);
    status s = op->segments && !is_hollow(e) ? reserve_workspace(e, needed_workspace_B(op)) : STATUS_OK;
    if (s != STATUS_OK) {
        free(op);
        return s;
    }
    op->next_planned = e->planned;
    e->planned = op;
    *out = op;
    return STATUS_OK;
}

static void record_start(struct ledger_row *row, const struct operation *op)
{
    row->calls++;
    row->logical_B += op->logical_B;
    row->wire_B_predicted += op->predicted_B;
    row->unpredictable |= op->segments && !op->sent_elements && !op->sent_B;
}

void engine_start(struct engine *e, struct operation *op)
{
    lock(e);
    assert(op->segments_done == op->segments); /* not in flight already */
    op->segments_begun = op->segments_done = 0;
    op->next_started = NULL;
    op->heard = false;
    op->heard_s = 0;
    record_start(&e->fabric->ledger.rows[op->purpose], op);
    if (op->segments) {
        if (e->first)
            e->last->next_started = op;
        else
            e->first = op;
        e->last = op;
        e->in_flight++;
    }
    if (e->progress == PROGRESS_THREAD)
        pthread_cond_signal(&e->wake);
    unlock(e);
    if (e->progress == PROGRESS_POLL)
        play(e, DO_NOT_ASK, &e->work_s);
}

void engine_poll(struct engine *e)
{
    if (e->progress == PROGRESS_POLL && e->in_flight)
        play(e, ASK, &e->work_s);
}

void engine_wait(struct engine *e, struct operation *op)
{
    lock(e);
    enum asking asking = DO_NOT_ASK;
    while (op->segments_done < op->segments)
        if (!play(e, asking, &e->work_s))
            asking = sleep_until_message(e);
    unlock(e);
}

double engine_work_s(const struct engine *e)
{
    return e->work_s;
}

void engine_worked(struct engine *e, double start_s)
{
    e->work_s += fabric_now_s(e->fabric) - start_s;
}
