/* What compresses gradients, as the config says: one compressor, or a chain of up to three. */
#ifndef DMLBENCH_BENCH_CODEC_H
#define DMLBENCH_BENCH_CODEC_H

#include "bench/config.h"
#include "kernels/chain.h"

struct codec {
    const struct compressor *kind;
    const void *options;
    struct chain chain; /* the options, if it is one */
};

/* Local and pure. Points into the config, and into *codec. */
void codec_of(const struct config *c, struct codec *codec);
/* Its parts' names, "topk, qsgd". Returns text. */
enum { CODEC_NAME_BYTES = 96 };
const char *codec_name(const struct config *c, char text[CODEC_NAME_BYTES]);
/* NULL, or why the chain is none: a part of a sentence that begins with the key. */
const char *codec_refuses(const struct config *c);
/* Without a memory, and of any vector. */
bool codec_may_follow(const struct compressor *k);

#endif
