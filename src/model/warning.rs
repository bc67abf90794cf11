//! Warnings: valid settings that are probably mistakes, mostly because nobody would be notified.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub code: WarningCode,
    /// Where, what, and how to fix it, in one line.
    pub message: String,
}

macro_rules! codes {
    ($($name:ident: $code:literal, $meaning:literal;)*) => {
        /// The words are stable: scripts use them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum WarningCode {
            $(#[doc = $meaning] $name,)*
        }

        impl WarningCode {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// The general meaning, without the details.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => $meaning,)*
                }
            }
        }
    };
}

codes! {
    UnknownVariable: "unknown-variable", "an environment variable begins with WARDEN_ and sets nothing";
    NoReceivers: "no-receivers", "there is no receiver, so nobody is told of anything";
    WorkflowTellsNobody: "workflow-tells-nobody", "a workflow has no receivers";
    ExpectationTellsNobody: "expectation-tells-nobody", "a workflow with `expect` has no receivers";
    DefaultTellsNobody: "default-tells-nobody", "workflows that are made on first use have no receivers";
    WorkflowUnheard: "workflow-unheard", "all receivers of a workflow want to hear only of worse incidents";
    ReceiverUnused: "receiver-unused", "no workflow uses a receiver";
    ReceiverDeaf: "receiver-deaf", "a receiver wants to hear only of worse incidents than all that could \
    reach it";
    AddressNotAllowed: "address-not-allowed", "an address is a private one, and calls to it are refused";
    TokenWithoutWorkflows: "token-without-workflows", "a token is limited to workflows of which there are \
    none";
    WorkflowMisspelt: "workflow-misspelt", "a workflow made on first use is called nearly as a configured \
    one";
    AllSilenced: "all-silenced", "a silence holds for all workflows";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_codes_are_the_same_and_all_are_words() {
        let mut codes: Vec<&str> = WarningCode::ALL.iter().map(|code| code.as_str()).collect();
        assert!(codes.iter().all(|code| code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), WarningCode::ALL.len());
    }
}
