"""How pam-totp comes into the test machine, is upgraded there, and goes again: apt and the packages of `make deb`."""

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
NAMES = "libpam-totp pam-totp-daemon pam-totp-tools"
APT = "DEBIAN_FRONTEND=noninteractive apt-get -qy"


def parcel(folder, debs):
    """What the machine finds on its second disk: the packages, the same ones in a later version, and the endless logins."""
    now, later = folder / "parcel/now", folder / "parcel/later"
    now.mkdir(parents=True)
    later.mkdir()
    found = [deb for deb in debs.glob("*.deb") if "-dbgsym_" not in deb.name]
    if len(found) != len(NAMES.split()):
        raise SystemExit(f"tests/vm/run: {debs} has not one package each of {NAMES}: run make deb first")
    for deb in found:
        shutil.copy(deb, now)
        in_a_later_version(deb, later)
    subprocess.run(["gcc", "-O2", "-Wall", "-o", folder / "parcel/logins", PROJECT / "tests/vm/logins.c", "-lpam", "-lpthread"],
                   check=True)
    with tarfile.open(folder / "parcel.tar", "w") as tar:
        tar.add(folder / "parcel", arcname=".")
    return folder / "parcel.tar"


def in_a_later_version(deb, folder):
    """There is no released package before this one: what comes after it has the same files and a later version."""
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "-R", deb, tree], check=True)
    control = tree / "DEBIAN/control"
    text = control.read_text()
    version = re.search(r"(?m)^Version: (.*)$", text)[1]
    control.write_text(text.replace(version, version + "+later1"))
    subprocess.run(["dpkg-deb", "-Zgzip", "--root-owner-group", "-b", tree, folder / deb.name], check=True,
                   stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)


def install(guest):
    guest.run(f"mkdir /root/parcel; tar -C /root/parcel -xf /dev/vdb; {APT} install /root/parcel/now/*.deb")


def upgrade(guest):
    guest.run(f"{APT} install /root/parcel/later/*.deb")


def remove(guest):
    guest.run(f"{APT} remove {NAMES}")
