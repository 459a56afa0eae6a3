/* Names of the ledger's rows, as they stand in results, and their sum over several fabrics. */
#include "collectives/ledger.h"

const char *purpose_name(enum purpose p)
{
    static const char *const names[PURPOSE_COUNT] = {
        [PURPOSE_GRADIENT] = "gradient",     [PURPOSE_PARAMETERS] = "parameters",
        [PURPOSE_ACTIVATION] = "activation", [PURPOSE_ACTIVATION_GRADIENT] = "activation_gradient",
        [PURPOSE_STAMP] = "stamp",           [PURPOSE_TIED] = "tied_gradient",
        [PURPOSE_TENSOR] = "tensor",         [PURPOSE_LOSS] = "loss",
        [PURPOSE_CHECK] = "check",
    };
    return names[p];
}

static void add_row(struct ledger_row *sum, const struct ledger_row *row)
{
    sum->calls += row->calls;
    sum->messages += row->messages;
    sum->logical_B += row->logical_B;
    sum->wire_B_predicted += row->wire_B_predicted;
    sum->wire_B_counted += row->wire_B_counted;
    sum->unpredictable |= row->unpredictable;
}

void ledger_add(struct ledger *to, const struct ledger *from)
{
    for (int p = 0; p < PURPOSE_COUNT; p++)
        add_row(&to->rows[p], &from->rows[p]);
}

void ledger_charge(struct ledger *to, enum purpose purpose, const struct ledger *from)
{
    for (int p = 0; p < PURPOSE_COUNT; p++)
        add_row(&to->rows[purpose], &from->rows[p]);
}

struct ledger ledger_since(const struct ledger *now, const struct ledger *before)
{
    struct ledger since = *now;
    for (int p = 0; p < PURPOSE_COUNT; p++) {
        since.rows[p].calls -= before->rows[p].calls;
        since.rows[p].messages -= before->rows[p].messages;
        since.rows[p].logical_B -= before->rows[p].logical_B;
        since.rows[p].wire_B_predicted -= before->rows[p].wire_B_predicted;
        since.rows[p].wire_B_counted -= before->rows[p].wire_B_counted;
    }
    return since;
}
