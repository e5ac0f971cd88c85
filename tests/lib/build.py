"""Paths of the programs under test, in the build folder of SLUICE_BUILD or else build/dev."""

import os
import pathlib

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def folder():
    return pathlib.Path(os.environ.get("SLUICE_BUILD", REPOSITORY / "build/dev")).resolve()


class Programs:
    """Paths of a build's programs. FileNotFoundError names a missing one. `build` replaces folder()."""

    def __init__(self, build=None):
        self.build = build

    def _find(self, relative):
        path = (self.build or folder()) / relative
        if not path.exists():
            raise FileNotFoundError(f"{path} is not built (SLUICE_BUILD says where the build is)")
        return path

    @property
    def flowgen(self):
        return self._find("tests/traffic/flowgen")

    @property
    def wakeup(self):
        return self._find("tests/bench/wakeup/wakeup")

    @property
    def lane_size(self):
        return self._find("tests/bench/lane_size/lane_size")

    @property
    def flow_lookup(self):
        return self._find("tests/bench/lookup/flow_lookup")

    @property
    def liveload(self):
        return self._find("tests/bench/load/liveload")

    @property
    def kernel_path(self):
        return self._find("tests/bench/load/kernel_path.bpf.o")

    @property
    def agent(self):
        return self._find("control/agent/sluice-agent")

    @property
    def ctl(self):
        return self._find("control/cli/sluicectl")

    @property
    def dataplane(self):
        return self._find("dataplane/process/sluice-dataplane")

    @property
    def to_kernel_dataplane(self):
        """sluice-dataplane with a function of the tests (tests/dataplane/to_kernel_function.cc)."""
        return self._find("tests/dataplane/to_kernel_dataplane")

    @property
    def bpf(self):
        """Returns the folder of the .bpf.o files."""
        return self._find("bpf/sluice_steer.bpf.o").parent
