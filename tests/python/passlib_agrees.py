"""Compares totpctl with the real passlib on random keys, parameters, labels, times and windows: records and URIs both
ways, codes, and verdicts. Prints how many sets agreed. The first that does not ends it, with what makes it come again.

usage: passlib_agrees.py TOTPCTL FOLDER SEED COUNT    FOLDER: where a settings file may be written
"""

import json
import random
import re
import subprocess
import sys
from pathlib import Path

from passlib.exc import InvalidTokenError, MalformedTokenError, UsedTokenError
from passlib.totp import TOTP

LETTERS = "abcXYZ019 _-.~@/?&=#%+\"'\\<>|;,!$()[]{}*^`\t\n\x7féßЖ日\u2028🔑"
totpctl, folder, seed, count = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:])
dice = random.Random(seed)
settings = folder / "settings.yaml"


def text():
    """Not all blank: a URI has no such label."""
    letters = [*dice.choices(LETTERS, k=dice.randint(0, 20)), dice.choice("aé日")]
    return "".join(dice.sample(letters, len(letters)))


def secret():
    return "".join(dice.choices("abcXYZ019:#-'\"\\éЖ日", k=dice.randint(16, 60)))


def maybe(make):
    return dice.choice([make, lambda: None])()


def ask(action, *arguments, given=""):
    """What totpctl answers: its exit code and its JSON."""
    command = [totpctl, "--json", "key", "--settings", settings, action, *arguments]
    done = subprocess.run(command, input=given.encode(), capture_output=True)
    return done.returncode, json.loads(done.stdout)


def told(action, *arguments, given=""):
    code, answer = ask(action, *arguments, given=given)
    assert code == 0, (action, arguments, given, answer)
    return answer


def same(found, expected, *of):
    assert found == expected, (found, expected, *of)


def says(totp):
    """All that a record says, as totpctl shows it."""
    names = ("alg", "digits", "period", "label", "issuer", "changed")
    return {"key": totp.base32_key} | {name: getattr(totp, name) for name in names}


def factory():
    """passlib with settings of its own, and the same settings for totpctl."""
    secrets = {str(dice.randint(0, 10**10)): secret() for _ in range(dice.randint(1, 4))}
    context = {"secrets": secrets, "encrypt_cost": dice.randint(0, 5)}
    context |= {name: value for name, value in [("default_tag", maybe(lambda: dice.choice(list(secrets)))),
                                                ("issuer", maybe(lambda: "Café & Co."))] if value}
    settings.write_text(json.dumps({"totp": {"context": context}}))
    settings.chmod(0o600)
    return TOTP.using(**context)


def records(passlib, totp):
    """Either reads what the other wrote, and totpctl writes it byte for byte as passlib does."""
    theirs = totp.to_json()
    same(told("open", given=theirs), says(totp), theirs)
    ours = told("seal", "--format", "passlib", given=theirs)["record"]
    same(says(passlib.from_json(ours)), says(totp), ours)
    random_parts = re.compile(r'("[ks]"):"\w+"')
    same(random_parts.sub(r"\1", ours), random_parts.sub(r"\1", theirs))
    bound = told("seal", "--format", "v2", "--user", "alice", given=theirs)["record"]
    back = told("seal", "--format", "passlib", given=bound)["record"]
    same(says(passlib.from_json(back)), says(totp), bound, back)


def uris(passlib, totp):
    """The same URI, which either reads alike."""
    label, issuer = totp.label or text(), maybe(text)
    uri = totp.to_uri(label, issuer)
    found = told("uri", f"--label={label}", *([f"--issuer={issuer}"] if issuer else []), given=totp.to_json())["uri"]
    same(found, uri, label, issuer)
    # A URI is not sealed; to passlib that changes only where a record is read.
    same(told("open", given=uri), says(passlib.from_uri(uri)) | {"changed": True}, uri)


def codes(totp):
    at = dice.choice([0, dice.randint(0, 100), dice.randint(0, 2**32), dice.randint(0, 2**40)])
    shown = totp.generate(at)
    expected = {"code": shown.token, "counter": shown.counter, "expire_time": shown.expire_time}
    same(told("code", f"--at={at}", given=totp.to_json()), expected, at)


def verdicts(totp):
    at, period = dice.choice([dice.randint(0, 2**32), dice.randint(0, 999)]), totp.period
    window = dice.choice([0, 1, period - 1, period, period + 1, dice.randint(0, 5 * period)])
    skew = dice.choice([0, 0, 1, period, -period, dice.randint(-3 * period, 3 * period)])
    step = max(0, (at + skew) // period + dice.randint(-3, 3))
    last = dice.choice([None, None, max(0, step - 1), step, step + 1, dice.randint(0, 2**40)])
    code = totp.generate(step * period).token
    code = dice.choice([code, code, f" {code[:3]}-{code[3:]}\n", code[1:], code + "a", code[::-1], "\u2003".join(code)])
    try:
        match = totp.match(code, at, window=window, skew=skew, last_counter=last)
        expected = 0, {"verdict": "accepted", "counter": match.counter}
    except UsedTokenError:
        expected = 1, {"verdict": "already_used"}
    except MalformedTokenError:
        expected = 1, {"verdict": "malformed"}
    except InvalidTokenError:
        expected = 1, {"verdict": "rejected"}
    arguments = [f"--at={at}", f"--window-seconds={window}", f"--skew-seconds={skew}", f"--code={code}"]
    arguments += [] if last is None else [f"--last-counter={last}"]
    same(ask("match", *arguments, given=totp.to_json()), expected, arguments, period)


def new(passlib, totp):
    label, issuer = text(), maybe(text)
    made = told("new", f"--alg={totp.alg}", f"--digits={totp.digits}", f"--period={totp.period}", f"--label={label}",
                *([f"--issuer={issuer}"] if issuer else []))
    read = passlib.from_json(made["record"])
    same((read.alg, read.digits, read.period, read.label), (totp.alg, totp.digits, totp.period, label), made)
    same(read.issuer, issuer or passlib.issuer, made)
    same((read.base32_key, read.pretty_key(), read.to_uri(), read.changed),
         (made["key"], made["pretty_key"], made["uri"], False))


for number in range(count):
    passlib = factory()
    totp = passlib(key=dice.randbytes(dice.randint(10, 64)), format="raw", alg=dice.choice(["sha1", "sha256", "sha512"]),
                   digits=dice.randint(6, 10), period=dice.choice([30, 60, dice.randint(15, 300)]),
                   label=maybe(text), issuer=maybe(text))
    try:
        records(passlib, totp)
        uris(passlib, totp)
        new(passlib, totp)
        for _ in range(3):
            codes(totp)
            verdicts(totp)
    except Exception as disagreement:
        raise SystemExit(f"PAM_TOTP_SEED={seed}, set {number}: {totp.to_dict(encrypt=False)}: {disagreement!r}")
print(count)
