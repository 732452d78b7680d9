"""The modules that are compared: pam-totp with its daemon, google-authenticator, pam_oath, and pam_permit, which is the
harness alone. Each makes a fresh state for its users, and knows the code of a user at the present moment. The peers are
configured to be as safe as they can be."""

import base64
import hashlib
import hmac
import json
import os
import socket
import struct
import subprocess
import time

STEP = 30


def totp(key):
    """RFC 6238 with six digits, SHA-1 and 30 seconds."""
    digest = hmac.new(key, struct.pack(">Q", int(time.time()) // STEP), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(int.from_bytes(digest[at:at + 4], 'big') & 0x7FFFFFFF) % 10**6:06}"


def next_step():
    """Waits for a time step that no code was used in."""
    step = int(time.time()) // STEP
    while int(time.time()) // STEP == step:
        time.sleep(0.1)


def key_of(user):
    """The key of an imported user follows from the name."""
    return hashlib.sha256(user.encode()).digest()[:20]


def write_table(path, users):
    """Users and their keys, for `totpctl import csv`."""
    with open(path, "w") as file:
        file.write("user,key\n")
        file.writelines(f"{user},{base64.b32encode(key_of(user)).decode()}\n" for user in users)


def another(code):
    """A wrong code. It is right one time in 300,000, which does not matter here."""
    return f"{(int(code) + 500_000) % 10**6:06}"


class Module:
    """A service `name` of one line, and the keys of its users."""

    name = ""

    def __init__(self, users):
        self.users = users
        self.keys = {}

    def begin(self, folder):
        """Makes its state in a new folder."""

    def line(self):
        raise NotImplementedError

    def end(self):
        """Stops what `begin` started."""

    def codes(self):
        return [(user, totp(self.keys[user])) for user in self.users]

    def make_keys(self):
        self.keys = {user: os.urandom(20) for user in self.users}


class Permit(Module):
    name = "permit"

    def begin(self, folder):
        self.make_keys()

    def line(self):
        return "pam_permit.so"


class Google(Module):
    name = "google-authenticator"
    state = 'RATE_LIMIT 3 30', 'WINDOW_SIZE 3', 'DISALLOW_REUSE', 'TOTP_AUTH'

    def begin(self, folder):
        self.folder = folder
        self.make_keys()
        options = "".join(f'" {option}\n' for option in self.state)
        for user, key in self.keys.items():
            path = f"{folder}/{user}"
            with open(path, "w", opener=lambda path, flags: os.open(path, flags, 0o400)) as file:
                file.write(f"{base64.b32encode(key).decode()}\n{options}")

    def line(self):
        return f"pam_google_authenticator.so secret={self.folder}/${{USER}} user=root"


class Oath(Module):
    name = "pam_oath"

    def begin(self, folder):
        self.file = f"{folder}/users"
        self.make_keys()
        with open(self.file, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.writelines(f"HOTP/T30/6 {user} - {key.hex()}\n" for user, key in self.keys.items())

    def line(self):
        return f"pam_oath.so usersfile={self.file} window=3 digits=6"


class Ours(Module):
    name = "pam-totp"

    def __init__(self, users, programs):
        super().__init__(users)
        self.programs = programs

    def begin(self, folder):
        self.socket = f"{folder}/run/login.sock"
        for name in "run", "state":
            os.mkdir(f"{folder}/{name}")
        subprocess.run(["chown", "_pam-totp:", f"{folder}/state"], check=True)
        self.write(f"{folder}/secrets", "1: an application secret of the benchmark\n")
        context = f"totp: {{context: {{secrets-path: {folder}/secrets}}}}\n"
        store = f"provisiond: {{store: {{sled: {{path: {folder}/state/store}}}}}}\n"
        self.write(f"{folder}/settings.yaml", context + store)
        self.start(folder)
        self.enroll()

    @staticmethod
    def write(path, text):
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o640)
        subprocess.run(["chgrp", "_pam-totp", path], check=True)
        # The daemon waits for a file that has just been written.
        os.utime(path, (0, 0))

    def start(self, folder):
        self.daemon = started(f"{self.programs}/provisiond", folder)

    def enroll(self):
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(self.socket)
            for user in self.users:
                told = call(server, "Enroll", {"user": user, "active": True})
                self.keys[user] = base64.b32decode(told["key"].replace("-", ""))

    def line(self):
        module = f"{self.programs}/libpam_totp.so"
        return f"{module} socket={self.socket} retry=1"

    def end(self):
        self.daemon.terminate()
        self.daemon.wait()

    def cpu(self):
        return cpu_of(self.daemon)

    def memory(self):
        """MiB that the daemon has in memory."""
        with open(f"/proc/{self.daemon.pid}/status") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))


def started(program, folder):
    """Starts a daemon with the settings in that folder, and waits until it says that it serves."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        path = f"{folder}/ready"
        ready.bind(path)
        os.chmod(path, 0o666)
        ready.settimeout(30)
        arguments = ["--settings", f"{folder}/settings.yaml", "--runtime-dir", f"{folder}/run"]
        daemon = subprocess.Popen([program, *arguments], env={**os.environ, "NOTIFY_SOCKET": path})
        while b"READY=1" not in ready.recv(4096):
            pass
    return daemon


def cpu_of(*processes):
    """Seconds of CPU that they have used, from the clocks of the processes."""
    return sum(time.clock_gettime((~process.pid << 3) | 2) for process in processes)


def totpctl(programs, socket_path, *arguments):
    command = [f"{programs}/totpctl", "--socket", socket_path, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stdout[-500:]}{done.stderr[-500:]}")


def verify(socket_path, users):
    """Right codes of imported users, over one connection."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(socket_path)
        for user in users:
            told = call(server, "Verify", {"user": user, "service": "load", "codes": [totp(key_of(user))]})
            if told["verdict"] != "accepted":
                raise RuntimeError(f"{user}: {told}")


def call(server, method, parameters):
    """One call of the daemon's socket (Varlink)."""
    message = {"method": f"org.pamtotp.Provision.{method}", "parameters": parameters}
    server.sendall(json.dumps(message).encode() + b"\0")
    reply = b""
    while not reply.endswith(b"\0"):
        reply += server.recv(65536) or b"{}\0"
    reply = json.loads(reply[:-1])
    if "error" in reply or "parameters" not in reply:
        raise RuntimeError(f"{method}: {reply}")
    return reply["parameters"]
