/* hwloc's tree of the machine, reduced to counts; and the seating of ranks on its cores.
 *
 * hwloc already leaves out what cgroups and offline processors take away, so "the machine" is what this process could use at best;
 * the launcher's binding may narrow that further, and is asked for separately.
 *
 *   pack:2 numa:2 core:8      4 ranks in groups of 2      0 1 | - || 16 17 | -     groups begin in different packages
 *   cores 0-7 | 8-15 ||       8 ranks in groups of 2      0 1 | 8 9 || 16 17 | 24 25
 *   16-23 | 24-31             16 ranks in one group       0 .. 7 | 8 .. 15 || - | -     more than a NUMA node has
 */
#include "bench/topology.h"

#include <hwloc.h>
#include <stdio.h>
#include <string.h>

#include "collectives/job.h"

const char *topology_library(void)
{
    return HWLOC_VERSION;
}

static uint64_t cache_B(hwloc_topology_t machine, hwloc_obj_type_t type)
{
    hwloc_obj_t cache = hwloc_get_obj_by_type(machine, type, 0);
    return cache ? cache->attr->cache.size : 0;
}

static void read_counts(struct topology *t, hwloc_topology_t machine)
{
    t->packages = hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_PACKAGE);
    t->numa_nodes = hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_NUMANODE);
    t->cores = hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_CORE);
    t->pus = hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_PU);
    t->l1d_B = cache_B(machine, HWLOC_OBJ_L1CACHE);
    t->l2_B = cache_B(machine, HWLOC_OBJ_L2CACHE);
    t->l3_B = cache_B(machine, HWLOC_OBJ_L3CACHE);

    hwloc_obj_t package = hwloc_get_obj_by_type(machine, HWLOC_OBJ_PACKAGE, 0);
    const char *model = package ? hwloc_obj_get_info_by_name(package, "CPUModel") : NULL;
    snprintf(t->cpu_model, sizeof t->cpu_model, "%s", model ? model : "");
}

/* Where the calling thread may run: all of a machine that is not this one. To be freed; NULL: no memory. */
static hwloc_bitmap_t binding_of(hwloc_topology_t machine)
{
    hwloc_bitmap_t bound = hwloc_bitmap_dup(hwloc_topology_get_topology_cpuset(machine));
    if (bound && hwloc_topology_is_thissystem(machine))
        hwloc_get_cpubind(machine, bound, HWLOC_CPUBIND_THREAD); /* unknown: stays all of it */
    return bound;
}

/* The one object of a type that holds them all; -1: there is none. */
static int holder(hwloc_topology_t machine, hwloc_obj_type_t type, hwloc_const_bitmap_t bound)
{
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(machine, type, o)) != NULL;)
        if (hwloc_bitmap_isincluded(bound, o->cpuset))
            return (int)o->logical_index;
    return -1;
}

static bool read_binding(struct topology *t, hwloc_topology_t machine)
{
    hwloc_bitmap_t bound = binding_of(machine);
    if (!bound)
        return false;
    hwloc_bitmap_list_snprintf(t->cpuset, sizeof t->cpuset, bound);
    for (int i = 0; i < t->cores; i++)
        t->bound_cores += hwloc_bitmap_intersects(hwloc_get_obj_by_type(machine, HWLOC_OBJ_CORE, (unsigned)i)->cpuset, bound);
    t->core = holder(machine, HWLOC_OBJ_CORE, bound);
    t->numa_node = holder(machine, HWLOC_OBJ_NUMANODE, bound);
    t->package = holder(machine, HWLOC_OBJ_PACKAGE, bound);
    hwloc_bitmap_free(bound);
    return true;
}

static bool open_machine(hwloc_topology_t *machine, const char *synthetic)
{
    if (hwloc_topology_init(machine))
        return false;
    if ((!synthetic || !hwloc_topology_set_synthetic(*machine, synthetic)) && !hwloc_topology_load(*machine))
        return true;
    hwloc_topology_destroy(*machine);
    return false;
}

bool topology_read(struct topology *t, const char *synthetic)
{
    *t = (struct topology){ 0 };
    hwloc_topology_t machine;
    if (!open_machine(&machine, synthetic))
        return false;
    read_counts(t, machine);
    const bool read = read_binding(t, machine);
    hwloc_topology_destroy(machine);
    return read;
}

/* ---- seating ------------------------------------------------------------------------------------------------------------- */

static int round_up(int a, int b)
{
    return (a + b - 1) / b;
}

/* Cores of the unit of this type that has fewest. */
static int least_cores(hwloc_topology_t machine, hwloc_obj_type_t type)
{
    int least = hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_CORE);
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(machine, type, o)) != NULL;) {
        const int cores = hwloc_get_nbobjs_inside_cpuset_by_type(machine, o->cpuset, HWLOC_OBJ_CORE);
        least = cores < least ? cores : least;
    }
    return least;
}

/* Group j of G in unit j U / G of U; NULL: they do not fit whole. */
static hwloc_obj_t core_in_unit(hwloc_topology_t machine, hwloc_obj_type_t type, const struct seating *s)
{
    const int units = hwloc_get_nbobjs_by_type(machine, type), groups = round_up(s->g, s->together);
    if (units < 1 || round_up(groups, units) * s->together > least_cores(machine, type))
        return NULL;
    const int unit = s->i / s->together * units / groups, first = round_up(unit * groups, units) * s->together;
    return hwloc_get_obj_inside_cpuset_by_type(machine, hwloc_get_obj_by_type(machine, type, (unsigned)unit)->cpuset,
                                               HWLOC_OBJ_CORE, (unsigned)(s->i - first));
}

static hwloc_obj_t core_of(hwloc_topology_t machine, const struct seating *s)
{
    if (s->g > hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_CORE))
        return NULL;
    hwloc_obj_t core = core_in_unit(machine, HWLOC_OBJ_NUMANODE, s);
    core = core ? core : core_in_unit(machine, HWLOC_OBJ_PACKAGE, s);
    return core ? core : hwloc_get_obj_by_type(machine, HWLOC_OBJ_CORE, (unsigned)s->i);
}

int topology_core(const char *synthetic, const struct seating *s)
{
    hwloc_topology_t machine;
    if (!open_machine(&machine, synthetic))
        return -1;
    const hwloc_obj_t core = core_of(machine, s);
    const int number = core ? (int)core->logical_index : -1;
    hwloc_topology_destroy(machine);
    return number;
}

const char *binder_name(enum binder by)
{
    static const char *const names[] = { "nobody", "launcher", "dmlbench" };
    return names[by];
}

/* ---- binding ------------------------------------------------------------------------------------------------------------- */

static bool is_bound(hwloc_topology_t machine)
{
    hwloc_bitmap_t bound = binding_of(machine);
    const bool narrowed = bound && !hwloc_bitmap_isincluded(hwloc_topology_get_topology_cpuset(machine), bound);
    hwloc_bitmap_free(bound);
    return narrowed;
}

static status bind_to_core(hwloc_topology_t machine, const struct seating *s)
{
    const hwloc_obj_t core = core_of(machine, s);
    if (!core)
        return status_fail(STATUS_USAGE,
                           "parallel.binding = \"core\": %d ranks are on a machine of %d cores (fits: \"auto\", \"none\")", s->g,
                           hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_CORE));
    if (hwloc_set_cpubind(machine, core->cpuset, HWLOC_CPUBIND_THREAD))
        return status_fail(STATUS_FAILED,
                           "parallel.binding = \"core\": the system does not bind rank %d of this machine to core %u", s->i,
                           core->logical_index);
    return STATUS_OK;
}

status topology_bind(const char *how, const struct seating *s, enum binder *by)
{
    const bool must = strcmp(how, "core") == 0, may = must || (strcmp(how, "auto") == 0 && s->g > 1);
    hwloc_topology_t machine;
    *by = BOUND_BY_NOBODY;
    if (job_is_simulated())
        return STATUS_OK;
    if (!open_machine(&machine, NULL))
        return must ? status_fail(STATUS_FAILED, "parallel.binding = \"core\": hwloc cannot read this machine") : STATUS_OK;
    status bound = STATUS_OK;
    if (is_bound(machine))
        *by = BOUND_BY_LAUNCHER;
    else if (may && (bound = bind_to_core(machine, s)) == STATUS_OK)
        *by = BOUND_BY_PROGRAM;
    hwloc_topology_destroy(machine);
    return must ? bound : STATUS_OK;
}
