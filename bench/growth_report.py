"""What growth.py has seen: each goal and whether it was met, and the figures behind it."""

from statistics import median

from report import machine, table

MARKS = "<!-- Below: the tables of the last run of `make bench-growth`. -->\n", "<!-- Above: make bench-growth. -->\n"


def tables(found, quiet, rotations):
    """`found` has the figures of each store by the number of its users, the smallest first."""
    small, large = list(found.stores.values())
    parts = machine(quiet, f"medians of {rotations} rotations"), goals(found, small, large), stores(found), bulk(found, large)
    return "\n\n".join(parts) + "\n"


def goals(found, small, large):
    users = f"{large['users']:,} users"
    growth = median(large / small for small, large in zip(small["p99"], large["p99"]))
    rows = [
        goal(f"p99 of a login at {users} against {small['users']:,}", growth, 1.3, ".2f"),
        goal(f"{users}: seconds until it serves", large["open"], 2, ".1f"),
        goal(f"{users}: MiB once it serves", large["memory"], 128, ".0f"),
        goal(f"{users}: MiB under random load", large["loaded"], 384, ".0f"),
        goal(f"{users}: bytes on the disk a user", large["disk"], 1500, ".0f"),
        goal(f"{found.listed:,} users enrolled from a list: a second", found.enrolled, 5000, ",.0f", at_least=True),
        goal(f"{users} sealed under a new secret, beside logins: seconds", large["rotation"], 120, ".0f"),
        goal("p99 of those logins against an idle daemon's", large["rotation p99"] / median(large["p99"]), 3, ".1f"),
        goal(f"idle, {small['users']:,} users: MiB", small["idle"], 16, ".0f"),
        goal(f"idle, {small['users']:,} users: wake-ups of the daemon's own threads in 30 s", small["wakeups"][0], 0, ".0f"),
        goal(f"idle, {small['users']:,} users: wake-ups of all threads in 30 s, sled's with them", sum(small["wakeups"]), 0, ".0f"),
    ]
    return table("Growth: the goals", ("measurement", "goal", "found", ""), rows)


def goal(what, found, bound, form, at_least=False):
    is_met = found >= bound if at_least else found <= bound
    word = "at least" if at_least else "at most"
    return [what, f"{word} {bound:,}", format(found, form), "met" if is_met else "MISSED"]


def stores(found):
    rows = []
    for figures in found.stores.values():
        times = [median(figures[figure]) for figure in ("p50", "p99")]
        rest = figures["open"], figures["memory"], figures["idle"], figures["disk"]
        cells = [f"{figures['users']:,}", *(f"{time:,.0f}" for time in times)]
        rows.append(cells + [f"{rest[0]:.2f}", *(f"{number:,.0f}" for number in rest[1:]), str(sum(figures["wakeups"]))])
    heads = "users", "p50 µs of a login", "p99 µs", "serves after s", "MiB then", "MiB idle", "bytes on the disk a user"
    return table("Growth: stores", heads + ("woke up in 30 s",), rows)


def bulk(found, large):
    users = f"{large['users']:,}"
    rows = [
        [f"enroll --users: {found.listed:,} users with recovery codes", f"{found.enrolled:,.0f} a second"],
        [f"import csv: {users} users", f"{large['imported']:,.0f} a second"],
        ["right codes of users all over the store, 8 connections", f"{large['rate']:,.0f} a second"],
        [f"rotate: {users} records", f"{large['users'] / large['rotation']:,.0f} a second"],
        [f"{large['beside']:,} logins meanwhile", f"p50 {large['rotation p50']:,.0f} µs, p99 {large['rotation p99']:,.0f} µs"],
        ["bytes on the disk a user after all that", f"{large['disk after']:,.0f}"],
    ]
    return table("Growth: many users at once", ("measurement", "found"), rows)
