/* The layers of the models: each with forward, input gradient and weight gradient as separate calls, because zero-bubble
 * schedules, layer gates and forward-only methods need them apart.
 *
 * Letters: B sequences, T positions, C channels, H heads, V symbols; rows = any leading dimension (B*T for a decoder).
 * All arrays are row-major floats, contiguous, and do not overlap unless a comment says so. Nothing here allocates or fails.
 * Input gradients are written; weight gradients are ADDED to what is there (micro-batches accumulate).
 * Sums run in a fixed order given by the source (16 lanes, then a fixed tree), so equal inputs give equal bits.
 */
#ifndef DMLBENCH_KERNELS_LAYERS_H
#define DMLBENCH_KERNELS_LAYERS_H

#include <stddef.h>
#include <stdint.h>

/* y[rows,out] = x[rows,in] w[in,out] + b[out];  b may be NULL. */
void linear_forward(float *y, const float *x, const float *w, const float *b, int rows, int in, int out);
/* dx[rows,in] = dy[rows,out] w^T */
void linear_input_grad(float *dx, const float *dy, const float *w, int rows, int in, int out);
/* dw[in,out] += x^T dy;  db[out] += column sums of dy;  db may be NULL. */
void linear_weight_grad(float *dw, float *db, const float *x, const float *dy, int rows, int in, int out);

/* db[out] += column sums of dy[rows,out] */
void bias_weight_grad(float *db, const float *dy, int rows, int out);

/* The same with the matrix stored transposed, w[out,in]: the tied head, whose matrix is the token embedding. No bias. */
void linear_transposed_forward(float *y, const float *x, const float *w, int rows, int in, int out);
void linear_transposed_input_grad(float *dx, const float *dy, const float *w, int rows, int in, int out);
void linear_transposed_weight_grad(float *dw, const float *x, const float *dy, int rows, int in, int out);

/* y[rows,C]: y[r,:] = token[symbols[r] - first,:] for the symbols first .. first + count - 1, whose rows token[count,C] has; 0 for
 * others. Symbols are not negative (checked by the dataset). */
void embedding_forward(float *y, const int32_t *symbols, const float *token, int first, int count, int rows, int C);
void embedding_weight_grad(float *dtoken, const int32_t *symbols, const float *dy, int first, int count, int rows, int C);

/* y[rows,C] = x[rows,C] + position[T,C], where rows are numbers first_row .. of sequences of T rows one after the other. */
void position_forward(float *y, const float *x, const float *position, int first_row, int rows, int T, int C);
void position_weight_grad(float *dposition, const float *dy, int first_row, int rows, int T, int C);

/* y = (x - mean) * rstd * gain + bias over each row of C; mean[rows] and rstd[rows] are kept for the backward pass.
 * Epsilon 1e-5, biased variance. Source: Ba, Kiros, Hinton 2016. */
void layernorm_forward(float *y, float *mean, float *rstd, const float *x, const float *gain, const float *bias, int rows, int C);
void layernorm_input_grad(float *dx, const float *dy, const float *x, const float *gain, const float *mean, const float *rstd,
                          int rows, int C);
void layernorm_weight_grad(float *dgain, float *dbias, const float *dy, const float *x, const float *mean, const float *rstd,
                           int rows, int C);

/* Causal self-attention over H heads, scale 1/sqrt(C/H).
 * qkv[B,T,3C] queries, keys, values side by side, each [H, C/H]; y[B,T,C]; probabilities[B,H,T,T] kept for the backward pass
 * (above the diagonal exactly 0). Source: Vaswani et al. 2017. */
void attention_forward(float *y, float *probabilities, const float *qkv, int B, int T, int C, int H);
/* dqkv[B,T,3C] from dy[B,T,C];  scratch[T,T]. Attention has no weights of its own. */
void attention_input_grad(float *dqkv, const float *dy, const float *qkv, const float *probabilities, float *scratch, int B, int T,
                          int C, int H);

/* Element-wise, n floats; y may be x, dx may be dy.
 * gelu is the tanh form 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) (Hendrycks & Gimpel 2016, the form of GPT-2). */
void gelu_forward(float *y, const float *x, size_t n);
void gelu_input_grad(float *dx, const float *dy, const float *x, size_t n);
void relu_forward(float *y, const float *x, size_t n);
void relu_input_grad(float *dx, const float *dy, const float *x, size_t n);
/* residual: y = a + b;  add: y += x;  maximum: y = the larger of y and x;  scale: y *= factor. */
void residual_forward(float *y, const float *a, const float *b, size_t n);
void add(float *y, const float *x, size_t n);
void maximum(float *y, const float *x, size_t n);
void scale(float *y, float factor, size_t n);
/* The first of x[n] that is infinite or not a number; n: all are finite. */
size_t first_not_finite(const float *x, size_t n);

/* Softmax cross-entropy of logits[rows,V] against targets[rows] (0..V-1), in nats.
 * logits is overwritten with the probabilities, which the gradient needs. Returns the SUM of the rows' losses, in double. */
double cross_entropy_forward(float *logits, const int32_t *targets, int rows, int V);
/* The same in three steps for logits[rows,V] that are the columns first .. first + V - 1 of wider ones. Whoever has the others does
 * the same; after the first step max[rows] becomes the largest over all columns, after the second sum[rows] (of exponentials) and
 * target[rows] (the target's logit, or 0) become sums over all; then each gets its probabilities, and all the same loss. */
void cross_entropy_max(float *max, const float *logits, int rows, int V);
void cross_entropy_exponentials(float *logits, float *sum, float *target, const float *max, const int32_t *targets, int first,
                                int rows, int V);
double cross_entropy_divide(float *logits, const float *max, const float *sum, const float *target, int rows, int V);
/* dlogits[rows,V] = (probabilities - one_hot(targets - first)) * weight;  weight is 1 / (rows of the global batch). dlogits may be
 * probabilities. */
void cross_entropy_input_grad(float *dlogits, const float *probabilities, const int32_t *targets, float weight, int first, int rows,
                              int V);

#endif
