//! Sends raw pictures through a branch's scaling, and looks where they lie on the canvas as sources of other shapes follow one another.

use std::str::FromStr;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use gstreamer_video::{VideoFormat, VideoFrame, VideoFrameExt, VideoInfo};
use weir_model::Fit;
use weir_pipeline::{Encoders, Memory};

use crate::canvas::follow_source;
use crate::element::{chain, make, start};
use crate::recipe;
use crate::recipe_tests::output_of_size;

const CANVAS: (usize, usize) = (180, 320);

const INSIDE: u8 = 128;
/// The luma of a source's left eighth.
const LEFT: u8 = 60;
/// The luma of a source's upper eighth, which covers part of the left one.
const TOP: u8 = 200;
/// The luma of bars.
const BAR: u8 = 16;

type Source = ((usize, usize), (i32, i32));

fn marked((width, height): (usize, usize)) -> gst::Buffer {
    let info = VideoInfo::builder(VideoFormat::I420, width as u32, height as u32).build().unwrap();
    let mut picture = vec![INSIDE; info.size()];
    for (y, line) in picture.chunks_mut(info.stride()[0] as usize).take(height).enumerate() {
        for (x, pixel) in line.iter_mut().enumerate() {
            match (x < width / 8, y < height / 8) {
                (_, true) => *pixel = TOP,
                (true, false) => *pixel = LEFT,
                _ => {}
            }
        }
    }
    gst::Buffer::from_mut_slice(picture)
}

/// The luma of what comes of these sources, one picture of each.
fn on_canvas(fit: Fit, sources: &[Source]) -> Vec<Vec<u8>> {
    gst::init().unwrap();
    let mut output = output_of_size(CANVAS.0 as u32, CANVAS.1 as u32);
    output.picture.fit = fit;
    let encoders = Encoders::load().unwrap();
    let steps = recipe::video_branch(&output, encoders.get("x264").unwrap(), Memory::System);
    let steps = &steps[..=steps.iter().position(|step| step.role == "size").unwrap()];
    let pipeline = gst::Pipeline::new();
    let input = AppSrc::builder().format(gst::Format::Time).build();
    let sink = AppSink::builder().sync(false).build();
    let mut elements = vec![input.clone().upcast()];
    elements.extend(steps.iter().map(|step| make(step, "output1").unwrap()));
    elements.push(sink.clone().upcast());
    chain(&pipeline, &elements).unwrap();
    let role = |role| steps.iter().position(|step| step.role == role).map(|at| &elements[at + 1]);
    follow_source(role("crop"), role("scale").unwrap(), role("size").unwrap(), &output, Memory::System).unwrap();
    start(&elements).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let pictures = sources.iter().enumerate().map(|(number, (size, par))| {
        let (width, height) = size;
        let caps = format!(
            "video/x-raw,format=I420,width={width},height={height},framerate=30/1,pixel-aspect-ratio={}/{}",
            par.0, par.1
        );
        input.set_caps(Some(&gst::Caps::from_str(&caps).unwrap()));
        let mut buffer = marked(*size);
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(number as u64 * 40));
        input.push_buffer(buffer).unwrap();
        let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(10)).expect("a picture");
        let info = VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        assert_eq!((info.width() as usize, info.height() as usize), CANVAS, "{fit:?} of {size:?}");
        assert_eq!(info.par(), gst::Fraction::new(1, 1));
        let frame = VideoFrame::from_buffer_readable(sample.buffer_owned().unwrap(), &info).unwrap();
        let stride = frame.plane_stride()[0] as usize;
        frame.plane_data(0).unwrap().chunks(stride).flat_map(|line| line[..CANVAS.0].to_vec()).collect()
    });
    let pictures = pictures.collect();
    pipeline.set_state(gst::State::Null).unwrap();
    pictures
}

#[test]
fn every_shape_of_source_lies_as_asked() {
    let square = (1, 1);
    // The source of 90x320 is 9:16 in pixels that are twice as wide as high.
    let sources =
        [((640, 360), square), ((180, 320), square), ((640, 480), square), ((90, 320), (2, 1)), ((360, 360), square)];
    // Samples the middle of the left edge, and the middle of the upper edge.
    let edges = |fit| -> Vec<(u8, u8)> {
        let pictures = on_canvas(fit, &sources);
        let (width, height) = CANVAS;
        let middles: Vec<u8> = pictures.iter().map(|luma| luma[height / 2 * width + width / 2]).collect();
        assert_eq!(middles, [INSIDE; 5], "{fit:?}");
        pictures.iter().map(|luma| (luma[height / 2 * width + 2], luma[2 * width + width / 2])).collect()
    };
    assert_eq!(edges(Fit::Pad), [(LEFT, BAR), (LEFT, TOP), (LEFT, BAR), (LEFT, TOP), (LEFT, BAR)]);
    assert_eq!(edges(Fit::Crop), [(INSIDE, TOP), (LEFT, TOP), (INSIDE, TOP), (LEFT, TOP), (INSIDE, TOP)]);
    assert_eq!(edges(Fit::Stretch), [(LEFT, TOP); 5]);
}
