# SPDX-License-Identifier: Apache-2.0
"""Build a topology: namespaces, veth and netkit pairs, addresses, routes, neighbours.

pyroute2 only; everything lives in namespaces that no name holds, so that it vanishes with us.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count

from harness.plumbing.closable import Closable
from harness.plumbing.signals import interrupt_if_due
from harness.topology import addressing as plan
from harness.topology import big_tcp, netkit, sysctls
from harness.topology.addressing import Addresses, Family
from harness.topology.description import Topology
from harness.topology.hosts import POD_IF, Host, Node, Pod

#: The ifindex of one end of every pair starts here; the kernel numbers the other end from 2. An end
#: whose ifindex equals its peer's, in another namespace, is taken for a plain device by
#: linkwatch_urgent_event() (net/core/link_watch.c): its carrier event then waits up to a second,
#: and with the event come MLD reports in the middle of a test.
_IFINDEX = 1000
_ONLINK = 4  # RTNH_F_ONLINK, uapi/linux/rtnetlink.h
_STATIC, _MASTER = 0x40, 0x04  # NUD_NOARP, NTF_MASTER, uapi/linux/neighbour.h
_LINK = 253  # RT_SCOPE_LINK, uapi/linux/rtnetlink.h


class Network(Closable):
    """A built topology; leaving the context (or `close`) lets every namespace go.

    Attributes:
        topology: What was built.
        nodes: In order.
        pods: In order of their number.
        world: The host outside the cluster, if any.
        switch: The namespace of the wire's bridge, if any.
    """

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.nodes: list[Node] = []
        self.pods: list[Pod] = []
        self.world: Host | None = None
        self.switch: Host | None = None
        self._ifindexes = count(_IFINDEX)
        self._pins: sysctls.Pins | None = None
        self._closing = ExitStack()
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    @property
    def hosts(self) -> list[Host]:
        """Every namespace of the testbed."""
        extra = [host for host in (self.world, self.switch) if host is not None]
        return [*self.nodes, *self.pods, *extra]

    def host(self, name: str) -> Host:
        """The host of that name.

        Raises:
            KeyError: There is none.
        """
        return {host.name: host for host in self.hosts}[name]

    def interfaces(self) -> list[tuple[Host, str]]:
        """Every interface but `lo` and the bridges themselves, in a packet's order from pod1 on."""
        first, *others = self.nodes
        hosts: list[Host] = [self.pods[0], first]
        hosts += [host for host in (self.switch,) if host is not None]
        rows = [(host, ifname) for host in hosts for ifname in host.macs]
        for node in others:
            inwards = [*node.uplinks, *(name for name in node.macs if name not in node.uplinks)]
            rows += [(node, ifname) for ifname in inwards]
        last = [*self.pods[1:], *([self.world] if self.world is not None else [])]
        return rows + [(host, ifname) for host in last for ifname in host.macs]

    def close(self) -> None:
        """Let every namespace go."""
        self._closing.close()

    def remake(self, pod: Pod) -> None:
        """Delete a pod and make it anew, as when it is scheduled again.

        Name, addresses and MACs stay. Its namespace and the indexes of its devices are others.
        """
        node = pod.node
        node.delete_link(pod.lxc)
        pod.renew()
        assert self._pins is not None
        self._pins.pin(pod.ns)
        self._join(node, pod)
        with node.together(), pod.together():
            node.up(pod.lxc)
            for ifname in ("lo", *pod.macs):
                pod.up(ifname)
            self._configure_pod(pod)
        node.await_settled()
        pod.await_settled()

    def assign(self, pod: Pod, addresses: Sequence[str]) -> None:
        """Give a pod more addresses: on its eth0, and in its node's routes."""
        pod.more += addresses
        with pod.node.together(), pod.together():
            for address in addresses:
                self._configure_address(pod, address)
        pod.await_settled()

    def withdraw(self, pod: Pod, address: str) -> None:
        """Take from a pod an address that it was assigned."""
        pod.more.remove(address)
        family = Family.of(address)
        pod.delete_address(POD_IF, address, family.host_prefix)
        pod.node.delete_route(f"{address}/{family.host_prefix}", dev=pod.lxc)

    def _adopt(self, host: Host) -> None:
        self._closing.callback(host.close)
        if self._pins is None:
            self._pins = sysctls.Pins(host.ns)
        self._pins.pin(host.ns)
        host.links["lo"] = 1  # LOOPBACK_IFINDEX

    def _build(self) -> None:
        top = self.topology
        for number in range(1, top.nodes + 1):
            node = Node(number, top.node_name(number))
            self.nodes.append(node)
            self._adopt(node)
            node.ns.sysctls(sysctls.FORWARDING)
            for _ in range(top.pods_on(number)):
                self._add_pod(node)
        wires = self._lay_wires() if top.has_wire else []
        self._pin_devices()
        with self._together():
            for host in self.hosts:
                for ifname in ("lo", *host.macs):
                    host.up(ifname)
        with self._together():
            for pod in self.pods:
                self._configure_pod(pod)
            for number, ends in enumerate(wires):
                self._configure_wire(number, ends)
            if wires:
                self._route_over_wire(wires[0])
            else:
                node = self.nodes[0]
                for family in Family:
                    node.add_address("lo", node.addresses[family], family.host_prefix)
        for host in self.hosts:
            host.await_settled()

    def _pin_devices(self) -> None:
        if self._pins is not None:
            for host in self.hosts:
                self._pins.pin_devices(host.ns, ("lo", *host.macs))

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Every host's changes at once, when the context ends: a batch a host."""
        with ExitStack() as batches:
            for host in self.hosts:
                batches.enter_context(host.together())
            yield

    def _add_pod(self, node: Node) -> None:
        interrupt_if_due()
        number = len(self.pods) + 1
        pod = Pod(number, node, plan.pod(node.number, len(node.pods) + 1))
        self._adopt(pod)
        node.pods.append(pod)
        self.pods.append(pod)
        if self.topology.pods_have_macs:
            node.macs[pod.lxc] = plan.mac("lxc", number)
        else:
            node.macs[pod.lxc] = pod.macs[POD_IF] = plan.NO_MAC
        self._join(node, pod)

    def _configure_pod(self, pod: Pod) -> None:
        node = pod.node
        node.add_address(pod.lxc, plan.link_local("lxc", pod.number), 64)
        for family in Family:
            gateway = node.gateway[family]
            for address in pod.every_address(family):
                self._configure_address(pod, address)
            pod.add_route("default", dev=POD_IF, gateway=gateway, flags=_ONLINK)
            if self._knows_neighbours:
                pod.add_neighbour(POD_IF, gateway, pod.lxc_mac)

    def _configure_address(self, pod: Pod, address: str) -> None:
        prefix = Family.of(address).host_prefix
        pod.add_address(POD_IF, address, prefix)
        pod.node.add_route(f"{address}/{prefix}", dev=pod.lxc, scope=_LINK)
        if self._knows_neighbours:
            pod.node.add_neighbour(pod.lxc, address, pod.mac)

    @property
    def _knows_neighbours(self) -> bool:
        """Whether pods and their nodes know each other's MACs beforehand."""
        return self.topology.quiet and self.topology.pods_have_macs

    def _join(self, node: Node, pod: Pod) -> None:
        device, mtu = self.topology.pod_device, self.topology.pod_mtu
        if device in netkit.MODES:
            mode = netkit.MODES[device]
            node.add_netkit(pod.lxc, next(self._ifindexes), pod, POD_IF, mtu, mode)
            self._offloads((node, pod.lxc), (pod, POD_IF))
        else:
            self._veth(node, pod.lxc, pod, POD_IF, mtu)

    def _veth(self, left: Host, left_if: str, right: Host, right_if: str, mtu: int) -> None:
        left.add_veth(left_if, next(self._ifindexes), right, right_if, mtu)
        self._offloads((left, left_if), (right, right_if))

    def _offloads(self, *ends: tuple[Host, str]) -> None:
        for host, ifname in ends:
            if not self.topology.offloads:
                host.offloads_off(ifname)
            if self.topology.gso_max:
                big_tcp.allow(host.ns, host.ifindex(ifname), self.topology.gso_max)

    def _lay_wires(self) -> list[list[tuple[Host, str]]]:
        """Join the nodes, and the world; returns each wire's ends: a host and its interface."""
        top = self.topology
        if top.world:
            self.world = Host("world", plan.WORLD)
            self._adopt(self.world)
        if top.has_switch:
            self.switch = Host("switch", Addresses("", ""))
            self._adopt(self.switch)
            off = {f"ipv6/conf/{which}/disable_ipv6": 1 for which in ("all", "default")}
            self.switch.ns.sysctls({**off})
        return [self._lay_wire(number) for number in range(top.uplinks)]

    def _lay_wire(self, wire: int) -> list[tuple[Host, str]]:
        ifname = plan.UPLINKS[wire]
        ends: list[tuple[Host, str]] = []
        for node in self.nodes:
            node.uplinks.append(ifname)
            node.macs[ifname] = plan.mac("nic", wire << 8 | node.number)
            ends.append((node, ifname))
        if self.world is not None:
            self.world.macs[f"eth{wire}"] = plan.mac("world", wire << 8 | 1)
            ends.append((self.world, f"eth{wire}"))
        if self.switch is not None:
            self._switch_wire(self.switch, wire, ends)
        else:
            self._veth(self.nodes[0], ifname, self.nodes[1], ifname, self.topology.wire_mtu)
        return ends

    def _configure_wire(self, wire: int, ends: list[tuple[Host, str]]) -> None:
        addresses = {host: self._address_on(wire, host) for host, _ in ends}
        for host, ifname in ends:
            for family, network in plan.WIRES[wire].items():
                host.add_address(ifname, addresses[host][family], network.prefixlen)
            role, number = ("nic", host.number) if isinstance(host, Node) else ("world", 1)
            host.add_address(ifname, plan.link_local(role, number), 64)
            for other, other_if in ends:
                if other is not host and self.topology.quiet:
                    for family in Family:
                        mac = other.macs[other_if]
                        host.add_neighbour(ifname, addresses[other][family], mac)

    @staticmethod
    def _address_on(wire: int, host: Host) -> Addresses:
        if isinstance(host, Node):
            return plan.node_uplink(host.number, wire)
        return plan.world_uplink(wire)

    def _route_over_wire(self, ends: list[tuple[Host, str]]) -> None:
        for host, ifname in ends:
            for node in self.nodes:
                if node is not host:
                    for family, network in plan.pod_networks(node.number).items():
                        host.add_route(str(network), dev=ifname, gateway=node.addresses[family])
                    if len(node.pods) > plan.MAX_PODS_PER_NODE:
                        more = str(plan.MORE_PODS)
                        host.add_route(more, dev=ifname, gateway=node.addresses.ipv4)
        if self.world is None:
            return
        for family in Family:
            self.world.add_address("lo", plan.WORLD[family], family.host_prefix)
            for node in self.nodes:
                gateway = plan.world_uplink()[family]
                node.add_route("default", dev=node.uplink, gateway=gateway)

    def _switch_wire(self, switch: Host, wire: int, ends: list[tuple[Host, str]]) -> None:
        """A bridge that floods nothing of its own: no STP, no snooping, no IPv6 of its own."""
        bridge_if = f"br{wire}"
        switch.ns.netlink.link("add", kind="bridge", ifname=bridge_if, br_mcast_snooping=0)
        bridge = switch.ifindex(bridge_if)
        for host, ifname in ends:
            port = host.name if wire == 0 else f"{host.name}.{wire + 1}"
            switch.macs[port] = plan.mac("switch", len(switch.macs) + 1)
            self._veth(switch, port, host, ifname, self.topology.wire_mtu)
            switch.ns.netlink.link("set", index=switch.ifindex(port), master=bridge)
            if self.topology.quiet:  # else a first frame is flooded to every port
                switch.ns.netlink.fdb(
                    "add", ifindex=switch.ifindex(port), lladdr=host.macs[ifname],
                    state=_STATIC, flags=_MASTER,
                )  # fmt: skip
        switch.up(bridge_if)
