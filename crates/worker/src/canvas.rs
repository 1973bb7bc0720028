//! How the source's pictures lie on a rendition's canvas, whatever size and shape they come in.

use std::str::FromStr;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video::VideoInfo;
use weir_model::Fit;
use weir_pipeline::{Memory, VideoOutput};

use crate::element::{BuildFault, pad};
use crate::recipe;

/// Sizes are rounded to even numbers: 854x480 is not exactly 16:9. Only a larger difference than this is another shape.
const SHAPE_TOLERANCE: f64 = 0.01;

/// Keeps the canvas when the source's pictures change. Colours are passed on as they are; pictures of another shape get bars or are cut
/// before the scaler sees them, and pictures of the canvas's shape pass the cutter untouched.
pub(crate) fn follow_source(
    crop: Option<&gst::Element>,
    scale: &gst::Element,
    size: &gst::Element,
    output: &VideoOutput,
    memory: Memory,
) -> Result<(), BuildFault> {
    let (scaler, size, output) = (scale.clone(), size.clone(), output.clone());
    let cutter = crop.cloned();
    let first = crop.unwrap_or(scale);
    pad(first, "sink")?.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view())
            && let Ok(source) = VideoInfo::from_caps(caps.caps())
        {
            let text = recipe::size_caps(&output, memory, &colorimetry(caps.caps(), &source));
            if let Ok(caps) = gst::Caps::from_str(&text) {
                size.set_property("caps", caps);
            }
            if let Some(cutter) = &cutter {
                let (sides, ends) = cut(&source, &output);
                for (property, pixels) in [("left", sides), ("right", sides), ("top", ends), ("bottom", ends)] {
                    cutter.set_property(property, pixels);
                }
            } else if scaler.find_property("add-borders").is_some() {
                scaler.set_property("add-borders", output.picture.fit == Fit::Pad && is_other_shape(&source, &output));
            }
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// The colorimetry as the caps state it, or as GStreamer understands caps that do not state it.
fn colorimetry(caps: &gst::CapsRef, source: &VideoInfo) -> String {
    let field = |name| caps.structure(0).and_then(|caps| caps.get::<String>(name).ok());
    let colorimetry = field("colorimetry").unwrap_or_else(|| source.colorimetry().to_string());
    // The type is given, because a colorimetry without a name is written in numbers with colons, which would be read as something else.
    let mut text = if colorimetry.is_empty() { String::new() } else { format!(",colorimetry=(string){colorimetry}") };
    // VideoInfo may have another chroma site than the caps that it was made from.
    if let Some(chroma_site) = field("chroma-site") {
        text.push_str(&format!(",chroma-site=(string){chroma_site}"));
    }
    text
}

/// How many times wider the source's shape is than the canvas's, as it is seen: its pixels need not be square.
fn shape_ratio(source: &VideoInfo, output: &VideoOutput) -> f64 {
    let par = source.par();
    let pixel = f64::from(par.numer()) / f64::from(par.denom().max(1));
    let source = f64::from(source.width()) * pixel / f64::from(source.height().max(1));
    let canvas = f64::from(output.picture.width) / f64::from(output.picture.height.max(1));
    source / canvas
}

fn is_other_shape(source: &VideoInfo, output: &VideoOutput) -> bool {
    (shape_ratio(source, output) - 1.0).abs() > SHAPE_TOLERANCE
}

/// The columns to cut off at either side of the source, and the rows at top and bottom, so that the middle has the canvas's shape.
fn cut(source: &VideoInfo, output: &VideoOutput) -> (i32, i32) {
    let ratio = shape_ratio(source, output);
    if !is_other_shape(source, output) || !ratio.is_finite() || ratio <= 0.0 {
        return (0, 0);
    }
    // The cut is even, because chroma has half the lines, and leaves two lines of the flattest picture.
    let beyond = |length: u32, stays: f64| {
        let each = (f64::from(length) * (1.0 - stays) / 4.0).floor() as i32 * 2;
        each.min(length.saturating_sub(2).cast_signed() / 4 * 2)
    };
    match ratio > 1.0 {
        true => (beyond(source.width(), 1.0 / ratio), 0),
        false => (0, beyond(source.height(), ratio)),
    }
}

#[cfg(test)]
mod tests {
    use gstreamer_video::VideoFormat;

    use super::*;
    use crate::recipe_tests::output_of_size;

    fn source((width, height): (u32, u32), par: (i32, i32)) -> VideoInfo {
        gst::init().unwrap();
        let info = VideoInfo::builder(VideoFormat::I420, width, height);
        info.par(gst::Fraction::new(par.0, par.1)).build().unwrap()
    }

    #[test]
    fn bars_and_cuts_are_for_other_shapes_only() {
        const SQUARE: (i32, i32) = (1, 1);
        for (size, par, canvas, expected) in [
            ((1280, 720), SQUARE, (854, 480), None),
            ((1280, 720), SQUARE, (426, 240), None),
            ((640, 480), SQUARE, (640, 360), Some((0, 60))),
            ((720, 576), (64, 45), (1280, 720), None),
            ((720, 576), (16, 11), (1280, 720), Some((8, 0))),
            ((720, 576), (16, 15), (1280, 720), Some((0, 72))),
            ((1280, 720), SQUARE, (1080, 1920), Some((436, 0))),
            ((1920, 1080), SQUARE, (360, 640), Some((656, 0))),
            ((1080, 1920), SQUARE, (1280, 720), Some((0, 656))),
            ((8192, 2), SQUARE, (16, 8192), Some((4094, 0))),
            ((2, 2), SQUARE, (16, 8192), Some((0, 0))),
        ] {
            let (source, output) = (source(size, par), output_of_size(canvas.0, canvas.1));
            assert_eq!(is_other_shape(&source, &output), expected.is_some(), "{size:?} on {canvas:?}");
            assert_eq!(cut(&source, &output), expected.unwrap_or_default(), "{size:?} on {canvas:?}");
        }
    }
}
