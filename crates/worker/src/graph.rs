//! The stream's graph: makes what runs match the plan, one branch at a time.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use weir_media::{MediaKind, MediaTime};
use weir_pipeline::{Encoders, Logo, OutputId, TrackConfig, WorkerFault, WorkerFrame, WorkerPlan};

use crate::branch::Branch;
use crate::element::BuildFault;
use crate::outbox::Outbox;
use crate::overlay::LogoSlot;
use crate::source::Source;
use crate::tone::ToneMapper;

/// What encoders hold is out in milliseconds; one that hangs must not hold up the end of the others.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// There are one picture and as many sounds as the server takes of a source, and some room.
const SOURCES_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Graph {
    pipeline: gst::Pipeline,
    encoders: Encoders,
    outbox: Outbox,
    resume_after: Option<MediaTime>,
    plan: WorkerPlan,
    logo: LogoSlot,
    tones: ToneMapper,
    /// The sources by their track numbers.
    sources: BTreeMap<u32, Source>,
    branches: BTreeMap<OutputId, Branch>,
}

fn fault(output: Option<OutputId>) -> impl FnOnce(BuildFault) -> WorkerFault {
    move |fault| WorkerFault { output, message: fault.0 }
}

impl Graph {
    pub(crate) fn new(
        encoders: Encoders,
        outbox: Outbox,
        resume_after: Option<MediaTime>,
    ) -> Result<Self, WorkerFault> {
        let pipeline = gst::Pipeline::with_name("weir");
        let playing = pipeline.set_state(gst::State::Playing).map_err(BuildFault::from);
        playing.map_err(fault(None))?;
        Ok(Self {
            pipeline,
            encoders,
            outbox,
            resume_after,
            plan: WorkerPlan::default(),
            logo: LogoSlot::default(),
            tones: ToneMapper::default(),
            sources: BTreeMap::new(),
            branches: BTreeMap::new(),
        })
    }

    pub(crate) fn pipeline(&self) -> &gst::Pipeline {
        &self.pipeline
    }

    /// Follows a plan: what it no longer has ends, what is new begins, and the rest is not touched.
    pub(crate) fn run(&mut self, plan: WorkerPlan) -> Result<(), WorkerFault> {
        let stays = |id: &OutputId| {
            let video = |plan: &WorkerPlan| plan.video.iter().find(|output| output.id == *id).cloned();
            let audio = |plan: &WorkerPlan| plan.audio.iter().find(|output| output.id == *id).cloned();
            (video(&plan), audio(&plan)) == (video(&self.plan), audio(&self.plan))
        };
        let leaving: Vec<OutputId> = self.branches.keys().filter(|id| !stays(id)).copied().collect();
        for id in leaving {
            if let Some(branch) = self.branches.remove(&id) {
                branch.end(&self.pipeline);
                self.outbox.forget(id);
            }
        }
        self.plan = plan;
        self.add_branches()
    }

    /// Lays a logo over the next pictures of every rendition. One that can't be read is no reason to end; there is no logo then.
    pub(crate) fn logo(&self, logo: Option<&Logo>) {
        if let Err(fault) = self.logo.put(logo) {
            let _ = writeln!(io::stderr(), "weir-worker: the logo {fault}");
        }
    }

    /// Makes the next picture of an output a keyframe. An output that has just ended needs none.
    pub(crate) fn keyframe(&self, output: OutputId) {
        if let Some(branch) = self.branches.get(&output) {
            branch.want_keyframe();
        }
    }

    /// Takes a track of the source that begins, or goes on with another configuration.
    pub(crate) fn track(&mut self, track: &TrackConfig) -> Result<(), WorkerFault> {
        if let Some(source) = self.sources.get(&track.track) {
            // Another codec needs other elements. The server starts another worker for it, so this should not happen.
            return match source.reconfigure(track).map_err(fault(None))? {
                true => Ok(()),
                false => Err(WorkerFault { output: None, message: "the source's codec changed".to_owned() }),
            };
        }
        if self.sources.len() >= SOURCES_MAX {
            return Err(WorkerFault {
                output: None,
                message: "the source has more tracks than a worker takes".to_owned(),
            });
        }
        let built = Source::build(&self.pipeline, track, self.plan.decode_in, self.resume_after, &self.outbox);
        self.sources.insert(track.track, built.map_err(fault(None))?);
        self.add_branches()
    }

    pub(crate) fn frame(&mut self, frame: WorkerFrame) -> Result<(), WorkerFault> {
        let Some(source) = self.sources.get_mut(&frame.track) else { return Ok(()) };
        source.push(frame, &self.outbox).map_err(|error| WorkerFault {
            output: None,
            message: format!("the source's frames are not taken any more: {error}"),
        })
    }

    /// The source has ended: what decoders and encoders still hold goes out before this returns.
    pub(crate) fn end(&mut self) {
        let (ended, ends) = mpsc::channel();
        let mut awaited = 0;
        // A parser that has seen no frame would report an error at its end.
        for (track, source) in self.sources.iter().filter(|(_, source)| source.is_fed()) {
            for (id, branch) in &self.branches {
                let sound = self.plan.audio.iter().find(|output| output.id == *id);
                if sound.map_or(source.kind() == MediaKind::Video, |output| output.source == *track) {
                    branch.tell_end(&ended);
                    awaited += 1;
                }
            }
            source.end();
        }
        let until = Instant::now() + END_PATIENCE;
        for _ in 0..awaited {
            let left = until.saturating_duration_since(Instant::now());
            if ends.recv_timeout(left).is_err() {
                return;
            }
        }
    }

    /// Begins the outputs of the plan whose source is there and that do not run yet.
    fn add_branches(&mut self) -> Result<(), WorkerFault> {
        self.add_video()?;
        self.add_audio()
    }

    fn add_video(&mut self) -> Result<(), WorkerFault> {
        let Some(source) = self.sources.values().find(|source| source.kind() == MediaKind::Video) else {
            return Ok(());
        };
        for output in &self.plan.video {
            if self.branches.contains_key(&output.id) {
                continue;
            }
            let unknown = || BuildFault(format!("there is no encoder {}", output.encoder));
            let file = self.encoders.get(&output.encoder).ok_or_else(unknown).map_err(fault(Some(output.id)))?;
            let built = Branch::video(
                &self.pipeline,
                output,
                file,
                self.plan.decode_in,
                (&self.logo, &self.tones),
                &self.outbox,
            );
            let mut branch = built.map_err(fault(Some(output.id)))?;
            branch.link(&source.tee).map_err(fault(Some(output.id)))?;
            self.branches.insert(output.id, branch);
        }
        Ok(())
    }

    fn add_audio(&mut self) -> Result<(), WorkerFault> {
        for output in &self.plan.audio {
            let Some(source) = self.sources.get(&output.source) else { continue };
            if self.branches.contains_key(&output.id) {
                continue;
            }
            let built = Branch::audio(&self.pipeline, output, &self.outbox);
            let mut branch = built.map_err(fault(Some(output.id)))?;
            branch.link(&source.tee).map_err(fault(Some(output.id)))?;
            self.branches.insert(output.id, branch);
        }
        Ok(())
    }
}
