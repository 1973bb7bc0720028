//! High dynamic range brought into what every screen shows: ten bits of PQ or HLG in BT.2020 become eight bits of BT.709.
//!
//! GStreamer converts between these only by relabelling or by their plain formulas, where a picture's white is a hundredth of PQ's
//! and comes out all but black. So it is done here, before the scaler: luma by a curve, and chroma with that curve's slope, which is
//! what mapping red, green and blue by the curve does to all but strong colours, at the cost of one look-up a pixel.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video::{VideoColorRange, VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo, VideoTransferFunction};

use crate::element::{BuildFault, pad};

/// The diffuse white of an HDR picture (BT.2408). It comes out at nine
/// tenths of the signal; brighter light lies between there and full white.
const WHITE_NITS: f64 = 203.0;
/// Most HDR is graded for this peak; brighter light becomes white.
const PEAK_NITS: f64 = 1000.0;
/// Up to this share of diffuse white, pictures stay as bright as they are.
const KNEE: f64 = 0.5;
/// The gamma of a screen (BT.1886).
const DISPLAY_GAMMA: f64 = 2.4;
/// Near black PQ has such fine steps that the curve is steep there, and would tear apart the noise in colours.
const SLOPE_MAX: f64 = 4.0;

/// The branches of a source are at most their queues apart.
const KEPT_PICTURES: usize = 6;

/// Mapped pictures, shared by all branches of a source: the branch that comes first does the work.
#[derive(Clone, Debug, Default)]
pub(crate) struct ToneMapper {
    kept: Arc<Mutex<VecDeque<(gst::ClockTime, gst::Buffer)>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transfer {
    Pq,
    Hlg,
}

/// The format that comes in, and the one that goes out.
struct Mapping {
    source: VideoInfo,
    mapped: VideoInfo,
    curve: &'static Curve,
}

/// Maps the pictures that come out of an element where they are HDR; everything else passes.
pub(crate) fn map_tones(element: &gst::Element, mapper: &ToneMapper) -> Result<(), BuildFault> {
    let (mapper, mapping) = (mapper.clone(), Mutex::new(None::<Mapping>));
    let mask = gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::BUFFER;
    pad(element, "src")?.add_probe(mask, move |_, probe| {
        let mut mapping = mapping.lock().unwrap_or_else(PoisonError::into_inner);
        let caps = probe.event().and_then(|event| match event.view() {
            gst::EventView::Caps(caps) => Some(caps.caps_owned()),
            _ => None,
        });
        if let Some(caps) = caps {
            *mapping = Mapping::of(&caps);
            if let Some(mapping) = &*mapping
                && let Ok(caps) = mapped_caps(&caps, mapping)
                && let Some(gst::PadProbeData::Event(event)) = &mut probe.data
            {
                *event = gst::event::Caps::builder(&caps).seqnum(event.seqnum()).build();
            }
        } else if let Some(mapping) = &*mapping
            && let Some(gst::PadProbeData::Buffer(buffer)) = &mut probe.data
        {
            match mapper.mapped(buffer, mapping) {
                Some(mapped) => *buffer = mapped,
                // The picture could not even be read.
                None => return gst::PadProbeReturn::Drop,
            }
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

impl Mapping {
    /// The mapping for these caps; None where nothing is to be mapped.
    fn of(caps: &gst::CapsRef) -> Option<Self> {
        let source = VideoInfo::from_caps(caps).ok()?;
        let colorimetry = source.colorimetry();
        let transfer = match colorimetry.transfer() {
            VideoTransferFunction::Smpte2084 => Transfer::Pq,
            VideoTransferFunction::AribStdB67 => Transfer::Hlg,
            _ => return None,
        };
        let mapped =
            VideoInfo::builder(mapped_format(source.format())?, source.width(), source.height()).build().ok()?;
        let curve = Curve::of(transfer, colorimetry.range() == VideoColorRange::Range0_255);
        Some(Self { source, mapped, curve })
    }
}

/// The eight-bit format for the ten-bit one that decoders give in system memory.
fn mapped_format(format: VideoFormat) -> Option<VideoFormat> {
    match format {
        VideoFormat::I42010le => Some(VideoFormat::I420),
        VideoFormat::I42210le => Some(VideoFormat::Y42b),
        VideoFormat::Y44410le => Some(VideoFormat::Y444),
        _ => None,
    }
}

fn mapped_caps(caps: &gst::Caps, mapping: &Mapping) -> Result<gst::Caps, BuildFault> {
    let mut caps = caps.copy();
    let structure = caps.get_mut().and_then(|caps| caps.structure_mut(0));
    let structure = structure.ok_or_else(|| BuildFault("caps without a structure".to_owned()))?;
    structure.set("format", mapping.mapped.format().to_str().as_str());
    structure.set("colorimetry", "bt709");
    // These fields describe the picture before it was mapped.
    structure.remove_fields(["mastering-display-info", "content-light-level"]);
    Ok(caps)
}

impl ToneMapper {
    fn mapped(&self, buffer: &gst::Buffer, mapping: &Mapping) -> Option<gst::Buffer> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = buffer.pts()?;
        if let Some((_, mapped)) = kept.iter().find(|(of, mapped)| *of == at && mapped.size() == mapping.mapped.size())
        {
            return Some(mapped.clone());
        }
        let mut mapped = gst::Buffer::with_size(mapping.mapped.size()).ok()?;
        {
            let mapped = mapped.get_mut()?;
            buffer.copy_into(mapped, gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS, ..).ok()?;
            let source = VideoFrameRef::from_buffer_ref_readable(buffer, &mapping.source).ok()?;
            let mut target = VideoFrameRef::from_buffer_ref_writable(mapped, &mapping.mapped).ok()?;
            mapping.curve.map(&source, &mut target)?;
        }
        kept.push_back((at, mapped.clone()));
        if kept.len() > KEPT_PICTURES {
            kept.pop_front();
        }
        Some(mapped)
    }
}

/// For each ten-bit luma, the eight-bit luma, and how much of the chroma stays, in 2^-12.
struct Curve {
    luma: Vec<u8>,
    chroma: Vec<i32>,
}

/// How BT.2020's chroma becomes BT.709's, in 2^-12: to differences from luma, by BT.2087's matrix, and back.
const CB_OF: [i32; 2] = chroma_row(0);
const CR_OF: [i32; 2] = chroma_row(1);

const fn chroma_row(row: usize) -> [i32; 2] {
    // This holds around grey. It does not change luma, since both triples are shares of the same light.
    let (red, blue) = (1.4746, 1.8814);
    let (green_of_red, green_of_blue) = (-0.2627 / 0.6780 * red, -0.0593 / 0.6780 * blue);
    let (of_cb, of_cr) = match row {
        0 => (1.1187 * blue - 0.1006 * green_of_blue, -0.0182 * red - 0.1006 * green_of_red),
        _ => (-0.5876 * green_of_blue - 0.0728 * blue, 1.6605 * red - 0.5876 * green_of_red),
    };
    let scale = if row == 0 { 4096.0 / 1.8556 } else { 4096.0 / 1.5748 };
    [(of_cb * scale) as i32, (of_cr * scale) as i32]
}

/// Where black is, how far white is from it, and how far apart the strongest chroma of both signs are.
#[derive(Clone, Copy)]
struct Range {
    black: f64,
    white: f64,
    chroma: f64,
}

const LIMITED: Range = Range { black: 64.0, white: 876.0, chroma: 896.0 };
const FULL: Range = Range { black: 0.0, white: 1023.0, chroma: 1023.0 };
/// The outcome always has limited range.
const CHROMA_OF_EIGHT_BITS: f64 = 224.0;

impl Curve {
    /// The curve, made when the first picture of its kind comes.
    fn of(transfer: Transfer, full: bool) -> &'static Self {
        static CURVES: [OnceLock<Curve>; 4] = [const { OnceLock::new() }; 4];
        let place = &CURVES[usize::from(transfer == Transfer::Hlg) * 2 + usize::from(full)];
        place.get_or_init(|| Self::new(transfer, if full { FULL } else { LIMITED }))
    }

    fn new(transfer: Transfer, range: Range) -> Self {
        let signal = |code: f64| ((code - range.black) / range.white).clamp(0.0, 1.0);
        let mapped = |code: f64| (share_of_white(nits(transfer, signal(code)))).powf(1.0 / DISPLAY_GAMMA);
        let luma = |code: u16| (16.0 + 219.0 * mapped(f64::from(code))).round() as u8;
        // How much faster the new signal rises than the old one at this code.
        let slope = |code: u16| {
            let code = f64::from(code).max(range.black);
            let (below, above) = (code - 8.0, code + 8.0);
            let rise = mapped(above) - mapped(below);
            (rise / (signal(above) - signal(below)).max(1e-6)).clamp(0.0, SLOPE_MAX)
        };
        // The factor is about a quarter, because eight bits have a quarter of the steps of ten bits.
        let steps = CHROMA_OF_EIGHT_BITS / range.chroma;
        let chroma = |code: u16| (slope(code) * steps * 4096.0).round() as i32;
        Self { luma: (0..1024).map(luma).collect(), chroma: (0..1024).map(chroma).collect() }
    }

    fn map(
        &self,
        source: &VideoFrameRef<&gst::BufferRef>,
        target: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Option<()> {
        let stride =
            |frame: &VideoFrameRef<_>, plane: usize| frame.plane_stride().get(plane).map(|stride| *stride as usize);
        let samples = |data: &[u8], at: usize| {
            data.get(at..at + 2).map(|pair| usize::from(u16::from_le_bytes([pair[0], pair[1]]) & 1023))
        };
        let (width, height) = (source.width() as usize, source.height() as usize);
        let (from, to) = (stride(source, 0)?, target.plane_stride()[0] as usize);
        let luma = source.plane_data(0).ok()?;
        let lines = luma.chunks(from).zip(target.plane_data_mut(0).ok()?.chunks_mut(to)).take(height);
        for (line, mapped) in lines {
            let (pairs, _) = line.as_chunks::<2>();
            for (pair, mapped) in pairs.iter().zip(mapped).take(width) {
                *mapped = self.luma[usize::from(u16::from_le_bytes(*pair) & 1023)];
            }
        }
        let (from_chroma, to_chroma) = (stride(source, 1)?, target.plane_stride()[1] as usize);
        let format = source.format_info();
        let (across, down) = (*format.w_sub().get(1)?, *format.h_sub().get(1)?);
        let (columns, rows) = (width.div_ceil(1 << across), height.div_ceil(1 << down));
        for (plane, [of_cb, of_cr]) in [(1, CB_OF), (2, CR_OF)] {
            let (blue, red) = (source.plane_data(1).ok()?, source.plane_data(2).ok()?);
            let data = target.plane_data_mut(plane).ok()?;
            for row in 0..rows {
                for column in 0..columns {
                    let at = row * from_chroma + column * 2;
                    let (cb, cr) = (samples(blue, at)? as i32 - 512, samples(red, at)? as i32 - 512);
                    let keep = self.chroma[samples(luma, (row << down) * from + (column << across) * 2)?];
                    let turned = (of_cb * cb + of_cr * cr) >> 12;
                    *data.get_mut(row * to_chroma + column)? = (128 + ((turned * keep) >> 12)).clamp(16, 240) as u8;
                }
            }
        }
        Some(())
    }
}

/// The light of a signal from 0 to 1.
fn nits(transfer: Transfer, signal: f64) -> f64 {
    match transfer {
        // SMPTE ST 2084.
        Transfer::Pq => {
            let (m1, m2) = (2610.0 / 16384.0, 2523.0 / 32.0);
            let (c1, c2, c3) = (3424.0 / 4096.0, 2413.0 / 128.0, 2392.0 / 128.0);
            let power = signal.powf(1.0 / m2);
            10_000.0 * ((power - c1).max(0.0) / (c2 - c3 * power)).powf(1.0 / m1)
        }
        // BT.2100, on a screen of the usual peak.
        Transfer::Hlg => {
            let (a, b, c) = (0.178_832_77, 0.284_668_92, 0.559_910_73);
            let scene = if signal <= 0.5 { signal * signal / 3.0 } else { (((signal - c) / a).exp() + b) / 12.0 };
            PEAK_NITS * scene.powf(1.2)
        }
    }
}

/// The same light up to the knee, then bent so that the peak is white (Möbius' transformation, as video tools have it).
fn share_of_white(nits: f64) -> f64 {
    let (light, peak) = (nits / WHITE_NITS, PEAK_NITS / WHITE_NITS);
    if light <= KNEE {
        return light;
    }
    let a = -KNEE * KNEE * (peak - 1.0) / (KNEE * KNEE - 2.0 * KNEE + peak);
    let b = (KNEE * KNEE - 2.0 * KNEE * peak + peak) / (peak - 1.0);
    let scale = (b * b + 2.0 * b * KNEE + KNEE * KNEE) / (b - a);
    (scale * (light + a) / (light + b)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greys_come_out_where_screens_show_them() {
        // By PQ's formula codes up to 64 are black; 723 is the peak, and it and all above it become white.
        let pq = Curve::of(Transfer::Pq, false);
        for (code, expected) in [(0, 16), (64, 16), (940, 235), (723, 235)] {
            assert_eq!(pq.luma[code], expected, "{code}");
        }
        // 26 nits are 18 % of diffuse white's light and a little more; the other code is 203 nits.
        let (grey, white) = (pq.luma[64 + 326], pq.luma[64 + 509]);
        assert!((105..=120).contains(&grey) && (205..=220).contains(&white), "{grey} {white}");
        let hlg = Curve::of(Transfer::Hlg, false);
        assert!((205..=220).contains(&hlg.luma[64 + 657]), "75 % is HLG's diffuse white: {}", hlg.luma[64 + 657]);
        let [full_pq, full_hlg] = [Transfer::Pq, Transfer::Hlg].map(|transfer| Curve::of(transfer, true));
        // The same light must come out of both ranges' codes: black, 203 nits and the peak.
        for (code, as_limited) in [(0, 64), (594, 573), (770, 723), (1023, 940)] {
            assert!(full_pq.luma[code].abs_diff(pq.luma[as_limited]) <= 1, "{code}");
        }
        assert!((205..=220).contains(&full_hlg.luma[767]), "{}", full_hlg.luma[767]);
        // Chroma reaches 448 in limited range and 511.5 in full range.
        let (limited, full) = (f64::from(pq.chroma[573]) * 448.0, f64::from(full_pq.chroma[594]) * 511.5);
        assert!((limited / full - 1.0).abs() < 0.02, "{limited} {full}");
        for curve in [pq, hlg, full_pq, full_hlg] {
            assert!(curve.luma.is_sorted());
            let step = curve.luma.windows(2).map(|pair| pair[1] - pair[0]).max();
            assert!(step <= Some(2), "no bands: {step:?}");
        }
    }

    #[test]
    fn colours_are_turned_to_the_narrower_primaries() {
        // By BT.2087's matrix on full colours of BT.2020 each grows, since BT.709's primaries are weaker.
        assert!(CB_OF[0] > 4096 && CR_OF[1] > 4096, "{CB_OF:?} {CR_OF:?}");
        assert!(CB_OF[1].abs() < 400 && CR_OF[0].abs() < 1200, "{CB_OF:?} {CR_OF:?}");
    }
}
