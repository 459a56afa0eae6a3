/* The table of optimizers, and what goes for all of them. To add one: write optimizer_<name>.c, declare it in the header and add a
 * line here. */
#include "kernels/optimizer.h"

#include <string.h>

const struct optimizer *const optimizers[] = { &optimizer_adamw, &optimizer_sgd, &optimizer_momentum, NULL };

const struct optimizer *optimizer_find(const char *name)
{
    for (int i = 0; optimizers[i]; i++)
        if (strcmp(optimizers[i]->member.name, name) == 0)
            return optimizers[i];
    return NULL;
}

double optimizer_rate_frac(const void *options, int64_t step)
{
    const struct learning_rate *o = options;
    return step + 1 < o->warmup_steps ? (double)(step + 1) / (double)o->warmup_steps : 1;
}
