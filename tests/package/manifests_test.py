"""Settings for libvirt, cloud-init and KubeVirt. libvirt and cloud-init check their files themselves. KubeVirt is not
available here, so the tests compare the important fields of its manifest."""

import re
import xml.etree.ElementTree as ElementTree

import yaml

from tests.lib import build
from tests.lib.cloud_init import check_schema
from tests.lib.command import run

DEPLOY = build.REPOSITORY / "deploy"
DOMAIN = DEPLOY / "libvirt/sluice.xml"
USER_DATA = DEPLOY / "cloud-init/user-data"
VM = DEPLOY / "kubevirt/vm.yaml"


def findings_named(path):
    """Returns the findings that follow "doctor:" in a file's comments."""
    lists = re.findall(r"doctor: ([a-z_, ]+)", path.read_text())
    return {name for names in lists for name in re.findall(r"\w+", names)}


def test_findings_that_are_named_exist():
    table = (build.REPOSITORY / "control/doctor/doctor.cc").read_text()
    known = set(re.findall(r'\{"(\w+)", (?:true, |false, )?Check\w+\}', table))
    assert {"kernel", "multiqueue", "irq_affinity"} <= known
    for path in (DOMAIN, USER_DATA, VM):
        assert findings_named(path) and not findings_named(path) - known, (path, findings_named(path) - known)


def validate(domain):
    return run("virt-xml-validate", domain, "domain", check=False)


def test_libvirt_accepts_the_domain(tmp_path):
    accepted = validate(DOMAIN)
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    wrong = tmp_path / "wrong.xml"
    wrong.write_text(DOMAIN.read_text().replace("queues='4'", "queue='4'"))
    assert validate(wrong).returncode != 0


def test_domain_answers_the_doctor():
    domain = ElementTree.parse(DOMAIN).getroot()
    cpus = domain.findtext("vcpu")
    ports = [each for each in domain.findall("devices/interface") if each.find("driver") is not None]
    assert len(ports) == 2 and domain.find("vcpu").get("current") is None
    for port in ports:
        assert port.find("driver").get("queues") == cpus
        assert port.find("model").get("type") == "virtio-non-transitional"
        assert port.find("driver/guest").attrib == dict.fromkeys(("csum", "tso4", "tso6", "ecn", "ufo"), "off")
        assert port.find("driver/host").get("mrg_rxbuf") == "on"
    assert {"multiqueue", "xdp_queues", "guest_offloads", "modern", "ring_reset"} <= findings_named(DOMAIN)


def test_cloud_init_accepts_the_user_data(tmp_path):
    accepted = check_schema(USER_DATA)
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    wrong = tmp_path / "wrong"
    wrong.write_text(USER_DATA.read_text().replace("write_files:\n", "write_files: 1\nx:\n"))
    assert check_schema(wrong).returncode != 0


def test_user_data_has_a_configuration_that_sluice_takes(programs, tmp_path):
    """The configuration names the devices of libvirt's domain, by the names that they get in the guest."""
    files = {each["path"]: each["content"] for each in yaml.safe_load(USER_DATA.read_text())["write_files"]}
    config = tmp_path / "sluice.toml"
    config.write_text(files["/etc/sluice/sluice.toml"])
    run(programs.ctl, "config", "check", config)
    netdevs = set(re.findall(r'netdev = "(\w+)"', config.read_text()))
    buses = [each.find("address").get("bus") for each in ElementTree.parse(DOMAIN).findall("devices/interface[driver]")]
    assert netdevs == {f"enp{int(bus, 16)}s0" for bus in buses}


def test_kubevirt_manifest_answers_the_doctor():
    vm = yaml.safe_load(VM.read_text())
    assert (vm["apiVersion"], vm["kind"]) == ("kubevirt.io/v1", "VirtualMachine")
    spec = vm["spec"]["template"]["spec"]
    domain, devices = spec["domain"], spec["domain"]["devices"]
    assert devices["networkInterfaceMultiqueue"] is True and devices["useVirtioTransitional"] is False
    assert domain["cpu"]["cores"] == 4 and domain["cpu"]["maxSockets"] == domain["cpu"]["sockets"] == 1
    assert [each["name"] for each in devices["interfaces"]] == [each["name"] for each in spec["networks"]]
    assert {each["model"] for each in devices["interfaces"]} == {"virtio"}
    assert {"multiqueue", "queue_pairs", "xdp_queues", "modern", "napi_tx"} <= findings_named(VM)
