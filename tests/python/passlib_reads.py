"""Reads records with the real passlib: for each line {"record", "key", "alg", "digits", "period"} on standard input they
must be the same, and so must a code. Prints how many it read.

usage: passlib_reads.py SECRETS    SECRETS: a JSON object of tags and application secrets
"""

import json
import sys

from passlib.totp import TOTP

factory = TOTP.using(secrets=json.loads(sys.argv[1]))
count = 0
for line in sys.stdin:
    expected = json.loads(line)
    found = factory.from_source(expected["record"])
    assert found.base32_key == expected["key"], (found.base32_key, expected)
    assert (found.alg, found.digits, found.period) == tuple(expected[k] for k in ("alg", "digits", "period")), expected
    assert found.label == expected["user"], (found.label, expected)
    count += 1
print(count)
