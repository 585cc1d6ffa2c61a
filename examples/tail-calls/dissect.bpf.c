// SPDX-License-Identifier: MIT
//
// A flow dissector for XDP: one program per protocol, each of which reads its header, notes what identifies the flow, and goes on to
// the program of the next header by a tail call. Two prog arrays, one for what Ethernet names and one for what IP names.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAX_OFFSET 1024 /* no header that is looked at begins behind it */
#define IPV4_OFFSET 0x1fff

enum by_ether_type { VLAN, IPV4, IPV6, ETHER_TYPES };
enum by_ip_protocol { TCP, UDP, GRE, IP_PROTOCOLS };

struct flow {
    __u32 offset; /* of the next header */
    __u16 ether_type;
    __u8 protocol;
    __u8 tunnels;
    __u32 source[4];
    __u32 destination[4];
    __u16 ports[2];
    __u16 vlan;
    __u16 fragment;
};

struct vlan {
    __be16 tag;
    __be16 type;
};

struct gre {
    __be16 flags;
    __be16 type;
};

int vlan(struct xdp_md *ctx);
int ipv4(struct xdp_md *ctx);
int ipv6(struct xdp_md *ctx);
int tcp(struct xdp_md *ctx);
int udp(struct xdp_md *ctx);
int gre(struct xdp_md *ctx);

struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, ETHER_TYPES);
    __uint(key_size, sizeof(__u32));
    __array(values, int(struct xdp_md *));
} ether_types SEC(".maps") = {
    .values = { [VLAN] = &vlan, [IPV4] = &ipv4, [IPV6] = &ipv6 },
};

struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, IP_PROTOCOLS);
    __uint(key_size, sizeof(__u32));
    __array(values, int(struct xdp_md *));
} ip_protocols SEC(".maps") = {
    .values = { [TCP] = &tcp, [UDP] = &udp, [GRE] = &gre },
};

/* The flow of the packet at hand, handed from program to program. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct flow);
} flows SEC(".maps");

/* Packets by how far they could be read. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 3);
    __type(key, __u32);
    __type(value, __u64);
} outcomes SEC(".maps");

enum outcome { KNOWN, UNKNOWN, MALFORMED };

static __always_inline struct flow *current_flow(void)
{
    __u32 zero = 0;

    return bpf_map_lookup_elem(&flows, &zero);
}

static __always_inline int end(__u32 outcome)
{
    __u64 *count = bpf_map_lookup_elem(&outcomes, &outcome);

    if (count)
        *count += 1;
    return outcome == MALFORMED ? XDP_DROP : XDP_PASS;
}

/* The next header, when all of it is there; NULL otherwise. */
static __always_inline void *header(struct xdp_md *ctx, struct flow *flow, __u32 size)
{
    void *data = (void *)(long)ctx->data;
    void *data_end = (void *)(long)ctx->data_end;
    __u32 offset = flow->offset;

    if (offset > MAX_OFFSET)
        return NULL;
    if (data + offset + size > data_end)
        return NULL;
    return data + offset;
}

static __always_inline int next_by_ether_type(struct xdp_md *ctx, struct flow *flow, __be16 type)
{
    flow->ether_type = bpf_ntohs(type);
    switch (type) {
    case bpf_htons(ETH_P_IP):
        bpf_tail_call_static(ctx, &ether_types, IPV4);
        break;
    case bpf_htons(ETH_P_IPV6):
        bpf_tail_call_static(ctx, &ether_types, IPV6);
        break;
    case bpf_htons(ETH_P_8021Q):
    case bpf_htons(ETH_P_8021AD):
        bpf_tail_call_static(ctx, &ether_types, VLAN);
        break;
    }
    return end(UNKNOWN);
}

static __always_inline int next_by_ip_protocol(struct xdp_md *ctx, struct flow *flow, __u8 protocol)
{
    flow->protocol = protocol;
    switch (protocol) {
    case IPPROTO_TCP:
        bpf_tail_call_static(ctx, &ip_protocols, TCP);
        break;
    case IPPROTO_UDP:
        bpf_tail_call_static(ctx, &ip_protocols, UDP);
        break;
    case IPPROTO_GRE:
        bpf_tail_call_static(ctx, &ip_protocols, GRE);
        break;
    /* An IP packet in an IP packet. */
    case IPPROTO_IPIP:
        flow->tunnels++;
        bpf_tail_call_static(ctx, &ether_types, IPV4);
        break;
    case IPPROTO_IPV6:
        flow->tunnels++;
        bpf_tail_call_static(ctx, &ether_types, IPV6);
        break;
    }
    return end(UNKNOWN);
}

SEC("xdp")
int dissect(struct xdp_md *ctx)
{
    struct flow *flow = current_flow();
    struct ethhdr *eth;

    if (!flow)
        return XDP_ABORTED;
    __builtin_memset(flow, 0, sizeof(*flow));
    eth = header(ctx, flow, sizeof(*eth));
    if (!eth)
        return end(MALFORMED);
    flow->offset = sizeof(*eth);
    return next_by_ether_type(ctx, flow, eth->h_proto);
}

SEC("xdp")
int vlan(struct xdp_md *ctx)
{
    struct flow *flow = current_flow();
    struct vlan *tag;

    if (!flow)
        return XDP_ABORTED;
    tag = header(ctx, flow, sizeof(*tag));
    if (!tag)
        return end(MALFORMED);
    flow->vlan = bpf_ntohs(tag->tag) & 0xfff;
    flow->offset += sizeof(*tag);
    return next_by_ether_type(ctx, flow, tag->type);
}

SEC("xdp")
int ipv4(struct xdp_md *ctx)
{
    struct flow *flow = current_flow();
    struct iphdr *ip;

    if (!flow)
        return XDP_ABORTED;
    ip = header(ctx, flow, sizeof(*ip));
    if (!ip || ip->version != 4 || ip->ihl < 5)
        return end(MALFORMED);
    flow->source[0] = ip->saddr;
    flow->destination[0] = ip->daddr;
    flow->offset += ip->ihl * 4;
    flow->fragment = bpf_ntohs(ip->frag_off) & IPV4_OFFSET;
    if (flow->fragment) /* the header behind it is in another packet */
        return end(KNOWN);
    return next_by_ip_protocol(ctx, flow, ip->protocol);
}

SEC("xdp")
int ipv6(struct xdp_md *ctx)
{
    struct flow *flow = current_flow();
    struct ipv6hdr *ip;

    if (!flow)
        return XDP_ABORTED;
    ip = header(ctx, flow, sizeof(*ip));
    if (!ip || ip->version != 6)
        return end(MALFORMED);
    __builtin_memcpy(flow->source, &ip->saddr, sizeof(flow->source));
    __builtin_memcpy(flow->destination, &ip->daddr, sizeof(flow->destination));
    flow->offset += sizeof(*ip);
    return next_by_ip_protocol(ctx, flow, ip->nexthdr);
}

SEC("xdp")
int tcp(struct xdp_md *ctx)
{
    struct flow *flow = current_flow();
    struct tcphdr *tcp;

    if (!flow)
        return XDP_ABORTED;
    tcp = header(ctx, flow, sizeof(*tcp));
    if (!tcp || tcp->doff < 5)
        return end(MALFORMED);
    flow->ports[0] = bpf_ntohs(tcp->source);
    flow->ports[1] = bpf_ntohs(tcp->dest);
    return end(KNOWN);
}

SEC("xdp")
int udp(struct xdp_md *ctx)
{
    struct flow *flow = current_flow();
    struct udphdr *udp;

    if (!flow)
        return XDP_ABORTED;
    udp = header(ctx, flow, sizeof(*udp));
    if (!udp)
        return end(MALFORMED);
    flow->ports[0] = bpf_ntohs(udp->source);
    flow->ports[1] = bpf_ntohs(udp->dest);
    return end(KNOWN);
}

/* Without the optional fields: whoever sets a flag gets no further. */
SEC("xdp")
int gre(struct xdp_md *ctx)
{
    struct flow *flow = current_flow();
    struct gre *gre;

    if (!flow)
        return XDP_ABORTED;
    gre = header(ctx, flow, sizeof(*gre));
    if (!gre)
        return end(MALFORMED);
    if (gre->flags)
        return end(UNKNOWN);
    flow->tunnels++;
    flow->offset += sizeof(*gre);
    return next_by_ether_type(ctx, flow, gre->type);
}

char LICENSE[] SEC("license") = "GPL";
