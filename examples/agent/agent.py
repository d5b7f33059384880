#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An agent: loads datapath.bpf.o for every node and attaches it by TCX.

It needs the standard library and libbpf.so.1 (apt-get install libbpf1). It reads requests as JSON
lines from stdin and answers each with a line on stdout. What it has attached goes when it ends, as
the links are its own descriptors.
"""

import ctypes
import ipaddress
import json
import os
import struct
import sys
from pathlib import Path

OBJECT = Path(__file__).resolve().with_name("datapath.bpf.o")
TCX_INGRESS = 46  # enum bpf_attach_type, linux/bpf.h
CLONE_NEWNET = 0x40000000
PROGRAMS = {"pod": "from_pod", "uplink": "from_wire"}  # kind of interface -> program

libc = ctypes.CDLL(None, use_errno=True)
libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
for function in (
    "bpf_object__open_file",
    "bpf_object__find_program_by_name",
    "bpf_object__find_map_by_name",
):
    getattr(libbpf, function).restype = ctypes.c_void_p


def checked(result, what):
    """A call's result, unless it is an error."""
    if result is None or result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


class Node:
    """A node: an object of its own, whose map has the node's pods."""

    def __init__(self):
        self.links = {}  # ifindex -> descriptor of the link
        self.known = set()  # keys of the map
        opened = libbpf.bpf_object__open_file(bytes(OBJECT), None)
        self.object = ctypes.c_void_p(checked(opened, f"open {OBJECT}"))
        checked(libbpf.bpf_object__load(self.object), f"load {OBJECT}")
        self.map = self._fd("map", "pods")
        self.programs = {name: self._fd("program", name) for name in PROGRAMS.values()}

    def _fd(self, kind, name):
        found = getattr(libbpf, f"bpf_object__find_{kind}_by_name")(self.object, name.encode())
        found = ctypes.c_void_p(checked(found, f"find {kind} {name}"))
        return getattr(libbpf, f"bpf_{kind}__fd")(found)

    def update(self, node):
        """Make map and attachments what the node is like now."""
        interfaces = {interface["name"]: interface for interface in node["interfaces"]}
        own = [address for i in interfaces.values() for address in i["addresses"]]
        pods = {key_of(address): bytes(20) for address in own}
        for pod in node["pods"]:
            host = interfaces[pod["host_interface"]]
            macs = mac(pod["mac"]) + mac(host["mac"])
            value = struct.pack("=II12s", host["ifindex"], host["mtu"], macs)
            for address in pod["addresses"]:
                pods[key_of(address)] = value
        for key in self.known - set(pods):
            libbpf.bpf_map_delete_elem(self.map, key)
        for key, value in pods.items():
            updated = libbpf.bpf_map_update_elem(self.map, key, value, ctypes.c_uint64(0))
            checked(updated, "write the map of pods")
        self.known = set(pods)
        self._attach(node["netns"], interfaces.values())

    def _attach(self, netns, interfaces):
        wanted = {i["ifindex"]: PROGRAMS[i["kind"]] for i in interfaces if i["kind"] in PROGRAMS}
        for ifindex in set(self.links) - set(wanted):
            os.close(self.links.pop(ifindex))
        with open(netns) as namespace:  # an ifindex is one of the caller's namespace
            checked(libc.setns(namespace.fileno(), CLONE_NEWNET), f"enter {netns}")
        for ifindex in set(wanted) - set(self.links):
            program = self.programs[wanted[ifindex]]
            link = libbpf.bpf_link_create(program, ifindex, TCX_INGRESS, None)
            self.links[ifindex] = checked(link, f"attach to ifindex {ifindex} by TCX")

    def close(self):
        """Detach and unload."""
        for link in self.links.values():
            os.close(link)
        libbpf.bpf_object__close(self.object)


def key_of(address):
    """Of the map: an IPv6 address, or an IPv4 address behind zeros."""
    return ipaddress.ip_interface(address).packed.rjust(16, b"\0")


def mac(text):
    """Six bytes."""
    return bytes.fromhex(text.replace(":", ""))


class Agent:
    """What is asked for, a method a verb; each returns what its answer has besides `ok`."""

    def __init__(self):
        self.nodes = {}

    def version(self, _request):
        return {"protocol": 1, "name": "example-agent", "version": "1.0"}

    def add(self, request):
        for node in request["nodes"]:
            if node["name"] not in self.nodes:
                self.nodes[node["name"]] = Node()
            self.nodes[node["name"]].update(node)
        return {"programs": [{"name": name} for name in PROGRAMS.values()]}

    sync = add

    def status(self, _request):
        lines = []
        for name, node in self.nodes.items():
            places = ", ".join(map(str, sorted(node.links)))
            lines.append(f"{name}: {len(node.known)} addresses; attached to ifindex {places}")
        return {"text": "\n".join(lines)}

    def delete(self, _request):
        while self.nodes:
            self.nodes.popitem()[1].close()
        return {}


def main():
    """Answer until the input ends."""
    agent = Agent()
    verbs = {
        "VERSION": agent.version,
        "ADD": agent.add,
        "SYNC": agent.sync,
        "STATUS": agent.status,
        "DEL": agent.delete,
    }
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"ok": True, **verbs[request["verb"]](request)}
        except OSError as error:
            answer = {"ok": False, "code": error.errno or 0, "msg": error.strerror or str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
