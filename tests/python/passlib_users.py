"""Makes users with the real passlib, as a system in use would have them: one JSON object a line.

usage: passlib_users.py SECRETS COUNT SEED    SECRETS: a JSON object of tags and application secrets
"""

import json
import random
import sys

from passlib.totp import TOTP

secrets, count, seed = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
dice = random.Random(seed)
factory = TOTP.using(secrets=secrets, encrypt_cost=4)
for n in range(count):
    parameters = {
        "alg": dice.choice(["sha1", "sha256", "sha512"]),
        "digits": dice.choice([6, 7, 8]),
        "period": dice.choice([15, 30, 30, 60, 120]),
    }
    label = dice.choice([f"old-{n:04}@example.org", f"Käthe N° {n}", None])
    totp = factory.new(label=label, issuer=dice.choice(["Example", "Café & Co.", None]), **parameters)
    line = {"user": f"old-{n:04}", "record": json.loads(totp.to_json()), "key": totp.base32_key, **parameters}
    line |= {"label": totp.label, "issuer": totp.issuer}
    print(json.dumps(line))
