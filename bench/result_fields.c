/* Every field of a result, once. Names follow one rule: snake_case, the unit as the last part (_s, _B, _flop_per_s, _frac, _count),
 * SI base units, ratios as fractions of 1. Rows of one object stand together; the large arrays come last.
 */
#include "bench/result_fields.h"

#include "bench/result.h"

static const char not_told[] = "the system does not tell", no_usage[] = "the system does not tell, or hosts are simulated",
                  not_finite[] = "not a finite number: the training diverged, or nothing was computed (compute.name model)",
                  no_samples[] = "too few samples",
                  uncounted[] = "the MPI library's own allreduce took part, which sends by itself, or the run was interrupted",
                  not_run[] = "the run ended before this was measured", no_pipeline[] = "there is no pipeline",
                  no_split[] = "there is no pipeline, or its hosts' clocks do not tell well enough when a message was sent";

static const char no_rate[] = "no key and no calibration says how fast a rank computes",
                  no_links[] = "no key in force and no calibration says what the links are like";
static const char not_one[] = "it may run on several";
static const char *const meters[] = { "monitoring", "interface counters", NULL };
static const char *const binders[] = { "nobody", "launcher", "dmlbench", NULL };
static const char *const statuses[] = { "ok", "failed", "check", NULL }, *const builds[] = { "mpi", "smpi", NULL };

#define AT(field) offsetof(struct statistic, field)
const struct field statistic_fields[] = {
    { "n", FIELD_SIZE, AT(n), .help = "Samples; warm-up is not among them." },
    { "median", FIELD_REAL, AT(median), no_samples, .help = "Median." },
    { "ci95_low", FIELD_REAL, AT(ci95_low), no_samples, .help = "Lower end of the confidence interval of the median." },
    { "ci95_high", FIELD_REAL, AT(ci95_high), no_samples, .help = "Upper end." },
    { "ci_kind", FIELD_CONSTANT, .constant = "median-order-statistic",
      .help = "How: the narrowest symmetric pair of order statistics that covers the median with at least 95 %." },
    { "ci_level", FIELD_REAL, AT(ci_level), no_samples, .help = "The coverage that pair reaches." },
    { "min", FIELD_REAL, AT(min), no_samples, .help = "Smallest sample." },
    { "max", FIELD_REAL, AT(max), no_samples, .help = "Largest sample." },
    { "mean", FIELD_REAL, AT(mean), no_samples, .help = "Arithmetic mean; of a rate: all that was done over all the time." },
    { "sd", FIELD_REAL, AT(sd), no_samples, .help = "Standard deviation with n - 1." },
    { "p5", FIELD_REAL, AT(p5), no_samples, .help = "5th percentile (Hyndman and Fan, type 7)." },
    { "p95", FIELD_REAL, AT(p95), no_samples, .help = "95th percentile." },
    { "p99", FIELD_REAL, AT(p99), no_samples, .help = "99th percentile." },
    { 0 },
};
#undef AT

#define AT(field) offsetof(struct comm_row, field)
static const struct field comm_fields[] = {
    { "name", FIELD_TEXT, AT(name), .help = "Purpose of the exchange: gradient, activation, loss, ..." },
    { "group", FIELD_TEXT, AT(group), .help = "Axis of the grid along which it runs: data, pipeline, tensor; or all." },
    { "op", FIELD_TEXT, AT(op), .help = "Operation: allreduce, reduce-scatter, allgather, send." },
    { "algorithm", FIELD_TEXT, AT(algorithm), .help = "How it was done: ring, doubling, ..., point-to-point." },
    { "calls", FIELD_COUNT, AT(calls),
      .help = "Operations, each of all ranks of a group together; messages, where they are sent." },
    { "messages", FIELD_COUNT, AT(messages), uncounted, .help = "Point-to-point messages sent, over all ranks." },
    { "logical_B", FIELD_COUNT, AT(logical_B), .unit = "bytes", .help = "Size of what each rank exchanged." },
    { "wire_B_predicted", FIELD_MAYBE, AT(wire_B_predicted), .unit = "bytes", .help = "Payload by the algorithm's formula." },
    { "wire_B_counted", FIELD_COUNT, AT(wire_B_counted), uncounted, .unit = "bytes",
      .help = "Payload handed to point-to-point messages, over all ranks." },
    { "wire_B_measured", FIELD_MAYBE, AT(wire_B_measured), .unit = "bytes", .help = "Payload seen from outside the program." },
    { 0 },
};
#undef AT

#define AT(field) offsetof(struct rank_row, field)
static const struct field rank_fields[] = {
    { "host", FIELD_TEXT, AT(host), .help = "Its host." },
    { "cpuset", FIELD_TEXT, AT(cpuset), not_told, .help = "Processing units it may run on." },
    { "mpi_rank", FIELD_COUNT, AT(mpi_rank), .help = "Its number in MPI_COMM_WORLD, as the launcher dealt them." },
    { "core", FIELD_COUNT, AT(core), not_one, .help = "The core that these are of, by hwloc's logical number." },
    { "numa_node", FIELD_COUNT, AT(numa_node), not_one, .help = "The NUMA node." },
    { "package", FIELD_COUNT, AT(package), not_one, .help = "The package." },
    { "bound_by", FIELD_TEXT, AT(bound_by), .choices = binders, .help = "Who bound it there." },
    { "data", FIELD_COUNT, AT(data), .help = "Its coordinate on the data axis." },
    { "pipeline", FIELD_COUNT, AT(pipeline), .help = "On the pipeline axis." },
    { "tensor", FIELD_COUNT, AT(tensor), .help = "On the tensor axis." },
    { "parameters_count", FIELD_COUNT, AT(parameters_count), .help = "Parameters that it computes with." },
    { "idle_activation_s", FIELD_REAL, AT(idle_activation_s), no_split, .unit = "seconds",
      .help = "Mean of a measured step: waiting until the stage before had sent an activation." },
    { "idle_gradient_s", FIELD_REAL, AT(idle_gradient_s), no_split, .unit = "seconds",
      .help = "Until the stage behind had sent a gradient." },
    { "idle_send_s", FIELD_REAL, AT(idle_send_s), no_split, .unit = "seconds",
      .help = "Until a neighbour had room for a message." },
    { "transfer_s", FIELD_REAL, AT(transfer_s), no_split, .unit = "seconds", .help = "For what was sent and had not arrived." },
    { "peak_rss_B", FIELD_REAL, AT(peak_rss_B), no_usage, .unit = "bytes", .help = "Peak resident memory." },
    { "context_switches_voluntary_count", FIELD_REAL, AT(context_switches_voluntary), no_usage,
      .help = "Times it gave the core away while training." },
    { "context_switches_involuntary_count", FIELD_REAL, AT(context_switches_involuntary), no_usage,
      .help = "Times the core was taken from it while training." },
    { "page_faults_minor_count", FIELD_REAL, AT(page_faults_minor), no_usage, .help = "Without a disk." },
    { "page_faults_major_count", FIELD_REAL, AT(page_faults_major), no_usage, .help = "With a disk." },
    { 0 },
};
#undef AT

#define AT(field) offsetof(struct stage_row, field)
static const struct field stage_fields[] = {
    { "stage", FIELD_COUNT, AT(stage), .help = "Its coordinate on the pipeline axis." },
    { "chunk", FIELD_COUNT, AT(chunk), .help = "Which of the stage's pieces of the model." },
    { "layers", FIELD_CHARS, AT(layers), .help = "First and last layer." },
    { "layers_count", FIELD_COUNT, AT(layers_count), .help = "Layers." },
    { "parameters_count", FIELD_COUNT, AT(parameters_count), .help = "Parameters on one rank." },
    { "cost_frac", FIELD_REAL, AT(cost_frac), no_samples, .help = "Share of the whole model's cost, by which layers are dealt." },
    { 0 },
};
#undef AT

#define AT(field) offsetof(struct variable, field)
static const struct field variable_fields[] = {
    { "name", FIELD_TEXT, AT(name), .help = "Name." },
    { "value", FIELD_TEXT, AT(value), .help = "Value." },
    { 0 },
};
#undef AT

#define AT(field) offsetof(struct result, field)
const struct field result_fields[] = {
    { "schema", FIELD_CONSTANT, .constant = "dmlbench.result", .help = "What this file is." },
    { "schema_version", FIELD_CONSTANT, .constant = "1.0.0", .help = "Semantic version of these fields." },

    { "tool.version", FIELD_TEXT, AT(platform.version), .help = "Version of dmlbench." },
    { "tool.git_commit", FIELD_TEXT, AT(platform.git_commit), not_told, .help = "Commit it was built from." },
    { "tool.git_dirty", FIELD_BOOL, AT(platform.git_dirty), .help = "Whether the source differed from that commit." },
    { "tool.compiler", FIELD_TEXT, AT(platform.compiler), .help = "Compiler." },
    { "tool.cflags", FIELD_TEXT, AT(platform.cflags), .help = "Its flags." },
    { "tool.build", FIELD_TEXT, AT(platform.build), .choices = builds, .help = "mpi, or smpi: simulated hosts, virtual time." },

    { "run.uuid", FIELD_CHARS, AT(run.uuid), .help = "Identity of this run." },
    { "run.status", FIELD_TEXT, AT(run.status), .choices = statuses,
      .help = "ok, failed, or check (it ran, but a check inside it failed)." },
    { "run.status_why", FIELD_TEXT, AT(run.why), .help = "The sentence that was printed; empty when ok." },
    { "run.exit_code", FIELD_COUNT, AT(run.exit_code), .help = "Exit code of the program." },
    { "run.failed_step", FIELD_REAL, AT(run.failed_step), "no step failed", .help = "Step in which the run failed, from 0." },
    { "run.start_utc", FIELD_TEXT, AT(run.start_utc), .help = "Start, ISO 8601." },
    { "run.end_utc", FIELD_TEXT, AT(run.end_utc), .help = "End, ISO 8601." },
    { "run.wall_s", FIELD_REAL, AT(run.wall_s), not_run, .unit = "seconds", .help = "Time from start to end." },
    { "run.command", FIELD_TEXT, AT(run.command), .help = "Command line." },

    { "config", FIELD_CONFIG, AT(config), .help = "The effective config, defaults filled in; see config.md." },
    { "config_sha256", FIELD_CHARS, AT(config_sha256),
      .help =
          "SHA-256 of the canonical config (sorted keys, no blanks) without why, name and plan, which do not change the work." },
    { "seed", FIELD_SEED, AT(config), .help = "The config's seed." },

    { "platform.host", FIELD_TEXT, AT(platform.host), not_told, .help = "Host of rank 0, as all that follows." },
    { "platform.hosts", FIELD_COUNT, AT(platform.hosts), not_told, .help = "Different hosts among the ranks." },
    { "platform.kernel", FIELD_TEXT, AT(platform.kernel), not_told, .help = "Operating system." },
    { "platform.cpu_model", FIELD_TEXT, AT(platform.cpu_model), not_told, .help = "Processor." },
    { "platform.governor", FIELD_TEXT, AT(platform.governor), not_told, .help = "Frequency governor." },
    { "platform.packages", FIELD_COUNT, AT(platform.packages), not_told, .help = "Processor packages." },
    { "platform.numa_nodes", FIELD_COUNT, AT(platform.numa_nodes), not_told, .help = "NUMA nodes." },
    { "platform.cores", FIELD_COUNT, AT(platform.cores), not_told, .help = "Cores." },
    { "platform.pus", FIELD_COUNT, AT(platform.pus), not_told, .help = "Hardware threads." },
    { "platform.memory_B", FIELD_COUNT, AT(platform.memory_B), not_told, .unit = "bytes", .help = "Memory." },
    { "platform.l1d_B", FIELD_COUNT, AT(platform.l1d_B), not_told, .unit = "bytes", .help = "First-level data cache." },
    { "platform.l2_B", FIELD_COUNT, AT(platform.l2_B), not_told, .unit = "bytes", .help = "Second-level cache." },
    { "platform.l3_B", FIELD_COUNT, AT(platform.l3_B), not_told, .unit = "bytes", .help = "Third-level cache." },
    { "platform.oversubscribed", FIELD_BOOL, AT(platform.oversubscribed),
      .help = "Whether rank 0's machine had more ranks than cores." },
    { "platform.ranks_per_core", FIELD_REAL, AT(platform.ranks_per_core), not_told,
      .help = "Ranks per core of that machine; hosts that share one (containers, network namespaces) count together." },
    { "platform.mpi_library", FIELD_TEXT, AT(platform.mpi_library), not_told, .help = "MPI library." },
    { "platform.blas_library", FIELD_TEXT, AT(platform.blas_library), not_told, .help = "BLAS library." },
    { "platform.blas_kernel", FIELD_TEXT, AT(platform.blas_kernel), not_told, .help = "Its kernel for this processor." },
    { "platform.blas_kernel_reason", FIELD_TEXT, AT(platform.blas_kernel_reason), not_told, .help = "Why that one." },
    { "platform.hwloc_version", FIELD_TEXT, AT(platform.hwloc_version), not_told, .help = "hwloc." },
    { "platform.cjson_version", FIELD_TEXT, AT(platform.cjson_version), not_told, .help = "cJSON." },
    { "platform.clock", FIELD_TEXT, AT(platform.clock), not_told, .help = "Clock of all times." },
    { "platform.clock_resolution_s", FIELD_REAL, AT(platform.clock_resolution_s), not_told, .unit = "seconds",
      .help = "Its resolution." },
    { "platform.clock_offset_max_s", FIELD_REAL, AT(platform.clock_offset_max_s), not_run, .unit = "seconds",
      .help = "Largest difference of a host's clock from rank 0's at the first step, which is taken out of all times." },
    { "platform.clock_uncertainty_s", FIELD_REAL, AT(platform.clock_uncertainty_s), not_run, .unit = "seconds",
      .help = "How wrong that is at most: half of the shortest round trip, or what a second look after the last step finds." },
    { "platform.synchronisation", FIELD_TEXT, AT(platform.synchronisation), not_told,
      .help = "How the start of steps is synchronised." },
    { "platform.variables", FIELD_OBJECTS, AT(platform.variables), .help = "Environment variables, by an allow-list.",
      .fields = variable_fields, .stride = sizeof(struct variable) },
    { "platform.ranks", FIELD_OBJECTS, AT(ranks), .help = "One entry per rank.", .fields = rank_fields,
      .stride = sizeof(struct rank_row) },

    { "parallelism.data", FIELD_COUNT, AT(parallelism.data), .help = "Replicas." },
    { "parallelism.pipeline", FIELD_COUNT, AT(parallelism.pipeline), .help = "Pipeline stages." },
    { "parallelism.tensor", FIELD_COUNT, AT(parallelism.tensor), .help = "Tensor slices." },
    { "parallelism.order", FIELD_TEXT, AT(parallelism.order), .help = "Which coordinate of a rank varies fastest." },
    { "parallelism.schedule", FIELD_TEXT, AT(parallelism.schedule), no_pipeline, .help = "Pipeline schedule." },
    { "parallelism.chunks", FIELD_COUNT, AT(parallelism.chunks), .help = "Pieces of the model on each stage." },
    { "parallelism.recompute", FIELD_BOOL, AT(parallelism.recompute),
      .help = "Whether forward passes keep only their input and are run again." },
    { "parallelism.sequence", FIELD_BOOL, AT(parallelism.sequence), .help = "Sequence parallel." },
    { "parallelism.zero", FIELD_COUNT, AT(parallelism.zero), .help = "ZeRO stage." },
    { "parallelism.global_batch", FIELD_COUNT, AT(parallelism.global_batch), .unit = "samples", .help = "Samples of a step." },
    { "parallelism.micro_batch", FIELD_COUNT, AT(parallelism.micro_batch), .unit = "samples",
      .help = "Samples at a time, at most." },
    { "parallelism.micro_batches", FIELD_COUNT, AT(parallelism.micro_batches),
      .help = "Most micro-batches of a step and replica." },
    { "parallelism.stages", FIELD_OBJECTS, AT(parallelism.stages), .help = "The parts of the model, by stage and chunk.",
      .fields = stage_fields, .stride = sizeof(struct stage_row) },

    { "model.name", FIELD_TEXT, AT(model.name), .help = "Model." },
    { "model.parameters_count", FIELD_COUNT, AT(model.parameters_count), not_run, .help = "Parameters." },
    { "model.flop_forward", FIELD_REAL, AT(model.flop_forward), not_run, .unit = "flop",
      .help = "Matrix products of a step, forward." },
    { "model.flop_backward", FIELD_REAL, AT(model.flop_backward), not_run, .unit = "flop", .help = "Backward: both gradients." },
    { "model.loss_floor", FIELD_REAL, AT(model.loss_floor), "the data's entropy is not known", .unit = "nats",
      .help = "Least possible expected loss." },

    { "data.name", FIELD_TEXT, AT(data.name), .help = "Dataset." },
    { "data.xxh3", FIELD_CHARS, AT(data.xxh3), .help = "XXH3-64 of what the samples are made from." },
    { "data.size_B", FIELD_COUNT, AT(data.size_B), not_run, .unit = "bytes", .help = "Size of its files." },
    { "data.samples", FIELD_COUNT, AT(data.samples), "generated without end", .help = "Different samples." },

    { "correctness.loss_first", FIELD_REAL, AT(correctness.loss_first), not_finite, .unit = "nats",
      .help = "Loss before the first update." },
    { "correctness.loss_last", FIELD_REAL, AT(correctness.loss_last), not_finite, .unit = "nats",
      .help = "Loss before the last update." },
    { "correctness.parameter_hash", FIELD_TEXT, AT(correctness.parameter_hash),
      "the run did not get to its end, or nothing was computed", .help = "XXH3-64 of the parameters at the end." },
    { "correctness.replicas_identical", FIELD_BOOL, AT(correctness.replicas_identical),
      .help = "Whether all replicas were compared at the end and had the same bits." },
    { "correctness.gradient_max_rel_err", FIELD_MAYBE, AT(correctness.gradient_max_rel_err),
      .help = "Largest relative error of the gradients against the reference." },

    { "metrics.throughput_samples_per_s", FIELD_STATISTIC, AT(metrics.throughput_samples_per_s), .unit = "samples/s",
      .help = "Samples of a step over its time, per measured step." },
    { "metrics.step_s", FIELD_STATISTIC, AT(metrics.step_s), .unit = "seconds",
      .help = "Time of a measured step: its slowest rank's." },
    { "metrics.mfu_frac", FIELD_MAYBE, AT(metrics.mfu_frac),
      .help = "Flop of the model's matrix products per second, over sgemm_flop_per_s." },
    { "metrics.sgemm_flop_per_s", FIELD_MAYBE, AT(metrics.sgemm_flop_per_s), .unit = "flop/s",
      .help = "Sum over the ranks of sgemm's rate while all multiply at once (512 x 512 x 512), before or after the steps, the "
              "better." },
    { "metrics.overlap_frac", FIELD_MAYBE, AT(metrics.overlap_frac), .help = "Share of the exchange hidden by computation." },
    { "metrics.late_frac", FIELD_MAYBE, AT(metrics.late_frac),
      .help = "Of the time that ranks waited for messages on stated links (fabric shaped), the share in which the message was due: "
              "what this machine adds to the network, over all steps." },
    { "metrics.bubble_frac_theory", FIELD_MAYBE, AT(metrics.bubble_frac_theory),
      .help = "Idle share of the pipeline by its schedule: every pass 1, a whole backward pass 2, messages free." },
    { "metrics.bubble_frac_planned", FIELD_MAYBE, AT(metrics.bubble_frac_planned),
      .help = "The schedule played with this run's own mean times of each stage and of a message." },
    { "metrics.bubble_frac_measured", FIELD_MAYBE, AT(metrics.bubble_frac_measured),
      .help = "Idle time over the time of the passes, over all ranks and measured steps; waiting for what was already sent is not "
              "idle." },
    { "metrics.bubble_ratio_measured", FIELD_MAYBE, AT(metrics.bubble_ratio_measured), .help = "Idle time over the rest of it." },
    { "metrics.peak_rss_B", FIELD_REAL, AT(metrics.peak_rss_B), no_usage, .unit = "bytes",
      .help = "Peak resident memory of the largest rank." },

    { "bounds.compute_s", FIELD_MAYBE, AT(bounds.compute_s), .unit = "seconds",
      .help = "Least time of a step's matrix products: flop of the busiest rank over a rank's rate, recomputation included." },
    { "bounds.tensor_s", FIELD_MAYBE, AT(bounds.tensor_s), .unit = "seconds",
      .help = "Of its collectives inside layers, by closed form." },
    { "bounds.pipeline_s", FIELD_MAYBE, AT(bounds.pipeline_s), .unit = "seconds",
      .help = "The schedule played with these and messages of latency + size / bandwidth; of one stage, their sum." },
    { "bounds.exchange_s", FIELD_MAYBE, AT(bounds.exchange_s), .unit = "seconds",
      .help = "Of the gradients' exchange (with ZeRO, the parameters' too), by the algorithm's closed form." },
    { "bounds.step_s", FIELD_MAYBE, AT(bounds.step_s), .unit = "seconds",
      .help = "The largest of them that is known: a step cannot take less." },
    { "bounds.serial_step_s", FIELD_MAYBE, AT(bounds.serial_step_s), .unit = "seconds",
      .help = "pipeline_s + exchange_s: where nothing of the exchange is hidden by computation." },
    { "bounds.step_ratio", FIELD_MAYBE, AT(bounds.step_ratio), .help = "Median of metrics.step_s over bounds.step_s." },
    { "bounds.compute_source", FIELD_TEXT, AT(bounds.compute_source), no_rate,
      .help = "Where the rate of computing is from: a key, or the calibration." },
    { "bounds.network_source", FIELD_TEXT, AT(bounds.network_source), no_links,
      .help = "Where latencies and bandwidths are from: network keys, or the calibration." },

    { "comm", FIELD_OBJECTS, AT(comm), .help = "What was exchanged, by purpose.", .fields = comm_fields,
      .stride = sizeof(struct comm_row) },
    { "comm_total.wire_B_predicted", FIELD_MAYBE, AT(comm_total.wire_B_predicted), .unit = "bytes", .help = "Sum of comm." },
    { "comm_total.wire_B_counted", FIELD_COUNT, AT(comm_total.wire_B_counted), uncounted, .unit = "bytes", .help = "Sum of comm." },
    { "comm_total.wire_B_measured", FIELD_MAYBE, AT(comm_total.wire_B_measured), .unit = "bytes",
      .help = "From outside the program: payload, by monitoring; or frames with all headers, by interface counters." },
    { "comm_total.measured_by", FIELD_TEXT, AT(comm_total.measured_by), "nothing was measured from outside", .choices = meters,
      .help = "monitoring (Open MPI's, with --audit: all messages), or interface counters (DMLBENCH_INTERFACE: what left the "
              "hosts)." },
    { "comm_total.frames_B_predicted", FIELD_MAYBE, AT(comm_total.frames_B_predicted), .unit = "bytes",
      .help = "What interface counters should see: step_between_nodes_B of all steps, (1 + 66/1448 + 33/1448) times for TCP/IP and "
              "Ethernet headers and acknowledgements." },
    { "comm_total.frames_ratio", FIELD_MAYBE, AT(comm_total.frames_ratio),
      .help = "wire_B_measured, if by interface counters, over frames_B_predicted." },
    { "comm_total.dense_equivalent_B", FIELD_COUNT, AT(comm_total.dense_equivalent_B), uncounted, .unit = "bytes",
      .help = "What ring allreduces of the same steps' gradients would have sent, over the replicas of every part." },
    { "comm_total.step_between_nodes_B", FIELD_MAYBE, AT(comm_total.step_between_nodes_B), .unit = "bytes",
      .help = "Predicted: what of one step's bytes goes from one node to another (hosts, or what network.* states)." },
    { "comm_total.match", FIELD_BOOL, AT(comm_total.match), .help = "Whether all the bytes that are known agree." },

    { "compression.name", FIELD_TEXT, AT(compression.name), "gradients are exchanged as they are",
      .help = "Compressor, or chain of them." },
    { "compression.logical_bits_per_element", FIELD_MAYBE, AT(compression.logical_bits_per_element),
      .help = "Bits of information in the codes of the measured steps for each float that was coded: without padding, headers of "
              "messages "
              "and room for sums." },
    { "compression.wire_bits_per_element", FIELD_MAYBE, AT(compression.wire_bits_per_element),
      .help = "Bits that these codes have on the wire. How often they travel is in comm." },
    { "compression.codec_s", FIELD_MAYBE, AT(compression.codec_s), .unit = "seconds",
      .help = "Encoding, packing, residual and decoding in a measured step: median over the steps of the mean over the ranks." },
    { "compression.saved_B", FIELD_MAYBE, AT(compression.saved_B), .unit = "bytes",
      .help = "What a rank sends less in a measured step than for ring allreduces of the same gradients; mean." },
    { "compression.break_even_B_per_s", FIELD_MAYBE, AT(compression.break_even_B_per_s), .unit = "bytes/s",
      .help = "saved_B over codec_s: on a slower network than this, compression saves time." },
    { "compression.dense_B_per_s", FIELD_MAYBE, AT(compression.dense_B_per_s), .unit = "bytes/s",
      .help = "What this run's network gave a rank: what ring allreduces of the gradients send, over dense_alone_s." },
    { "compression.exchange_alone_s", FIELD_MAYBE, AT(compression.exchange_alone_s), .unit = "seconds",
      .help = "The last step's codes exchanged with nothing computed beside it." },
    { "compression.dense_alone_s", FIELD_MAYBE, AT(compression.dense_alone_s), .unit = "seconds",
      .help = "The gradients as they are, by exchange.allreduce, with nothing computed beside it; also without a compressor." },
    { "compression.verdict", FIELD_TEXT, AT(compression.verdict), "one of the times is not known",
      .help = "saves time or costs time: codec_s + exchange_alone_s against dense_alone_s." },

    { "interference.load_before", FIELD_REAL, AT(interference.load_before), no_usage, .help = "Load average before the run." },
    { "interference.load_after", FIELD_REAL, AT(interference.load_after), no_usage, .help = "After it." },
    { "interference.steal_s", FIELD_REAL, AT(interference.steal_s), no_usage, .unit = "seconds",
      .help = "Time taken by other virtual machines." },
    { "interference.context_switches_involuntary_count", FIELD_REAL, AT(interference.context_switches_involuntary), no_usage,
      .help = "Times a core was taken from a rank, over all ranks." },

    { "warnings", FIELD_TEXTS, AT(warnings), .help = "Sentences that a reader must know." },

    { "samples.warmup_steps", FIELD_COUNT, AT(samples.warmup_steps), .help = "Steps that are warm-up." },
    { "samples.measured_steps", FIELD_COUNT, AT(samples.measured_steps), .help = "Steps that were measured." },
    { "samples.warmup", FIELD_FLAGS, AT(samples.warmup), not_run, .help = "[step]: whether it is warm-up." },
    { "samples.loss", FIELD_SERIES, AT(samples.loss), not_finite, .unit = "nats",
      .help = "[step]: mean of the global batch before the update." },
    { "samples.step_s", FIELD_MATRIX, AT(samples.step_s), not_run, .unit = "seconds", .help = "[rank][step]: time of the step." },
    { "samples.gradient_B", FIELD_MATRIX, AT(samples.gradient_B), not_run, .unit = "bytes",
      .help = "[rank][step]: sent for the exchange of gradients." },
#define PHASE(name, id, meaning)                                                                                                   \
    {                                                                                                                              \
        "samples.phase_s." name, FIELD_MATRIX, AT(samples.phase_s) + (id) * sizeof(double *), not_run,                             \
            .unit = "seconds", .help = "[rank][step]: " meaning                                                                    \
    }
    PHASE("data", PHASE_DATA, "loading samples."),
    PHASE("forward", PHASE_FORWARD, "forward pass and loss."),
    PHASE("recompute", PHASE_RECOMPUTE, "the forward pass once more, where only its input was kept."),
    PHASE("backward", PHASE_BACKWARD, "backward pass; polling the exchange between layers is part of it."),
    PHASE("weight_gradient", PHASE_WEIGHT, "weight gradients, where the schedule has them apart."),
    PHASE("tensor", PHASE_TENSOR, "collectives inside layers that tensor ranks share."),
    PHASE("idle_activation", PHASE_IDLE_ACTIVATION, "waiting until the stage before had sent an activation."),
    PHASE("idle_gradient", PHASE_IDLE_GRADIENT, "waiting until the stage behind had sent a gradient."),
    PHASE("idle_send", PHASE_IDLE_SEND, "waiting until a neighbour had room for a message."),
    PHASE("transfer", PHASE_TRANSFER, "waiting for what was sent and had not arrived."),
    PHASE("message_encode", PHASE_MESSAGE_ENCODE,
          "compressing activations and their gradients for another stage, packing included."),
    PHASE("message_decode", PHASE_MESSAGE_DECODE, "decoding those that came from one."),
    PHASE("encode", PHASE_ENCODE, "compressing: a vector to symbols."),
    PHASE("pack", PHASE_PACK, "symbols to the bits of a code; 0 where a compressor does both at once."),
    PHASE("residual", PHASE_RESIDUAL, "error feedback: adding the last error, working out the next."),
    PHASE("wait", PHASE_WAIT, "until the other ranks had begun to exchange gradients; the loss, tied matrices, parameters."),
    PHASE("exchange", PHASE_EXCHANGE, "from then on, until the exchange of gradients was done: what nothing hid of it."),
    PHASE("decode", PHASE_DECODE, "adding up the codes of all ranks; decoding and compressing anew on their way."),
    PHASE("optimizer", PHASE_OPTIMIZER, "updating the parameters."),
    { 0 },
};

bool field_may_be_null(const struct field *f)
{
    return f->kind == FIELD_MAYBE || f->null_why;
}
