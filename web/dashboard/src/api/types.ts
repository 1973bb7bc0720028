// The API's nouns under the names that the pages use. Everything comes from the server's own description.

import type { components } from "./schema.gen";

type Schemas = components["schemas"];

export type Role = Schemas["RoleDto"];
export type Session = Schemas["SessionDto"];
export type Stream = Schemas["StreamDto"];
export type StreamInput = Schemas["StreamInput"];
export type StreamPatch = Schemas["StreamPatch"];
export type StreamStatus = Schemas["StreamStatusDto"];
export type SourceStatus = Schemas["SourceStatusDto"];
export type SourceInput = Schemas["SourceInput"];
export type Logo = Schemas["LogoDto"];
export type Ingest = Schemas["IngestDto"];
export type RenditionStatus = Schemas["RenditionStatusDto"];
export type Viewers = Schemas["ViewersDto"];
export type Warning = Schemas["WarningDto"];
export type Reason = Schemas["ReasonDto"];
export type Rendition = Schemas["RenditionDto"];
export type Destination = Schemas["DestinationDto"];
export type DestinationInput = Schemas["DestinationInput"];
export type Restream = Schemas["RestreamDto"];
export type RestreamInput = Schemas["RestreamInput"];
export type RestreamPatch = Schemas["RestreamPatch"];
export type RestreamCheckInput = Schemas["CheckInput"];
export type RestreamCheck = Schemas["CheckDto"];
export type PushStatus = Schemas["PushStatusDto"];
export type Platform = Schemas["PlatformDto"];
export type Rules = Schemas["RulesDto"];
export type User = Schemas["UserDto"];
export type UserPatch = Schemas["UserPatch"];
export type Audit = Schemas["AuditDto"];
export type SavedLadder = Schemas["SavedLadderDto"];
export type Webhook = Schemas["WebhookDto"];
export type ApiKey = Schemas["ApiKeyDto"];
export type Recording = Schemas["RecordingDto"];
export type System = Schemas["SystemDto"];
export type Encoder = Schemas["EncoderDto"];
export type Slot = Schemas["SourceDto"]["slot"];

/** `{id, type, at, ...}`: what more there is depends on the type. */
export interface WeirEvent {
  id: number;
  type: string;
  at: string;
  [field: string]: unknown;
}

export type StreamState = "offline" | "starting" | "live" | "stalled" | "failed";
export type SourceState = "absent" | "connecting" | "live" | "failing";
export type RestreamState = "stopped" | "awaiting_stream" | "connecting" | "streaming" | "error";

export interface List<T> {
  items: T[];
  next_cursor?: string | null;
}

export type Load = Schemas["LoadDto"];
export type LiveSnapshot = Schemas["LiveSnapshotDto"];
export type LiveDelta = Schemas["LiveDeltaDto"];
export type Stats = Schemas["StatsDto"];
