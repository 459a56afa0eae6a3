/* The table of compressors. To add one: write compress_<name>.c, declare it in the header and add a line here. */
#include "kernels/compressor.h"

#include <string.h>

const struct compressor *const compressors[] = { &compress_none, &compress_topk, NULL };

const struct compressor *compressor_find(const char *name)
{
    for (int i = 0; compressors[i]; i++)
        if (strcmp(compressors[i]->member.name, name) == 0)
            return compressors[i];
    return NULL;
}
