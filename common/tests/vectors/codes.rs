//! Codes as people type them, and which step they are of.

use common::lineage::matching::{Match, NoMatch, Search, find};
use common::lineage::token::clean;
use serde_json::{Value, json};

use crate::cases::{Outcome, key, parameters, section};

#[test]
fn typed_codes_are_cleaned_up_or_refused_as_decided() {
    for (case, outcome) in section("normalize_token") {
        let code = clean(
            &typed(&case),
            case["digits"].as_u64().unwrap().try_into().unwrap(),
        );
        match outcome {
            Outcome::Refused => assert!(code.is_err(), "{}", case["id"]),
            _ => assert_eq!(code.unwrap().expose(), case["result"], "{}", case["id"]),
        }
    }
}

#[test]
fn codes_match_the_step_that_passlib_finds() {
    for (case, outcome) in section("match") {
        let found = search(&case).map(|search| {
            find(
                &key(&case["key_hex"]),
                parameters(&case),
                &typed(&case),
                search,
            )
        });
        match (outcome, &case["error"]) {
            (Outcome::Listed, Value::Null) => assert_match(&case, found.unwrap().unwrap()),
            (Outcome::Listed | Outcome::Refused, error) => assert_refusal(&case, found, error),
            (Outcome::Ours, _) => panic!("{}", case["id"]),
        }
    }
}

fn assert_match(case: &Value, found: Match) {
    let listed = json!({
        "counter": found.counter,
        "time": case["time"],
        "expected_counter": found.expected_counter,
        "skipped": found.skipped(),
        "expire_time": found.expire_time,
        "cache_seconds": found.cache_seconds,
        "cache_time": found.cache_time,
    });
    assert_eq!(listed, case["match"], "{}", case["id"]);
}

/// The kind of refusal counts where passlib makes a difference for the user that typed it.
fn assert_refusal(case: &Value, found: Option<Result<Match, NoMatch>>, error: &Value) {
    let found = found.map(|found| found.expect_err(case["id"].as_str().unwrap()));
    match error["kind"].as_str() {
        Some("malformed_token") => assert!(
            matches!(found, Some(NoMatch::Malformed(_))),
            "{}",
            case["id"]
        ),
        Some("invalid_token") => assert_eq!(found, Some(NoMatch::Rejected), "{}", case["id"]),
        Some("used_token") => {
            let expire_time = error["expire_time"].as_u64().unwrap();
            assert_eq!(
                found,
                Some(NoMatch::AlreadyUsed { expire_time }),
                "{}",
                case["id"]
            );
        }
        _ => {}
    }
}

/// `None` for numbers that cannot be given at all: a negative window or counter.
fn search(case: &Value) -> Option<Search> {
    Some(Search {
        time: case["time"].as_i64().unwrap(),
        window: case["window"].as_u64()?,
        skew: case["skew"].as_i64().unwrap(),
        last_counter: match &case["last_counter"] {
            Value::Null => None,
            counter => Some(counter.as_u64()?),
        },
    })
}

/// A code is text. A number stands for its digits as a user would type them.
fn typed(case: &Value) -> String {
    case["token"]
        .as_str()
        .map_or_else(|| case["token"].to_string(), str::to_owned)
}
