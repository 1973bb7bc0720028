// This file asks the browser for a camera, a microphone or a screen, and says in words why it gives none.

import { t } from "../text";

export type Kind = "camera" | "screen";

/** What is asked for; a device may give less. */
export interface CaptureWish {
  kind: Kind;
  /** Empty: the browser's own choice. */
  camera: string;
  microphone: string;
  hasSound: boolean;
  /** Without echo, noise and changes of loudness: for voices, not for music. */
  isVoice: boolean;
  height: number;
  fps: number;
}

export interface Device {
  id: string;
  label: string;
}

/** Sizes of 16:9, and what they are mostly sent at. */
export const SIZES = [
  { height: 1080, kbps: 4_500 },
  { height: 720, kbps: 2_500 },
  { height: 480, kbps: 1_200 },
  { height: 360, kbps: 700 },
] as const;

/** Browsers give devices to pages that came over TLS or from the same machine. */
export function mayCapture(): boolean {
  return Boolean(navigator.mediaDevices?.getUserMedia);
}

/** Phones can't give their screen. */
export function mayCaptureScreen(): boolean {
  return mayCapture() && "getDisplayMedia" in navigator.mediaDevices;
}

export async function capture({ kind, camera, microphone, hasSound, isVoice, height, fps }: CaptureWish): Promise<MediaStream> {
  const size = { width: { ideal: widthOf(height) }, height: { ideal: height }, frameRate: { ideal: fps } };
  const voice = { echoCancellation: isVoice, noiseSuppression: isVoice, autoGainControl: isVoice };
  const devices = navigator.mediaDevices;
  if (kind === "screen") return devices.getDisplayMedia({ video: size, audio: hasSound });
  return devices.getUserMedia({
    video: { ...size, ...(camera ? { deviceId: { exact: camera } } : {}) },
    audio: hasSound && { ...voice, ...(microphone ? { deviceId: { exact: microphone } } : {}) },
  });
}

export function widthOf(height: number): number {
  return 2 * Math.round((height * 16) / 9 / 2);
}

/** Their names are told only once one of them is in use. */
export async function devicesOf(kind: "videoinput" | "audioinput"): Promise<Device[]> {
  const all = await navigator.mediaDevices.enumerateDevices();
  const found = all.filter((device) => device.kind === kind && device.deviceId);
  return found.map(({ deviceId, label }, at) => ({ id: deviceId, label: label || t.publish.device(at + 1) }));
}

/** Ends what is captured: the browser's sign that it looks goes off. */
export function release(media: MediaStream | undefined): void {
  media?.getTracks().forEach((track) => track.stop());
}

export function wordsOf(error: unknown): string {
  const name = error instanceof DOMException ? error.name : "";
  return t.publish.faults[name] ?? (error instanceof Error && error.message ? error.message : t.publish.noCapture);
}
