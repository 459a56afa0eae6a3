/* A calibration on disk: each field once, as result_fields.c has those of a result; writing walks the rows, and reading checks by
 * them before it takes what calculations need.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/calibrate.h"
#include "bench/calibration.h"
#include "bench/config_tree.h"
#include "bench/files.h"
#include "bench/result_fields.h"

static const char not_told[] = "the system does not tell", no_pair[] = "there were no two such ranks";
static const char *const link_names[] = { "inside", "between", NULL };
static const size_t file_max_B = 1 << 24;

#define AT(field) offsetof(struct measured_product, field)
static const struct field product_fields[] = {
    { "what", FIELD_TEXT, AT(what), .help = "Product of a linear layer: forward, input gradient, weight gradient." },
    { "m", FIELD_COUNT, AT(m), .range = FIELD_POSITIVE, .help = "Rows of the product." },
    { "n", FIELD_COUNT, AT(n), .range = FIELD_POSITIVE, .help = "Its columns." },
    { "k", FIELD_COUNT, AT(k), .range = FIELD_POSITIVE, .help = "What is summed over." },
    { "flop_per_s", FIELD_STATISTIC, AT(flop_per_s), .range = FIELD_POSITIVE, .unit = "flop/s",
      .help = "Of one rank, while all multiply." },
    { 0 },
};
#undef AT

#define AT(field) offsetof(struct measured_message, field)
static const struct field message_fields[] = {
    { "size_B", FIELD_COUNT, AT(size_B), .range = FIELD_POSITIVE, .unit = "bytes", .help = "Size of the message." },
    { "message_s", FIELD_STATISTIC, AT(s), .range = FIELD_POSITIVE, .unit = "seconds", .help = "Half the time there and back." },
    { 0 },
};
#undef AT

#define AT(field) offsetof(struct measured_link, field)
static const struct field link_fields[] = {
    { "name", FIELD_TEXT, AT(name), .choices = link_names, .help = "Between two ranks of one host, or of two." },
    { "latency_s", FIELD_REAL, AT(fit.at_0), no_pair, .range = FIELD_NOT_NEGATIVE, .unit = "seconds",
      .help = "The least time of a message is about latency_s + size_B / bandwidth_B_per_s; this by the smallest sizes," },
    { "bandwidth_B_per_s", FIELD_REAL, AT(bandwidth_B_per_s), no_pair, .range = FIELD_POSITIVE, .unit = "bytes/s",
      .help = "and this by the larger half." },
    { "residual_frac", FIELD_REAL, AT(fit.residual_frac), no_pair, .help = "Mean of the relative errors of that." },
    { "messages", FIELD_OBJECTS, AT(messages), .help = "What was measured.", .fields = message_fields,
      .stride = sizeof(struct measured_message) },
    { 0 },
};
#undef AT

#define AT(field) offsetof(struct measured_codec, field)
static const struct field codec_fields[] = {
    { "name", FIELD_TEXT, AT(name), .help = "Compressor, with its default options." },
    { "encode_B_per_s", FIELD_STATISTIC, AT(encode_B_per_s), .range = FIELD_POSITIVE, .unit = "bytes/s",
      .help = "Bytes of floats encoded and packed." },
    { "decode_B_per_s", FIELD_STATISTIC, AT(decode_B_per_s), .range = FIELD_POSITIVE, .unit = "bytes/s",
      .help = "Bytes of floats decoded, of one code." },
    { 0 },
};
#undef AT

#define AT(field) offsetof(struct measurements, field)
const struct field calibration_fields[] = {
    { "schema", FIELD_CONSTANT, .constant = "dmlbench.calibration", .help = "What this file is." },
    { "schema_version", FIELD_CONSTANT, .constant = "1.0.0", .help = "Semantic version of these fields." },
    { "tool.version", FIELD_TEXT, AT(platform.version), .help = "Version of dmlbench." },
    { "tool.git_commit", FIELD_TEXT, AT(platform.git_commit), not_told, .help = "Commit it was built from." },
    { "tool.git_dirty", FIELD_BOOL, AT(platform.git_dirty), .help = "Whether the source differed from that commit." },
    { "utc", FIELD_CHARS, AT(utc), .help = "When, ISO 8601." },
    { "ranks", FIELD_COUNT, AT(ranks), .range = FIELD_POSITIVE, .help = "Ranks that measured at once." },
    { "hosts", FIELD_COUNT, AT(hosts), .range = FIELD_POSITIVE, .help = "On so many hosts." },
    { "platform.host", FIELD_TEXT, AT(platform.host), not_told, .help = "Host of rank 0, as all that follows." },
    { "platform.cpu_model", FIELD_TEXT, AT(platform.cpu_model), not_told, .help = "Processor." },
    { "platform.cores", FIELD_COUNT, AT(platform.cores), not_told, .help = "Cores." },
    { "platform.l3_B", FIELD_COUNT, AT(platform.l3_B), not_told, .unit = "bytes", .help = "Third-level cache." },
    { "platform.mpi_library", FIELD_TEXT, AT(platform.mpi_library), not_told, .help = "MPI library." },
    { "platform.blas_library", FIELD_TEXT, AT(platform.blas_library), not_told, .help = "BLAS library." },
    { "platform.blas_kernel", FIELD_TEXT, AT(platform.blas_kernel), not_told, .help = "Its kernel for this processor." },
    { "links", FIELD_OBJECTS, AT(links), .help = "What messages take, inside a host and between two.", .fields = link_fields,
      .stride = sizeof(struct measured_link) },
    { "memory.copy_B", FIELD_COUNT, AT(copy_B), .range = FIELD_POSITIVE, .unit = "bytes",
      .help = "That a copy of memory reads, and writes." },
    { "memory.rate_B_per_s", FIELD_STATISTIC, AT(memory_B_per_s), .range = FIELD_POSITIVE, .unit = "bytes/s",
      .help = "Bytes read and written by it, by one rank while all copy." },
    { "sgemm", FIELD_OBJECTS, AT(products), .help = "Rates of matrix products by shape.", .fields = product_fields,
      .stride = sizeof(struct measured_product) },
    { "codecs", FIELD_OBJECTS, AT(codecs), .help = "Speeds of compressors, on 1 Mi normal floats.", .fields = codec_fields,
      .stride = sizeof(struct measured_codec) },
    { 0 },
};
#undef AT

void calibration_write_json(const void *measurements, FILE *out)
{
    fields_write_json(calibration_fields, measurements, out);
}

/* ---- reading ------------------------------------------------------------------------------------------------------------- */

/* NaN where it is null. */
static double number_at(const cJSON *tree, const char *path)
{
    const cJSON *v = tree_find(tree, path);
    return cJSON_IsNumber(v) ? v->valuedouble : NAN;
}

static void take_links(struct calibration *out, const cJSON *links)
{
    const cJSON *v;
    cJSON_ArrayForEach(v, links)
    {
        const bool inside = strcmp(tree_find(v, "name")->valuestring, link_names[0]) == 0;
        *(inside ? &out->inside : &out->between) =
            (struct cluster_link){ number_at(v, "latency_s"), number_at(v, "bandwidth_B_per_s") };
    }
}

static void take_products(struct calibration *out, const cJSON *products)
{
    const cJSON *v;
    cJSON_ArrayForEach(v, products)
    {
        if (out->shapes == CALIBRATION_SHAPES_MAX)
            return;
        out->sgemm[out->shapes].m = (int64_t)number_at(v, "m");
        out->sgemm[out->shapes].n = (int64_t)number_at(v, "n");
        out->sgemm[out->shapes].k = (int64_t)number_at(v, "k");
        out->sgemm[out->shapes].flop_per_s = number_at(v, "flop_per_s.median");
        out->sgemm_flop_per_s = fmax(out->sgemm_flop_per_s, out->sgemm[out->shapes++].flop_per_s);
    }
}

static void take_codecs(struct calibration *out, const cJSON *codecs)
{
    const cJSON *v;
    cJSON_ArrayForEach(v, codecs)
    {
        if (out->codec_count == CALIBRATION_CODECS_MAX)
            return;
        snprintf(out->codecs[out->codec_count].name, CALIBRATION_NAME_BYTES, "%s", tree_find(v, "name")->valuestring);
        out->codecs[out->codec_count].encode_B_per_s = number_at(v, "encode_B_per_s.median");
        out->codecs[out->codec_count++].decode_B_per_s = number_at(v, "decode_B_per_s.median");
    }
}

static struct calibration nothing_measured(void)
{
    const struct cluster_link unknown = { NAN, NAN };
    struct calibration k = { .inside = unknown, .between = unknown };
    k.sgemm_flop_per_s = k.memory_B_per_s = k.ranks = k.hosts = NAN;
    return k;
}

static status take(struct calibration *out, const char *file, const cJSON *tree)
{
    const cJSON *schema = tree_find(tree, "schema");
    if (!cJSON_IsString(schema) || strcmp(schema->valuestring, calibration_fields[0].constant) != 0)
        return status_fail(STATUS_USAGE, "%s: is no calibration (fits: a file of dmlbench --calibrate)", file);
    TRY(fields_check(calibration_fields, file, tree));
    *out = nothing_measured();
    out->ranks = number_at(tree, "ranks");
    out->hosts = number_at(tree, "hosts");
    out->memory_B_per_s = number_at(tree, "memory.rate_B_per_s.median");
    take_links(out, tree_find(tree, "links"));
    take_products(out, tree_find(tree, "sgemm"));
    take_codecs(out, tree_find(tree, "codecs"));
    return STATUS_OK;
}

status calibration_parse(struct calibration *out, const char *file, const char *text)
{
    cJSON *tree;
    TRY(tree_parse(file, text, &tree));
    const status s = take(out, file, tree);
    cJSON_Delete(tree);
    return s;
}

status calibration_load(struct calibration *out, const struct config *c)
{
    char *found, *text = NULL;
    *out = nothing_measured();
    if (!c->calibration[0])
        return STATUS_OK;
    TRY(file_find("calibration", c->folder, c->calibration, &found));
    status s = tree_read_file(found, file_max_B, &text);
    if (s == STATUS_OK)
        s = calibration_parse(out, found, text);
    free(text);
    free(found);
    return s;
}

/* ---- asking -------------------------------------------------------------------------------------------------------------- */

static double distance(int64_t a, int64_t b)
{
    return fabs(log((double)a / (double)b));
}

double calibration_sgemm(const struct calibration *k, int64_t m, int64_t n, int64_t p)
{
    double nearest = INFINITY, rate = NAN;
    for (int i = 0; i < k->shapes; i++) {
        const double far = distance(k->sgemm[i].m, m) + distance(k->sgemm[i].n, n) + distance(k->sgemm[i].k, p);
        if (far < nearest) {
            nearest = far;
            rate = k->sgemm[i].flop_per_s;
        }
    }
    return rate;
}
