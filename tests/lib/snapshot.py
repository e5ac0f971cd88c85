"""State of the kernel that a program may change, as text to compare: links, filters, XDP, queues, bpffs, XPS. Counters
and times are left out."""

import os
import re

from tests.lib.command import run

# Numbers of `ip -d link` that change by themselves. All others must be as before.
_VOLATILE = re.compile(r" (?:tsecs|dadfailed|gso_max_\w+|gro_max_\w+) \S+")


def take(netns, pin_root):
    netdevs = [link["ifname"] for link in netns.json("ip", "-j", "link")]
    parts = {
        "links": _VOLATILE.sub("", netns.run("ip", "-d", "link").stdout),
        "qdiscs": netns.run("tc", "qdisc", "show").stdout,
        "addresses": netns.run("ip", "-o", "address").stdout,
        "bpffs": "\n".join(_tree(pin_root)),
    }
    # Reading xps_cpus of a device with one queue is an error, since there is nothing to choose.
    parts["xps"] = run(*netns.enter_with_sys("sh", "-c", "grep -s . /sys/class/net/*/queues/tx-*/xps_cpus"),
                       check=False).stdout
    for netdev in netdevs:
        parts[f"{netdev} filters"] = "".join(netns.run("tc", "filter", "show", "dev", netdev, hook, check=False).stdout
                                             for hook in ("ingress", "egress"))
        parts[f"{netdev} channels"] = netns.run("ethtool", "-l", netdev, check=False).stdout
        parts[f"{netdev} features"] = netns.run("ethtool", "-k", netdev, check=False).stdout
    return parts


def _tree(root):
    return sorted(os.path.join(at, name) for at, folders, files in os.walk(root) for name in folders + files)


def differences(before, after):
    """Returns a text for each part that changed."""
    changed = []
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            changed.append(f"{key}:\n- {before.get(key)}\n+ {after.get(key)}")
    return changed
