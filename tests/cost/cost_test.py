"""Instructions of a packet in userspace: they are as stored, and the same for any number of lanes."""

import shutil

import pytest

from tests.cost import measure

# The most that a packet may cost with sixteen lanes, in multiples of its cost with one.
FLAT = 1.05


@pytest.fixture(scope="module")
def cost():
    """Returns a function for the Cost of a workload, which measures each workload once."""
    if not shutil.which("valgrind"):
        pytest.skip("valgrind is not installed")
    known = {}

    def of(name):
        if name not in known:
            known[name] = measure.measure(name)
        return known[name]

    return of


def figures_of(compiler):
    known = measure.stored()
    if compiler not in known:
        pytest.skip(f"no figures are stored for {compiler}, only for {', '.join(sorted(known))}: {measure.STORE}")
    return known[compiler]


@pytest.mark.parametrize("name", measure.WORKLOADS)
def test_instructions_a_packet_are_as_stored(cost, name):
    measured = cost(name)
    expected = figures_of(measured.compiler)
    assert name in expected, f"no figure is stored for '{name}': {measure.STORE}"
    wrong = measure.problem(name, measured.instructions, expected[name])
    assert not wrong, f"{wrong}\nWhere they go:\n{measured.describe()}"


@pytest.mark.parametrize("function", ["reflect", "forward"])
@pytest.mark.parametrize("bursts", ["full bursts", "single frames"])
def test_cost_is_flat_in_lanes(cost, function, bursts):
    one, sixteen = (cost(f"{function}, {lanes}, {bursts}").instructions for lanes in ("1 lane", "16 lanes"))
    assert sixteen <= FLAT * one, f"{sixteen:.2f} instructions a frame with 16 lanes, {one:.2f} with one"


def test_it_is_the_same_each_time(cost):
    name = "reflect, 16 lanes, full bursts"
    assert measure.measure(name).functions == cost(name).functions


def test_what_costs_more_is_seen(cost):
    """The measurement follows the work: frames of single-frame bursts share no work, and reflect writes MACs while
    forward writes nothing."""
    for function in ("reflect", "forward"):
        assert cost(f"{function}, 1 lane, single frames").instructions > \
            1.5 * cost(f"{function}, 1 lane, full bursts").instructions
    full = [cost(f"{function}, 1 lane, full bursts") for function in ("reflect", "forward")]
    assert measure.problem("reflect", full[0].instructions, full[1].instructions)
    assert any("Reflect::Process" in name for name in full[0].functions)
    assert not any("cost::" in name for name in full[0].functions)


@pytest.mark.parametrize("stored, refused_as", [(0.95, "worse"), (0.98, ""), (1.0, ""), (1.02, ""), (1.05, "better")])
def test_comparison_refuses_either_way(cost, stored, refused_as):
    figure = cost("reflect, 1 lane, full bursts").instructions
    said = measure.problem("reflect", figure, stored * figure)
    assert (refused_as in said and measure.STORE in said) if refused_as else not said
