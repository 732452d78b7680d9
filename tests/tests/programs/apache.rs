//! Apache with mod_authnz_pam: a verifier, and a form that is filled in once a session.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Once, OnceLock};

use tests::{program, world};

use crate::scene::{PASSWORD, Running, Scene, free_port, holds_with_one_field};

/// The recipe of the guide.
pub const RECIPE: &str = "Apache";

#[test]
fn apache_lets_in_with_password_and_code_once_a_session() {
    let _place = world::enter();
    world::group("web-users", &["alice", "bob"]);
    lay_out_pages();
    let scene = Scene::of(RECIPE);
    let server = Server::start();
    let visit = |user: &str, typed: &str| server.visitor().logs_in(user, typed);
    holds_with_one_field(&scene, visit);
    let told = scene.system.daemon.audited("alice", "accepted");
    assert!(told.contains(" service=web ") && told.contains(" role=verifier "));
}

#[test]
fn a_session_of_apache_goes_on_without_another_code_and_opens_for_no_other_browser() {
    let _place = world::enter();
    world::group("web-users", &["bob"]);
    lay_out_pages();
    let scene = Scene::of(RECIPE);
    let server = Server::start();
    let bob = scene.enroll("bob");
    let (here, there) = (server.visitor(), server.visitor());
    assert!(here.logs_in("bob", &format!("{PASSWORD}{}", bob.code())));
    assert!(here.sees_the_page() && here.sees_the_page());
    assert!(!there.sees_the_page());
    assert_eq!(scene.system.daemon.logged(&["event=verify "]).len(), 1);
}

/// Lays out the pages in a folder of the world, in place of the machine's.
fn lay_out_pages() {
    static LAID_OUT: Once = Once::new();
    LAID_OUT.call_once(|| {
        world::change_the_machine();
        let mount = ["-t", "tmpfs", "-o", "mode=755", "pages", "/var/www"];
        world::run("mount", &mount);
        fs::create_dir_all("/var/www/html/private").expect("a folder");
        fs::write("/var/www/html/private/index.html", PAGE).expect("a page");
    });
}

/// Gives Debian's own site a port of the tests, and users their passwords there.
fn port() -> u16 {
    static PORT: OnceLock<u16> = OnceLock::new();
    *PORT.get_or_init(|| {
        let port = free_port();
        let listen = format!("Listen 127.0.0.1:{port}\n");
        replace("/etc/apache2/ports.conf", "Listen 80\n", &listen);
        let site = "/etc/apache2/sites-available/000-default.conf";
        replace(site, "*:80", &format!("*:{port}"));
        for user in ["alice", "bob"] {
            let mut htpasswd = Command::new("htpasswd");
            htpasswd.args(["-i", "-B", "/etc/apache2/web-passwords", user]);
            let done = program::with_input(htpasswd, PASSWORD);
            assert!(done.status.success(), "{done:?}");
        }
        port
    })
}

struct Server {
    program: Running,
    port: u16,
}

impl Server {
    /// Starts it as its unit does.
    fn start() -> Self {
        let port = port();
        let mut apachectl = Command::new("apachectl");
        apachectl.arg("-DFOREGROUND");
        Self {
            program: Running::listening(apachectl, port),
            port,
        }
    }

    fn visitor(&self) -> Visitor {
        Visitor {
            cookies: world::scratch_folder("browser").join("cookies"),
            site: format!("http://localhost:{}", self.port),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its children end with it.
        let _ = Command::new("apachectl").arg("stop").output();
        let _ = self.program.child.wait();
    }
}

/// A browser.
struct Visitor {
    cookies: PathBuf,
    site: String,
}

impl Visitor {
    /// Sends the form, and looks whether the page is there then.
    fn logs_in(&self, user: &str, typed: &str) -> bool {
        let form = self.gets("/private/");
        assert!(form.contains("name=\"httpd_password\""), "{form}");
        let mut curl = self.curl("/login");
        for field in [("httpd_username", user), ("httpd_password", typed)] {
            curl.args(["--data-urlencode", &format!("{}={}", field.0, field.1)]);
        }
        assert!(curl.output().expect("curl").status.success());
        self.sees_the_page()
    }

    fn sees_the_page(&self) -> bool {
        self.gets("/private/") == PAGE
    }

    fn gets(&self, path: &str) -> String {
        let got = self.curl(path).output().expect("curl");
        assert!(got.status.success(), "{got:?}");
        String::from_utf8_lossy(&got.stdout).into_owned()
    }

    fn curl(&self, path: &str) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--ipv4", "--noproxy", "*"]);
        curl.arg("--cookie").arg(&self.cookies);
        curl.arg("--cookie-jar").arg(&self.cookies);
        curl.arg(format!("{}{path}", self.site));
        curl
    }
}

fn replace(path: &str, old: &str, new: &str) {
    let text = fs::read_to_string(path).expect("a file of Debian's");
    assert!(text.contains(old), "{path}: {text}");
    fs::write(path, text.replace(old, new)).expect("the file");
}

const PAGE: &str = "the page behind the login\n";
