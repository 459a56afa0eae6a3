/* What ranks do by themselves, and the order of it all. Ranks meet before every rate, so that they are at it together; a rate is
 * the work of a window of time over its length, so whoever shares a core is measured with and without it. */
#include "bench/calibrate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/calibrate_parts.h"
#include "bench/codec.h"
#include "bench/result.h"
#include "kernels/layers.h"

enum { WINDOWS = 7, WINDOWS_SLOW = 3, CODEC_SIDE = 1024, WORKERS = 8, CODECS_MAX = 64, LINKS = 2 };
static const double window_s = 0.015, slow_s = 0.2;

static const int widths[] = { 64, 256, 512, 1024 }, row_counts[] = { 16, 128, 1024 };
enum { WIDTHS = sizeof widths / sizeof *widths, ROW_COUNTS = sizeof row_counts / sizeof *row_counts, WIDER = 4 };
enum { PRODUCTS = 3 * WIDTHS * ROW_COUNTS };

struct calibration_run {
    const struct job *job;
    struct fabric fabric;
    double *gathered, *sorted; /* rank 0: [ranks * WINDOWS] */
    struct measurements out;
    struct measured_product products[PRODUCTS];
    struct measured_codec codecs[CODECS_MAX];
    struct measured_link links[LINKS];
    struct measured_message messages[LINKS][LINK_SIZES];
};

typedef void work_function(void *context);

static double seconds_of(struct calibration_run *r, work_function *work, void *context, double at_least_s, double *calls)
{
    const double start_s = fabric_now_s(&r->fabric);
    double spent_s = 0;
    for (*calls = 0; *calls == 0 || spent_s < at_least_s; ++*calls) {
        work(context);
        spent_s = fabric_now_s(&r->fabric) - start_s;
    }
    return spent_s;
}

/* Collective. Units of work a second, one call being so many, of all ranks' windows. */
static struct statistic rate_of(struct calibration_run *r, work_function *work, void *context, double units)
{
    double own[WINDOWS], calls;
    job_barrier(r->job);
    const double first_s = job_max(r->job, seconds_of(r, work, context, 0, &calls));
    const size_t windows = first_s > slow_s ? WINDOWS_SLOW : WINDOWS;
    for (size_t i = 0; i < windows; i++) {
        const double spent_s = seconds_of(r, work, context, window_s, &calls);
        own[i] = units * calls / spent_s;
    }
    job_gather_doubles(r->job, own, windows, r->gathered);
    return r->gathered ? statistic_of(r->gathered, windows * (size_t)r->job->ranks, r->sorted) : (struct statistic){ 0 };
}

static status agree_on_memory(struct calibration_run *r, bool there, const char *what)
{
    return status_agree(there ? STATUS_OK : status_fail(STATUS_FAILED, "no memory to measure %s", what), r->job->world);
}

static void fill_normal(float *x, size_t n)
{
    const struct random random = { .stream = RANDOM_CHECK };
    random_normal(&random, 1, 0, x, n);
}

/* ---- sgemm --------------------------------------------------------------------------------------------------------------- */

struct linear_layer {
    int rows, in, out;
    float *x, *w, *y;
};

static void forward(void *layer)
{
    const struct linear_layer *l = layer;
    linear_forward(l->y, l->x, l->w, NULL, l->rows, l->in, l->out);
}

static void input_grad(void *layer)
{
    const struct linear_layer *l = layer;
    linear_input_grad(l->x, l->y, l->w, l->rows, l->in, l->out);
}

static void weight_grad(void *layer)
{
    const struct linear_layer *l = layer;
    linear_weight_grad(l->w, NULL, l->x, l->y, l->rows, l->in, l->out);
}

/* The operands are made anew: multiplied again and again they would overflow. */
static void measure_layer(struct calibration_run *r, struct linear_layer *l)
{
    const struct {
        const char *what;
        work_function *work;
        int m, n, k;
    } products[] = { { "forward", forward, l->rows, l->out, l->in },
                     { "input gradient", input_grad, l->rows, l->in, l->out },
                     { "weight gradient", weight_grad, l->in, l->out, l->rows } };
    fill_normal(l->x, (size_t)l->rows * (size_t)l->in);
    fill_normal(l->w, (size_t)l->in * (size_t)l->out);
    fill_normal(l->y, (size_t)l->rows * (size_t)l->out);
    for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
        const double m = products[i].m, n = products[i].n, k = products[i].k;
        r->products[r->out.n_products++] =
            (struct measured_product){ products[i].what, m, n, k, rate_of(r, products[i].work, l, 2 * m * n * k) };
    }
}

static status measure_products(struct calibration_run *r)
{
    const size_t width = (size_t)widths[WIDTHS - 1], rows = (size_t)row_counts[ROW_COUNTS - 1];
    struct linear_layer l = { .x = malloc(rows * width * sizeof(float)),
                              .w = malloc(width * WIDER * width * sizeof(float)),
                              .y = malloc(rows * WIDER * width * sizeof(float)) };
    const status s = agree_on_memory(r, l.x && l.w && l.y, "sgemm");
    for (int i = 0; s == STATUS_OK && i < WIDTHS * ROW_COUNTS; i++) {
        l.in = widths[i / ROW_COUNTS];
        l.out = WIDER * l.in;
        l.rows = row_counts[i % ROW_COUNTS];
        measure_layer(r, &l);
    }
    free(l.x);
    free(l.w);
    free(l.y);
    return s;
}

/* ---- memory -------------------------------------------------------------------------------------------------------------- */

struct copy {
    unsigned char *from, *to;
    size_t bytes;
};

static void copy_memory(void *copy)
{
    const struct copy *c = copy;
    memcpy(c->to, c->from, c->bytes);
}

/* Of all ranks of a host together four times its last cache, of each 16 MiB at least. */
static status measure_memory(struct calibration_run *r)
{
    const double ranks_here = r->out.ranks / r->out.hosts, l3_B = r->out.platform.l3_B;
    struct copy c = { .bytes = (size_t)fmax(1 << 24, 4 * (isfinite(l3_B) ? l3_B : 0) / ranks_here) };
    c.from = calloc(c.bytes, 1);
    c.to = calloc(c.bytes, 1);
    const status s = agree_on_memory(r, c.from && c.to, "memory");
    if (s == STATUS_OK) {
        memset(c.from, 1, c.bytes); /* pages of its own, not the one of zeros */
        r->out.copy_B = (double)c.bytes;
        r->out.memory_B_per_s = rate_of(r, copy_memory, &c, 2 * (double)c.bytes);
    }
    free(c.from);
    free(c.to);
    return s;
}

/* ---- codecs -------------------------------------------------------------------------------------------------------------- */

struct coder {
    const struct compressor *kind;
    struct coding coding;
    float *x, *y;
    unsigned char *code, *state, *scratch;
    size_t code_B;
};

static void encode(void *coder)
{
    struct coder *c = coder;
    c->code_B = compressor_encode(c->kind, &c->coding, c->state, c->x, c->code, c->scratch);
    c->coding.step++;
    c->coding.random.step++;
    c->coding.shared.step++;
}

static void decode(void *coder)
{
    const struct coder *c = coder;
    struct coding of_code = c->coding;
    of_code.step--;
    of_code.random.step--;
    of_code.shared.step--;
    c->kind->decode(&of_code, c->code, c->code_B, 1, c->y, c->scratch);
}

static void *aligned(size_t bytes)
{
    return aligned_alloc(64, (bytes + 64) / 64 * 64);
}

static status measure_coder(struct calibration_run *r, struct coder *c)
{
    const double B = (double)c->coding.n * sizeof(float);
    c->code = aligned(c->kind->code_bytes(&c->coding));
    c->state = aligned(compressor_state_bytes(c->kind, &c->coding));
    c->scratch = aligned(compressor_scratch_bytes(c->kind, &c->coding));
    const status s = agree_on_memory(r, c->code && c->state && c->scratch, c->kind->member.name);
    if (s == STATUS_OK) {
        struct measured_codec *out = &r->codecs[r->out.n_codecs++];
        compressor_state_begin(c->kind, &c->coding, c->state);
        out->name = c->kind->member.name;
        out->encode_B_per_s = rate_of(r, encode, c, B);
        out->decode_B_per_s = rate_of(r, decode, c, B);
    }
    free(c->code);
    free(c->state);
    free(c->scratch);
    return s;
}

/* Its options are those of a config that names it and nothing else. */
static status measure_codec(struct calibration_run *r, const struct compressor *kind, float *x, float *y)
{
    char set[128];
    const char *const sets[] = { set };
    struct config config;
    snprintf(set, sizeof set, "exchange.compressor.name=%s", kind->member.name);
    TRY(status_agree(config_parse(&config, "--calibrate", "{}", NULL, sets, 1), r->job->world));
    struct coder c = { .kind = kind, .x = x, .y = y };
    c.coding = (struct coding){ .options = config.exchange.compressor.options,
                                .n = CODEC_SIDE * CODEC_SIDE,
                                .rows = CODEC_SIDE,
                                .columns = CODEC_SIDE,
                                .workers = WORKERS,
                                .step = 1 << 20, /* behind any warm-up */
                                .random = { 1, RANDOM_COMPRESSOR, 0, 0 },
                                .shared = { 1, RANDOM_COMPRESSOR, UINT16_MAX, 0 } };
    const status s = kind->refuses && kind->refuses(&c.coding) ? STATUS_OK : measure_coder(r, &c);
    config_free(&config);
    return s;
}

static status measure_codecs(struct calibration_run *r)
{
    const size_t n = CODEC_SIDE * CODEC_SIDE;
    float *x = malloc(n * sizeof *x), *y = calloc(n, sizeof *y);
    status s = agree_on_memory(r, x && y, "codecs");
    if (s == STATUS_OK)
        fill_normal(x, n);
    for (int i = 0; compressors[i] && s == STATUS_OK && r->out.n_codecs < CODECS_MAX; i++)
        s = measure_codec(r, compressors[i], x, y);
    free(x);
    free(y);
    return s;
}

/* ---- links --------------------------------------------------------------------------------------------------------------- */

/* Rank 0 looks for the first two ranks of one host, or of two; all get to know them. */
static void find_pair(const struct job *job, char *const *hosts, bool same, int pair[2])
{
    pair[0] = pair[1] = -1;
    for (int i = 0; hosts && i < job->ranks && pair[0] < 0; i++)
        for (int j = i + 1; j < job->ranks && pair[0] < 0; j++)
            if ((strcmp(hosts[i], hosts[j]) == 0) == same) {
                pair[0] = i;
                pair[1] = j;
            }
    for (int k = 0; k < 2; k++)
        pair[k] = (int)job_max(job, pair[k]);
}

static status measure_links(struct calibration_run *r, char *const *hosts)
{
    static const char *const names[LINKS] = { "inside", "between" };
    for (int i = 0; i < LINKS; i++) {
        int pair[2];
        find_pair(r->job, hosts, i == 0, pair);
        r->links[i].name = names[i];
        TRY(measure_link(r->job, &r->fabric, pair, r->messages[i], &r->links[i]));
    }
    return STATUS_OK;
}

/* ---- all of it ----------------------------------------------------------------------------------------------------------- */

static double count_hosts(const struct job *job, char *const *hosts)
{
    double count = 0;
    for (int i = 0; hosts && i < job->ranks; i++) {
        bool seen = false;
        for (int j = 0; j < i && !seen; j++)
            seen = strcmp(hosts[i], hosts[j]) == 0;
        count += !seen;
    }
    return job_max(job, count);
}

static status measure(struct calibration_run *r, char *const *hosts)
{
    r->out.ranks = r->job->ranks;
    r->out.hosts = count_hosts(r->job, hosts);
    r->out.products = r->products;
    r->out.codecs = r->codecs;
    r->out.links = r->links;
    r->out.n_links = LINKS;
    TRY(measure_links(r, hosts));
    TRY(measure_products(r));
    TRY(measure_memory(r));
    return measure_codecs(r);
}

static void print_link(const struct measured_link *l)
{
    if (l->n_messages)
        printf("  %-9s %.3g us + n / %.3g GB/s (off by %.0f %% in the mean)\n", l->name, 1e6 * l->fit.at_0,
               1e-9 * l->bandwidth_B_per_s, 100 * l->fit.residual_frac);
    else
        printf("  %-9s - (no two such ranks)\n", l->name);
}

static void print_summary(const struct measurements *m, const char *path)
{
    const struct measured_product *best = m->products;
    for (size_t i = 1; i < m->n_products; i++)
        if (m->products[i].flop_per_s.median > best->flop_per_s.median)
            best = &m->products[i];
    printf("calibration: %g rank%s on %g host%s\n", m->ranks, m->ranks == 1 ? "" : "s", m->hosts, m->hosts == 1 ? "" : "s");
    printf("  sgemm     %.4g Gflop/s a rank at best (%g x %g x %g)\n", 1e-9 * best->flop_per_s.median, best->m, best->n, best->k);
    printf("  memory    %.3g GB/s a rank, read and written\n", 1e-9 * m->memory_B_per_s.median);
    for (size_t i = 0; i < m->n_links; i++)
        print_link(&m->links[i]);
    printf("  codecs    %zu compressors\n  file      %s\n", m->n_codecs, path);
}

static status commit(struct calibration_run *r, struct result_file *file, bool quiet)
{
    TRY(result_write(file, calibration_write_json, &r->out));
    TRY(result_show(file));
    if (!quiet)
        print_summary(&r->out, result_path(file));
    return STATUS_OK;
}

static status open_place(const struct environment *e, time_t now, const char *path, struct result_file **file)
{
    char *own = NULL, utc[32];
    strftime(utc, sizeof utc, "%Y%m%dT%H%M%SZ", gmtime(&now));
    if (!path && asprintf(&own, "results/calibration-%s-%s.json", e->host ? e->host : "unknown", utc) < 0)
        return status_fail(STATUS_FAILED, "no memory for the name of the calibration");
    return result_open_at(file, path, own);
}

/* Collective; the place is open. */
static status measure_and_write(struct calibration_run *r, char *const *hosts, struct result_file *file, bool quiet)
{
    const size_t samples = WINDOWS * (size_t)r->job->ranks;
    if (r->job->rank == 0)
        r->gathered = job_allocate(r->job, 2 * samples * sizeof(double));
    r->sorted = r->gathered ? r->gathered + samples : NULL;
    TRY(fabric_open(&r->fabric, &fabric_mpi, NULL, r->job->world));
    status s = measure(r, hosts);
    fabric_close(&r->fabric);
    if (s == STATUS_OK)
        s = status_agree(r->job->rank ? STATUS_OK : commit(r, file, quiet), r->job->world);
    free(r->gathered);
    return s;
}

status calibrate(const struct job *job, const struct environment *e, char *const *hosts, const char *path, bool quiet)
{
    const time_t now = time(NULL);
    struct result_file *file = NULL;
    struct calibration_run *r = calloc(1, sizeof *r);
    status s = r ? STATUS_OK : status_fail(STATUS_FAILED, "no memory for a calibration");
    if (job_is_simulated())
        s = status_fail(STATUS_USAGE, "--calibrate: simulated hosts are as fast as their platform states (a real run calibrates)");
    if (s == STATUS_OK && job->rank == 0)
        s = open_place(e, now, path, &file);
    s = status_agree(s, job->world);
    if (s == STATUS_OK) {
        r->job = job;
        r->out.platform = *e;
        strftime(r->out.utc, sizeof r->out.utc, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
        s = measure_and_write(r, hosts, file, quiet);
    }
    result_discard(file);
    free(r);
    return s;
}
