//! The section `limits` of the settings: how many wrong codes one source address may send, and
//! which sources are trusted.

use std::net::IpAddr;

use serde::Deserialize;

use crate::config::values::decimal::Decimal;
use crate::config::values::given::given;
use crate::wire::text::printable;

/// The section `limits` of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wrong codes an hour from one source, for all accounts together, before its logins are asked
    /// for two codes.
    pub per_source: u32,
    /// Sources that many users share, such as a bastion host: their wrong codes are not counted.
    pub trusted_sources: Vec<Block>,
}

impl Limits {
    /// Whether wrong codes from this address are not counted.
    #[must_use]
    pub fn trust(&self, address: IpAddr) -> bool {
        self.trusted_sources
            .iter()
            .any(|block| block.holds(address))
    }
}

/// A block of addresses: `192.0.2.0/24`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    address: IpAddr,
    bits: u32,
}

impl Block {
    /// Parses a block in CIDR notation (RFC 4632 section 3.1). All bits after the prefix must be 0:
    /// `192.0.2.7/24` is probably a mistake.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text
            .split_once('/')
            .map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let digits_only = |bits: &&str| bits.bytes().all(|b| b.is_ascii_digit());
        let width = width(address);
        let bits = bits.map_or(Some(width), |bits| {
            Some(bits).filter(digits_only)?.parse().ok()
        })?;
        (bits <= width && prefix(address, bits) == number(address))
            .then(|| Self::canonical(address, bits))
    }

    /// The canonical form: a block of IPv4-mapped IPv6 addresses (RFC 4291 section 2.5.5.2) is a
    /// block of IPv4 addresses.
    fn canonical(address: IpAddr, bits: u32) -> Self {
        match (address.to_canonical(), bits.checked_sub(MAPPED)) {
            (IpAddr::V4(inner), Some(bits)) if address.is_ipv6() => Self {
                address: inner.into(),
                bits,
            },
            _ => Self { address, bits },
        }
    }

    /// Whether the address lies in the block. An IPv4-mapped IPv6 address counts as IPv4.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        let (address, own) = (address.to_canonical(), self.address);
        address.is_ipv4() == own.is_ipv4() && prefix(address, self.bits) == number(own)
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address with everything after its first `bits` bits set to 0.
fn prefix(address: IpAddr, bits: u32) -> u128 {
    let rest = width(address).saturating_sub(bits);
    number(address)
        .checked_shr(rest)
        .and_then(|kept| kept.checked_shl(rest))
        .unwrap_or(0)
}

/// The section as it is written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub(crate) struct RawLimits {
    #[serde(
        rename = "per-source",
        alias = "per_source",
        deserialize_with = "given"
    )]
    per_source: Option<Decimal<u32>>,
    #[serde(rename = "trusted-sources", alias = "trusted_sources")]
    trusted_sources: Vec<String>,
}

impl RawLimits {
    /// The checked limits, or the key that is not valid and the reason.
    pub(crate) fn check(self) -> Result<Limits, (&'static str, String)> {
        let blocks = self
            .trusted_sources
            .iter()
            .map(|text| Block::parse(text).ok_or_else(|| not_a_block(text)));
        let per_source = self.per_source.map_or(PER_SOURCE, |Decimal(codes)| codes);
        if per_source > MAX_PER_SOURCE {
            let why = format!("{per_source} is not between 0 and {MAX_PER_SOURCE}");
            return Err(("limits.per-source", why));
        }
        Ok(Limits {
            per_source,
            trusted_sources: blocks.collect::<Result<_, _>>()?,
        })
    }
}

fn not_a_block(text: &str) -> (&'static str, String) {
    let shown = printable(text);
    let why = format!(
        "'{shown}' is not a block of addresses: write it as '192.0.2.0/24', with zeros after the prefix"
    );
    ("limits.trusted-sources", why)
}

const PER_SOURCE: u32 = 60;
/// More is no limit: an address that many people share belongs into `trusted-sources`.
const MAX_PER_SOURCE: u32 = 10_000;
/// The bits before the IPv4 address in an IPv4-mapped IPv6 address.
const MAPPED: u32 = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_the_addresses_with_its_prefix() {
        for (block, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
            ("0.0.0.0/0", "203.0.113.1", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("192.0.2.0/24", "::ffff:192.0.2.1", "::192.0.2.1"),
            ("::ffff:192.0.2.0/120", "192.0.2.1", "192.0.3.1"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            ("::ffff:0:0/96", "203.0.113.1", "::1"),
        ] {
            let holds =
                |address: &str| Block::parse(block).unwrap().holds(address.parse().unwrap());
            assert!(holds(inside) && !holds(outside), "{block}");
        }
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in [
            "",
            "/",
            "192.0.2.0/33",
            "192.0.2.0/-1",
            "192.0.2.0/+8",
            "192.0.2.0/",
            "192.0.2.7/24",
            "::1/64",
            "example.org",
            "192.0.2",
            " 192.0.2.1",
            "::/129",
            "192.0.2.0/24/8",
            "192.0.2.0/99999999999",
        ] {
            assert_eq!(Block::parse(text), None, "{text:?}");
        }
    }
}
