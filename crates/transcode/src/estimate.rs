//! What one more rendition would take of this machine: asked before it is wanted.

use std::collections::BTreeMap;

use weir_model::{Rendition, StreamId};

use crate::encoding_resources::EncodingResources;
use crate::plan::{MachineView, SourceShape, plan};
use crate::stage::NVENC;
use crate::wants::Wants;

/// A difference of less than this is a matter of rounding.
const CORES_MIN: f64 = 0.005;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Cores on top of what the stream's other renditions take; 0 where one of those is the same.
    pub cores: f64,
    /// Whether so many cores are free now.
    pub fits: bool,
}

impl EncodingResources {
    /// Estimates one more rendition. None until the encoders have been proven, which happens when something is wanted for the first time.
    pub fn estimate(
        &self,
        stream: StreamId,
        source: &SourceShape,
        wants: &Wants,
        more: &Rendition,
    ) -> Option<Estimate> {
        let abilities = self.known_abilities()?;
        let seen = self.devices_seen();
        let card = seen.as_ref().and_then(|(_, seen)| weir_gpu::least_loaded(&seen.devices));
        let machine = MachineView {
            abilities: &abilities,
            encoders: self.encoders(),
            avoided: BTreeMap::new(),
            // The cost is asked for here; whether it is free is compared afterwards.
            cores_free: f64::INFINITY,
            devices: card.map(|card| (NVENC.to_owned(), card.index)).into_iter().collect(),
            running: &[],
        };
        Some(estimated(source, wants, more, &machine, self.cores_free_for(stream)))
    }
}

/// `machine` must have cores without end: the cost is compared with `cores_free` here.
pub(crate) fn estimated(
    source: &SourceShape,
    wants: &Wants,
    more: &Rendition,
    machine: &MachineView<'_>,
    cores_free: f64,
) -> Estimate {
    let with: Vec<Rendition> = wants.renditions.iter().chain([more]).cloned().collect();
    let before = plan(source, &wants.renditions, wants.terms(), machine);
    let after = plan(source, &with, wants.terms(), machine);
    let cores = (after.cores - before.cores).max(0.0);
    let is_refused = after.refused.iter().any(|refused| refused.name == more.name);
    Estimate { cores, fits: !is_refused && (cores < CORES_MIN || after.cores <= cores_free) }
}
