// Protected streams need a token, which operators may make.

import { post } from "../api/client";

/** For as long as somebody may look at one preview. */
const LIFE_SECONDS = 3_600;

export async function tokenOf(stream: number, isProtected: boolean): Promise<string | undefined> {
  if (!isProtected) return undefined;
  return (await post<{ token: string }>(`/streams/${stream}/tokens`, { expires_in_seconds: LIFE_SECONDS })).token;
}
