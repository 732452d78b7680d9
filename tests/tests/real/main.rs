//! The scenarios. Each is played with the real module, libpam, daemon and totpctl, and with codes
//! of oathtool.
//!
//! `make test` runs them, as root, in a world of their own. Counts of the long ones can be set in
//! the environment: PAM_TOTP_RACE_ROUNDS, PAM_TOTP_GUESSING_ROUNDS, PAM_TOTP_SSH_ROUNDS,
//! PAM_TOTP_NAMES, PAM_TOTP_KILLS, PAM_TOTP_CRASHES, PAM_TOTP_POWER_CUTS, PAM_TOTP_STACKS, PAM_TOTP_FLOOD_LOGINS,
//! PAM_TOTP_ROTATION_STEPS, PAM_TOTP_LOGINS, PAM_TOTP_USERS, PAM_TOTP_ROWS, PAM_TOTP_BURST, PAM_TOTP_REPLACED,
//! PAM_TOTP_LISTED.
//! PAM_TOTP_SEED makes what is random come again. PAM_TOTP_SWEEP=long plays every fault of the sweeps
//! in every way.

#![forbid(unsafe_code)]

mod accounts;
mod alone;
mod anytime;
mod applications;
mod applying;
mod backups;
mod before;
mod bounds;
mod budget;
mod clock;
mod codes;
mod counted;
mod crashes;
mod crowds;
mod demo;
mod disk_faults;
mod doctor;
mod enrolling;
mod erased;
mod events;
mod exemptions;
mod faults;
mod file_systems;
mod first_login;
mod floods;
mod founding;
mod full_disk;
mod grace;
mod guessing;
mod guide;
mod joined;
mod json;
mod leavers;
mod lengths;
mod lineage;
mod listing;
mod lists;
mod load;
mod machine;
mod many;
mod meanwhile;
mod memory;
mod metrics;
mod migrating;
mod missing_users;
mod module;
mod moved;
mod moving_in;
mod moving_in_at_login;
mod names;
mod namespaces;
mod observed;
mod out_of_memory;
mod own;
mod pictures;
mod power_cuts;
mod put_back;
mod races;
mod readers;
mod records;
mod recovery;
mod relay;
mod replaced;
mod resync;
mod roles;
mod rotation;
mod rotation_steps;
mod salvage;
mod same_as_libpam;
mod servers;
mod setting_up;
mod settings;
mod socket;
mod spellings;
mod ssh;
mod stack_try;
mod stacks;
mod strict;
mod sweeps;
mod symbols;
mod terminal;
mod timing;
mod uids;
mod unavailable;
mod units;
mod unreadable;
mod unwinding;
mod verifiers;
mod why;
mod without_ticket;
mod wrong_secret;
