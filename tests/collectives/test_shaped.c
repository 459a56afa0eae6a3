/* ranks: 2 8 */
/* Fabric shaped carries what fabric mpi carries, whatever is on its way and whoever asks; and whose links it takes. */
#include "shaped.h"

static bool another_host; /* the last rank is made to be on one */

#ifndef SMPI_H
int MPI_Comm_split_type(MPI_Comm comm, int type, int key, MPI_Info info, MPI_Comm *out)
{
    if (!another_host)
        return PMPI_Comm_split_type(comm, type, key, info, out);
    return PMPI_Comm_split(comm, job.rank == job.ranks - 1, key, out);
}
#endif

/* Rank 0 of a group that has the ranks the other way round is the last of the world: its neighbour is on its node. */
static void a_group_of_ranks_has_the_links_of_their_places(void **state)
{
    (void)state;
    if (job.ranks < 8)
        skip_on_all_ranks("two nodes of four");
    const struct cluster cluster = { .nodes = 2, .node_ranks = 4, .inside = { 1e-3, 1e9 }, .between = { 0.3, 1e9 }, .seed = 1 };
    MPI_Comm turned;
    struct net n;
    double took_s[8];
    MPI_Comm_split(job.world, job.rank % 2, -job.rank, &turned); /* 7 5 | 3 1 and 6 4 | 2 0 */
    open_net(&n, cluster, turned);
    fabric_request s = { 0 }, r = { 0 };
    MPI_Barrier(job.world);
    const double began_s = now_s();
    fabric_send(&n.fabric, PURPOSE_GRADIENT, "x", 1, (n.fabric.rank + 1) % 4, 0, &s);
    char x;
    fabric_recv(&n.fabric, &x, 1, (n.fabric.rank + 3) % 4, 0, &r);
    fabric_wait(&n.fabric, &r);
    const double mine_s = now_s() - began_s;
    fabric_wait(&n.fabric, &s);
    MPI_Allgather(&mine_s, 1, MPI_DOUBLE, took_s, 1, MPI_DOUBLE, job.world);
    assert_on_all_ranks(took_s[0] < 0.15 && took_s[2] > 0.15 && took_s[4] < 0.15 && took_s[6] > 0.15);
    assert_on_all_ranks(took_s[1] < 0.15 && took_s[3] > 0.15 && took_s[5] < 0.15 && took_s[7] > 0.15);
    close_net(&n);
    MPI_Comm_free(&turned);
}

/* ---- data ------------------------------------------------------------------------------------------------------------------ */

enum { MESSAGES = 60, MESSAGE_MAX_B = 70000 };

static size_t size_of(int from, int to, int k)
{
    return (size_t)((k * 7919 + from * 104729 + to * 1299709) % 5 ? (k * 37 + from) % 300 : (k * 7919) % MESSAGE_MAX_B);
}

static unsigned char byte_of(int from, int to, int k, size_t i)
{
    return (unsigned char)((size_t)(from * 3 + to * 5 + k * 11) + i * 7);
}

struct box {
    fabric_request send[MESSAGES], recv[MESSAGES];
    unsigned char out[MESSAGES][MESSAGE_MAX_B], in[MESSAGES][MESSAGE_MAX_B];
};

/* Receives in another order of tags than they are sent in, some before and some after; all on their way at once. */
static void exchange_with(struct net *n, struct box *b, int to, int from)
{
    for (int k = 0; k < MESSAGES / 2; k++)
        fabric_recv(&n->fabric, b->in[k], size_of(from, n->fabric.rank, k), from, k, &b->recv[k]);
    for (int k = MESSAGES - 1; k >= 0; k--) {
        for (size_t i = 0; i < size_of(n->fabric.rank, to, k); i++)
            b->out[k][i] = byte_of(n->fabric.rank, to, k, i);
        fabric_send(&n->fabric, PURPOSE_GRADIENT, b->out[k], size_of(n->fabric.rank, to, k), to, k, &b->send[k]);
    }
    for (int k = MESSAGES / 2; k < MESSAGES; k++)
        fabric_recv(&n->fabric, b->in[k], size_of(from, n->fabric.rank, k), from, k, &b->recv[k]);
}

static bool arrived(const struct net *n, const struct box *b, int from)
{
    bool ok = true;
    for (int k = 0; k < MESSAGES; k++)
        for (size_t i = 0; i < size_of(from, n->fabric.rank, k); i++)
            ok = ok && b->in[k][i] == byte_of(from, n->fabric.rank, k, i);
    return ok;
}

static void any_number_of_messages_in_any_order_of_tags_arrive_whole(void **state)
{
    (void)state;
    struct cluster cluster = { .nodes = 2, .node_ranks = (job.ranks + 1) / 2, .inside = { 1e-5, 1e9 }, .between = { 1e-3, 1e8 } };
    cluster.jitter_s = 2e-3; /* which turns them round */
    struct box *b = calloc(1, sizeof *b);
    struct net n;
    open_net(&n, cluster, job.world);
    for (int far = 1; far < job.ranks; far += 3) {
        const int to = (job.rank + far) % job.ranks, from = (job.rank + job.ranks - far) % job.ranks;
        exchange_with(&n, b, to, from);
        for (int k = 0; k < MESSAGES; k++)
            fabric_wait(&n.fabric, &b->recv[k]);
        for (int k = 0; k < MESSAGES; k++)
            fabric_wait(&n.fabric, &b->send[k]);
        assert_on_all_ranks(arrived(&n, b, from));
    }
    free(b);
    close_net(&n);
}

static void waiting_for_several_returns_with_the_one_that_is_due_first(void **state)
{
    (void)state;
    struct net n;
    char early;
    bool ok = true;
    open_net(&n, apart(0.001, 1e6), job.world);
    fabric_request one = { 0 }, two = { 0 };
    static char x[200000];
    if (job.rank == 0) {
        fabric_send(&n.fabric, PURPOSE_GRADIENT, &x[0], 1, 1, 5, &one);
        fabric_send(&n.fabric, PURPOSE_GRADIENT, x, sizeof x, 1, 4, &two); /* 0.2 s */
        fabric_wait(&n.fabric, &one);
        fabric_wait(&n.fabric, &two);
    } else if (job.rank == 1) {
        static char y[200000];
        fabric_recv(&n.fabric, y, sizeof y, 0, 4, &one);
        fabric_recv(&n.fabric, &early, 1, 0, 5, &two);
        fabric_wait_any(&n.fabric, (fabric_request *const[]){ &one, &two }, 2);
        ok = fabric_is_done(&two) && !fabric_is_done(&one);
        fabric_wait(&n.fabric, &one);
    }
    assert_on_all_ranks(ok);
    close_net(&n);
}

/* Sum of x over the ranks by every algorithm that sends; the bits are those of fabric mpi, whoever makes progress. */
static void sum_all(struct fabric *f, enum progress progress, float *x, size_t n)
{
    struct engine *e;
    struct operation *op;
    assert_on_all_ranks(engine_open(&e, f, progress, 1000) == STATUS_OK);
    for (size_t a = 0; allreduces[a]; a++) {
        if (!allreduces[a]->rounds || allreduces[a]->share)
            continue;
        assert_on_all_ranks(engine_plan_sum(e, allreduces[a], PURPOSE_GRADIENT, x + a * n, n, &op) == STATUS_OK);
        for (size_t i = 0; i < n; i++)
            x[a * n + i] = (float)(1 + job.rank) / (float)(i + 3);
        engine_start(e, op);
        for (int i = 0; i < 50; i++)
            engine_poll(e);
        engine_wait(e, op);
    }
    engine_close(e);
}

static void sums_have_the_bits_of_fabric_mpi_whoever_makes_progress(void **state)
{
    (void)state;
    if (job_is_simulated())
        skip_on_all_ranks("the links of simulated hosts are simulated");
    enum { N = 3001, MEMBERS = 8 };
    static float plain[MEMBERS * N], shaped[MEMBERS * N];
    struct fabric mpi;
    assert_on_all_ranks(fabric_open(&mpi, &fabric_mpi, NULL, job.world) == STATUS_OK);
    sum_all(&mpi, PROGRESS_NONE, plain, N);
    fabric_close(&mpi);
    for (int progress = PROGRESS_NONE; progress <= PROGRESS_THREAD; progress++) {
        struct net n;
        open_net(&n, apart(1e-4, 1e8), job.world);
        memset(shaped, 0, sizeof shaped);
        sum_all(&n.fabric, (enum progress)progress, shaped, N);
        assert_on_all_ranks(!memcmp(plain, shaped, sizeof plain));
        close_net(&n);
    }
}

/* ---- refused --------------------------------------------------------------------------------------------------------------- */

static void ranks_on_several_hosts_are_refused(void **state)
{
    (void)state;
    struct ports *p;
    const struct cluster cluster = apart(0, 1);
    if (job_is_simulated())
        skip_on_all_ranks("the config refuses shaped links there");
    another_host = true;
    const status s = ports_open(&p, &cluster, job.world);
    another_host = false;
    assert_on_all_ranks(s == STATUS_USAGE);
    assert_on_all_ranks(strstr(status_message(), "of one host, and only") && strstr(status_message(), "fabric.name = \"mpi\""));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_of_ranks_has_the_links_of_their_places),
        cmocka_unit_test(any_number_of_messages_in_any_order_of_tags_arrive_whole),
        cmocka_unit_test(waiting_for_several_returns_with_the_one_that_is_due_first),
        cmocka_unit_test(sums_have_the_bits_of_fabric_mpi_whoever_makes_progress),
        cmocka_unit_test(ranks_on_several_hosts_are_refused),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
