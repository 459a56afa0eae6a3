/* Every config key there is, as one walk over the config's own rows and those of the family members. */
#ifndef DMLBENCH_BENCH_CONFIG_KEYS_H
#define DMLBENCH_BENCH_CONFIG_KEYS_H

#include "bench/config.h"

enum { CONFIG_PATH_BYTES = 96, CONFIG_SLOTS_MAX = 128 /* more keys than any config has */ };

/* A row of the config itself. */
struct entry {
    struct key key; /* offset in struct config; name is the full path */
    /* CHOICE among the members of a family: member i, NULL after the last; the first is the default. Else NULL. */
    const struct member *(*member_at)(size_t i);
    size_t options; /* offset in struct config of the chosen member's own struct; its keys stand beside key.name */
};
extern const struct entry config_entries[]; /* ended by a NULL key.name */

/* A key in the walk. Start with { 0 }. */
struct slot {
    const struct entry *entry;
    const struct member *member; /* whose row it is; NULL: the config's own */
    size_t member_index;
    const struct key *key;
    size_t offset; /* of the value in struct config */
    char path[CONFIG_PATH_BYTES];
};
/* The next key, in the order of documents. c: only the keys of the members that c has chosen; NULL: of all members. */
bool slot_next(struct slot *s, const struct config *c);

/* Choice i of a CHOICE row, NULL after the last. */
const char *slot_choice(const struct slot *s, size_t i);
/* The default as JSON text; NULL: the key must be given. */
const char *slot_fallback(const struct slot *s, char text[CONFIG_PATH_BYTES]);
/* What fits: "an integer 1 .. 1048576", "one of: ring, tree". Returns text. */
enum { SLOT_LIMIT_BYTES = 256 };
const char *slot_limit(const struct slot *s, char text[SLOT_LIMIT_BYTES]);

/* The candidate nearest to `wrong` by edit distance; NULL: none is near. nearest_offer takes the candidates one by one. */
struct nearest {
    const char *wrong;
    size_t distance;
    char best[CONFIG_PATH_BYTES];
};
void nearest_offer(struct nearest *n, const char *candidate);
/* "; did you mean X?" or "". Returns text. */
const char *nearest_question(const struct nearest *n, char text[CONFIG_PATH_BYTES + 32]);

#endif
