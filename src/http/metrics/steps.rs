//! Metrics of the steps of workflows.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Unit;

use crate::model::WorkflowName;
use crate::warden::{DURATION_BOUNDS, StepTallies, StepTally};

/// An empty label `step` stands for the steps that are counted together.
pub fn encode(
    workflows: &[(WorkflowName, StepTallies)],
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    let all = || {
        workflows.iter().flat_map(|(workflow, steps)| {
            steps.iter().map(move |(step, tally)| (workflow.as_str(), step.as_deref().unwrap_or(""), tally))
        })
    };
    let help = "What happened at steps: entered, done, skipped, interrupted, failed, retried, lost (leases)";
    let mut family = encoder.encode_descriptor("step_events", help, None, MetricType::Counter)?;
    for (workflow, step, tally) in all() {
        let StepTally { entered, done, skipped, interrupted, failed, retries, losses, durations: _ } = *tally;
        let counts = [
            ("entered", entered),
            ("done", done),
            ("skipped", skipped),
            ("interrupted", interrupted),
            ("failed", failed),
            ("retried", retries),
            ("lost", losses),
        ];
        for (event, count) in counts {
            let labels = [("workflow", workflow), ("step", step), ("event", event)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
    }
    let help = "From coming to a step until the end of a run";
    let unit = Some(&Unit::Seconds);
    let mut family = encoder.encode_descriptor("step_duration", help, unit, MetricType::Histogram)?;
    for (workflow, step, tally) in all() {
        let bounds = DURATION_BOUNDS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(tally.durations.counts).collect();
        let labels = [("workflow", workflow), ("step", step)];
        let mut metric = family.encode_family(&labels)?;
        let (sum, count) = (tally.durations.sum.as_secs_f64(), tally.durations.count());
        metric.encode_histogram::<[(&str, &str); 0]>(sum, count, &buckets, None)?;
    }
    Ok(())
}
