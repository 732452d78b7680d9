#!/usr/bin/python
# Copyright: the authors of pam-totp
# GNU General Public License v3.0 or later (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""An Ansible module: users and devices of pam-totp, by way of 'totpctl apply'."""

import json

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: pam_totp_users
short_description: Makes users of pam-totp and their devices what the playbook says
description:
  - Runs C(totpctl apply) on the target, as root. C(man totpctl) describes the form of I(users).
  - The module gives no device a key. A device that is missing is in I(to_enroll) of its user.
options:
  users:
    description: The users, each with C(state), C(devices), C(exclusive) and C(enroll). What is left out stays as it is.
    type: dict
    required: true
  tickets:
    description:
      - A file on the target, for root alone, to which new tickets are appended.
      - Required if a user has C(enroll) set to C(ticket). No ticket is in what the module returns.
    type: path
  socket:
    description: The socket of the daemon, if it is not the usual one.
    type: path
"""

EXAMPLES = r"""
- pam_totp_users:
    users:
      alice:
        devices:
          phone: {state: active}
          loan: {until: 2027-01-31, services: [sudo]}
          old: {state: absent}
      bob: {state: disabled}
"""

RETURN = r"""
users:
  description: Users of which there is something to say, each with I(changes), I(to_enroll), I(to_confirm) and perhaps I(error).
  returned: always
  type: list
to_enroll:
  description: How many devices wait for their users.
  returned: always
  type: int
"""


def main():
    module = AnsibleModule(
        argument_spec={
            "users": {"type": "dict", "required": True},
            "tickets": {"type": "path"},
            "socket": {"type": "path"},
        },
        supports_check_mode=True,
    )
    status, told, notes = module.run_command(command(module), data=json.dumps({"users": module.params["users"]}))
    try:
        applied = json.loads(told)
    except ValueError:
        module.fail_json(msg=notes or told or "totpctl printed nothing", rc=status)
    if "error" in applied:
        module.fail_json(msg=applied["error"]["message"], rc=status, stderr=notes)
    result = {
        "changed": any(user["changes"] for user in applied["users"]),
        "users": applied["users"],
        "to_enroll": applied["to_enroll"],
    }
    if "diff" in applied:
        result["diff"] = applied["diff"]
    refused = ["%s: %s" % (user["user"], user["error"]["message"]) for user in applied["users"] if "error" in user]
    if refused or status:
        module.fail_json(msg="; ".join(refused) or notes, rc=status, **result)
    for note in notes.splitlines():
        module.warn(note)
    module.exit_json(**result)


def command(module):
    words = [module.get_bin_path("totpctl", required=True), "--json"]
    if module.params["socket"]:
        words += ["--socket", module.params["socket"]]
    words += ["apply", "-"]
    if module.check_mode:
        words.append("--check")
    if module._diff:
        words.append("--diff")
    if module.params["tickets"]:
        words += ["--tickets", module.params["tickets"]]
    return words


if __name__ == "__main__":
    main()
