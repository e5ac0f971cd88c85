"""The naive way to resize: end the agent (it takes XDP off and puts the kernel back), `ethtool -L`, start the agent
with the new count. One script in the guest does it, so that only these steps take time.

Steps are timed by /proc/uptime, to 10 ms. Between the agent's end and its start packets go to the kernel's stack.
"""

from __future__ import annotations

from typing import Any

from tests.lib.vm import Vm

STEPS = ("agent ends, XDP off", "ethtool -L", "agent starts until it serves")
_SOCKET = "/run/sluice/agent.sock"
_SCRIPT = """
now() {{ cut -d' ' -f1 /proc/uptime; }}
agent=$(pidof sluice-agent) || exit 9
sed -i 's/^queue_pairs = .*/queue_pairs = {pairs}/' /etc/sluice/sluice.toml
now
kill -TERM $agent
while kill -0 $agent 2>/dev/null; do sleep 0.03; done
now
ethtool -L eth0 combined {pairs} || exit 8
now
rm -f {socket}
setsid sluice-agent >/run/naive.log 2>&1 </dev/null &
for try in $(seq 600); do
    # Look for the socket first: running sluicectl takes long in an emulated guest.
    [ -S {socket} ] && sluicectl status -o json 2>/dev/null | grep -q '"running"' && break
    sleep 0.05
done
now
ethtool -l eth0 | tail -4 | grep -q "Combined:[^0-9]*{pairs}$" || exit 7
"""


def resize(vm: Vm, pairs: int) -> dict[str, Any]:
    """Resizes; returns the times of the steps, or the script's output as `failed`."""
    done = vm.guest.run(_SCRIPT.format(pairs=pairs, socket=_SOCKET), timeout=90)
    if done.rc != 0:
        return {"failed": f"exit code {done.rc}: {done.out.strip()}"}
    times = [float(line) for line in done.out.split() if line.replace(".", "", 1).isdigit()]
    took = [round(1e9 * (after - before)) for before, after in zip(times, times[1:])]
    return {"last_resize": {"blocked_ns": sum(took), "steps": [
        {"step": step, "took_ns": ns} for step, ns in zip(STEPS, took, strict=True)]}}
