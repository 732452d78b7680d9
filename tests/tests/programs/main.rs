//! The guide's recipes for other people's programs, and its way to Prometheus, each with the real
//! program of Debian, the real module and the real daemon; Ansible with the role among the examples; and the printed
//! sheets in a browser.
//! `packaging/need test` installs the programs.

#![forbid(unsafe_code)]

mod ansible;
mod apache;
mod freeradius;
mod locker;
mod openvpn;
mod prometheus;
mod scene;
mod sheets;
mod vsftpd;

use tests::guide::GUIDE;

#[test]
fn every_recipe_of_the_chapter_is_played() {
    let (_, chapter) = GUIDE
        .split_once("\n## Recipes for other programs\n")
        .expect("the chapter");
    let chapter = chapter.split("\n## ").next().unwrap_or_default();
    let recipes = chapter.lines().filter_map(|line| line.strip_prefix("### "));
    assert_eq!(
        recipes.collect::<Vec<_>>(),
        [
            openvpn::RECIPE,
            freeradius::RECIPE,
            apache::RECIPE,
            vsftpd::RECIPE,
            locker::RECIPE,
        ]
    );
}
