"""More packets than a worker can take: XDP drops those without room, counts them, and stops once there is room."""

from tests.lib import flowgen, liveload


def verdicts(status):
    counts = {}
    for queue in status["ports"][0]["queues"]:
        for verdict, packets in queue["xdp_packets"].items():
            counts[verdict] = counts.get(verdict, 0) + packets
    return counts


def test_what_there_is_no_room_for_is_dropped_by_xdp(reflector, programs):
    device = reflector(queue_pairs=1, dataplane={"workers": 1, "cores": [1]}).start()
    flood = liveload.run(programs, (device.gen, "a0"), dst_mac=device.mac, size=64, flows=256, cpu=0, duration=1)
    status = device.agent.settled()
    queue = status["ports"][0]["queues"][0]
    flooded = verdicts(status)
    assert queue["drops"]["overloaded"] == flooded["overloaded"] > 0
    # The socket received or counted every packet that XDP gave to it.
    assert flooded["dataplane"] == queue["rx_packets"] + queue["drops"].get("kernel_rx_dropped", 0)
    assert queue["rx_packets"] == queue["tx_packets"] > 0
    assert status["balance"]["unaccounted"] == status["balance"]["held"] == 0
    assert flood["total"]["wrong"] == 0

    # Afterwards nothing is lost.
    calm = flowgen.run(programs, **device.traffic(), flows=8, rate=0, window=60, count=10_000, settle=0.5)
    assert calm["exact"], flowgen.words(calm)
    assert verdicts(device.agent.settled())["overloaded"] == flooded["overloaded"]
    device.agent.stop()
