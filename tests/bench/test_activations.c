/* ranks: 2 4 8 */
/* Compressed activations: a coded way that loses nothing gives the bits of the plain one in every layout and schedule; one that
 * loses gives the same bits whoever computes, and still learns. topk with ratio 1 keeps all: a code of twice the floats' size. */
#include "tests/bench/training.h"

#define DEEP      "{\"model\":{\"name\":\"gpt\",\"layers\":8,\"hidden\":8,\"heads\":2,\"sequence\":8,\"vocabulary\":11}" REST "}"
#define BATCH     "batch.global=37", "batch.micro=4"
#define TREE      "exchange.reduction=tree"
#define UNCHECKED "measure.verify=false"
#define ALL       "parallel.activation_compressor={\"name\":\"topk\",\"ratio\":1}"
#define HALF      "parallel.activation_compressor={\"name\":\"topk\",\"ratio\":0.5}"

static char set_text[4][64];

static const char *set_number(int i, const char *key, int value)
{
    snprintf(set_text[i], sizeof set_text[i], "%s=%d", key, value);
    return set_text[i];
}

static const char *const members[] = {
    "parallel.schedule.name=1f1b",    "parallel.schedule.name=gpipe",
    "parallel.schedule.name=varuna",  "parallel.schedule={\"name\":\"varuna\",\"opportunistic\":true}",
    "parallel.schedule.name=chimera", "parallel.schedule.name=zb-h1",
    "parallel.schedule.name=zb-h2",
};
enum { SCHEDULES = sizeof members / sizeof *members };

static void codes_that_keep_all_give_the_bits_of_one_rank_with_every_schedule(void **state)
{
    (void)state;
    const struct trained one = TRAIN(DEEP, 1, BATCH, TREE, UNCHECKED);
    for (int pipeline = 2; pipeline <= job.ranks; pipeline *= 2)
        for (int i = 0; i < SCHEDULES; i++) {
            const struct trained r =
                TRAIN(DEEP, job.ranks, BATCH, TREE, UNCHECKED, ALL, members[i], set_number(0, "parallel.pipeline", pipeline));
            assert_on_all_ranks(same_bits(&r, &one));
        }
    const struct trained one_of_24 = TRAIN(DEEP, 1, "batch.global=24", "batch.micro=3", TREE, UNCHECKED);
    const struct trained chunks = TRAIN(DEEP, job.ranks, "batch.global=24", "batch.micro=3", TREE, UNCHECKED, ALL,
                                        "parallel.schedule.name=interleaved", set_number(0, "parallel.schedule.chunks", 8 / job.ranks),
                                        set_number(1, "parallel.pipeline", job.ranks));
    assert_on_all_ranks(same_bits(&chunks, &one_of_24));
}

/* What is lost depends on the micro-batch and the boundary: not on the order of tasks, nor on the number of replicas. */
static void a_loss_is_the_same_with_every_schedule_and_any_number_of_replicas(void **state)
{
    (void)state;
    const struct trained plain = TRAIN(DEEP, 2, BATCH, TREE, UNCHECKED, "parallel.pipeline=2");
    const struct trained two = TRAIN(DEEP, 2, BATCH, TREE, UNCHECKED, HALF, "parallel.pipeline=2");
    assert_on_all_ranks(!same_bits(&two, &plain));
    for (int i = 0; i < SCHEDULES; i++) {
        const struct trained r = TRAIN(DEEP, job.ranks, BATCH, TREE, UNCHECKED, HALF, "parallel.pipeline=2", members[i]);
        assert_on_all_ranks(same_bits(&r, &two));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_that_keep_all_give_the_bits_of_one_rank_with_every_schedule),
        cmocka_unit_test(a_loss_is_the_same_with_every_schedule_and_any_number_of_replicas),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
