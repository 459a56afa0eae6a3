/* One reading of the clock per change of phase. */
#include "bench/phases.h"

#include <string.h>

static const char *const names[PHASE_COUNT] = {
    [PHASE_DATA] = "data",
    [PHASE_FORWARD] = "forward",
    [PHASE_RECOMPUTE] = "recompute",
    [PHASE_BACKWARD] = "backward",
    [PHASE_WEIGHT] = "weight_gradient",
    [PHASE_TENSOR] = "tensor",
    [PHASE_IDLE_ACTIVATION] = "idle_activation",
    [PHASE_IDLE_GRADIENT] = "idle_gradient",
    [PHASE_IDLE_SEND] = "idle_send",
    [PHASE_TRANSFER] = "transfer",
    [PHASE_MESSAGE_ENCODE] = "message_encode",
    [PHASE_MESSAGE_DECODE] = "message_decode",
    [PHASE_ENCODE] = "encode",
    [PHASE_PACK] = "pack",
    [PHASE_RESIDUAL] = "residual",
    [PHASE_WAIT] = "wait",
    [PHASE_EXCHANGE] = "exchange",
    [PHASE_DECODE] = "decode",
    [PHASE_OPTIMIZER] = "optimizer",
};

const char *phase_name(enum phase p)
{
    return names[p];
}

double stopwatch_start(struct stopwatch *w, struct fabric *clock, enum phase phase)
{
    memset(w->spent_s, 0, sizeof w->spent_s);
    w->clock = clock;
    w->phase = phase;
    w->since_s = fabric_now_s(clock);
    return w->since_s;
}

enum phase stopwatch_switch(struct stopwatch *w, enum phase phase)
{
    const enum phase was = w->phase;
    const double now_s = fabric_now_s(w->clock);
    w->spent_s[was] += now_s - w->since_s;
    w->since_s = now_s;
    w->phase = phase;
    return was;
}

void stopwatch_move(struct stopwatch *w, enum phase from, enum phase to, double seconds)
{
    w->spent_s[from] -= seconds;
    w->spent_s[to] += seconds;
}

double stopwatch_stop(struct stopwatch *w)
{
    stopwatch_switch(w, w->phase);
    return w->since_s;
}

void stopwatch_divide_wait(struct stopwatch *w, double began_s, double heard_s, double work_s)
{
    const double waited_s = w->since_s - began_s, after_s = w->since_s - (heard_s > began_s ? heard_s : began_s);
    const double work_here_s = work_s < waited_s ? work_s : waited_s;
    stopwatch_move(w, PHASE_WAIT, PHASE_DECODE, work_here_s);
    stopwatch_move(w, PHASE_WAIT, PHASE_EXCHANGE, after_s > work_here_s ? after_s - work_here_s : 0);
}
