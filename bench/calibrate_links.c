/* Ping-pong. The first rank says how often, with a message of its own, until it says never; who has no part in it sleeps, so that
 * it takes no core from those who have. */
#include <math.h>
#include <stdlib.h>

#include "bench/calibrate_parts.h"

enum { REPEATS_MAX = 200, REPEATS_MIN = 3, WARM = 2, TAG = 1 };
static const double size_s = 0.2, message_max_s = 1, nap_s = 2e-3;

struct player {
    struct fabric *fabric;
    int other;
    unsigned char *out, *in; /* room for the largest message */
};

/* What one pair measured, as it is gathered: how many samples of each size, and the samples. */
struct table {
    double count[LINK_SIZES], s[LINK_SIZES][REPEATS_MAX];
};

static size_t size_of(int i)
{
    return (size_t)1 << 2 * i;
}

static void send_all(const struct player *p, const void *data, size_t bytes, int to)
{
    fabric_request r;
    fabric_send(p->fabric, PURPOSE_CHECK, data, bytes, to, TAG, &r);
    fabric_wait(p->fabric, &r);
}

static void recv_all(const struct player *p, void *data, size_t bytes)
{
    fabric_request r;
    fabric_recv(p->fabric, data, bytes, p->other, TAG, &r);
    fabric_wait(p->fabric, &r);
}

static double there_and_back_s(const struct player *p, size_t bytes)
{
    const double start_s = fabric_now_s(p->fabric);
    send_all(p, p->out, bytes, p->other);
    recv_all(p, p->in, bytes);
    return fabric_now_s(p->fabric) - start_s;
}

/* As often as fits into size_s, if a message takes four times as long as one of the size before; 0: it would take too long. */
static double repeats_of(double before_s)
{
    if (4 * before_s > message_max_s)
        return 0;
    return fmin(REPEATS_MAX, fmax(REPEATS_MIN, floor(size_s / (8 * before_s))));
}

static void lead(const struct player *p, struct table *t)
{
    const double never = 0;
    double last_s = 1e-6;
    for (int i = 0; i < LINK_SIZES && (t->count[i] = repeats_of(last_s)) > 0; i++) {
        send_all(p, &t->count[i], sizeof(double), p->other);
        for (int k = -WARM; k < (int)t->count[i]; k++) {
            last_s = there_and_back_s(p, size_of(i)) / 2;
            if (k >= 0)
                t->s[i][k] = last_s;
        }
    }
    send_all(p, &never, sizeof never, p->other);
}

static void follow(const struct player *p)
{
    double count;
    for (int i = 0; recv_all(p, &count, sizeof count), count > 0; i++)
        for (int k = -WARM; k < (int)count; k++) {
            recv_all(p, p->in, size_of(i));
            send_all(p, p->out, size_of(i), p->other);
        }
}

static void sleep_until_told(struct fabric *f, int leader)
{
    unsigned char word;
    fabric_request r;
    fabric_recv(f, &word, 1, leader, TAG, &r);
    while (!fabric_test(f, &r))
        fabric_sleep(f, nap_s);
}

static void play(struct fabric *f, const int pair[2], unsigned char *buffers, struct table *t)
{
    struct player p = { f, pair[f->rank == pair[0]], buffers, buffers + size_of(LINK_SIZES - 1) };
    if (f->rank == pair[0])
        lead(&p, t);
    else if (f->rank == pair[1])
        follow(&p);
    else
        sleep_until_told(f, pair[0]);
    for (int to = 0; f->rank == pair[0] && to < f->ranks; to++)
        if (to != pair[0] && to != pair[1])
            send_all(&p, buffers, 1, to);
}

static void fill(const struct table *t, struct measured_message *messages, struct measured_link *out)
{
    double x[LINK_SIZES], y[LINK_SIZES], sorted[REPEATS_MAX];
    size_t n = 0;
    for (; n < LINK_SIZES && t->count[n] > 0; n++) {
        messages[n] = (struct measured_message){ (double)size_of((int)n), statistic_of(t->s[n], (size_t)t->count[n], sorted) };
        x[n] = messages[n].size_B;
        y[n] = messages[n].s.min; /* others on the machine make messages late, nothing makes them early */
    }
    out->fit = line_fit(x, y, n);
    out->bandwidth_B_per_s = 1 / out->fit.slope;
    out->messages = messages;
    out->n_messages = n;
}

status measure_link(const struct job *job, struct fabric *f, const int pair[2], struct measured_message *messages,
                    struct measured_link *out)
{
    out->fit = (struct line_fit){ NAN, NAN, NAN };
    out->bandwidth_B_per_s = NAN;
    if (pair[0] < 0)
        return STATUS_OK;
    struct table *own = calloc(1, sizeof *own), *all = job->rank ? NULL : calloc((size_t)job->ranks, sizeof *all);
    unsigned char *buffers = calloc(2, size_of(LINK_SIZES - 1));
    const bool there = own && buffers && (all || job->rank);
    const status s = status_agree(there ? STATUS_OK : status_fail(STATUS_FAILED, "no memory to measure messages"), job->world);
    if (s == STATUS_OK) {
        play(f, pair, buffers, own);
        job_gather_doubles(job, (const double *)own, sizeof *own / sizeof(double), (double *)all);
        if (all)
            fill(&all[pair[0]], messages, out);
    }
    free(own);
    free(all);
    free(buffers);
    return s;
}
