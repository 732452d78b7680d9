"""A working day of a fleet, as a model: every login of every user is drawn at random from a seed. Knows nothing of etcd: it
tells how many calls of each kind a minute brings, and what they cost is measured elsewhere."""

import math
from array import array
from random import Random

MINUTES = 24 * 60
# Shares of the users, and the logins that each of them makes on average. The rest has the day off.
MOST_LOGINS = 200
PEOPLE = {"at an office": (0.55, 3), "engineers": (0.17, 12), "operators": (0.03, 40)}
# Weights of the hours of the day, all in one time zone, which is the worst case.
HOURS = [1, 1, 1, 1, 1, 2, 5, 12, 20, 18, 14, 12, 10, 14, 14, 12, 11, 9, 6, 4, 3, 3, 2, 1]
# The first minutes of an hour are busier than the others.
RUSH_MINUTES, RUSH = 5, 3
MISTYPED, USED_BEFORE, MOST_TRIES = 0.05, 0.01, 3
# An attacker guesses at some users, all day, at all hosts. So many guesses are judged before two codes are asked for.
ATTACKED, GUESSES, JUDGED = 200, 1000, 5
# The leader of etcd fails at eleven: for so many seconds every login fails, and is tried again in the next minute.
FAILS_AT, FAILS_FOR = 11 * 60, 5
KINDS = "question", "accepted", "rejected", "already_used", "two_codes_needed", "failed"


class Day:
    """Calls of each kind in each minute, and the logins of the host that has the most."""

    def __init__(self, seed, users, hosts):
        self.random = Random(seed)
        self.users, self.hosts = users, hosts
        self.calls = {kind: array("L", [0]) * MINUTES for kind in KINDS}
        self.at_host = array("L", [0]) * hosts
        for share, mean in PEOPLE.values():
            logins = sum(self.random.choices(range(MOST_LOGINS), poisson(mean), k=round(users * share)))
            for minute in self.random.choices(range(MINUTES), weights(), k=logins):
                self.login(minute)
        self.attack()

    def login(self, minute):
        # Some hosts have far more users than others.
        self.at_host[int(self.hosts * self.random.random() ** 2)] += 1
        if minute == FAILS_AT and self.random.random() < FAILS_FOR / 60:
            self.tell("failed", minute)
            minute += 1
        for _ in range(MOST_TRIES):
            self.calls["question"][minute] += 1
            found = self.random.random()
            if found >= MISTYPED + USED_BEFORE:
                self.calls["accepted"][minute] += 1
                return
            self.calls["rejected" if found < MISTYPED else "already_used"][minute] += 1

    def attack(self):
        for _ in range(ATTACKED):
            for number in range(GUESSES):
                self.tell("rejected" if number < JUDGED else "two_codes_needed", self.random.randrange(MINUTES))

    def tell(self, kind, minute):
        self.calls["question"][minute] += 1
        self.calls[kind][minute] += 1

    def total(self, kind):
        return sum(self.calls[kind])

    def busiest(self, cost, span):
        """The most that `cost`, of one call of each kind, comes to in so many minutes that follow each other."""
        minutes = [sum(cost.get(kind, 0) * calls[minute] for kind, calls in self.calls.items()) for minute in range(MINUTES)]
        return max(sum(minutes[first:first + span]) for first in range(MINUTES - span + 1))


def weights():
    return [HOURS[minute // 60] * (RUSH if minute % 60 < RUSH_MINUTES else 1) for minute in range(MINUTES)]


def poisson(mean):
    """The odds of each number of events that come at random with that mean."""
    odds = [math.exp(-mean)]
    for number in range(1, MOST_LOGINS):
        odds.append(odds[-1] * mean / number)
    return odds
