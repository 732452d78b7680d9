//! YAML as a tree whose keys know their lines, within limits: depth, and what aliases expand to.

use std::cell::Cell;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, EnumAccess, Error, MapAccess, SeqAccess, Visitor};
use serde_yaml::Deserializer as Yaml;

use super::Finding;

/// A value, as far as a desired state has such values.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    /// A number, which no value of a desired state is.
    Number,
    Text(String),
    List(Vec<Node>),
    /// Keys may be repeated here.
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) name: String,
    /// Counted from 1.
    pub(super) line: u64,
}

/// Reads the text of one document.
pub(super) fn read(text: &str) -> Result<Node, Finding> {
    if deepest(text) > MAX_DEPTH {
        return Err(Finding::of_the_file(TOO_DEEP));
    }
    let nodes = Cell::new(0);
    let tree = Tree { nodes: &nodes }.deserialize(Yaml::from_str(text));
    tree.map_err(|error| Finding::of_the_file(&error.to_string()))
}

/// How many brackets are open at once. The parser takes quadratic time over nested ones, so they are
/// counted before it begins.
fn deepest(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'{' | b'[' => depth = depth.saturating_add(1),
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = depth.max(deepest);
    }
    deepest
}

/// A value, with all that is in it.
#[derive(Clone, Copy)]
struct Tree<'a> {
    /// Keys and values so far.
    nodes: &'a Cell<usize>,
}

impl Tree<'_> {
    /// An alias of a list of aliases, and so on, would fill the memory ("a billion laughs").
    fn count<E: Error>(self) -> Result<(), E> {
        let nodes = self.nodes.get().saturating_add(1);
        self.nodes.set(nodes);
        if nodes > MAX_NODES {
            return Err(E::custom(TOO_MUCH));
        }
        Ok(())
    }

    fn counted<E: Error>(self, node: Node) -> Result<Node, E> {
        self.count().map(|()| node)
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    /// An empty file.
    fn visit_none<E: Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        self.counted(Node::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        self.counted(Node::Bool(value))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Node, E> {
        self.counted(Node::Number)
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Node, E> {
        self.counted(Node::Number)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Node, E> {
        self.counted(Node::Number)
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Node, E> {
        self.counted(Node::Number)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Node, E> {
        self.counted(Node::Number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
        self.counted(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        self.counted(Node::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key_seed(KeyWithLine)? {
            self.count()?;
            entries.push((key, map.next_value_seed(self)?));
        }
        self.counted(Node::Map(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Node, A::Error> {
        Err(A::Error::custom(TAG))
    }
}

/// Reads a key. The parser tells the line of an error, and of nothing else: the key is therefore
/// taken by a visitor that fails.
struct KeyWithLine;

impl<'de> DeserializeSeed<'de> for KeyWithLine {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        let mut taken = None;
        let failed = deserializer.deserialize_str(Taker { taken: &mut taken });
        let (Some(name), Err(error)) = (taken, &failed) else {
            return failed.and(Err(D::Error::custom("a key is missing")));
        };
        let line = line_of(&error.to_string());
        Ok(Key { name, line })
    }
}

struct Taker<'a> {
    taken: &'a mut Option<String>,
}

impl Visitor<'_> for Taker<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        *self.taken = Some(key.to_owned());
        Err(E::custom("a key"))
    }
}

/// The line in the parser's words: `… at line 3 column 5`. The first line has none if the key is its
/// first character.
fn line_of(error: &str) -> u64 {
    let place = error.rsplit_once(" at line ").map(|(_, place)| place);
    let line = place.and_then(|place| place.split(' ').next());
    line.and_then(|line| line.parse().ok()).unwrap_or(1)
}

/// Brackets that may be open at once.
const MAX_DEPTH: usize = 64;
/// Keys and values of a file, with its aliases expanded.
const MAX_NODES: usize = 2_000_000;

const TOO_DEEP: &str = "the file has too many brackets in brackets: check that it is the right one";
const TOO_MUCH: &str =
    "the file has too many keys and values, or its aliases expand to too many: split it";
const TAG: &str = "a value has a YAML tag, such as '!foo': leave the tag out";

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(String, u64)> {
        let Node::Map(entries) = read(text).unwrap() else {
            panic!("a map");
        };
        entries
            .into_iter()
            .map(|(key, _)| (key.name, key.line))
            .collect()
    }

    #[test]
    fn every_key_knows_its_line() {
        let own = |keys: &[(&str, u64)]| -> Vec<(String, u64)> {
            keys.iter()
                .map(|(key, line)| ((*key).to_owned(), *line))
                .collect()
        };
        assert_eq!(
            lines(
                "a: 1\n# a comment\n'b':\n  c: 2\n\n  d: [x,\n   y]\n? e at line 9 column\n: 3\n7: x\n"
            ),
            own(&[("a", 1), ("b", 3), ("e at line 9 column", 8), ("7", 10)])
        );
        assert_eq!(
            lines("{a: {}, b: ~,\n c: x}"),
            own(&[("a", 1), ("b", 1), ("c", 2)])
        );
    }

    #[test]
    fn values_are_what_yaml_says_and_tags_are_refused() {
        let Node::Map(entries) =
            read("a: ~\nb: true\nc: 7\nd: 1.5\ne: 2026-12-01\nf: [x]\ng: {}").unwrap()
        else {
            panic!("a map");
        };
        let values: Vec<Node> = entries.into_iter().map(|(_, value)| value).collect();
        assert_eq!(
            values,
            [
                Node::Null,
                Node::Bool(true),
                Node::Number,
                Node::Number,
                Node::Text("2026-12-01".to_owned()),
                Node::List(vec![Node::Text("x".to_owned())]),
                Node::Map(vec![])
            ]
        );
        for (text, why) in [
            ("a: !foo x", "tag"),
            ("[a: b", " at line "),
            ("a: 1\n---\nb: 2", "more than one document"),
            ("? [a]\n: b", "a key"),
            ("a: *b", "unknown anchor"),
        ] {
            let finding = read(text).unwrap_err().to_string();
            assert!(finding.contains(why), "{text}: {finding}");
        }
    }

    #[test]
    fn brackets_in_brackets_and_aliases_of_aliases_end_early() {
        let nested = ["[", "{a: "].map(|bracket| bracket.repeat(1_000_000));
        for text in nested {
            let finding = read(&text).unwrap_err().to_string();
            assert!(finding.contains("brackets"), "{finding}");
        }
        let steps = read(&"- ".repeat(100_000)).unwrap_err().to_string();
        assert!(steps.contains("recursion limit"), "{steps}");
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let aliases = vec![format!("*a{}", n - 1); 9].join(", ");
            laughs += &format!("a{n}: &a{n} [{aliases}]\n");
        }
        let finding = read(&laughs).unwrap_err().to_string();
        assert!(
            finding.contains("too many") || finding.contains("repetition limit"),
            "{finding}"
        );
    }
}
