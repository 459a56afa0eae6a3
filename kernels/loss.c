/* Softmax cross-entropy: the loss of a row is log(sum of exp(logits)) - logits[target].
 *
 *     p = softmax(logits)      dlogits = (p - one_hot(target)) weight
 *
 * The probabilities replace the logits, as the gradient needs nothing else. The three steps are those of softmax_row, row by row,
 * so with all columns in one place they give the same bits.
 */
#include <math.h>
#include <stdbool.h>

#include "kernels/layers.h"
#include "kernels/softmax.h"

double cross_entropy_forward(float *logits, const int32_t *targets, int rows, int V)
{
    double loss = 0;
    for (int r = 0; r < rows; r++, logits += V) {
        const double logit = logits[targets[r]];
        const struct softmax s = softmax_row(logits, (size_t)V);
        loss += log(s.sum) + (s.max - logit);
    }
    return loss;
}

void cross_entropy_max(float *max, const float *logits, int rows, int V)
{
    for (int r = 0; r < rows; r++, logits += V)
        max[r] = softmax_max(logits, (size_t)V);
}

void cross_entropy_exponentials(float *logits, float *sum, float *target, const float *max, const int32_t *targets, int first,
                                int rows, int V)
{
    for (int r = 0; r < rows; r++, logits += V) {
        const int own = targets[r] - first;
        target[r] = own >= 0 && own < V ? logits[own] : 0;
        sum[r] = softmax_exponentials(logits, max[r], (size_t)V);
    }
}

double cross_entropy_divide(float *logits, const float *max, const float *sum, const float *target, int rows, int V)
{
    double loss = 0;
    for (int r = 0; r < rows; r++, logits += V) {
        softmax_divide(logits, sum[r], (size_t)V);
        loss += log((double)sum[r]) + ((double)max[r] - (double)target[r]);
    }
    return loss;
}

void cross_entropy_input_grad(float *dlogits, const float *probabilities, const int32_t *targets, float weight, int first, int rows,
                              int V)
{
    for (int r = 0; r < rows; r++, dlogits += V, probabilities += V) {
        const int own = targets[r] - first;
        const bool here = own >= 0 && own < V;
        const float p = here ? probabilities[own] : 0;
        for (int i = 0; i < V; i++)
            dlogits[i] = probabilities[i] * weight;
        if (here)
            dlogits[own] = (p - 1) * weight;
    }
}
