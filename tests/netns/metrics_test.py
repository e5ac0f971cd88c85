"""Metrics, as Prometheus itself reads them."""

import json
import re
import shutil

import pytest

from tests.lib import flowgen, prometheus
from tests.lib.agent import Agent, config
from tests.lib.build import REPOSITORY
from tests.lib.command import CommandFailed, run, wait_until

DEPLOY = REPOSITORY / "deploy/prometheus"
URL = "http://127.0.0.1:9477"


def send(device, programs, count):
    report = flowgen.run(programs, **device.traffic(), flows=16, rate=0, window=60, count=count, settle=0.3)
    assert report["exact"], flowgen.words(report)


def scraper(world, device):
    shutil.copy(DEPLOY / "sluice.rules.yml", world.folder)
    text = (DEPLOY / "prometheus.yml").read_text().replace("scrape_interval: 15s", "scrape_interval: 1s")
    return prometheus.Prometheus(world, device.dut, world.write("prometheus.yml", text))


def test_prometheus_reads_what_status_says(wire, world, programs):
    device = wire(queue_pairs=4).start()
    server = scraper(world, device)
    send(device, programs, 3000)
    wait_until(lambda: server.query("sluice_received_packets_total").get((), 0) > 0, server.process.output)
    device.resize(1)
    device.resize(2)
    status = device.agent.settled()
    wait_until(lambda: server.query("sum(sluice_resizes_total{result='done'})") == {(): 2},
               lambda: server.query("sluice_resizes_total"))
    assert server.query("sluice_received_packets_total") == {(): status["balance"]["received"]}

    counted = {(("port", port["name"]), ("queue", str(queue["index"]))): queue["rx_packets"]
               for port in status["ports"] for queue in [*port["queues"], *port["closed_queues"]]}
    assert len(counted) == 8, "every queue received something"
    counted |= {(("port", port["name"]), ("queue", "bridge")): port["bridge"]["rx_packets"] for port in status["ports"]}
    assert server.query("sluice_rx_packets_total") == counted
    assert server.query("sluice_received_packets_total + sluice_originated_packets_total == "
                        "sluice_transmitted_packets_total + sluice_passed_packets_total + "
                        "sluice_offloaded_packets_total + sluice_dropped_packets_total + sluice_held_packets")
    assert server.query("sum(sluice_rx_packets_total) == sum(sluice_received_packets_total)")
    assert server.query("sum(sluice_drops_total{reason!~'kernel_.*'}) == sum(sluice_dropped_packets_total)")
    # The counts of closed pairs stay in the sums, so no counter goes back.
    for name in ("rx_packets", "tx_packets", "drops", "xdp_packets", "received_packets", "resizes"):
        assert not server.query(f"resets(sluice_{name}_total[10m]) > 0"), name
    assert server.query("sluice_queue_pairs{port='wan',state='current'}") == {
        (("port", "wan"), ("state", "current")): 2}
    last = status["last_resize"]
    assert server.query("sluice_last_resize_info") == {
        (("from", "1"), ("method", last["method"]), ("result", "done"), ("to", "2")): 1}
    assert server.query("sluice_last_resize_held_packets") == {(): last["held"]}
    assert server.query("sluice_last_resize_lost_packets") == {(): last["lost"]}
    assert server.query("sluice_last_resize_blocked_seconds")[()] == pytest.approx(last["blocked_ns"] / 1e9)

    rules = [rule for group in server.api("rules")["groups"] for rule in group["rules"]]
    assert rules and all(rule["type"] == "alerting" for rule in rules), rules
    known = set(server.api("label/__name__/values"))
    for rule in rules:
        check_names(rule["query"], known)
    check_dashboard(server, known)
    device.agent.stop()


def check_names(expression, known):
    names = set(re.findall(r"sluice_\w+|\bup\b", expression))
    assert names and names <= known, f"{expression}: there is no {names - known}"


def check_dashboard(server, known):
    """Prometheus understands every panel's expressions, and has the metrics that they name."""
    panels = json.loads((DEPLOY / "grafana-dashboard.json").read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(expressions) >= len(panels) > 5
    for expression in expressions:
        server.query(expression.replace("$instance", ".*").replace("$__rate_interval", "1m"))
        check_names(expression, known)


def test_probes_and_a_dataplane_that_was_gone(reflector):
    device = reflector().start()
    assert prometheus.fetch(device.dut, f"{URL}/healthz") == "ok\n"
    wait_until(lambda: answer(device, "readyz") == "ok\n", lambda: answer(device, "readyz"))
    pid = device.agent.status()["dataplane"]["pid"]
    run("kill", "-KILL", pid)
    # The agent restarts it within moments; the counter keeps the restart.
    wait_until(lambda: "sluice_dataplane_restarts_total 1\n" in answer(device, "metrics"),
               lambda: answer(device, "metrics"))
    wait_until(lambda: answer(device, "readyz") == "ok\n", lambda: answer(device, "readyz"))
    device.agent.stop()


def answer(device, path):
    try:
        return prometheus.fetch(device.dut, f"{URL}/{path}")
    except CommandFailed as failed:
        return str(failed)


def test_address_that_is_taken(world, programs, reflector):
    """The agent does not start if it cannot have a configured address. It runs without metrics if it cannot have the
    default one."""
    holder = "import socket, time; s = socket.create_server(('127.0.0.1', 9477)); print(1, flush=True); time.sleep(600)"
    device = reflector(more='[metrics]\nlisten = "127.0.0.1:9477"\n')
    held = device.dut.start("/usr/bin/python3", "-c", holder)
    wait_until(lambda: "1" in held.output(), held.output)
    said = device.agent.refuses_to_start()
    assert "cannot listen on 127.0.0.1 port 9477" in said and "[metrics] listen" in said, said
    assert not device.agent.socket.exists()
    assert "xdp" not in device.dut.run("ip", "link", "show", "wan0").stdout

    other = Agent(world, programs, device.dut, config({"wan": "wan0"}, "reflect"), "second").start()
    assert "going on without metrics" in other.process.output()
    other.stop()


def test_off_means_that_nothing_listens(reflector):
    device = reflector(more='[metrics]\nlisten = "off"\n').start()
    assert not device.dut.run("ss", "-Hltn").stdout
    device.agent.stop()


def test_alert_rules(world):
    promtool = prometheus.program("promtool")
    run(promtool, "check", "rules", DEPLOY / "sluice.rules.yml")
    shutil.copy(DEPLOY / "sluice.rules.yml", world.folder)
    run(promtool, "check", "config", shutil.copy(DEPLOY / "prometheus.yml", world.folder))
    text = (REPOSITORY / "tests/metrics/alerts.promtool.yml").read_text()
    tests = world.write("rules.test.yml", text.replace("RULES", str(DEPLOY / "sluice.rules.yml")))
    run(promtool, "test", "rules", tests)


def test_metrics_are_well_formed(reflector, programs):
    device = reflector().start()
    send(device, programs, 100)
    text = prometheus.fetch(device.dut, f"{URL}/metrics")
    run(prometheus.program("promtool"), "check", "metrics", stdin=text)
    device.agent.stop()
