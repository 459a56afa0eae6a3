/* What crosses a boundary between two stages: the activations of a micro-batch, or their gradients, as floats or as a code.
 *
 *     x[positions x channels] --encode--> code ~~~~> decode --> C(x)          parallel.activation_compressor, both directions
 *
 * The compressors are those of gradients (kernels/compressor.h), but nothing is summed: each is the only worker. Receivers ask for
 * a message before it is sent, so codes must be of a fixed size. Samples do not come again in the next step, so a compressor must
 * have no memory, and there is no error feedback. Random numbers depend on seed, step, micro-batch, boundary and direction: not on
 * timing, schedule or replicas. Tensor ranks that hold the same draw the same; with sequence parallel each has a share of its own.
 *
 * The backward pass takes C for the identity, which a difference quotient would not: gradients are verified without codes. They are
 * of the mean over the global batch, small numbers, so a format needs range as well as digits (fp16 has none below 6e-8).
 * Source: the direct quantisation that Wang et al. 2022 (AQ-SGD) compare with, for any compressor.
 */
#ifndef DMLBENCH_BENCH_MESSAGE_H
#define DMLBENCH_BENCH_MESSAGE_H

#include "bench/assignment.h"
#include "bench/phases.h"

enum direction { TO_NEXT, TO_PREVIOUS, DIRECTIONS }; /* activations, gradients */

struct message {
    enum direction direction;
    size_t floats; /* of a sample */
    int samples;
    int boundary;       /* position of the part before it */
    int64_t leaf, step; /* leaf: micro-batch among all of the global batch */
};

/* Pure. Whether codes travel instead of floats. */
bool message_is_coded(const struct config *c);
/* Pure. Bytes of a rank's message, without its stamp: of its code, or of its floats. */
size_t message_B(const struct config *c, const struct assignment *a, size_t floats, int samples);
/* Pure. Of that many samples in so many messages, whose sizes differ by one sample at most. */
uint64_t message_batch_B(const struct config *c, const struct assignment *a, size_t floats, int64_t samples, int64_t messages);

/* Pure. The most that coding the messages of a rank needs; nothing is coded: 0. */
struct message_room {
    size_t code_B, scratch_B;
};
struct message_room message_room(const struct config *c, const struct assignment *a);

/* Local. Whether the messages of all stages can be coded, for a config whose layout is settled; if not, a sentence. */
status message_check(const struct config *c);

/* Codes messages: plain data. */
struct message_coder {
    const struct config *config;
    const struct assignment *plan;
    struct fabric *fabric;
    void *scratch; /* as message_room says */
};

/* Local. x to a code of message_B bytes, and back. Charged to phases of their own, which are a stage's work; those of gradients'
 * codes are not. They take the time that fabric_encodes says. */
void message_encode(const struct message_coder *coder, const struct message *m, const float *x, void *code, struct stopwatch *w);
void message_decode(const struct message_coder *coder, const struct message *m, const void *code, float *x, struct stopwatch *w);

#endif
