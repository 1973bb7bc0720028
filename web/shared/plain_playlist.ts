// Playlists without what low latency adds. A player that knows of parts asks for the next playlist before there is one, and holds a
// connection until it comes, one for the picture and one for the sound: three previews, and a browser has none left for its other pages.

import type { Loader, LoaderCallbacks, LoaderConfiguration, LoaderContext, PlaylistLoaderConstructor } from "hls.js";

const LOW_LATENCY_LINE = /^#EXT-X-(PART|PART-INF|PRELOAD-HINT|RENDITION-REPORT):.*\r?\n?/gm;
const LOW_LATENCY_ATTRIBUTE = /(CAN-BLOCK-RELOAD=YES|PART-HOLD-BACK=[\d.]+),?/g;

export function plainPlaylist(text: string): string {
  return text
    .replace(LOW_LATENCY_LINE, "")
    .replace(/^#EXT-X-SERVER-CONTROL:.*$/m, (line) => line.replace(LOW_LATENCY_ATTRIBUTE, "").replace(/,$/, ""));
}

/** The loader of playlists, around hls.js's own. */
export function plainLoader(Base: new (config: never) => Loader<LoaderContext>): PlaylistLoaderConstructor {
  const Plain = class extends Base {
    override load(context: LoaderContext, config: LoaderConfiguration, callbacks: LoaderCallbacks<LoaderContext>): void {
      const onSuccess: typeof callbacks.onSuccess = (response, ...rest) => {
        if (typeof response.data === "string") response.data = plainPlaylist(response.data);
        callbacks.onSuccess(response, ...rest);
      };
      super.load(context, config, { ...callbacks, onSuccess });
    }
  };
  return Plain as unknown as PlaylistLoaderConstructor;
}
