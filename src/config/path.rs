//! Paths of settings: `workflows.uploads.receivers[1]`.

use std::fmt;

/// The path from the root to a setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingPath(Vec<Segment>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    Key(String),
    /// From 0.
    Index(usize),
}

impl SettingPath {
    /// Parses a dotted path. No key in it may contain a dot.
    pub fn dotted(name: &str) -> Self {
        Self(name.split('.').map(|key| Segment::Key(key.to_owned())).collect())
    }

    /// The path of `key` in the table at this path.
    pub fn key(&self, key: &str) -> Self {
        self.then(Segment::Key(key.to_owned()))
    }

    /// The path of the element at `index` (from 0) in the list at this path.
    pub fn index(&self, index: usize) -> Self {
        self.then(Segment::Index(index))
    }

    /// From the root down.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Whether it is empty: the path of the whole configuration.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    fn then(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }
}

impl From<&serde_path_to_error::Path> for SettingPath {
    /// Omits what is no place in the text, such as the variant of an enumeration.
    fn from(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment as Tracked;
        let segment = |tracked: &Tracked| match tracked {
            Tracked::Map { key } => Some(Segment::Key(key.clone())),
            Tracked::Seq { index } => Some(Segment::Index(*index)),
            Tracked::Enum { .. } | Tracked::Unknown => None,
        };
        Self(path.iter().filter_map(segment).collect())
    }
}

impl fmt::Display for SettingPath {
    /// As in TOML: keys are quoted if necessary.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(formatter, "[{index}]")?,
                Segment::Key(key) => {
                    let dot = if position > 0 { "." } else { "" };
                    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                    if !key.is_empty() && key.chars().all(bare) {
                        write!(formatter, "{dot}{key}")?;
                    } else {
                        write!(formatter, "{dot}{key:?}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_toml_writes_it() {
        let path = SettingPath::dotted("workflows").key("a.b").key("steps").index(2).key("name");
        assert_eq!(path.to_string(), r#"workflows."a.b".steps[2].name"#);
    }
}
