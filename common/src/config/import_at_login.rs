//! The setting `import`: which files of another system a login itself may import.

use serde::Deserialize;

use super::values::given::given;

/// The section as it is written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub(super) struct RawImport {
    #[serde(rename = "google-authenticator", alias = "google_authenticator")]
    google_authenticator: RawGoogleAuthenticator,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
struct RawGoogleAuthenticator {
    #[serde(deserialize_with = "given")]
    homes: Option<bool>,
}

impl RawImport {
    /// Whether the file in the home of a never-enrolled user is imported when the user logs in.
    pub(super) fn homes(&self) -> bool {
        self.google_authenticator.homes.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn homes(text: &str) -> Option<bool> {
        serde_yaml::from_str::<RawImport>(text)
            .ok()
            .map(|raw| raw.homes())
    }

    #[test]
    fn homes_are_read_only_where_the_setting_says_so_in_full() {
        assert_eq!(homes("google-authenticator: {homes: true}"), Some(true));
        assert_eq!(homes("google-authenticator: {homes: false}"), Some(false));
        for bad in [
            "google-authenticator: true",
            "google-authenticator: {homes: }",
            "google-authenticator: {homes: 'yes'}",
            "google-authenticator: {home: true}",
            "homes: true",
        ] {
            assert_eq!(homes(bad), None, "{bad}");
        }
    }
}
