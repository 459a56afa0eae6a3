/* Token and position embedding: two table look-ups, added.
 *
 *     y[b,t,:] = token[symbols[b,t],:] + position[t,:]
 *
 * There is no input gradient: symbols are not numbers. A symbol that occurs several times has its rows added in the order (b,t).
 */
#include "kernels/layers.h"

void embedding_forward(float *y, const int32_t *symbols, const float *token, const float *position, int B, int T, int C)
{
    const size_t width = (size_t)C, positions = (size_t)T;
    for (size_t row = 0; row < (size_t)B * positions; row++)
        residual_forward(y + row * width, token + (size_t)symbols[row] * width, position + row % positions * width, width);
}

void embedding_weight_grad(float *dtoken, float *dposition, const int32_t *symbols, const float *dy, int B, int T, int C)
{
    const size_t width = (size_t)C, positions = (size_t)T;
    for (size_t row = 0; row < (size_t)B * positions; row++) {
        add(dtoken + (size_t)symbols[row] * width, dy + row * width, width);
        add(dposition + row % positions * width, dy + row * width, width);
    }
}
