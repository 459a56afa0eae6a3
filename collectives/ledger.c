/* Names of the ledger's rows, as they stand in results. */
#include "collectives/ledger.h"

const char *purpose_name(enum purpose p)
{
    static const char *const names[PURPOSE_COUNT] = { [PURPOSE_GRADIENT] = "gradient", [PURPOSE_LOSS] = "loss" };
    return names[p];
}
