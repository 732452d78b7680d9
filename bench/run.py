#!/usr/bin/env -S python3 -B
"""Measures logins through pam-totp beside google-authenticator, pam_oath, and pam_permit (the harness alone), in rotations
that take turns, and what no such module can be faster than. Prints the tables, and writes them to docs/benchmarks.md.

    tests/in-private-world bench/run.py PROGRAMS       `make bench`; PROGRAMS is the folder of the release build

The environment may set BENCH_ROTATIONS (5), BENCH_USERS (1000), and for how many seconds each measurement waits for an
idle machine, BENCH_WAIT (30). State lies in /var/tmp, on a disk; the users are
accounts; a process reads /dev/log. All of it is gone afterwards."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

import report
from machine import idle, make_daemons_account
from modules import Google, Oath, Ours, Permit, another

HERE = os.path.dirname(os.path.abspath(__file__))
ROTATIONS = int(os.environ.get("BENCH_ROTATIONS", "5"))
USERS = int(os.environ.get("BENCH_USERS", "1000"))
CALLERS = 1, 8, 64


class Bench:
    def __init__(self, programs):
        self.folder = tempfile.mkdtemp(prefix="pam-totp-bench.", dir="/var/tmp")
        os.chmod(self.folder, 0o755)
        self.programs = programs
        self.users = [f"bench{n}" for n in range(USERS)]
        self.states = 0
        self.results = report.Results()

    def run(self):
        make_accounts(self.users)
        for name in "logins", "loads", "floors":
            source = ["-O2", "-Wall", "-pthread", f"{HERE}/{name}.c", "-o", f"{self.folder}/{name}"]
            subprocess.run(["cc", *source, "-lpam"], check=True)
        for rotation in range(ROTATIONS):
            print(f"rotation {rotation + 1} of {ROTATIONS}", file=sys.stderr, flush=True)
            self.results.begin_rotation()
            self.rotation()
        self.loads()
        self.system_calls()

    def rotation(self):
        for callers in CALLERS:
            for module in self.modules():
                # pam_oath rewrites one file at each login and refuses most of those that race.
                if callers < 64 or module.name != "pam_oath":
                    self.measure(f"right, P = {callers}", module, "each", callers)
        for module in self.modules():
            self.measure("right, a process for each login", module, "exec", 1)
        for module in Google(self.users), Ours(self.users, self.programs):
            self.measure("wrong, P = 1", module, "each", 1, another)
        for module in Google(self.users[:200]), Oath(self.users[:200]), Ours(self.users[:200], self.programs):
            self.measure("one code from 8 at once", module, "together", 8)
        for callers in CALLERS:
            self.floor(f"answer, P = {callers}", callers, "-")
            self.floor(f"durable answer, P = {callers}", callers, f"{self.folder}/log")

    def modules(self):
        return Permit(self.users), Google(self.users), Oath(self.users), Ours(self.users, self.programs)

    def measure(self, row, module, mode, callers, typed=lambda code: code):
        with State(self, module) as confdir:
            lines = "".join(f"{user} {typed(code)}\n" for user, code in module.codes())
            before = module.cpu() if module.name == "pam-totp" else 0
            command = [f"{self.folder}/logins", mode, str(callers), confdir, "measured"]
            output = subprocess.run(command, input=lines, capture_output=True, text=True, check=True).stdout
            head, *times = output.splitlines()
            logins, accepted, seconds, cpu = (float(word) for word in head.split())
            figures = {
                "accepted": int(accepted),
                "of": int(logins),
                "rate": accepted / seconds,
                "times": [int(time) / 1000 for time in times],
                "cpu": cpu / logins * 1e6,
            }
            if module.name == "pam-totp":
                figures["daemon cpu"] = (module.cpu() - before) / logins * 1e6
                figures["daemon memory"] = module.memory()
            self.results.add(row, module.name, figures)

    def floor(self, row, callers, file):
        self.results.waited(idle())
        path = f"{self.folder}/floor.sock"
        command = [f"{self.folder}/floors", str(callers), str(max(USERS // callers, 10)), path, file]
        seconds, *times = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        os.remove(path)
        times = [int(time) / 1000 for time in times]
        self.results.add(row, "floor", {"rate": len(times) / float(seconds), "times": times})

    def loads(self):
        folder = libpams_folder(f"{self.programs}/libpam_totp.so")
        modules = {
            "permit": f"{folder}/pam_permit.so",
            "google-authenticator": f"{folder}/pam_google_authenticator.so",
            "pam_oath": f"{folder}/pam_oath.so",
            "pam-totp": f"{self.programs}/libpam_totp.so",
        }
        self.results.waited(idle())
        command = [f"{self.folder}/loads", "1500", *modules.values()]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        for name, nanoseconds in zip(modules, told):
            self.results.loads[name] = int(nanoseconds) / 1000, os.path.getsize(modules[name])

    def system_calls(self):
        """Of one process that logs in a hundred users, and of the daemon meanwhile."""
        for module in Permit, Google, Oath, Ours:
            users = self.users[:100]
            module = module(users, self.programs) if module is Ours else module(users)
            with State(self, module) as confdir:
                lines = "".join(f"{user} {code}\n" for user, code in module.codes())
                client = f"{self.folder}/client"
                command = ["strace", "--follow-forks", "--summary-only", "--output", client]
                command += [f"{self.folder}/logins", "each", "1", confdir, "measured"]
                tracer = Tracer(module.daemon.pid, f"{self.folder}/daemon") if module.name == "pam-totp" else None
                subprocess.run(command, input=lines, stdout=subprocess.DEVNULL, text=True, check=True)
                self.results.calls[module.name] = per_login(client, len(users))
                if tracer:
                    tracer.end()
                    self.results.calls["provisiond"] = per_login(tracer.output, len(users))

    def leave(self):
        shutil.rmtree(self.folder)


class State:
    """A fresh state of a module, and a folder of service files with it."""

    def __init__(self, bench, module):
        bench.states += 1
        self.bench, self.module = bench, module
        self.folder = f"{bench.folder}/{bench.states}"

    def __enter__(self):
        os.mkdir(self.folder)
        self.module.begin(self.folder)
        confdir = f"{self.folder}/pam"
        os.mkdir(confdir)
        for service, line in ("measured", self.module.line()), ("permit", "pam_permit.so"), ("other", "pam_deny.so"):
            with open(f"{confdir}/{service}", "w") as file:
                file.write(f"auth required {line}\n")
        os.sync()
        self.bench.results.waited(idle())
        return confdir

    def __exit__(self, *_):
        self.module.end()


class Tracer:
    """strace, attached to a running process."""

    def __init__(self, pid, output):
        self.output = output
        command = ["strace", "--follow-forks", "--summary-only", "--output", output, "--attach", str(pid)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        # It says so when it is attached.
        self.process.stderr.readline()

    def end(self):
        self.process.send_signal(2)
        self.process.communicate()


def per_login(path, logins):
    """The calls of strace's summary for one login, by name."""
    with open(path) as file:
        rows = [line.split() for line in file if re.match(r" *[0-9.]+ ", line)]
    return {row[-1]: int(row[3]) / logins for row in rows if row[-1] != "total"}


def make_accounts(users):
    """A name without an account costs more to look up than one with."""
    make_daemons_account()
    with open("/etc/passwd", "a") as passwd:
        for n, user in enumerate(users):
            passwd.write(f"{user}:*:{200000 + n}:{200000 + n}::/nonexistent:/usr/sbin/nologin\n")


def libpams_folder(module):
    command = [f"{HERE}/../packaging/module-folder", module]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def main():
    if len(sys.argv) != 2 or not os.path.isdir("/run/private-world"):
        sys.exit("usage: tests/in-private-world bench/run.py PROGRAMS (or `make bench`)")
    bench = Bench(os.path.abspath(sys.argv[1]))
    try:
        bench.run()
        tables = report.tables(bench.results, ROTATIONS, USERS)
        print(tables)
        report.write(f"{HERE}/../docs/benchmarks.md", tables)
    finally:
        bench.leave()
    sys.exit(report.wrongly_judged(bench.results))


main()
