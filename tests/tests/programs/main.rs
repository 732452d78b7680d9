//! The guide's recipes for other people's programs, each with the real program of Debian, the real
//! module and the real daemon. `packaging/need test` installs the programs.

#![forbid(unsafe_code)]

mod apache;
mod freeradius;
mod locker;
mod openvpn;
mod scene;
mod vsftpd;
