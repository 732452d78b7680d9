//! Tests of the module's options.

use proptest::prelude::*;

use super::*;

fn parse(arguments: &[&str]) -> Result<Options, String> {
    let bytes: Vec<&[u8]> = arguments
        .iter()
        .map(|argument| argument.as_bytes())
        .collect();
    Options::parse(&bytes).map_err(|bad| bad.to_string())
}

fn refused(argument: &str) -> String {
    parse(&[argument]).unwrap_err()
}

#[test]
fn no_arguments_are_the_defaults() {
    assert_eq!(parse(&[]).unwrap(), Options::default());
}

#[test]
fn every_option_is_taken() {
    let all = [
        "socket=/run/x/login.sock",
        "server_uid=4294967295",
        "timeout=30",
        "prompt=Code = ? ",
        "lang=de",
        "retry=10",
        "nullok",
        "always_prompt",
        "user_unknown",
        "try_first_pass",
        "forward_pass",
        "digits=8",
        "grace_period=2592000",
        "noskewadj",
        "no_increment_hotp",
        "echo_verification_code",
        "quiet",
        "debug",
    ];
    let expected = Options {
        socket: Some("/run/x/login.sock".into()),
        server_uid: u32::MAX,
        timeout: Duration::from_secs(30),
        prompt: Some("Code = ? ".into()),
        lang: Language::German,
        retry: 10,
        nullok: true,
        always_prompt: true,
        user_unknown: true,
        try_first_pass: true,
        use_first_pass: false,
        forward_pass: true,
        digits: Some(8),
        grace_period: Some(2_592_000),
        noskewadj: true,
        no_increment_hotp: true,
        enroll: false,
        first_factor: false,
        echo_verification_code: true,
        quiet: true,
        debug: true,
    };
    assert_eq!(parse(&all).unwrap(), expected);
    let never_asks = Options {
        use_first_pass: true,
        forward_pass: true,
        ..Options::default()
    };
    assert_eq!(
        parse(&["use_first_pass", "forward_pass"]).unwrap(),
        never_asks
    );
}

#[test]
fn what_asks_cannot_stand_beside_what_never_does() {
    for other in ["try_first_pass", "always_prompt"] {
        for pair in [["use_first_pass", other], [other, "use_first_pass"]] {
            let said = parse(&pair).unwrap_err();
            assert!(
                said.contains(&format!(
                    "'use_first_pass' cannot be combined with '{other}'"
                )),
                "{said}"
            );
        }
    }
}

#[test]
fn who_enrols_at_the_prompt_has_one_of_their_own() {
    for other in ["nullok", "use_first_pass", "forward_pass", "quiet"] {
        for pair in [["enroll", other], [other, "enroll"]] {
            let said = parse(&pair).unwrap_err();
            assert!(
                said.contains(&format!("'enroll' cannot be combined with '{other}'")),
                "{said}"
            );
        }
    }
    assert!(
        parse(&["enroll", "try_first_pass", "user_unknown", "retry=1"])
            .unwrap()
            .enroll
    );
}

#[test]
fn a_first_factor_is_said_with_one_word_and_no_other() {
    let said = |argument| {
        let options = parse(&[argument]).map_err(|_| ())?;
        Ok((options.enroll, options.first_factor))
    };
    assert_eq!(said("enroll"), Ok((true, false)));
    assert_eq!(said("enroll=first_factor"), Ok((true, true)));
    for other in ["enroll=", "enroll=1", "enroll=First_Factor", "enroll=no"] {
        assert_eq!(said(other), Err(()), "{other}");
    }
    assert!(parse(&["enroll", "enroll=first_factor"]).is_err());
    assert!(parse(&["enroll=first_factor", "nullok"]).is_err());
}

#[test]
fn the_names_of_other_modules_mean_the_same() {
    for (other, own) in [
        ("nouserok", "nullok"),
        ("echo-verification-code", "echo_verification_code"),
        ("authtok_prompt=Token: ", "prompt=Token: "),
        ("no_warn", "quiet"),
    ] {
        assert_eq!(parse(&[other]).unwrap(), parse(&[own]).unwrap());
        let name = other.split('=').next().unwrap();
        assert!(
            parse(&[own, other])
                .unwrap_err()
                .contains(&format!("'{name}' is given twice")),
            "{other}"
        );
    }
}

#[test]
fn an_unknown_option_is_refused_by_its_name_and_without_its_value() {
    for argument in [
        "nullOK",
        "no",
        "",
        "=",
        "Debug",
        " debug",
        "secrets=hunter2",
        "no-warn",
        "code:",
    ] {
        let name = argument.split('=').next().unwrap();
        let said = refused(argument);
        assert!(
            said.contains(&format!("'{name}' is not known")) && !said.contains("hunter2"),
            "{said}"
        );
    }
}

#[test]
fn an_option_given_twice_is_refused() {
    for twice in [
        ["debug", "debug"],
        ["retry=1", "retry=1"],
        ["prompt=a", "prompt=b"],
        ["nullok", "nullok"],
    ] {
        assert!(
            parse(&twice).unwrap_err().contains("is given twice"),
            "{twice:?}"
        );
    }
}

#[test]
fn a_value_is_given_where_one_belongs_and_nowhere_else() {
    for argument in [
        "socket",
        "server_uid",
        "timeout",
        "prompt",
        "lang",
        "retry",
        "digits",
    ] {
        assert!(refused(argument).contains(&format!("'{argument}' needs a value")));
    }
    for name in [
        "nullok",
        "always_prompt",
        "user_unknown",
        "try_first_pass",
        "forward_pass",
        "no_warn",
        "debug",
    ] {
        for argument in [
            format!("{name}="),
            format!("{name}=1"),
            format!("{name}=no"),
        ] {
            assert!(refused(&argument).contains(&format!("'{name}' takes no value")));
        }
    }
}

#[test]
fn numbers_are_digits_within_their_limits() {
    for value in [
        "",
        "0",
        "31",
        "-1",
        "+3",
        " 3",
        "3s",
        "3.0",
        "0x3",
        "٣",
        "99999999999999999999",
    ] {
        assert!(
            refused(&format!("timeout={value}")).contains("'timeout' takes 1 to 30 seconds"),
            "{value:?}"
        );
    }
    for value in ["", "0", "11", "-1", "+3", "three"] {
        assert!(
            refused(&format!("retry={value}")).contains("'retry' takes a number from 1 to 10"),
            "{value:?}"
        );
    }
    for value in ["", "0", "5", "11", "+6", "six"] {
        assert!(
            refused(&format!("digits={value}")).contains("'digits' takes a number from 6 to 10"),
            "{value:?}"
        );
    }
    for value in ["", "-1", "+0", "4294967296", "root"] {
        assert!(
            refused(&format!("server_uid={value}")).contains("'server_uid' takes a user id"),
            "{value:?}"
        );
    }
    for value in ["", "EN", "fr", "de_DE.UTF-8"] {
        assert!(
            refused(&format!("lang={value}")).contains("'lang' takes 'en' or 'de'"),
            "{value:?}"
        );
    }
    assert_eq!(parse(&["retry=1", "timeout=1"]).unwrap().retry, 1);
}

#[test]
fn texts_are_within_their_limits() {
    let path = |bytes: usize| format!("socket=/{}", "x".repeat(bytes - 1));
    assert!(parse(&[&path(107)]).is_ok());
    for argument in [&path(108), "socket=", "socket=run/x", "socket=~/x"] {
        assert!(
            refused(argument).contains("'socket' takes an absolute path"),
            "{argument}"
        );
    }
    assert!(parse(&[&format!("prompt={}", "x".repeat(256))]).is_ok());
    for text in ["", &"x".repeat(257)] {
        assert!(refused(&format!("prompt={text}")).contains("'prompt' takes 1 to 256 bytes"));
    }
}

#[test]
fn what_is_too_long_or_no_text_is_refused_by_its_name() {
    assert!(
        refused(&format!("prompt={}", "x".repeat(4096)))
            .contains("'prompt' is longer than 4096 bytes")
    );
    assert!(refused(&"x".repeat(1 << 20)).len() < 400);
    let said = Options::parse(&[b"prompt=\xff"]).unwrap_err().to_string();
    assert!(said.contains("'prompt' is not UTF-8"));
    assert!(
        Options::parse(&[b"\xff\n"])
            .unwrap_err()
            .to_string()
            .contains("'\u{fffd}\\n' is not UTF-8")
    );
}

proptest! {
    #[test]
    fn whatever_the_arguments_are_only_what_is_within_the_limits_is_taken(
        arguments in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "(socket|server_uid|timeout|prompt|lang|digits|retry|nullok|use_first_pass|debug)(=/?[0-9a-z]{0,12})?".prop_map(String::into_bytes),
        ], 0..6)
    ) {
        let bytes: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        match Options::parse(&bytes) {
            Ok(options) => {
                prop_assert!((1..=10).contains(&options.retry) && (1..=30).contains(&options.timeout.as_secs()));
                prop_assert!(options.digits.is_none_or(|digits| (6..=10).contains(&digits)));
                prop_assert!(options.socket.is_none_or(|path| path.is_absolute()));
                prop_assert!(options.prompt.is_none_or(|text| !text.is_empty()));
            }
            Err(bad) => prop_assert!(!bad.to_string().chars().any(char::is_control)),
        }
    }
}

#[test]
fn the_manual_page_has_every_name() {
    let page = include_str!("../../../docs/pam_totp.8");
    let known = |name: &str| {
        let said =
            [name.to_owned(), format!("{name}=")].map(|argument| refused_or_taken(&argument));
        !said.iter().any(|said| said.contains("is not known"))
    };
    let named: Vec<&str> = page
        .lines()
        .filter_map(|line| {
            line.strip_prefix(".It Cm ")
                .or_else(|| line.strip_prefix(".Cm "))
        })
        .flat_map(|line| line.split(" , Cm "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    for name in [
        "socket",
        "server_uid",
        "timeout",
        "prompt",
        "authtok_prompt",
        "lang",
        "retry",
        "nullok",
        "nouserok",
        "always_prompt",
        "user_unknown",
        "try_first_pass",
        "use_first_pass",
        "forward_pass",
        "digits",
        "echo_verification_code",
        "echo-verification-code",
        "quiet",
        "no_warn",
        "debug",
        "secret",
        "usersfile",
        "user",
        "no_strict_owner",
        "allowed_perm",
        "allow_readonly",
        "window",
        "alwaysok",
        "failmode",
        "grace_period",
        "noskewadj",
        "no_increment_hotp",
        "enroll",
    ] {
        assert!(named.contains(&name), "{name} is not in the manual page");
        assert!(known(name), "{name}");
    }
}

fn refused_or_taken(argument: &str) -> String {
    parse(&[argument]).err().unwrap_or_default()
}
