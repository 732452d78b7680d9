"""Drives provisiond with a Varlink client by another author: it reads the interface from the daemon itself.

usage: foreign_client.py SOCKET USER    prints one JSON object a line: what came back
"""

import json
import subprocess
import sys

import varlink

path, user = sys.argv[1:]


def shown_now(key):
    return subprocess.run(["oathtool", "--totp", "--base32", key], capture_output=True, text=True, check=True).stdout.strip()


with varlink.Client.new_with_address(f"unix:{path}") as client:
    info = client.open("org.varlink.service").GetInfo()
    print(json.dumps(info["interfaces"]))
    for name in info["interfaces"]:
        client.get_interface(name)
    provision = client.open("org.pamtotp.Provision")
    device = provision.Enroll(user=user)
    code = shown_now(device["key"])
    print(json.dumps(provision.Confirm(user=user, code=code)["verdict"]))
    print(json.dumps(provision.Verify(user=user, codes=[code], service="foreign")["verdict"]))
    print(json.dumps([each["user"]["user"] for each in provision.List(_more=True)]))
    try:
        provision.Show(user="nobody-of-that-name")
    except varlink.VarlinkError as error:
        print(json.dumps(error.error()))
    try:
        provision.Enroll(user=user, device="two words")
    except varlink.VarlinkError as error:
        print(json.dumps([error.error(), error.parameters()["field"]]))
