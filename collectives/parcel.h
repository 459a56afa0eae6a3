/* A code on its way: what it is a code of, and where it lies.
 *
 *     of a size known before:  code          of one that depends on the data:  its length, 4 bytes, then the code
 *
 * So no message about sizes goes before it, and an empty code of unknown size is a message, too. Whole vectors and pieces of them
 * travel alike.
 */
#ifndef DMLBENCH_COLLECTIVES_PARCEL_H
#define DMLBENCH_COLLECTIVES_PARCEL_H

#include "collectives/exchange_parts.h"

struct parcel {
    struct coding coding;
    unsigned char *at; /* [parcel_most_B], no alignment */
};

/* Block `block` of the vector cut into `blocks`, as rank `by` codes it in this turn (0, 1, ...) of its own, with random
 * numbers of their own for every block and turn. */
struct coding parcel_coding(const struct exchange_terms *t, int blocks, int block, int by, uint32_t turn);

/* Whether all sizes are known before; bytes of the length that travels where they are not. */
bool parcel_is_fixed(const struct exchange_terms *t);
size_t parcel_head_B(const struct exchange_terms *t);
/* Bytes that travel: at most, or if they are known before; and of a code that is there (a hostile length is cut to what can be). */
size_t parcel_most_B(const struct exchange_terms *t, const struct coding *c);
size_t parcel_B(const struct exchange_terms *t, const struct parcel *p);

/* NULL, or why the vector cannot be coded alone in pieces such as these two, the longest and the shortest. */
const char *parcel_refuses(const struct exchange_terms *t, const struct coding *longest, const struct coding *shortest);
/* NULL, or why one rank cannot code what another has coded before. */
const char *parcel_refuses_anew(const struct exchange_terms *t);

/* What the larger of two pieces needs; scratch_B is a multiple of 64. */
struct parcel_rooms {
    size_t parcel_B, scratch_B;
};
struct parcel_rooms parcel_rooms(const struct exchange_terms *t, const struct coding *a, const struct coding *b);

/* v[coding.n] to a code, whose bits and bytes are added to x's; encode leaves the packing, where there is one, to pack; fill does
 * both. decode: y[coding.n] += factor * what the code says. */
void parcel_encode(struct compressed *x, const struct parcel *p, void *state, const float *v, void *scratch);
void parcel_pack(struct compressed *x, const struct parcel *p, void *scratch);
void parcel_fill(struct compressed *x, const struct parcel *p, void *state, const float *v, void *scratch);
void parcel_decode(const struct compressed *x, const struct parcel *p, float factor, float *y, void *scratch);

/* A round in which one goes out and another comes in. */
struct step parcel_step(const struct exchange_terms *t, int to, const struct parcel *out, int from, const struct parcel *in);

/* Where on a ring of p places `place` is, however far round. */
int around(int place, int p);

#endif
