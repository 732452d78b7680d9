"""Three members of etcd on this machine, with TLS and on a real disk, and the certificates of a fleet beside them. The
members' clients, verifiers and hosts show certificates of one authority."""

import json
import os
import socket
import subprocess
import time
import urllib.request

CONFIG = """[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
[machine]
basicConstraints = critical, CA:FALSE
subjectAltName = IP:127.0.0.1
extendedKeyUsage = serverAuth, clientAuth
[host]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:host.bench.test
extendedKeyUsage = clientAuth
"""


class Authority:
    """Certificates for members, verifiers and their clients (`machine`), and for a login host (`host`)."""

    def __init__(self, folder):
        self.folder = folder
        os.mkdir(folder)
        with open(f"{folder}/config", "w") as file:
            file.write(CONFIG)
        self.make("authority")
        self.machine, self.host = (self.sign(name) for name in ("machine", "host"))

    def sign(self, name):
        self.make(name, "-CA", f"{self.folder}/authority.pem", "-CAkey", f"{self.folder}/authority.key")
        for path in f"{name}.pem", f"{name}.key", "authority.pem":
            subprocess.run(["chgrp", "_pam-totp", f"{self.folder}/{path}"], check=True)
            os.chmod(f"{self.folder}/{path}", 0o640)
        return {"ca": f"{self.folder}/authority.pem", "cert": f"{self.folder}/{name}.pem", "key": f"{self.folder}/{name}.key"}

    def make(self, name, *signer):
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *signer]
        command += ["-config", f"{self.folder}/config", "-extensions", name, "-subj", f"/CN={name}", "-days", "2"]
        command += ["-keyout", f"{self.folder}/{name}.key", "-out", f"{self.folder}/{name}.pem"]
        subprocess.run(command, check=True, capture_output=True)


class Cluster:
    def __init__(self, folder, tls):
        self.folder, self.tls = folder, tls
        os.mkdir(folder)
        ports = free_ports(9)
        self.endpoints = [f"https://127.0.0.1:{port}" for port in ports[:3]]
        self.peers = [f"https://127.0.0.1:{port}" for port in ports[3:6]]
        self.metrics = [f"http://127.0.0.1:{port}" for port in ports[6:]]
        self.members = [self.member(number) for number in range(3)]
        try:
            self.wait()
            self.lead()
        except BaseException:
            self.end()
            raise

    def member(self, number):
        options = {
            "name": f"m{number}",
            "data-dir": f"{self.folder}/m{number}",
            "listen-client-urls": self.endpoints[number],
            "advertise-client-urls": self.endpoints[number],
            "listen-peer-urls": self.peers[number],
            "initial-advertise-peer-urls": self.peers[number],
            "initial-cluster": ",".join(f"m{number}={peer}" for number, peer in enumerate(self.peers)),
            "listen-metrics-urls": self.metrics[number],
            "quota-backend-bytes": str(8 << 30),
            "logger": "zap",
            "log-level": "error",
        }
        for kind in "", "peer-":
            files = {f"{kind}cert-file": self.tls["cert"], f"{kind}key-file": self.tls["key"]}
            options |= {**files, f"{kind}trusted-ca-file": self.tls["ca"], f"{kind}client-cert-auth": "true"}
        with open(f"{self.folder}/m{number}.log", "w") as log:
            return subprocess.Popen(["etcd", *(f"--{name}={value}" for name, value in options.items())], stdout=log, stderr=log)

    def wait(self):
        """Until every member takes part in an agreement."""
        for endpoint in self.endpoints:
            until(lambda: "revision" in self.etcdctl(endpoint, "get", "no-such-key", "--write-out=json", check=False))

    def lead(self):
        """Makes the first member the leader: it is the one that a client asks."""
        states = [self.status(endpoint) for endpoint in self.endpoints]
        first, leader = states[0]["header"]["member_id"], states[0]["leader"]
        for endpoint, state in zip(self.endpoints, states):
            if state["header"]["member_id"] == leader != first:
                self.etcdctl(endpoint, "move-leader", f"{first:x}")

    def leads(self):
        """Whether the first member is the leader."""
        state = self.status(self.endpoints[0])
        return state["leader"] == state["header"]["member_id"]

    def status(self, endpoint):
        return json.loads(self.etcdctl(endpoint, "endpoint", "status", "--write-out=json"))[0]["Status"]

    def etcdctl(self, endpoint, *arguments, check=True):
        command = ["etcdctl", "--endpoints", endpoint, "--command-timeout=120s"]
        command += ["--cacert", self.tls["ca"], "--cert", self.tls["cert"], "--key", self.tls["key"], *arguments]
        environment = {**os.environ, "ETCDCTL_API": "3"}
        return subprocess.run(command, capture_output=True, text=True, check=check, env=environment).stdout

    def read(self, *names, member=0):
        """Numbers of a member's metrics; those with labels are added up."""
        with urllib.request.urlopen(f"{self.metrics[member]}/metrics", timeout=30) as reply:
            lines = [line.rsplit(" ", 1) for line in reply.read().decode().splitlines() if not line.startswith("#")]
        return [sum(float(value) for key, value in lines if key.split("{")[0] == name) for name in names]

    def cpu(self):
        """Seconds of CPU that the members have used."""
        return sum(time.clock_gettime((~member.pid << 3) | 2) for member in self.members)

    def end(self):
        for member in self.members:
            member.terminate()
        for member in self.members:
            member.wait()


def free_ports(number):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


def until(is_so):
    """Waits, at most for a minute."""
    last = time.monotonic() + 60
    while not is_so():
        if time.monotonic() > last:
            raise RuntimeError("etcd does not serve: see its logs")
        time.sleep(0.1)
