"""Turns the second factor on in the test machine, with `totpctl setup` as an administrator does, and off again."""

import contextlib

import packages


def three_commands(vm):
    """From a machine without pam-totp to a login with a code: install, enroll, setup. No file is edited."""
    alice = vm.users["alice"]
    files = "sha256sum /etc/pam.d/* /etc/ssh/sshd_config /etc/ssh/sshd_config.d/* || true"
    before = vm.guest.run(files)
    packages.install(vm.guest)
    assert vm.guest.run(files) == before, "to install changes no login"
    with vm.guest.root_terminal() as root:
        alice.enrol_at(root, "totpctl enroll alice")
        with a_new_sshd(vm.guest):
            set_up(root, "totpctl setup sshd --user alice")
        # The session that root keeps open is there all the while.
        with alice.session(alice.code()) as new:
            confirm(new, "sudo totpctl setup --confirm", alice.password)


def turn_on(vm):
    """Lets sshd take a key or a password, and asks for codes in sudo and su, too. alice does it: setup knows who she is."""
    alice = vm.users["alice"]
    with alice.session(alice.code()) as shell:
        become_root(shell, alice)
        for command in "totpctl setup sshd", "totpctl setup sshd --mode key-or-password+code":
            with a_new_sshd(vm.guest):
                take_back(shell, "totpctl setup sshd --undo")
            with a_new_sshd(vm.guest):
                set_up(shell, command)
    with alice.session(alice.code()) as shell:
        confirm(shell, "sudo totpctl setup --confirm", alice.password)
        for_sudo_and_su(vm, shell)


def for_sudo_and_su(vm, shell):
    alice, root = vm.users["alice"], vm.users["root"]
    become_root(shell, alice)
    set_up(shell, "totpctl setup login")
    take_back(shell, "totpctl setup login --undo")
    set_up(shell, "totpctl setup sudo")
    shell.type("exit")
    shell.ready()
    confirm(shell, "sudo -k totpctl setup --confirm", alice.password, alice.code())
    with vm.guest.root_terminal() as roots:
        set_up(roots, "totpctl setup su")
    confirm(shell, "su -c 'totpctl setup --confirm'", root.password, root.code())


def become_root(shell, alice):
    shell.type("sudo -i")
    # sudo may remember the password of the command before.
    if "password" in shell.expect("password for alice: |root@vm:~# "):
        shell.type(alice.password)
        shell.ready()


def set_up(terminal, command):
    terminal.type(command)
    terminal.expect("Write these changes. Type yes: ")
    terminal.type("yes")
    terminal.expect("Keep this session open")
    terminal.ready()


def take_back(terminal, command):
    terminal.type(command)
    terminal.expect("Taken back")
    terminal.ready()


def confirm(terminal, command, password, code=None):
    terminal.type(command)
    terminal.expect(r"[Pp]assword(?: for alice)?: ")
    terminal.type(password)
    if code is not None:
        terminal.expect("Verification code: ")
        terminal.type(code)
    terminal.expect("Confirmed: ")
    terminal.ready()


@contextlib.contextmanager
def a_new_sshd(guest):
    """What is done here makes sshd start anew in place: the log says when it listens again."""
    now = guest.run("journalctl -qn 0 --show-cursor | sed 's/^-- cursor: //'").strip()
    yield
    guest.run(f"grep -qm 1 'Server listening' < <(journalctl -f -u ssh --after-cursor='{now}' 2>/dev/null)")


def turn_off(guest):
    guest.run("totpctl setup su --undo\ntotpctl setup sudo --undo")
    with a_new_sshd(guest):
        guest.run("totpctl setup sshd --undo")
