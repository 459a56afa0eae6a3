/* The table of compressors, and what goes for all of them. To add one: write compress_<name>.c, declare it in the header and add a
 * line here. */
#include "kernels/compressor.h"

#include <string.h>

const struct compressor *const compressors[] = { &compress_none,      &compress_fp16,
                                                 &compress_bf16,      &compress_topk,
                                                 &compress_randk,     &compress_permk,
                                                 &compress_threshold, &compress_dgc,
                                                 &compress_gaussiank, &compress_sidco,
                                                 &compress_qsgd,      &compress_terngrad,
                                                 &compress_natural,   &compress_natural_dithering,
                                                 &compress_sign,      &compress_ef_sign,
                                                 &compress_onebit,    &compress_powersgd,
                                                 &compress_atomo,     NULL };

const struct compressor *compressor_find(const char *name)
{
    for (int i = 0; compressors[i]; i++)
        if (strcmp(compressors[i]->member.name, name) == 0)
            return compressors[i];
    return NULL;
}

size_t element_bytes(enum element e)
{
    return e == ELEMENT_FLOAT ? sizeof(float) : sizeof(uint16_t);
}

struct coding coding_piece(const struct coding *c, size_t n, uint32_t turn)
{
    struct coding piece = *c;
    piece.n = piece.columns = n;
    piece.rows = 1;
    piece.random.seed += turn * 0x9e3779b97f4a7c15; /* the golden ratio: no two turns of any two seeds that people choose meet */
    piece.shared.seed += turn * 0x9e3779b97f4a7c15;
    return piece;
}

unsigned compressor_traits(const struct compressor *k, const void *options)
{
    return k->traits | (k->more_traits ? k->more_traits(options) : 0);
}

size_t compressor_scratch_bytes(const struct compressor *k, const struct coding *c)
{
    return k->scratch_bytes ? k->scratch_bytes(c) : 0;
}

size_t compressor_state_bytes(const struct compressor *k, const struct coding *c)
{
    return k->state_bytes ? k->state_bytes(c) : 0;
}

void compressor_state_begin(const struct compressor *k, const struct coding *c, void *state)
{
    if (!k->state_bytes)
        return;
    memset(state, 0, k->state_bytes(c));
    if (k->state_begin)
        k->state_begin(c, state);
}

size_t compressor_encode(const struct compressor *k, const struct coding *c, void *state, const float *x, unsigned char *code,
                         void *scratch)
{
    const size_t bytes = k->encode(c, state, x, code, scratch);
    return k->pack ? k->pack(c, code, scratch) : bytes;
}

double compressor_logical_bits(const struct compressor *k, const struct coding *c, const unsigned char *code, size_t bytes)
{
    return k->logical_bits ? k->logical_bits(c, code, bytes) : 8.0 * (double)bytes;
}
