"""The other two modules' way to a login with a code, as README.md has it beside that of pam-totp."""

import re

import factor
import packages

SSHD = """UsePAM yes
KbdInteractiveAuthentication yes
PasswordAuthentication no
AuthenticationMethods publickey,keyboard-interactive
"""


def google_authenticator(vm):
    alice = vm.users["alice"]
    with vm.guest.root_terminal() as root:
        packages.apt(root, "apt install libpam-google-authenticator")
    with alice.session() as shell:
        shell.type("google-authenticator")
        shell.expect("time-based .y/n. ")
        shell.type("y")
        alice.key = re.search("key is: ([A-Z2-7]+)", shell.expect("key is: [A-Z2-7]+[^A-Z2-7]"))[1]
        shell.expect("Enter code from app .*: ")
        shell.type(alice.code())
        while "y/n" in shell.expect(r"\(y/n\) |alice@vm:~\$ "):
            shell.type("y")
    edit_and_log_in(vm, "pam_google_authenticator.so")


def pam_oath(vm):
    with vm.guest.root_terminal() as root:
        packages.apt(root, "apt install libpam-oath oathtool")
        root.type(r"key=$(od -An -v -tx1 -N20 /dev/urandom | tr -d ' \n')")
        root.type('(umask 077 && echo "HOTP/T30 alice - $key" >>/etc/users.oath)')
        root.type('oathtool --totp --verbose "$key"')
        vm.users["alice"].key = re.search("Base32 secret: ([A-Z2-7]+)", root.expect("Base32 secret: [A-Z2-7]+[^A-Z2-7]"))[1]
    edit_and_log_in(vm, "pam_oath.so usersfile=/etc/users.oath window=5")


def edit_and_log_in(vm, module):
    """What a hand edits there. The shipped files come back, for what comes after."""
    alice = vm.users["alice"]
    vm.guest.run(f"cp /etc/pam.d/sshd /root/sshd; sed -i 's|^@include common-auth$|auth required {module}|' /etc/pam.d/sshd;"
                 "cat >/etc/ssh/sshd_config.d/50-code.conf", stdin=SSHD)
    with factor.a_new_sshd(vm.guest):
        vm.guest.run("sshd -t && systemctl reload ssh")
    login = alice.log_in(alice.code(), key=True)
    assert login.accepted and len(login.prompts) == 1, login
    vm.guest.run("mv /root/sshd /etc/pam.d/sshd; rm /etc/ssh/sshd_config.d/50-code.conf")
    with factor.a_new_sshd(vm.guest):
        vm.guest.run("systemctl reload ssh")
