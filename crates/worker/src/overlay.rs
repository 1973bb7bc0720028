//! Lays a logo over pictures in system memory right before they are encoded: it is scaled once for its canvas, then blended.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video::{VideoColorMatrix, VideoColorRange, VideoFrameExt, VideoFrameRef, VideoInfo};
use weir_model::{Corner, LogoPlacement};
use weir_pipeline::{Logo, LogoFault, LogoPixels};

use crate::element::{BuildFault, pad};

/// The logo in force, shared by all branches: one that is put here lies over their next pictures.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogoSlot {
    current: Arc<Mutex<Option<Arc<Placed>>>>,
}

/// A logo with its place. It is compared by its address, as each one that is put into the slot is another.
#[derive(Debug)]
struct Placed {
    placement: LogoPlacement,
    pixels: LogoPixels,
}

impl LogoSlot {
    pub(crate) fn put(&self, logo: Option<&Logo>) -> Result<(), LogoFault> {
        let placed = logo.map(|logo| {
            let pixels = LogoPixels::decode(&logo.png)?;
            Ok(Arc::new(Placed { placement: logo.placement, pixels }))
        });
        let placed = placed.transpose();
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = placed.as_ref().ok().cloned().flatten();
        placed.map(drop)
    }

    fn current(&self) -> Option<Arc<Placed>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Lays the logo of the slot over the pictures that go into `encode`. Without a logo nothing is touched or copied.
pub(crate) fn lay_over(encode: &gst::Element, slot: &LogoSlot) -> Result<(), BuildFault> {
    let slot = slot.clone();
    let mut info: Option<VideoInfo> = None;
    let mut ready: Option<(Arc<Placed>, Stamp)> = None;
    let state = Mutex::new(move |probe: &mut gst::PadProbeInfo<'_>| {
        if let Some(gst::EventView::Caps(caps)) = probe.event().map(|event| event.view()) {
            info = VideoInfo::from_caps(caps.caps()).ok();
            ready = None;
            return;
        }
        let Some(info) = &info else { return };
        let Some(placed) = slot.current() else {
            ready = None;
            return;
        };
        if !ready.as_ref().is_some_and(|(of, _)| Arc::ptr_eq(of, &placed)) {
            let stamp = Stamp::new(&placed.pixels, placed.placement, info);
            ready = Some((placed, stamp));
        }
        if let (Some(buffer), Some((_, stamp))) = (probe.buffer_mut(), &ready) {
            // The picture is copied where others hold it, too: branches that do not scale share the decoder's.
            if let Ok(mut frame) = VideoFrameRef::from_buffer_ref_writable(buffer.make_mut(), info) {
                stamp.lay_over(&mut frame);
            }
        }
    });
    let mask = gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::BUFFER;
    pad(encode, "sink")?.add_probe(mask, move |_, probe| {
        if let Ok(mut step) = state.lock() {
            step(probe);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// A logo made ready for one canvas: for each plane, what stays of the picture and what is added to it.
#[derive(Debug)]
pub(crate) struct Stamp {
    planes: Vec<Plane>,
}

#[derive(Debug)]
struct Plane {
    x: usize,
    y: usize,
    width: usize,
    /// The samples, line by line.
    samples: Vec<Sample>,
}

/// The new value is the picture's value times `keep`, plus `add`, both in 256ths.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    keep: u16,
    add: u32,
}

impl Stamp {
    pub(crate) fn new(pixels: &LogoPixels, placement: LogoPlacement, info: &VideoInfo) -> Self {
        let (x, y, width, height) = place(pixels, placement, (info.width() as usize, info.height() as usize));
        let scaled = scaled(pixels, width, height);
        let colours = Colours::of(info);
        let mut planes = Vec::new();
        for component in 0..info.n_components().min(3) {
            // Chroma has half the samples, so each stands for four pixels.
            let (by_x, by_y) = (
                1_usize << info.format_info().w_sub()[component as usize],
                1_usize << info.format_info().h_sub()[component as usize],
            );
            let (columns, lines) = (width / by_x, height / by_y);
            let mut samples = Vec::with_capacity(columns * lines);
            for line in 0..lines {
                for column in 0..columns {
                    let mut sum = [0.0_f32; 4];
                    for (dy, dx) in (0..by_y).flat_map(|dy| (0..by_x).map(move |dx| (dy, dx))) {
                        let at = (line * by_y + dy) * width + column * by_x + dx;
                        sum.iter_mut().zip(scaled[at]).for_each(|(sum, value)| *sum += value);
                    }
                    let mean = sum.map(|sum| sum / (by_x * by_y) as f32 * placement.opacity as f32);
                    samples.push(Sample {
                        keep: 256 - (mean[3] * 256.0).round() as u16,
                        add: (colours.component(component as usize, mean) * 256.0).round().max(0.0) as u32,
                    });
                }
            }
            planes.push(Plane { x: x / by_x, y: y / by_y, width: columns, samples });
        }
        Self { planes }
    }

    pub(crate) fn lay_over(&self, frame: &mut VideoFrameRef<&mut gst::BufferRef>) {
        for (component, plane) in self.planes.iter().enumerate() {
            let component = component as u32;
            let shift = frame.format_info().shift()[component as usize];
            let wide = frame.comp_depth(component) > 8;
            let (stride, step) = (frame.comp_stride(component) as usize, frame.comp_pstride(component) as usize);
            // GStreamer 1.22 says of P010 that the second chroma sample is one byte behind the first; it is two.
            let offset = frame.comp_poffset(component).next_multiple_of(if wide { 2 } else { 1 });
            let first = offset as usize + plane.y * stride + plane.x * step;
            let Ok(data) = frame.plane_data_mut(frame.comp_plane(component)) else { return };
            for (line, samples) in plane.samples.chunks_exact(plane.width.max(1)).enumerate() {
                let Some(pixels) = data.get_mut(first + line * stride..) else { return };
                for (pixel, sample) in pixels.chunks_mut(step).zip(samples) {
                    let blend = |value: u32| (value * u32::from(sample.keep) + sample.add + 128) >> 8;
                    match pixel {
                        [low, high, ..] if wide => {
                            let value = u16::from_le_bytes([*low, *high]) >> shift;
                            let value = (blend(u32::from(value)) as u16) << shift;
                            [*low, *high] = value.to_le_bytes();
                        }
                        [value, ..] => *value = blend(u32::from(*value)) as u8,
                        [] => {}
                    }
                }
            }
        }
    }
}

/// Where the logo lies on the canvas and how large it is, in even numbers, as
/// chroma has half the samples. It is made smaller where it would not fit.
pub(crate) fn place(
    pixels: &LogoPixels,
    placement: LogoPlacement,
    (canvas_width, canvas_height): (usize, usize),
) -> (usize, usize, usize, usize) {
    let (across, down) = (canvas_width as f64, canvas_height as f64);
    let margin = across * placement.margin_percent / 100.0;
    let room = |length: f64| (length - 2.0 * margin).max(2.0);
    let shape = f64::from(pixels.height.max(1)) / f64::from(pixels.width.max(1));
    let width = (across * placement.width_percent / 100.0).min(room(across)).min(room(down) / shape);
    let even = |length: f64, most: usize| ((length / 2.0).round() as usize * 2).clamp(2, (most / 2 * 2).max(2));
    let (width, height) = (even(width, canvas_width), even(width * shape, canvas_height));
    let near = (margin / 2.0).round() as usize * 2;
    let far = |canvas: usize, length: usize| canvas.saturating_sub(near + length) / 2 * 2;
    let (left, top) = (near.min(canvas_width.saturating_sub(width)), near.min(canvas_height.saturating_sub(height)));
    let (right, bottom) = (far(canvas_width, width), far(canvas_height, height));
    let (x, y) = match placement.position {
        Corner::TopLeft => (left, top),
        Corner::TopRight => (right, top),
        Corner::BottomLeft => (left, bottom),
        Corner::BottomRight => (right, bottom),
    };
    (x / 2 * 2, y / 2 * 2, width, height)
}

/// Scales the logo to premultiplied red, green, blue and alpha from 0 to 1. Each new pixel is the mean of those that it covers: a logo is
/// usually larger than it is shown, and taking single pixels would alias.
fn scaled(pixels: &LogoPixels, width: usize, height: usize) -> Vec<[f32; 4]> {
    let (source_width, source_height) = (pixels.width as usize, pixels.height as usize);
    let columns: Vec<_> = (0..width).map(|at| covered(at, width, source_width)).collect();
    let mut scaled = Vec::with_capacity(width * height);
    for line in 0..height {
        let mut sums = vec![[0.0_f32; 4]; width];
        for (source_line, share) in covered(line, height, source_height) {
            let row = pixels.rgba.chunks_exact(source_width.max(1) * 4).nth(source_line).unwrap_or_default();
            for (sum, covers) in sums.iter_mut().zip(&columns) {
                for (column, weight) in covers {
                    let Some([red, green, blue, alpha]) = row.as_chunks::<4>().0.get(*column) else { continue };
                    let alpha = f32::from(*alpha) / 255.0;
                    let weight = weight * share;
                    for (sum, value) in sum.iter_mut().zip([red, green, blue]) {
                        *sum += weight * alpha * f32::from(*value) / 255.0;
                    }
                    sum[3] += weight * alpha;
                }
            }
        }
        scaled.extend(sums);
    }
    scaled
}

/// The source's samples under the new sample `at` of `length`, with the share that each has in it.
fn covered(at: usize, length: usize, source: usize) -> Vec<(usize, f32)> {
    let scale = source as f64 / length.max(1) as f64;
    let (start, end) = (at as f64 * scale, (at + 1) as f64 * scale);
    let last = source.saturating_sub(1);
    let samples = (start as usize).min(last)..=((end - 1e-9) as usize).min(last);
    let share = |sample: usize| ((end.min((sample + 1) as f64) - start.max(sample as f64)) / scale) as f32;
    samples.map(|sample| (sample, share(sample).max(0.0))).collect()
}

/// How red, green and blue become luma and chroma in a picture's own colours.
struct Colours {
    red: f32,
    blue: f32,
    /// For luma: where black is, and how far white is from it. For chroma: half of its range, around its middle.
    black: f32,
    white: f32,
    middle: f32,
    reach: f32,
}

impl Colours {
    fn of(info: &VideoInfo) -> Self {
        let (red, blue) = match info.colorimetry().matrix() {
            VideoColorMatrix::Bt601 | VideoColorMatrix::Fcc => (0.299, 0.114),
            VideoColorMatrix::Bt2020 => (0.2627, 0.0593),
            _ => (0.2126, 0.0722),
        };
        let depth = info.format_info().depth().first().copied().unwrap_or(8);
        let scale = f32::from(1_u16 << (depth.clamp(8, 15) - 8));
        let (black, white, reach) = match info.colorimetry().range() {
            VideoColorRange::Range0_255 => (0.0, 255.0, 127.0),
            _ => (16.0, 219.0, 112.0),
        };
        Self { red, blue, black: black * scale, white: white * scale, middle: 128.0 * scale, reach: reach * scale }
    }

    /// The value of a component for premultiplied red, green, blue and alpha; it is premultiplied, too.
    fn component(&self, component: usize, [red, green, blue, alpha]: [f32; 4]) -> f32 {
        let luma = self.red * red + (1.0 - self.red - self.blue) * green + self.blue * blue;
        match component {
            0 => self.black * alpha + self.white * luma,
            1 => self.middle * alpha + self.reach * (blue - luma) / (1.0 - self.blue),
            _ => self.middle * alpha + self.reach * (red - luma) / (1.0 - self.red),
        }
    }
}
