/* The effective configuration of one run: plain data, filled from one JSON object by the key table in config.c.
 * A key is one row of that table; defaults, checks, --keys, --schema, the echo in results and docs/config.md come from the rows.
 */
#ifndef DMLBENCH_BENCH_CONFIG_H
#define DMLBENCH_BENCH_CONFIG_H

#include <stdbool.h>
#include <stdio.h>

#include "collectives/cluster.h"
#include "collectives/status.h"
#include "kernels/key.h"

enum { MEMBER_OPTIONS_BYTES = 256, CONFIG_LENGTH_CLASSES = 32 };
enum { PLAN_STAGES_MAX = 1024, PLAN_TASKS_MAX = 100000000, PLAN_MICRO_BATCHES_MAX = 1 << 14 };

/* A family member that the config names, with its options struct filled from the member's own rows. */
struct choice {
    const char *name;
    _Alignas(16) unsigned char options[MEMBER_OPTIONS_BYTES];
};

struct config {
    const char *why, *name;
    int64_t seed;
    struct choice model, data, optimizer;
    struct {
        int64_t global, micro;
    } batch; /* samples */
    struct {
        int64_t data, pipeline, tensor; /* degrees; 0 = auto until config_settle */
        const char *order, *partition, *placement, *binding;
        struct choice schedule;
        int64_t recompute, recompute_last_stage; /* enum setting */
        bool sequence;
        int64_t zero;
        struct choice activation_compressor;
    } parallel;
    struct {
        const char *allreduce;
        int64_t bucket_B, segment_B;
        const char *unit; /* bucket, tensor; auto until config_settle */
        bool overlap, error_feedback;
        double error_decay;
        const char *error_units;              /* gradient, update */
        const char *progress;                 /* none, poll, thread */
        struct choice compressor, then, last; /* a chain: see bench/codec.h */
        struct choice collective;             /* auto until config_settle */
        const char *reduction;                /* fast, tree */
    } exchange;
    struct choice compute, fabric;
    struct {
        double rate_flop_per_s;                /* 0 = auto */
        struct matrix slowdown;                /* rows (rank, factor) */
        double encode_B_per_s, decode_B_per_s; /* 0 = auto */
    } charge;                                  /* the keys beside compute.name */
    struct {
        int64_t nodes, node_ranks; /* 0 = auto, all */
        struct {
            double latency_s, bandwidth_B_per_s;
        } inside, between;
        bool shared;
        struct matrix latency_s, bandwidth_B_per_s; /* between nodes; no rows: `between` */
        double jitter_s;
        int64_t seed;
    } network;
    int node_ranks_seen; /* no key: places_node_ranks of the hosts that the ranks run on; 0: not looked at */
    unsigned char allreduce_chosen[CONFIG_LENGTH_CLASSES]; /* no key: see gradient_choice.h */
    const char *calibration;                               /* "": none */
    struct {
        int64_t steps, warmup_steps;
        bool verify; /* check gradients before timing */
    } measure;
    struct {
        struct choice schedule;
        int64_t stages, micro_batches;           /* 0 = auto: the run's */
        int64_t recompute, recompute_last_stage; /* enum setting */
        bool recompute_waits;
        double forward_s, backward_s, weight_grad_s, recompute_s, last_stage_factor;
        double latency_s, message_B, bandwidth_B_per_s, jitter_network_s, jitter_compute_s;
        int64_t seed;
    } plan;             /* of dmlplan alone */
    const char *origin; /* what messages call the config: its file, or "a.json with b.json" */
    const char *folder; /* of the config file: relative paths are looked up there first, then in the working directory */
    struct texts given; /* paths of the keys that the user gave, in file or --set (the rest are defaults) */
    void *storage;      /* owns every string above */
};

/* Local. Where a config file is: as given, else in configs/ of the working directory, else in the installed or source configs/.
 * Nowhere: STATUS_USAGE and a sentence. */
enum { CONFIG_FOUND_BYTES = 8192 };
status config_find_file(const char *path, char found[CONFIG_FOUND_BYTES]);

/* Local. Reads the found file whole; *text is malloced, *folder is the file's folder. No file, a folder, an unreadable file:
 * STATUS_USAGE and a sentence. */
status config_read_file(const char *path, char **text, char **folder);

/* One JSON text of an experiment. */
struct config_text {
    const char *origin; /* what messages call it */
    const char *text;   /* NUL-ended */
    const char *folder; /* NULL: the working directory */
};

/* Local. texts[1 + n_with] of an experiment's files, as config_read_file reads them; config NULL: no key. */
status config_read_texts(struct config_text *texts, const char *config, const char *const *with, int n_with);
void config_free_texts(struct config_text *texts, int n_texts);

/* Local and pure: n_texts >= 1 texts plus `sets` ("key.path=VALUE") give c. The keys of each text go over those of the texts
 * before, key by key (but for why and name, which say what the first is); the folder is the first's. Syntax errors name line and
 * column; unknown keys the nearest key; wrong type, range or choice the key, value and what fits; a key given twice is an error.
 * config_free frees it; on failure there is nothing to free. */
status config_parse_texts(struct config *c, const struct config_text *texts, int n_texts, const char *const *sets, int n_sets);
/* The same of one text. */
status config_parse(struct config *c, const char *origin, const char *text, const char *folder, const char *const *sets,
                    int n_sets);
void config_free(struct config *c);
/* Local. Both in one: from files to c. */
status config_load(struct config *c, const char *config, const char *const *with, int n_with, const char *const *sets, int n_sets);

/* Local. Rules between keys for this number of ranks (config_rules.c, one small function per rule, each with its sentence);
 * resolves "auto" degrees. A misfit of ranks and degrees lists the layouts that fit. */
status config_settle(struct config *c, int ranks);

/* Local. Only the rules about the network. */
status config_settle_network(struct config *c, int ranks);

/* Pure. Whether the stated network is what messages cross: fabric shaped makes it, simulated hosts have it, and a plan, for which
 * nobody looked at hosts, believes it. On real hosts fabric mpi crosses theirs, whatever network.* says. */
bool config_network_holds(const struct config *c);
/* Pure. Whether such a network says who shares a node; else the hosts that were seen count. */
bool config_states_nodes(const struct config *c);
/* Pure. The network of a settled config, for so many ranks; its matrices are the config's. Where it does not hold, nodes are the
 * hosts that were seen, and links mean nothing. */
struct cluster config_cluster(const struct config *c, int ranks);

/* Version of the JSON library that reads configs: "1.7.15". */
const char *config_json_library(void);

bool config_was_given(const struct config *c, const char *path);

/* SHA-256, hex, of the canonical effective config (sorted keys, no blanks); hex[65]. */
void config_hash(const struct config *c, char hex[65]);

/* --keys: one row per key; --schema config: JSON Schema (draft 7); docs/config.md: the same rows as Markdown. */
void config_print_keys(FILE *out);
void config_print_schema(FILE *out);
void config_print_markdown(FILE *out);
/* The effective config as indented JSON. */
void config_print(const struct config *c, FILE *out);

#endif
