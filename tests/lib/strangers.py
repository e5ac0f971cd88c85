"""Clients that a server should not have to care about, as any user.

    idle = Strangers(world, "unix:/run/x.sock", "idle", count=20, uid=4001)
    ...
    idle.stop()

Kinds: `idle` says nothing; `drip` says a byte a second; `half` says `text` without its last byte, hangs up and comes
again; `deaf` says `text` and does not read; `loop` says `text`, reads the answer, and comes again, without a pause. A
connection that the server closes is replaced, so there are always `count` of them.
"""

from tests.lib.command import wait_until

PROGRAM = """
import selectors, socket, sys, time

target, kind, count, text = sys.argv[1], sys.argv[2], int(sys.argv[3]), bytes.fromhex(sys.argv[4])
family, _, address = target.partition(":")
if family == "tcp":
    host, _, port = address.rpartition(":")
    address = (host, int(port))

def say(client, some):
    try:
        client.send(some)
    except OSError:
        pass

def connect():
    client = socket.socket(socket.AF_UNIX if family == "unix" else socket.AF_INET)
    if kind == "deaf":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(10)
    try:
        client.connect(address)
    except OSError:
        time.sleep(0.1)
        return connect()
    client.setblocking(False)
    if kind in ("deaf", "loop"):
        say(client, text)
    return client

def gone(client):
    try:
        while kind != "deaf":
            if not client.recv(65536):
                return True
        return False
    except BlockingIOError:
        return False
    except OSError:
        return True

clients = [connect() for _ in range(count)]
print("ready", flush=True)
while True:
    if kind == "half":
        for client in clients:
            say(client, text[:-1])
            client.close()
        clients = [connect() for _ in range(count)]
    else:
        for place, client in enumerate(clients):
            if kind == "drip":
                say(client, b"G")
            if gone(client):
                client.close()
                clients[place] = connect()
    time.sleep(0 if kind == "loop" else 1 if kind == "drip" else 0.1)
"""


class Strangers:
    def __init__(self, world, target, kind, count, netns=None, text=b"", uid=0, gid=0):
        command = ["prlimit", "--nofile=8192", "setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups",
                   "/usr/bin/python3", "-c", PROGRAM, target, kind, count, text.hex()]
        self.process = netns.start(*command) if netns else world.start(*command)
        wait_until(lambda: "ready" in self.process.output(), self.process.output)

    def stop(self):
        self.process.kill()
