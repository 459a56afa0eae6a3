/* Sparse streams: lists of entries (index, value) that travel, are added by index, and become floats where those are shorter.
 *
 *     message = form, count (uint32 each), then   ENTRIES: count of { index (uint32), value (float) }, ascending, 8 bytes each
 *                                                 FLOATS:  all count floats of a range, 4 bytes each
 *
 * A message says which it is and how long it is, so sizes that depend on the data need no message of their own. What came from
 * another rank is cut to the room that there is (stream_cut), and indices are checked where they are used.
 * Source: Renggli, Ashkboos, Aghagolzadeh, Alistarh, Hoefler, "SparCML", SC'19.
 */
#ifndef DMLBENCH_COLLECTIVES_STREAM_H
#define DMLBENCH_COLLECTIVES_STREAM_H

#include "collectives/exchange_parts.h"

enum stream_form { STREAM_ENTRIES, STREAM_FLOATS };

struct entry {
    uint32_t index;
    float value;
};

/* The head of a message, 4-byte aligned. */
struct stream {
    uint32_t form, count;
};

/* The messages about floats [at, at + n): at most so many entries; if dense, more than those become floats. */
struct extent {
    struct range range;
    size_t most;
    bool dense;
};

/* Of up to `most` entries, which become floats from more than `limit` on. */
struct extent extent_of(struct range range, size_t most, size_t limit);
size_t extent_room_B(const struct extent *e); /* of the longest message */

size_t stream_bytes(enum stream_form form, size_t count);
size_t stream_B(const struct stream *s);
struct entry *stream_entries(const struct stream *s);
size_t stream_entry_count(const struct stream *s); /* 0 of floats */
void stream_cut(struct stream *s, size_t room_B);  /* s came from elsewhere: it is not longer than its room */

/* to = own entries index[count], value[count], which lie in the extent; to = a + b; y += s where its indices lie in the range.
 * Rooms are those of the extent; `to` is neither a nor b. The bits of a + b are those of b + a. */
void stream_of(const struct extent *e, const uint32_t *index, const float *value, size_t count, struct stream *to);
void stream_merge(const struct extent *e, const struct stream *a, const struct stream *b, struct stream *to);
void stream_add(struct range range, const struct stream *s, float *y);

/* The k entries of largest magnitude, of equals the lower indices; s is of entries. chosen[count], value[count]: scratch. */
void stream_keep_largest(struct stream *s, size_t k, uint32_t *chosen, float *value);

/* ---- this rank's own entries ---- */

struct own_entries {
    uint32_t *index; /* [most_entries], ascending */
    float *value;
    size_t count, sliced;
    struct stream **slice; /* [p] messages, one after the other */
};

/* NULL, or why codes are no entries. As exchange.refuses. */
const char *own_entries_refuse(const struct exchange_terms *t);
/* In lay_out: room of index and value, after that of whole vectors' codes. In pack: from the code, whatever its bytes; as entries
 * they travel. */
void own_entries_lay_out(struct compressed *x, struct own_entries *own);
void own_entries_pack(struct compressed *x, struct own_entries *own);
/* In lay_out: room to cut up to `most` entries. Then for r = 0, 1, ...: slice[r] = what is left below the end of the extent's
 * range. */
void own_slices_lay_out(struct compressed *x, struct own_entries *own, size_t most);
void own_entries_slice(struct own_entries *own, int r, const struct extent *e);
/* Bytes of the slices for other ranks. */
uint64_t own_slices_sent_B(const struct compressed *x, const struct own_entries *own);

/* ---- what exchanges of streams share ---- */

/* exchange.sent: sizes depend on the data, but for one rank. */
bool stream_sent(const struct exchange_terms *t, uint64_t *B_to);
/* In lay_out: x->own becomes a copy of the member's struct. */
void stream_own(struct compressed *x, const void *own, size_t bytes);
/* In the i-th of p - 1 rounds (from 0) this rank sends to one and receives from another; each meets all others. */
int rotation_to(const struct compressed *x, int i);
int rotation_from(const struct compressed *x, int i);

#endif
