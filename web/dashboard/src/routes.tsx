// Every page: its address, its name, who may see it, and which of the API's resources it shows.

import { Activity, Cpu, Film, FileClock, LayoutGrid, Layers, type LucideIcon, Radio, Send, Server, Users, Webhook } from "lucide-react";
import type { ComponentType } from "react";
import type { Role } from "./api/types";
import { AuditPage } from "./audit/audit_page";
import { DestinationsPage } from "./destinations/destinations_page";
import { EventsPage } from "./events/events_page";
import { LaddersPage } from "./ladders/ladders_page";
import { OverviewPage } from "./overview/overview_page";
import { PublishPage } from "./publish/publish_page";
import { RecordingsPage } from "./recordings/recordings_page";
import { RestreamsPage } from "./restreams/restreams_page";
import { StreamPage } from "./streams/stream_page";
import { StreamsPage } from "./streams/streams_page";
import { SystemPage } from "./system/system_page";
import { t } from "./text";
import { UsersPage } from "./users/users_page";
import { WebhooksPage } from "./webhooks/webhooks_page";

export interface Route {
  path: string;
  page: ComponentType<{ parameters: Record<string, string> }>;
  /** Tags of docs/openapi.json; a test holds that none is missing. */
  resources: string[];
  role?: Role;
  /** In the navigation, under this name. */
  nav?: { label: string; icon: LucideIcon; group: "watch" | "set" | "run" };
}

export const ROUTES: Route[] = [
  { path: "/", page: OverviewPage, resources: ["streams", "restreams", "live"], nav: { label: t.nav.overview, icon: LayoutGrid, group: "watch" } },
  { path: "/streams", page: StreamsPage, resources: ["streams"], nav: { label: t.nav.streams, icon: Radio, group: "watch" } },
  { path: "/streams/:id", page: StreamPage, resources: ["streams", "restreams", "platforms"] },
  { path: "/streams/:id/publish", page: PublishPage, resources: ["streams"] },
  { path: "/restreams", page: RestreamsPage, resources: ["restreams", "platforms"], nav: { label: t.nav.restreams, icon: Send, group: "watch" } },
  { path: "/events", page: EventsPage, resources: ["events"], nav: { label: t.nav.events, icon: Activity, group: "watch" } },
  { path: "/destinations", page: DestinationsPage, resources: ["destinations", "platforms"], nav: { label: t.nav.destinations, icon: Server, group: "set" } },
  { path: "/ladders", page: LaddersPage, resources: ["ladders"], nav: { label: t.nav.ladders, icon: Layers, group: "set" } },
  { path: "/recordings", page: RecordingsPage, resources: ["recordings"], nav: { label: t.nav.recordings, icon: Film, group: "set" } },
  { path: "/webhooks", page: WebhooksPage, resources: ["webhooks"], role: "admin", nav: { label: t.nav.webhooks, icon: Webhook, group: "run" } },
  { path: "/users", page: UsersPage, resources: ["users", "apikeys"], role: "admin", nav: { label: t.nav.users, icon: Users, group: "run" } },
  { path: "/audit", page: AuditPage, resources: ["audit"], role: "admin", nav: { label: t.nav.audit, icon: FileClock, group: "run" } },
  { path: "/system", page: SystemPage, resources: ["system", "health"], nav: { label: t.nav.system, icon: Cpu, group: "run" } },
];
