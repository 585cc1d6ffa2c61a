// SPDX-License-Identifier: MIT
//
// A packet filter for XDP: reads Ethernet, up to two VLAN tags, IPv4 with options, IPv6 with extension headers,
// TCP, UDP and ICMP; drops what is malformed, fragmented, from a blocked source or to a blocked port; answers pings
// itself; counts everything.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define VLAN_TAGS 2
#define IPV4_FRAGMENT 0x3fff /* more fragments, or an offset */
#define IPV6_FRAGMENT 0xfff9
#define MAX_OFFSET 2048 /* no header that is looked at begins behind it */

/* Why a packet met its fate; index of `verdicts`. */
enum reason {
    PASSED,
    NOT_IP,
    ANSWERED,
    BLOCKED_SOURCE,
    BLOCKED_PORT,
    FRAGMENT,
    MALFORMED,
    REASONS,
};

/* IPv4 addresses are held as ::ffff:a.b.c.d, so that one map does for both. */
struct address {
    __be32 words[4];
};

struct port {
    __be16 number;
    __u8 protocol;
    __u8 zero;
};

struct rule {
    __u32 id;
    __u32 flags;
    __u64 hits;
};

struct traffic {
    __u64 packets;
    __u64 bytes;
};

struct vlan {
    __be16 tag;
    __be16 type;
};

/* ICMP echo. <linux/icmp.h> would bring in the C library's headers. */
struct echo {
    __u8 type;
    __u8 code;
    __sum16 checksum;
};

#define ECHO_REQUEST 8
#define ECHO_REPLY 0

/* What has been read so far, and from which byte the next header has to be read. */
struct packet {
    struct xdp_md *xdp;
    __u32 offset;
    __u8 protocol;
    __u8 fragment;
    __u16 malformed;
    struct address source;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __type(key, struct address);
    __type(value, struct rule);
} blocked SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 64);
    __type(key, struct port);
    __type(value, struct rule);
} ports SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 512);
    __type(key, struct address);
    __type(value, struct traffic);
} sources SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, REASONS);
    __type(key, enum reason);
    __type(value, struct traffic);
} verdicts SEC(".maps");

/* Set by whoever loads the program, before it does. */
const volatile struct {
    __u32 extension_headers;
    __u8 drop_fragments;
    __u8 answer_pings;
    __u8 verify_checksums;
} config = {
    .extension_headers = 8,
    .drop_fragments = 1,
    .answer_pings = 1,
    .verify_checksums = 1,
};

const volatile __u8 actions[8] = {
    [PASSED] = XDP_PASS,
    [NOT_IP] = XDP_PASS,
    [ANSWERED] = XDP_TX,
    [BLOCKED_SOURCE] = XDP_DROP,
    [BLOCKED_PORT] = XDP_DROP,
    [FRAGMENT] = XDP_DROP,
    [MALFORMED] = XDP_DROP,
};

__u64 packets_seen;

/*
 * Points `at` to the next `size` bytes of the packet; 0 where it ends earlier. Inlined, because only then does the
 * verifier see the check; and the answer is no NULL pointer, because compilers take packet pointers for 32-bit values
 * and would compare only half of one.
 */
static __always_inline int read(struct packet *packet, __u32 size, void *at)
{
    void *end = (void *)(long)packet->xdp->data_end;
    void *data = (void *)(long)packet->xdp->data;

    if (packet->offset > MAX_OFFSET)
        return 0;
    data += packet->offset;
    *(void **)at = data;
    return data + size <= end;
}

/* Whether the Internet checksum of a header of `halves` 16-bit words is right: their sum is all ones. */
static __noinline int checksum_ok(struct xdp_md *xdp, __u32 offset, __u32 halves)
{
    void *end = (void *)(long)xdp->data_end;
    void *data = (void *)(long)xdp->data;
    __u32 sum = 0;

    if (offset > MAX_OFFSET)
        return 0;
    data += offset;
#pragma clang loop unroll(disable)
    for (__u32 i = 0; i < 30; i++) {
        __u16 *half = data + 2 * i;

        if (i == halves)
            break;
        if ((void *)(half + 1) > end)
            return 0;
        sum += *half;
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff;
}

/* Called by bpf_loop for each IPv6 extension header; 1 ends the walk. */
static long skip_extension(__u32 step, void *context)
{
    struct packet *packet = context;
    __u8 kind = packet->protocol;
    __u8 *bytes;

    if (kind != IPPROTO_HOPOPTS && kind != IPPROTO_ROUTING && kind != IPPROTO_DSTOPTS &&
        kind != IPPROTO_FRAGMENT && kind != IPPROTO_AH)
        return 1;
    if (!read(packet, 8, &bytes)) {
        packet->malformed = 1;
        return 1;
    }
    packet->protocol = bytes[0];
    if (kind == IPPROTO_FRAGMENT) {
        packet->fragment |= (*(__be16 *)(bytes + 2) & bpf_htons(IPV6_FRAGMENT)) != 0;
        packet->offset += 8;
    } else if (kind == IPPROTO_AH) {
        packet->offset += (bytes[1] + 2) * 4;
    } else {
        packet->offset += (bytes[1] + 1) * 8;
    }
    return 0;
}

static __always_inline enum reason read_ipv4(struct packet *packet)
{
    struct iphdr *ip;
    __u32 length, total;
    void *rest;

    if (!read(packet, sizeof(*ip), &ip) || ip->version != 4 || ip->ihl < 5)
        return MALFORMED;
    length = ip->ihl * 4;
    total = bpf_ntohs(ip->tot_len);
    if (total < length || !read(packet, total, &rest))
        return MALFORMED;
    packet->source.words[2] = bpf_htonl(0xffff);
    packet->source.words[3] = ip->saddr;
    packet->protocol = ip->protocol;
    packet->fragment = (ip->frag_off & bpf_htons(IPV4_FRAGMENT)) != 0;
    if (config.verify_checksums && !checksum_ok(packet->xdp, packet->offset, length / 2))
        return MALFORMED;
    packet->offset += length;
    return PASSED;
}

static __always_inline enum reason read_ipv6(struct packet *packet)
{
    struct ipv6hdr *ip;

    if (!read(packet, sizeof(*ip), &ip) || ip->version != 6)
        return MALFORMED;
    __builtin_memcpy(&packet->source, &ip->saddr, sizeof(packet->source));
    packet->protocol = ip->nexthdr;
    packet->offset += sizeof(*ip);
    bpf_loop(config.extension_headers, skip_extension, packet, 0);
    return packet->malformed ? MALFORMED : PASSED;
}

/* Turns an ICMP echo request into its answer: addresses change places, the checksum follows the changed type. */
static __noinline enum reason answer_ping(struct xdp_md *xdp, __u32 at)
{
    void *end = (void *)(long)xdp->data_end;
    void *data = (void *)(long)xdp->data;
    struct ethhdr *eth = data;
    struct iphdr *ip;
    struct echo *icmp;
    __u8 mac[ETH_ALEN];
    __be32 address;
    __u32 sum;

    if (at > MAX_OFFSET)
        return MALFORMED;
    ip = data + at;
    icmp = (void *)(ip + 1);
    if ((void *)(eth + 1) > end || (void *)(icmp + 1) > end)
        return MALFORMED;
    if (ip->ihl != 5 || icmp->type != ECHO_REQUEST || icmp->code != 0)
        return PASSED;
    __builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
    __builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
    __builtin_memcpy(eth->h_source, mac, ETH_ALEN);
    address = ip->daddr;
    ip->daddr = ip->saddr;
    ip->saddr = address;
    icmp->type = ECHO_REPLY;
    sum = icmp->checksum + bpf_htons(ECHO_REQUEST << 8);
    icmp->checksum = (sum & 0xffff) + (sum >> 16);
    return ANSWERED;
}

/* Looks at the transport header: its destination port has to be allowed. */
static __always_inline enum reason read_transport(struct packet *packet)
{
    struct port port = {.protocol = packet->protocol};
    struct rule *rule;

    if (packet->protocol == IPPROTO_TCP) {
        struct tcphdr *tcp;
        void *rest;

        if (!read(packet, sizeof(*tcp), &tcp) || tcp->doff < 5 || !read(packet, tcp->doff * 4, &rest))
            return MALFORMED;
        port.number = tcp->dest;
    } else if (packet->protocol == IPPROTO_UDP) {
        struct udphdr *udp;

        if (!read(packet, sizeof(*udp), &udp) || bpf_ntohs(udp->len) < sizeof(*udp))
            return MALFORMED;
        port.number = udp->dest;
    } else {
        return PASSED;
    }
    rule = bpf_map_lookup_elem(&ports, &port);
    if (!rule)
        return PASSED;
    __sync_fetch_and_add(&rule->hits, 1);
    return BLOCKED_PORT;
}

static __noinline void count_source(struct address *source, __u64 bytes)
{
    struct traffic *traffic = bpf_map_lookup_elem(&sources, source);
    struct traffic first = {.packets = 1, .bytes = bytes};

    if (!traffic) {
        bpf_map_update_elem(&sources, source, &first, BPF_ANY);
        return;
    }
    __sync_fetch_and_add(&traffic->packets, 1);
    __sync_fetch_and_add(&traffic->bytes, bytes);
}

static __always_inline enum reason inspect(struct packet *packet, __u64 bytes)
{
    struct ethhdr *eth;
    struct rule *rule;
    __be16 type;
    __u32 network;
    enum reason reason;

    if (!read(packet, sizeof(*eth), &eth))
        return MALFORMED;
    type = eth->h_proto;
    packet->offset = sizeof(*eth);
    for (int i = 0; i < VLAN_TAGS; i++) {
        struct vlan *vlan;

        if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
            break;
        if (!read(packet, sizeof(*vlan), &vlan))
            return MALFORMED;
        type = vlan->type;
        packet->offset += sizeof(*vlan);
    }
    network = packet->offset;
    if (type == bpf_htons(ETH_P_IP))
        reason = read_ipv4(packet);
    else if (type == bpf_htons(ETH_P_IPV6))
        reason = read_ipv6(packet);
    else
        return NOT_IP;
    if (reason != PASSED)
        return reason;

    count_source(&packet->source, bytes);
    rule = bpf_map_lookup_elem(&blocked, &packet->source);
    if (rule) {
        __sync_fetch_and_add(&rule->hits, 1);
        return BLOCKED_SOURCE;
    }
    if (packet->fragment)
        return config.drop_fragments ? FRAGMENT : PASSED;
    if (type == bpf_htons(ETH_P_IP) && packet->protocol == IPPROTO_ICMP && config.answer_pings)
        return answer_ping(packet->xdp, network);
    return read_transport(packet);
}

SEC("xdp")
int firewall(struct xdp_md *xdp)
{
    struct packet packet = {.xdp = xdp};
    __u64 bytes = xdp->data_end - xdp->data;
    enum reason reason = inspect(&packet, bytes);
    struct traffic *verdict = bpf_map_lookup_elem(&verdicts, &reason);

    __sync_fetch_and_add(&packets_seen, 1);
    if (verdict) {
        verdict->packets++;
        verdict->bytes += bytes;
    }
    return actions[reason & 7];
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
