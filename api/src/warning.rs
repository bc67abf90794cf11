//! The kinds of warnings: valid settings that are probably mistakes, mostly because nobody would be notified.

macro_rules! codes {
    ($($name:ident: $code:literal, $meaning:literal;)*) => {
        /// The kind of a warning. The words are stable: scripts use them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum WarningCode {
            $(#[doc = $meaning] $name,)*
        }

        impl WarningCode {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word on the wire.
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
    NoReceivers: "no-receivers", "there is no receiver, so nobody is notified";
    WorkflowTellsNobody: "workflow-tells-nobody", "a workflow has no receivers";
    ExpectationTellsNobody: "expectation-tells-nobody", "a workflow with `expect` has no receivers";
    DefaultTellsNobody: "default-tells-nobody", "workflows created on first use have no receivers";
    WorkflowUnheard: "workflow-unheard", "all receivers of a workflow accept only more severe incidents";
    ReceiverUnused: "receiver-unused", "no workflow uses a receiver";
    ReceiverDeaf: "receiver-deaf", "a receiver accepts only more severe incidents than its workflows have";
    AddressNotAllowed: "address-not-allowed", "an address is private, so calls to it are refused";
    TokenWithoutWorkflows: "token-without-workflows", "a token is limited to workflows that do not exist";
    WorkflowMisspelt: "workflow-misspelt", "a workflow created on first use has almost a configured name";
    WorkflowDefinedTwice: "workflow-defined-twice", "a file and a client define a workflow; the file wins";
    RequirementUnknown: "requirement-unknown", "a workflow requires runs of one that does not exist";
    AllSilenced: "all-silenced", "a silence applies to all workflows";
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
