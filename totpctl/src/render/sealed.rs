//! Prints what is sealed under which application secret, for `status`.

use common::wire::protocol::SealedUnder;
use common::wire::text::printable;

/// One line for each tag.
pub(super) fn lines(sealed: &[SealedUnder]) -> Vec<String> {
    sealed.iter().map(line).collect()
}

fn line(under: &SealedUnder) -> String {
    let tag = printable(&under.tag);
    let default = if under.default { " (default)" } else { "" };
    format!("{tag}{default}: {}{}", held(under), next_step(under))
}

fn held(under: &SealedUnder) -> String {
    match (under.records, under.decoys) {
        (0, 0) => "nothing".to_owned(),
        (0, 1) => "1 decoy".to_owned(),
        (0, decoys) => format!("{decoys} decoys"),
        (1, _) => "1 record".to_owned(),
        (records, _) => format!("{records} records"),
    }
}

fn next_step(under: &SealedUnder) -> &'static str {
    let is_empty = under.records == 0 && under.decoys == 0;
    match under {
        SealedUnder { known: false, .. } if !is_empty => {
            "; its application secret is missing: put it back into the secrets file"
        }
        SealedUnder { default: true, .. } => "",
        SealedUnder { known: true, .. } if is_empty => "; its application secret can be taken away",
        _ => "; to seal them under the default tag: totpctl rotate",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tag_has_its_number_and_the_next_step() {
        let under = |default, known, records, decoys| SealedUnder {
            tag: "1".into(),
            default,
            known,
            records,
            macs: records,
            device_keys: records,
            code_keys: records,
            tombstones: 0,
            decoys,
        };
        let told = |under: SealedUnder| lines(&[under]).concat();
        assert_eq!(told(under(true, true, 12, 3)), "1 (default): 12 records");
        assert_eq!(told(under(true, true, 0, 0)), "1 (default): nothing");
        let missing = "; its application secret is missing: put it back into the secrets file";
        assert_eq!(
            told(under(false, false, 1, 0)),
            format!("1: 1 record{missing}")
        );
        let rotate = "; to seal them under the default tag: totpctl rotate";
        assert_eq!(
            told(under(false, true, 0, 1)),
            format!("1: 1 decoy{rotate}")
        );
        let done = "1: nothing; its application secret can be taken away";
        assert_eq!(told(under(false, true, 0, 0)), done);
    }
}
