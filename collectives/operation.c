/* What an operation is before it is played: its cut into segments, who owns what of them, and the bytes of its formula. */
#include "collectives/operation.h"

void operation_cut(struct operation *op)
{
    if (op->n == 0 || op->rounds == 0) {
        op->segments = 0;
        return;
    }
    size_t pieces = (op->n + op->segment_n - 1) / op->segment_n;
    op->segment_n = (op->n + pieces - 1) / pieces;
    op->segments = (op->n + op->segment_n - 1) / op->segment_n;
}

uint64_t operation_sent_elements(const struct operation *op)
{
    if (op->segments == 0 || !op->sent_elements)
        return 0;
    size_t last = op->n - (op->segments - 1) * op->segment_n;
    return (op->segments - 1) * op->sent_elements(op, op->segment_n) + op->sent_elements(op, last);
}

size_t operation_pieces(const struct operation *op)
{
    return op->segments ? op->segments : 1; /* one rank has no rounds and owns all */
}

struct range operation_piece(const struct operation *op, size_t i)
{
    const size_t at = i * op->segment_n, n = i + 1 < operation_pieces(op) ? op->segment_n : op->n - at;
    struct range own = op->owned ? op->owned(op, n) : (struct range){ 0, n };
    own.at += at;
    return own;
}

size_t operation_owned_elements(const struct operation *op)
{
    const size_t last = operation_pieces(op) - 1;
    return last * operation_piece(op, 0).n + operation_piece(op, last).n;
}

void operation_aim(struct operation *op, void *data, size_t n)
{
    op->data = data;
    op->n = n;
    op->segment_n = op->segment_most;
    operation_cut(op);
    op->segments_done = op->segments;
    op->logical_B = n * op->element_B;
    op->predicted_B = operation_sent_elements(op) * op->element_B;
}

double operation_heard_s(const struct operation *op)
{
    return op->heard_s;
}
