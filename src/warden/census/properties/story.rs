//! What happens in a random story.

use proptest::prelude::*;

use super::{REGIONS, STEPS, WORKFLOWS};

#[derive(Clone, Debug)]
pub enum Step {
    /// Milliseconds pass.
    Pass(u64),
    /// A change is written, and is visible to queries from now on.
    Write(Write),
    /// The oldest written changes are fed to the census.
    Tell(usize),
    /// The timer loop takes a step.
    Watch,
    /// The alerting loop takes a step.
    Alert,
    /// The wall clock is set to this many milliseconds ahead of the steady clock.
    SetWall(i64),
    /// The loop that follows the wall clock takes a step.
    Follow,
}

/// Milliseconds from now, on the steady or the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    pub ahead: i64,
    pub on_wall: bool,
}

/// Items are chosen by index.
#[derive(Clone, Debug)]
pub enum Write {
    Create {
        workflow: usize,
        step: Option<usize>,
        deadline: Due,
    },
    Patch {
        item: usize,
        deadline: Due,
    },
    Label {
        item: usize,
        region: usize,
    },
    Fail {
        item: usize,
    },
    Hold {
        item: usize,
        millis: i64,
    },
    Release {
        item: usize,
    },
    /// It is interrupted for so long; without an end if that is `None`.
    Interrupt {
        item: usize,
        millis: Option<i64>,
    },
    /// It is not to be claimed for so long.
    Wait {
        item: usize,
        millis: i64,
    },
    Close {
        item: usize,
    },
    Forget {
        item: usize,
    },
}

fn writes() -> impl Strategy<Value = Write> {
    let ahead = || prop_oneof![2 => -20_i64..=0, 5 => 1_i64..200, 1 => 1_i64..1_000_000];
    let deadline = || (ahead(), any::<bool>()).prop_map(|(ahead, on_wall)| Due { ahead, on_wall });
    let item = || 0_usize..20;
    prop_oneof![
        6 => (0..WORKFLOWS.len(), prop::option::of(0..STEPS.len()), deadline())
            .prop_map(|(workflow, step, deadline)| Write::Create { workflow, step, deadline }),
        4 => (item(), deadline()).prop_map(|(item, deadline)| Write::Patch { item, deadline }),
        2 => (item(), 0..REGIONS.len()).prop_map(|(item, region)| Write::Label { item, region }),
        1 => item().prop_map(|item| Write::Fail { item }),
        3 => (item(), 1_i64..200).prop_map(|(item, millis)| Write::Hold { item, millis }),
        1 => item().prop_map(|item| Write::Release { item }),
        1 => (item(), prop::option::of(1_i64..200))
            .prop_map(|(item, millis)| Write::Interrupt { item, millis }),
        1 => (item(), -50_i64..200).prop_map(|(item, millis)| Write::Wait { item, millis }),
        3 => item().prop_map(|item| Write::Close { item }),
        2 => item().prop_map(|item| Write::Forget { item }),
    ]
}

pub fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u64..100).prop_map(Step::Pass),
        8 => writes().prop_map(Step::Write),
        4 => (1_usize..5).prop_map(Step::Tell),
        8 => Just(Step::Watch),
        3 => Just(Step::Alert),
        1 => (-300_i64..300).prop_map(Step::SetWall),
        3 => Just(Step::Follow),
    ]
}
