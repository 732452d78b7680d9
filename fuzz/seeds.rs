//! Fills `corpus/` with seeds: every text of the test vectors, the settings as they are shipped, a file of
//! each format that is imported, and the files and the backup of a small store.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::names::user::UserName;
use provisiond::clock::Clock;
use provisiond::record::offline::{Kept, KeptDevice, sealed};
use provisiond::store::backup::{self, Header};
use provisiond::store::sled::{Place, SledStore};
use provisiond::store::{self, Store};
use serde_json::Value;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let fuzz = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let vectors = fs::read_to_string(fuzz.join("../common/tests/data/passlib_public.json"))?;
    let vectors: Value = serde_json::from_str(&vectors)?;
    let corpus = fuzz.join("corpus");
    for (section, member, target) in [
        ("records", "json", "record"),
        ("records", "plain_json", "record"),
        ("load", "json", "record"),
        ("from_uri", "uri", "uri"),
        ("to_uri", "uri", "uri"),
        ("secrets", "source", "secrets"),
    ] {
        for case in vectors[section].as_array().ok_or("a list of cases")? {
            let text = case[member]
                .as_str()
                .map_or_else(|| case[member].to_string(), str::to_owned);
            let id = case["id"].as_str().ok_or("an id")?;
            seed(&corpus, target, &format!("{id}-{member}"), &text)?;
        }
    }
    let shipped = fs::read_to_string(fuzz.join("../packaging/settings.yaml"))?;
    seed(&corpus, "settings", "shipped", &shipped)?;
    seed(
        &corpus,
        "settings",
        "everything",
        &shipped.replace("    # ", "    ").replace("  # ", "  "),
    )?;
    seed(&corpus, "settings", "lineage", LINEAGE)?;
    seed(&corpus, "settings", "rules", RULES)?;
    for (name, typed) in [
        ("one", "123 456"),
        ("two", "123-456 654-321"),
        (
            "other-scripts",
            "\u{1b}[200~１２３\u{a0}٤٥٦\u{200b}\u{1b}[201~",
        ),
        ("issued", "abcd-efgh-1jkl-mn0p"),
        ("short-issued", "ABCD 2345"),
    ] {
        seed(&corpus, "typed", name, typed)?;
    }
    let event = r#"{"time":1795472164,"number":7,"event":"verify","severity":"warning","fields":{"user":"alice","verdict":"rejected"}}"#;
    seed(&corpus, "event", "verify", event)?;
    seed(&corpus, "stack", "shared", STACK)?;
    for sample in ["plain", "key", "passphrase"] {
        let file = format!("../import/src/pskc/samples/{sample}.xml");
        let text = fs::read_to_string(fuzz.join(file))?;
        seed(&corpus, "import_pskc", sample, &text)?;
    }
    for (target, text) in FOREIGN {
        seed(&corpus, target, "sample", text)?;
    }
    seed(&corpus, "frame", "calls", CALLS)?;
    seed(&corpus, "offline", "copy", offline_copy()?)?;
    let folder = std::env::temp_dir().join(format!("fuzz-seeds-{}", std::process::id()));
    let stored = store(&corpus, &folder);
    fs::remove_dir_all(&folder)?;
    stored
}

/// What a login host keeps of a user, without the checksum, which the target adds.
fn offline_copy() -> Result<Vec<u8>, Box<dyn Error>> {
    let phone = KeptDevice {
        digits: 6,
        period: 30,
        unreported: Some(98),
        first: 100,
        hashes: (0..32).collect(),
        ..KeptDevice::default()
    };
    let kept = Kept {
        services: vec!["sshd".to_owned()],
        wrong: vec![5, 6],
        devices: vec![phone],
        ..Kept::nothing(&UserName::new("alice")?)
    };
    let file = kept.to_bytes().ok_or("a file within its bounds")?;
    let title = sealed(&[]).len().saturating_sub(SHA_256);
    let body = file.get(title..file.len().saturating_sub(SHA_256));
    Ok(body.ok_or("a title and a checksum")?.to_vec())
}

/// A store with a few records, of which one was changed: its journal, and a backup as a whole and
/// without the lines at its beginning.
fn store(corpus: &Path, folder: &Path) -> Outcome {
    let place = Place {
        path: folder.join("store"),
        cache_mib: 1,
        mirror: None,
    };
    fs::create_dir_all(&place.path)?;
    let clock = Clock::of_this_machine(|_| ());
    let store = SledStore::open(&place, clock, |_| (), |why| eprintln!("{why}"))?;
    let deadline = || Instant::now() + Duration::from_secs(60);
    let alice = UserName::new("alice")?;
    let first = store.insert_new(&alice, vec![0; 300], deadline())?;
    let store::Outcome::Done(version) = first else {
        return Err("a store that takes records".into());
    };
    for done in [
        store.insert_new(&UserName::new("bob")?, vec![0; 300], deadline())?,
        store.replace(&alice, version, vec![1; 200], deadline())?,
    ] {
        assert!(matches!(done, store::Outcome::Done(_)), "{done:?}");
    }
    drop(store);
    for file in fs::read_dir(folder.join("store.journal"))? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if file.file_type()?.is_file() {
            // Its room for what is to come is left out.
            let bytes = fs::read(file.path())?;
            let end = bytes
                .iter()
                .rposition(|byte| *byte != 0)
                .map_or(0, |last| last + 1);
            seed(corpus, "journal", &name, &bytes[..end])?;
        }
    }
    let mut written = Vec::new();
    backup::write(&place.path, &mut written, |contents| Header {
        program: "0".to_owned(),
        host: "h".to_owned(),
        made: 1,
        generation: contents.generation(),
        users: contents.users(),
    })?;
    seed(corpus, "backup", "whole", &written)?;
    let lines = written.splitn(3, |byte| *byte == b'\n');
    let rows = lines.last().ok_or("rows")?;
    seed(corpus, "backup", "rows", rows)
}

fn seed(corpus: &Path, target: &str, name: &str, text: impl AsRef<[u8]>) -> Outcome {
    fs::create_dir_all(corpus.join(target))?;
    Ok(fs::write(corpus.join(target).join(name), text)?)
}

const SHA_256: usize = 32;
const LINEAGE: &str = "AUTHC_CONFIG:
    totp:
        mfa_dispatcher: yosai_totp_sms.SMSDispatcher
        allow_weak_secrets: true
        context:
            digits: 6
            alg: sha1
            period: 30
            label: token_label_123
            issuer: my_application_name
            default_tag: 1479568656
            encrypt_cost: 14
            secrets:
                1479568656:  9xEF7DRojqkJLUENWmOoF3ZCWz3kFHylDCES92dSvYV
policy: {window: 0, budget: 7, refill: 2h, strict: true}
provisiond: {admin_group: wheel, store: {sled: {path: /srv/store, cache_mib: 8}}}
";
const RULES: &str = "rules:
- name: lan
  from: [192.0.2.0/24, '2001:db8::/32', local]
  services: sshd
  hours: ['mon-fri 08:00-18:00', sat]
- {name: backup, users: [backup], groups: robots}
- name: nothing
  users:
  from: ~
roll-out: {observe: true, enforce-after: {staff: 2026-12-01, everybody: 2027-01-15}}
grace: {same-source: {for: 12h, services: [sshd]}, same-host: {for: 5m, services: sudo}}
unknown-users: skip
";
const CALLS: &str = "{\"method\":\"org.pamtotp.Provision.Status\",\"parameters\":{}}\0{\"method\":\"a.b\",\"more\":true}\0{";
const STACK: &str = "auth substack 2
auth [success=1 default=ignore] pam_succeed_if.so user ingroup staff
auth required \\
    pam_totp.so nullok
=====
auth required pam_deny.so
=====
auth required pam_env.so
auth sufficient pam_unix.so
auth [success=done user_unknown=ignore default=die] pam_exec.so
auth required pam_deny.so
";
/// One file of each format that `import` reads.
const FOREIGN: [(&str, &str); 9] = [
    (
        "import_otpauth",
        "otpauth://hotp/Co:a?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&counter=9&issuer=Co\n",
    ),
    (
        "import_google_authenticator",
        "KJGNNK7A3FCUGC753AU5BKGY74\n\" DISALLOW_REUSE 59866975\n\" TIME_SKEW -2\n\" TOTP_AUTH\n81954280\n",
    ),
    (
        "import_users_oath",
        "HOTP/T30/8 bob - 3132333435363738393031323334353637383930 0 050471 2005-03-18T01:58:31L\n",
    ),
    (
        "import_migration",
        "otpauth-migration://offline?data=CjEKCkhlbGxvId6tvu8SGEV4YW1wbGU6YWxpY2VAZ29vZ2xlLmNvbRoHRXhhbXBsZTAC",
    ),
    (
        "import_aegis",
        r#"{"db":{"entries":[{"type":"hotp","name":"a","info":{"secret":"GEZDGNBVGY3TQOJQ","counter":5}}]}}"#,
    ),
    (
        "import_andotp",
        r#"[{"secret":"GEZDGNBVGY3TQOJQ","label":"a","type":"TOTP","algorithm":"SHA1","digits":6}]"#,
    ),
    (
        "import_desired_state",
        "users:\n  alice: &a\n    state: active\n    enroll: ticket\n    exclusive: true\n    devices:\n      phone:\n      old: {state: absent}\n      t: {state: disabled, from: 2026-12-01, until: ~, services: [sudo]}\n  bob: *a\n",
    ),
    ("import_users", "user,device\nalice,phone\nbob,\n"),
    (
        "import_table",
        "user,key,kind,counter\nalice,GEZDGNBVGY3TQOJQ,hotp,4\n",
    ),
];
