"""Users of the test machine: their passwords, keys and authenticators (oathtool), and how they log in over ssh."""

import contextlib
import json
import re
import subprocess
import time

from guest import KEYS_ONLY, PATIENCE

# The machine reads its clock in whole seconds while it boots, and stays behind ours by some.
BEHIND = 5


class User:
    """An account in the machine. Codes are taken in order, each one once, as the daemon wants them."""

    def __init__(self, guest, name, period=30):
        self.guest, self.name, self.period = guest, name, period
        self.password = f"password of {name}"
        self.last = 0
        if name != "root":
            self.create()
        guest.run("chpasswd --crypt-method SHA256", stdin=f"{name}:{self.password}\n")

    def create(self):
        name = self.name
        self.guest.run(f"useradd -m -s /bin/bash {name}; install -d -m 700 -o {name} -g {name} /home/{name}/.ssh;"
                       f"install -m 600 -o {name} -g {name} /root/.ssh/authorized_keys /home/{name}/.ssh/")

    def enrol(self, command):
        """The administrator enrols the user with this command; the authenticator takes the key from its JSON."""
        self.key = json.loads(self.guest.run(command))["key"]

    def enrol_at(self, terminal, command):
        """An administrator enrols the user at a terminal, and the user reads out the first code."""
        def first(key):
            self.key = key
            return self.code()
        enrol_at(terminal, command, first)

    def code_of(self, step):
        command = ["oathtool", "--totp", "--base32", "-s", str(self.period), "-N", f"@{step * self.period}", "-"]
        return subprocess.run(command, input=self.key, capture_output=True, text=True, check=True).stdout.strip()

    def code(self):
        """The next code that is acceptable and was not used. The clock brings it, if it is not there yet.

        Never the one before that of now, which is acceptable too: a slow machine would judge it too late.
        """
        self.last = max(self.last + 1, self.step_of(time.time()))
        while self.step_of(time.time() - BEHIND) + 1 < self.last:
            time.sleep(1)
        return self.code_of(self.last)

    def step_of(self, moment):
        return int(moment) // self.period

    def not_before(self, moment):
        """After an event of the clock, the codes up to the one after the event's are refused: the authenticator waits."""
        self.last = max(self.last, self.step_of(moment) + 1)

    def log_in(self, *codes, key=False, command="id -un"):
        """Logs in over ssh from outside, by key or by password, with these codes."""
        return Login(self, codes, key, command)

    @contextlib.contextmanager
    def session(self, *codes):
        """A terminal in the machine, over ssh from outside, by key and these codes."""
        ssh, environment = way_in(self, codes, key=True)
        with self.guest.terminal([*ssh, "-tt"], environment) as terminal:
            terminal.ready()
            terminal.type("stty sane")
            terminal.ready()
            yield terminal


def enrol_at(terminal, command, first_code):
    """Types an enrolment. The authenticator takes the key from the screen and makes the first code of it."""
    terminal.type(command)
    key = re.search("secret=([A-Z2-7]+)", terminal.expect("secret=[A-Z2-7]+[^A-Z2-7]"))[1]
    terminal.expect("Code that the new device shows now: ")
    terminal.type(first_code(key))
    terminal.expect("is active: ")
    terminal.ready()


def hotp_codes(key):
    """The first codes of a device that counts."""
    command = ["oathtool", "--hotp", "--base32", "--window", "999", "-"]
    return subprocess.run(command, input=key, capture_output=True, text=True, check=True).stdout.split()


class Login:
    """What came of a login: whether it was accepted, and what it asked for."""

    def __init__(self, user, codes, key, command):
        folder = user.guest.folder
        ssh, environment = way_in(user, codes, key)
        done = subprocess.run([*ssh, command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE,
                              env=environment)
        self.accepted = done.returncode == 0
        self.printed = done.stdout.strip()
        self.prompts = (folder / "prompts").read_text().split("\0")[:-1]
        self.said = done.stderr.strip()

    def __repr__(self):
        return f"accepted={self.accepted} prompts={self.prompts} printed={self.printed!r} said={self.said!r}"


def way_in(user, codes, key):
    """The client's command line and its environment. The answers stand in files; ssh shows a prompt by running a program."""
    folder = user.guest.folder
    (folder / "codes").write_text("".join(code + "\n" for code in codes))
    (folder / "password").write_text(user.password + "\n")
    (folder / "prompts").write_text("")
    askpass = folder / "askpass"
    askpass.write_text(ASKPASS.format(folder=folder))
    askpass.chmod(0o755)
    way = ["-i", user.guest.image / "key", "-o", "PreferredAuthentications=publickey,keyboard-interactive"]
    if not key:
        way = ["-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=keyboard-interactive,password"]
    ssh = ["ssh", *KEYS_ONLY, *way, "-o", "NumberOfPasswordPrompts=1", "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=60",
           "-p", str(user.guest.ssh_port), f"{user.name}@127.0.0.1"]
    return ssh, {"PATH": "/usr/bin:/bin", "TERM": "xterm", "SSH_ASKPASS": askpass, "SSH_ASKPASS_REQUIRE": "force"}


# pam_oath asks for its "One-time password (OATH)".
ASKPASS = """#!/bin/sh
printf '%s\\0' "$1" >>{folder}/prompts
case $1 in
    *OATH*) ;;
    *assword*) exec cat {folder}/password ;;
esac
head -n 1 {folder}/codes
sed -i 1d {folder}/codes
"""
