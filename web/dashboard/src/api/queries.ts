// What pages read, and how they change it. The server's answers live here and nowhere else.

import { QueryClient, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { boardIsOpen, readUnder, useBoardIsOpen } from "../live/board";
import { onEvent } from "../live/events";
import { noteLateSegment, sampleRestreams, sampleStreams, tellSamples } from "../live/history";
import { ApiError, get, getAll } from "./client";
import type { ApiKey, Audit, Destination, List, Platform, Recording, Restream, SavedLadder, Session, Stream, System, User, Webhook } from "./types";

/** How often figures are asked for while the server does not tell them by itself. */
const ASKED_MS = 1_500;
/** What changes only when somebody changes it. */
const CALM_MS = 30_000;

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: { retry: false, staleTime: CALM_MS, refetchOnWindowFocus: true },
    mutations: { retry: false },
  },
});

/** States change at once, not with the next look. */
onEvent(({ type, stream_id, waited_seconds }) => {
  if (type === "segment_late") noteLateSegment(Number(stream_id), Number(waited_seconds));
  if (type.startsWith("recording")) void queryClient.invalidateQueries({ queryKey: ["recordings"] });
  // The board tells of states by itself.
  if (boardIsOpen()) return;
  if (type.startsWith("stream") || type.startsWith("worker")) void queryClient.invalidateQueries({ queryKey: ["streams"] });
  if (type.startsWith("restream")) void queryClient.invalidateQueries({ queryKey: ["restreams"] });
});

export function useSession() {
  return useQuery({
    queryKey: ["session"],
    queryFn: () => get<Session>("/session"),
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
  });
}

export function useStreams() {
  const isOpen = useBoardIsOpen();
  return useQuery({
    queryKey: ["streams"],
    queryFn: async () => {
      const streams = await readUnder("streams", () => getAll<Stream>("/streams"));
      if (!isOpen) {
        sampleStreams(streams, Date.now() / 1000);
        tellSamples();
      }
      return streams;
    },
    refetchInterval: isOpen ? CALM_MS : ASKED_MS,
    staleTime: 0,
    // Nearly every figure is another one each second: comparing them all costs more than drawing them.
    structuralSharing: false,
  });
}

export function useRestreams() {
  const isOpen = useBoardIsOpen();
  return useQuery({
    queryKey: ["restreams"],
    queryFn: async () => {
      const restreams = await readUnder("restreams", () => getAll<Restream>("/restreams"));
      if (!isOpen) {
        sampleRestreams(restreams, Date.now() / 1000);
        tellSamples();
      }
      return restreams;
    },
    refetchInterval: isOpen ? CALM_MS : ASKED_MS,
    staleTime: 0,
    // Nearly every figure is another one each second: comparing them all costs more than drawing them.
    structuralSharing: false,
  });
}

/** With its encoders, which the first who asks has to wait for. */
export function useSystem() {
  return useQuery({ queryKey: ["system"], queryFn: () => get<System>("/system"), refetchInterval: 2_000, staleTime: 0 });
}

/** What is known of the machine at once. */
export function useMachine() {
  return useQuery({ queryKey: ["machine"], queryFn: () => get<System>("/system?untried=true"), refetchInterval: CALM_MS, staleTime: 0 });
}

function useAll<T>(key: string, path: string, enabled = true) {
  return useQuery({ queryKey: [key], queryFn: () => getAll<T>(path), refetchInterval: CALM_MS, enabled });
}

export const useDestinations = () => useAll<Destination>("destinations", "/destinations");
export const useApiKeys = () => useAll<ApiKey>("apikeys", "/apikeys");
export const useUsers = () => useAll<User>("users", "/users");
export const useSavedLadders = () => useAll<SavedLadder>("ladders", "/ladders");
/** `may`: only admins are told. */
export const useWebhooks = (may = true) => useAll<Webhook>("webhooks", "/webhooks", may);
export const useRecordings = () => useAll<Recording>("recordings", "/recordings");

export function usePlatforms() {
  return useQuery({ queryKey: ["platforms"], queryFn: async () => (await get<List<Platform>>("/platforms")).items, staleTime: Number.POSITIVE_INFINITY });
}

/** The newest changes and refusals, a page at a time; all, or those of one outcome. */
export function useAudit(cursor: string | undefined, outcome: string) {
  const rest = (cursor ? `&cursor=${encodeURIComponent(cursor)}` : "") + (outcome ? `&outcome=${outcome}` : "");
  return useQuery({
    queryKey: ["audit", cursor, outcome],
    queryFn: () => get<List<Audit>>(`/audit?newest_first=true&limit=100${rest}`),
    staleTime: 0,
  });
}

/** A change: does it, then has read anew what it touches. */
export function useChange<Input, Output = unknown>(change: (input: Input) => Promise<Output>, ...touches: string[]) {
  const client = useQueryClient();
  return useMutation<Output, ApiError, Input>({
    mutationFn: change,
    onSettled: () => Promise.all(touches.map((key) => client.invalidateQueries({ queryKey: [key] }))),
  });
}
