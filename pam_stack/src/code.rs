//! The return codes of PAM functions: their numbers, and their names in control fields
//! (pam.conf(5)).

/// A return code of a module or of libpam.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u8);

#[expect(missing_docs, reason = "named like libpam's constants")]
impl Code {
    pub const SUCCESS: Self = Self(0);
    pub const SERVICE_ERR: Self = Self(3);
    pub const SYSTEM_ERR: Self = Self(4);
    pub const BUF_ERR: Self = Self(5);
    pub const PERM_DENIED: Self = Self(6);
    pub const AUTH_ERR: Self = Self(7);
    pub const AUTHINFO_UNAVAIL: Self = Self(9);
    pub const USER_UNKNOWN: Self = Self(10);
    pub const NEW_AUTHTOK_REQD: Self = Self(12);
    pub const CONV_ERR: Self = Self(19);
    pub const IGNORE: Self = Self(25);
    pub const ABORT: Self = Self(26);
    pub const MODULE_UNKNOWN: Self = Self(28);
    pub const INCOMPLETE: Self = Self(31);
}

impl Code {
    /// The code with that number.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        let number = u8::try_from(number).ok()?;
        (usize::from(number) < NAMES.len()).then_some(Self(number))
    }

    /// The number, as in `_pam_types.h`.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0.into()
    }

    /// The name in a control field.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("?")
    }

    /// Every code that a module can return for good. After `incomplete`, libpam calls it again.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX)
            .map(Self)
            .take(NAMES.len())
            .filter(|code| *code != Self::INCOMPLETE)
    }

    /// The place in a table of all codes.
    pub(crate) fn place(self) -> usize {
        self.0.into()
    }

    /// The code whose name the text begins with, and the rest of the text. libpam compares in this
    /// way.
    pub(crate) fn at_start_of(text: &str) -> Option<(Self, &str)> {
        (0..)
            .zip(NAMES)
            .find_map(|(number, name)| Some((Self(number), text.strip_prefix(name)?)))
    }
}

/// How many codes there are.
pub(crate) const CODES: usize = 32;

const NAMES: [&str; CODES] = [
    "success",
    "open_err",
    "symbol_err",
    "service_err",
    "system_err",
    "buf_err",
    "perm_denied",
    "auth_err",
    "cred_insufficient",
    "authinfo_unavail",
    "user_unknown",
    "maxtries",
    "new_authtok_reqd",
    "acct_expired",
    "session_err",
    "cred_unavail",
    "cred_expired",
    "cred_err",
    "no_module_data",
    "conv_err",
    "authtok_err",
    "authtok_recover_err",
    "authtok_lock_busy",
    "authtok_disable_aging",
    "try_again",
    "ignore",
    "abort",
    "authtok_expired",
    "module_unknown",
    "bad_item",
    "conv_again",
    "incomplete",
];
