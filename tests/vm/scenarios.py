"""What the test machine must prove. Each function is a test, and its name the sentence; they are played in this order.

The first ones set the machine up, and are played for every choice of the others.
"""

import json
import subprocess
import time

import documents
import factor
import guide
import packages
import peers
from people import User, hotp_codes


def three_commands_lead_from_apt_to_a_login_with_a_code(vm):
    """apt install, totpctl enroll, totpctl setup. No file is edited, and no network is there."""
    for name in "alice", "bob", "root":
        vm.users[name] = User(vm.guest, name)
    # Her codes live for minutes, so that a machine that starts slowly sees them within their time.
    vm.users["carol"] = User(vm.guest, "carol", period=120)
    vm.guest.run("echo 'alice ALL=(ALL) ALL' >/etc/sudoers.d/alice; chmod 440 /etc/sudoers.d/alice")
    factor.three_commands(vm)


def an_administrator_enrols_further_users_and_turns_the_factor_on_for_sudo_and_su(vm):
    vm.users["bob"].enrol("totpctl --json enroll bob --yes")
    vm.users["carol"].enrol("totpctl --json enroll carol --yes --period 120")
    with vm.guest.root_terminal() as terminal:
        vm.users["root"].enrol_at(terminal, "totpctl enroll root")
    factor.turn_on(vm)


def a_key_and_a_code_open_a_login_and_the_same_code_opens_no_other(vm):
    alice = vm.users["alice"]
    code = alice.code()
    first = alice.log_in(code, key=True)
    assert first.accepted and first.printed == "alice" and len(first.prompts) == 1, first
    assert not alice.log_in(code, key=True).accepted
    assert "already_used" in vm.guest.run("totpctl --json why alice")


def a_password_and_a_code_open_a_login_and_the_same_code_opens_no_other(vm):
    bob = vm.users["bob"]
    code = bob.code()
    first = bob.log_in(code)
    assert first.accepted and first.printed == "bob" and len(first.prompts) == 2, first
    assert not bob.log_in(code).accepted


def neither_a_key_nor_a_password_opens_a_login_without_a_code(vm):
    alice = vm.users["alice"]
    for key in True, False:
        login = alice.log_in(key=key)
        assert not login.accepted and len(login.prompts) >= 1, login


def the_console_takes_a_password_alone_while_only_sshd_names_the_module(vm):
    with vm.at_the_console("bob") as console:
        console.type("id -un")
        console.expect("bob\r\n")


def the_console_takes_a_password_and_a_code_once_its_file_names_the_module(vm):
    bob = vm.users["bob"]
    vm.guest.run("totpctl setup login --user bob --yes")
    try:
        with vm.at_the_console("bob", bob.code()) as console:
            console.type("id -un")
            console.expect("bob\r\n")
    finally:
        vm.guest.run("totpctl setup --undo")


def a_set_up_that_no_login_confirms_is_taken_back_by_a_reboot(vm):
    before = set_up_without_confirming(vm, "login")
    vm.reboot()
    is_taken_back(vm, before)


def sudo_takes_the_password_and_a_code(vm):
    becomes_root(vm, "sudo -k id -u")


def sudo_i_takes_the_password_and_a_code(vm):
    becomes_root(vm, "sudo -i", "id -u")


def sudo_refuses_the_password_without_a_code(vm):
    alice = vm.users["alice"]
    for command in "id -u", "-i id -u":
        told = vm.guest.run(f"setpriv --reuid alice --regid alice --init-groups sudo -S -k {command} 2>&1 || echo refused",
                            stdin=alice.password + "\n")
        assert "Verification code" in told and told.endswith("refused\n"), told


def sudo_n_fails_without_asking(vm):
    told = vm.guest.run("setpriv --reuid alice --regid alice --init-groups sudo -n -k id -u 2>&1 || echo refused")
    assert "Verification code" not in told and told.endswith("refused\n"), told


def su_takes_the_password_and_a_code_of_the_other_account(vm):
    bob, root = vm.users["bob"], vm.users["root"]
    with vm.at_the_console("alice") as console:
        for command, other in ("su bob", bob), ("su -", root):
            console.type(command)
            console.expect("Password: ")
            console.type(other.password)
            console.expect("Verification code: ")
            console.type(other.code())
            console.expect(f"{other.name}@vm:")
            console.type("exit")
            console.expect(r"alice@vm:~\$ ")


def after_a_reboot_a_used_code_stays_used_and_the_next_one_opens(vm):
    carol, alice = vm.users["carol"], vm.users["alice"]
    code = carol.code()
    assert carol.log_in(code, key=True).accepted
    vm.reboot()
    refused(vm, carol, code)
    assert alice.log_in(alice.code(), key=True).accepted


def after_a_power_cut_a_set_up_is_taken_back_and_a_used_code_stays_used(vm):
    """The set-up is one that no login has confirmed."""
    carol, alice = vm.users["carol"], vm.users["alice"]
    before = set_up_without_confirming(vm, "login")
    code = carol.code()
    assert carol.log_in(code, key=True).accepted
    vm.guest.cut_power()
    vm.power_on()
    refused(vm, carol, code)
    is_taken_back(vm, before)
    assert alice.log_in(alice.code(), key=True).accepted


def a_disk_that_was_put_back_revives_no_code(vm):
    carol, alice = vm.users["carol"], vm.users["alice"]
    before = vm.guest.copy_of_the_disk()
    code = carol.code()
    assert carol.log_in(code, key=True).accepted
    vm.guest.cut_power()
    before.replace(vm.guest.disk)
    vm.power_on()
    refused(vm, carol, code)
    assert alice.log_in(alice.code(), key=True).accepted


def a_clock_that_is_stepped_forth_and_back_revives_no_code(vm):
    carol, alice = vm.users["carol"], vm.users["alice"]
    code = carol.code()
    assert carol.log_in(code, key=True).accepted
    for step in "+ 3600", "- 3600":
        vm.guest.run(f'date --set "@$(($(date +%s) {step}))"')
        refused(vm, carol, code)
    alice.not_before(time.time())
    assert alice.log_in(alice.code(), key=True).accepted


def an_upgrade_refuses_no_login_and_lets_none_in_without_a_code(vm):
    """Twenty logins a second, an intruder with wrong codes, and an attacker that replays right ones. No user is refused, and
    none waits for longer than three seconds. A machine that is too slow for twenty plays at the rate that it sustains, and
    says so: a quiet one with two cores plays at twenty. Times in which an emulated processor stands still do not count."""
    users = [f"user{number}" for number in range(20)]
    names = ["intruder", "replayer", *users]
    vm.guest.run("printf 'auth required pam_totp.so\\naccount required pam_permit.so\\n' >/etc/pam.d/upgrade; mkdir /root/codes")
    enrolled = vm.guest.run(f"for name in {' '.join(names)}; do useradd -M $name;"
                            "totpctl --json enroll $name --kind hotp --yes | tr -d '\\n'; echo; done")
    keys = [json.loads(line)["key"] for line in enrolled.splitlines()]
    codes = [f"{name} {code}" for name, key in zip(names, keys, strict=True) for code in hotp_codes(key) if name != "intruder"]
    codes += ["intruder 000000"] * 1000
    vm.guest.run("awk '{ print $2 >\"/root/codes/\" $1 }'", stdin="\n".join(codes) + "\n")
    with subprocess.Popen([*vm.guest.door(), "/root/parcel/logins", "upgrade", "/root/codes", *names], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as logins:
        # A failed upgrade must not leave the logins waiting for their end.
        try:
            steady = until_steady(logins.stdout)
            packages.upgrade(vm.guest)
            vm.guest.run("totpctl status")
        finally:
            told, _ = logins.communicate("")
    vm.guest.run("rm /etc/pam.d/upgrade")
    assert logins.returncode == 0, told
    vm.note(steady)
    vm.note(told.strip().split("\n")[-1])


def until_steady(printed):
    """Waits until the logins have found the rate that the machine sustains. Returns the line that says it."""
    said = []
    for line in printed:
        said.append(line.strip())
        if line.startswith("steady: "):
            return said[-1] if len(said) == 1 else f"NOT 20 LOGINS A SECOND: {'; '.join(said)}"
    raise AssertionError(f"the logins ended: {said}")


def apparmor_denies_what_is_not_the_daemons_and_has_denied_the_daemon_nothing(vm):
    """The daemon's account may read both copies of the settings, and its profile knows the folder of one."""
    denied = "journalctl --no-pager | grep 'apparmor=\"DENIED\".*provisiond' || true"
    assert not vm.guest.run(denied)
    vm.guest.run("for folder in /etc/pam-totp /srv; do cp -p /etc/pam-totp/settings.yaml $folder/copy.yaml; done")
    try:
        vm.guest.run("provisiond --check --settings /etc/pam-totp/copy.yaml")
        told = vm.guest.run("provisiond --check --settings /srv/copy.yaml || echo refused", check=False)
    finally:
        vm.guest.run("rm /etc/pam-totp/copy.yaml /srv/copy.yaml; journalctl --sync")
    assert "/srv/copy.yaml: cannot be read" in told and "refused" in told.splitlines(), told
    assert "AppArmor" in told, told
    assert "/srv/copy.yaml" in vm.guest.run(denied)
    confined = vm.guest.run("cat /proc/$(systemctl show -P MainPID provisiond)/attr/apparmor/current")
    assert "provisiond (enforce)" in confined, confined


def a_package_that_a_service_still_names_does_not_go(vm):
    told = vm.guest.run(f"{packages.APT} remove libpam-totp 2>&1 && echo removed || true")
    assert "removed" not in told.splitlines() and "/etc/pam.d/pam-totp-sshd" in told, told
    alice = vm.users["alice"]
    assert alice.log_in(alice.code(), key=True).accepted


def commands_that_look_and_those_for_services_work_as_the_guide_has_them(vm):
    guide.looks_and_services(vm)
    guide.a_secret_that_systemd_holds(vm)
    guide.the_log_as_it_happens(vm)


def commands_for_users_and_devices_work_as_the_guide_has_them(vm):
    guide.a_login_is_played(vm)
    guide.devices(vm)
    guide.help_for_a_user(vm)
    guide.other_names_and_uids(vm)
    guide.lost_and_found(vm)


def after_the_removal_a_login_takes_no_code(vm):
    factor.turn_off(vm.guest)
    packages.remove(vm.guest)
    lets_in_without_a_code(vm, "alice", "bob")


def a_purge_keeps_devices_and_secrets_until_it_is_told_to_delete_them(vm):
    """Without an answer they stay, and a package that comes back takes them up again."""
    if "pam_totp" in vm.guest.run("cat /etc/pam.d/*"):
        factor.turn_off(vm.guest)
    kept = "cat /etc/pam-totp/secrets; ls /var/lib/pam-totp"
    before = vm.guest.run(kept)
    assert "Kept: " in packages.purge(vm.guest)
    assert vm.guest.run(kept) == before
    vm.guest.run("cd /root/parcel; apt install ./target/debian/*.deb")
    packages.purge(vm.guest, answer="true")
    assert vm.guest.run("ls -d /etc/pam-totp /var/lib/pam-totp 2>&1 || true").count("No such file") == 2
    lets_in_without_a_code(vm, "alice", "bob")


def google_authenticators_walk_in_the_readme_ends_in_a_login_with_a_code(vm):
    peers.google_authenticator(vm)


def pam_oaths_walk_in_the_readme_ends_in_a_login_with_a_code(vm):
    peers.pam_oath(vm)


def every_command_of_the_readme_and_the_guide_was_typed_in_this_machine(vm):
    untyped = documents.untyped(vm.guest.typed)
    assert not untyped, untyped


def lets_in_without_a_code(vm, with_key, with_password):
    assert "pam_totp" not in vm.guest.run("cat /etc/pam.d/*")
    by_key, by_password = vm.users[with_key].log_in(key=True), vm.users[with_password].log_in()
    assert by_key.accepted and not by_key.prompts, by_key
    assert by_password.accepted and len(by_password.prompts) == 1, by_password


def set_up_without_confirming(vm, service):
    """Returns what the files were before."""
    before = vm.guest.run(LOGIN_FILES)
    vm.guest.run(f"totpctl setup {service} --user bob --yes")
    assert vm.guest.run(LOGIN_FILES) != before
    return before


def is_taken_back(vm, before):
    """Byte for byte, by the boot, and its timer goes with it."""
    vm.guest.run("while systemctl is-enabled --quiet pam-totp-setup-undo.timer; do :; done")
    assert vm.guest.run(LOGIN_FILES) == before
    assert "Taken back" in vm.guest.run("journalctl -b -u pam-totp-setup-undo")


def refused(vm, user, code):
    login = user.log_in(code, key=True)
    assert not login.accepted and login.prompts, login


def becomes_root(vm, *commands):
    """The first command asks for password and code. The last one prints root's uid."""
    alice = vm.users["alice"]
    with vm.at_the_console("alice") as console:
        console.type(commands[0])
        console.expect(r"password for alice: ")
        console.type(alice.password)
        console.expect("Verification code: ")
        console.type(alice.code())
        for command in commands[1:]:
            console.expect("root@vm:~# ")
            console.type(command)
        console.expect("[^0-9]0\r\n")


LOGIN_FILES = "sha256sum /etc/pam.d/* /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*"
# An emulated boot each: `make soak` plays these as well (form `vm`, tests/vm/run --long).
LONG = a_disk_that_was_put_back_revives_no_code, a_clock_that_is_stepped_forth_and_back_revives_no_code
# What only a run of all scenarios can prove.
OF_ALL = every_command_of_the_readme_and_the_guide_was_typed_in_this_machine,
