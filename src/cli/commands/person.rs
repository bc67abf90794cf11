//! Who does something, for what is remembered with a name.

use clap::Args;

/// Who does it.
#[derive(Args)]
pub struct Person {
    /// Who does it [default: the token's name]
    #[arg(long, visible_alias = "author", value_name = "NAME", env = "USER")]
    by: Option<String>,
}

impl Person {
    /// Their name; nothing leaves it to the daemon, which knows whose token it is.
    pub fn name(self) -> Option<String> {
        // An empty variable is how scripts say that there is none.
        self.by.filter(|name| !name.is_empty())
    }
}
