/* Arrays of floats of which only what was written takes memory: address space is reserved whole, so every offset stays valid, and
 * the system gives a page of zeros at its first use. What is dropped reads as zeros again and takes no memory until it is written.
 */
#ifndef DMLBENCH_BENCH_PAGES_H
#define DMLBENCH_BENCH_PAGES_H

#include <stdbool.h>
#include <stddef.h>

/* Local. n floats, zero; NULL: no address space. hollow: nothing may ever be read or written there, and whoever does it all the
 * same crashes, and is found. */
float *pages_open(size_t n, bool hollow);
void pages_close(float *x, size_t n); /* x may be NULL */

/* Floats x[n] anywhere in such an array become zero; whole pages among them are given back. */
void pages_drop(float *x, size_t n);

#endif
