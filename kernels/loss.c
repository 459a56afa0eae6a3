/* Softmax cross-entropy: the loss of a row is log(sum of exp(logits)) - logits[target].
 *
 *     p = softmax(logits)      dlogits = (p - one_hot(target)) weight
 *
 * The probabilities replace the logits, as the gradient needs nothing else.
 */
#include <math.h>

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

void cross_entropy_input_grad(float *dlogits, const float *probabilities, const int32_t *targets, float weight, int rows, int V)
{
    for (int r = 0; r < rows; r++, dlogits += V, probabilities += V) {
        const float p = probabilities[targets[r]];
        for (int i = 0; i < V; i++)
            dlogits[i] = probabilities[i] * weight;
        dlogits[targets[r]] = (p - 1) * weight;
    }
}
