"""How pam-totp comes into the test machine, is upgraded there, and goes again: apt and the packages of `make deb`."""

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
NAMES = "libpam-totp pam-totp-daemon pam-totp-daemon-common pam-totp-tools"
APT = "DEBIAN_FRONTEND=noninteractive apt-get -qy"


def parcel(folder, debs, faults):
    """What the machine finds on its second disk: the packages, the same ones in a later version, and the endless logins."""
    now, later = folder / "parcel/target/debian", folder / "parcel/later"
    now.mkdir(parents=True)
    later.mkdir()
    found = [deb for name in NAMES.split() for deb in debs.glob(f"{name}_*.deb")]
    if len(found) != len(NAMES.split()):
        raise SystemExit(f"tests/vm/run: {debs} has not one package each of {NAMES}: run make deb first")
    trees = [(deb.name, unpacked(deb, folder / "trees")) for deb in found]
    for patch in faults:
        subprocess.run(["patch", "--quiet", "-p1", "-d", folder / "trees", "-i", patch], check=True)
    for name, tree in trees:
        pack(tree, now / name)
        give_a_later_version(tree / "DEBIAN/control")
        pack(tree, later / name)
    subprocess.run(["gcc", "-O2", "-Wall", "-o", folder / "parcel/logins", PROJECT / "tests/vm/logins.c", "-lpam", "-lpthread"],
                   check=True)
    with tarfile.open(folder / "parcel.tar", "w") as tar:
        tar.add(folder / "parcel", arcname=".")
    shutil.rmtree(folder / "trees")
    return folder / "parcel.tar"


def unpacked(deb, folder):
    tree = folder / deb.name.split("_")[0]
    folder.mkdir(exist_ok=True)
    subprocess.run(["dpkg-deb", "-R", deb, tree], check=True)
    return tree


def give_a_later_version(control):
    """There is no released package before this one: what comes after it has the same files and a later version."""
    text = control.read_text()
    version = re.search(r"(?m)^Version: (.*)$", text)[1]
    control.write_text(text.replace(version, version + "+later1"))


def pack(tree, deb):
    subprocess.run(["dpkg-deb", "-Zgzip", "--root-owner-group", "-b", tree, deb], check=True, stdout=subprocess.DEVNULL)


def install(guest):
    guest.run("mkdir /root/parcel; tar -C /root/parcel -xf /dev/vdb")
    guest.run("cd /root/parcel\napt install ./target/debian/*.deb")


def upgrade(guest):
    guest.run(f"{APT} install /root/parcel/later/*.deb")


def remove(guest):
    with guest.root_terminal() as root:
        apt(root, "apt remove libpam-totp pam-totp-daemon pam-totp-tools")


def apt(root, command):
    """Types a command that asks before it installs or removes what the command does not name."""
    root.type(command)
    if "Y/n" in root.expect(r"\[Y/n\] |bash-[0-9.]+# "):
        root.type("y")
        root.ready()


def purge(guest, answer=None):
    if answer:
        guest.run(f"echo 'pam-totp-daemon-common pam-totp-daemon-common/delete-devices boolean {answer}' | debconf-set-selections")
    return guest.run(f"{APT} purge {NAMES} 2>&1")
