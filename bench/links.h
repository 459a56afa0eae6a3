/* Messages between the stages of one pipeline: activations go forward, their gradients come back, as they are or coded (message.h).
 *
 * Every message has a tag of its own (micro-batch, chunk, direction), because with two stages the next and the previous stage are
 * the same rank. Receives are posted some messages ahead, in the order of the stage's list, so that a message can arrive while the
 * stage computes; sends go out from their own buffers. Each message carries the time of its sending, which tells the receiver how
 * long it waited for the sender and how long for the network.
 *
 * All buffers are of one size and come from one pool, made before the first step. A code travels in one of them, too: it is decoded
 * into another when it is received, and made from one when it is sent.
 */
#ifndef DMLBENCH_BENCH_LINKS_H
#define DMLBENCH_BENCH_LINKS_H

#include "bench/message.h"

struct links;

/* Bytes of its buffers, known before. */
double links_B(const struct config *c, const struct assignment *a);
/* Pure. Messages of a rank have tags below this. */
int links_tags(const struct assignment *a);
/* Local. Over the fabric of the pipeline axis. */
status links_open(struct links **l, struct fabric *f, const struct config *c, const struct assignment *a);
void links_close(struct links *l);

/* Whose messages these are. */
struct links_batch {
    int (*samples_of)(const void *who, int micro);
    int64_t (*leaf_of)(const void *who, int micro); /* among all micro-batches of the global batch */
    const void *who;
    int64_t step;
    bool coded; /* as the config says; false: as they are */
};
/* Local. Begins a list of tasks. */
void links_begin(struct links *l, const struct task_list *tasks, const struct links_batch *batch);

/* Local. Task `task` of the list is next: what there is room for now is posted. */
void links_advance(struct links *l, int task);

/* Local. What a part will send for that many samples in so many micro-batches, whose sizes differ by one at most, goes into the
 * ledger as predicted: their bytes each way (samples x floats of the boundary x 4, or of their codes), and a stamp for each
 * message.
 */
void links_predict(struct links *l, int part, int64_t samples, int64_t micro_batches);

/* Local. A buffer from the pool, and back to it (NULL: nothing), once it is sent; there are as many as the assignment keeps at a
 * time. */
float *links_take(struct links *l);
void links_return(struct links *l, float *buffer);

/* Waits for the next message in a direction, which must be that of (part, micro), and decodes it; the caller returns the buffer.
 * The time waited is charged to idle until it was sent, to transfer from then on. */
float *links_receive(struct links *l, enum direction d, int part, int micro, struct stopwatch *w);
/* Local. Whether the next message in that direction is already here, or none is expected any more. */
bool links_has_arrived(struct links *l, enum direction d);
/* Waits until the next message of one direction is here, or that of the other; neither is here yet, both are expected. */
void links_wait_for_either(struct links *l, struct stopwatch *w);

/* Sends a part's output (TO_NEXT) or input gradient (TO_PREVIOUS). `owned`: the links return the buffer when it is sent; else the
 * caller keeps it, and leaves it alone until links_finish or until the answer to it is there. May wait for an earlier send. */
void links_send(struct links *l, enum direction d, int part, int micro, float *buffer, bool owned, struct stopwatch *w);
/* Local. Messages that were waited for when they came, since links_open or links_forget, and the seconds from their sending to
 * then.
 */
void links_awaited(const struct links *l, double *count, double *s);
void links_forget_awaited(struct links *l);
/* Local. Gives messages on their way a chance to move. */
void links_poll(struct links *l);
/* Returns when everything sent has gone. */
void links_finish(struct links *l, struct stopwatch *w);

#endif
