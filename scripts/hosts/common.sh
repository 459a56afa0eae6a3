# shellcheck shell=bash
# Hosts made of network namespaces, for up, down, list and run to source.
#
#   host0       host1         a host: network namespace and host name; its interface eth0 has the address 10.37.<i>.2
#    eth0        eth0         tbf on what it sends ...
#      \          /
#      host0  host1           ... and on what it receives
#         switch              forwards between its links; mpirun runs here, and on no host
#
# The switch is a router, because forwarding is in every kernel and bridges are not. A set of hosts has an id; its namespaces are
# named dmlbench-<id>-switch, dmlbench-<id>-host<i>. Nothing of the machine's own network is touched.
#
# Up to 1 Gbit/s over all hosts each packet is one Ethernet frame (gso_max_segs 1), and counters see what a cable would. Frames cost
# a processor some microseconds; beyond, a packet is what TCP would leave to its card to cut, up to 64 KiB under one header.
# Queues hold 32 MiB and so lose nothing, since a byte that is sent twice is in no prediction; reno, because every kernel has it
# and it paces nothing. There is no delay but the rate's: that takes netem, which many kernels lack. Fabric shaped has them.

self=$(basename "$0")
readonly self MOST=250 FRAME_B=1514 PACKET_B=65550 PATIENCE_S=10

fail() { # STATUS SENTENCE
    echo "hosts/$self: $2" >&2
    exit "$1"
}

hosts_need_root() {
    local tool
    [ "$(id -u)" = 0 ] ||
        fail 2 "network namespaces need root, and this is not root (fabric.name \"shaped\" shapes links in the program, without it)"
    for tool in ip tc unshare setpriv; do
        command -v "$tool" > /dev/null || fail 2 "there is no program \"$tool\" here (Debian has it in iproute2, or util-linux)"
    done
}

hosts_usage() {
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
}

# ---- options of up and run: n rate burst id ranks_per_host on; `taken` says how many words they were ----------------------------

is_count() { # WORD MOST
    [[ $1 =~ ^[1-9][0-9]{0,8}$ ]] && [ "$1" -le "$2" ]
}

hosts_options() {
    n='' rate='' burst='' id='' on='' ranks_per_host=1 taken=0 rate_bit=0 segments=1
    local option
    while [ $# -gt 0 ]; do
        option=$1
        case "$option" in
            -h | --help) hosts_usage && exit 0 ;;
            -n | --rate | --burst | --id | --on | --ranks-per-host) [ $# -ge 2 ] || fail 2 "$option wants a value" ;;
            --) taken=$((taken + 1)) && break ;;
            *) break ;;
        esac
        case "$option" in
            -n) n=$2 ;;
            --rate) rate=$2 ;;
            --burst) burst=$2 ;;
            --id) id=$2 ;;
            --on) on=$2 ;;
            --ranks-per-host) ranks_per_host=$2 ;;
        esac
        shift 2
        taken=$((taken + 2))
    done
    is_count "$ranks_per_host" 4096 || fail 2 "--ranks-per-host $ranks_per_host is not a number of ranks (fits: 1 or more)"
    [ -n "$on" ] || hosts_check_shape
}

hosts_check_shape() {
    [ -n "$n" ] || fail 2 "-n is missing: how many hosts? (fits: 1 .. $MOST, as in $self -n 4; $self --help says more)"
    is_count "$n" $MOST || fail 2 "-n $n is not a number of hosts (fits: 1 .. $MOST)"
    [ -n "$id" ] || id=$$
    [[ $id =~ ^[a-z0-9]{1,16}$ ]] || fail 2 "--id $id is not a name (fits: up to 16 small letters and digits)"
    [ -z "$burst" ] || is_count "$burst" 999999999 || fail 2 "--burst $burst is not a number of bytes"
    [ -z "$burst" ] || [ -n "$rate" ] || fail 2 "--burst belongs to --rate, which is missing"
    [ -z "$rate" ] || rate_bit=$(hosts_rate_bit "$rate") ||
        fail 2 "--rate $rate is not a rate (fits: a number and kbit, mbit or gbit, as in 100mbit)"
    hosts_choose_packets
}

hosts_rate_bit() { # RATE: bit/s
    [[ $1 =~ ^([1-9][0-9]{0,5})([kmg])bit$ ]] || return 1
    case "${BASH_REMATCH[2]}" in
        k) echo "${BASH_REMATCH[1]}000" ;;
        m) echo "${BASH_REMATCH[1]}000000" ;;
        g) echo "${BASH_REMATCH[1]}000000000" ;;
    esac
}

# A bucket that holds less than a packet never lets one through: connections would time out. One that the link empties before the
# kernel comes back to fill it loses rate; half a millisecond's worth was seen to keep it. What it holds passes unshaped after a
# pause, so it is not larger.
hosts_choose_packets() {
    local least_B=$((2 * FRAME_B))
    if [ -z "$rate" ] || [ $((n * rate_bit)) -gt 1000000000 ]; then
        segments=64 least_B=$((2 * PACKET_B))
    fi
    burst_B=${burst:-$((rate_bit / 8 / 2000))}
    [ "$burst_B" -ge $least_B ] || [ -z "$burst" ] ||
        fail 2 "--burst $burst lets no two packets pass (fits: $least_B bytes or more)"
    [ "$burst_B" -ge $least_B ] || burst_B=$least_B
}

# ---- making and taking down ----------------------------------------------------------------------------------------------------

namespace() { # ID HOST
    echo "dmlbench-$1-$2"
}

hosts_shape() { # NAMESPACE INTERFACE
    [ -z "$rate" ] || tc -n "$1" qdisc add dev "$2" root tbf rate "${rate_bit}bit" burst "${burst_B}b" limit 32mb
}

hosts_add() { # INDEX: host<INDEX>
    local host ns switch
    host=host$1 switch=$(namespace "$id" switch) ns=$(namespace "$id" "host$1")
    ip netns add "$ns"
    ip link add "$host" netns "$switch" gso_max_segs "$segments" type veth peer name eth0 netns "$ns"
    ip -n "$ns" link set eth0 gso_max_segs "$segments"
    ip -n "$switch" address add "10.37.$1.1/24" dev "$host"
    ip -n "$ns" address add "10.37.$1.2/24" dev eth0
    ip -n "$switch" link set "$host" up
    ip -n "$ns" link set eth0 up
    ip -n "$ns" link set lo up
    ip -n "$ns" route add default via "10.37.$1.1"
    hosts_shape "$switch" "$host"
    ip netns exec "$ns" sh -c 'echo reno > /proc/sys/net/ipv4/tcp_congestion_control'
    hosts_shape "$ns" eth0
}

hosts_unmade() {
    hosts_down "$id"
    fail 1 "the hosts were not made, for the reason above (the kernel must have veth, and tbf for a rate)"
}

# Whatever fails or interrupts it, nothing stays.
hosts_up() {
    local i switch
    trap hosts_unmade EXIT
    switch=$(namespace "$id" switch)
    ip netns add "$switch"
    ip -n "$switch" link set lo up
    ip netns exec "$switch" sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
    for ((i = 0; i < n; i++)); do
        hosts_add "$i"
    done
    trap - EXIT
}

hosts_namespaces() { # [ID]: names of all its namespaces, or of all sets'
    ip netns list 2> /dev/null | awk -v start="dmlbench-${1:+$1-}" 'index($1, start) == 1 { print $1 }'
}

hosts_ids() {
    hosts_namespaces | sed 's/^dmlbench-\([a-z0-9]*\)-.*/\1/' | sort -u
}

hosts_count() { # ID
    hosts_namespaces "$1" | grep -c -- '-host[0-9]*$'
}

hosts_pids() { # ID: of what runs there
    local ns
    for ns in $(hosts_namespaces "$1"); do
        ip netns pids "$ns"
    done
}

hosts_down() { # ID
    local ns pids
    pids=$(hosts_pids "$1")
    # shellcheck disable=SC2086  # a list of numbers
    [ -z "$pids" ] || kill -KILL $pids 2> /dev/null || true
    for ns in $(hosts_namespaces "$1"); do
        ip netns delete "$ns"
    done
}
