"""What fleet_sim.py has measured, what the model of a day brings, and what follows from both. Each table says which it is."""

from day import ATTACKED, FAILS_FOR, GUESSES, KINDS, MISTYPED, USED_BEFORE
from report import machine, table

MARKS = "<!-- Below: the tables of the last run of `make bench-fleet-sim`. -->\n", "<!-- Above: make bench-fleet-sim. -->\n"
GIB = 1 << 30
QUOTAS = {"2 GiB, etcd's default": 2 * GIB, "8 GiB, the most that etcd's authors suggest": 8 * GIB}
WORDS = {
    "question": "a question (what is asked for)",
    "accepted": "a right code",
    "rejected": "a wrong code",
    "already_used": "a code that was used before",
    "two_codes_needed": "a guess after the budget is used up",
}


def text(found, quiet, day, seed):
    what = f"{found.loaded:,} real records in three members on one disk"
    parts = machine(quiet, what), measured(found), costs(found), modelled(found, day, seed), reckoned(found, day), ends(found, day)
    return "\n\n".join(parts) + "\n"


def measured(found):
    sizes = found.sizes
    rows = [
        ["bytes of a user's key and value, as imported", f"{found.row:,.0f}"],
        ["the same after a login", f"{found.row_after_login:,.0f}"],
        ["the same after a wrong code", f"{found.row_after_guess:,.0f}"],
        ["bytes of the database a user, as imported: with its history", f"{sizes['imported'][1]:,.0f}"],
        ["the same after compaction and defragmentation", f"{sizes['without history'][0]:,.0f}"],
        ["totpctl import csv: users a second", f"{found.imported:,.0f}"],
        ["plain transactions a second, P = 64", f"{found.plain:,.0f}"],
        ["MiB of memory of a member, without records and with them", f"{found.empty:,.0f} and {found.memory:,.0f}"],
        ["seconds of a member's defragmentation, in which it answers nothing", f"{found.defragmented:.1f}"],
        ["seconds until a verifier that starts has read all records and serves", f"{found.started:.1f}"],
    ]
    return table("Size of a fleet, measured: the store", ("measurement", "found"), rows)


def costs(found):
    rows = []
    for kind, cost in found.costs.items():
        numbers = [f"{cost[name]:.3f}" for name in ("revisions", "proposals")]
        numbers += [f"{cost[name]:,.0f}" for name in ("client bytes", "peer bytes", "history", "rate")]
        rows.append([WORDS[kind], *numbers])
    heads = "call", "durable transactions", "proposals", "bytes between daemon and etcd", "bytes between members"
    return table("Size of a fleet, measured: what a call costs etcd", heads + ("bytes of history", "a second, 16 callers"), rows)


def modelled(found, day, seed):
    rows = []
    for kind in KINDS[:-1]:
        one = {kind: 1}
        peaks = day.busiest(one, 60) / 3600, day.busiest(one, 1) / 60
        rows.append([WORDS[kind], f"{day.total(kind):,}", *(f"{peak:,.1f}" for peak in peaks)])
    title = f"Size of a fleet, modelled: a day of {day.users:,} users at {day.hosts:,} hosts (seed {seed})"
    heads = "call", "in the day", "a second in the busiest hour", "a second in the busiest minute"
    told = (
        f"Drawn from a seed, not measured (`bench/day.py`): {MISTYPED:.0%} of the codes are mistyped and {USED_BEFORE:.0%} were used before;"
        f" {ATTACKED} users are attacked with {GUESSES:,} guesses each, spread over the hosts; for {FAILS_FOR} seconds etcd has no leader, and"
        f" {day.total('failed'):,} logins are tried again. The busiest host has {max(day.at_host):,} logins."
    )
    return f"{table(title, heads, rows)}\n\n{told}"


def reckoned(found, day):
    made = {kind: cost["revisions"] for kind, cost in found.costs.items()}
    history = {kind: cost["history"] for kind, cost in found.costs.items()}
    sent = {kind: cost["client bytes"] for kind, cost in found.costs.items()}
    between = {kind: cost["peer bytes"] for kind, cost in found.costs.items()}
    records, hour = sizes(found, day)
    peak = day.busiest(made, 1) / 60
    questions = day.busiest({"question": 1}, 1) / 60
    whole = sum(day.total(kind) * cost for kind, cost in history.items())
    rows = [
        ["durable transactions in the day", f"{sum(day.total(kind) * number for kind, number in made.items()):,.0f}"],
        ["a second in the busiest minute", f"{peak:,.0f}: {peak / found.plain:.0%} of the {found.plain:,.0f} measured"],
        ["questions a second then, which are reads", f"{questions:,.0f}"],
        ["bytes of the database a user who has logged in", f"{grown(found)} = {per_user(found):,.0f}"],
        ["GB of records", f"{day.users:,} × {per_user(found):,.0f} bytes = {records / 1e9:.2f}"],
        ["GB of history in the busiest hour", f"{hour / 1e9:.2f}"],
        ["GB of the database, if compacted every hour", f"{records / 1e9:.2f} + {hour / 1e9:.2f} = {(records + hour) / 1e9:.2f}"],
        ["GB of the database, if never compacted: more each day", f"{whole / 1e9:.2f}"],
        ["MB a second between daemons and etcd, busiest minute", f"{day.busiest(sent, 1) / 60 / 1e6:.2f}"],
        ["MB a second between the members, busiest minute", f"{day.busiest(between, 1) / 60 / 1e6:.2f}"],
        ["GiB of memory of a member", f"{(found.empty + (found.memory - found.empty) * day.users / found.loaded) / 1024:.1f}"],
        ["seconds until a verifier serves", f"{found.started * day.users / found.loaded:.0f}"],
    ]
    return table("Size of a fleet, reckoned: measured costs times the model", ("what", "result"), rows)


def ends(found, day):
    """With how many users, all else growing with them, each limit is reached."""
    records, hour = sizes(found, day)
    made = {kind: cost["revisions"] for kind, cost in found.costs.items()}
    rows = [[f"a database of {quota}", f"{limit / (records + hour) * day.users:,.0f}"] for quota, limit in QUOTAS.items()]
    peak = day.busiest(made, 1) / 60
    rows.append([f"{found.plain:,.0f} transactions a second in the busiest minute", f"{found.plain / peak * day.users:,.0f}"])
    return table("Size of a fleet, reckoned: where etcd ends", ("limit", "reached with so many users"), rows)


def sizes(found, day):
    """Bytes of all records, and of the history of the busiest hour."""
    history = {kind: cost["history"] for kind, cost in found.costs.items()}
    return per_user(found) * day.users, day.busiest(history, 60)


def per_user(found):
    return found.sizes["without history"][0] + found.row_after_login - found.row


def grown(found):
    return f"{found.sizes['without history'][0]:,.0f} + ({found.row_after_login:,.0f} - {found.row:,.0f})"
