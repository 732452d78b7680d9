//! The restriction of a device: from when until when, and for which PAM services, it is usable.
//! Pure: time is an argument.

use common::names::service::ServiceName;
use common::wire::protocol::Error;
use serde::{Deserialize, Serialize};

/// A device's restriction. Without one it is usable at any time and for every service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restriction {
    from: Option<u64>,
    until: Option<u64>,
    services: Vec<ServiceName>,
}

/// The reason why a device is not usable for a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Its validity has not begun.
    NotYetValid,
    /// Its validity has ended.
    Expired,
    /// It is restricted to other services.
    OtherService,
}

impl Restriction {
    /// Checks a requested restriction: valid from one Unix second until before another, for these
    /// services; for every service if the list is empty.
    ///
    /// # Errors
    /// [`Error::BadParameter`].
    pub fn new(from: Option<u64>, until: Option<u64>, services: &[String]) -> Result<Self, Error> {
        if until.is_some_and(|until| until <= from.unwrap_or(0)) {
            return Err(Error::bad(
                "valid_until",
                "it ends before it begins: no code would ever be accepted",
            ));
        }
        for (field, time) in [("valid_from", from), ("valid_until", until)] {
            if time.is_some_and(|time| time > MAX_TIME) {
                return Err(Error::bad(field, "the time must lie before the year 3000"));
            }
        }
        let names = services
            .iter()
            .map(|name| ServiceName::new(name))
            .collect::<Result<Vec<_>, _>>();
        let mut services = names.map_err(|why| Error::bad("services", why))?;
        services.sort();
        services.dedup();
        if services.len() > MAX_SERVICES {
            return Err(Error::bad(
                "services",
                format!("at most {MAX_SERVICES} services can be listed"),
            ));
        }
        Ok(Self {
            from,
            until,
            services,
        })
    }

    /// Whether the device is usable at `now`, in Unix seconds, for a login with `service`.
    ///
    /// # Errors
    /// The reason why it is not.
    pub fn admit(&self, now: u64, service: &str) -> Result<(), Unfit> {
        if self.from.is_some_and(|from| now < from) {
            return Err(Unfit::NotYetValid);
        }
        if self.until.is_some_and(|until| until <= now) {
            return Err(Unfit::Expired);
        }
        let meant = self.services.is_empty() || self.services.iter().any(|name| name.is(service));
        if meant {
            Ok(())
        } else {
            Err(Unfit::OtherService)
        }
    }

    /// Whether the device is usable at `now` for every service.
    #[must_use]
    pub fn admits_everything(&self, now: u64) -> bool {
        self.services.is_empty() && self.admit(now, "").is_ok()
    }

    /// The begin of the validity, in Unix seconds.
    #[must_use]
    pub fn from(&self) -> Option<u64> {
        self.from
    }

    /// The end of the validity, in Unix seconds.
    #[must_use]
    pub fn until(&self) -> Option<u64> {
        self.until
    }

    /// The services; every service if the list is empty.
    #[must_use]
    pub fn services(&self) -> &[ServiceName] {
        &self.services
    }

    /// Whether it fits into a record beside the restrictions of the user's other devices.
    ///
    /// # Errors
    /// [`Error::BadParameter`].
    pub fn fits_beside<'a>(&'a self, others: impl Iterator<Item = &'a Self>) -> Result<(), Error> {
        let names = others
            .chain([self])
            .flat_map(|restriction| &restriction.services);
        let bytes = names.fold(0_usize, |sum, name| sum.saturating_add(name.as_str().len()));
        if bytes > MAX_SERVICES_BYTES {
            let why = format!(
                "the service names of all of a user's devices may have at most {MAX_SERVICES_BYTES} bytes"
            );
            return Err(Error::bad("services", why));
        }
        Ok(())
    }
}

impl Unfit {
    /// The word of the audit lines.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::OtherService => "not_for_this_service",
        }
    }
}

/// Unix seconds. The record keeps times short.
const MAX_TIME: u64 = 32_503_680_000;
const MAX_SERVICES: usize = 8;
/// In one record, which must fit into one value of the store.
pub(crate) const MAX_SERVICES_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn restriction(
        from: Option<u64>,
        until: Option<u64>,
        services: &[&str],
    ) -> Result<Restriction, Error> {
        let services: Vec<String> = services.iter().map(|name| (*name).to_owned()).collect();
        Restriction::new(from, until, &services)
    }

    #[test]
    fn without_bounds_a_device_counts_always_and_everywhere() {
        let none = Restriction::default();
        for (now, service) in [(0, ""), (u64::MAX, "sshd")] {
            assert_eq!(none.admit(now, service), Ok(()));
            assert!(none.admits_everything(now));
        }
    }

    #[test]
    fn the_first_second_counts_and_the_last_is_the_one_before_the_end() {
        let week = restriction(Some(100), Some(200), &[]).unwrap();
        for (now, answer) in [
            (99, Err(Unfit::NotYetValid)),
            (100, Ok(())),
            (199, Ok(())),
            (200, Err(Unfit::Expired)),
        ] {
            assert_eq!(week.admit(now, "sshd"), answer, "{now}");
        }
    }

    #[test]
    fn a_device_for_some_services_is_none_for_others() {
        let sudo = restriction(None, None, &["sudo", "SUDO", "su"]).unwrap();
        assert_eq!(sudo.services().len(), 2);
        assert_eq!(
            (sudo.admit(0, "sudo"), sudo.admit(0, "su")),
            (Ok(()), Ok(()))
        );
        for sister in ["sudo-i", "su-l"] {
            assert_eq!(sudo.admit(0, sister), Ok(()), "{sister}");
        }
        for other in ["sshd", "sudo-l", "", "sudo "] {
            assert_eq!(sudo.admit(0, other), Err(Unfit::OtherService), "{other:?}");
        }
        assert!(!sudo.admits_everything(0));
    }

    #[test]
    fn the_services_of_one_users_devices_have_bounds_together() {
        let names: Vec<String> = (0..8).map(|n| format!("{n:032}")).collect();
        let full = Restriction::new(None, None, &names).unwrap();
        assert_eq!(full.fits_beside(std::iter::empty()), Ok(()));
        let one = restriction(None, None, &["su"]).unwrap();
        assert!(one.fits_beside([&full].into_iter()).is_err());
        assert_eq!(
            one.fits_beside([&one, &Restriction::default()].into_iter()),
            Ok(())
        );
    }

    #[test]
    fn bounds_that_make_no_sense_are_refused_and_named() {
        let field = |wish: Result<Restriction, Error>| match wish {
            Err(Error::BadParameter { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(field(restriction(Some(200), Some(200), &[])), "valid_until");
        assert_eq!(field(restriction(None, Some(0), &[])), "valid_until");
        assert_eq!(field(restriction(Some(u64::MAX), None, &[])), "valid_from");
        assert_eq!(field(restriction(None, None, &["a/b"])), "services");
        let nine: Vec<String> = (0..9).map(|n| format!("service-{n}")).collect();
        assert_eq!(field(Restriction::new(None, None, &nine)), "services");
    }
}
