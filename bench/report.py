"""What the benchmark has seen, as tables: medians over the rotations, and ratios to google-authenticator in the same
rotation. Ratios count; the figures themselves belong to one machine."""

import os
import platform
import time
from statistics import median

PEER = "google-authenticator"
MARKS = "<!-- Below: the tables of the last run of `make bench`. -->\n", "<!-- Above: make bench. -->\n"
RIGHT = "right, P = 1", "right, P = 8", "right, P = 64", "right, a process for each login"


class Results:
    def __init__(self):
        self.rotations = []
        self.loads = {}
        self.calls = {}
        self.quiet = []

    def begin_rotation(self):
        self.rotations.append({})

    def waited(self, quiet):
        self.quiet.append(quiet)

    def add(self, row, name, figures):
        figures["p50"], figures["p99"] = percentile(figures["times"], 50), percentile(figures["times"], 99)
        self.rotations[-1][row, name] = figures

    def rows(self):
        return list(self.rotations[0])

    def each(self, row, name, figure):
        return [rotation[row, name][figure] for rotation in self.rotations]

    def median(self, row, name, figure):
        return median(self.each(row, name, figure))

    def ratio(self, row, name, figure):
        """To the peer in the same rotation: machines change from minute to minute."""
        pairs = zip(self.each(row, name, figure), self.each(row, PEER, figure))
        return median(ours / peers if peers else 0 for ours, peers in pairs)


def percentile(times, share):
    return sorted(times)[min(len(times) * share // 100, len(times) - 1)]


def tables(results, rotations, users):
    parts = heading(results, rotations, users), right(results), wrong(results), together(results)
    parts += daemon(results), calls(results), loads(results), floors(results)
    return "\n\n".join(parts) + "\n"


def heading(results, rotations, users):
    return machine(results.quiet, f"{users} users; medians of {rotations} rotations")


def machine(quiet, what):
    """The machine, what was measured on it, and whether it did anything else."""
    busy = quiet.count(False)
    idle = "the machine was idle before each" if busy == 0 else f"THE MACHINE WAS BUSY before {busy} of {len(quiet)}"
    return (
        f"Measured on {time.strftime('%Y-%m-%d')}: {os.cpu_count()} processors ({processor()}), Linux {platform.release()},"
        f" {filesystem('/var/tmp')}. {what}; {idle} measurement."
    )


def right(results):
    rows = []
    for row, name in results.rows():
        if row in RIGHT:
            ratios = [results.ratio(row, name, figure) for figure in ("p50", "rate")]
            rows.append([row, name, *speed(results, row, name), *(f"{ratio:.2f}" for ratio in ratios)])
    heads = "measurement", "module", "p50 µs", "p99 µs", "accepted a second", "accepted", "CPU µs of the login"
    return table("Right codes, each of another user", heads + ("p50 : google", "rate : google"), rows)


def speed(results, row, name):
    of = results.each(row, name, "of")[0]
    accepted = min(results.each(row, name, "accepted"))
    figures = (results.median(row, name, figure) for figure in ("p50", "p99", "rate"))
    cpu = results.median(row, name, "cpu")
    return [*(f"{figure:,.0f}" for figure in figures), f"{accepted} of {of}", f"{cpu:,.0f}"]


def wrong(results):
    rows = []
    for row, name in results.rows():
        if row == "wrong, P = 1":
            ratio = results.median(row, name, "p50") / results.median("right, P = 1", name, "p50")
            accepted = max(results.each(row, name, "accepted"))
            rows.append([name, f"{results.median(row, name, 'p50'):,.0f}", f"{ratio:.2f}", str(accepted)])
    return table("Wrong codes, one try each, P = 1", ("module", "p50 µs", "p50 : a right code's", "accepted"), rows)


def together(results):
    rows = []
    for row, name in results.rows():
        if row == "one code from 8 at once":
            codes = results.each(row, name, "of")[0] // 8
            rows.append([name, str(codes), str(max(results.each(row, name, "accepted")))])
    return table("One code from eight processes at once", ("module", "codes", "logins accepted"), rows)


def wrongly_judged(results):
    """A sentence if pam-totp has refused a right code, or accepted a wrong one, or one code twice; else nothing."""
    for row, name in results.rows():
        if name == "pam-totp":
            of = results.each(row, name, "of")[0]
            wanted = of if row in RIGHT else of // 8 if row.startswith("one code") else 0
            accepted = results.each(row, name, "accepted")
            if set(accepted) != {wanted}:
                return f"bench: pam-totp accepted {accepted} logins of '{row}' instead of {wanted} each time"
    return None


def daemon(results):
    rows = []
    for row, name in results.rows():
        if name == "pam-totp":
            figures = [results.median(row, name, figure) for figure in ("daemon cpu", "daemon memory")]
            rows.append([row, *(f"{figure:,.0f}" for figure in figures)])
    return table("The daemon", ("measurement", "CPU µs a login", "MiB of memory afterwards"), rows)


def calls(results):
    rows = []
    for name, made in results.calls.items():
        total = sum(made.values())
        most = sorted(made.items(), key=lambda item: -item[1])[:6]
        over = total - sum(results.calls["permit"].values()) if name != "provisiond" else total
        rows.append([name, f"{total:.1f}", f"{over:.1f}", ", ".join(f"{call} {n:.1f}" for call, n in most)])
    return table("System calls a login, P = 1", ("process", "all", "over the harness's", "most of them"), rows)


def loads(results):
    rows = [[name, f"{took:.1f}", f"{size:,}"] for name, (took, size) in results.loads.items()]
    return table("dlopen and dlclose in a program of C", ("module", "p50 µs", "bytes of the file"), rows)


def floors(results):
    rows = []
    for row, name in results.rows():
        if name == "floor":
            figures = (results.median(row, name, figure) for figure in ("p50", "p99", "rate"))
            rows.append([row, *(f"{figure:,.0f}" for figure in figures)])
    title = "Floors: a byte there and back on a Unix socket, without and with 512 bytes made durable before the answer"
    return table(title, ("measurement", "p50 µs", "p99 µs", "a second"), rows)


def table(title, heads, rows):
    """Of Markdown, with columns that stand below each other as text, too."""
    lines = [list(heads), *rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(heads))]
    lines.insert(1, ["-" * width for width in widths])
    drawn = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines]
    return "\n".join([f"## {title}", "", *drawn])


def processor():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())


def filesystem(path):
    """The type of the file system that holds `path`: of the longest mount point above it."""
    with open("/proc/self/mounts") as file:
        mounts = [line.split()[1:3] for line in file]
    above = (mount for mount in mounts if os.path.commonpath([mount[0], path]) == mount[0])
    return max(above, key=lambda mount: len(mount[0]))[1]


def write(path, text, marks=MARKS):
    """Puts the tables between the two marks. Everything else stays as it is."""
    first, last = marks
    with open(path) as file:
        before, _, rest = file.read().partition(first)
    _, _, after = rest.partition(last)
    with open(path, "w") as file:
        file.write(f"{before}{first}\n{text}\n{last}{after}")
