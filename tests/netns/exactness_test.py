"""Closed loop: every packet comes back once, in order and unharmed, and all counters agree."""

import pytest

from tests.lib import flowgen

# With both directions together this is less than half of veth's ring of 256 (drivers/net/veth.c: VETH_RING_SIZE).
WINDOW = 60
SHAPES: dict[str, dict[str, int]] = {
    "ipv4": {},
    "ipv6": {"ipv6": True, "size": 84},
    "vlan": {"vlan": 7},
    "large": {"size": 1514},
    "odd": {"size": 333},
    "many-flows": {"flows": 1000},
}


def send(device, programs, count=5_000, **options):
    options = {"flows": 32, "rate": 0, "window": WINDOW, "count": count, "settle": 0.5, **options}
    return flowgen.run(programs, **device.traffic(), **options)


def summed(status, counter):
    return sum(queue[counter] for port in status["ports"] for queue in [*port["queues"], port["bridge"]])


def check_balance(status, packets):
    balance = status["balance"]
    assert balance["received"] == balance["transmitted"] == packets
    assert balance["dropped"] == balance["held"] == balance["unaccounted"] == 0
    assert summed(status, "rx_packets") == summed(status, "tx_packets") == packets


@pytest.mark.parametrize("pairs", [1, 2, 4])
@pytest.mark.parametrize("shape", SHAPES)
def test_reflect(reflector, programs, pairs, shape):
    device = reflector(queue_pairs=pairs).start()
    report = send(device, programs, **SHAPES[shape])
    assert report["exact"], flowgen.words(report)
    assert report["directions"][0]["macs_swapped"] == report["total"]["sent"] == 5_000
    check_balance(device.agent.settled(), 5_000)
    device.agent.stop()


@pytest.mark.parametrize("pairs", [1, 2, 4])
@pytest.mark.parametrize("shape", SHAPES)
def test_forward(wire, programs, pairs, shape):
    device = wire(queue_pairs=pairs).start()
    report = send(device, programs, **SHAPES[shape])
    assert report["exact"], flowgen.words(report)
    assert [d["macs_unchanged"] for d in report["directions"]] == [5_000, 5_000]
    check_balance(device.agent.settled(), 10_000)
    device.agent.stop()


@pytest.mark.parametrize("poll", ["adaptive", "busy", "interrupt"])
def test_every_way_of_polling(reflector, programs, poll):
    device = reflector(queue_pairs=2, dataplane={"poll": poll}).start()
    report = send(device, programs)
    assert report["exact"], flowgen.words(report)
    check_balance(device.agent.settled(), 5_000)


def test_skb_mode(reflector, programs):
    device = reflector(queue_pairs=2, dataplane={"mode": "skb"}).start()
    report = send(device, programs)
    assert report["exact"], flowgen.words(report)
    port = device.agent.port("wan")
    assert port["xdp"]["mode"] == "skb"
    assert {queue["mode"] for queue in port["queues"]} == {"skb"}


def test_every_queue_gets_its_share(reflector, programs):
    device = reflector(queue_pairs=4).start()
    send(device, programs, flows=200)
    received = [queue["rx_packets"] for queue in device.agent.port("wan")["queues"]]
    assert len(received) == 4 and all(received), received


def test_rules_decide(reflector, programs):
    rules = """
[[rule]]
proto = "udp"
dst_port = 7
action = "drop"

[[rule]]
proto = "udp"
dst_port = 8
action = "pass"
"""
    device = reflector(more=rules).start()
    dropped = send(device, programs, count=100, rate=1000, window=None, dst_port=7)
    passed = send(device, programs, count=100, rate=1000, window=None, dst_port=8)
    taken = send(device, programs, count=100, dst_port=9)
    assert [report["total"]["received"] for report in (dropped, passed, taken)] == [0, 0, 100]
    verdicts = device.agent.port("wan")["queues"][0]["xdp_packets"]
    assert verdicts["drop"] == 100
    assert verdicts["pass"] >= 100
    assert verdicts["dataplane"] == 100
    check_balance(device.agent.settled(), 100)


def test_function_leaves_the_guests_own_traffic_alone(reflector, programs):
    device = reflector()
    device.gen.run("ip", "addr", "add", "192.0.2.1/24", "dev", "a0")
    device.dut.run("ip", "addr", "add", "192.0.2.2/24", "dev", "wan0")
    device.start()
    device.gen.run("ping", "-c", 5, "-i", 0.1, "-w", 90, "192.0.2.2")
    assert send(device, programs, count=1000)["exact"]
    device.gen.run("ping", "-c", 5, "-i", 0.1, "-w", 90, "192.0.2.2")
    check_balance(device.agent.settled(), 1000)


def test_address_given_later_is_the_guests_own_too(reflector):
    device = reflector().start()
    device.gen.run("ip", "addr", "add", "192.0.2.1/24", "dev", "a0")
    device.dut.run("ip", "addr", "add", "192.0.2.2/24", "dev", "wan0")
    device.gen.run("ping", "-c", 5, "-i", 0.5, "-W", 1, "-w", 90, "192.0.2.2")
