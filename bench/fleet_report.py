"""What fleet.py has seen: each goal and whether it was met, and the figures behind it."""

from statistics import median

from report import machine, table

MARKS = "<!-- Below: the tables of the last run of `make bench-fleet`. -->\n", "<!-- Above: make bench-fleet. -->\n"
PLAIN, VERIFIER, RELAY = "plain", "verifier", "relay"
WHAT = {PLAIN: "plain transactions", VERIFIER: "logins at the verifier", RELAY: "logins through a relay"}


def tables(results, rotations, users):
    what = f"Three members of etcd on one disk, {users} users; medians of {rotations} rotations"
    return "\n\n".join([machine(results.quiet, what), goals(results), speeds(results), costs(results)]) + "\n"


def goals(results):
    added = median(each(results, "P = 1", RELAY, "p50", VERIFIER, lambda relay, verifier: (relay - verifier) / 1000))
    rows = [
        ["logins a second at the verifier, P = 64, against plain transactions", "at least 0.90"],
        ["ms that a relay adds, p50, P = 1", "at most 1.00"],
        ["durable transactions a verdict", "1"],
    ]
    share = ratio(results, "P = 64", VERIFIER)
    made = transactions(results)
    rows[0] += [f"{share:.2f}", met(share >= 0.9)]
    rows[1] += [f"{added:.2f}", met(added <= 1)]
    rows[2] += [f"{min(made):.3f} to {max(made):.3f}", met(all(exactly_one(number) for number in made))]
    return table("Fleet: the goals", ("measurement", "goal", "found", ""), rows)


def speeds(results):
    rows = []
    for row, name in results.rows():
        figures = (results.median(row, name, figure) for figure in ("p50", "p99", "rate"))
        accepted, of = min(results.each(row, name, "accepted")), results.each(row, name, "of")[0]
        rows.append([row, WHAT[name], *(f"{figure:,.0f}" for figure in figures), f"{accepted} of {of}", f"{ratio(results, row, name):.2f}"])
    heads = "callers", "what", "p50 µs", "p99 µs", "a second", "accepted", "rate : plain"
    return table("Fleet: logins beside plain transactions", heads, rows)


def costs(results):
    rows = []
    for row, name in results.rows():
        figures = [results.median(row, name, figure) for figure in ("cpu", "cpu of daemons", "cpu of etcd")]
        numbers = [results.median(row, name, figure) for figure in ("calls", "revisions", "proposals")]
        rows.append([row, WHAT[name], *(f"{figure:,.0f}" for figure in figures), *(f"{number:.3f}" for number in numbers)])
    heads = "callers", "what", "CPU µs of the login", "of the daemons, or of the plain client", "of the three members"
    return table("Fleet: what one login or transaction costs", heads + ("calls of etcd", "durable transactions", "proposals"), rows)


def each(results, row, name, figure, other, compared):
    """In each rotation, one against the other: machines change from minute to minute."""
    pairs = zip(results.each(row, name, figure), results.each(row, other, figure))
    return [compared(*pair) for pair in pairs]


def ratio(results, row, name):
    return median(each(results, row, name, "rate", PLAIN, lambda ours, plain: ours / plain))


def transactions(results):
    """A verdict's, in each measurement."""
    logins = [(row, name) for row, name in results.rows() if name != PLAIN]
    return [number for row, name in logins for number in results.each(row, name, "revisions")]


def exactly_one(number):
    """One may be of the daemon's clock, which it keeps once in a while."""
    return 1 <= number < 1.01


def met(is_met):
    return "met" if is_met else "MISSED"


def wrong(results):
    """A sentence if a right code was refused, or a verdict was not one durable transaction; else nothing."""
    for row, name in results.rows():
        of, accepted = results.each(row, name, "of"), results.each(row, name, "accepted")
        if of != accepted:
            return f"bench: {accepted} of {of} were accepted: {WHAT[name]}, {row}"
    made = transactions(results)
    if not all(exactly_one(number) for number in made):
        return f"bench: {min(made)} to {max(made)} transactions a verdict"
    return None
