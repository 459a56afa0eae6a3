/* ranks: 4 8 */
/* The predicted traffic, link by link, against the messages that MPI is given in a step: this program's own MPI_Isend counts what
 * goes to each rank of the job. */
#include "training.h"

#include "bench/traffic.h"

enum { RANKS_MAX = 8 };

static double sent_B[RANKS_MAX];

static int rank_in_job(MPI_Comm comm, int rank)
{
    MPI_Group group, world;
    int found;
    MPI_Comm_group(comm, &group);
    MPI_Comm_group(job.world, &world);
    MPI_Group_translate_ranks(group, 1, &rank, world, &found);
    MPI_Group_free(&group);
    MPI_Group_free(&world);
    return found;
}

int MPI_Isend(const void *data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request)
{
    int size;
    MPI_Type_size(type, &size);
    sent_B[rank_in_job(comm, to)] += (double)count * size;
    return PMPI_Isend(data, count, type, to, tag, comm, request);
}

/* One step of a small gpt. */
static void check_layout(const char *const *sets)
{
    struct config c =
        config_for("{\"model\":{\"name\":\"gpt\",\"layers\":4,\"hidden\":16,\"heads\":2,\"sequence\":8,\"vocabulary\":19},"
                   "\"batch\":{\"global\":21,\"micro\":2},\"exchange\":{\"bucket_B\":8000,\"segment_B\":1024},\"data\":{\"name\":"
                   "\"synthetic\"}}",
                   job.ranks, sets);
    struct trainer t;
    struct traffic predicted;
    struct stopwatch w;
    assert_on_all_ranks(trainer_open(&t, &c, job.world) == STATUS_OK && traffic_open(&predicted, &c, job.ranks) == STATUS_OK);
    memset(sent_B, 0, sizeof sent_B);
    stopwatch_start(&w, t.clock, PHASE_DATA);
    trainer_step(&t, 0, &w);
    bool same = true;
    for (int to = 0; to < job.ranks; to++) {
        const double B = traffic_link_B(&predicted, job.rank, to);
        if (B != sent_B[to])
            fprintf(stderr, "%s: %d -> %d: predicted %.17g, sent %.17g\n", sets[0], job.rank, to, B, sent_B[to]);
        same = same && B == sent_B[to];
    }
    assert_on_all_ranks(same);
    traffic_close(&predicted);
    trainer_close(&t);
    config_free(&c);
}
#define CHECK(...) check_layout((const char *const[]){ __VA_ARGS__, NULL })

static void replicas_send_as_predicted(void **state)
{
    (void)state;
    CHECK("exchange.allreduce=ring");
    CHECK("exchange.allreduce=halving");
    CHECK("exchange.allreduce=doubling");
    CHECK("exchange.allreduce=tree");
    CHECK("exchange.reduction=tree");
    CHECK("exchange.compressor={\"name\":\"topk\",\"ratio\":0.1}");
    CHECK("exchange.compressor={\"name\":\"powersgd\"}", "exchange.allreduce=halving");
    CHECK("exchange.compressor={\"name\":\"topk\"}", "parallel.tensor=2", "parallel.zero=1");
}

static void stages_send_as_predicted(void **state)
{
    (void)state;
    CHECK("parallel.pipeline=2");
    CHECK("parallel.pipeline=4", "parallel.order=dp-pp-tp", "parallel.schedule.name=zb-h2");
    CHECK("parallel.pipeline=2", "batch.global=32", "parallel.schedule.name=interleaved");
    CHECK("parallel.pipeline=4", "parallel.schedule.name=chimera");
    CHECK("parallel.pipeline=2", "parallel.schedule.name=varuna", "exchange.reduction=tree");
}

#define ACTIVATIONS(options) "parallel.activation_compressor={" options "}"

static void stages_send_codes_as_predicted(void **state)
{
    (void)state;
    CHECK(ACTIVATIONS("\"name\":\"topk\",\"ratio\":0.1"), "parallel.pipeline=2");
    CHECK(ACTIVATIONS("\"name\":\"randk\",\"ratio\":0.3,\"index\":\"enumerative\""), "parallel.pipeline=4",
          "parallel.schedule.name=gpipe");
    CHECK(ACTIVATIONS("\"name\":\"randk\",\"ratio\":0.3"), "parallel.pipeline=4", "parallel.schedule.name=chimera");
    CHECK(ACTIVATIONS("\"name\":\"topk\",\"ratio\":1"), "parallel.pipeline=2", "batch.global=32",
          "parallel.schedule.name=interleaved", "exchange.compressor={\"name\":\"randk\",\"ratio\":0.1}");
    CHECK(ACTIVATIONS("\"name\":\"powersgd\",\"warm_start\":false,\"rank\":1"), "parallel.pipeline=2", "parallel.tensor=2",
          "parallel.sequence=true");
    CHECK(ACTIVATIONS("\"name\":\"topk\",\"ratio\":0.1"), "parallel.pipeline=2", "parallel.zero=1", "parallel.schedule.name=zb-h1");
}

static void tensor_ranks_send_as_predicted(void **state)
{
    (void)state;
    CHECK("parallel.tensor=2");
    CHECK("parallel.tensor=2", "parallel.sequence=true", "parallel.order=pp-dp-tp");
    CHECK("parallel.tensor=2", "parallel.pipeline=2", "parallel.schedule.name=gpipe", "exchange.allreduce=halving");
}

static void zero_sends_as_predicted(void **state)
{
    (void)state;
    CHECK("parallel.zero=1", "exchange.allreduce=halving");
    CHECK("parallel.zero=2", "batch.global=32");
    CHECK("parallel.zero=3", "batch.global=32", "exchange.allreduce=halving");
    CHECK("parallel.zero=1", "parallel.pipeline=2");
    CHECK("parallel.zero=3", "exchange.reduction=tree", "batch.global=16", "batch.micro=2");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replicas_send_as_predicted),     cmocka_unit_test(stages_send_as_predicted),
        cmocka_unit_test(stages_send_codes_as_predicted), cmocka_unit_test(tensor_ranks_send_as_predicted),
        cmocka_unit_test(zero_sends_as_predicted),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
