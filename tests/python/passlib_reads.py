"""Reads records with the real passlib: for each line of passlib_users.py on standard input, with the record
as it came back, everything must be the same. Prints how many it read.

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
    assert (found.label, found.issuer) == (expected["label"] or expected["user"], expected["issuer"]), (found, expected)
    count += 1
print(count)
