/* Where the time of a step goes: a stopwatch that is always in exactly one phase, so that the phases add up to the step. */
#ifndef DMLBENCH_BENCH_PHASES_H
#define DMLBENCH_BENCH_PHASES_H

#include "collectives/fabric.h"

enum phase {
    PHASE_DATA,            /* samples of the micro-batches */
    PHASE_FORWARD,         /* and the loss */
    PHASE_RECOMPUTE,       /* the forward pass once more */
    PHASE_BACKWARD,        /* input and weight gradients; polling the exchange between layers is part of it */
    PHASE_WEIGHT,          /* weight gradients where the schedule has them apart */
    PHASE_TENSOR,          /* collectives inside split layers */
    PHASE_IDLE_ACTIVATION, /* until the stage before has sent an activation */
    PHASE_IDLE_GRADIENT,   /* until the stage behind has sent a gradient */
    PHASE_IDLE_SEND,       /* until a neighbour has room for a message */
    PHASE_TRANSFER,        /* from its sending to its arrival, as far as it was waited for */
    PHASE_MESSAGE_ENCODE,  /* compressing what goes to another stage, packing included */
    PHASE_MESSAGE_DECODE,  /* and what came from one */
    PHASE_ENCODE,          /* compressing: a vector to symbols */
    PHASE_PACK,            /* symbols to the bits of a code */
    PHASE_RESIDUAL,        /* error feedback: adding the last error, working out the next */
    PHASE_WAIT,            /* until the other ranks have begun to exchange gradients, the loss, tied matrices, parameters */
    PHASE_EXCHANGE,        /* from then on, until the exchange of gradients is done: what nothing hides of it */
    PHASE_DECODE,          /* adding up the codes of all ranks; decoding and compressing anew on their way */
    PHASE_OPTIMIZER,       /* updating the parameters */
    PHASE_COUNT
};
const char *phase_name(enum phase p); /* "data", "forward", ... */

struct stopwatch {
    struct fabric *clock;
    enum phase phase;
    double since_s;
    double spent_s[PHASE_COUNT];
};

/* Zeroes the phases and begins in `phase`; returns the time, seconds of the fabric's clock. */
double stopwatch_start(struct stopwatch *w, struct fabric *clock, enum phase phase);
/* Charges the time since the last call to the phase that was on, and goes on in `phase`. Returns the one that was on. */
enum phase stopwatch_switch(struct stopwatch *w, enum phase phase);
/* What was charged to one phase belongs to another. */
void stopwatch_move(struct stopwatch *w, enum phase from, enum phase to, double seconds);
/* Divides what was charged to PHASE_WAIT from began_s until the last switch: until the other ranks had begun (heard_s) it stays;
 * work on what came, as far as it was done here and not in a poll before, is decoding; the rest was the exchange. */
void stopwatch_divide_wait(struct stopwatch *w, double began_s, double heard_s, double work_s);
/* Charges the rest and returns the time. */
double stopwatch_stop(struct stopwatch *w);

#endif
