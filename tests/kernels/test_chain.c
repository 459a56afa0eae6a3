/* Chains: codes against those of the members alone, claims that are products, sizes, and what cannot be chained. */
#include "tests/kernels/options.h"

#include "kernels/chain.h"
#include "kernels/random.h"

enum { MOST = 1 << 18, GUARD = 64, MANY = 64 };

static float x[MOST], y[MOST + GUARD], value[MOST];
static uint32_t list[MOST + 1];
static unsigned char code[12 * MOST + GUARD + 1], alone[12 * MOST];
static _Alignas(64) unsigned char scratch[24 * MOST + GUARD], memory[8 * MOST];

struct part {
    const struct compressor *kind;
    const char *options;
};

/* Valid for the next MANY calls. */
static const struct chain *chain_of(struct part a, struct part b, struct part c)
{
    static struct chain kept[MANY];
    static int calls;
    struct chain *chain = &kept[calls++ % MANY];
    const struct part parts[] = { a, b, c };
    for (chain->count = 0; chain->count < CHAIN_MAX && parts[chain->count].kind; chain->count++) {
        chain->kind[chain->count] = parts[chain->count].kind;
        chain->options[chain->count] = options_of(parts[chain->count].kind, parts[chain->count].options);
    }
    return chain;
}

static const struct part no_part;

static size_t encode(const struct coding *c, unsigned char *to)
{
    return compressor_encode(&compress_chain, c, memory, x, to, scratch);
}

static void normal(size_t n)
{
    random_normal(&(struct random){ .seed = 8 }, 1, 0, x, n);
}

static void a_chain_with_none_is_the_first_alone(void **state)
{
    (void)state;
    enum { N = 1000 };
    normal(N);
    const struct part first[] = {
        { &compress_topk, "ratio=0.1 index=list" }, { &compress_randk, "" }, { &compress_permk, "" }, { &compress_topk, "ratio=1" }
    };
    for (size_t i = 0; i < COUNT(first); i++) {
        const struct coding c = coding_of(chain_of(first[i], (struct part){ &compress_none, "" }, no_part), N);
        const struct coding d = coding_of(options_of(first[i].kind, first[i].options), N);
        const size_t bytes = first[i].kind->encode(&d, NULL, x, alone, scratch);
        assert_int_equal(compress_chain.code_bytes(&c), bytes);
        assert_int_equal(encode(&c, code + 1), bytes);
        assert_memory_equal(code + 1, alone, bytes);
    }
}

static void a_stage_of_any_size_tells_how_many_it_has(void **state)
{
    (void)state;
    const uint32_t wanted[] = { 2, 1, 3 }; /* k, indices */
    const struct part threshold = { &compress_threshold, "threshold=1" };
    const struct coding c = coding_of(chain_of(threshold, (struct part){ &compress_none, "" }, no_part), 4);
    memcpy(x, (float[]){ 0, -2, 1, 3 }, 16);
    assert_int_equal(encode(&c, code), 20);
    assert_memory_equal(code, wanted, sizeof wanted);
    assert_memory_equal(code + 12, &x[1], 4);
    assert_memory_equal(code + 16, &x[3], 4);
    memset(x, 0, 16);
    assert_int_equal(encode(&c, code), 4);
    memset(y, 0, 16);
    compress_chain.decode(&c, code, 4, 1, y, scratch);
    for (int i = 0; i < 4; i++)
        assert_true(y[i] == 0);
}

/* Top fifth of the values in random-k's set, found by counting those that are larger. */
static void the_second_chooses_among_what_the_first_kept(void **state)
{
    (void)state;
    enum { N = 2000, KEPT = 200, LEFT = 40 };
    const struct part random = { &compress_randk, "ratio=0.1 shared=true scaled=false" }, top = { &compress_topk, "ratio=0.2" };
    const struct coding c = coding_of(chain_of(random, top, (struct part){ &compress_none, "" }), N);
    const struct coding d = coding_of(options_of(random.kind, random.options), N);
    normal(N);
    memset(y, 0, sizeof y);
    compress_chain.decode(&c, code, encode(&c, code), 1, y, scratch);
    assert_int_equal(compress_randk.entries(&d, alone, compress_randk.encode(&d, NULL, x, alone, scratch), list, value, scratch),
                     KEPT);
    int left = 0;
    for (int i = 0; i < KEPT; i++) {
        int larger = 0;
        for (int j = 0; j < KEPT; j++)
            larger += fabsf(value[j]) > fabsf(value[i]);
        assert_true(y[list[i]] == (larger < LEFT ? value[i] : 0));
        left += y[list[i]] != 0;
    }
    for (int i = 0; i < N; i++)
        left -= y[i] != 0;
    assert_int_equal(left, 0);
}

static void unbiased_chains_are_as_far_off_as_the_product_says(void **state)
{
    (void)state;
    enum { N = 40, DRAWS = 40000 };
    const struct part half = { &compress_randk, "ratio=0.5" }, quarter = { &compress_randk, "ratio=0.25" };
    struct coding c = coding_of(chain_of(half, quarter, no_part), N);
    const unsigned traits = compressor_traits(&compress_chain, c.options);
    assert_int_equal(traits, COMPRESSOR_UNBIASED | COMPRESSOR_TIGHT | COMPRESSOR_FIXED_SIZE | COMPRESSOR_SPARSE);
    assert_true(compress_chain.omega(&c, NULL) == 7); /* 2 * 4 - 1 */
    normal(N);
    double mean[N] = { 0 }, error = 0, norm = 0;
    for (c.random.step = 0; c.random.step < DRAWS; c.random.step++) {
        memset(y, 0, N * sizeof *y);
        compress_chain.decode(&c, code, encode(&c, code), 1, y, scratch);
        for (int i = 0; i < N; i++) {
            mean[i] += (double)y[i] / DRAWS;
            error += ((double)y[i] - x[i]) * ((double)y[i] - x[i]) / DRAWS;
        }
    }
    for (int i = 0; i < N; i++) {
        norm += (double)x[i] * x[i];
        assert_true(fabs(mean[i] - x[i]) < 5 * fabs((double)x[i]) * sqrt(7. / DRAWS));
    }
    assert_true(fabs(error / (7 * norm) - 1) < 0.03);
}

static void contractive_chains_keep_the_product_of_their_shares(void **state)
{
    (void)state;
    enum { N = 1000 };
    const struct part tenth = { &compress_topk, "ratio=0.1" }, half = { &compress_topk, "ratio=0.5" };
    const struct coding c = coding_of(chain_of(tenth, half, no_part), N);
    assert_true(compressor_traits(&compress_chain, c.options) & COMPRESSOR_CONTRACTIVE);
    assert_true(fabs(compress_chain.delta(&c, NULL) - 0.05) < 1e-12);
    for (int flat = 0; flat < 2; flat++) {
        normal(N);
        for (int i = 0; i < N && flat; i++)
            x[i] = 1;
        memcpy(y, x, N * sizeof *x);
        compress_chain.decode(&c, code, encode(&c, code), -1, y, scratch);
        double before = 0, after = 0;
        for (int i = 0; i < N; i++)
            before += (double)x[i] * x[i], after += (double)y[i] * y[i];
        assert_true(flat ? fabs(after / before - 0.95) < 1e-6 : after < 0.95 * before);
    }
    const struct part loose = { &compress_threshold, "" };
    assert_false(compressor_traits(&compress_chain, chain_of(loose, half, no_part)) & COMPRESSOR_CONTRACTIVE);
    assert_false(compressor_traits(&compress_chain, chain_of((struct part){ &compress_randk, "" }, half, no_part)) &
                 (COMPRESSOR_CONTRACTIVE | COMPRESSOR_UNBIASED));
}

static void state_and_feedback_are_the_first_s(void **state)
{
    (void)state;
    enum { N = 500 };
    static _Alignas(64) unsigned char other[8 * N];
    const struct part dgc = { &compress_dgc, "ratio=0.1" };
    struct coding c = coding_of(chain_of(dgc, (struct part){ &compress_none, "" }, no_part), N);
    struct coding d = coding_of(options_of(dgc.kind, dgc.options), N);
    assert_int_equal(compressor_traits(&compress_chain, c.options), COMPRESSOR_FEEDBACK | COMPRESSOR_SPARSE);
    assert_int_equal(compressor_state_bytes(&compress_chain, &c), 8 * N);
    compressor_state_begin(&compress_chain, &c, memory);
    compressor_state_begin(&compress_dgc, &d, other);
    for (c.step = d.step = 0; c.step < 5; c.step = ++d.step) {
        normal(N);
        const size_t bytes = compress_dgc.encode(&d, other, x, alone, scratch);
        assert_int_equal(encode(&c, code), 4 + bytes);
        assert_memory_equal(code + 4, alone, bytes);
    }
    assert_memory_equal(memory, other, sizeof other);
}

static void what_cannot_be_chained_is_refused_by_name(void **state)
{
    (void)state;
    const struct part top = { &compress_topk, "" }, none = { &compress_none, "" }, loose = { &compress_threshold, "" };
    const struct part many = { &compress_topk, "k=11" };
    const struct {
        struct part a, b, c;
        const char *part;
    } rows[] = {
        { none, top, no_part, "\"none\" cannot be followed by \"topk\"" },
        { top, none, top, "\"none\" cannot be followed by \"topk\"" },
        { top, { &compress_dgc, "" }, no_part, "\"dgc\" follows \"topk\"" },
        { top, { &compress_powersgd, "" }, no_part, "\"powersgd\" follows \"topk\"" },
        { top, many, no_part, "k = 11 of a vector of 10 floats" },
        { loose, many, no_part, "k = 11 of a vector of 0 floats" },
        { many, top, none, NULL },
        { loose, top, none, NULL },
        { { &compress_dgc, "" }, top, no_part, NULL },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct coding c = coding_of(chain_of(rows[i].a, rows[i].b, rows[i].c), 1000);
        const char *why = compress_chain.refuses(&c);
        assert_true(rows[i].part ? why && strstr(why, rows[i].part) : !why);
    }
}

static void check_bounds(struct part first, struct part second, size_t n, uint32_t seed)
{
    struct coding c = coding_of(chain_of(first, second, no_part), n);
    c.workers = 3;
    assert_null(compress_chain.refuses(&c));
    const size_t most = compress_chain.code_bytes(&c), room = compressor_scratch_bytes(&compress_chain, &c);
    unsigned char *odd = code + 1;
    memset(odd + most, 0xAB, GUARD);
    memset(scratch + room, 0xCD, GUARD);
    compressor_state_begin(&compress_chain, &c, memory);
    normal(n);
    size_t bytes = encode(&c, odd);
    assert_true(bytes <= most);
    memset(y, 0, (n + GUARD) * sizeof *y);
    compress_chain.decode(&c, odd, bytes, 1, y, scratch);
    const size_t count = compress_chain.entries(&c, odd, bytes, list, value, scratch);
    for (size_t j = 0; j < count; j++) {
        assert_true(y[list[j]] == value[j]);
        y[list[j]] = 0;
    }
    for (size_t j = 0; j < n + GUARD; j++)
        assert_true(y[j] == 0);
    random_bits(&(struct random){ .seed = seed }, 0, (uint32_t *)(void *)alone, 4 * n + 256);
    if (seed % 3) /* a number of values that can be, or one that only the side information has room for */
        memcpy(alone, &(uint32_t){ (uint32_t)(seed % 3 == 1 ? n / 4 : n * 15 / 8) }, 4);
    for (bytes = 0; bytes <= most; bytes += bytes < most && most - bytes < 1 + most / 50 ? most - bytes : 1 + most / 50) {
        unsigned char *exact = malloc(bytes); /* no byte more may be read */
        memcpy(exact, alone, bytes);
        compress_chain.decode(&c, exact, bytes, 1, y, scratch);
        list[n] = 99;
        assert_true(compress_chain.entries(&c, exact, bytes, list, value, scratch) <= n && list[n] == 99);
        free(exact);
    }
    for (size_t j = 0; j < GUARD; j++)
        assert_true(y[n + j] == 0 && odd[most + j] == 0xAB && scratch[room + j] == 0xCD);
    const unsigned traits = n > 0 ? compressor_traits(&compress_chain, c.options) : 0;
    assert_true(!(traits & COMPRESSOR_UNBIASED) || compress_chain.omega(&c, x) >= 0);
    assert_true(!(traits & COMPRESSOR_CONTRACTIVE) || (compress_chain.delta(&c, x) >= 0 && compress_chain.delta(&c, x) <= 1));
}

static void codes_of_any_bytes_stay_within_and_so_does_scratch(void **state)
{
    (void)state;
    const struct part first[] = {
        { &compress_topk, "ratio=0.3" }, { &compress_randk, "ratio=0.5" },       { &compress_randk, "ratio=0.5 scaled=false" },
        { &compress_permk, "" },         { &compress_threshold, "threshold=1" }, { &compress_dgc, "ratio=0.2" }
    };
    const size_t sizes[] = { 0, 1, 2, 17, 1000 };
    for (int k = 0; compressors[k]; k++)
        for (size_t i = 0; i < COUNT(first) && !compressors[k]->state_bytes; i++)
            for (size_t s = 0; s < COUNT(sizes); s++)
                if (!(compressors[k]->traits & COMPRESSOR_MATRIX))
                    check_bounds(first[i], (struct part){ compressors[k], "" }, sizes[s], (uint32_t)(i + s));
}

/* CocktailSGD: a shared tenth, the largest fifth of it, told by a bitmap, in 4 bits with a scale of 2 bytes for each 128:
 * 0.1 + 0.1 0.2 (4 + 16 / 128) = 0.1825 bits a float (derived from the published settings). */
static void cocktail_is_a_fifth_of_a_bit_a_float(void **state)
{
    (void)state;
    const struct part tenth = { &compress_randk, "ratio=0.1 shared=true scaled=false" },
                      fifth = { &compress_topk, "ratio=0.2 index=bitmap" },
                      four = { &compress_qsgd, "levels=7 bucket=128 norm=max scale_bits=16" };
    const struct coding c = coding_of(chain_of(tenth, fifth, four), MOST);
    normal(MOST);
    assert_null(compress_chain.refuses(&c));
    const size_t bytes = encode(&c, code);
    assert_true(fabs(8. * (double)bytes / MOST / 0.1825 - 1) < 0.02);
    assert_true(fabs(compress_chain.logical_bits(&c, code, bytes) / MOST / 0.1825 - 1) < 0.02);
    memset(y, 0, sizeof y);
    compress_chain.decode(&c, code, bytes, 1, y, scratch);
    for (int i = 0; i < MOST; i++) /* a level is a seventh of the largest of 128 */
        assert_true(y[i] == 0 || fabsf(y[i] - x[i]) < 6 / 7.f);
}

static void halves_of_the_largest_are_six_bytes_each(void **state)
{
    (void)state;
    enum { N = 1000 };
    const struct part top = { &compress_topk, "ratio=0.01 index=list" }, half = { &compress_fp16, "" };
    const struct coding c = coding_of(chain_of(top, half, no_part), N);
    normal(N);
    const size_t bytes = encode(&c, code);
    assert_int_equal(bytes, 6 * 10);
    memcpy(y, x, N * sizeof *x);
    compress_chain.decode(&c, code, bytes, -1, y, scratch);
    int rounded = 0;
    for (int i = 0; i < N; i++)
        rounded += y[i] != x[i] && fabsf(y[i]) <= 0x1p-11f * fabsf(x[i]);
    assert_in_range(rounded, 5, 10); /* some may be exact */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_with_none_is_the_first_alone),
        cmocka_unit_test(a_stage_of_any_size_tells_how_many_it_has),
        cmocka_unit_test(the_second_chooses_among_what_the_first_kept),
        cmocka_unit_test(unbiased_chains_are_as_far_off_as_the_product_says),
        cmocka_unit_test(contractive_chains_keep_the_product_of_their_shares),
        cmocka_unit_test(state_and_feedback_are_the_first_s),
        cmocka_unit_test(what_cannot_be_chained_is_refused_by_name),
        cmocka_unit_test(codes_of_any_bytes_stay_within_and_so_does_scratch),
        cmocka_unit_test(cocktail_is_a_fifth_of_a_bit_a_float),
        cmocka_unit_test(halves_of_the_largest_are_six_bytes_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
