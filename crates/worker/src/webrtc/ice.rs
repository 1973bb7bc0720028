//! Sets up libnice, which looks for the way to a viewer: what it does by default and must not is switched off.

use std::net::IpAddr;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

/// Sets `webrtcbin`'s agent up, before anything is negotiated.
pub(crate) fn set_up(webrtcbin: &gst::Element, addresses: &[IpAddr], (first, last): (u16, u16)) -> Result<(), String> {
    let ice = agent_of(webrtcbin)?;
    // It would ask routers to open ports, which takes 200 ms and two threads for each viewer, and is not ours to decide.
    // By TCP it would take a second port for each viewer.
    let agent: glib::Object = property(&ice, "agent")?;
    for (name, value) in [("upnp", false), ("ice-tcp", false), ("keepalive-conncheck", true)] {
        if agent.find_property(name).is_none() {
            return Err(format!("this version of libnice has no property {name}"));
        }
        agent.set_property(name, value);
    }
    for (name, port) in [("min-rtp-port", first), ("max-rtp-port", last)] {
        if ice.find_property(name).is_none() {
            return Err(format!("this version of GStreamer's agent has no property {name}"));
        }
        ice.set_property(name, u32::from(port));
    }
    // Without any it would take all of the machine's, those of containers and tunnels included, and none of loopback.
    for address in addresses {
        if !ice.emit_by_name::<bool>("add-local-ip-address", &[&address.to_string()]) {
            return Err(format!("the address {address} can't be listened on"));
        }
    }
    Ok(())
}

/// `webrtcbin` holds its agent by a floating reference (GStreamer 1.22), which whoever first asks for the agent takes over. It would be gone
/// with us while `webrtcbin` still uses it, so the reference is left to it.
fn agent_of(webrtcbin: &gst::Element) -> Result<glib::Object, String> {
    let ice: glib::Object = property(webrtcbin, "ice-agent")?;
    if ice.ref_count() == 1 {
        std::mem::forget(ice.clone());
    }
    Ok(ice)
}

fn property(object: &impl IsA<glib::Object>, name: &str) -> Result<glib::Object, String> {
    object.find_property(name).ok_or_else(|| format!("there is no property {name}"))?;
    object.property::<Option<glib::Object>>(name).ok_or_else(|| format!("there is no {name}"))
}
