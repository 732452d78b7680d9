# The commands that must always work. `make` alone lists them.

PREFIX ?= /usr
SYSCONFDIR ?= /etc
BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
DOCDIR ?= $(PREFIX)/share/doc/pam-totp
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
# libpam looks in the folder it was built with, whatever PREFIX is. Found once, and only by the targets that need it.
MODULEDIR ?= $(eval MODULEDIR := $$(shell packaging/module-folder $(OURS)))$(MODULEDIR)
OURS = $(firstword $(wildcard $(RELEASE)/libpam_totp.so $(DESTDIR)$(BINDIR)/totpctl))
SETTINGS = $(SYSCONFDIR)/pam-totp/settings.yaml

TARGET := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET)/release

CARGO ?= cargo

# rustup's folder is not in the PATH of every root shell.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: help root demo build programs provisiond-etcd check test private-suites etcd-test deb deb-again deb-test deb-source deb-source-test rpm vm-test soak bench bench-growth bench-fleet bench-fleet-sim fleet-programs install uninstall clean
.NOTPARALLEL:

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { sub(/:.*/, "", $$1); printf "make %-10s %s\n", $$1, $$2 }' Makefile

root:
	@[ "$$(id -u)" -eq 0 ] || { echo 'This needs root. Without it there is `make check`.' >&2; exit 1; }

demo: root ## enrol a user, log in through a private sshd, see the replay refused (root)
	@packaging/need demo
	@packaging/quietly 'Building (some minutes the first time)' $(MAKE) programs
	@$$(! tests/in-private-world --possible || echo tests/in-private-world) packaging/demo '$(abspath $(RELEASE))'

build: ## build the programs that `make install` copies
	@packaging/need build
	@$(MAKE) --no-print-directory programs

# The module by itself: built together with the daemon it would be handed ciphers, for the linker to throw away. And as a
# shared object alone: beside an rlib the compiler keeps whatever another crate might call.
programs:
	$(CARGO) build --locked --release -p provisiond -p totpctl
	CARGO_PROFILE_RELEASE_LTO=fat $(CARGO) rustc --locked --release -p pam_totp --lib --crate-type cdylib

# Another daemon than that of `make programs`, which is built after it in the same place.
provisiond-etcd:
	$(CARGO) build --locked --release -p provisiond --features etcd
	install -D -m 755 $(RELEASE)/provisiond $(RELEASE)/etcd/provisiond

check: ## check format, lints, docs and licences, run unit tests: at most 5 minutes, no root
	@packaging/need check
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps
	cargo deny --locked check bans licenses sources
	packaging/advisories
	@packaging/shellcheck
	@packaging/manuals
	@packaging/measures
	cargo test --locked --workspace --exclude tests
	@[ "$$(id -u)" -eq 0 ] || echo 'Not tested without root: libpam, sshd, sudo, su, power cuts (`make test`).'

test: root check ## run check, then every suite that needs root and real servers: at most 25 minutes (root)
	@packaging/need test
	cargo build --locked --workspace
	cargo build --locked -p pam_totp
	@tests/in-private-world --possible || exec tests/without-mounts '$(abspath $(TARGET))/debug'
	@! tests/in-private-world --possible || $(MAKE) --no-print-directory private-suites

private-suites:
	PAM_TOTP_PYTHON="$$(packaging/python '$(abspath $(TARGET))/python')" tests/in-private-world cargo test --locked -p tests
	@[ ! -e tests/mutants/run ] || tests/mutants/run --suites-passed --one-in 8

# A build of its own: nothing else needs the crates of etcd's client.
etcd-test: root ## run the store's suite, and the store on etcd, against real etcd: some minutes (root)
	@packaging/need etcd-test
	cargo clippy --locked -p provisiond --features etcd --all-targets -- -D warnings
	cargo clippy --locked -p tests --test fleet -- -D warnings
	tests/in-private-world cargo test --locked -p provisiond --features etcd --lib store::
	cargo build --locked -p provisiond --features etcd
	cargo build --locked -p pam_totp
	tests/in-private-world cargo test --locked -p tests --test fleet

deb: ## build the Debian packages, without network once the crates are there: target/debian/*.deb; ETCD=1 builds the daemon with etcd, too
	@packaging/need deb
	packaging/deb binary

deb-test: root deb ## build the Debian packages; install, upgrade and remove them in a fresh Debian 12: 5 minutes (root)
	@packaging/need deb-test
	packaging/test-deb

deb-again: ## build the Debian packages twice, in two folders, and compare the bytes
	@packaging/need deb
	packaging/deb again

rpm: ## build RPM packages, and check them with rpmlint: target/rpm
	@packaging/need rpm
	packaging/rpm/build

deb-source: ## build the Debian source package, with all crates in it: target/debian/*.dsc
	@packaging/need deb
	packaging/deb source

deb-source-test: root deb-source ## build the Debian source package in a fresh Debian 12 without network (root)
	@packaging/need deb-test
	packaging/test-source

vm-test: root deb ## install the packages in a fresh Debian in qemu, log in to it from outside: at most 15 minutes (root)
	@packaging/need vm-test
	tests/vm/run

bench: root ## measure logins beside google-authenticator and pam_oath: docs/benchmarks.md, six minutes if the machine is idle (root)
	@packaging/need bench
	@packaging/quietly 'Building (some minutes the first time)' $(MAKE) programs
	tests/in-private-world bench/run.py '$(RELEASE)'

bench-growth: root ## measure a store of a million users, which takes longer: docs/benchmarks.md (root)
	@packaging/need bench
	@packaging/quietly 'Building (some minutes the first time)' $(MAKE) programs
	tests/in-private-world bench/growth.py '$(RELEASE)'

bench-fleet: root ## measure logins of a fleet, on an etcd of three members, beside plain transactions: docs/benchmarks.md (root)
	@packaging/need bench-fleet
	@packaging/quietly 'Building (some minutes the first time)' $(MAKE) fleet-programs
	tests/in-private-world bench/fleet.py '$(RELEASE)'

bench-fleet-sim: root ## measure 100,000 records on etcd, and reckon with a day of a million users: docs/benchmarks.md (root)
	@packaging/need bench-fleet
	@packaging/quietly 'Building (some minutes the first time)' $(MAKE) fleet-programs
	tests/in-private-world bench/fleet_sim.py '$(RELEASE)'

fleet-programs: programs provisiond-etcd
	$(CARGO) build --locked --release -p provisiond --features etcd --example plain_transactions
	install -D -m 755 $(RELEASE)/examples/plain_transactions $(RELEASE)/etcd/plain_transactions

soak: root ## run the long forms of the suites, and measure times: hours (root)
	@packaging/soak

install: ## copy the built programs, under DESTDIR; PREFIX=/usr (see the top of the Makefile)
	@test -n '$(MODULEDIR)'
	@test -e '$(RELEASE)/provisiond' || { echo 'Nothing to install yet: run make build first.' >&2; exit 1; }
	install -d '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(SBINDIR)' '$(DESTDIR)$(MODULEDIR)' '$(DESTDIR)$(UNITDIR)' \
	    '$(DESTDIR)$(SYSUSERSDIR)' '$(DESTDIR)$(TMPFILESDIR)' '$(DESTDIR)$(DOCDIR)' '$(DESTDIR)$(MANDIR)/man1' '$(DESTDIR)$(MANDIR)/man5' \
	    '$(DESTDIR)$(MANDIR)/man8' \
	    '$(DESTDIR)$(SYSCONFDIR)/pam-totp'
	install -m 755 $(RELEASE)/totpctl '$(DESTDIR)$(BINDIR)/totpctl'
	install -m 755 $(RELEASE)/provisiond '$(DESTDIR)$(SBINDIR)/provisiond'
	install -m 644 $(RELEASE)/libpam_totp.so '$(DESTDIR)$(MODULEDIR)/pam_totp.so'
	install -m 644 packaging/systemd/* '$(DESTDIR)$(UNITDIR)'
	sed -i 's|=/usr/sbin/|=$(SBINDIR)/|; s|=+/usr/bin/|=+$(BINDIR)/|' '$(DESTDIR)$(UNITDIR)/provisiond.service'
	sed -i 's|=/usr/bin/|=$(BINDIR)/|' '$(DESTDIR)$(UNITDIR)/pam-totp-setup-undo.service' \
	    '$(DESTDIR)$(UNITDIR)/pam-totp-metrics.service' '$(DESTDIR)$(UNITDIR)/pam-totp-importer@.service'
	install -m 644 packaging/sysusers.d/pam-totp.conf '$(DESTDIR)$(SYSUSERSDIR)'
	install -m 644 packaging/tmpfiles.d/pam-totp.conf '$(DESTDIR)$(TMPFILESDIR)'
	install -d '$(DESTDIR)$(DOCDIR)/examples' '$(DESTDIR)$(SYSCONFDIR)/fail2ban/filter.d'
	install -m 755 packaging/examples/pam-totp-mail '$(DESTDIR)$(DOCDIR)/examples'
	install -m 644 packaging/examples/pam-totp-mail.service packaging/examples/pam-totp-import.* '$(DESTDIR)$(DOCDIR)/examples'
	install -m 644 packaging/prometheus/pam-totp.rules.yml '$(DESTDIR)$(DOCDIR)/examples'
	cp -R --no-preserve=mode,ownership packaging/examples/ansible '$(DESTDIR)$(DOCDIR)/examples'
	install -m 644 packaging/fail2ban/filter.d/pam-totp.conf '$(DESTDIR)$(SYSCONFDIR)/fail2ban/filter.d'
	install -m 644 README.md CHANGELOG.md SECURITY.md LICENSE $(wildcard docs/*.md) '$(DESTDIR)$(DOCDIR)'
	install -m 644 docs/totpctl.1 '$(DESTDIR)$(MANDIR)/man1'
	install -m 644 docs/pam-totp-settings.5 '$(DESTDIR)$(MANDIR)/man5'
	install -m 644 docs/pam_totp.8 docs/provisiond.8 '$(DESTDIR)$(MANDIR)/man8'
	install -d '$(DESTDIR)$(BASHDIR)' '$(DESTDIR)$(FISHDIR)' '$(DESTDIR)$(ZSHDIR)'
	$(RELEASE)/totpctl completions bash >'$(DESTDIR)$(BASHDIR)/totpctl'
	$(RELEASE)/totpctl completions fish >'$(DESTDIR)$(FISHDIR)/totpctl.fish'
	$(RELEASE)/totpctl completions zsh >'$(DESTDIR)$(ZSHDIR)/_totpctl'
	@# Settings that an administrator may have changed are never overwritten.
	test -e '$(DESTDIR)$(SETTINGS)' || install -m 640 packaging/settings.yaml '$(DESTDIR)$(SETTINGS)'
	@[ -n '$(DESTDIR)' ] || packaging/set-up '$(SYSCONFDIR)' '$(SBINDIR)/provisiond' '$(BINDIR)/totpctl'

uninstall: ## stop the daemon and remove the installed files; settings, secrets and the store stay
	@test -n '$(MODULEDIR)'
	@packaging/let-go '$(DESTDIR)' '$(SYSCONFDIR)'
	rm -f '$(DESTDIR)$(BINDIR)/totpctl' '$(DESTDIR)$(SBINDIR)/provisiond' '$(DESTDIR)$(MODULEDIR)/pam_totp.so' \
	    $(addprefix '$(DESTDIR)$(UNITDIR)'/,$(notdir $(wildcard packaging/systemd/*))) \
	    '$(DESTDIR)$(SYSUSERSDIR)/pam-totp.conf' '$(DESTDIR)$(TMPFILESDIR)/pam-totp.conf' \
	    '$(DESTDIR)$(SYSCONFDIR)/fail2ban/filter.d/pam-totp.conf' \
	    '$(DESTDIR)$(MANDIR)/man1/totpctl.1' '$(DESTDIR)$(MANDIR)/man5/pam-totp-settings.5' '$(DESTDIR)$(MANDIR)/man8/pam_totp.8' \
	    '$(DESTDIR)$(MANDIR)/man8/provisiond.8' '$(DESTDIR)$(BASHDIR)/totpctl' '$(DESTDIR)$(FISHDIR)/totpctl.fish' \
	    '$(DESTDIR)$(ZSHDIR)/_totpctl'
	rm -rf '$(DESTDIR)$(DOCDIR)'
	@[ -n '$(DESTDIR)' ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
	@echo 'Kept: $(DESTDIR)$(SYSCONFDIR)/pam-totp, /var/lib/pam-totp and the account _pam-totp.'

clean: ## remove the built files
	cargo clean
