/* hwloc's tree of the machine, reduced to counts.
 *
 * hwloc already leaves out what cgroups and offline processors take away, so "the machine" is what this process could use at best;
 * the launcher's binding may narrow that further, and is asked for separately.
 */
#include "bench/topology.h"

#include <hwloc.h>
#include <stdio.h>

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

static bool read_binding(struct topology *t, hwloc_topology_t machine)
{
    hwloc_bitmap_t bound = hwloc_bitmap_dup(hwloc_topology_get_topology_cpuset(machine));
    if (!bound)
        return false;
    if (hwloc_topology_is_thissystem(machine))
        hwloc_get_cpubind(machine, bound, HWLOC_CPUBIND_THREAD); /* unknown: stays all of it */
    hwloc_bitmap_list_snprintf(t->cpuset, sizeof t->cpuset, bound);
    for (int i = 0; i < t->cores; i++)
        t->bound_cores += hwloc_bitmap_intersects(hwloc_get_obj_by_type(machine, HWLOC_OBJ_CORE, (unsigned)i)->cpuset, bound);
    hwloc_bitmap_free(bound);
    return true;
}

bool topology_read(struct topology *t, const char *synthetic)
{
    *t = (struct topology){ 0 };
    hwloc_topology_t machine;
    if (hwloc_topology_init(&machine))
        return false;
    bool read = !synthetic || !hwloc_topology_set_synthetic(machine, synthetic);
    read = read && !hwloc_topology_load(machine);
    if (read)
        read_counts(t, machine);
    read = read && read_binding(t, machine);
    hwloc_topology_destroy(machine);
    return read;
}
