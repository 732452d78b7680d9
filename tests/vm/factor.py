"""Turns the second factor on in the test machine, as the guide says, and off again."""

import re

from packages import PROJECT
from guest import quoted

GUIDE = PROJECT / "docs/administrators-guide.md"


def turn_on(guest, *recipes):
    """Follows recipes of the guide as they stand there. Files that are there are kept, to be put back."""
    for recipe in recipes:
        for path, mode, lines in files_of(recipe):
            kept = f"/root/before{path}"
            guest.run(f"[ ! -e {path} ] || [ -e {kept} ] || {{ mkdir -p $(dirname {kept}); cp -a {path} {kept}; }}")
            if path.startswith("/etc/pam.d/") and "@include common-auth" in guest.run(f"cat {path}"):
                guest.run(f"awk -v lines={quoted(lines)} '/^@include common-auth/ {{ print lines; next }} {{ print }}'"
                          f" {path} >{path}.new; mv {path}.new {path}")
            elif not path.startswith("/etc/pam.d/"):
                guest.run(f"cat >{path}; chmod {mode} {path}", stdin=lines + "\n")
    reload_sshd(guest)


def turn_off(guest):
    """The way back: the files as they were, and none of ours."""
    guest.run("cp -a /root/before/etc/. /etc; rm -f /etc/ssh/sshd_config.d/50-pam-totp.conf")
    reload_sshd(guest)


def reload_sshd(guest):
    """sshd starts anew in place: the log says when it listens again."""
    guest.run("sshd -t; now=$(journalctl -qn 0 --show-cursor | sed 's/^-- cursor: //'); systemctl reload ssh;"
              "grep -qm 1 'Server listening' < <(journalctl -f -u ssh --after-cursor=\"$now\" 2>/dev/null)")


def files_of(recipe):
    """The files of a recipe: path, mode and lines."""
    _, _, rest = GUIDE.read_text().partition(f"\n### {recipe}\n")
    section = re.split(r"\n##+ ", rest)[0]
    block = "\n".join(line[4:] for line in section.split("\n") if line.startswith("    ") or not line)
    for part in re.split(r"(?m)^(?=# /)", block):
        head = re.match(r"# (/\S+)(?:.*\(mode (\d+)\))?.*\n", part)
        if head:
            yield head[1], head[2] or "644", part[head.end():].strip("\n")
