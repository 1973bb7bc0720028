//! Makes a recipe's steps into elements, and elements into a chain.

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

use crate::recipe::{Setting, Step};

/// Why a graph can't be built, in words for people.
#[derive(Debug)]
pub(crate) struct BuildFault(pub(crate) String);

impl From<glib::BoolError> for BuildFault {
    fn from(error: glib::BoolError) -> Self {
        Self(error.to_string())
    }
}

impl From<gst::StateChangeError> for BuildFault {
    fn from(error: gst::StateChangeError) -> Self {
        Self(error.to_string())
    }
}

/// The first factory of a step that exists here.
pub(crate) fn find(step: &Step) -> Result<gst::ElementFactory, BuildFault> {
    let there = step.factories.iter().find_map(|name| gst::ElementFactory::find(name));
    there.ok_or_else(|| BuildFault(format!("the GStreamer element {} is not installed", step.factories.join(" or "))))
}

/// Makes the element of a step; `prefix` names the branch or source it belongs to.
pub(crate) fn make(step: &Step, prefix: &str) -> Result<gst::Element, BuildFault> {
    let element = find(step)?.create().name(format!("{prefix}-{}", step.role)).build()?;
    for setting in &step.set {
        set(&element, setting)?;
    }
    Ok(element)
}

/// Sets a property. It is looked up first, because setting one that does not exist would end the process.
fn set(element: &gst::Element, setting: &Setting) -> Result<(), BuildFault> {
    let Setting { property, value, optional } = setting;
    let Some(spec) = element.find_property(property) else {
        let name = element.factory().map(|factory| factory.name().to_string()).unwrap_or_default();
        return if *optional { Ok(()) } else { Err(BuildFault(format!("{name} has no property {property}"))) };
    };
    let value = glib::Value::deserialize_with_pspec(value, &spec)
        .map_err(|_| BuildFault(format!("{property} can't be {value:?} here")))?;
    element.set_property_from_value(property, &value);
    Ok(())
}

/// A pad that elements of this kind always have.
pub(crate) fn pad(element: &gst::Element, name: &str) -> Result<gst::Pad, BuildFault> {
    element.static_pad(name).ok_or_else(|| BuildFault(format!("{} has no pad {name}", element.name())))
}

/// Adds elements to the pipeline and links them in their order.
pub(crate) fn chain(pipeline: &gst::Pipeline, elements: &[gst::Element]) -> Result<(), BuildFault> {
    pipeline.add_many(elements)?;
    gst::Element::link_many(elements)?;
    Ok(())
}

/// Starts elements, the last one first, so that each is ready when something comes.
pub(crate) fn start(elements: &[gst::Element]) -> Result<(), BuildFault> {
    for element in elements.iter().rev() {
        element.sync_state_with_parent()?;
    }
    Ok(())
}

/// Stops elements and takes them out of the pipeline.
pub(crate) fn remove(pipeline: &gst::Pipeline, elements: &[gst::Element]) {
    for element in elements {
        // Nobody else stops the sink of a branch that was unlinked.
        let _ = element.set_state(gst::State::Null);
        let _ = pipeline.remove(element);
    }
}
