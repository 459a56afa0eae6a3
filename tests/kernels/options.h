/* A member's options from its own rows: options_of(&compress_topk, "ratio=0.1 index=bitmap"); what is not named has its default. */
#ifndef DMLBENCH_TESTS_KERNELS_OPTIONS_H
#define DMLBENCH_TESTS_KERNELS_OPTIONS_H

#include <stdlib.h>

#include "kernels/compressor.h"
#include "tests/kernels/check.h"

enum { OPTIONS_BYTES = 256, OPTIONS_KEPT = 32 };

/* text: a value as JSON, ended by its end or a space; a choice also without its quotes */
static inline void option_set(const struct key *key, const char *text, unsigned char *options)
{
    text += *text == '"';
    const size_t length = strcspn(text, " \"");
    const bool is_word = key->word && strncmp(text, key->word, length) == 0;
    const int64_t integer = is_word ? 0 : (int64_t)strtod(text, NULL);
    switch (key->kind) {
    case KEY_INT:
        memcpy(options + key->offset, &integer, sizeof integer);
        return;
    case KEY_REAL:
        memcpy(options + key->offset, &(double){ strtod(text, NULL) }, sizeof(double));
        return;
    case KEY_BOOL:
        memcpy(options + key->offset, &(bool){ *text == 't' }, sizeof(bool));
        return;
    case KEY_CHOICE:
        for (const char *const *choice = key->choices; *choice; choice++)
            if (strlen(*choice) == length && strncmp(*choice, text, length) == 0) {
                memcpy(options + key->offset, choice, sizeof *choice);
                return;
            }
        break;
    default:
        break;
    }
    fail_msg("option %s cannot be %s", key->name, text);
}

/* Of a member of any family. Valid for the next OPTIONS_KEPT calls. */
static inline const void *member_options(const struct member *m, const char *text)
{
    static _Alignas(16) unsigned char kept[OPTIONS_KEPT][OPTIONS_BYTES];
    static int calls;
    unsigned char *options = kept[calls++ % OPTIONS_KEPT];
    assert_true(m->options_bytes <= OPTIONS_BYTES);
    memset(options, 0, OPTIONS_BYTES);
    for (const struct key *key = m->keys; key && key->name; key++)
        if (key->fallback)
            option_set(key, key->fallback, options);
    while (*text) {
        const size_t length = strcspn(text, "=");
        const struct key *key = m->keys;
        while (key->name && (strlen(key->name) != length || strncmp(key->name, text, length) != 0))
            key++;
        assert_non_null(key->name);
        option_set(key, text + length + 1, options);
        text += strcspn(text, " ");
        text += *text == ' ';
    }
    return options;
}

static inline const void *options_of(const struct compressor *k, const char *text)
{
    return member_options(&k->member, text);
}

static inline struct coding coding_of(const void *options, size_t n)
{
    return (struct coding){
        .options = options, .n = n, .rows = 1, .columns = n, .workers = 1, .random = { .seed = 1 }, .shared = { .seed = 2 }
    };
}

#endif
