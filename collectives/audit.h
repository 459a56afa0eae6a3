/* Bytes measured from outside: what Open MPI's own monitoring component (pml_monitoring) saw the ranks send.
 *
 * It counts the payload of user point-to-point messages, which is what the ledger counts; the control traffic of job.h goes by
 * MPI's collectives and is kept apart by the component. It slows messages down, so it belongs in a pass that is not timed.
 */
#ifndef DMLBENCH_COLLECTIVES_AUDIT_H
#define DMLBENCH_COLLECTIVES_AUDIT_H

/* Local, every rank, before job_open: switches the component on, for the whole run. */
void audit_prepare(void);

/* Local, rank 0, after job_close: bytes that all ranks together sent since audit_prepare. Waits some seconds for the others.
 * NaN, and in *why one sentence, where it cannot be known (no Open MPI, simulated hosts, ranks on another host). */
double audit_collect(int ranks, const char **why);
/* Local, rank 0, instead of it: takes away what the ranks recorded. */
void audit_discard(int ranks);

#endif
