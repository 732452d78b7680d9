"""Turns the second factor on in the test machine, with `totpctl setup` as an administrator does, and off again."""


def turn_on(vm):
    """Sets up sshd, sudo and su. Each is confirmed in a new login with a code, as setup wants it."""
    alice, root = vm.users["alice"], vm.users["root"]
    with_a_new_sshd(vm.guest, "totpctl setup sshd --mode key-or-password+code --user alice --yes")
    confirmed = alice.log_in(alice.code(), key=True, command=f"echo '{alice.password}' | sudo -S totpctl setup --confirm")
    assert confirmed.accepted, confirmed
    vm.guest.run("totpctl setup sudo --user alice --yes")
    confirm(vm, "sudo -k totpctl setup --confirm", alice)
    vm.guest.run("totpctl setup su --yes")
    confirm(vm, "su -c 'totpctl setup --confirm'", root)


def with_a_new_sshd(guest, script):
    """The script makes sshd start anew in place: the log says when it listens again."""
    guest.run(f"now=$(journalctl -qn 0 --show-cursor | sed 's/^-- cursor: //'); {script};"
              "grep -qm 1 'Server listening' < <(journalctl -f -u ssh --after-cursor=\"$now\" 2>/dev/null)")


def confirm(vm, command, asked):
    """Alice runs the command at the console, with the password and a code of the user that is asked for them."""
    with vm.at_the_console("alice") as console:
        # The terminal's echo of the command must not look like its success.
        console.type(f"{command} && echo con\\firmed")
        console.expect(r"[Pp]assword(?: for alice)?: ")
        console.type(asked.password)
        console.expect("Verification code: ")
        console.type(asked.code())
        console.expect("confirmed\r\n")


def turn_off(guest):
    guest.run("totpctl setup su --undo; totpctl setup sudo --undo")
    with_a_new_sshd(guest, "totpctl setup sshd --undo")
