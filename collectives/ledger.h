/* The byte ledger: every payload byte that a rank hands to a point-to-point message, by purpose, beside what the algorithms'
 * formulas say it should be. The fabric is the only caller of ledger_sent; the collectives are the callers of ledger_predict. */
#ifndef DMLBENCH_COLLECTIVES_LEDGER_H
#define DMLBENCH_COLLECTIVES_LEDGER_H

#include <stdint.h>

enum purpose {
    PURPOSE_GRADIENT,            /* sums over replicas */
    PURPOSE_PARAMETERS,          /* what one replica updated or keeps, to the others (ZeRO) */
    PURPOSE_ACTIVATION,          /* from stage to stage of a pipeline */
    PURPOSE_ACTIVATION_GRADIENT, /* and back */
    PURPOSE_STAMP,               /* the time of sending, with each of these */
    PURPOSE_TIED,                /* gradients of a matrix that two stages share */
    PURPOSE_TENSOR,              /* inside split layers */
    PURPOSE_LOSS,
    PURPOSE_CHECK, /* comparing parameters at the end, where that has to gather them */
    PURPOSE_COUNT
};
const char *purpose_name(enum purpose p); /* "gradient", "activation_gradient", ... */

struct ledger_row {
    uint64_t calls;            /* collective operations begun */
    uint64_t messages;         /* point-to-point messages sent */
    uint64_t logical_B;        /* size of what was exchanged: 4 n for an allreduce of n floats */
    uint64_t wire_B_predicted; /* by formula; meaningless where unpredictable is set */
    uint64_t wire_B_counted;   /* payload bytes handed to messages */
    int unpredictable;         /* an operation without a formula took part (the library's own allreduce) */
};

struct ledger {
    struct ledger_row rows[PURPOSE_COUNT];
};

/* Adds one fabric's rows to another's. */
void ledger_add(struct ledger *to, const struct ledger *from);
/* What was added since `before`. */
struct ledger ledger_since(const struct ledger *now, const struct ledger *before);
/* All rows of `from`, whatever they were for, added to one row. */
void ledger_charge(struct ledger *to, enum purpose purpose, const struct ledger *from);

#endif
