//! Metrics of the runs of workflows.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::model::WorkflowName;
use crate::warden::runs::RunFigures;

pub fn encode(
    workflows: &[(WorkflowName, RunFigures)],
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    let mut gauge = |name, help, value: fn(&RunFigures) -> u64| -> Result<(), fmt::Error> {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (workflow, figures) in workflows {
            let labels = [("workflow", workflow.as_str())];
            ConstGauge::new(value(figures)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    };
    gauge("runs_open", "Runs that have begun and not ended", |figures| figures.open)?;
    gauge("runs_waiting", "Runs that wait for their requirements", |figures| figures.waiting)?;
    gauge("runs_failed_in_a_row", "Failed runs since the last success or release", |figures| {
        figures.failures
    })?;
    gauge("runs_on_hold", "Whether new runs are held until a person releases the workflow", |figures| {
        u64::from(figures.is_on_hold)
    })?;
    let help = "The end of the latest successful run, in Unix time; 0 if there was none";
    let unit = Some(&Unit::Seconds);
    let name = "runs_last_success_timestamp";
    let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    for (workflow, figures) in workflows {
        let labels = [("workflow", workflow.as_str())];
        let at = figures.last_success_at.map_or(0.0, |at| at.as_millis() as f64 / 1000.0);
        ConstGauge::new(at).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
