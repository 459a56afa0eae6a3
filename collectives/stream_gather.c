/* Messages one after the other in one buffer: what is sent is always its beginning, what comes is appended. */
#include "collectives/stream_gather.h"

int gathering_rounds(int p)
{
    int rounds = 0;
    while (1 << rounds < p)
        rounds++;
    return rounds;
}

int gathering_blocks(int p, int t)
{
    return 2 << t <= p ? 1 << t : p - (1 << t);
}

/* Bytes of the first messages. */
static size_t beginning_B(const struct gathering *g, int messages)
{
    size_t at = 0;
    for (int i = 0; i < messages && i < g->messages; i++)
        at += stream_B((const struct stream *)(g->at + at));
    return at;
}

static void append(struct gathering *g, int messages)
{
    for (int i = 0; i < messages && g->room_B - g->end_B >= sizeof(struct stream); i++) {
        struct stream *s = (struct stream *)(g->at + g->end_B);
        stream_cut(s, g->room_B - g->end_B);
        g->end_B += stream_B(s);
        g->messages++;
    }
}

void gathering_begin(struct gathering *g)
{
    g->messages = 0;
    g->end_B = 0;
    append(g, 1);
}

struct step gathering_step(const struct gathering *g, int t)
{
    return (struct step){
        .to = (g->rank + g->ranks - (1 << t)) % g->ranks,
        .from = (g->rank + (1 << t)) % g->ranks,
        .send = g->at,
        .send_B = beginning_B(g, gathering_blocks(g->ranks, t)),
        .recv = g->at + g->end_B,
        .recv_B = g->room_B - g->end_B,
        .landing = LANDING_REPLACE,
    };
}

void gathering_landed(struct gathering *g, int t)
{
    append(g, gathering_blocks(g->ranks, t));
}

const struct stream *gathering_message(const struct gathering *g, int r)
{
    const int before = (r + g->ranks - g->rank) % g->ranks;
    return before < g->messages ? (const struct stream *)(g->at + beginning_B(g, before)) : NULL;
}

uint64_t gathering_sent_B(const struct gathering *g)
{
    uint64_t all = 0;
    for (int t = 0; t < gathering_rounds(g->ranks); t++)
        all += beginning_B(g, gathering_blocks(g->ranks, t));
    return all;
}
