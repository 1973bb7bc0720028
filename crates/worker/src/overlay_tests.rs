//! Logos on raw pictures: the place, the colours, what shines through, and that no other branch's picture is touched.

use gstreamer as gst;
use gstreamer_video::{VideoColorimetry, VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo};
use weir_model::{Corner, LogoPlacement};
use weir_pipeline::LogoPixels;

use crate::overlay::{Stamp, place};

const GREY: u8 = 128;

fn info(format: VideoFormat, (width, height): (u32, u32), colorimetry: &str) -> VideoInfo {
    gst::init().unwrap();
    let colorimetry: VideoColorimetry = colorimetry.parse().unwrap();
    VideoInfo::builder(format, width, height).colorimetry(&colorimetry).build().unwrap()
}

fn pixels(width: u32, height: u32, rgba: [u8; 4]) -> LogoPixels {
    LogoPixels { width, height, rgba: rgba.repeat((width * height) as usize) }
}

fn placed(position: Corner) -> LogoPlacement {
    LogoPlacement { position, width_percent: 25.0, margin_percent: 5.0, opacity: 1.0 }
}

/// The three values of a pixel.
fn pixel(buffer: &gst::BufferRef, info: &VideoInfo, (x, y): (usize, usize)) -> [u16; 3] {
    let frame = VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
    [0, 1, 2].map(|component| {
        let format = frame.format_info();
        let (x, y) = (x >> format.w_sub()[component as usize], y >> format.h_sub()[component as usize]);
        let wide = frame.comp_depth(component) > 8;
        let at = frame.comp_poffset(component).next_multiple_of(if wide { 2 } else { 1 }) as usize
            + y * frame.comp_stride(component) as usize
            + x * frame.comp_pstride(component) as usize;
        let data = frame.plane_data(frame.comp_plane(component)).unwrap();
        match wide {
            true => u16::from_le_bytes([data[at], data[at + 1]]) >> format.shift()[component as usize],
            false => u16::from(data[at]),
        }
    })
}

fn near(found: [u16; 3], expected: [u16; 3]) -> bool {
    found.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) <= 1)
}

#[test]
fn a_logo_lies_in_its_corner_in_the_colours_of_the_picture() {
    let canvas = (160, 90);
    let red = pixels(400, 200, [255, 0, 0, 255]);
    // The expected values are those that ffmpeg and others give for pure red.
    for (format, colorimetry, expected) in [
        (VideoFormat::I420, "bt709", [63, 102, 240]),
        (VideoFormat::Nv12, "bt709", [63, 102, 240]),
        (VideoFormat::I420, "bt601", [81, 90, 240]),
        (VideoFormat::I42010le, "bt709", [250, 409, 960]),
        (VideoFormat::P01010le, "bt709", [250, 409, 960]),
    ] {
        let info = info(format, canvas, colorimetry);
        let bytes = vec![GREY; info.size()];
        for (corner, inside, outside) in [
            (Corner::TopLeft, (10, 10), (6, 10)),
            (Corner::TopRight, (150, 10), (154, 10)),
            (Corner::BottomLeft, (46, 80), (50, 80)),
            (Corner::BottomRight, (112, 64), (110, 64)),
        ] {
            let mut buffer = gst::Buffer::from_mut_slice(bytes.clone());
            // Another branch holds the same memory.
            let other = buffer.copy();
            let before = pixel(&other, &info, inside);
            let stamp = Stamp::new(&red, placed(corner), &info);
            let mut frame = VideoFrameRef::from_buffer_ref_writable(buffer.make_mut(), &info).unwrap();
            stamp.lay_over(&mut frame);
            drop(frame);
            let (found, around) = (pixel(&buffer, &info, inside), pixel(&buffer, &info, outside));
            assert!(near(found, expected), "{format:?} {colorimetry} {corner:?}: {found:?}");
            assert_eq!(around, before, "{format:?} {corner:?}: what is beside it stays");
            assert_eq!(pixel(&other, &info, inside), before, "the other branch's picture stays");
        }
    }
}

#[test]
fn what_is_clear_shines_through() {
    let info = info(VideoFormat::I420, (160, 90), "bt709");
    let white = |alpha| pixels(40, 20, [255, 255, 255, alpha]);
    for (logo, opacity, luma) in
        [(white(255), 1.0, 235), (white(128), 1.0, 182), (white(255), 0.5, 182), (white(0), 1.0, 128)]
    {
        let stamp = Stamp::new(&logo, LogoPlacement { opacity, ..placed(Corner::TopLeft) }, &info);
        let mut buffer = gst::Buffer::from_mut_slice(vec![GREY; info.size()]);
        let mut frame = VideoFrameRef::from_buffer_ref_writable(buffer.get_mut().unwrap(), &info).unwrap();
        stamp.lay_over(&mut frame);
        drop(frame);
        let found = pixel(&buffer, &info, (20, 14));
        assert!(near(found, [luma, 128, 128]), "{opacity} of {logo:?}: {found:?}");
    }
}

#[test]
fn it_is_at_the_same_place_in_every_size_and_always_inside() {
    let logo = pixels(300, 100, [0; 4]);
    let at = |canvas, placement| place(&logo, placement, canvas);
    let right = LogoPlacement::default();
    assert_eq!(at((1280, 720), right), (1088, 38, 154, 52));
    assert_eq!(at((640, 360), right), (544, 20, 76, 26));
    assert_eq!(at((1080, 1920), right), (918, 32, 130, 44));
    for canvas in [(16, 16), (2, 2), (8192, 16), (16, 8192), (1280, 720)] {
        for position in Corner::ALL {
            for (width_percent, margin_percent) in [(1.0, 0.0), (100.0, 0.0), (100.0, 50.0), (1.0, 50.0), (50.0, 25.0)]
            {
                for logo in [&logo, &pixels(1, 2000, [0; 4]), &pixels(2000, 1, [0; 4])] {
                    let placement = LogoPlacement { position, width_percent, margin_percent, opacity: 1.0 };
                    let (x, y, width, height) = place(logo, placement, canvas);
                    let what = format!("{placement:?} on {canvas:?}: {x},{y} {width}x{height}");
                    assert!(x + width <= canvas.0 && y + height <= canvas.1 && width >= 2 && height >= 2, "{what}");
                    assert!([x, y, width, height].iter().all(|number| number % 2 == 0), "{what}");
                }
            }
        }
    }
}
