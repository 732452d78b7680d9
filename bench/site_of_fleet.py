"""The daemons of a fleet on one machine: a verifier whose records are on etcd, and a relay that asks it over TLS. Beside them,
plain transactions on the same cluster."""

import os
import subprocess

from cluster import free_ports
from machine import GROUP
from modules import Ours, started, totpctl, write_table

PREFIX = "/bench/"
NAME = "host.bench.test"


class Machine(Ours):
    """A daemon in a folder of its own, and a service file for logins through it."""

    def __init__(self, folder, programs, settings):
        super().__init__([], programs)
        self.folder = folder
        self.socket = f"{folder}/run/login.sock"
        for path in folder, f"{folder}/run", f"{folder}/state", f"{folder}/pam":
            os.mkdir(path)
        subprocess.run(["chown", "_pam-totp:", f"{folder}/state"], check=True)
        self.write(f"{folder}/secrets", "1: an application secret of the benchmark\n")
        self.write(f"{folder}/settings.yaml", settings)
        for service, line in ("measured", self.line()), ("permit", "pam_permit.so"), ("other", "pam_deny.so"):
            self.write(f"{folder}/pam/{service}", f"auth required {line}\n")
        self.daemon = started(f"{programs}/etcd/provisiond", folder)


class Verifier(Machine):
    name = "verifier"

    def __init__(self, folder, programs, cluster, authority):
        files = lines(authority.machine)
        endpoints = ", ".join(f"'{endpoint}'" for endpoint in cluster.endpoints)
        store = f"  store:\n    etcd:\n      endpoints: [{endpoints}]\n      prefix: {PREFIX}\n      path: {folder}/state/store\n"
        self.address = f"127.0.0.1:{free_ports(1)[0]}"
        rule = f"{{names: [{NAME}], services: [measured], users-groups: [{GROUP}]}}"
        fleet = f"  fleet:\n    listen: '{self.address}'\n{files}    hosts: {{bench: {rule}}}\n"
        context = f"totp: {{context: {{secrets-path: {folder}/secrets}}}}\n"
        super().__init__(folder, programs, f"{context}provisiond:\n{store}{files.replace('    ', '      ')}{fleet}")

    def take(self, users):
        """Imports the users."""
        table = f"{self.folder}/users.csv"
        write_table(table, users)
        totpctl(self.programs, self.socket, "import", "csv", table)

    def daemons(self):
        return [self.daemon]


class Relay(Machine):
    name = "relay"

    def __init__(self, folder, programs, verifier, authority):
        self.verifier = verifier
        super().__init__(folder, programs, f"provisiond:\n  upstream:\n    servers: ['{verifier.address}']\n{lines(authority.host)}")

    def daemons(self):
        return [self.daemon, self.verifier.daemon]


class Plain:
    """A program that replaces rows on etcd, each in a transaction of its own (plain_transactions.rs)."""

    def __init__(self, programs, cluster, prefix, rows):
        files = [cluster.tls[name] for name in ("ca", "cert", "key")]
        command = [f"{programs}/etcd/plain_transactions", cluster.endpoints[0], *files, prefix, "/plain/", str(rows)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        found = self.process.stdout.readline()
        if found.strip() != str(rows):
            raise RuntimeError(f"plain_transactions copied {found.strip()} rows")

    def replace(self, callers, number):
        """Seconds, and the microseconds of each transaction."""
        self.process.stdin.write(f"{callers} {number}\n")
        self.process.stdin.flush()
        seconds, *times = self.process.stdout.readline().split()
        return float(seconds), [int(time) / 1000 for time in times]

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def lines(tls):
    return "".join(f"    {name}: {path}\n" for name, path in tls.items())
