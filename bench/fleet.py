#!/usr/bin/env -S python3 -B
"""Measures logins whose records are on etcd, of three members on this machine's disk, through the local verifier and through
a relay, beside plain transactions on the same cluster. They take turns. Prints the tables, and writes them to
docs/benchmarks.md, beside those of run.py.

    tests/in-private-world bench/fleet.py PROGRAMS     `make bench-fleet`; PROGRAMS is the folder of the release build

The environment may set BENCH_ROTATIONS (5), the logins of a measurement with many callers, BENCH_LOGINS (2000), and for how
many seconds each measurement waits for an idle machine, BENCH_WAIT (30). State lies in /var/tmp, on a disk, and is gone afterwards. The users are accounts of a name service that answers at
once (accounts.c)."""

import os
import random
import shutil
import subprocess
import sys
import tempfile

import fleet_report
from cluster import Authority, Cluster
from machine import idle, make_daemons_account, serve_accounts
from modules import cpu_of, key_of, next_step, totp
from report import Results, write
from site_of_fleet import PREFIX, Plain, Relay, Verifier

HERE = os.path.dirname(os.path.abspath(__file__))
ROTATIONS = int(os.environ.get("BENCH_ROTATIONS", "5"))
LOGINS = int(os.environ.get("BENCH_LOGINS", "2000"))
# Callers, and how many logins or transactions they share.
LOADS = {1: LOGINS // 8, 8: LOGINS // 2, 64: LOGINS}
USERS = 2 * sum(LOADS.values())
# What etcd counts, of the member that is asked.
COUNTED = {
    "calls": "grpc_server_started_total",
    "revisions": "etcd_debugging_mvcc_current_revision",
    "proposals": "etcd_server_proposals_committed_total",
}


class Fleet:
    def __init__(self, programs):
        self.folder = tempfile.mkdtemp(prefix="pam-totp-fleet.", dir="/var/tmp")
        os.chmod(self.folder, 0o755)
        self.programs = programs
        self.results = Results()
        self.running = []

    def run(self):
        make_daemons_account()
        serve_accounts(self.folder)
        subprocess.run(["cc", "-O2", "-Wall", "-pthread", f"{HERE}/logins.c", "-o", f"{self.folder}/logins", "-lpam"], check=True)
        authority = Authority(f"{self.folder}/authority")
        self.cluster = self.begun(Cluster(f"{self.folder}/etcd", authority.machine))
        self.verifier = self.begun(Verifier(f"{self.folder}/verifier", self.programs, self.cluster, authority))
        self.users = [f"user{number}" for number in range(USERS)]
        self.verifier.take(self.users)
        self.relay = self.begun(Relay(f"{self.folder}/relay", self.programs, self.verifier, authority))
        self.plain = self.begun(Plain(self.programs, self.cluster, PREFIX + "users/", max(LOADS.values())))
        for rotation in range(ROTATIONS):
            print(f"rotation {rotation + 1} of {ROTATIONS}", file=sys.stderr, flush=True)
            self.results.begin_rotation()
            self.rotation()

    def begun(self, what):
        self.running.append(what)
        return what

    def rotation(self):
        """Each login is of another user, in a time step that no code was used in."""
        next_step()
        left = random.sample(self.users, len(self.users))
        for callers, number in LOADS.items():
            self.transactions(callers, number)
            for module in self.verifier, self.relay:
                users, left = left[:number], left[number:]
                self.logins(callers, module, users)

    def transactions(self, callers, number):
        with Counted(self, self.plain.process) as counted:
            seconds, times = self.plain.replace(callers, number)
        self.add(callers, "plain", number, counted, {"times": times, "rate": number / seconds, "accepted": number, "cpu": 0})

    def logins(self, callers, module, users):
        with Counted(self, *module.daemons()) as counted:
            lines = "".join(f"{user} {totp(key_of(user))}\n" for user in users)
            command = [f"{self.folder}/logins", "each", str(callers), f"{module.folder}/pam", "measured"]
            output = subprocess.run(command, input=lines, capture_output=True, text=True, check=True).stdout
        head, *times = output.splitlines()
        logins, accepted, seconds, cpu = (float(word) for word in head.split())
        figures = {"times": [int(time) / 1000 for time in times], "rate": accepted / seconds, "accepted": int(accepted)}
        self.add(callers, module.name, len(users), counted, figures | {"cpu": cpu / logins * 1e6})

    def add(self, callers, name, number, counted, figures):
        for what, found in counted.found.items():
            figures[what] = found / number
        self.results.add(f"P = {callers}", name, figures | {"of": number})

    def leave(self):
        for what in reversed(self.running):
            what.end()
        shutil.rmtree(self.folder)


class Counted:
    """What happens meanwhile: of an idle machine, the CPU of these processes and of etcd, and etcd's changes."""

    def __init__(self, fleet, *processes):
        self.fleet, self.processes = fleet, processes

    def __enter__(self):
        self.fleet.results.waited(idle())
        if not self.fleet.cluster.leads():
            self.fleet.cluster.lead()
        self.before = self.look()
        return self

    def __exit__(self, *_):
        after = self.look()
        self.found = {name: after[name] - before for name, before in self.before.items()}

    def look(self):
        cluster = self.fleet.cluster
        counted = cluster.read(*COUNTED.values())
        cpu = {"cpu of daemons": cpu_of(*self.processes) * 1e6, "cpu of etcd": cpu_of(*cluster.members) * 1e6}
        return dict(zip(COUNTED, counted)) | cpu


def main():
    if len(sys.argv) != 2 or not os.path.isdir("/run/private-world"):
        sys.exit("usage: tests/in-private-world bench/fleet.py PROGRAMS (or `make bench-fleet`)")
    fleet = Fleet(os.path.abspath(sys.argv[1]))
    try:
        fleet.run()
        tables = fleet_report.tables(fleet.results, ROTATIONS, USERS)
        print(tables)
        write(f"{HERE}/../docs/benchmarks.md", tables, fleet_report.MARKS)
    finally:
        fleet.leave()
    sys.exit(fleet_report.wrong(fleet.results))


main()
