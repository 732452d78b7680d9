"""The commands of README.md and the administrator's guide that no other scenario types. Each is typed as it stands there."""

import subprocess

from factor import a_new_sshd
from people import enrol_at, hotp_codes

# They look, or put in force what is there, and change no user.
HARMLESS = """
totpctl --help
totpctl list
totpctl status
totpctl metrics
totpctl why alice
totpctl why root
totpctl show alice
totpctl log
totpctl list --group staff --not-enrolled
getent passwd
grep -r pam_totp /etc/pam.d
sshd -T
journalctl -t provisiond
journalctl -t sshd
journalctl -u pam-totp-setup-undo
provisiond --check
totpctl reload
totpctl clock-accept
totpctl backup /root/pam-totp.backup
totpctl backup --verify /root/pam-totp.backup
systemctl daemon-reload
systemctl reload provisiond
systemctl status provisiond
systemd-sysusers pam-totp.conf
systemctl restart provisiond-login.socket provisiond.socket
systemctl stop provisiond.socket provisiond-login.socket provisiond.service
systemctl start provisiond.service
systemctl start provisiond
systemctl restart provisiond
systemctl enable --now provisiond
"""

CHECK_OF_A_CREDENTIAL = """
systemd-run --pipe --wait --collect --unit=provisiond-check -p User=_pam-totp -p LoadCredentialEncrypted=secrets:/etc/credstore.encrypted/secrets provisiond --check
""".strip()


def looks_and_services(vm):
    for command in HARMLESS.strip().split("\n"):
        vm.guest.run(command)
    with a_new_sshd(vm.guest):
        vm.guest.run("sshd -t && systemctl reload ssh")
    # A restore would suspend the codes that later scenarios use: it reads the backup to its end, and finds users.
    vm.guest.run("systemctl stop provisiond.socket provisiond-login.socket provisiond.service")
    told = vm.guest.run("totpctl restore /root/pam-totp.backup", check=False)
    vm.guest.run("systemctl start provisiond\nrm /root/pam-totp.backup")
    assert "has users: with --replace" in told, told
    # No clock of a network is reached here, and the doctor says so: it may find no more.
    for command in "totpctl doctor", "totpctl doctor sudo sudo-i":
        told = vm.guest.run(command, check=False)
        assert "clock-unsynchronised" in told and "HOLE" not in told and "LOCK-OUT" not in told, told
    vm.guest.run("logger -t provisiond", stdin="event=verify user=alice verdict=accepted reason=forged\n")
    assert "forged" not in vm.guest.run("totpctl log")


def a_secret_that_systemd_holds(vm):
    vm.guest.run("mkdir -p /etc/credstore.encrypted\n"
                 "systemd-creds encrypt --name=secrets /etc/pam-totp/secrets /etc/credstore.encrypted/secrets\n"
                 "mv /etc/pam-totp/secrets /root/secrets")
    try:
        vm.guest.run(CHECK_OF_A_CREDENTIAL)
    finally:
        vm.guest.run("mv /root/secrets /etc/pam-totp/secrets\nrm -r /etc/credstore.encrypted")


def the_log_as_it_happens(vm):
    with vm.guest.root_terminal() as root:
        root.type("totpctl --json log --follow")
        root.expect('"event":"verify"')
        root.interrupt()
        root.ready()


def a_login_is_played(vm):
    """Once without a code, and once with one."""
    alice = vm.users["alice"]
    with vm.guest.root_terminal() as root:
        root.type("totpctl try alice --service sshd")
        for code in "", alice.code():
            root.expect("Password: ")
            root.type(alice.password)
            root.expect("Verification code: ")
            root.type(code)
        root.expect("asked and accepted")
        root.ready()


def devices(vm):
    alice = vm.users["alice"]
    enrol = "totpctl --json enroll alice --yes --device "
    told = vm.guest.run("totpctl verify alice", stdin=alice.code() + "\n")
    assert "accepted" in told, told
    vm.guest.run("totpctl disable alice\ntotpctl enable alice")
    vm.guest.run(f"{enrol}tablet\ntotpctl revoke alice --device tablet\n{enrol}loan")
    vm.guest.run("totpctl restrict alice --device loan --until 2027-01-31\ntotpctl restrict alice --device loan --lift\n"
                 "totpctl revoke alice --device loan")
    with vm.guest.root_terminal() as root:
        enrol_at(root, "totpctl enroll alice --device token --kind hotp", lambda key: hotp_codes(key)[0])
        vm.guest.run("totpctl revoke alice --device token")
        enrol_at(root, "totpctl enroll alice --png alice.png", lambda key: now_code(vm, key))
    vm.guest.run("grep -q PNG alice.png\ntotpctl revoke alice --device device-2")


def now_code(vm, key):
    command = ["oathtool", "--totp", "--base32", "-"]
    return subprocess.run(command, input=key, capture_output=True, text=True, check=True).stdout.strip()


def help_for_a_user(vm):
    alice = vm.users["alice"]
    for command in "totpctl unlock alice", "totpctl revoke-grace alice", "totpctl recovery-codes alice":
        vm.guest.run(command)
    vm.guest.run("totpctl bypass alice")
    # The guide says that this clock allows none.
    refused = vm.guest.run("totpctl resync alice", check=False, stdin=f"{alice.code()} {alice.code()}\n")
    assert "the machine's clock" in refused, refused
    vm.guest.run("totpctl disable alice --all\ntotpctl enable alice --all")


def other_names_and_uids(vm):
    vm.guest.run("usermod -l alice2 alice\ntotpctl rename-user alice alice2\n"
                 "usermod -l alice alice2\ntotpctl rename-user alice2 alice\n"
                 "usermod -u 4242 alice\ntotpctl enable alice --all --same-person")


def lost_and_found(vm):
    """alice's record goes and comes back. Then an older store is put back, from which a user is missing."""
    records = vm.guest.run("totpctl export passlib")
    vm.guest.run("umask 077; cat >users.jsonl", stdin=records)
    vm.guest.run("totpctl forget alice", stdin="alice\n")
    vm.guest.run("totpctl ticket alice")
    vm.guest.run("totpctl forget alice", stdin="alice\n")
    vm.guest.run("totpctl import passlib users.jsonl")
    assert "active" in vm.guest.run("totpctl show alice")
    stop = "systemctl stop provisiond.socket provisiond-login.socket provisiond.service"
    start = "systemctl start provisiond.service"
    folders = "/var/lib/pam-totp/store /var/lib/pam-totp/store.journal"
    vm.guest.run(f"{stop}\nmkdir /root/backup\ncp -a {folders} /root/backup/\n{start}")
    vm.guest.run("useradd -M dave\ntotpctl --json enroll dave --yes")
    vm.guest.run(f"{stop}\nrm -r {folders}\nmv /root/backup/* /var/lib/pam-totp/\n{start}")
    assert "no user was missing" not in vm.guest.run("totpctl store accept-loss")
