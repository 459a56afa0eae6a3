/* Entries have places 0 .. total - 1 over all ranks; before, rank r has places first[r] .. first[r + 1] - 1, after, block r. */
#include "collectives/stream_balance.h"

#include <string.h>

#include "collectives/stream_gather.h"

int balancing_rounds(int p)
{
    return gathering_rounds(p) + p - 1;
}

void balancing_lay_out(struct compressed *x, struct balancing *b, size_t most)
{
    const size_t p = (size_t)x->ranks;
    b->counts = compressed_take(x, p * sizeof *b->counts);
    b->first = compressed_take(x, (p + 1) * sizeof *b->first);
    b->most = most;
}

void balancing_begin(struct balancing *b, const struct stream *from, struct stream *to)
{
    b->from = from;
    b->to = to;
    b->counts[0] = from->count;
}

/* Places that `from` gives to `to`. */
static struct range given(const struct compressed *x, const struct balancing *b, int from, int to)
{
    const size_t total = b->first[x->ranks], has = b->first[from], gets = block_start(total, x->ranks, to);
    const size_t has_end = b->first[from + 1], gets_end = block_start(total, x->ranks, to + 1);
    const size_t at = has > gets ? has : gets, end = has_end < gets_end ? has_end : gets_end;
    return (struct range){ at, end > at ? end - at : 0 };
}

static struct entry *before(const struct compressed *x, const struct balancing *b, size_t place)
{
    return stream_entries(b->from) + (place - b->first[x->rank]);
}

static struct entry *after(const struct compressed *x, const struct balancing *b, size_t place)
{
    return stream_entries(b->to) + (place - block_start(b->first[x->ranks], x->ranks, x->rank));
}

/* All counts are here; hostile ones are cut to what can be. */
static void begin_moving(const struct compressed *x, struct balancing *b)
{
    for (int r = 0; r < x->ranks; r++) {
        const size_t end = b->first[r] + b->counts[(r - x->rank + x->ranks) % x->ranks];
        b->first[r + 1] = end < b->most ? end : b->most;
    }
    *b->to = (struct stream){ STREAM_ENTRIES, (uint32_t)block_length(b->first[x->ranks], x->ranks, x->rank) };
    const struct range stays = given(x, b, x->rank, x->rank);
    if (stays.n)
        memcpy(after(x, b, stays.at), before(x, b, stays.at), stays.n * sizeof(struct entry));
}

static struct step count_step(const struct compressed *x, const struct balancing *b, int i)
{
    const size_t bytes = (size_t)gathering_blocks(x->ranks, i) * sizeof *b->counts;
    const int stride = 1 << i;
    return (struct step){ .to = (x->rank + x->ranks - stride) % x->ranks,
                          .from = (x->rank + stride) % x->ranks,
                          .send = b->counts,
                          .send_B = bytes,
                          .recv = b->counts + stride,
                          .recv_B = bytes };
}

static struct step move_step(const struct compressed *x, const struct balancing *b, int i)
{
    const int to = rotation_to(x, i), from = rotation_from(x, i);
    const struct range goes = given(x, b, x->rank, to), comes = given(x, b, from, x->rank);
    return (struct step){ .to = goes.n ? to : -1,
                          .from = comes.n ? from : -1,
                          .send = goes.n ? before(x, b, goes.at) : NULL,
                          .send_B = goes.n * sizeof(struct entry),
                          .recv = comes.n ? after(x, b, comes.at) : NULL,
                          .recv_B = comes.n * sizeof(struct entry) };
}

struct step balancing_step(const struct compressed *x, const struct balancing *b, int i)
{
    const int counting = gathering_rounds(x->ranks);
    return i < counting ? count_step(x, b, i) : move_step(x, b, i - counting);
}

void balancing_landed(const struct compressed *x, struct balancing *b, int i)
{
    if (i == gathering_rounds(x->ranks) - 1)
        begin_moving(x, b);
}

uint64_t balancing_sent_B(const struct compressed *x, const struct balancing *b)
{
    const size_t moved = b->from->count - given(x, b, x->rank, x->rank).n;
    return (uint64_t)(x->ranks - 1) * sizeof *b->counts + moved * sizeof(struct entry);
}
