#!/usr/bin/env -S python3 -B
"""Measures how pam-totp grows: a store of a thousand users beside one of a million, and a list of 100,000. Prints the
tables, and writes them to docs/benchmarks.md, beside those of run.py.

    tests/in-private-world bench/growth.py PROGRAMS    `make bench-growth`; PROGRAMS is the folder of the release build

The environment may set BENCH_ROTATIONS (5), the users of the largest store, BENCH_GROWN (1000000), those of the list,
BENCH_LISTED (100000), and for how many seconds each measurement waits for an idle machine, BENCH_WAIT (30). State lies in
/var/tmp, on a disk, and is gone afterwards. The users are accounts of a name service that answers at once (accounts.c)."""

import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import growth_report
from machine import idle, make_daemons_account, serve_accounts
from modules import Ours, key_of, next_step, totp, totpctl, verify, write_table
from report import percentile, write

HERE = os.path.dirname(os.path.abspath(__file__))
ROTATIONS = int(os.environ.get("BENCH_ROTATIONS", "5"))
SMALL = 1000
LISTED = int(os.environ.get("BENCH_LISTED", "100000"))
GROWN = int(os.environ.get("BENCH_GROWN", "1000000"))


class Store(Ours):
    """pam-totp with so many users, imported from a table. The key of a user follows from the name."""

    def __init__(self, users, programs):
        super().__init__([f"user{n}" for n in range(users)], programs)

    def begin(self, folder):
        os.mkdir(folder)
        self.folder = folder
        super().begin(folder)
        os.mkdir(f"{folder}/pam")
        for service, line in ("measured", self.line()), ("permit", "pam_permit.so"), ("other", "pam_deny.so"):
            self.write(f"{folder}/pam/{service}", f"auth required {line}\n")

    def enroll(self):
        """Imports all users. Notes how many a second."""
        table = f"{self.folder}/users.csv"
        write_table(table, self.users)
        self.imported = self.many("import", "csv", table)
        os.remove(table)

    def many(self, *arguments):
        """Runs a command about all users. Returns how many a second."""
        begun = time.monotonic()
        totpctl(self.programs, self.socket, *arguments)
        return len(self.users) / (time.monotonic() - begun)

    def open_again(self):
        """Stops the daemon and starts it. Returns after how many seconds it serves."""
        self.end()
        os.remove(f"{self.folder}/ready")
        begun = time.monotonic()
        self.start(self.folder)
        return time.monotonic() - begun

    def some(self, number):
        return random.sample(self.users, number)

    def disk(self):
        """Bytes on the disk that the state takes."""
        found = [os.lstat(os.path.join(folder, name)) for folder, _, names in os.walk(f"{self.folder}/state") for name in names]
        return sum(file.st_blocks * 512 for file in found)

    def wakeups(self, seconds):
        """How often threads of the daemon slept and were woken, in so many seconds without a caller: its own, and sled's."""
        before = self.switches()
        time.sleep(seconds)
        return [after - before for after, before in zip(self.switches(), before)]

    def switches(self):
        tasks, found = f"/proc/{self.daemon.pid}/task", [0, 0]
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/status") as file:
                lines = dict(line.split(":", 1) for line in file)
            found[lines["Name"].strip().startswith("sled-io")] += int(lines["voluntary_ctxt_switches"])
        return found


class Found:
    """What was measured: of each store by its number of users, and of the list."""

    def __init__(self):
        self.stores = {}
        self.listed, self.enrolled = LISTED, 0


class Growth:
    def __init__(self, programs):
        self.folder = tempfile.mkdtemp(prefix="pam-totp-growth.", dir="/var/tmp")
        os.chmod(self.folder, 0o755)
        self.programs = programs
        self.quiet = []
        self.found = Found()

    def run(self):
        make_daemons_account()
        serve_accounts(self.folder)
        subprocess.run(["cc", "-O2", "-Wall", "-pthread", f"{HERE}/logins.c", "-o", f"{self.folder}/logins", "-lpam"], check=True)
        self.list()
        small, large = (self.store(users) for users in (SMALL, GROWN))
        for store in small, large:
            self.at_rest(store)
        for rotation in range(ROTATIONS):
            self.rotation(rotation, small, large)
        self.load(large)
        self.rotate(large)
        for store in small, large:
            store.end()

    def list(self):
        """A list of users, enrolled with new keys and recovery codes."""
        say(f"a list of {LISTED} users")
        store = Store(LISTED, self.programs)
        store.enroll = lambda: None
        store.begin(f"{self.folder}/listed")
        users = f"{store.folder}/users.csv"
        with open(users, "w") as file:
            file.write("user\n" + "".join(f"{user}\n" for user in store.users))
        self.quiet.append(idle())
        self.found.enrolled = store.many("enroll", "--users", users, "--keys", f"{store.folder}/keys")
        store.end()

    def store(self, users):
        say(f"a store of {users} users")
        store = Store(users, self.programs)
        store.begin(f"{self.folder}/{users}")
        self.found.stores[users] = {"users": users, "imported": store.imported, "p50": [], "p99": []}
        return store

    def at_rest(self, store):
        figures = self.found.stores[len(store.users)]
        figures["open"] = percentile([store.open_again() for _ in range(3)], 50)
        figures["memory"] = store.memory()
        # What a start does behind its first answers belongs to no idle daemon.
        self.quiet.append(idle())
        figures["wakeups"], figures["idle"] = store.wakeups(30), store.memory()
        figures["disk"] = store.disk() / len(store.users)
        say(figures)

    def rotation(self, rotation, *stores):
        """Logins one after the other, each of another user, in a time step that no code was used in."""
        say(f"rotation {rotation + 1} of {ROTATIONS}")
        next_step()
        for store in stores:
            self.quiet.append(idle())
            times = self.logins(store, store.some(SMALL))
            figures = self.found.stores[len(store.users)]
            figures["p50"].append(percentile(times, 50))
            figures["p99"].append(percentile(times, 99))

    def logins(self, store, users):
        """Microseconds of each login. Each must be accepted. A hundred codes at a time, so that none is old on a slow machine."""
        times = []
        for first in range(0, len(users), CODES):
            some = users[first:first + CODES]
            lines = "".join(f"{user} {totp(key_of(user))}\n" for user in some)
            command = [f"{self.folder}/logins", "each", "1", f"{store.folder}/pam", "measured"]
            output = subprocess.run(command, input=lines, capture_output=True, text=True, check=True).stdout
            head, *nanoseconds = output.splitlines()
            accepted = int(head.split()[1])
            if accepted != len(some):
                raise RuntimeError(f"accepted {accepted} of {len(some)} right codes")
            times += [int(time) / 1000 for time in nanoseconds]
        return times

    def load(self, store):
        """Right codes of users all over the store, from eight connections at once."""
        self.quiet.append(idle())
        next_step()
        users, begun = store.some(min(len(store.users), LOADED)), time.monotonic()
        with ThreadPoolExecutor(8) as threads:
            for done in [threads.submit(verify, store.socket, users[n::8]) for n in range(8)]:
                done.result()
        figures = self.found.stores[len(store.users)]
        figures["rate"] = len(users) / (time.monotonic() - begun)
        figures["loaded"], figures["disk after"] = store.memory(), store.disk() / len(store.users)
        say(figures)

    def rotate(self, store):
        """Has all records sealed under a new secret, while users log in one after the other."""
        store.write(f"{store.folder}/secrets", SECRETS)
        totpctl(self.programs, store.socket, "reload")
        self.quiet.append(idle())
        next_step()
        users, times, begun = iter(store.some(len(store.users))), [], time.monotonic()
        with ThreadPoolExecutor() as threads:
            rotated = threads.submit(store.many, "rotate", "--to", "2")
            while not rotated.done():
                times += self.logins(store, list(itertools.islice(users, CODES)))
            rotated.result()
        figures = self.found.stores[len(store.users)]
        figures["rotation"], figures["beside"] = time.monotonic() - begun, len(times)
        figures["rotation p50"], figures["rotation p99"] = percentile(times, 50), percentile(times, 99)
        say(figures)

    def leave(self):
        shutil.rmtree(self.folder)


def say(what):
    print(what, file=sys.stderr, flush=True)


def main():
    if len(sys.argv) != 2 or not os.path.isdir("/run/private-world"):
        sys.exit("usage: tests/in-private-world bench/growth.py PROGRAMS (or `make bench-growth`)")
    growth = Growth(os.path.abspath(sys.argv[1]))
    try:
        growth.run()
        tables = growth_report.tables(growth.found, growth.quiet, ROTATIONS)
        print(tables)
        write(f"{HERE}/../docs/benchmarks.md", tables, growth_report.MARKS)
    finally:
        growth.leave()


SECRETS = "1: an application secret of the benchmark\n2: another application secret of the benchmark\n"
LOADED = 200_000
CODES = 100
main()
