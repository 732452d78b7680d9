#!/usr/bin/env -S python3 -B
"""How far a fleet's store on etcd reaches: measures real records in three real members of etcd, and what each kind of call
costs there; then reckons with a day of a thousand hosts and a million users, drawn from a seed (day.py). Prints both, and
writes them to docs/benchmarks.md. The tables say which figure was measured and which was reckoned.

    tests/in-private-world bench/fleet_sim.py PROGRAMS     `make bench-fleet-sim`; PROGRAMS is the folder of the release build

The environment may set the users whose records are measured, BENCH_LOADED (100000), those of the model, BENCH_USERS
(1000000), its hosts, BENCH_HOSTS (1000), and its seed, BENCH_SEED (1). State lies in /var/tmp, on a disk, and is gone
afterwards."""

import base64
import json
import os
import random
import shutil
import socket
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import fleet_sim_report
from cluster import Authority, Cluster
from day import JUDGED, Day
from machine import idle, make_daemons_account, serve_accounts
from modules import another, call, key_of, next_step, started, totp
from report import write
from site_of_fleet import PREFIX, Plain, Verifier

HERE = os.path.dirname(os.path.abspath(__file__))
LOADED = int(os.environ.get("BENCH_LOADED", "100000"))
USERS = int(os.environ.get("BENCH_USERS", "1000000"))
HOSTS = int(os.environ.get("BENCH_HOSTS", "1000"))
SEED = int(os.environ.get("BENCH_SEED", "1"))
CALLERS = 16
CALLS = min(LOADED // 8, 5000)
# What a kind of call costs: numbers that etcd counts, of the member that is asked.
COUNTED = {
    "revisions": ["etcd_debugging_mvcc_current_revision"],
    "proposals": ["etcd_server_proposals_committed_total"],
    "client bytes": ["etcd_network_client_grpc_received_bytes_total", "etcd_network_client_grpc_sent_bytes_total"],
    "peer bytes": ["etcd_network_peer_sent_bytes_total", "etcd_network_peer_received_bytes_total"],
    "history": ["etcd_mvcc_db_total_size_in_use_in_bytes"],
}


class Found:
    """What was measured."""

    def __init__(self):
        self.loaded, self.calls = LOADED, CALLS
        self.sizes, self.costs = {}, {}
        self.imported = self.started = self.plain = self.defragmented = 0
        self.row = self.row_after_login = self.row_after_guess = 0
        self.empty = self.memory = 0


class Sim:
    def __init__(self, programs):
        self.folder = tempfile.mkdtemp(prefix="pam-totp-fleet.", dir="/var/tmp")
        os.chmod(self.folder, 0o755)
        self.programs = programs
        self.found, self.quiet, self.running = Found(), [], []

    def run(self):
        make_daemons_account()
        serve_accounts(self.folder)
        authority = Authority(f"{self.folder}/authority")
        self.cluster = self.begun(Cluster(f"{self.folder}/etcd", authority.machine))
        self.verifier = self.begun(Verifier(f"{self.folder}/verifier", self.programs, self.cluster, authority))
        self.found.empty = self.memory()
        self.load()
        self.transactions()
        self.calls()
        self.restart()

    def begun(self, what):
        self.running.append(what)
        return what

    def load(self):
        """Records of users, imported by the product itself."""
        say(f"{LOADED} users")
        self.users, begun = [f"user{number}" for number in range(LOADED)], time.monotonic()
        self.verifier.take(self.users)
        self.found.imported = LOADED / (time.monotonic() - begun)
        self.size("imported")
        begun = time.monotonic()
        self.compact()
        self.found.defragmented = (time.monotonic() - begun) / 3
        self.size("without history")
        self.found.row = self.row(self.users)
        self.found.memory = self.memory()

    def row(self, users):
        """Bytes of key and value of such users, on average."""
        keys = {base64.b64encode(f"{PREFIX}users/{user}".encode()).decode() for user in users}
        rows = json.loads(self.etcdctl("get", f"{PREFIX}users/", "--prefix", "--limit=5000", "--write-out=json"))["kvs"]
        sizes = [len(base64.b64decode(row["key"])) + len(base64.b64decode(row["value"])) for row in rows if row["key"] in keys]
        return sum(sizes) / len(sizes)

    def memory(self):
        """MiB of a member."""
        return sum(map(resident, self.cluster.members)) / 3

    def size(self, when):
        """Bytes a user of the database, and of the part of it that is in use."""
        names = "etcd_mvcc_db_total_size_in_bytes", "etcd_mvcc_db_total_size_in_use_in_bytes"
        self.found.sizes[when] = [number / LOADED for number in self.cluster.read(*names)]
        say({when: self.found.sizes[when]})

    def compact(self):
        """Removes what was, and gives the room back."""
        revision = self.cluster.status(self.cluster.endpoints[0])["header"]["revision"]
        self.etcdctl("compact", "--physical", str(revision))
        for endpoint in self.cluster.endpoints:
            self.cluster.etcdctl(endpoint, "defrag")

    def etcdctl(self, *arguments):
        return self.cluster.etcdctl(self.cluster.endpoints[0], *arguments)

    def transactions(self):
        """Plain ones, beside so many records."""
        plain = self.begun(Plain(self.programs, self.cluster, PREFIX + "users/", min(LOADED, 2000)))
        rates = []
        for _ in range(5):
            self.quiet.append(idle())
            seconds, times = plain.replace(64, 2000)
            rates.append(len(times) / seconds)
        self.found.plain = sorted(rates)[2]

    def calls(self):
        """Each kind of call, some thousand times. What etcd counts meanwhile is its cost."""
        self.compact()
        next_step()
        users = random.Random(SEED).sample(self.users, 2 * CALLS)
        some, others = users[:CALLS], users[CALLS:]
        right, wrong = (lambda user: [totp(key_of(user))]), (lambda user: [another(totp(key_of(user)))])
        self.cost("question", some, lambda user: ("Challenge", {}), "one_code")
        self.cost("accepted", some, lambda user: ("Verify", {"codes": right(user)}), "accepted")
        # The steps have to be those of the codes that were used: a few thousand logins may take longer than one.
        self.cost("already_used", some[-CALLS // 10:], lambda user: ("Verify", {"codes": right(user)}), "already_used", "accepted")
        self.cost("rejected", others, lambda user: ("Verify", {"codes": wrong(user)}), "rejected")
        victims, guess = others[:CALLS // 10], lambda number: lambda user: ("Verify", {"codes": [f"{number:06}"]})
        for number in range(JUDGED):
            self.together(victims, guess(number))
        self.cost("two_codes_needed", victims, guess(JUDGED), "two_codes_needed")
        self.found.row_after_login, self.found.row_after_guess = self.row(some), self.row(others)

    def cost(self, kind, users, made, *wanted):
        say(f"{len(users)} times {kind}")
        before, begun = self.look(), time.monotonic()
        told = self.together(users, made)
        rate = len(users) / (time.monotonic() - begun)
        strange = {word for word in told if word not in wanted}
        if strange or told.count(wanted[0]) < 0.9 * len(told):
            raise RuntimeError(f"{kind}: {told.count(wanted[0])} of {len(told)}; {strange}")
        after = self.look()
        self.found.costs[kind] = {name: (after[name] - before[name]) / len(users) for name in before} | {"rate": rate}
        say(self.found.costs[kind])

    def together(self, users, made):
        with ThreadPoolExecutor(CALLERS) as threads:
            parts = [threads.submit(self.some, users[n::CALLERS], made) for n in range(CALLERS)]
            return [word for part in parts for word in part.result()]

    def look(self):
        return {name: sum(self.cluster.read(*names)) for name, names in COUNTED.items()}

    def some(self, users, made):
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(self.verifier.socket)
            return [asked(server, user, *made(user)) for user in users]

    def restart(self):
        """A verifier's start reads all records."""
        self.verifier.end()
        os.remove(f"{self.verifier.folder}/ready")
        begun = time.monotonic()
        self.verifier.daemon = started(f"{self.programs}/etcd/provisiond", self.verifier.folder)
        self.found.started = time.monotonic() - begun

    def leave(self):
        for what in reversed(self.running):
            what.end()
        shutil.rmtree(self.folder)


def asked(server, user, method, parameters):
    """The verdict, or what is asked for. Each user comes from an address of its own."""
    number = int(user.removeprefix("user"))
    about = {"user": user, "service": "measured", "rhost": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"}
    told = call(server, method, {**about, **parameters})
    return told["verdict"] if method == "Verify" else told["ask"]


def resident(process):
    """MiB of a process in memory."""
    with open(f"/proc/{process.pid}/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))


def say(what):
    print(what, file=sys.stderr, flush=True)


def main():
    if len(sys.argv) != 2 or not os.path.isdir("/run/private-world"):
        sys.exit("usage: tests/in-private-world bench/fleet_sim.py PROGRAMS (or `make bench-fleet-sim`)")
    sim = Sim(os.path.abspath(sys.argv[1]))
    try:
        sim.run()
    finally:
        sim.leave()
    say(f"a day of {USERS} users at {HOSTS} hosts, seed {SEED}")
    text = fleet_sim_report.text(sim.found, sim.quiet, Day(SEED, USERS, HOSTS), SEED)
    print(text)
    write(f"{HERE}/../docs/benchmarks.md", text, fleet_sim_report.MARKS)


main()
