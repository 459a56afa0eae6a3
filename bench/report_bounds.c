/* What the step could not have been faster than, by closed forms on what is said of processors and links, and how near it came. */
#include <math.h>

#include "bench/forecast.h"
#include "bench/report_parts.h"

status fill_bounds(struct result *out, const struct run *run)
{
    const struct rates *r = &run->rates;
    struct forecast f;
    TRY(forecast_make(&f, run->config, run->job->ranks, r));
    const char *no_exchange =
        r->no_network ? r->no_network : "how the gradients are summed, or their size, is not known beforehand";
    const char *no_pipeline = r->no_compute ? r->no_compute : r->no_network, *no_step = no_pipeline ? no_pipeline : no_exchange;
    out->bounds.compute_s = maybe(f.compute_s, r->no_compute);
    out->bounds.tensor_s = maybe(f.tensor_s, r->no_network);
    out->bounds.pipeline_s = maybe(f.pipeline_s, no_pipeline);
    out->bounds.exchange_s = maybe(f.exchange_s, no_exchange);
    out->bounds.step_s = maybe(f.step_s, no_step);
    out->bounds.serial_step_s = maybe(f.serial_s, no_step);
    out->bounds.step_ratio =
        maybe(f.step_s > 0 ? out->metrics.step_s.median / f.step_s : NAN, isnan(f.step_s) ? no_step
                                                                          : f.step_s > 0  ? "no step was measured"
                                                                          : no_pipeline   ? no_pipeline
                                                                                          : "nothing is known that takes time");
    out->bounds.compute_source = r->no_compute ? NULL : r->compute_source;
    out->bounds.network_source = r->no_network ? NULL : r->network_source;
    return STATUS_OK;
}
