#!/usr/bin/env python3
"""The commands that README.md and the administrator's guide tell a reader to type. Each is typed in the test machine as it
stands there, or ELSEWHERE says why not.

  tests/vm/documents.py      fails where a command is in no scenario and not ELSEWHERE, or where ELSEWHERE is out of date
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
DOCUMENTS = "README.md", "docs/administrators-guide.md"

NO_COMMAND = re.compile(r"""
      -                                    # an option of a command that stands beside it
    | (auth|account|session|@include)\b    # a line of a PAM file, and what may stand in one
    | pam_\w+\.so | \[
    | [A-Z<]                               # a line of sshd, sudoers, Apache or a web page
    | [\w-]+:\s                            # settings
    | plugin\s | user\snobody              # a line of OpenVPN
    | not\ssynchronised | in\squarantine | before\sthe\sdaemon | second\scopy   # what totpctl status shows
    """, re.VERBOSE)

# Command: the reason that it is not typed in the machine, and the test that plays it elsewhere (suite::name), if there is one.
BUILDS = "needs the sources and a compiler: "
PART = "is the name of a command; whole ones stand beside it"
OWN = "is for users, and asks for a proof: real::a_user_that_names_no_user_means_the_own_account_and_root_must_name_one"
OTHER = "needs a program that the machine does not have: "
MANUAL = OTHER + "packaging::the_shells_complete_and_the_manual_pages_are_found"
RADIUS = OTHER + "programs::freeradius_lets_in_with_password_and_code_in_one_field"
APACHE = OTHER + "programs::apache_lets_in_with_password_and_code_once_a_session"
VSFTPD = OTHER + "programs::vsftpd_takes_no_password_without_encryption"
FORMATS = OTHER + "real::exports_of_apps_and_lists_are_taken_by_their_labels_and_a_dry_run_changes_nothing"
PEERS = OTHER + "real::what_is_exported_is_read_by_the_other_modules_and_a_used_code_stays_used"
SHEET = OTHER + "programs::a_sheet_is_one_page_on_paper_and_its_picture_is_read_as_the_uri"
APPLY = ("changes accounts that other scenarios count on: "
         "programs::the_file_of_the_guide_and_the_role_make_the_same_users")
LEAVERS = "shuts accounts of a directory: real::users_without_an_account_are_disabled_first_and_forgotten_by_a_later_run"
EXPIRING = "shows nothing on a fresh machine: real::devices_that_expire_soon_and_users_that_have_used_none_for_long_are_listed"
ETCD = ("needs a cluster of etcd: "
        "etcd-test::the_chapters_on_etcd_and_on_hosts_are_followed_from_empty_machines_to_the_first_login")
MOVE = ("needs a store to move to: "
        "real::of_records_that_move_no_used_code_opens_anything_and_the_old_store_opens_nothing")
FLAVOUR = ("needs a package that `make deb` leaves out: "
           "packaging::the_daemon_with_etcd_and_the_one_without_take_each_others_place_and_stop_nothing_on_the_way")
SNAPSHOT = "needs a cluster of etcd: etcd-test::a_snapshot_that_is_restored_as_a_new_cluster_is_a_roll_back"
FLEET = "needs two machines: real::the_chapter_on_a_fleet_is_followed_from_empty_folders_to_the_first_login"
ELSEWHERE = {
    "# as root: A fleet of hosts": FLEET,
    "totpctl fleet host revoke web1.example.com": FLEET,
    "totpctl fleet list --ending 30d": "needs the authority of a fleet: "
    + "real::a_file_of_a_machine_is_private_and_made_once_and_its_certificate_is_told_before_it_ends",
    "totpctl fleet": PART,
    "totpctl fleet host add": PART,
    "cargo build --release -p provisiond --features etcd": BUILDS + "make etcd-test builds it for the tests",
    "make deb ETCD=1": FLAVOUR,
    "apt install ./target/debian/pam-totp-daemon-etcd_*.deb": FLAVOUR,
    "# in an empty folder: A fleet: the store on etcd": ETCD,
    "# as root, on etcd-1: A fleet: the store on etcd": ETCD,
    "# as root, on each verifier: A fleet: the store on etcd": ETCD,
    "# as root, on one verifier: A fleet: the store on etcd": ETCD,
    "apt install etcd-server": ETCD,
    "# as root, to move: Moving to etcd, and back": MOVE,
    "totpctl status --fleet": ETCD,
    "etcdctl snapshot save": SNAPSHOT,
    "totpctl import": PART,
    "totpctl export": PART,
    "totpctl apply": PART,
    "totpctl --json apply": PART,
    "totpctl import google-authenticator --homes": OTHER
    + "real::the_files_in_home_folders_are_read_with_mistrust_and_only_for_users_without_a_device",
    "totpctl import users-oath /etc/users.oath": OTHER
    + "real::users_of_pam_oath_go_on_here_with_their_counters_and_used_codes",
    "totpctl import pskc tokens.xml": OTHER + "real::tokens_of_an_encrypted_pskc_file_open_logins_here",
    "totpctl import migration codes.txt": FORMATS,
    "totpctl import aegis export.json": FORMATS,
    "totpctl import andotp backup.json": FORMATS,
    "totpctl import otpauth uris.txt": FORMATS,
    "totpctl export users-oath": PEERS,
    "totpctl export otpauth": PEERS,
    "totpctl export google-authenticator alice": PEERS,
    "totpctl import csv users.csv": OTHER
    + "real::a_file_that_was_imported_in_part_can_be_imported_again_and_nothing_doubles",
    "make demo": BUILDS + "real::where_nothing_may_be_mounted_the_demo_shows_the_same",
    "make check": BUILDS + ".ci/run",
    "make test": BUILDS + ".ci/run",
    "make vm-test": BUILDS + ".ci/run",
    "make deb": BUILDS + ".ci/run, and the machine installs what it makes",
    "make soak": BUILDS + "hours, before a release",
    "make install": BUILDS + "real::after_make_install_two_commands_bring_the_first_login",
    "make build && make install": BUILDS + "real::after_make_install_two_commands_bring_the_first_login",
    "make build && make install && systemctl restart provisiond": BUILDS
    + "real::an_upgrade_keeps_settings_and_secrets_and_a_restart_serves_it",
    "make uninstall": BUILDS + "real::uninstall_refuses_while_a_pam_file_names_the_module_and_then_leaves_nothing_running",
    "systemctl enable --now pam-totp-metrics.timer": OTHER
    + "real::the_timer_writes_the_metrics_where_node_exporter_reads_them",
    "systemctl enable --now pam-totp-importer.socket": OTHER
    + "real::a_login_imports_the_file_of_a_user_without_a_record_through_the_importers_socket",
    "man pam_totp": MANUAL,
    "man pam-totp-settings": MANUAL,
    "# as root: FreeRADIUS": RADIUS,
    "freeradius -C && systemctl restart freeradius": RADIUS,
    "# as root: Apache": APACHE,
    "htpasswd -B /etc/apache2/web-passwords alice": APACHE,
    "apachectl configtest && systemctl restart apache2": APACHE,
    "# as root: vsftpd": VSFTPD,
    "systemctl restart vsftpd": VSFTPD,
    "pkill i3lock": OTHER + "it ends a locker, programs::a_locker_of_the_user_unlocks_with_password_and_code_and_after_guesses_with_two_codes",
    "login -h": "is what a telnet server calls, not a user",
    "ssh alice@…": "has an address of the reader's; the scenarios log in so",
    "sudo -n": "is what scripts write before a command of theirs: vm::sudo_n_fails_without_asking",
    "totpctl rename-user OLD NEW": "stands for names of the reader's: vm::commands_for_users_and_devices_work_as_the_guide_has_them",
    "totpctl enroll": OWN,
    "totpctl enroll --users users.csv --keys keys.jsonl": "makes devices for accounts that the machine does not have: "
    + "real::a_list_killed_in_the_middle_is_run_again_and_every_active_device_has_a_key_that_was_shown",
    "totpctl ticket --users users.csv > tickets.jsonl": "issues tickets to accounts that the machine does not have: "
    + "real::a_list_of_tickets_is_run_again_and_no_unused_ticket_is_replaced_or_shown_twice",
    "totpctl apply /root/users.yaml --check --diff --tickets /root/tickets.jsonl": APPLY,
    "totpctl apply /root/users.yaml --tickets /root/tickets.jsonl": APPLY,
    "totpctl enroll alice --yes --sheet alice.html": SHEET,
    "totpctl enroll --users users.csv --sheets sheets": SHEET,
    "totpctl gc": LEAVERS,
    "totpctl gc --yes": LEAVERS,
    "totpctl gc --forget --yes": LEAVERS,
    "totpctl list --stale 90d": EXPIRING,
    "totpctl list --expiring 14d": EXPIRING,
    "provisiond --new-secret >> /etc/pam-totp/secrets": "would change the secrets that later scenarios count on: "
    + "real::the_chapter_on_a_new_secret_is_played_as_it_stands",
    "totpctl rotate": "is refused while there is one secret: real::the_chapter_on_a_new_secret_is_played_as_it_stands",
    "totpctl backup - | age -r age1… > pam-totp.backup.age": OTHER
    + "real::of_a_backup_under_load_that_is_restored_elsewhere_no_used_code_opens_anything",
    "totpctl recovery-codes": OWN,
    "totpctl forget": PART,
    "totpctl key …": PART,
    "totpctl list": PART,
    "totpctl resync": PART,
    "totpctl restrict": PART,
    "totpctl revoke": PART,
    "totpctl setup": PART,
    "totpctl unlock": PART,
    "totpctl verify": PART,
    "totpctl why": PART,
}


# What begins a block of commands, which is played as a whole.
PLACES = "    # as root", "    # in an empty folder"


def untyped(typed):
    """The commands of the documents that are neither ELSEWHERE nor among those that were typed."""
    return [f"{place}: {command}" for command, place in documented().items() if command not in ELSEWHERE and command not in typed]


def documented():
    """Each command, and where it stands, such as README.md:12."""
    found = {}
    for name in DOCUMENTS:
        for number, command in commands((PROJECT / name).read_text()):
            found.setdefault(command, f"{name}:{number}")
    return found


def commands(text):
    """The commands of a text: its blocks, except those of a file, and what stands between backquotes."""
    of_a_file, heading, as_root = False, "", None
    for number, line in enumerate(text.splitlines(), 1):
        heading = line.lstrip("# ") if line.startswith("#") else heading
        if not line.startswith("    "):
            of_a_file = False
            yield from ((number, span) for span in re.findall(r"`([^`]+)`", line) if is_command(span))
        elif line.startswith(("    # /", *PLACES)):
            of_a_file = True
            if line.startswith(PLACES):
                yield number, f"{line.strip()}: {heading}"
        elif not of_a_file and is_command(line.strip()):
            yield number, re.sub(r"\s+#\s.*", "", line.strip())


def is_command(text):
    return " " in text and not NO_COMMAND.match(text)


# --- without the machine: is every command in a scenario, and is ELSEWHERE up to date? ---

def problems():
    sources = "".join(path.read_text() for path in HERE.glob("*.py") if path.name != "documents.py")
    suites = [*PROJECT.glob("tests/tests/**/*.rs"), *PROJECT.glob("provisiond/src/store/etcd/tests/*.rs"), PROJECT / "packaging/test-deb"]
    tests = "".join(path.read_text() for path in suites) + sources
    in_a_scenario = [command for command in documented() if re.search(re.escape(command) + r"""["'\\\n;]""", sources)]
    for line in untyped(in_a_scenario):
        yield f"{line}\n    No scenario types this command: add it to tests/vm/guide.py, or to ELSEWHERE with the reason."
    for command, reason in ELSEWHERE.items():
        if command not in documented():
            yield f"{command}\n    No document has this command any more: take it out of ELSEWHERE."
        for name in re.findall(r"::(\w+)", reason):
            if not re.search(rf"(fn |def |^){name}\(", tests, re.MULTILINE):
                yield f"{command}\n    There is no test {name}: ELSEWHERE names it."


if __name__ == "__main__":
    found = list(problems())
    sys.exit("\n".join(found) if found else 0)
