-- WebRTC was on by default and is in no version yet: what is stored is what runs.
update stream set webrtc = false;
