"""Starts sluice-agent in a namespace, and asks it by sluicectl.

    agent = Agent(world, programs, dut, config(ports={"wan": "wan0"}, function="reflect"))
    agent.start()
    agent.ctl("queues", "set", 2)
    assert agent.status()["balance"]["unaccounted"] == 0
"""

import signal

from tests.lib import command, protojson
from tests.lib.command import PATIENCE, wait_until

REFUSED, USAGE, UNREACHABLE, TIMED_OUT = 1, 2, 3, 4


def config(ports, function, queue_pairs=1, on_dataplane_down="pass", dataplane=None, more=""):
    """Returns the text of a configuration file; `ports` is {name: netdev}, `dataplane` has more keys of [dataplane]."""
    lines = []
    for name, netdev in ports.items():
        lines += ["[[port]]", f'name = "{name}"', f'netdev = "{netdev}"',
                  f'on_dataplane_down = "{on_dataplane_down}"', ""]
    lines += ["[dataplane]", f"queue_pairs = {queue_pairs}"]
    lines += [f"{key} = {_toml(value)}" for key, value in (dataplane or {}).items()]
    lines += ["", "[function]", f'type = "{function}"', "", more]
    return "\n".join(lines)


def _toml(value):
    return f'"{value}"' if isinstance(value, str) else str(value)


# No program's, and no user's of any machine: above the range that containers use (systemd's UIDS-GIDS.md).
DATAPLANE_UID = 2_000_000_001


class Agent:
    def __init__(self, world, programs, netns, text, name="agent"):
        self.world = world
        self.programs = programs
        self.netns = netns
        self.socket = world.folder / f"{name}.sock"
        self.pin_root = world.pin_root / name
        self.state_dir = world.folder / f"{name}-state"
        self.config = world.write(f"{name}.toml", text)
        self.user = DATAPLANE_UID
        self.process = None

    def start(self, *options, wrapper=()):
        """Starts it; returns once it answers and a dataplane runs. `wrapper` is a command that runs it."""
        self.launch(*options, wrapper=wrapper)
        wait_until(self._ready, "sluice-agent serving")
        return self

    def launch(self, *options, wrapper=()):
        self.process = self.world.start(*self.netns.enter_with_sys(
            *wrapper, self.programs.agent, "--config", self.config, "--socket", self.socket,
            "--bpf-dir", self.programs.bpf, "--pin-root", self.pin_root, "--dataplane", self.programs.dataplane,
            "--state-dir", self.state_dir, "--user", self.user, "--verbose", *options))

    def _ready(self):
        if not self.process.running():
            raise AssertionError(f"sluice-agent ended with {self.process.wait()}\n{self.process.output()}")
        done = self.ctl("status", "-o", "json", check=False)
        return done.returncode == 0 and protojson.loads(done.stdout)["dataplane"]["state"] == "running"

    def refuses_to_start(self, wrapper=()):
        """Starts it, expects exit code 1, returns its output."""
        self.launch(wrapper=wrapper)
        code = self.process.wait()
        assert code == REFUSED, f"ended with {code}\n{self.process.output()}"
        return self.process.output()

    def ctl(self, *arguments, check=True, timeout=PATIENCE):
        return command.run(self.programs.ctl, "--socket", self.socket, *arguments, check=check, timeout=timeout)

    def ask(self, *arguments, timeout=PATIENCE):
        """Returns the JSON answer of a verb."""
        return protojson.loads(self.ctl(*arguments, "-o", "json", timeout=timeout).stdout)

    def refuse(self, *arguments, code=REFUSED, timeout=PATIENCE):
        """Expects this exit code; returns sluicectl's stderr."""
        done = self.ctl(*arguments, check=False, timeout=timeout)
        if done.returncode != code:
            raise command.CommandFailed(arguments, f"{done.returncode}, not {code}", done.stdout, done.stderr)
        return done.stderr

    def status(self):
        return self.ask("status")

    def port(self, name):
        return next(port for port in self.status()["ports"] if port["name"] == name)

    def settled(self):
        """Waits until no packet is held and the balance holds; returns the status then."""
        status = {}

        def quiet():
            status.update(self.status())
            return status["balance"]["held"] == 0 and status["balance"]["unaccounted"] == 0

        wait_until(quiet, lambda: f"balance {status.get('balance')}")
        return status

    def dataplane_pid(self):
        return self.status()["dataplane"]["pid"]

    def stop(self):
        """Sends SIGTERM, and expects exit code 0, which means that the kernel is put back."""
        code = self.process.stop()
        assert code == 0, f"sluice-agent ended with {code}\n{self.process.output()}"

    def kill(self):
        self.process.signal(signal.SIGKILL)
        self.process.wait()
