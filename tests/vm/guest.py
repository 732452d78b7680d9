"""The test machine: qemu with a disk, its serial console, and the driver's door into it (an sshd of its own, without PAM).

A wait ends when the thing waited for happens. The bound is for a machine that hangs, not for one that is slow.
"""

import contextlib
import re
import signal
import socket
import subprocess
import threading
import time

PATIENCE = 600
KEYS_ONLY = ["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]


class Guest:
    """One machine. Its disk is a copy of the image, and outlives the power cuts."""

    def __init__(self, image, folder, parcel):
        self.image, self.folder, self.parcel = image, folder, parcel
        self.disk = folder / "disk.img"
        self.ssh_port, self.door_port = free_ports(2)
        self.qemu = self.console = None
        # Every command that was typed in the machine, as it was typed.
        self.typed = set()
        copy_disk(image / "disk.img", self.disk)

    def power_on(self):
        """Starts the machine and waits until the door opens."""
        line = self.folder / "console.sock"
        line.unlink(missing_ok=True)
        self.qemu = subprocess.Popen(self.command(line), stdin=subprocess.DEVNULL)
        self.console = Terminal(self.serial_line(line), self.folder / "console.log", self.typed)
        self.wait_for_the_door()

    def command(self, line):
        return ["nice", "-n", "10", "qemu-system-x86_64", "-accel", accelerator(self.image), "-m", "1024", "-smp", "2",
                "-display", "none", "-no-reboot", "-rtc", "base=utc", "-kernel", self.image / "vmlinuz",
                "-initrd", self.image / "initrd.img", "-append", "root=/dev/vda rw console=ttyS0 quiet",
                # What the guest flushes is in the host's memory, where it outlives qemu: waiting for the host's disk proves no more.
                "-drive", f"file={self.disk},format=raw,if=virtio,cache=unsafe",
                "-chardev", f"socket,id=line,path={line},server=on,wait=off",
                "-drive", f"file={self.parcel},format=raw,if=virtio,readonly=on", "-serial", "chardev:line",
                # No way out: what the packages need, they bring, or Debian's image has it.
                "-nic", f"user,model=virtio-net-pci,restrict=on,hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22,"
                        f"hostfwd=tcp:127.0.0.1:{self.door_port}-:2222"]

    def serial_line(self, path):
        line = socket.socket(socket.AF_UNIX)
        while line.connect_ex(str(path)) != 0:
            if self.qemu.poll() is not None:
                raise AssertionError("qemu did not start: see its message above")
        return line

    def cut_power(self):
        """Ends the machine at once, as a power cut does: what the guest had not made durable is gone."""
        self.close_door()
        self.qemu.kill()
        self.qemu.wait()

    def copy_of_the_disk(self):
        """What the disk holds now, as a snapshot without the memory would keep it."""
        self.run("sync")
        copy = self.folder / "snapshot.img"
        self.qemu.send_signal(signal.SIGSTOP)
        copy_disk(self.disk, copy)
        self.qemu.send_signal(signal.SIGCONT)
        return copy

    def shut_down(self):
        """Ends the machine in order."""
        self.run("systemctl poweroff", check=False)
        self.close_door()
        self.qemu.wait(PATIENCE)

    def running(self):
        return self.qemu is not None and self.qemu.poll() is None

    def run(self, script, check=True, stdin=""):
        """Runs a script as root in the machine. Returns what it printed; without check, its errors as well."""
        self.typed.update(script.split("\n"))
        door = [*self.door(), "bash --norc -euo pipefail -c " + quoted(script)]
        done = subprocess.run(door, input=stdin, capture_output=True, text=True, timeout=PATIENCE)
        if check and done.returncode != 0:
            raise AssertionError(f"in the machine, exit {done.returncode}: {script}\n{done.stdout}{done.stderr}")
        return done.stdout if check else done.stdout + done.stderr

    @contextlib.contextmanager
    def root_terminal(self):
        """A shell of root on a terminal, through the door."""
        with self.terminal([*self.door(), "-tt", "stty sane; exec bash --norc"], {}) as terminal:
            terminal.ready()
            yield terminal

    @contextlib.contextmanager
    def terminal(self, ssh, environment):
        """What an ssh shows and takes that has a terminal in the machine. It ends with the scenario's interest in it. Without a
        terminal on our side it begins raw: `stty sane` makes it one."""
        ours, theirs = socket.socketpair()
        client = subprocess.Popen(ssh, stdin=theirs, stdout=theirs, stderr=theirs, env=environment or None)
        theirs.close()
        try:
            yield Terminal(ours, self.folder / "terminals.log", self.typed)
        finally:
            client.kill()
            client.wait()

    def door(self):
        return ["ssh", *KEYS_ONLY, "-i", self.image / "key", "-p", str(self.door_port), "-o", "ControlMaster=auto",
                "-o", f"ControlPath={self.folder}/door", "-o", "ControlPersist=600", "-o", "ConnectTimeout=60", "root@127.0.0.1"]

    def wait_for_the_door(self):
        deadline = time.monotonic() + PATIENCE
        while subprocess.run([*self.door(), "true"], capture_output=True).returncode != 0:
            if not self.running() or time.monotonic() > deadline:
                raise AssertionError(f"the machine did not start: see {self.folder}/console.log")

    def close_door(self):
        subprocess.run(["ssh", "-O", "exit", "-o", f"ControlPath={self.folder}/door", "-", "true"], capture_output=True)

    def journal(self):
        """What the machine logged, for a test that failed."""
        return self.run("journalctl --no-pager -n 4000", check=False) if self.running() else ""


class Terminal:
    """A terminal of the machine, serial or over ssh: what the machine prints is kept in a file, and commands can be typed."""

    def __init__(self, line, log, typed):
        self.line, self.log, self.typed = line, log, typed
        self.unread, self.ended, self.news = b"", False, threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        with self.log.open("ab", buffering=0) as log:
            while came := self.line.recv(65536):
                log.write(came)
                with self.news:
                    self.unread += came
                    self.news.notify()
        with self.news:
            self.ended = True
            self.news.notify()

    def expect(self, pattern):
        """Waits for a text, and takes it and what came before it."""
        with self.news:
            self.news.wait_for(lambda: self.ended or re.search(pattern.encode(), self.unread), PATIENCE)
            found = re.search(pattern.encode(), self.unread)
            if not found:
                raise AssertionError(f"the terminal did not show {pattern!r}, but {self.unread[-500:]!r}")
            self.unread = self.unread[found.end():]
        return found.group().decode()

    def ready(self):
        """Waits for the shell's prompt: sudo and others throw away what is typed before they end."""
        self.expect(r"(?:@vm:\S+[#$]|bash-[0-9.]+#) ")

    def forget(self):
        """Leaves what was printed up to now unread."""
        with self.news:
            self.unread = b""

    def type(self, text):
        self.typed.add(text)
        self.line.sendall(text.encode() + b"\r")

    def interrupt(self):
        self.line.sendall(b"\x03")


def accelerator(image):
    """kvm, where it runs a kernel, else emulation. A /dev/kvm that exists does not prove that it works."""
    verdict = image / "accelerator"
    if not verdict.exists():
        probe = ["timeout", "20", "qemu-system-x86_64", "-accel", "kvm", "-m", "256", "-display", "none", "-no-reboot",
                 "-serial", "stdio", "-kernel", image / "vmlinuz", "-append", "console=ttyS0 panic=-1"]
        said = subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True).stdout
        verdict.write_text("kvm" if b"Kernel panic" in said else "tcg")
    return verdict.read_text()


def copy_disk(source, target):
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", source, target], check=True)


def free_ports(count):
    """Ports that are free now. They are held until all are found, so that none comes twice."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"
