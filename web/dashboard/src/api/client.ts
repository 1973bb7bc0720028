// One way to ask the server: JSON in, JSON out, problems as errors with the words to show.

export interface Problem {
  title: string;
  status: number;
  detail: string;
  code: string;
  field?: string | null;
}

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    /** Which input is wrong, where one is. */
    readonly field: string | null = null,
  ) {
    super(message);
  }
}

/** No answer at all: the server is away, or the network is. */
export const UNREACHABLE = 0;

const TIMEOUT_MS = 15_000;

let csrfToken: string | null = null;
export function setCsrfToken(token: string | null): void {
  csrfToken = token;
}

let onLoggedOut: () => void = () => {};
/** Called when the server no longer knows who we are. */
export function whenLoggedOut(then: () => void): void {
  onLoggedOut = then;
}

export async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { accept: "application/json" };
  const isFile = body instanceof Blob;
  if (body !== undefined) headers["content-type"] = isFile ? body.type : "application/json";
  if (csrfToken && method !== "GET") headers["x-csrf-token"] = csrfToken;
  let response: Response;
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      headers,
      credentials: "same-origin",
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body === undefined ? {} : { body: isFile ? body : JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError(UNREACHABLE, "unreachable", "The server can't be reached.");
  }
  if (response.status === 204) return undefined as T;
  const text = await response.text();
  if (response.ok) return (text ? JSON.parse(text) : undefined) as T;
  const problem = parsed(text);
  if (response.status === 401 && path !== "/session") onLoggedOut();
  throw new ApiError(
    response.status,
    problem?.code ?? "error",
    problem?.detail || problem?.title || `The server answered ${response.status}.`,
    problem?.field ?? null,
  );
}

export const get = <T>(path: string): Promise<T> => call("GET", path);
export const post = <T>(path: string, body: unknown = {}): Promise<T> => call("POST", path, body);
export const patch = <T>(path: string, body: unknown): Promise<T> => call("PATCH", path, body);
export const putPicture = <T>(path: string, picture: Blob): Promise<T> => call("PUT", path, picture);
export const remove = (path: string): Promise<void> => call("DELETE", path);

function parsed(text: string): Problem | undefined {
  try {
    return JSON.parse(text) as Problem;
  } catch {
    return undefined;
  }
}

/** Pages of a list, until the last; 20 of 500 are more than a server is made for. */
export async function getAll<T>(path: string): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | null | undefined;
  for (let page = 0; page < 20; page++) {
    const query = `limit=500${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`;
    const answer = await get<{ items: T[]; next_cursor?: string | null }>(`${path}${path.includes("?") ? "&" : "?"}${query}`);
    items.push(...answer.items);
    cursor = answer.next_cursor;
    if (!cursor) break;
  }
  return items;
}
