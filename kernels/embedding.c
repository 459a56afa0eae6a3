/* Token and position embedding: two table look-ups, added.
 *
 *     y[b,t,:] = token[symbols[b,t],:] + position[t,:]
 *
 * The vocabulary may be split: each share looks up its own symbols, and the sum of all is the embedding, exactly (x + 0 = x).
 * There is no input gradient: symbols are not numbers. A symbol that occurs several times has its rows added in the order (b,t).
 */
#include <string.h>

#include "kernels/layers.h"

void embedding_forward(float *y, const int32_t *symbols, const float *token, int first, int count, int rows, int C)
{
    const size_t width = (size_t)C;
    for (int r = 0; r < rows; r++, y += width) {
        const int own = symbols[r] - first;
        if (own >= 0 && own < count)
            memcpy(y, token + (size_t)own * width, width * sizeof *y);
        else
            memset(y, 0, width * sizeof *y);
    }
}

void embedding_weight_grad(float *dtoken, const int32_t *symbols, const float *dy, int first, int count, int rows, int C)
{
    const size_t width = (size_t)C;
    for (int r = 0; r < rows; r++, dy += width) {
        const int own = symbols[r] - first;
        if (own >= 0 && own < count)
            add(dtoken + (size_t)own * width, dy, width);
    }
}

void position_forward(float *y, const float *x, const float *position, int first_row, int rows, int T, int C)
{
    const size_t width = (size_t)C;
    for (int r = 0; r < rows; r++, x += width, y += width)
        residual_forward(y, x, position + (size_t)((first_row + r) % T) * width, width);
}

void position_weight_grad(float *dposition, const float *dy, int first_row, int rows, int T, int C)
{
    const size_t width = (size_t)C;
    for (int r = 0; r < rows; r++, dy += width)
        add(dposition + (size_t)((first_row + r) % T) * width, dy, width);
}
