//! Why a file or an entry of it cannot be taken: a sentence and the next step. No sentence shows a
//! part of the file.

use common::lineage::record::BadRecord;
use common::otpauth::BadLabel;
use common::secret::BadKey;

use crate::{MAX_ENTRIES, MAX_FILE, MAX_LINE};

/// Why nothing of a file can be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFile {
    /// Longer than [`MAX_FILE`].
    #[error("the file is longer than {} MiB: split it", MAX_FILE >> 20)]
    TooLong,
    /// Not UTF-8.
    #[error("the file is not text in UTF-8: is it compressed, encrypted, or of another format?")]
    NotText,
    /// More than [`MAX_ENTRIES`].
    #[error("the file has more than {MAX_ENTRIES} entries: split it")]
    TooMany,
    /// No entry.
    #[error("the file has no entry: is it of another format?")]
    Empty,
    /// Not the object that the format wants.
    #[error("line {line}, column {column}: the file is not an export of this format")]
    Json {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// The authenticator app has encrypted the export.
    #[error(
        "the export is encrypted: export it again, without a password, and delete it afterwards"
    )]
    Encrypted,
    /// Not XML, or XML that is not taken.
    #[error("line {0}: the file is not well-formed XML, or has too many elements")]
    Xml(u32),
    /// A document type, which could define entities.
    #[error("the file has a document type (<!DOCTYPE>), which is never taken: delete it")]
    DocumentType,
    /// XML of another kind.
    #[error("the file is not a PSKC key container (RFC 6030)")]
    NotPskc,
    /// Encryption by another method.
    #[error(
        "line {0}: the file is encrypted in a way that is not taken: AES-128-CBC with HMAC, under a key or a passphrase (PBKDF2), is"
    )]
    Cipher(u32),
    /// The key or passphrase does not open the file.
    #[error("the key or passphrase does not open the file")]
    WrongSecret,
    /// The file is encrypted, and no secret was given.
    #[error("the file is encrypted: its key or passphrase is needed")]
    SecretNeeded,
    /// A key that is not 16 bytes in hexadecimal.
    #[error("the key of the file must be 32 hexadecimal digits (AES-128)")]
    KeyForm,
    /// The first row of a table lacks or repeats a column, or names an unknown one.
    #[error(
        "line 1: the first row must name the columns: 'user' and 'key', and if wanted 'kind', 'alg', 'digits', 'period', 'counter', 'label' and 'issuer', each once"
    )]
    Columns,
    /// A list of users whose first row does not name its columns.
    #[error("the first row must name the columns: 'user', and if wanted 'device'")]
    UserColumns,
}

/// Why an entry cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A line or field that is longer than any entry.
    #[error("the line is longer than {MAX_LINE} bytes: no entry is that long")]
    TooLong,
    /// The entry has too few parts, too many, or malformed ones.
    #[error("the entry is not of this format: {0}")]
    Form(&'static str),
    /// A bad key.
    #[error(transparent)]
    Key(#[from] BadKey),
    /// A bad URI or bad parameters.
    #[error(transparent)]
    Record(#[from] BadRecord),
    /// A bad label or issuer.
    #[error(transparent)]
    Label(#[from] BadLabel),
    /// A kind of key other than TOTP and HOTP.
    #[error("the entry is neither TOTP nor HOTP: enrol a new device")]
    Kind,
    /// An HOTP key without the counter of its next code.
    #[error("the HOTP key has no counter: give the counter of its next code")]
    NoCounter,
    /// A number that is not one, or too large.
    #[error("{0} is not a whole number within its bounds")]
    Number(&'static str),
    /// The system that the entry comes from asks for a PIN before the code.
    #[error(
        "a login with this entry needs a PIN before the code, which pam-totp does not ask for: with --drop-pins the PIN is \
         left out, and the login has one factor less"
    )]
    Pin,
    /// A PSKC key with a term, or other rules for its use.
    #[error(
        "the key has a policy that pam-totp does not know (a term, a PIN, a use other than one-time passwords): enrol a new \
         device, or delete the element 'Policy' and limit the device with 'totpctl restrict'"
    )]
    Policy,
    /// A PSKC value whose MAC is missing or wrong.
    #[error("the encrypted key was altered, or the key or passphrase does not open it")]
    Altered,
}

/// A file that is not the JSON of its format. serde's own words may repeat a part of it.
pub(crate) fn not_json(error: &serde_json::Error) -> BadFile {
    BadFile::Json {
        line: error.line(),
        column: error.column(),
    }
}
