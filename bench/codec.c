/* From the config's three choices to one compressor. */
#include "bench/codec.h"

#include <stdio.h>
#include <string.h>

static bool is_none(const struct choice *c)
{
    return strcmp(c->name, compress_none.member.name) == 0;
}

bool codec_may_follow(const struct compressor *k)
{
    return !k->state_bytes && !(k->traits & COMPRESSOR_MATRIX);
}

void codec_of(const struct config *c, struct codec *codec)
{
    const struct choice *parts[] = { &c->exchange.compressor, &c->exchange.then, &c->exchange.last };
    struct chain *chain = &codec->chain;
    chain->count = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && (i == 0 || !is_none(parts[i])); i++) {
        chain->kind[i] = compressor_find(parts[i]->name);
        chain->options[i] = parts[i]->options;
        chain->count++;
    }
    codec->kind = chain->count > 1 ? &compress_chain : chain->kind[0];
    codec->options = chain->count > 1 ? (const void *)chain : chain->options[0];
}

const char *codec_name(const struct config *c, char text[CODEC_NAME_BYTES])
{
    struct codec codec;
    codec_of(c, &codec);
    text[0] = 0;
    for (int i = 0; i < codec.chain.count; i++)
        snprintf(text + strlen(text), CODEC_NAME_BYTES - strlen(text), "%s%s", i ? ", " : "", codec.chain.kind[i]->member.name);
    return text;
}

const char *codec_refuses(const struct config *c)
{
    if (is_none(&c->exchange.then) && !is_none(&c->exchange.last))
        return "exchange.compressor.then.then.name follows \"none\" (fits: exchange.compressor.then.name)";
    if (is_none(&c->exchange.compressor) && !is_none(&c->exchange.then))
        return "exchange.compressor.then.name follows \"none\" (fits: exchange.compressor.name)";
    return NULL;
}
