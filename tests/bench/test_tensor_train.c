/* ranks: 4 8 */
/* Training with split layers, alone and together with replicas, stages and ZeRO, learns what one rank learns. */
#include "tests/bench/training.h"

#define GPT_4 "{\"model\":{\"name\":\"gpt\",\"layers\":4,\"hidden\":32,\"heads\":8,\"sequence\":8,\"vocabulary\":19}" REST "}"
#define GPT_APART                                                                                                                  \
    "{\"model\":{\"name\":\"gpt\",\"layers\":4,\"hidden\":32,\"heads\":8,\"sequence\":8,\"vocabulary\":19,\"tied\":false}" REST "}"
#define MLP_3  "{\"model\":{\"name\":\"mlp\",\"inputs\":20,\"hidden\":32,\"layers\":3,\"classes\":9}" REST "}"
#define COMMON "batch.global=12", "batch.micro=3", "optimizer.name=sgd", "optimizer.learning_rate=0.1"

/* Losses and parameters after 4 steps of plain sgd: the float sums have another order. */
static const double tolerance = 2e-5;

static const struct layout {
    const char *text;
    int data, pipeline, tensor;
    const char *more;
} layouts[] = {
    { GPT_4, 1, 1, 2, "parallel.sequence=false" },
    { GPT_4, 1, 1, 4, "parallel.sequence=true" },
    { GPT_4, 2, 1, 2, "parallel.sequence=true" },
    { GPT_4, 1, 2, 2, "parallel.sequence=true" },
    { GPT_4, 1, 2, 2, "parallel.sequence=false" },
    { GPT_4, 2, 1, 2, "parallel.zero=1" },
    { GPT_4, 2, 1, 2, "exchange.reduction=tree" },
    { GPT_4, 1, 2, 2, "parallel.schedule.name=interleaved" },
    { GPT_4, 2, 2, 2, "parallel.sequence=true" },
    { GPT_4, 1, 1, 8, "parallel.sequence=true" },
    { GPT_4, 1, 2, 4, "parallel.order=pp-tp-dp" },
    { MLP_3, 1, 1, 2, "parallel.sequence=false" },
    { MLP_3, 2, 1, 2, "exchange.reduction=tree" },
    { MLP_3, 1, 2, 2, "parallel.schedule.name=gpipe" },
    { MLP_3, 2, 2, 2, "parallel.sequence=false" },
    /* 19 symbols on two ranks: what all hold must still have its place in the same buckets, blocks and pieces */
    { GPT_APART, 4, 1, 2, "exchange.allreduce=ring" },
    { GPT_APART, 2, 1, 2, "parallel={\"data\":2,\"tensor\":2,\"sequence\":true,\"zero\":1}" },
};

static struct trained train_layout(const struct layout *l)
{
    char degrees[3][32];
    snprintf(degrees[0], sizeof degrees[0], "parallel.data=%d", l->data);
    snprintf(degrees[1], sizeof degrees[1], "parallel.pipeline=%d", l->pipeline);
    snprintf(degrees[2], sizeof degrees[2], "parallel.tensor=%d", l->tensor);
    return TRAIN(l->text, l->data * l->pipeline * l->tensor, COMMON, degrees[0], degrees[1], degrees[2], l->more);
}

static void every_layout_with_split_layers_learns_what_one_rank_learns(void **state)
{
    (void)state;
    const struct trained gpt = TRAIN(GPT_4, 1, COMMON), apart = TRAIN(GPT_APART, 1, COMMON), mlp = TRAIN(MLP_3, 1, COMMON);
    assert_on_all_ranks(gpt.loss[STEPS - 1] < gpt.loss[0] && mlp.loss[STEPS - 1] < mlp.loss[0]);
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        const struct layout *l = &layouts[i];
        if (l->data * l->pipeline * l->tensor > job.ranks)
            continue;
        const struct trained split = train_layout(l);
        const struct trained *serial = strstr(l->text, "mlp") ? &mlp : strstr(l->text, "tied") ? &apart : &gpt;
        assert_on_all_ranks(close_to(&split, serial, tolerance));
        assert_on_all_ranks(split.ledger.rows[PURPOSE_TENSOR].wire_B_counted == split.ledger.rows[PURPOSE_TENSOR].wire_B_predicted);
    }
}

static void the_same_run_gives_the_same_bits(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct trained first = train_layout(&layouts[1 + 2 * i]), again = train_layout(&layouts[1 + 2 * i]);
        assert_on_all_ranks(same_bits(&first, &again));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout_with_split_layers_learns_what_one_rank_learns),
        cmocka_unit_test(the_same_run_gives_the_same_bits),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
