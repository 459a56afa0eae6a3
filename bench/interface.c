/* Linux keeps the counters as files. In a network namespace they are that host's own. */
#include "bench/interface.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATH_BYTES = 128, HEADERS_B = 14 + 20 + 20 + 12, SEGMENT_B = 1500 - 52 };

const char *interface_name(void)
{
    return getenv("DMLBENCH_INTERFACE");
}

double interface_sent_B(void)
{
    const char *name = interface_name();
    char path[PATH_BYTES];
    double sent_B = NAN;
    if (!name || snprintf(path, sizeof path, "/sys/class/net/%s/statistics/tx_bytes", name) >= PATH_BYTES)
        return NAN;
    FILE *file = fopen(path, "r");
    if (file && fscanf(file, "%lf", &sent_B) != 1)
        sent_B = NAN;
    if (file)
        fclose(file);
    return sent_B;
}

double interface_frames_B(double payload_B)
{
    return payload_B * (1 + 1.5 * HEADERS_B / SEGMENT_B);
}
