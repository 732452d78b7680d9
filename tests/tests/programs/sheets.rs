//! The printed sheets of `totpctl enroll` in a real browser, Chromium: one page on paper, readable on
//! a phone, the picture read as the URI, and nothing of a hostile name is run or fetched.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::daemon::Setup;
use tests::world;

/// A name and an issuer that would be HTML if they were not escaped, and leave a mark in the page.
const NAME: &str = "o<b>'\"&amp;<img src=x onerror=document.title=1>";
const ISSUER: &str = "Müller & Söhne <script>document.title=1</script>";

#[test]
fn a_sheet_is_one_page_on_paper_and_its_picture_is_read_as_the_uri() {
    let _place = world::enter();
    let scene = Scene::start();
    for (user, language) in [("alice", "en"), (NAME, "de")] {
        let (sheet, told) = scene.enroll(user, language);
        let mode = fs::metadata(&sheet).expect("a sheet").permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        for (screen, size) in [("desk", "820,1160"), ("phone", "500,1600")] {
            let picture = scene.folder.join(format!("{screen}-{language}.png"));
            scene.browse(
                &sheet,
                &[
                    &of("screenshot", &picture),
                    &format!("--window-size={size}"),
                ],
            );
            assert_eq!(read(&picture), told["uri"], "{screen}, {user}");
        }
        let (paper, text) = scene.printed(&sheet);
        for size in ["612 x 792 pts (letter)", "594.96 x 841.92 pts (A4)"] {
            assert!(
                paper.contains(&format!("Page size:       {size}")),
                "{paper}"
            );
        }
        assert_eq!(paper.matches("Pages:           1\n").count(), 2, "{paper}");
        let key = told["pretty_key"].as_str().expect("a key");
        let codes = told["recovery_codes"].as_array().expect("codes");
        assert_eq!(codes.len(), 10);
        for secret in codes
            .iter()
            .map(|code| code.as_str().expect("text"))
            .chain([key])
        {
            assert!(text.contains(secret), "{text}");
        }
    }
}

#[test]
fn a_hostile_name_is_text_and_the_page_says_no_more_than_it() {
    let _place = world::enter();
    let scene = Scene::start();
    let (sheet, _) = scene.enroll(NAME, "en");
    // What the browser has made of the page, with all its scripts run.
    let page = scene.browse(&sheet, &["--dump-dom"]);
    let title = "<title>Login codes for o&lt;b&gt;'\"&amp;amp;&lt;img src=x onerror=document.title=1&gt;</title>";
    assert!(page.contains(title), "{page}");
    for element in ["<img", "<script", "<b>"] {
        assert!(!page.contains(element), "{element}: {page}");
    }
}

#[test]
fn each_user_of_a_list_gets_a_sheet_in_a_new_folder_and_no_key_goes_elsewhere() {
    let _place = world::enter();
    let scene = Scene::start();
    let sheets = scene.folder.join("sheets");
    let list = "user\nalice\nbob\n";
    let enroll = |users: &str| {
        let sheets = sheets.to_str().expect("a path");
        let arguments = ["enroll", "--users", "-", "--sheets", sheets, "--lang", "de"];
        scene.daemon.totpctl(&arguments, users)
    };
    let told = enroll(list);
    assert_eq!(
        (told.status.code(), &*told.stdout),
        (Some(0), &b""[..]),
        "{told:?}"
    );
    let mode = fs::metadata(&sheets)
        .expect("a folder")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o700);
    for user in ["alice", "bob"] {
        let sheet = sheets.join(format!("{user}-default.html"));
        let picture = scene.folder.join(format!("{user}.png"));
        scene.browse(
            &sheet,
            &[&of("screenshot", &picture), "--window-size=820,1160"],
        );
        let key = key_in(&read(&picture));
        let page = fs::read_to_string(&sheet).expect("a sheet");
        assert_eq!(page.matches("<li><code>").count(), 10, "{user}");
        let shown = scene.daemon.totpctl_json(&["show", user], "");
        assert_eq!(shown["devices"][0]["state"], "active");
        let device = tests::oathtool::Authenticator::new(&key);
        let call = serde_json::json!({ "user": user, "service": "sshd",
            "codes": [device.code_at(1)] });
        let reply = scene.daemon.call("Verify", &call).expect("a verdict");
        assert_eq!(reply["verdict"], "accepted", "{user}: {reply}");
    }
    let again = enroll("user\ncarol\n");
    let text = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        again.status.code() == Some(2) && text.contains("exists already"),
        "{text}"
    );
    assert!(
        scene
            .daemon
            .call("Show", &serde_json::json!({ "user": "carol" }))
            .is_err()
    );
}

/// A daemon, a folder, and a browser with a profile of its own.
struct Scene {
    daemon: tests::daemon::Daemon,
    folder: PathBuf,
}

impl Scene {
    fn start() -> Self {
        let mut setup = Setup::new();
        let issuer = format!("    issuer: \"{ISSUER}\"\n");
        setup.settings = setup.settings.replace("    issuer: tests\n", &issuer);
        Self {
            daemon: setup.start(),
            folder: world::scratch_folder("sheets"),
        }
    }

    /// A new device, its sheet, and what totpctl said of it.
    fn enroll(&self, user: &str, language: &str) -> (PathBuf, Value) {
        let sheet = self.folder.join(format!("{language}.html"));
        let path = sheet.to_str().expect("a path");
        let arguments = ["enroll", user, "--yes", "--sheet", path, "--lang", language];
        let told = self.daemon.totpctl_json(&arguments, "");
        (sheet, told)
    }

    fn browse(&self, page: &Path, options: &[&str]) -> String {
        let output = Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
            ])
            .arg(of("user-data-dir", &self.folder.join("profile")))
            .args(options)
            .arg(format!("file://{}", page.display()))
            .output()
            .expect("chromium");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What pdfinfo says of the page on both papers, and its text on the first one.
    fn printed(&self, sheet: &Path) -> (String, String) {
        let pdf = self.folder.join("printed.pdf");
        let pages = ["letter", "A4"].map(|paper| {
            let page = self.folder.join(format!("{paper}.html"));
            let text = fs::read_to_string(sheet).expect("a sheet");
            let text = text.replace("@page {", &format!("@page {{ size: {paper};"));
            fs::write(&page, text).expect("a page for that paper");
            self.browse(
                &page,
                &["--no-pdf-header-footer", &of("print-to-pdf", &pdf)],
            );
            shown("pdfinfo", &[pdf.to_str().expect("a path")])
        });
        let text = shown(
            "pdftotext",
            &["-layout", pdf.to_str().expect("a path"), "-"],
        );
        (pages.concat(), text)
    }
}

fn of(option: &str, path: &Path) -> String {
    format!("--{option}={}", path.display())
}

fn read(picture: &Path) -> String {
    let text = shown(
        "zbarimg",
        &["--quiet", "--raw", picture.to_str().expect("a path")],
    );
    text.trim_end().to_owned()
}

fn key_in(uri: &str) -> String {
    let (_, rest) = uri.split_once("secret=").expect("a key");
    rest.split('&').next().unwrap_or_default().to_owned()
}

fn shown(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.expect("a program of packaging/need");
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}
