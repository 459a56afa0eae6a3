/* A host's network interface, as the kernel counts: every frame that it sent, with all headers, whoever sent it.
 *
 * What a run knows is the payload that its ranks send to other hosts. By TCP over Ethernet that becomes
 *
 *     payload (1 + 66/1448 + 33/1448)
 *
 * since 14 + 20 + 20 + 12 bytes (Ethernet, IPv4, TCP, its timestamps) precede the 1448 that are left of 1500, and one frame of 66
 * acknowledges two of them. A card that cuts segments by itself counts frames, too. Not in it: MPI's own headers and gates, a
 * percent or less where messages are larger than some KiB.
 */
#ifndef DMLBENCH_BENCH_INTERFACE_H
#define DMLBENCH_BENCH_INTERFACE_H

/* Local. The interface that is this host's own, by DMLBENCH_INTERFACE; NULL where that is not set. */
const char *interface_name(void);
/* Local. Bytes that it has sent since it is up; NaN where it has no name or is not there. */
double interface_sent_B(void);
/* Pure. What payload_B of payload are as frames. */
double interface_frames_B(double payload_B);

#endif
